"""Loads a run and applies its network to new inputs: `jaxdl.load`."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Shaped

from jaxdl import stores
from jaxdl.data import own_images, recorded
from jaxdl.data.tables.reading import Frame
from jaxdl.exports import of_run
from jaxdl.prediction import inputs, own_arrays, own_tables, results, stream, texts
from jaxdl.prediction.predictor import Predictor, Total, needs_examples
from jaxdl.prediction.results import LabelPredictions, Predictions, Reconstructions, Regressions
from jaxdl.runs import format, record
from jaxdl.views import subject

Paths = str | os.PathLike | Sequence[str | os.PathLike]
Images = Shaped[np.ndarray, 'N ...'] | Shaped[jax.Array, 'N ...'] | Sequence[Any]
Table = Mapping[str, Any] | Frame


@dataclasses.dataclass(frozen=True)
class Run(record.Run):
  """A run on disk. Its methods apply the network to new images and texts.

  Programs are compiled in the first call and kept by the object.
  """

  @functools.cached_property
  def _predictors(self) -> dict[tuple, Predictor]:
    return {}

  @property
  def kind(self) -> str:
    """The kind of the network, as `Subject.kind`, such as 'cnn' or 'regressor'."""
    format.dataset(self.config, self.folder)
    return subject.kind_of(self.config)

  def predict(
    self,
    given: Paths | Images | Table,
    *,
    distort: bool = False,
    invert: bool = False,
    batch_size: int | None = None,
    lengths: Sequence[int] | np.ndarray | None = None,
  ) -> Predictions | Reconstructions | Regressions | LabelPredictions | list[texts.Measured]:
    """Predicts classes, labels or values, reconstructs images, or measures texts.

    Images are prepared as for the run's evaluation. Files are decoded in several threads while the
    network computes.

    Args:
      given: images as an array [N, H, W] or [N, H, W, C], uint8 or floating point from 0 to 1; a
        sequence of arrays of equal shape; or paths, folders and patterns as for `jaxdl predict`.
        For a language model, paths of texts. For a run on arrays of a user, an array as in
        training: images, vectors [N, F] or sequences [N, T, F]. For a run on a table, a table: a
        file, a data frame or a dict of column → values.
      distort: whether to apply the config's distortion, as evaluation does.
      invert: whether to replace each pixel v by 255 − v.
      batch_size: images per batch. With None, the batch size of the run's evaluation, the result
        equals the evaluation bit for bit.
      lengths: number of real steps of each sequence; None if all steps are real.

    Returns:
      Predictions of a classifier, LabelPredictions of a classifier of labels, Regressions of a
      regression, Reconstructions of an autoencoder, or a Measured for each text.

    Raises:
      ValueError: an input cannot be read, or has an invalid shape, type or range.
      OSError: a file does not exist, or the run has no checkpoint.
    """
    if self.kind == 'language_model':
      return self._measured(given)
    found = self._found(given, lengths)
    predictor = self._predictor(distort, batch_size)
    names, labels, parts = [], [], []
    for batch, (outputs, _) in self._computed(found, predictor, invert):
      names += batch.names
      labels.append(batch.labels)
      kept = ('outputs', 'errors') if self.kind == 'autoencoder' else ('outputs',)
      parts.append({name: outputs[name][: len(batch.names)] for name in kept})
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    known = np.concatenate(labels) if found.has_labels else None
    if self.kind == 'autoencoder':
      rebuilt = self._rebuilt(joined['outputs'])
      return Reconstructions(tuple(names), joined['errors'], rebuilt, known)
    if self.kind == 'regressor':
      targets = self.config['dataset']['targets']
      values = results.in_own_unit(joined['outputs'], targets)
      return Regressions(tuple(targets['names']), tuple(names), values)
    logits = joined['outputs']
    if self.kind == 'multi_label':
      return LabelPredictions(self.classes, tuple(names), results.sigmoid(logits), logits)
    classes = results.class_names(self.classes, logits.shape[-1])
    return Predictions(classes, tuple(names), results.softmax(logits), logits, known)

  def features(
    self, given: Paths | Images | Table, layer: str, *, batch_size: int | None = None
  ) -> Float[np.ndarray, 'N ...']:
    """Computes the output of a layer after its activation.

    Args:
      given: images, as in `predict`.
      layer: name of the layer, as in the table that training prints.
      batch_size: as in `predict`.

    Returns:
      The output for each image, [N, …].

    Raises:
      ValueError: the layer is unknown (the message lists the layers), the run is a language model,
        or an image is invalid, as in `predict`.
      OSError: as in `predict`.
    """
    self._refuse_texts('features')
    predictor = self._predictor(False, batch_size)
    found, preparation = self._found(given), own_images.preparation(self.linked)
    parts = [
      predictor.layer(layer, batch.images, batch.index)
      for batch in _sound(stream.batches(found, preparation, predictor.batch_size))
    ]
    return np.concatenate(parts)

  def evaluate(self, data: Any, *, distort: bool = True) -> dict[str, float]:
    """Evaluates the network as training does.

    Args:
      data: name of a split of the run, such as 'test', whose examples are read again; (images,
        labels), with images as in `predict` and labels [N] as indices or names of classes; or a
        folder of class folders. The metrics of a split equal those in the summary. For a run on
        arrays of a user, (x, y) or (x, y, lengths), or their file, with labels as in training. For
        a run on a table, a table with the target column.
      distort: whether to apply the config's distortion, as evaluation does.

    Returns:
      Metrics named as in the summary, without the split, such as 'loss' and 'accuracy', and
      'examples', the number of examples over which they are averaged.

    Raises:
      ValueError: the data have no labels, or as in `predict`.
      OSError: the data cannot be read, or as in `predict`.
    """
    if isinstance(data, str) and data in self._splits:
      return self._evaluated_split(data, distort)
    self._refuse_texts('evaluate', '; give the name of a split, such as test')
    has_rows = self.kind in ('regressor', 'multi_label')
    if isinstance(data, tuple) and (has_rows or own_arrays.is_own(self.config)):
      found = inputs.Found((own_arrays.stack(self.config, *data),))
    elif isinstance(data, tuple) and len(data) == 2:
      pixels, labels = data
      checked = inputs.checked(_as_array(pixels), np.asarray(labels), 'the array', self.classes)
      found = inputs.Found((inputs.Stack('', *checked),))
    else:
      found = self._found(data)
    predictor = self._predictor(distort, None, len(found))
    total = Total(predictor.capacity)
    for _, (_, sums) in self._computed(found, predictor, False):
      total.add(sums)
    return _metrics(total)

  def export(
    self,
    format: str,
    *,
    raw: bool = False,
    step: str | int = 'best',
    data_dir: str | pathlib.Path | None = None,
    folder: str | pathlib.Path | None = None,
  ) -> pathlib.Path:
    """Exports the network to the format of another tool and checks the result there.

    Args:
      format: 'onnx' | 'stablehlo' | 'safetensors' | 'keras' | 'torch'.
      raw, step, data_dir, folder: as in `exports.export_run`.

    Returns:
      Path of the main file, in the folder `export` of the run.

    Raises:
      ValueError, ImportError, OSError: as in `exports.export_run`.
    """
    place = self.packed or self.folder
    found, _ = of_run.export_run(
      place,
      format,
      raw=raw,
      step=step,
      data_dir=data_dir,
      folder=folder,
      trust_code=self.trust_code,
    )
    return found.files[0]

  def _evaluated_split(self, name: str, distort: bool) -> dict[str, float]:
    data = subject.data_of_run(self.folder, self.linked)
    split = data.splits[name]
    if self.kind == 'language_model':
      total = Total()
      total.add(self._text_predictor.sums(split))
      return _metrics(total)
    predictor, total = self._predictor(distort, None, split.count), Total(split.capacity)
    for number in range(split.batches):
      feed = {key: values[0] for key, values in split.feed(number, 1).items()}
      batch = split.fetch(split.arrays, feed)
      real = batch['mask'] > 0
      target = 'value' if 'value' in batch else 'label'
      arrays = (batch[key][real] for key in (recorded.example(self.config).column, target, 'index'))
      total.add(jax.device_get(predictor.start(*arrays)[1]))
    return _metrics(total)

  @functools.cached_property
  def _text_predictor(self) -> texts.TextPredictor:
    return texts.TextPredictor(self.linked, self.model, self.variables)

  def _predictor(self, distort: bool, batch_size: int | None, examples: int = 0) -> Predictor:
    # Programs that would be equal are compiled once.
    distort = distort and bool(self.linked['data'].get('distort'))
    examples = examples if needs_examples(self.linked) else 0
    key = (distort, batch_size, examples)
    if key not in self._predictors:
      self._predictors[key] = Predictor(
        self.linked,
        self.model,
        self.variables,
        distort=distort,
        batch_size=batch_size,
        examples=examples,
      )
    return self._predictors[key]

  @property
  def _splits(self) -> Sequence[str]:
    """Names of the run's splits; a run of format 1 has them only in its config."""
    splits = self.config['data'].get('splits')
    return list(
      format.dataset(self.config, self.folder).get('examples')
      or (splits if isinstance(splits, dict) else ())
    )

  def _rebuilt(self, outputs):
    """Returns reconstructions as pictures in 0..1, or as vectors or sequences."""
    if recorded.example(self.config).column != 'image':
      return subject.unscaled(self.config, outputs)
    shape = recorded.image_shape(self.config)
    return subject.pictures(self.config, outputs.reshape(-1, *shape))

  def _found(self, given: Any, lengths: Any = None) -> inputs.Found:
    """Returns the inputs of paths, or of images, vectors or sequences in memory."""
    paths, is_own = _as_paths(given), own_arrays.is_own(self.config)
    if lengths is not None and (paths is not None or not is_own):
      raise ValueError('lengths applies to sequences in memory: leave it out')
    if paths is not None:
      read = functools.partial(own_arrays.from_file, self.config) if is_own else None
      classes, endings = subject.folder_classes(self.config), own_arrays.endings(self.config)
      follows = self.config['data'].get('follow_links', False)
      return inputs.images(paths, classes, read, endings, follow_links=follows)
    if own_tables.is_table(self.config):
      return inputs.Found((own_arrays.stack(self.config, given, lengths=lengths),))
    array = _as_array(given)
    if is_own:
      return inputs.Found((own_arrays.stack(self.config, array, lengths=lengths),))
    return inputs.Found((inputs.Stack('', *inputs.checked(array, None, 'the array', ())),))

  def _computed(
    self, found: inputs.Found, predictor: Predictor, invert: bool
  ) -> Iterator[tuple[stream.Batch, Any]]:
    preparation = own_images.preparation(self.linked, invert=invert)
    return predictor.computed(_sound(stream.batches(found, preparation, predictor.batch_size)))

  def _measured(self, given: Any) -> list[texts.Measured]:
    paths = _as_paths(given)
    if paths is None:
      raise ValueError(f'{self.folder} is a run of a language model: give the paths of texts')
    return [self._text_predictor.measure(file) for file in inputs.texts(paths)]

  def _refuse_texts(self, method: str, fix: str = '') -> None:
    if self.kind == 'language_model':
      raise ValueError(f'{self.folder} is a run of a language model: {method} needs images{fix}')


def load(workdir: str | os.PathLike, *, trust_code: bool = False) -> Run:
  """Loads a run from its folder.

  Args:
    workdir: the run's folder, or the address of one in an object store. It is copied; what is
      written into the copy is not sent back.
    trust_code: whether the copy of the run's own code may be executed (docs/sharing.md).

  Returns:
    The Run. Its network and variables are read at first use.

  Raises:
    FileNotFoundError: the folder contains no run.
    ValueError: one of its files is damaged.
  """
  found = record.load(stores.fetched(workdir), trust_code=trust_code)
  return Run(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)})


def _as_paths(given: Any) -> list[str | os.PathLike] | None:
  """Returns paths as a list; None for images."""
  if isinstance(given, (str, os.PathLike)):
    return [given]
  is_list = isinstance(given, (list, tuple)) and bool(given)
  if is_list and all(isinstance(one, (str, os.PathLike)) for one in given):
    return list(given)
  return None


def _as_array(given: Any) -> np.ndarray:
  """Returns images in memory as one array."""
  if hasattr(given, 'shape'):
    return np.asarray(given)
  shapes = {np.shape(one) for one in given}
  if len(shapes) > 1:
    raise ValueError(
      f'the images have different shapes, such as {" and ".join(map(str, sorted(shapes)[:2]))}: '
      'give images of equal shape, or files'
    )
  return np.asarray(given)


def _sound(batches: Iterator[stream.Batch]) -> Iterator[stream.Batch]:
  """Yields the batches. Raises ValueError for the first input that cannot be read."""
  for batch in batches:
    if batch.faults:
      raise ValueError(f'{batch.faults[0]}: replace it, or leave it out')
    yield batch


def _metrics(total: Total) -> dict[str, float]:
  if not total.count:
    raise ValueError(
      'the data have no labels: give (images, labels), the name of a split, or a folder of class '
      'folders'
    )
  return {**total.metrics(), 'examples': total.count}
