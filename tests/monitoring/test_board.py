"""What TensorBoard is given: the graph, gradients, filters and reconstructions over time, traces,
and all of it in a browser.
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
  """Writers that keep what they are given, by kind and name."""

  board = True

  def __init__(self):
    self.kept = {}

  def __getattr__(self, kind):
    return lambda step, values: self.kept.setdefault(kind, {}).update(
      {(name, step): np.array(value) for name, value in values.items()}
    )


@pytest.mark.parametrize('kind', MODELS)
def test_the_graph_is_the_layer_table(kind, request):
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


def watched(config):
  """(Experiment, its first State on the devices, its gradients as TensorBoard is given them, by
  name).
  """
  built = experiment.build(config, 'small')
  current, board = parallel.replicate(built.initial_state()), Board()
  show = evaluations._gradients(built)
  show(board, current)
  assert not board.kept, 'the first time they are compiled'
  show(board, current)
  return built, current, {name: values for (name, _), values in board.kept['histograms'].items()}


def test_gradients_are_those_of_the_loss_by_jax_grad(small):
  built, current, found = watched(small)
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
def test_gradients_are_what_the_first_step_takes_off(kind, request):
  """With augmentation, dropout, batch statistics and L2: plain descent at a rate of 1 moves by
  them.
  """
  config = {
    **request.getfixturevalue(kind),
    'optimizer': dict(name='sgd', learning_rate=1.0),
    'l2': 1e-2,
  }
  built, current, found = watched(config)
  split = built.data.splits['train']
  before = jax.device_get(current.params)
  after, _ = chunks.compile_steps(built)(
    current, split.arrays, parallel.split_feed(split.feed(0, 1), 1), np.int32(1)
  )
  moved = evaluations._named(
    {'gradients': jax.tree.map(lambda old, new: old - np.asarray(new), before, after.params)}
  )
  assert moved.keys() == found.keys()
  for name, values in moved.items():
    np.testing.assert_allclose(found[name], values, atol=2e-6, err_msg=name)


def moved(current):
  """A State some steps later, with other parameters."""
  params = jax.tree.map(
    lambda leaf: leaf + jnp.linspace(0, 0.1, leaf.size).reshape(leaf.shape), current.params
  )
  return types.SimpleNamespace(
    step=jnp.int32(8), params=params, variables=lambda: {'params': params}
  )


def test_the_first_filters_are_drawn_as_they_change(small_cnn):
  start, board = experiment.build(small_cnn, 'small').initial_state(), Board()
  for current in (start, moved(start)):
    evaluations._filters(board, current, layer='conv1')
  first, second = board.kept['images'].values()
  assert list(board.kept['images']) == [('filters/conv1', 0), ('filters/conv1', 8)]
  assert first.shape == second.shape
  assert (first != second).any()
  picture = filters.grid(np.asarray(start.params['conv1']['kernel']), 'normalised')
  times = first.shape[0] // picture.shape[0]
  np.testing.assert_array_equal(first[::times, ::times, 0], np.rint(picture[..., 0] * 255))


def test_feature_maps_of_the_first_convolution_are_drawn_as_they_change(small_cnn):
  """Those of the first validation image, each channel from its least to its greatest value."""
  built, board = experiment.build(small_cnn, 'small'), Board()
  start = built.initial_state()
  watch = evaluations.over_time(built)
  other = dataclasses.replace(start, step=jnp.int32(8), params=moved(start).params)
  for current in (start, other):
    watch(board, current)
  drawn = {
    step: picture
    for (name, step), picture in board.kept['images'].items()
    if name == 'feature_maps/conv1'
  }
  assert list(drawn) == [0, 8]
  image = jax.jit(built.data.prepare)(evaluations._first(built.data.splits['validation']))[
    'inputs'
  ][:1]
  for current in (start, other):
    maps = activations.activations(built.recipe.model, current.variables(), image, ['conv1'])[
      'conv1'
    ][0]
    (height, width, channels), picture = maps.shape, drawn[int(current.step)]
    times = picture.shape[0] // (height + 2)
    assert picture.shape == ((height + 2) * times, (channels * (width + 1) + 1) * times, 3)
    for channel in range(channels):
      left = channel * (width + 1) + 1
      tile, values = picture[::times, ::times, 0][1:-1, left : left + width], maps[..., channel]
      np.testing.assert_allclose(tile, (values - values.min()) / np.ptp(values) * 255, atol=1)


def test_an_autoencoder_is_watched_by_the_same_images(small_autoencoder):
  """Targets, inputs and reconstructions of the first eight validation images, in white frames."""
  built, board = experiment.build(small_autoencoder, 'small'), Board()
  batch = jax.jit(built.data.prepare)(evaluations._first(built.data.splits['validation']))
  show, start = (
    evaluations._reconstructions(built, lambda: batch, 'validation'),
    built.initial_state(),
  )
  for current in (start, moved(start)):
    show(board, current)
  first, second = board.kept['images'].values()
  side = built.data.input_shape()[0] + 2
  times = first.shape[0] // (3 * side)
  assert first.shape == (3 * side * times, 8 * side * times, 3)
  tiles = [
    picture[::times, ::times, 0].reshape(3, side, 8, side).swapaxes(1, 2)[:, :, 1:-1, 1:-1]
    for picture in (first, second)
  ]
  np.testing.assert_array_equal(tiles[0][:2], tiles[1][:2])
  assert (tiles[0][2] != tiles[1][2]).any()
  made = jax.jit(built.recipe.model.apply)(start.variables(), batch['inputs'])
  for row, values in zip(tiles[0], (batch['target'], batch['inputs'], made), strict=True):
    np.testing.assert_allclose(row, np.clip(values[:8, ..., 0], 0, 1) * 255, atol=0.6)


def test_nothing_is_made_where_nothing_is_written(small_cnn):
  built = experiment.build(small_cnn, 'small')
  evaluations.over_time(built)(writers.SILENT, None)
  evaluations.at_end(built)(writers.SILENT, None)


def equal_to_the_bit(*workdirs):
  one, other = (checkpoint.load_model(workdir, 'last')[1] for workdir in workdirs)
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_traced_are_the_second_steps_after_what_compiles(tmp_path, monkeypatch):
  said = []
  monkeypatch.setattr(
    jax.profiler,
    'start_trace',
    lambda folder, **_: said.append(f'start {folder.relative_to(tmp_path)}'),
  )
  monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: said.append('stop'))

  def run(state, arrays, feed, count):
    said.append(count)
    return state, {}

  for first, called in (
    (0, (1, 3, 2, 2, 4)),
    (4, (4, 1)),
    (6, (2, 4)),
  ):  # of a new run, of two that go on
    with profiling.profiled(run, tmp_path, first_step=first, steps=4) as call:
      for count in called:
        call(None, None, None, count)
    said.append('end')
  assert said == [
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
def test_a_trace_changes_no_bit_and_is_left_in_the_folder(small, tmp_path):
  loop.train(experiment.build(small, 'small'), tmp_path / 'plain')
  loop.train(experiment.build({**small, 'profile': '2 steps'}, 'small'), tmp_path / 'traced')
  equal_to_the_bit(tmp_path / 'plain', tmp_path / 'traced')
  assert not (tmp_path / 'plain/tensorboard/plugins').exists()
  (left,) = (tmp_path / 'traced/tensorboard/plugins/profile').iterdir()
  assert any(
    file.name.endswith('.xplane.pb') and file.stat().st_size > 1000 for file in left.iterdir()
  )


def test_a_trace_that_would_never_end_is_refused(small):
  message = (
    r"^config.profile='5 steps' traces the second 5 steps, but the run has 8: make it shorter$"
  )
  with pytest.raises(ValueError, match=message):
    experiment.build({**small, 'profile': '5 steps'}, 'small')


@pytest.mark.slow
@pytest.mark.parametrize('kind', MODELS)
def test_watching_changes_no_bit(kind, request, tmp_path):
  config = request.getfixturevalue(kind)
  built = experiment.build(config, 'small')
  loop.train(built, tmp_path / 'plain')
  loop.train(
    built,
    tmp_path / 'seen',
    at_evaluation=evaluations.over_time(built),
    at_end=evaluations.at_end(built),
  )
  equal_to_the_bit(tmp_path / 'plain', tmp_path / 'seen')


@pytest.fixture
def served(small_cnn, config_file, tmp_path):
  """Address of a TensorBoard over a sweep of two rates, one of whose runs was analysed."""
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
def test_tensorboard_shows_a_sweep_in_a_browser_without_an_error(served, tmp_path):
  run = 'fast/seed0/tensorboard'
  tabs = {
    'scalars': ['accuracy', 'loss', f'{run}/validation'],
    'images': ['filters/conv1', 'step 8'],
    'histograms': ['conv1/kernel', 'gradients'],
    'distributions': ['conv1/kernel', 'gradients'],
    'graphs': ['inputs', 'conv1', 'max_pool1', 'dense1'],
    'hparams': ['sweep.rate', 'fast', 'slow', 'best/test_accuracy'],
    'text': ['config', '"task": "classify"'],
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
  sessions = asked(
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


def asked(address, data):
  """The JSON that TensorBoard answers."""
  request = urllib.request.Request(
    address, json.dumps(data).encode(), {'Content-Type': 'application/json'}
  )
  return json.load(urllib.request.urlopen(request))
