"""What crosses the devices in a step: read from the compiled program, on more virtual devices than
there are cores.
"""

import json

import jax
import numpy as np
import pytest
from helpers import ROOT, last_json, run_child

PROGRAM = """
import json, sys
sys.path.insert(0, {root!r})
import jax
from launch.benchmarks import scaling
found = {{}}
for name, config in json.loads(sys.argv[1]).items():
  hlo, built = scaling.compiled(config, name)
  elements = sum(leaf.size for leaf in jax.tree.leaves(built.initial_state().params))
  found[name] = dict(devices=jax.device_count(), parameters=elements, exchanges=scaling.collectives(hlo),
                     host=scaling.host_transfers(hlo))
print(json.dumps(found))
"""


@pytest.mark.parametrize('devices', [8, pytest.param(64, marks=pytest.mark.slow)])
def test_scaling_a_step_exchanges_its_gradients_once_and_asks_nothing_of_the_host(
  devices, small, small_cnn, small_text
):
  """With the gradients go three sums: loss, correct and count, and of a text the bits. Beside them
  there are only the statistics of batch normalisation, and once a call the carried state of a text.
  """
  configs = {'cnn': small_cnn, 'text': small_text, **({'lstm': small} if devices == 64 else {})}
  for config in configs.values():
    config['data']['batch_size'] = 64
  child = run_child('-c', PROGRAM.format(root=str(ROOT)), json.dumps(configs), devices=devices)
  assert child.returncode == 0, child.stderr
  for name, found in last_json(child.stdout).items():
    assert found['devices'] == devices
    assert found['host'] == []
    exchanges = sorted(found['exchanges'], key=lambda one: one['elements'])
    gradients, others = exchanges[-1], exchanges[:-1]
    summed = found['parameters'] + (4 if name == 'text' else 3)
    if (
      name == 'cnn'
      # XLA sends a few gradients along with statistics: forward and backward two numbers a channel,
      # and counts
    ):
      assert gradients['elements'] > 0.99 * summed
      assert 0 < sum(one['elements'] for one in exchanges) - summed <= 4 * (4 + 10) + 2
      assert {one['kind'] for one in exchanges} == {'all-reduce'}
    else:
      assert (gradients['kind'], gradients['elements']) == ('all-reduce', summed)
      assert {one['kind'] for one in others} == ({'all-gather'} if name == 'text' else set())


def test_scaling_counts_elements_and_bytes_of_a_program():
  from launch.benchmarks import scaling

  hlo = """
  %all-reduce.1 = (f32[10]{0}, f32[], bf16[3,4]{1,0}) all-reduce(%a, %b, %c), metadata={op_name="jit(f)/while/body/psum"}
  %get-tuple-element.1 = f32[10]{0} get-tuple-element(%all-reduce.1), index=0
  %gather = s32[2,8]{1,0} all-gather(%d), dimensions={0}, metadata={op_name="jit(f)/layer2/all_gather"}
"""
  assert scaling.collectives(hlo) == [
    dict(kind='all-reduce', source='body', elements=23, bytes=68),
    dict(kind='all-gather', source='layer2', elements=16, bytes=64),
  ]
  assert scaling.host_transfers(hlo) == []


def test_scaling_sees_a_call_to_the_host():
  from launch.benchmarks import scaling

  def talks(values):
    jax.debug.callback(lambda value: None, values.sum())
    return values + 1

  hlo = jax.jit(talks).lower(np.ones(3, np.float32)).compile().as_text()
  assert len(scaling.host_transfers(hlo)) == 1
