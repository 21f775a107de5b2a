"""Any number of devices gives the same run. Virtual devices need a process of their own."""

import json

import numpy as np
from conftest import ROOT, run_child

PROGRAM = '''
import json, sys
sys.path.insert(0, {tests!r})
import jax, numpy as np
from test_training import run_steps
found = {{}}
for name, config in json.loads(sys.argv[1]).items():
  after, history = run_steps(config, 5)
  leaves = jax.tree_util.tree_leaves_with_path((after.params, after.batch_stats, after.carry, history))
  found |= {{name + jax.tree_util.keystr(path): np.asarray(leaf).tolist() for path, leaf in leaves}}
print(json.dumps({{'devices': jax.device_count(), 'leaves': found}}))
'''


def test_8_devices_equal_1(small_cnn, small, small_text, tmp_path):
  """After 5 steps, batch normalisation and dropout included; step 4 has 13 real examples of 16, so the last device
  has none. The sums are taken in another order, hence the tolerance; Adam's eps is raised, because a bias before
  batch normalisation has gradient 0 but for rounding, which Adam would blow up to a full step."""
  program = tmp_path / 'program.py'
  program.write_text(PROGRAM.format(tests=str(ROOT / 'tests')))
  configs = {'cnn': small_cnn, 'lstm': small, 'text': small_text}
  for config in configs.values():
    config['optimizer']['eps'] = 1e-4
    config['l2'] = 1e-3
    if config['task'] == 'classify':
      config['task'] = dict(name='classify', label_smoothing=0.1)
  one, eight = (run_child(program, json.dumps(configs), devices=devices) for devices in (1, 8))
  assert one.returncode == eight.returncode == 0, one.stderr + eight.stderr
  one, eight = (json.loads(run.stdout.splitlines()[-1]) for run in (one, eight))
  assert (one['devices'], eight['devices']) == (1, 8)
  assert one['leaves'].keys() == eight['leaves'].keys()
  for name, values in one['leaves'].items():
    np.testing.assert_allclose(eight['leaves'][name], values, rtol=2e-4, atol=2e-5, err_msg=name)


def test_batch_size_that_does_not_divide_names_the_nearest(small, config_file):
  small['data']['batch_size'] = 20
  run = run_child('-m', 'jaxdl.main', f'--config={config_file(small)}', '--describe', devices=8)
  assert run.returncode == 1
  assert run.stderr == 'jaxdl: config.data.batch_size=20 does not divide over 8 devices: use 16 or 24\n'
