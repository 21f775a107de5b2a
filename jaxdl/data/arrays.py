"""A user's own arrays, from files or from Python: images, vectors and sequences with labels."""

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Shaped

from jaxdl.config import checks
from jaxdl.data import array_files, division, images, labels, vectors
from jaxdl.data.dataset import Data, check_sampling
from jaxdl.data.images import Changes
from jaxdl.data.source import Source

FORMS = ('images', 'vectors', 'sequences')
TARGETS = ('classes', 'labels', 'values')
TARGETS_OF_TASK = {'regress': 'values', 'multi_label': 'labels'}  # others need classes
MOST_CHANNELS = 4  # an array with more in its last axis may have its channels first
UNLABELLED = 'unlabelled'  # class of all examples of an autoencoder without labels
OPTIONAL = 'optional'
PYTHON = 'Python'  # origin of arrays given in Python


class Inputs(NamedTuple):
  """How arrays are read, as keys of a config's data section.

  Attributes:
    form: 'images' | 'vectors' | 'sequences'; None to infer it from the shape.
    channels_first: whether images are [N, C, H, W].
    range: [lowest, highest] value of a pixel, which become 0 and 1; None for 0..255 of integers and
      0..1 of floating point.
  """

  form: str | None = None
  channels_first: bool = False
  range: Sequence[float] | None = None


@no_type_check  # a config may hold anything: the function checks it, and its errors name the key
def load(
  *,
  seed: int,
  batch_size: int,
  splits: Mapping[str, str] | str | None = None,
  evaluation_batch_size: int = 1000,
  file: str | PathLike[str] | Sequence[str] | None = None,
  columns: Mapping[str, str] | None = None,
  inputs: str | None = None,
  targets: str | None = None,
  class_names: Sequence[str] | None = None,
  channels_first: bool = False,
  range: Sequence[float] | None = None,
  overlap: bool = False,
  sampling: str = 'shuffled',
  scale: str | None = None,
  color: str = 'original',
  size: int | None = None,
  fit: str = 'area',
  background: str | Sequence[int] = 'white',
  layout: str = 'image',
  augment: Changes = (),
  distort: Changes = (),
  task: str | None = None,
  given: Any = None,
) -> Data:
  """Reads arrays as described by a config's data section.

  Args:
    seed, batch_size, evaluation_batch_size, overlap, sampling: as in `images.load`; the seed also
      determines the division into splits.
    splits: as in `division.of_columns`.
    file, columns: as in `array_files.read`.
    inputs, channels_first, range: as in `Inputs`.
    targets: 'classes' (one class of each example) | 'labels' (several, [N, K] of 0 and 1) |
      'values' (numbers of a regression, [N] or [N, D]); None for those of the task.
    class_names: names of the classes, labels or targets; None for those in the file, or for the
      labels themselves.
    scale: of images 'unit', 'symmetric' or 'standardized', as in `preprocess.scaling`; of others
      'standardized' or 'none', as in `vectors.scaling`. None for the first one.
    color, size, fit, background, layout, augment, distort: of images, as in `images.load`.
    task: name of the config's task.
    given: arrays in Python as in `array_files.given`, instead of a file.

  Returns:
    Data.

  Raises:
    ValueError: a key of the config, or arrays that do not fit it; the message names the array, the
      row and the fix.
    FileNotFoundError: the file does not exist.
  """
  checks.check_flag(overlap, 'config.data.overlap')
  check_sampling(sampling)
  checks.check_flag(channels_first, 'config.data.channels_first')
  _check_choice('inputs', inputs, FORMS)
  _check_choice('targets', targets, TARGETS)
  check_names(class_names)
  parts, names, where, place = _parts(file, columns, given)
  reading = Inputs(inputs, channels_first, _checked_range(range))
  wanted = targets or TARGETS_OF_TASK.get(task, 'classes')
  found = source(
    parts,
    reading,
    wanted if targets or task != 'reconstruct' else OPTIONAL,
    names=class_names or names,
    origin=PYTHON if place is None else where,
    where=where,
  )
  if found.masked and task == 'reconstruct':
    raise ValueError(
      "config.task='reconstruct' does not take sequences of different lengths: leave the lengths "
      'out, and cut the sequences to one length'
    )
  divided = division.of_columns(
    found.columns, splits, seed=seed, where=where, classes=found.classes or None
  )
  found = dataclasses.replace(found, columns=divided.columns)
  options = {
    'seed': seed,
    'splits': divided.splits,
    'batch_size': batch_size,
    'evaluation_batch_size': evaluation_batch_size,
    'overlap': overlap,
    'sampling': sampling,
  }
  of_images = {
    'color': color,
    'size': size,
    'fit': fit,
    'background': background,
    'layout': layout,
    'augment': augment,
    'distort': distort,
  }
  if 'image' in found.columns['train']:

    def arrays(source, data_dir):
      return found

    data = images.load(
      arrays,
      scale='unit' if scale is None else scale,
      **options,
      **of_images,
    )
  else:
    _refuse_keys_of_images(of_images)
    scale = 'standardized' if scale is None else scale
    data = vectors.load(found, name='arrays', scale=scale, **options)
  check_classes(data)
  return dataclasses.replace(
    data, place={'file': place}, division=divided.shares, division_note=divided.note
  )


def _parts(file, columns, given):
  """(split → role → array, names of classes or None, file for messages, its path or None)."""
  if given is not None:
    return *array_files.given(given, columns), array_files.IN_PYTHON, None
  if file is None:
    raise ValueError(
      "config.data.file is missing: give an .npz file, such as file='digits.npz', or arrays in "
      'Python, jaxdl.train(config, workdir, data=(x, y))'
    )
  if not array_files.are_paths(file):
    raise ValueError(
      f"config.data.file={file!r} is not a path: write 'digits.npz', a folder of .npy files, or a "
      'list of .npy files'
    )
  parts, names, place = array_files.read(file, columns)
  paths = place if isinstance(place, list) else [place]
  return parts, names, ', '.join(map(os.path.basename, paths)), place


def source(
  parts: array_files.Parts,
  reading: Inputs,
  targets: str,
  *,
  names: Sequence[str] | None,
  origin: str,
  where: str,
) -> Source:
  """Checks arrays and converts them to the columns of a data set.

  Args:
    parts: split → role → array, as returned by `array_files.read`.
    reading: how the inputs are read.
    targets: 'classes' | 'labels' | 'values', or OPTIONAL: classes, if there are labels.
    names: names of the classes, labels or targets; None for the labels themselves.
    origin: as in `Source`.
    where: the file, for messages.

  Returns:
    Source.

  Raises:
    ValueError: arrays as in `load`.
  """
  columns, masked = {}, any('lengths' in part for part in parts.values())
  for split, part in parts.items():
    called = array_files.naming(f'{split} in {where}')
    values = inputs_of(part['x'], part.get('lengths'), reading, called, masked=masked)
    column = 'image' if values.ndim == 4 else 'input'
    columns[split] = {column: values}
    _check_rows(part, len(values), called)
  _check_shapes(columns, where)
  if masked:
    longest = max(part['input'].shape[1] for part in columns.values())
    for part in columns.values():
      part['input'] = vectors.pad(part['input'], longest)
  found: dict[str, Any] = _add_targets(columns, parts, targets, names, where)
  return Source(origin=origin, columns=columns, masked=masked, **found)


def inputs_of(
  x: Any, lengths: Any, reading: Inputs, called: Callable[[str], str], *, masked: bool = False
) -> Shaped[np.ndarray, 'N ...']:
  """Checks the inputs of a split and converts them.

  Args:
    x: the array.
    lengths: [N], number of real steps of each sequence; None for no lengths.
    reading: how they are read.
    called: function (name of an array) → its name in messages.
    masked: whether sequences get the channel of `vectors.with_mask`; without `lengths`, all of
      their steps are real.

  Returns:
    Images [N, H, W, C], uint8 or float32 in 0..1; vectors [N, F] or sequences [N, T, F], float32.

  Raises:
    ValueError: the shape, type, range or lengths are invalid, or numbers are missing.
  """
  name = called('x')
  array = np.asarray(x)
  if array.dtype.kind not in 'biuf':
    raise ValueError(
      f'{name} is {labels.described(array)}: give an array of numbers, such as uint8 or float32'
    )
  form = _form(array, reading.form, masked, name)
  if form == 'images':
    return _images(array, reading, name)
  if reading.range is not None or reading.channels_first:
    key = 'channels_first' if reading.channels_first else 'range'
    raise ValueError(f'config.data.{key} is for images, but {name} has {form}: leave it out')
  if form == 'sequences' and array.ndim == 2:
    array = array[..., None]
  with np.errstate(over='ignore'):
    values = array.astype(np.float32)
  if not masked:
    labels.check_finite(values, name)
    return values
  steps = _lengths(lengths, values, called('lengths'))
  values = vectors.with_mask(values, steps)
  labels.check_finite(values, name)
  return values


def _form(array, wanted, masked, name):
  """'images', 'vectors' or 'sequences'; ValueError if the shape does not decide or fit."""
  shape = labels.described(array)
  if array.ndim < 2 or 0 in array.shape:
    raise ValueError(
      f'{name} is {shape}: give images [N, H, W] or [N, H, W, C], sequences [N, T, F] or vectors '
      '[N, F], such as x.reshape(-1, 1) for one feature'
    )
  fitting = {2: ('vectors', 'sequences'), 3: ('images', 'sequences'), 4: ('images',)}.get(
    array.ndim, ()
  )
  if masked:
    fitting = tuple(form for form in fitting if form == 'sequences')
    wanted = wanted or 'sequences'
  if wanted is None and array.ndim == 3 and array.dtype != np.uint8:
    raise ValueError(
      f"{name} is {shape}, which may be images or sequences: set config.data.inputs='images' or "
      "'sequences'"
    )
  found = wanted or (fitting[0] if fitting else '')
  if found not in fitting:
    others = ' (with lengths, only sequences)' if masked else ''
    raise ValueError(
      f'{name} is {shape}, which are not {found or "examples"}{others}: give images [N, H, W] or '
      '[N, H, W, C], sequences [N, T, F] or vectors [N, F]'
    )
  return found


def _images(array, reading, name):
  """Images [N, H, W, C], uint8 or float32 in 0..1."""
  if array.ndim == 3:
    array = array[..., None]
  elif reading.channels_first:
    array = np.moveaxis(array, 1, -1)
  elif array.shape[-1] > MOST_CHANNELS and array.shape[1] <= MOST_CHANNELS:
    raise ValueError(
      f'{name} is {labels.described(array)}, which look like images with the channels first: set '
      'config.data.channels_first=True'
    )
  if reading.range is None and array.dtype == np.bool_:
    return array.astype(np.uint8) * np.uint8(255)
  if reading.range is None and array.dtype.kind in 'iu':
    _check_range(array, 0, 255, name)
    return np.ascontiguousarray(array.astype(np.uint8))
  low, high = (0.0, 1.0) if reading.range is None else reading.range
  labels.check_finite(array, name)
  _check_range(array, low, high, name)
  if (low, high) == (0, 1):
    return np.ascontiguousarray(array.astype(np.float32))
  scaled = (array.astype(np.float64) - low) / (high - low)
  return np.ascontiguousarray(scaled.astype(np.float32))


def _check_range(array, low, high, name):
  least, most = array.min().item(), array.max().item()
  if low <= least and most <= high:
    return
  raise ValueError(
    f'{name} goes from {least:g} to {most:g}: give images as integers from 0 to 255 or floating '
    f'point from 0 to 1, or set config.data.range=[{least:g}, {most:g}]'
  )


def _lengths(lengths, values, name):
  """The lengths of sequences [N]; all steps if there are none."""
  count, steps = values.shape[:2]
  if lengths is None:
    return np.full(count, steps)
  array = np.asarray(lengths)
  if array.shape == (count, 1):
    array = array[:, 0]
  if array.shape != (count,) or array.dtype.kind not in 'iu':
    raise ValueError(
      f'{name} is {labels.described(array)}: give an integer for each of the {count} sequences'
    )
  wrong = np.flatnonzero((array < 1) | (array > steps))
  if len(wrong):
    raise ValueError(
      f'{name} has {array[wrong[0]]} in row {wrong[0]}: a length is from 1 to {steps}, the number '
      'of steps in the array'
    )
  return array


def _check_rows(part, count, called):
  """Raises ValueError if the numbers of labels and inputs differ."""
  if part.get('y') is None:
    return
  rows = np.shape(part['y'])[:1]
  if rows != (count,):
    have = rows[0] if rows else 'no'
    raise ValueError(
      f'{called("x")} has {count} examples, but {called("y")} has {have} labels: give one for each'
    )


def _check_shapes(columns, where):
  """Raises ValueError if the splits have examples of different shapes."""
  shapes = {}
  for split, part in columns.items():
    ((column, values),) = part.items()
    # Sequences of different lengths are padded to the longest split.
    shape = values.shape[-1:] if column == 'input' and values.ndim == 3 else values.shape[1:]
    shapes[split] = (column, str(values.dtype), shape)
  if len(set(shapes.values())) > 1:
    (one, first), (other, second) = (
      list(shapes.items())[0],
      next(item for item in shapes.items() if item[1] != next(iter(shapes.values()))),
    )
    raise ValueError(
      f'{where} has examples of {first[1]} {list(first[2])} in {one}, but of {second[1]} '
      f'{list(second[2])} in {other}: give all splits the same shape and type'
    )


def _add_targets(columns, parts, targets, names, where):
  """Adds 'label' or 'value' to the columns of each split; returns fields of the Source."""
  without = next((split for split, part in parts.items() if part.get('y') is None), None)
  if without is not None:
    if targets != OPTIONAL:
      raise ValueError(
        f"{where} has no labels of {without}: name an array 'y' or 'y_{without}', or say which it "
        "is, config.data.columns=dict(y='NAME')"
      )
    for part in columns.values():
      part['label'] = np.zeros(len(part.get('image', part.get('input'))), np.int32)
    return {'classes': (UNLABELLED,)}
  order = sorted(parts, key=lambda split: split != 'train')  # training labels define the classes
  if targets == 'values':
    return _add_values(columns, parts, order, names, where)
  if targets == 'labels':
    classes = names
    for split in order:
      called = f"'y' of {split} in {where}"
      columns[split]['label'], classes = labels.encode_many(parts[split]['y'], called, classes)
    return {'classes': classes, 'labels': classes}
  called = f"'y' of {order[0]} in {where}"
  _, keys = labels.encode(parts[order[0]]['y'], called)
  keys, classes = labels.named(keys, names, called)
  if len(classes) == 1:
    raise ValueError(
      f'{where} has one class only, {classes[0]!r}: give examples of at least two classes'
    )
  for split in order:
    called = f"'y' of {split} in {where}"
    columns[split]['label'], _ = labels.encode(parts[split]['y'], called, keys)
  return {'classes': classes, 'labels': keys}


def _add_values(columns, parts, order, names, where):
  """Adds 'value' to the columns of each split; returns fields of the Source."""
  widths = {}
  for split in order:
    values = labels.encode_values(parts[split]['y'], f"'y' of {split} in {where}")
    columns[split]['value'], widths[split] = values, values.shape[1]
  width = widths[order[0]]
  if set(widths.values()) != {width}:
    raise ValueError(
      f'{where} has {", ".join(map(str, widths.values()))} targets: give all splits the same'
    )
  if names is not None and len(names) != width:
    raise ValueError(f'{where} has {width} targets, but there are {len(names)} names of them')
  return {'classes': (), 'target_names': None if names is None else tuple(names)}


def check_classes(data: Data) -> None:
  """Raises ValueError if a class has examples in other splits, but none for training."""
  counts = data.per_class
  if 'train' not in counts:
    return
  for number, name in enumerate(data.classes):
    other = next((split for split, of in counts.items() if of[number]), None)
    if other is not None and not counts['train'][number]:
      raise ValueError(
        f'class {name!r} has no examples in the training split, but {counts[other][number]:,} in '
        f'{other}: change config.data.splits, or leave it out, so that each class has its share '
        "('80/10/10')"
      )


def _check_choice(key, value, known):
  if value is not None and value not in list(known):
    raise ValueError(
      f'config.data.{key}={value!r} is unknown: use one of {", ".join(map(repr, known))}'
    )


def check_names(names: Any) -> None:
  """Raises ValueError if `config.data.class_names` is not a list of different texts or None."""
  are_texts = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
  if names is not None and (not are_texts or len(set(names)) < len(names)):
    raise ValueError(
      f"config.data.class_names={names!r} is not a list of different names: write ('cat', 'dog')"
    )


def _checked_range(given):
  """`range` as two numbers, or None."""
  if given is None:
    return None
  is_pair = isinstance(given, (list, tuple)) and len(given) == 2
  if not is_pair or not all(checks.is_number(value) and np.isfinite(value) for value in given):
    raise ValueError(f'config.data.range={given!r} is not two numbers: write [0, 16]')
  if not given[0] < given[1]:
    raise ValueError(f'config.data.range={given!r} is empty: write the lowest value first')
  return tuple(map(float, given))


def _refuse_keys_of_images(options):
  """Raises ValueError if a key for images is set, though the inputs are not images."""
  defaults = inspect.signature(load).parameters
  for key, value in options.items():
    if value != defaults[key].default and value not in ([], ()):
      raise ValueError(
        f'config.data.{key}={value!r} is for images, but the inputs are not: leave it out'
      )
