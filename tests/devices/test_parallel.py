"""Runs do not depend on the number of devices. Virtual devices need their own process."""

import functools
import json

import jax
import numpy as np
import pytest
import task_helpers
from helpers import ROOT, WITHOUT_TENSORFLOW, last_json, run_child, state_of, with_steady_adam
from training_helpers import leaves, run_steps

from jaxdl.devices import parallel
from jaxdl.runs import files
from jaxdl.training import experiment, loop

PROGRAM = """
import json, sys
sys.path.insert(0, {tests!r})
import jax
from training_helpers import leaves
from jaxdl.training import experiment, loop
steps, runs = json.loads(sys.argv[1])
found = {{name: leaves(config) for name, config in steps.items()}}
for workdir, config in runs:
  loop.train(experiment.build(config, 'small'), workdir)
print(json.dumps({{'devices': jax.device_count(), 'leaves': found}}))
"""


def on_devices(devices, *, steps=None, runs=()):
  """Trains in a child process on virtual devices; returns 'leaves' of the configs in `steps`. It
  also trains `runs`, (folder, config).
  """
  given = json.dumps([steps or {}, [(str(workdir), config) for workdir, config in runs]])
  child = run_child(
    '-c',
    PROGRAM.format(tests=str(ROOT / 'tests')),
    given,
    devices=devices,
    environment=WITHOUT_TENSORFLOW,
  )
  assert child.returncode == 0, child.stderr
  found = last_json(child.stdout)
  assert found['devices'] == devices
  return found['leaves']


@pytest.mark.parametrize(
  ('devices', 'networks'),
  [
    (8, ['small_cnn']),
    pytest.param(8, ['all_rules'], marks=pytest.mark.slow),
    *(
      pytest.param(
        devices, ['small_cnn', 'small', 'small_text', 'random_text'], marks=pytest.mark.slow
      )
      for devices in (2, 4)
    ),
    pytest.param(8, ['small_text'], marks=pytest.mark.slow),
  ],
)
def test_devices_do_not_change_training(devices, networks, request, reliability):
  """Compares 5 steps on several devices with one device, with batch normalisation and dropout. Step
  4 has 13 real examples of 16, so the last device has none. Sums are added in another order,
  hence the tolerance.
  """
  configs = {
    name: {**with_steady_adam(request.getfixturevalue(name)), 'l2': 1e-3} for name in networks
  }
  for name, config in configs.items():
    if config['task'] == 'classify':
      configs[name]['task'] = dict(name='classify', label_smoothing=0.1)
  many = on_devices(devices, steps=configs)
  for name, config in configs.items():
    one = leaves(config)
    assert many[name].keys() == one.keys()
    for path, values in one.items():
      np.testing.assert_allclose(
        many[name][path], values, rtol=2e-4, atol=2e-5, err_msg=f'{name}{path}'
      )
  reliability(
    'networks trained on 2, 4 and 8 devices: same parameters and sums as on one (2e-4)',
    len(configs),
    len(configs),
  )


OF_RULES = {  # name → changes of `all_rules`: the optimizer, the augmentation, the parts of a batch
  'muon': (
    dict(name='muon', learning_rate=1e-2, adam_layers=('dense1',), adam_rate=0.1),
    (dict(kind='color_jitter', brightness=0.3, contrast=0.3), dict(kind='mixup')),
    1,
  ),
  'lion': (
    dict(name='lion', learning_rate=1e-3),
    (dict(kind='random_erasing', fill='noise'), dict(kind='cutmix')),
    2,
  ),
  'lookahead': (
    dict(name='sgd', learning_rate=1e-2, lookahead=dict(every=2)),
    (dict(kind='random_resized_crop'), dict(kind='mixup'), dict(kind='cutmix')),
    2,
  ),
}


@pytest.mark.slow
def test_devices_do_not_change_optimizers_and_augmentations(all_rules):
  """As `test_devices_do_not_change_training`. A sum near 0 may change its sign, on which the steps of
  Lion depend; for it, 1 % of the parameters may differ by such steps.
  """
  configs = {
    name: {
      **all_rules,
      'optimizer': optimizer,
      'accumulate': parts,
      'data': {**all_rules['data'], 'augment': augment},
    }
    for name, (optimizer, augment, parts) in OF_RULES.items()
  }
  many = on_devices(8, steps=configs)
  for name, config in configs.items():
    one = leaves(config)
    assert many[name].keys() == one.keys()
    for path, values in one.items():
      found, expected = np.asarray(many[name][path]), np.asarray(values)
      far = ~np.isclose(found, expected, rtol=2e-4, atol=2e-5)
      assert far.mean() <= (0.01 if name == 'lion' else 0), f'{name}{path}: {far.mean():.2%}'
      np.testing.assert_allclose(found, expected, rtol=1e-2, atol=2e-2, err_msg=f'{name}{path}')


OF_TASKS = """
import json, sys
sys.path.insert(0, {tests!r})
import task_helpers
task_helpers.register()
print(json.dumps([task_helpers.measured(config) for config in json.loads(sys.argv[1])]))
"""


@pytest.mark.slow
def test_devices_do_not_change_the_sums_of_targets_and_labels(small, monkeypatch):
  """Sums of 5 steps and of an evaluation, with arrays and with the scores of all 50 examples."""
  configs = [
    task_helpers.linear(task_helpers.config_of(small, dict(name='regress', loss='huber'))),
    task_helpers.linear(task_helpers.config_of(small, 'multi_label', metrics=('roc_auc',))),
  ]
  configs = [with_steady_adam(config) for config in configs]
  child = run_child(
    '-c',
    OF_TASKS.format(tests=str(ROOT / 'tests')),
    json.dumps(configs),
    devices=8,
    environment=WITHOUT_TENSORFLOW,
  )
  assert child.returncode == 0, child.stderr
  for name, load in task_helpers.OWN.items():
    monkeypatch.setitem(task_helpers.DATA_SETS, name, load)
  one = [task_helpers.measured(config) for config in configs]
  assert np.shape(one[0]['r2']) == (3, 2)
  assert np.shape(one[1]['roc_auc']) == (50, 2, 3)
  for found, expected in zip(last_json(child.stdout), one, strict=True):
    assert found.keys() == expected.keys()
    for path, values in expected.items():
      np.testing.assert_allclose(found[path], values, rtol=2e-4, atol=2e-4, err_msg=path)


TOGETHER = """
import json, sys
sys.path.insert(0, {tests!r})
import jax
import numpy as np
from jaxdl.devices import parallel
from jaxdl.sweeps import ensemble
from jaxdl.training import experiment
config, count, steps = json.loads(sys.argv[1])
built = [experiment.build({{**config, 'seed': seed}}, 'small') for seed in range(count)]
states = ensemble.placed(ensemble.stacked([one.initial_state() for one in built]))
arrays = parallel.replicate(built[0].data.splits['train'].arrays)
feeds = ensemble.split_feeds(count)(ensemble.feeds(built)(0, steps), steps)
states, history = ensemble.compile_steps(built)(states, arrays, feeds, np.int32(steps))
found = [jax.tree.map(np.asarray, ensemble.member(states, number).params) for number in range(count)]
print(json.dumps([{{jax.tree_util.keystr(path): leaf.tolist() for path, leaf in jax.tree_util.tree_leaves_with_path(one)}}
                  for one in found]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
  ('devices', 'count'),
  [(4, 2), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((2, 4), (4, 3), (2, 1)))],
)
def test_devices_split_the_members_of_a_sweep(devices, count, small_cnn):
  """The members are divided over the devices and, if devices are left, their batches too. Each
  member equals the run of its seed on one device.
  """
  config = with_steady_adam(small_cnn)
  child = run_child(
    '-c',
    TOGETHER.format(tests=str(ROOT / 'tests')),
    json.dumps([config, count, 5]),
    devices=devices,
    environment=WITHOUT_TENSORFLOW,
  )
  assert child.returncode == 0, child.stderr
  found = json.loads(child.stdout.splitlines()[-1])
  assert len(found) == count
  for seed, parameters in enumerate(found):
    after, _ = run_steps({**config, 'seed': seed}, 5)
    for path, leaf in jax.tree_util.tree_leaves_with_path(after.params):
      np.testing.assert_allclose(
        parameters[jax.tree_util.keystr(path)], leaf, rtol=2e-4, atol=2e-5, err_msg=f'{seed}{path}'
      )


@pytest.mark.slow
def test_devices_may_change_between_checkpoint_and_resume(small_text, tmp_path):
  """A checkpoint of 4 devices resumes on 1 and vice versa. The carried state of a text covers all
  its streams, whichever device computed them.
  """
  small_text['data']['splits'] = {
    'train': 'train[:1000]'
  }  # no evaluation; other tests evaluate on many devices
  complete, half = small_text, {**small_text, 'train_for': '4 steps'}
  assert complete['train_for'] == '8 steps'
  loop.train(experiment.build(half, 'small'), tmp_path / 'from_1')
  on_devices(4, runs=[(tmp_path / 'from_1', complete), (tmp_path / 'from_4', half)])
  states = {}
  for name in ('from_1', 'from_4', 'uninterrupted'):
    built = experiment.build(complete, 'small')
    loop.train(built, tmp_path / name)
    states[name] = state_of(built, tmp_path / name)
  for name in ('from_1', 'from_4'):
    assert states[name].step == states['uninterrupted'].step == 8
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-5),
      states[name],
      states['uninterrupted'],
    )


def test_devices_batch_size_error_names_the_nearest_multiples(small, config_file):
  small['data']['batch_size'] = 20
  run = run_child('-m', 'jaxdl.main', f'--config={config_file(small)}', '--describe', devices=8)
  assert run.returncode == 1
  assert (
    run.stderr == 'jaxdl: config.data.batch_size=20 does not divide over 8 devices: use 16 or 24\n'
  )


@pytest.mark.slow
def test_devices_of_a_cpu_train_the_same_run(small, config_file, tmp_path):
  """`cpu_devices` reaches JAX before it starts. A run that started on one device resumes on two."""
  first = loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path / 'run')
  config = config_file({**small, 'cpu_devices': 2})
  child = run_child(
    '-m',
    'jaxdl.main',
    f'--config={config}',
    f'--workdir={tmp_path / "run"}',
    environment=WITHOUT_TENSORFLOW,
  )
  assert child.returncode == 0, child.stderr
  assert [first['device'], last_json(child.stdout)['device']] == ['1 x cpu', '2 x cpu']
  single = loop.train(experiment.build(small, 'small'), tmp_path / 'single')
  assert last_json(child.stdout)['test_loss'] == pytest.approx(single['test_loss'], rel=2e-4)
  assert [line['step'] for line in files.journal(tmp_path / 'run') if line['split'] == 'train'] == [
    4,
    8,
  ]


@pytest.mark.parametrize(
  ('sizes', 'wanted', 'environment', 'expected'),
  [
    ([16], 2, '', 2),
    ([16], 1, '', None),
    ([15], 2, '', None),
    ([18], 4, '', 3),
    ([16, 6], 4, '', 2),
    (['x'], 2, '', None),
    ([16], 2, '--xla_force_host_platform_device_count=4', None),
  ],
)
def test_devices_of_a_cpu_divide_the_batch(sizes, wanted, environment, expected, monkeypatch):
  updates = []
  monkeypatch.setenv('XLA_FLAGS', environment)
  monkeypatch.setattr(jax.config, 'update', lambda key, value: updates.append((key, value)))
  parallel.use_cpu_devices([dict(cpu_devices=wanted, data=dict(batch_size=size)) for size in sizes])
  expected_updates = [] if expected is None else [('jax_num_cpu_devices', expected)]
  assert updates == expected_updates


@pytest.mark.parametrize('number', [0, -1, 65, 2.0, True, '2', None])
def test_devices_of_a_cpu_must_be_a_number(number):
  with pytest.raises(
    ValueError, match=r'config\.cpu_devices=.* is not a number of devices: use 1 to 64'
  ):
    parallel.use_cpu_devices([dict(cpu_devices=number)])
