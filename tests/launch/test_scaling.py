"""Communication between the devices in a step, read from programs compiled for more virtual devices
than there are cores.
"""

import json

import jax
import numpy as np
import pytest
from helpers import ROOT, last_json, run_child

from launch.benchmarks import scale_model

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


@pytest.mark.slow
@pytest.mark.parametrize('devices', [8, pytest.param(64, marks=pytest.mark.slow)])
def test_scaling_step_exchanges_gradients_once_without_the_host(
  devices, small, small_cnn, small_text
):
  """Three sums are exchanged with the gradients: loss, correct and count; for text also the bits.
  The only other exchanges are the statistics of batch normalisation and, once per call, the
  carried state of a text.
  """
  configs = {'cnn': small_cnn, 'text': small_text, **({'lstm': small} if devices == 64 else {})}
  for config in configs.values():
    config['data']['batch_size'] = 64
  child = run_child('-c', PROGRAM.format(root=str(ROOT)), json.dumps(configs), devices=devices)
  assert child.returncode == 0, child.stderr
  for name, found in last_json(child.stdout).items():
    assert found['devices'] == devices
    assert found['host'] == []
    exchanges = sorted(found['exchanges'], key=lambda exchange: exchange['elements'])
    gradients, others = exchanges[-1], exchanges[:-1]
    summed = found['parameters'] + (4 if name == 'text' else 3)
    if name == 'cnn':
      # XLA sends a few gradients with the statistics: two numbers per channel, forward and
      # backward, and counts
      assert gradients['elements'] > 0.99 * summed
      assert 0 < sum(exchange['elements'] for exchange in exchanges) - summed <= 4 * (4 + 10) + 2
      assert {exchange['kind'] for exchange in exchanges} == {'all-reduce'}
    else:
      assert (gradients['kind'], gradients['elements']) == ('all-reduce', summed)
      assert {exchange['kind'] for exchange in others} == (
        {'all-gather'} if name == 'text' else set()
      )


def test_scaling_counts_elements_and_bytes():
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


def test_scaling_detects_a_call_to_the_host():
  from launch.benchmarks import scaling

  def call_host(values):
    jax.debug.callback(lambda value: None, values.sum())
    return values + 1

  hlo = jax.jit(call_host).lower(np.ones(3, np.float32)).compile().as_text()
  assert len(scaling.host_transfers(hlo)) == 1


def test_modelled_exchange_is_that_of_a_ring():
  """By hand: 4 machines send 6 messages of a quarter of the bytes each."""
  network = scale_model.Network(bandwidth=1e9, latency=1e-6)
  assert scale_model.exchange(4, 1_000_000, network) == pytest.approx(6 * (250e-6 + 1e-6))
  assert scale_model.exchange(1, 1_000_000, network) == 0
  # 10 ms alone; 3 ms for a quarter of the batch, and the exchange
  assert scale_model.times_as_fast(10e-3, 3e-3, 4, 1_000_000, network) == pytest.approx(10 / 4.506)


def test_a_row_of_the_modelled_table():
  """Without bytes, only the messages cost: 62 of 20 µs or 2 µs for 32 machines."""
  found = {'batch': 128, 'bytes': 0, 'seconds': {'1': 0.032, '4': 0.008, '32': 0.001}}
  assert scale_model.row('rnn_mnist', found) == (
    '| `rnn_mnist` | 128 | 32.0 | 8.0 | 1.0 | 3.9 / 4.0 | 14.3 / 28.5 | 31 / 32 | 312 / 481 |'
  )
