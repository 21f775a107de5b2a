"""A data set in memory, and where it comes from."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Source:
  """Decoded columns of a data set's own splits.

  Attributes:
    origin: 'tfds' | 'bundled' | …, said at the start of a run.
    columns: split name → column name → [N, …] array; images uint8 [N, H, W, C], labels int32 [N].
    classes: class names in the order of the labels.
  """

  origin: str
  columns: dict[str, dict[str, np.ndarray]]
  classes: tuple[str, ...]


def choose(name, source, readers):
  """Reads a data set from the first place that has it.

  Args:
    name: str, the data set, for messages.
    source: 'auto' (each place in turn, the last one must succeed) or the name of one place.
    readers: dict of place → function(required: bool) → Source, or None where the place does not have it.

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
