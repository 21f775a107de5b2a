"""TensorBoard output: the graph, gradients, filters and reconstructions over time, traces, and the
pages in a browser.
"""

import dataclasses
import json
import socket
import subprocess
import sys
import types
import urllib.request

import browser
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import run_child

from jaxdl.analysis import activations, filters
from jaxdl.devices import parallel
from jaxdl.monitoring import evaluations, graph, writers
from jaxdl.runs import checkpoint
from jaxdl.training import chunks, experiment, loop, profiling

MODELS = ('small', 'small_cnn', 'small_text', 'small_autoencoder')


class Board:
  """Stub writers that keep their values by kind and name."""

  board = True

  def __init__(self):
    self.kept = {}

  def __getattr__(self, kind):
    return lambda step, values: self.kept.setdefault(kind, {}).update(
      {(name, step): np.array(value) for name, value in values.items()}
    )


@pytest.mark.parametrize('kind', MODELS)
def test_board_graph_equals_the_layer_table(kind, request):
  pytest.importorskip('tensorboard')
  rows = experiment.build(request.getfixturevalue(kind), 'small').layers
  found = graph.of_layers(rows).node
  assert [node.name for node in found] == ['inputs', *(row['name'] for row in rows)]
  assert [(node.input[0], node.name) for node in found[1:]] == [
    (before.name, node.name) for before, node in zip(found, found[1:], strict=False)
  ]
  shapes = [[size.size for size in node.attr['_output_shapes'].list.shape[0].dim] for node in found]
  assert shapes == [[-1, *rows[0]['input']], *([-1, *row['output']] for row in rows)]
  assert [(node.op, node.attr['parameters'].i) for node in found[1:]] == [
    (row['type'], row['parameters']) for row in rows
  ]
  assert not any(node.device for node in found)


def written_gradients(config):
  """Returns (experiment, its first State on the devices, its gradients as written to TensorBoard,
  by name).
  """
  built = experiment.build(config, 'small')
  current, board = parallel.replicate(built.initial_state()), Board()
  show = evaluations._gradients(built)
  show(board, current)
  assert not board.kept, 'the first call only compiles'
  show(board, current)
  return built, current, {name: values for (name, _), values in board.kept['histograms'].items()}


def test_gradients_equal_jax_grad_of_the_loss(small):
  built, current, found = written_gradients(small)
  batch = evaluations._first(built.data.splits['train'])

  def loss(params):
    logits = built.recipe.model.apply({'params': params}, built.data.prepare(batch, None)['inputs'])
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch['label']).mean()

  expected = evaluations._named({'gradients': jax.jit(jax.grad(loss))(current.params)})
  assert {name: values.size for name, values in found.items()} == {
    name: values.size for name, values in expected.items()
  }
  for name, values in expected.items():
    np.testing.assert_allclose(found[name], values, atol=1e-6, err_msg=name)
    assert np.abs(values).max() > 1e-4


@pytest.mark.parametrize(
  'kind',
  [
    'small_cnn',
    pytest.param('small_text', marks=pytest.mark.slow),
    pytest.param('small_autoencoder', marks=pytest.mark.slow),
  ],
)
def test_gradients_equal_the_first_sgd_update(kind, request):
  """With augmentation, dropout, batch statistics and L2: SGD at a rate of 1 subtracts the
  gradients.
  """
  config = {
    **request.getfixturevalue(kind),
    'optimizer': dict(name='sgd', learning_rate=1.0),
    'l2': 1e-2,
  }
  built, current, found = written_gradients(config)
  split = built.data.splits['train']
  before = jax.device_get(current.params)
  after, _ = chunks.compile_steps(built)(
    current, split.arrays, parallel.split_feed(split.feed(0, 1), 1), np.int32(1)
  )
  updates = evaluations._named(
    {'gradients': jax.tree.map(lambda old, new: old - np.asarray(new), before, after.params)}
  )
  assert updates.keys() == found.keys()
  for name, values in updates.items():
    np.testing.assert_allclose(found[name], values, atol=2e-6, err_msg=name)


def later_state(current):
  """A State some steps later, with other parameters."""
  params = jax.tree.map(
    lambda leaf: leaf + jnp.linspace(0, 0.1, leaf.size).reshape(leaf.shape), current.params
  )
  return types.SimpleNamespace(
    step=jnp.int32(8), params=params, variables=lambda: {'params': params}
  )


def test_first_filters_are_drawn_at_each_evaluation(small_cnn):
  start, board = experiment.build(small_cnn, 'small').initial_state(), Board()
  for current in (start, later_state(start)):
    evaluations._filters(board, current, layer='conv1')
  first, second = board.kept['images'].values()
  assert list(board.kept['images']) == [('filters/conv1', 0), ('filters/conv1', 8)]
  assert first.shape == second.shape
  assert (first != second).any()
  picture = filters.grid(np.asarray(start.params['conv1']['kernel']), 'normalised')
  scale = first.shape[0] // picture.shape[0]
  np.testing.assert_array_equal(first[::scale, ::scale, 0], np.rint(picture[..., 0] * 255))


def test_first_feature_maps_are_drawn_at_each_evaluation(small_cnn):
  """The maps are those of the first validation image; each channel is scaled from its minimum to
  its maximum.
  """
  built, board = experiment.build(small_cnn, 'small'), Board()
  start = built.initial_state()
  show = evaluations.over_time(built)
  later = dataclasses.replace(start, step=jnp.int32(8), params=later_state(start).params)
  for current in (start, later):
    show(board, current)
  drawn = {
    step: picture
    for (name, step), picture in board.kept['images'].items()
    if name == 'feature_maps/conv1'
  }
  assert list(drawn) == [0, 8]
  image = jax.jit(built.data.prepare)(evaluations._first(built.data.splits['validation']))[
    'inputs'
  ][:1]
  for current in (start, later):
    maps = activations.activations(built.recipe.model, current.variables(), image, ['conv1'])[
      'conv1'
    ][0]
    (height, width, channels), picture = maps.shape, drawn[int(current.step)]
    scale = picture.shape[0] // (height + 2)
    assert picture.shape == ((height + 2) * scale, (channels * (width + 1) + 1) * scale, 3)
    for channel in range(channels):
      left = channel * (width + 1) + 1
      tile, values = picture[::scale, ::scale, 0][1:-1, left : left + width], maps[..., channel]
      np.testing.assert_allclose(tile, (values - values.min()) / np.ptp(values) * 255, atol=1)


@pytest.mark.slow
def test_autoencoder_images_are_the_same_at_each_evaluation(small_autoencoder):
  """Targets, inputs and reconstructions of the first eight validation images, with white frames."""
  built, board = experiment.build(small_autoencoder, 'small'), Board()
  batch = jax.jit(built.data.prepare)(evaluations._first(built.data.splits['validation']))
  show, start = (
    evaluations._reconstructions(built, lambda: batch, 'validation'),
    built.initial_state(),
  )
  for current in (start, later_state(start)):
    show(board, current)
  first, second = board.kept['images'].values()
  side = built.data.input_shape()[0] + 2
  scale = first.shape[0] // (3 * side)
  assert first.shape == (3 * side * scale, 8 * side * scale, 3)
  tiles = [
    picture[::scale, ::scale, 0].reshape(3, side, 8, side).swapaxes(1, 2)[:, :, 1:-1, 1:-1]
    for picture in (first, second)
  ]
  np.testing.assert_array_equal(tiles[0][:2], tiles[1][:2])
  assert (tiles[0][2] != tiles[1][2]).any()
  reconstructed = jax.jit(built.recipe.model.apply)(start.variables(), batch['inputs'])
  for row, values in zip(tiles[0], (batch['target'], batch['inputs'], reconstructed), strict=True):
    np.testing.assert_allclose(row, np.clip(values[:8, ..., 0], 0, 1) * 255, atol=0.6)


def test_silent_writers_compute_nothing(small_cnn):
  built = experiment.build(small_cnn, 'small')
  evaluations.over_time(built)(writers.SILENT, None)
  evaluations.at_end(built)(writers.SILENT, None)


def assert_equal_bit_for_bit(*workdirs):
  one, other = (checkpoint.load_model(workdir, 'last')[1] for workdir in workdirs)
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_trace_starts_after_the_steps_that_compile(tmp_path, monkeypatch):
  events = []
  monkeypatch.setattr(
    jax.profiler,
    'start_trace',
    lambda folder, **_: events.append(f'start {folder.relative_to(tmp_path)}'),
  )
  monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: events.append('stop'))

  def run(state, arrays, feed, count):
    events.append(count)
    return state, {}

  for first, called in (
    (0, (1, 3, 2, 2, 4)),
    (4, (4, 1)),
    (6, (2, 4)),
  ):  # a new run, and two resumed runs
    with profiling.profiled(run, tmp_path, first_step=first, steps=4) as call:
      for count in called:
        call(None, None, None, count)
    events.append('end')
  assert events == [
    1,
    3,
    'start tensorboard',
    2,
    2,
    'stop',
    4,
    'end',
    4,
    'start tensorboard',
    1,
    'stop',
    'end',
    2,
    'start tensorboard',
    4,
    'stop',
    'end',
  ]


@pytest.mark.slow
def test_trace_is_written_and_changes_no_bit(small, tmp_path):
  loop.train(experiment.build(small, 'small'), tmp_path / 'plain')
  loop.train(experiment.build({**small, 'profile': '2 steps'}, 'small'), tmp_path / 'traced')
  assert_equal_bit_for_bit(tmp_path / 'plain', tmp_path / 'traced')
  assert not (tmp_path / 'plain/tensorboard/plugins').exists()
  (trace_folder,) = (tmp_path / 'traced/tensorboard/plugins/profile').iterdir()
  assert any(
    file.name.endswith('.xplane.pb') and file.stat().st_size > 1000
    for file in trace_folder.iterdir()
  )


def test_trace_longer_than_the_run_is_refused(small):
  message = (
    r"^config.profile='5 steps' traces the second 5 steps, but the run has 8: make it shorter$"
  )
  with pytest.raises(ValueError, match=message):
    experiment.build({**small, 'profile': '5 steps'}, 'small')


@pytest.mark.slow
@pytest.mark.parametrize('kind', MODELS)
def test_monitoring_changes_no_bit(kind, request, tmp_path):
  config = request.getfixturevalue(kind)
  built = experiment.build(config, 'small')
  loop.train(built, tmp_path / 'plain')
  loop.train(
    built,
    tmp_path / 'monitored',
    at_evaluation=evaluations.over_time(built),
    at_end=evaluations.at_end(built),
  )
  assert_equal_bit_for_bit(tmp_path / 'plain', tmp_path / 'monitored')


@pytest.fixture
def served(small_cnn, config_file, tmp_path):
  """Address of a TensorBoard server for a sweep of two rates, one of whose runs was analysed."""
  pytest.importorskip('tensorboard')
  config_file(small_cnn, 'base')
  sweep = dict(
    base='base.py',
    seeds=[0],
    axes=[
      dict(
        name='rate',
        choices=[dict(name='fast', optimizer=dict(learning_rate=2e-2)), dict(name='slow')],
      )
    ],
  )
  runs = tmp_path / 'runs'
  for command in (
    ['sweep', f'--config={config_file(sweep, "sweep")}', f'--workdir={runs}'],
    ['analyze', f'--workdir={runs / "fast/seed0"}', '--only=embedding'],
  ):
    done = run_child('-m', f'jaxdl.{command[0]}', *command[1:])
    assert done.returncode == 0, done.stderr
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  with (tmp_path / 'tensorboard.log').open('w') as log:
    process = subprocess.Popen(
      [sys.executable, '-m', 'tensorboard.main', '--logdir', runs, '--port', str(port)], stderr=log
    )
  yield f'http://localhost:{port}'
  process.terminate()
  process.wait()


@pytest.mark.slow
def test_tensorboard_shows_a_sweep_without_browser_errors(served, tmp_path):
  run = 'fast/seed0/tensorboard'
  tabs = {
    'scalars': ['accuracy', 'loss', f'{run}/validation'],
    'images': ['filters/conv1', 'step 8'],
    'histograms': ['conv1/kernel', 'gradients'],
    'distributions': ['conv1/kernel', 'gradients'],
    'graphs': ['inputs', 'conv1', 'max_pool1', 'dense1'],
    'hparams': ['sweep.rate', 'fast', 'slow', 'best/test_accuracy'],
    'text': ['config', '"name": "classify"'],
    'projector': ['1 tensor found', 'features 50x196', 'class 9 colors', 'Points: 50'],
  }
  with browser.opened(tmp_path / 'profile') as page:
    for tab, texts in tabs.items():
      page.visit(f'{served}/#{tab}')
      page.wait_for(*texts)
      page.screenshot(tmp_path / f'{tab}.png')
    assert page.console == []
  with urllib.request.urlopen(
    f'{served}/data/plugin/projector/sprite_image?run={run}&name=features'
  ) as sprite:
    assert (
      sprite.read() == (tmp_path / 'runs/fast/seed0/tensorboard/projector/sprite.png').read_bytes()
    )
  sessions = post_json(
    f'{served}/data/plugin/hparams/session_groups',
    {
      'experimentName': '',
      'startIndex': 0,
      'sliceSize': 10,
      'allowedStatuses': ['STATUS_UNKNOWN', 'STATUS_SUCCESS'],
      'colParams': [],
    },
  )['sessionGroups']
  summaries = {
    name: json.loads((tmp_path / 'runs' / name / 'seed0/summary.json').read_text())
    for name in ('fast', 'slow')
  }
  found = {
    group['hparams']['sweep.rate']: {
      metric['name']['tag']: metric['value']
      for metric in group['metricValues']
      if not metric['name']['group']
    }
    for group in sessions
  }
  assert found.keys() == summaries.keys()
  for name, summary in summaries.items():
    assert found[name]['best/test_accuracy'] == pytest.approx(summary['test_accuracy'], abs=1e-6)
    assert found[name]['best/test_loss'] == pytest.approx(summary['test_loss'], abs=1e-5)


def post_json(address, data):
  """Posts JSON data; returns the JSON response."""
  request = urllib.request.Request(
    address, json.dumps(data).encode(), {'Content-Type': 'application/json'}
  )
  return json.load(urllib.request.urlopen(request))
