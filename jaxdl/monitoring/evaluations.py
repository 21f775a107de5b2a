"""Output at evaluations: weights, and for TensorBoard gradients, filters, maps and outputs."""

import concurrent.futures
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from jaxdl import figures
from jaxdl.analysis import filters, units, weights
from jaxdl.data import characters
from jaxdl.devices import parallel
from jaxdl.models import TEXT_MODELS
from jaxdl.models.sampling import generate
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.monitoring.writers import Writers
from jaxdl.step import steps, tasks
from jaxdl.step.state import State

SHOWN = 8  # examples whose reconstructions are shown
WIDTH = 320  # approximate pixels of the longer side of an enlarged picture of small tiles
LARGEST = 4096  # pixels of a side; larger pictures are cropped
WRITTEN = 500  # characters of a generated text
TEMPERATURES = (0.0, 0.8)  # of generated texts


@functools.cache
def _compiling():
  """A single thread that compiles, so that equal runs reuse the cache entry of the first."""
  return concurrent.futures.ThreadPoolExecutor(1)


def over_time(experiment: Any) -> Callable[[Writers, State], None]:
  """Builds the function that writes the side outputs of each evaluation.

  It writes the quantiles of the evaluated weights, and the following for TensorBoard:

  - histograms of the trained parameters
  - histograms of the gradients of the first training batch, as in `steps.gradients_of_batch`, from
    the second evaluation on; not with several processes, because only one of them writes
  - filters of the first convolution, and its feature maps of one example
  - for an autoencoder, reconstructions of some examples

  Feature maps and reconstructions are those of the evaluated network. Their examples are the first
  ones of the validation split, or of the test split if there is no validation split.

  An output that fails prints a warning and is skipped from then on; the others are written.

  Args:
    experiment: training.experiment.Experiment.

  Returns:
    Function (Writers, State on the devices) → None.
  """
  shown = {'histograms of the weights': _weights}
  if jax.process_count() == 1:
    shown['histograms of the gradients'] = _gradients(experiment)
  convolutions = [
    row['name'] for row in experiment.layers if row['type'] == 'Conv' and len(row['input']) == 3
  ]
  splits = [split for split in ('validation', 'test') if split in experiment.data.splits]

  @functools.cache
  def first():
    prepared = jax.jit(experiment.data.prepare)(_first(experiment.data.splits[splits[0]]))
    return jax.device_get(prepared)

  if convolutions:
    shown['pictures of the filters'] = functools.partial(_filters, layer=convolutions[0])
  if convolutions and splits:
    shown['feature maps'] = _feature_maps(experiment, first, convolutions[0])
  if experiment.evaluation_task is tasks.reconstruct and splits:
    shown['pictures of reconstructions'] = _reconstructions(experiment, first, splits[0])
  outputs = SideOutputs(patience=2)  # the writers have limits of their own

  def at_evaluation(writers, current):
    if writers.record:
      outputs.attempt(
        'quantiles of the weights',
        lambda: writers.weights(int(current.step), weights.quantiles(current.variables())),
      )
    if writers.board:
      for name, show in shown.items():
        outputs.attempt(name, show, writers, current)

  return at_evaluation


def at_end(experiment: Any) -> Callable[[Writers, State], None]:
  """Builds the function that writes the side outputs of the best checkpoint.

  For a language model, these are generated texts that start after a line break.

  Args:
    experiment: training.experiment.Experiment.

  Returns:
    Function (Writers, State) → None.
  """

  def write(writers, current):
    if writers.board and experiment.config['model']['name'] in TEXT_MODELS:
      vocabulary = experiment.data.classes
      prime = characters.encode('\n' if '\n' in vocabulary else vocabulary[0], vocabulary)
      for temperature in TEMPERATURES:
        (added,) = generate(
          experiment.recipe.model,
          current.variables(),
          [prime],
          length=WRITTEN,
          temperature=temperature,
        )
        text = characters.decode(added, vocabulary)
        writers.texts(int(current.step), {f'generated/temperature_{temperature:g}': text})

  return write


def _weights(writers, current):
  writers.histograms(int(current.step), _named(current.params))


def _gradients(experiment):
  """Builds the function that writes histograms of gradients.

  At the first evaluation, it starts to compile them in another thread while training continues. It
  writes from the second evaluation on.
  """
  data = experiment.data
  compiled, batch = None, None

  def show(writers, current):
    nonlocal compiled, batch
    if compiled is not None:
      writers.histograms(
        int(current.step), _named({'gradients': compiled.result()(current, {}, batch)})
      )
    elif int(current.step) < experiment.steps:
      first = _first(data.splits['train'])
      batch = parallel.split_feed(
        {name: np.asarray(values)[None] for name, values in first.items()}, 1
      )
      run = parallel.over_devices(steps.gradients_of_batch(experiment.recipe, prepare=data.prepare))
      arguments = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding),
        (current, {}, batch),
      )
      compiled = _compiling().submit(lambda: run.lower(*arguments).compile())

  return show


def _filters(writers, current, *, layer):
  """Writes the filters of the first convolution, each scaled from its minimum to its maximum."""
  kernels = jax.device_get(current.params[layer]['kernel'])
  writers.images(
    int(current.step), {f'filters/{layer}': _enlarged(filters.grid(kernels, 'normalised'))}
  )


def _feature_maps(experiment, batch, layer):
  """Builds the function that writes feature maps of the first example.

  Each channel of the first convolution is scaled from its minimum to its maximum.
  """

  @jax.jit
  def run(variables, inputs):
    _, outputs = units.outputs(experiment.recipe.model, variables, inputs, [layer])
    return outputs[layer]

  def show(writers, current):
    maps = jax.device_get(run(current.variables(), batch()['inputs'][:1]))[0]  # [H, W, C]
    writers.images(
      int(current.step),
      {f'feature_maps/{layer}': _enlarged(filters.grid(maps[:, :, None], 'normalised'))},
    )

  return show


def _reconstructions(experiment, batch, split):
  """Builds the function that writes rows of targets, inputs (if they differ) and outputs."""
  rebuild = jax.jit(experiment.recipe.model.apply)
  mean, deviation = (
    np.asarray(experiment.data.scaling[key], np.float32) for key in ('mean', 'deviation')
  )

  def show(writers, current):
    inputs, targets = (batch()[name][:SHOWN] for name in ('inputs', 'target'))
    rows = [targets]
    if not np.array_equal(inputs, targets):
      rows.append(inputs)
    rows.append(rebuild(current.variables(), inputs))
    # [R, N, H, W, C], with a white frame each
    tiles = np.pad(
      np.clip(np.stack(rows) * deviation + mean, 0, 1),
      ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)),
      constant_values=1,
    )
    # [R · H, N · W, C]
    picture = tiles.swapaxes(1, 2).reshape(len(rows) * tiles.shape[2], -1, tiles.shape[-1])
    writers.images(int(current.step), {f'reconstructions/{split}': _enlarged(picture)})

  return show


def _first(split):
  """The first batch of a split, in NumPy or JAX arrays; copies no other examples to a device."""
  return split.fetch(split.arrays, {name: values[0] for name, values in split.feed(0, 1).items()})


def _named(tree):
  """{'conv1': {'kernel': a}} → {'conv1/kernel': a}."""
  return traverse_util.flatten_dict(tree, sep='/')


def _enlarged(picture):
  """Enlarges a small picture [H, W, C] in 0..1 n times, to pixels [H · n, W · n, 3] uint8."""
  picture = figures.visible(picture)[:LARGEST, :LARGEST]
  times = max(1, WIDTH // max(picture.shape[:2]))
  pixels = np.rint(picture * 255).astype(np.uint8).repeat(times, 0).repeat(times, 1)
  return np.broadcast_to(pixels, (*pixels.shape[:2], 3))
