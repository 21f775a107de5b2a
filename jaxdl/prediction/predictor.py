"""Computes the outputs of a network for batches of images with one compiled program."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int32, Shaped

from jaxdl.analysis import units
from jaxdl.data import recorded
from jaxdl.data.photographs import stream as photographs
from jaxdl.prediction.stream import Batch
from jaxdl.step import tasks

Sums = Mapping[str, np.ndarray | np.float32]  # name → sum over the counted examples


class Predictor:
  """Computes the outputs of a network in batches of one size, with one compiled program.

  The last batch is padded. With the batch size of the run's evaluation, the outputs equal those of
  the evaluation bit for bit.

  Args:
    config: the run's config, including the facts about its data ('dataset').
    model: linen module.
    variables: its variables.
    distort: whether to apply the config's distortion, as evaluation does.
    batch_size: examples per batch; None for the batch size of the run's evaluation.
    examples: number of measured examples. If it is missing, metrics that need the scores of all
      examples are left out.

  Attributes:
    batch_size: examples per batch.
    capacity: batches per feed in evaluation; None if one feed contains all batches.
  """

  def __init__(
    self,
    config: dict[str, Any],
    model: nn.Module,
    variables: units.Variables,
    *,
    distort: bool = False,
    batch_size: int | None = None,
    examples: int = 0,
  ):
    self.batch_size = batch_size or recorded.setting(config, 'evaluation_batch_size')
    self._model = model
    self._variables = jax.device_put(variables)
    self.capacity = None
    if config['data']['name'] == 'image_folder':
      size, _, channels = recorded.image_shape(config)
      self.capacity = photographs.capacity(self.batch_size, size, channels)
    self._prepare = recorded.preparation(config, distort=distort)
    self._example = recorded.example(config)
    self._task = _task(config, examples)
    kept = config['dataset']
    self._is_masked = kept.get('masked', False)
    # Targets of a regression and several labels of an example are rows; classes are numbers.
    self._column = 'value' if kept.get('targets') else 'label'
    self._width = None
    if kept.get('targets') or config['task']['name'] == 'multi_label':
      self._width = len(kept.get('targets', {}).get('names', kept['classes']))
    self._needs_labels = config['task']['name'] != 'reconstruct'
    self._run = jax.jit(self._outputs_and_sums)
    self._layers: dict[str, Callable] = {}

  def _outputs_and_sums(self, variables, batch):
    """Returns ({'outputs', 'inputs' and, if reconstructed, 'target', 'errors'}, sums)."""
    batch = self._prepare(batch)
    outputs, _ = self._model.apply(variables, batch['inputs'], mutable=['carry'])
    found = {'outputs': outputs, 'inputs': batch['inputs']}
    if 'target_scale' not in batch and outputs.shape == batch['target'].shape:
      found['target'] = batch['target']
      axes = tuple(range(1, outputs.ndim))
      found['errors'] = jnp.square(outputs - batch['target']).mean(axes)
    return found, self._task(outputs, batch)

  def start(
    self,
    images: Shaped[np.ndarray, 'n ...'],
    labels: Int32[np.ndarray, ' n'] | Float32[np.ndarray, 'n D'],
    index: Int32[np.ndarray, ' n'],
  ) -> tuple[Any, Any]:
    """Starts the computation of a batch without waiting for the result.

    Args:
      images: at most `batch_size` images of the network's size, or vectors or sequences as stored.
      labels: indices of their classes, -1 if unknown; for a regression or several labels per
        example, rows, NaN if unknown.
      index: positions of the images, on which a distortion depends.

    Returns:
      (results, sums), arrays on the device. The results are 'outputs' and 'inputs', and for a
      reconstruction also 'target' and 'errors', of shape [batch_size, …]. The sums are over the
      images, or over the labelled images for a classifier.
    """
    return self._run(self._variables, self._padded(images, labels, index))

  def computed(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Any]]:
    """Computes batches. Each result is fetched after the next batch has been started.

    Args:
      batches: batches of at most `batch_size` images.

    Yields:
      (batch, result of `start` as NumPy arrays).
    """
    before = None
    for batch in batches:
      arrays = self.start(batch.images, batch.labels, batch.index)
      if before is not None:
        yield before[0], jax.device_get(before[1])
      before = batch, arrays
    if before is not None:
      yield before[0], jax.device_get(before[1])

  def width(self) -> int:
    """Returns the size of the last axis of the outputs, such as the number of classes."""
    nothing = np.zeros(0, np.int32)
    batch = self._padded(np.zeros((0, *self._example.shape), self._example.dtype), nothing, nothing)
    found, _ = jax.eval_shape(self._outputs_and_sums, self._variables, batch)
    return found['outputs'].shape[-1]

  def _padded(self, images, labels, index):
    column, shape, dtype = self._example
    target, of_target, known = self._targets(labels)
    batch = {
      column: np.zeros((self.batch_size, *shape), dtype),
      target: np.zeros((self.batch_size, *of_target.shape[1:]), of_target.dtype),
      'index': np.zeros(self.batch_size, np.int32),
      'mask': np.zeros(self.batch_size, np.float32),
    }
    real = len(images)
    batch[column][:real], batch['index'][:real] = images, index
    if self._is_masked and real:
      batch[column][real:] = images[0]  # a sequence without steps may have no finite outputs
    batch[target][:real] = of_target
    batch['mask'][:real] = known if self._needs_labels else 1
    return batch

  def _targets(self, labels):
    """(name of the column, its values, whether each is known) of labels or targets."""
    if self._width is None:
      return 'label', np.maximum(labels, 0), labels >= 0
    if labels.ndim == 1:  # none is known
      labels = np.full((len(labels), self._width), np.nan, np.float32)
    return self._column, np.nan_to_num(labels), ~np.isnan(labels).any(1)

  def inputs(
    self, images: Shaped[np.ndarray, 'n ...'], index: Int32[np.ndarray, ' n']
  ) -> Float[jax.Array, 'n ...']:
    """Converts images to inputs of the network."""
    return self._prepare({self._example.column: images, 'index': index})['inputs']

  def layer(
    self, name: str, images: Shaped[np.ndarray, 'n ...'], index: Int32[np.ndarray, ' n']
  ) -> Float[np.ndarray, 'n ...']:
    """Returns the output of a layer after its activation, for at most `batch_size` images.

    Raises:
      ValueError: the layer is unknown; the message lists the layers.
    """
    if name not in self._layers:
      example = np.zeros((1, *self._example.shape), self._example.dtype)
      inputs = self.inputs(example, np.zeros(1, np.int32))
      units.check_layers(self._model, self._variables, inputs, [name])

      def outputs(variables, batch):
        inputs = self._prepare(batch)['inputs']
        return units.outputs(self._model, variables, inputs, [name])[1][name]

      self._layers[name] = jax.jit(outputs)
    labels = np.full(len(images), -1, np.int32)
    found = self._layers[name](self._variables, self._padded(images, labels, index))
    return np.asarray(found)[: len(images)]


def needs_examples(config: dict[str, Any]) -> bool:
  """Returns whether a metric of a run depends on the number of measured examples."""
  return any(metric in tasks.NEED_SCORES for metric in _further_metrics(config))


def _further_metrics(config):
  classes = len(config['dataset']['classes'])
  return tasks.further_metrics(config['task']['name'], config.get('metrics', ()), classes)


def _task(config, examples):
  """The task that measures inputs whose labels or targets are known."""
  further = _further_metrics(config)
  known = [metric for metric in further if examples or metric not in tasks.NEED_SCORES]
  return tasks.measuring(tasks.build(config['task'])[1], known, examples)


class Total:
  """Adds the sums of batches like evaluation, with bit-for-bit equal metrics.

  The batches of one feed are added in float32, and the feeds in float64.

  Args:
    capacity: batches per feed; None if one feed contains all batches.
  """

  def __init__(self, capacity: int | None = None):
    self._capacity = capacity
    self._batches = 0
    self._feeds: list[Sums] = []

  def add(self, sums: Sums) -> None:
    """Adds the sums of the next batch."""
    if not self._feeds or (self._capacity and self._batches % self._capacity == 0):
      self._feeds.append({name: np.float32(0) + value for name, value in sums.items()})
    else:
      last = self._feeds[-1]
      self._feeds[-1] = {name: last[name] + value for name, value in sums.items()}
    self._batches += 1

  @property
  def count(self) -> int:
    """Number of counted examples."""
    return round(sum(float(feed['count']) for feed in self._feeds))

  def metrics(self) -> dict[str, float]:
    """Returns metrics named as in a summary, without the split; {} without examples."""
    if not self.count:
      return {}
    sums = {
      name: np.sum([feed[name] for feed in self._feeds], axis=0, dtype=np.float64)
      for name in self._feeds[0]
    }
    return tasks.metrics(sums)
