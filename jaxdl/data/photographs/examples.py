"""Sources of photographs that are still encoded: position → (bytes, label, name for messages)."""

import dataclasses
from typing import Any

from jaxdl.data import slicing


@dataclasses.dataclass(frozen=True)
class Files:
  """Random access to files: position → (bytes, label, path)."""

  files: list

  def __len__(self):
    return len(self.files)

  def __getitem__(self, position):
    path, label = self.files[position]
    return path.read_bytes(), label, str(path)


@dataclasses.dataclass(frozen=True)
class Records:
  """Random access to a split of a prepared copy: position → (bytes, label, the file's name)."""

  records: Any

  def __len__(self):
    return len(self.records)

  def __getitem__(self, position):
    record = self.records[position]
    return record['image'], int(record['label']), record['name'].decode()


@dataclasses.dataclass(frozen=True)
class Selection:
  """Slices of sources as one source; `parts` is a list of (source, first, one past the last)."""

  parts: list

  def __len__(self):
    return sum(stop - start for _, start, stop in self.parts)

  def __getitem__(self, position):
    for source, start, stop in self.parts:
      if position < stop - start:
        return source[start + position]
      position -= stop - start
    raise IndexError(position)


def select(sources, expression):
  """The photographs of a split named as TFDS names them, such as 'train[90%:]'; see `slicing.cut`."""
  count = {name: len(source) for name, source in sources.items()}
  return Selection(
    [(sources[name], start, stop) for name, start, stop in slicing.intervals(expression, count)]
  )
