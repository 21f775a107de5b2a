"""What is kept of a network while it learns: its weights, and for TensorBoard gradients, filters,
maps, what it makes.
"""

import concurrent.futures
import functools

import jax
import numpy as np
from flax import traverse_util

from jaxdl import figures
from jaxdl.analysis import filters, units, weights
from jaxdl.data import characters
from jaxdl.devices import parallel
from jaxdl.models.sampling import generate
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.step import steps, tasks

SHOWN = 8  # examples that an autoencoder is watched by
WIDTH = 320  # pixels of the longer side that a picture of small tiles is enlarged to, about
LARGEST = 4096  # pixels of a side, beyond which a picture is cut off
COMPILING = concurrent.futures.ThreadPoolExecutor(
  1
)  # one thread: of runs that are alike the first fills the cache for all
WRITTEN, TEMPERATURES = 500, (0.0, 0.8)  # characters of a text


def over_time(experiment):
  """What is kept at each evaluation: the spread of the evaluated weights, and the rest where
  TensorBoard files are written.

  The histograms are of the parameters that are trained; of the gradients as
  `steps.gradients_of_batch` has them, of the first training batch, from the second evaluation on
  (none where several processes train, for only one of them writes). Feature maps and
  reconstructions are those of the evaluated network, of the first examples of the validation split,
  or of the test split.

  Args:
    experiment: Experiment.

  One that fails is named in a warning and left out from then on; the others are written.

  Returns:
    function (Writers, State on the devices) → None.
  """
  shown = {'histograms of the weights': _weights}
  if jax.process_count() == 1:
    shown['histograms of the gradients'] = _gradients(experiment)
  convolutions = [row['name'] for row in experiment.layers if row['type'] == 'Conv']
  splits = [split for split in ('validation', 'test') if split in experiment.data.splits]
  first = functools.cache(
    lambda: jax.device_get(
      jax.jit(experiment.data.prepare)(_first(experiment.data.splits[splits[0]]))
    )
  )
  if convolutions:
    shown['pictures of the filters'] = functools.partial(_filters, layer=convolutions[0])
  if convolutions and splits:
    shown['feature maps'] = _feature_maps(experiment, first, convolutions[0])
  if experiment.evaluation_task is tasks.reconstruct and splits:
    shown['pictures of reconstructions'] = _reconstructions(experiment, first, splits[0])
  outputs = SideOutputs()

  def at_evaluation(writers, current):
    if writers.record:
      outputs.attempt(
        'weights.jsonl',
        lambda: writers.weights(int(current.step), weights.quantiles(current.variables())),
      )
    if writers.board:
      for name, show in shown.items():
        outputs.attempt(name, show, writers, current)

  return at_evaluation


def at_end(experiment):
  """What is shown of the best checkpoint: the texts that a language model writes after a line
  break.

  Args:
    experiment: Experiment.

  Returns:
    function (Writers, State) → None.
  """

  def write(writers, current):
    if writers.board and experiment.config['model']['name'] == 'language_model':
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
  """From the second evaluation on: from the first, training goes on while another thread compiles
  them.
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
      batch = parallel.split_feed(
        {name: np.asarray(values)[None] for name, values in _first(data.splits['train']).items()}, 1
      )
      run = parallel.over_devices(steps.gradients_of_batch(experiment.recipe, prepare=data.prepare))
      arguments = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding),
        (current, {}, batch),
      )
      compiled = COMPILING.submit(lambda: run.lower(*arguments).compile())

  return show


def _filters(writers, current, *, layer):
  """Each filter of the first convolution from its least to its greatest weight."""
  kernels = jax.device_get(current.params[layer]['kernel'])
  writers.images(
    int(current.step), {f'filters/{layer}': _enlarged(filters.grid(kernels, 'normalised'))}
  )


def _feature_maps(experiment, batch, layer):
  """What each channel of the first convolution makes of the first example, from its least to its
  greatest value.
  """
  run = jax.jit(
    lambda variables, inputs: units.outputs(experiment.recipe.model, variables, inputs, [layer])[1][
      layer
    ]
  )

  def show(writers, current):
    maps = jax.device_get(run(current.variables(), batch()['inputs'][:1]))[0]  # [H, W, C]
    writers.images(
      int(current.step),
      {f'feature_maps/{layer}': _enlarged(filters.grid(maps[:, :, None], 'normalised'))},
    )

  return show


def _reconstructions(experiment, batch, split):
  """The targets, the inputs where these are others, and what the network makes of them, row by row."""
  rebuild = jax.jit(experiment.recipe.model.apply)
  mean, deviation = (
    np.asarray(experiment.data.scaling[key], np.float32) for key in ('mean', 'deviation')
  )

  def show(writers, current):
    inputs, targets = (batch()[name][:SHOWN] for name in ('inputs', 'target'))
    rows = [
      targets,
      *([] if np.array_equal(inputs, targets) else [inputs]),
      rebuild(current.variables(), inputs),
    ]
    tiles = np.pad(
      np.clip(np.stack(rows) * deviation + mean, 0, 1),
      ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)),
      constant_values=1,
    )  # [R, N, H, W, C], each in a white frame
    picture = tiles.swapaxes(1, 2).reshape(
      len(rows) * tiles.shape[2], -1, tiles.shape[-1]
    )  # [R · H, N · W, C]
    writers.images(int(current.step), {f'reconstructions/{split}': _enlarged(picture)})

  return show


def _first(split):
  """The first batch of a split, as NumPy or JAX arrays; only its examples are copied to a device."""
  return split.fetch(split.arrays, {name: values[0] for name, values in split.feed(0, 1).items()})


def _named(tree):
  """{'conv1': {'kernel': a}} → {'conv1/kernel': a}."""
  return traverse_util.flatten_dict(tree, sep='/')


def _enlarged(picture):
  """A small picture [H, W, C] in 0..1 as pixels [H · n, W · n, 3] uint8."""
  picture = figures.visible(picture)[:LARGEST, :LARGEST]
  times = max(1, WIDTH // max(picture.shape[:2]))
  pixels = np.rint(picture * 255).astype(np.uint8).repeat(times, 0).repeat(times, 1)
  return np.broadcast_to(pixels, (*pixels.shape[:2], 3))
