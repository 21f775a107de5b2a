"""A data set in memory, and where it comes from."""

import dataclasses
from collections.abc import Iterable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Source:
  """Decoded columns of a data set's own splits.

  Attributes:
    origin: 'tfds' | 'bundled' | …, said at the start of a run.
    columns: split name → column name → [N, …] array; images uint8 [N, H, W, C], labels int32 [N].
    classes: class names in the order of the labels; names that are no texts, such as numbers,
      become texts.
    data_dir: absolute path of TFDS's folder, where the data were read from it.
  """

  origin: str
  columns: dict[str, dict[str, np.ndarray]]
  classes: tuple[str, ...]
  data_dir: str | None = None

  def __post_init__(self):
    if not isinstance(self.classes, Iterable):
      raise ValueError(
        f'classes={self.classes!r} are no names: give a name for each class, such as ("cat", "dog")'
      )
    object.__setattr__(self, 'classes', tuple(map(_text, self.classes)))


def _text(name):
  return name.decode(errors='replace') if isinstance(name, bytes) else str(name)


def check_images(name, found):
  """Refuses what is no data set of images, such as one of somebody's own whose arrays are of other
  types.

  Args:
    name: str, the data set, for messages.
    found: Source.

  Raises:
    ValueError: a split without images or labels, or of other shapes and types; the message names
      the split and the column.
  """
  for split, columns in found.columns.items():
    unknown = ''.join(
      f', but there is {column!r}' for column in sorted(columns.keys() - {'image', 'label'})
    )
    image, label = (np.asarray(columns.get(column, ())) for column in ('image', 'label'))
    if image.ndim != 4 or image.dtype != np.uint8:
      raise ValueError(
        f"{name}: 'image' of {split} is {_described(image)}{unknown}: make it uint8 [N, H, W, C], from 0 to 255"
      )
    if label.shape != image.shape[:1] or label.dtype != np.int32:
      raise ValueError(
        f"{name}: 'label' of {split} is {_described(label)}{unknown}: make it int32 [N], here [{len(image)}]"
      )
    if len(label) and not 0 <= label.min() <= label.max() < len(found.classes):
      raise ValueError(
        f'{name}: the labels of {split} go from {label.min()} to {label.max()}, but there are '
        f'{len(found.classes)} classes: number these from 0'
      )


def _described(array):
  return f'{array.dtype} [{", ".join(map(str, array.shape))}]' if array.size else 'empty'


def choose(name, source, readers):
  """Reads a data set from the first place that has it.

  Args:
    name: str, the data set, for messages.
    source: 'auto' (each place in turn, the last one must succeed) or the name of one place.
    readers: dict of place → function(required: bool) → Source, or None where the place does not
      have it.

  Returns:
    Source.

  Raises:
    ValueError: an unknown place.
  """
  if source == 'auto':
    *earlier, last = readers.values()
    for reader in earlier:
      if (found := reader(False)) is not None:
        return found
    return last(True)
  if source not in list(readers):
    places = ', '.join(['auto', *readers])
    raise ValueError(f'config.data.source={source!r} is not a place of {name}: use one of {places}')
  return readers[source](True)
