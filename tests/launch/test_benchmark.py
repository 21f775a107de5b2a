"""The benchmark compares the same network, and its table has the measured figures."""

import importlib
import math

import numpy as np
import pytest

from launch.benchmarks import contender, speed_table, workloads
from launch.benchmarks.racing import CLOSE, CLOSE_BFLOAT16, Process


def check_same_network(kind, name, folder, bfloat16=False):
  """A peer with the same weights has the parameters and the loss of jaxdl, and both learn from
  their batches.
  """
  workloads.write(name, folder, bfloat16)
  close = CLOSE_BFLOAT16 if bfloat16 else CLOSE
  task = contender.read(folder)
  if kind != 'flax':
    pytest.importorskip(kind)
  module = importlib.import_module(f'launch.benchmarks.with_{kind}')
  from launch.benchmarks import with_jaxdl

  ours, peer = with_jaxdl.start(task), module.start(task)
  assert peer.parameters == ours.parameters
  expected = ours.loss()
  assert math.isclose(peer.loss(), expected, rel_tol=close)
  for network in (ours, peer):
    network.train(2)
    assert network.loss() != expected
    network.restore()
    assert math.isclose(network.loss(), expected, rel_tol=close)


@pytest.mark.slow
def test_benchmark_flax_network_is_the_same(tmp_path, monkeypatch):
  monkeypatch.setattr(workloads, 'MOST', 8 << 20)
  check_same_network('flax', 'rnn_mnist', tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['flax', 'keras', 'torch'])
@pytest.mark.parametrize('name', workloads.WORKLOADS)
@pytest.mark.usefixtures('any_data')
def test_benchmark_network_is_the_same_for_every_peer(kind, name, tmp_path, monkeypatch):
  if (kind, name) == ('flax', 'gru_mnist'):
    pytest.skip("Flax's GRU has fewer biases")
  monkeypatch.setattr(workloads, 'MOST', 8 << 20)
  check_same_network(kind, name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['flax', 'keras', 'torch'])
def test_benchmark_network_is_the_same_in_mixed_precision(kind, tmp_path, monkeypatch):
  monkeypatch.setattr(workloads, 'MOST', 8 << 20)
  check_same_network(kind, 'cnn_mnist', tmp_path, bfloat16=True)


def test_benchmark_reports_why_a_peer_cannot_run(tmp_path, monkeypatch):
  monkeypatch.setattr(workloads, 'MOST', 8 << 20)
  workloads.write('rnn_mnist', tmp_path)
  assert Process('nonsense', str(tmp_path), str(tmp_path)).failure == (
    "ModuleNotFoundError: No module named 'launch.benchmarks.with_nonsense'"
  )


def test_benchmark_text_is_sequential_and_images_are_shuffled():
  given = dict(
    name='',
    batch=2,
    optimizer='adam',
    learning_rate=0.1,
    clip_norm=0.0,
    layers=[],
    bfloat16=False,
    weights={},
  )
  text = contender.Task(
    task='next_char',
    inputs=np.arange(12).reshape(3, 2, 2),
    targets=np.arange(12).reshape(3, 2, 2),
    **given,
  )
  stream = text.batches(np.random.default_rng(0))
  assert [int(next(stream)[0][0, 0]) for _ in range(5)] == [0, 4, 8, 0, 4]
  images = contender.Task(task='classify', inputs=np.arange(7), targets=-np.arange(7), **given)
  stream = images.batches(np.random.default_rng(0))
  epochs = [[next(stream) for _ in range(3)] for _ in range(2)]
  assert all((inputs == -targets).all() for epoch in epochs for inputs, targets in epoch)
  assert all(
    len(np.unique(np.concatenate([inputs for inputs, _ in epoch]))) == 6 for epoch in epochs
  )
  assert str(epochs[0]) != str(epochs[1])


def row(ms, peers, ratio, spread):
  contenders = {
    kind: {'ms': ms * faster, 'times_as_fast': faster, 'peak_mbytes': 500}
    for kind, faster in peers.items()
  }
  contenders['jaxdl'] = {'ms': ms, 'peak_mbytes': 700}
  return {
    'contenders': contenders,
    'left_out': {'flax': 'another network'},
    'fastest_peer': min(peers, key=peers.get),
    'date': '2026-01-02',
    'starts': {'cold': 9.0, 'cached': 4.0, 'torch': None},
    'times_as_fast': ratio,
    'range': spread,
    'examples_per_second': 1234,
    'share_of_products': 0.5,
    'share_of_copies': 0.25,
  }


def test_benchmark_table_matches_hand_computation(tmp_path):
  figures = {
    '1 x cpu': {
      'limits': {
        'gflops': 100,
        'gbytes': 5.0,
        'main_cold_s': 9.0,
        'main_warm_s': 5.0,
        'date': '2026-01-01',
      },
      'a': row(10.0, {'torch': 2.0, 'keras_jax': 3.0}, 2.0, [1.5, 2.5]),
      'b': row(20.0, {'torch': 8.0}, 8.0, [7.0, 9.0]),
    }
  }
  page = tmp_path / 'speed.md'
  page.write_text('before\n<!-- speed -->\nstale\n<!-- /speed -->\nafter\n')
  speed_table.rewrite(page, figures)
  text = page.read_text()
  assert text.startswith('before\n<!-- speed -->\n| config, on 1 x cpu |')
  assert text.endswith('<!-- /speed -->\nafter\n')
  assert 'stale' not in text
  assert (
    '| `a` | 10.0 | 1,234 | – | 3.00 | 2.00 | – | – | **2.00** (1.50–2.50) | 50%, 25% | 700 (500) | 9.0, 4.0 (–) |'
    in text
  )
  assert '| geometric mean | | |  |  |  |  |  | **4.00** | | | |' in text  # √(2 · 8)
  assert 'Measured 2026-01-02' in text
  assert 'plain Flax in `a`: another network' in text
  page.write_text('no markers')
  with pytest.raises(SystemExit, match='put them where the table belongs'):
    speed_table.rewrite(page, figures)
