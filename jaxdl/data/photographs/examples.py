"""Sources of photographs that are still encoded: position → (bytes, label, name for messages)."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxdl import stores
from jaxdl.data import slicing

Encoded = tuple[bytes, int, str]  # content of a file, its label, its name for messages


@runtime_checkable
class PhotographSource(Protocol):
  """Random access to encoded photographs; picklable, since worker processes read it."""

  def __len__(self) -> int: ...

  def __getitem__(self, position: int, /) -> Encoded: ...


@dataclasses.dataclass(frozen=True)
class Files:
  """Random access to files: position → (bytes, label, path).

  Attributes:
    files: (path, label) of each.
    remote: the folder in an object store in which they are; None for files on this machine.
  """

  files: list[tuple[Path, int]]
  remote: stores.Folder | None = None

  def __len__(self) -> int:
    return len(self.files)

  def __getitem__(self, position: int) -> Encoded:
    path, label = self.files[position]
    if self.remote is not None:
      return self.remote.read(path), label, self.remote.shown(path)
    return path.read_bytes(), label, str(path)


@dataclasses.dataclass(frozen=True)
class Records:
  """Random access to a split of a prepared copy: position → (bytes, label, the file's name)."""

  records: Any

  def __len__(self) -> int:
    return len(self.records)

  def __getitem__(self, position: int) -> Encoded:
    record = self.records[position]
    return record['image'], int(record['label']), record['name'].decode()


@dataclasses.dataclass(frozen=True)
class Picked:
  """Some examples of a source as one source, in the order of their positions."""

  source: PhotographSource
  positions: tuple[int, ...]

  def __len__(self) -> int:
    return len(self.positions)

  def __getitem__(self, position: int) -> Encoded:
    return self.source[self.positions[position]]


@dataclasses.dataclass(frozen=True)
class Selection:
  """Slices of sources as one source; `parts` is a list of (source, first, one past the last)."""

  parts: list[tuple[PhotographSource, int, int]]

  def __len__(self) -> int:
    return sum(stop - start for _, start, stop in self.parts)

  def __getitem__(self, position: int) -> Encoded:
    for source, start, stop in self.parts:
      if position < stop - start:
        return source[start + position]
      position -= stop - start
    raise IndexError(position)


def select(sources: Mapping[str, PhotographSource], expression: str) -> Selection:
  """The photographs of a split in TFDS's notation, such as 'train[90%:]'; see `slicing.cut`."""
  count = {name: len(source) for name, source in sources.items()}
  return Selection(
    [(sources[name], start, stop) for name, start, stop in slicing.intervals(expression, count)]
  )
