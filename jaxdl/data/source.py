"""A data set in memory, and the place it is read from."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, no_type_check

import numpy as np


@dataclasses.dataclass(frozen=True)
@no_type_check  # `classes` may be given as other sequences, whose items are converted to texts
class Source:
  """Decoded columns of a data set's own splits.

  Attributes:
    origin: 'tfds' | 'bundled' | …, printed at the start of a run.
    columns: split name → column name → [N, …] array. 'image' is uint8 [N, H, W, C], or float32 in
      0..1; 'input' is float32, vectors [N, F] or sequences [N, T, F]. 'label' is int32 [N], or
      float32 [N, K] of 0 and 1 if an example may have several labels; the targets of a regression
      are 'value' float32 [N, D]. 'evidence' is optional: bool [N, H, W], the pixels that decide the
      class; of a text int32 [N], how many characters before each character the one is that decides
      it, 0 where none does.
    classes: class names in the order of the labels; names that are not texts, such as numbers,
      are converted.
    data_dir: absolute path of TFDS's folder, if the data were read from it.
    target_names: names of the targets of a regression; None for '0', '1', ….
    masked: whether the last channel of sequences is 1 for real steps and 0 for padding.
    labels: the labels that a user's own data have for the classes, as texts; None if they are the
      numbers or the names of the classes.
  """

  origin: str
  columns: Mapping[str, Mapping[str, np.ndarray]]
  classes: tuple[str, ...]
  data_dir: str | None = None
  target_names: tuple[str, ...] | None = None
  masked: bool = False
  labels: tuple[str, ...] | None = None

  def __post_init__(self) -> None:
    if not isinstance(self.classes, Iterable):
      raise ValueError(
        f'classes={self.classes!r} are not class names: give one for each class, '
        'such as ("cat", "dog")'
      )
    object.__setattr__(self, 'classes', tuple(_text(name) for name in self.classes))


def _text(name: Any) -> str:
  return name.decode(errors='replace') if isinstance(name, bytes) else str(name)


def check_images(name: str, found: Source) -> None:
  """Checks that a data set, such as arrays of a user, contains images and labels.

  Args:
    name: the data set, for messages.
    found: the data set.

  Raises:
    ValueError: a split without images or labels, or of other shapes and types; the message names
      the split and the column.
  """
  for split, columns in found.columns.items():
    others = sorted(columns.keys() - {'image', 'label', 'value', 'evidence'})
    unknown = ''.join(f', but there is {column!r}' for column in others)
    image, label = (np.asarray(columns.get(column, ())) for column in ('image', 'label'))
    if image.ndim != 4 or image.dtype not in (np.uint8, np.float32):
      raise ValueError(
        f"{name}: 'image' of {split} is {_described(image)}{unknown}: "
        'make it uint8 [N, H, W, C], from 0 to 255'
      )
    if image.dtype == np.float32 and not 0 <= image.min(initial=0) <= image.max(initial=0) <= 1:
      raise ValueError(
        f"{name}: 'image' of {split} is float32 from {image.min():g} to {image.max():g}: make it "
        'from 0 to 1, or uint8 from 0 to 255'
      )
    evidence = np.asarray(columns.get('evidence', np.zeros(image.shape[:3], bool)))
    if evidence.shape != image.shape[:3] or evidence.dtype != bool:
      raise ValueError(
        f"{name}: 'evidence' of {split} is {_described(evidence)}: make it bool [N, H, W], here "
        f'[{", ".join(map(str, image.shape[:3]))}]'
      )
    if 'value' in columns or (label.ndim == 2 and label.dtype == np.float32):
      continue  # `labels.encode_values` and `labels.encode_many` have checked them
    if label.shape != image.shape[:1] or label.dtype != np.int32:
      raise ValueError(
        f"{name}: 'label' of {split} is {_described(label)}{unknown}: "
        f'make it int32 [N], here [{len(image)}]'
      )
    if len(label) and not 0 <= label.min() <= label.max() < len(found.classes):
      raise ValueError(
        f'{name}: the labels of {split} go from {label.min()} to {label.max()}, but there are '
        f'{len(found.classes)} classes: number these from 0'
      )


def _described(array: np.ndarray) -> str:
  return f'{array.dtype} [{", ".join(map(str, array.shape))}]' if array.size else 'empty'


def choose(
  name: str, source: Any, readers: Mapping[str, Callable[[bool], Source | None]]
) -> Source:
  """Reads a data set from the first place that has it.

  Args:
    name: the data set, for messages.
    source: 'auto' (each place in turn; the last one must succeed) or the name of one place.
    readers: place → function(required) → Source. If the data set does not exist, the function
      returns None, or raises an error if `required`.

  Returns:
    Source.

  Raises:
    ValueError: an unknown place.
  """
  if source == 'auto':
    *earlier, last = readers.values()
    for reader in earlier:
      found = reader(False)
      if found is not None:
        return found
    return _required(last)
  if source not in list(readers):
    places = ', '.join(['auto', *readers])
    raise ValueError(
      f'config.data.source={source!r} is not a source of {name}: use one of {places}'
    )
  return _required(readers[source])


def _required(reader: Callable[[bool], Source | None]) -> Source:
  found = reader(True)
  assert found is not None, f'{reader} returns None though its data set is required'
  return found
