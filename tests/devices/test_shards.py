"""`config.shards`: 2, 4 and 8 devices give the same bits, also where a run moves between them."""

import functools
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import SMALL, run_child, state_of
from training_helpers import train_together

from jaxdl.devices import parallel, shards
from jaxdl.runs import files
from jaxdl.step import steps
from jaxdl.training import experiment

CONFIG = {
  **SMALL,
  'shards': 8,
  'data': {**SMALL['data'], 'batch_size': 16, 'evaluation_batch_size': 24},
  'evaluate_every': '2 steps',
  'log_every': '1 steps',
}


def train(config, folder, devices, tmp_path, **changes):
  """Trains a config in a process with a number of CPU devices; returns its outcome."""
  file = tmp_path / 'config.json'
  file.write_text(json.dumps({**config, 'cpu_devices': devices, **changes}))
  code = (
    'import json, pathlib, sys; import jaxdl; '
    'jaxdl.train(json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2])'
  )
  return run_child('-c', code, str(file), str(folder))


def device_of(folder):
  """The devices of a run, such as '4 x cpu'."""
  return json.loads((folder / 'summary.json').read_text())['device']


def results(config, folder):
  """(journal without speeds, path → bytes of the last state) of a run."""
  journal = [
    {key: value for key, value in line.items() if key != 'examples_per_second'}
    for line in files.journal(folder)
  ]
  built = experiment.build({**config, 'shards': 1})  # the shapes are the same
  leaves = jax.tree_util.tree_leaves_with_path(state_of(built, folder, journal[-1]['step']))
  return journal, {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}


def assert_same_bits(config, tmp_path, devices):
  """Trains with each number of devices, and moves one run from the first number to the last."""
  found = []
  for number in devices:
    assert train(config, tmp_path / f'{number}', number, tmp_path).returncode == 0
    assert device_of(tmp_path / f'{number}') == f'{number} x cpu'
    found.append(results(config, tmp_path / f'{number}'))
  for number, train_for in ((devices[0], '4 steps'), (devices[-1], config['train_for'])):
    assert train(config, tmp_path / 'moved', number, tmp_path, train_for=train_for).returncode == 0
  found.append(results(config, tmp_path / 'moved'))
  for journal, state in found[1:]:
    assert journal == found[0][0]
    assert state == found[0][1]


@pytest.mark.slow
def test_run_may_move_between_numbers_of_devices(tmp_path):
  assert_same_bits({**CONFIG, 'schedule': None}, tmp_path, (2, 4))


@pytest.mark.slow
def test_batch_statistics_are_the_same_on_any_number_of_devices(small_cnn, tmp_path):
  config = {**small_cnn, 'shards': 8, 'schedule': None, 'train_for': '8 steps'}
  config['data']['scale'] = 'standardized'
  assert_same_bits(config, tmp_path, (2, 8))


@pytest.mark.slow
def test_attention_is_the_same_on_any_number_of_devices(small_text, tmp_path):
  model = dict(name='transformer', features=16, classes=84, layers=2, heads=2, context=16)
  config = {**small_text, 'model': model, 'shards': 8, 'schedule': None, 'train_for': '4 steps'}
  assert_same_bits(config, tmp_path, (2, 4))


@pytest.mark.slow
def test_all_numbers_of_devices_give_the_same_bits(tmp_path):
  assert_same_bits({**CONFIG, 'schedule': None}, tmp_path, (2, 4, 8))


@pytest.mark.slow
def test_without_shards_the_bits_depend_on_the_devices(tmp_path):
  """The other tests would otherwise prove nothing."""
  config = {**CONFIG, 'shards': 1, 'schedule': None}
  for number in (1, 4):
    assert train(config, tmp_path / f'{number}', number, tmp_path).returncode == 0
  (one, _), (four, _) = (results(config, tmp_path / f'{number}') for number in (1, 4))
  assert one != four


@pytest.mark.parametrize('devices', [1, 2, 4])
def test_results_of_shards_are_added_in_a_fixed_order(devices):
  """Numbers whose sum depends on the order, added as a binary tree of neighbours."""
  values = np.array([1, 1e8, -1e8, 1, 2, 3, 4, 5], np.float32)
  expected = ((values[0] + values[1]) + (values[2] + values[3])) + (
    (values[4] + values[5]) + (values[6] + values[7])
  )
  assert (expected, functools.reduce(np.add, values)) == (14, 15)

  def run(rows):
    def of_shard(row):
      return row[0], shards.sum_over(row[0], (parallel.AXIS, shards.SHARDS))

    own, inside = shards.over_shards(of_shard, rows, 8)
    return shards.sum_of_shards(own), inside

  found = jax.vmap(run, axis_name=parallel.AXIS)(values.reshape(devices, -1))
  for sums in found:
    np.testing.assert_array_equal(np.asarray(sums), expected)


def test_gradient_of_a_sum_over_shards_is_that_of_a_sum_over_devices():
  values = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)

  def of_axis(axis):
    def loss(row):
      return (jnp.sin(parallel_sum(row) * row)).sum()

    def parallel_sum(row):
      return shards.sum_over(row, axis)

    return jax.grad(loss)

  over_shards = jax.vmap(
    lambda rows: shards.over_shards(of_axis((parallel.AXIS, shards.SHARDS)), rows, 8),
    axis_name=parallel.AXIS,
  )(values)
  flat = values.reshape(8, 3)
  expected = jax.vmap(of_axis('all'), axis_name='all')(flat)
  np.testing.assert_allclose(np.asarray(over_shards).reshape(8, 3), expected, rtol=1e-4, atol=1e-5)


def test_function_with_sums_gives_what_it_gives_for_all_shards_at_once():
  """Sums that need others, of values that differ between shards and of values that do not."""
  values = np.random.default_rng(1).normal(size=(8, 5)).astype(np.float32)

  def of_axis(add):
    def run(row):
      count = add(jnp.ones(()))
      centred = row - add(row.sum()) / count
      scaled = jax.nn.softplus(centred) / add(jnp.square(centred).sum())
      return {'row': scaled, 'count': count, 'constant': 3.0, 'given': row}

    return run

  over_shards = jax.vmap(
    lambda rows: shards.over_shards(
      of_axis(lambda value: shards.sum_over(value, (parallel.AXIS, shards.SHARDS))), rows, 8
    ),
    axis_name=parallel.AXIS,
  )(values.reshape(2, 4, 5))
  flat = jax.tree.map(lambda values: np.asarray(values).reshape(8, *values.shape[2:]), over_shards)
  expected = jax.vmap(of_axis(lambda value: jax.lax.psum(value, 'all')), axis_name='all')(
    values.reshape(8, 1, 5)
  )
  expected = {**expected, 'constant': np.full(8, 3.0)}
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), flat, expected)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'shards': 3}, r'config\.shards=3 is not a power of 2: use 1 for none, or 2, 4, 8'),
    ({'shards': 0}, r'config\.shards=0 is not a power of 2'),
    ({'shards': True}, r'config\.shards=True is not a power of 2'),
    ({'shards': '8'}, r"config\.shards='8' is not a power of 2"),
    ({'accumulate': 2}, r'config\.shards=8 and config\.accumulate=2 cannot be combined'),
    (
      {'data': {**CONFIG['data'], 'batch_size': 20}},
      r'batch_size=20 does not divide into config\.shards=8: use 16 or 24',
    ),
  ],
)
def test_bad_shards_are_refused_in_one_line(changes, message, monkeypatch):
  monkeypatch.setattr(jax, 'device_count', lambda: 1)
  with pytest.raises(ValueError, match=message):
    experiment.build({**CONFIG, **changes})


def test_other_threads_are_refused(monkeypatch):
  """JAX has started in this process with another number."""
  monkeypatch.delenv('NPROC', raising=False)
  with pytest.raises(ValueError, match='NPROC and PJRT_NPROC to 8 before Python starts'):
    experiment.build(CONFIG)


def test_shards_that_the_devices_do_not_divide_are_refused(monkeypatch):
  monkeypatch.setattr(jax, 'device_count', lambda: 3)
  config = {**CONFIG, 'data': {**CONFIG['data'], 'batch_size': 24}}
  with pytest.raises(ValueError, match=r'config\.shards=8 does not divide over 3 devices'):
    experiment.build(config)


def test_one_cpu_device_is_refused(monkeypatch):
  """JAX has started in this process with one."""
  monkeypatch.setenv('NPROC', '8')
  monkeypatch.setattr(jax, 'device_count', lambda: 1)
  with pytest.raises(ValueError, match=r'needs at least 2 devices .* set config\.cpu_devices=2 or'):
    experiment.build(CONFIG)


@pytest.mark.parametrize(
  ('wanted', 'expected'), [(None, 2), (1, 2), (2, 2), (6, 4), (8, 8), (64, 16)]
)
def test_cpu_has_at_least_two_devices(wanted, expected):
  section = {} if wanted is None else {'cpu_devices': wanted}
  config = {**section, 'shards': 16, 'data': {'batch_size': 48}}
  assert parallel.shared_cpu_devices([config]) == expected


def test_runs_with_shards_are_not_compiled_together(monkeypatch, tmp_path):
  monkeypatch.setenv('NPROC', '8')
  with monkeypatch.context() as patched:
    patched.setattr(jax, 'device_count', lambda: 2)
    built = [experiment.build({**CONFIG, 'seed': seed}) for seed in (0, 1)]
  with pytest.raises(ValueError, match=r'config\.shards is set, so .* cannot be trained together'):
    train_together(built, [tmp_path / '0', tmp_path / '1'])
  assert not (tmp_path / '0').exists()


def test_threads_of_the_environment_are_kept(monkeypatch):
  monkeypatch.setattr(parallel.compiler, 'backend_started', lambda: False)
  monkeypatch.setenv('NPROC', '3')
  monkeypatch.setenv('PJRT_NPROC', 'x')
  monkeypatch.delenv('PJRT_NPROC')
  parallel._fix_threads([{'shards': 8}])
  assert (os.environ['NPROC'], os.environ['PJRT_NPROC']) == ('3', '8')


@pytest.mark.parametrize('devices', [1, 2, 8])
def test_examples_are_prepared_shard_by_shard(devices):
  """The compiler would otherwise compile another program for another number of rows."""
  sizes = []
  inputs = np.arange(48, dtype=np.float32).reshape(devices, -1, 3)

  def prepare(batch, key):
    sizes.append(len(batch['image']))
    assert batch['epoch'].shape == ()
    return {'inputs': batch['image'] * 2, 'epoch': batch['epoch'] + key}

  def run(images):
    return steps._prepared({'image': images, 'epoch': jnp.int32(3)}, 4, prepare, 8)

  found = jax.vmap(run, axis_name=parallel.AXIS)(inputs)
  assert set(sizes) == {2}
  np.testing.assert_array_equal(found['inputs'], 2 * inputs)
  np.testing.assert_array_equal(found['epoch'], np.full(devices, 7))
