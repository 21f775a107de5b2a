"""Identical examples in two splits, such as a photograph that was copied into both."""

import collections
import dataclasses
import functools
import hashlib
import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Shaped, UInt64

from jaxdl.config.paths import is_address
from jaxdl.data.dataset import Data
from jaxdl.data.photographs.contents import Entry

TAIL = 4096  # bytes at the end of a file that are compared first
ROWS = 5000  # examples hashed at a time
WORD = 8  # bytes


@dataclasses.dataclass(frozen=True)
class Repeated:
  """Examples of a split that are identical to examples of another one.

  Attributes:
    first, second: names of the splits.
    count: number of examples of `second` that occur in `first` too.
    pair: names of the first such example, in `first` and in `second`.
  """

  first: str
  second: str
  count: int
  pair: tuple[str, str]


def of_data(data: Data) -> list[Repeated]:
  """Finds identical examples in two splits of a data set.

  Photographs are compared by the contents of their files, other examples by their inputs.

  Args:
    data: the data set.

  Returns:
    As `of_arrays`; [] for a text, or if the files of photographs are not known or in an object
    store.
  """
  if data.files:
    folder = data.place.get('folder')
    if folder is None or is_address(folder):
      return of_files(data.files, None)
    return of_files(data.files, pathlib.Path(folder))
  inputs = {
    name: split.arrays[column]
    for name, split in data.splits.items()
    for column in ('image', 'input')
    if column in split.arrays
  }
  return of_arrays(inputs)


def of_arrays(parts: Mapping[str, Shaped[np.ndarray, 'N ...']]) -> list[Repeated]:
  """Finds examples with equal bytes in two splits of arrays.

  Args:
    parts: split name → [N, …] array.

  Returns:
    One entry for each pair of splits that share an example.
  """
  hashes = {name: _hashes(values) for name, values in parts.items()}
  found = []
  for first, second in itertools.combinations(parts, 2):
    by_hash = np.argsort(hashes[first], kind='stable')
    ranks = np.searchsorted(hashes[first], hashes[second], sorter=by_hash)
    partners = by_hash[np.minimum(ranks, len(by_hash) - 1)]
    candidates = np.flatnonzero(hashes[first][partners] == hashes[second])
    equal = [
      position
      for position in candidates.tolist()
      if np.array_equal(parts[first][partners[position]], parts[second][position])
    ]
    if equal:
      pair = f'{first}[{partners[equal[0]]}]', f'{second}[{equal[0]}]'
      found.append(Repeated(first, second, len(equal), pair))
  return found


def _hashes(values: Shaped[np.ndarray, 'N ...']) -> UInt64[np.ndarray, ' N']:
  """A hash of the bytes of each example: a sum of its words, each times a fixed odd number."""
  count = len(values)
  length = values[:1].nbytes
  words = -(-length // WORD)
  factors = np.random.Philox(key=0).random_raw(words) | np.uint64(1)
  found = np.zeros(count, np.uint64)
  for start in range(0, count, ROWS):
    part = np.ascontiguousarray(values[start : start + ROWS])
    rows = part.reshape(len(part), -1).view(np.uint8)
    if length % WORD:
      rows = np.pad(rows, ((0, 0), (0, words * WORD - length)))
    found[start : start + ROWS] = rows.view(np.uint64) @ factors
  return found


def of_files(parts: Mapping[str, Sequence[Entry]], root: pathlib.Path | None) -> list[Repeated]:
  """Finds files with equal contents in two splits.

  Only files whose size occurs in two splits are read: first their last bytes, then, if these are
  equal too, the complete files. Files that cannot be read are left out.

  Args:
    parts: split name → entries of its files.
    root: the folder of the files; None if it does not exist. Entries of a prepared copy have
      checksums, and nothing is read.

  Returns:
    As `of_arrays`.
  """
  keys: list[Callable[[Entry], object]] = [lambda entry: entry.size, lambda entry: entry.checksum]
  if not all(entry.checksum for entries in parts.values() for entry in entries):
    if root is None:
      return []
    keys[1:] = [functools.partial(_tail, root), functools.partial(_checksum, root)]
  left = {name: list(entries) for name, entries in parts.items()}
  same: dict[Entry, object] = {}
  for key in keys:
    same = {entry: (same.get(entry), key(entry)) for entries in left.values() for entry in entries}
    left = _in_two(left, same)
  found = []
  for first, second in itertools.combinations(left, 2):
    partners = {same[entry]: entry for entry in reversed(left[first])}
    equal = [entry for entry in left[second] if same[entry] in partners]
    if equal:
      pair = partners[same[equal[0]]].name, equal[0].name
      found.append(Repeated(first, second, len(equal), pair))
  return found


def _in_two(
  left: Mapping[str, Sequence[Entry]], same: Mapping[Entry, object]
) -> dict[str, list[Entry]]:
  """Keeps the entries whose key occurs in more than one split."""
  splits: dict[object, set[str]] = collections.defaultdict(set)
  for name, entries in left.items():
    for entry in entries:
      splits[same[entry]].add(name)
  return {
    name: [entry for entry in entries if len(splits[same[entry]]) > 1]
    for name, entries in left.items()
  }


def _tail(root: pathlib.Path, entry: Entry) -> object:
  """The last bytes of a file; a key of its own if it cannot be read."""
  try:
    with open(root / entry.name, 'rb') as file:
      file.seek(max(0, entry.size - TAIL))
      return file.read()
  except OSError:
    return entry


def _checksum(root: pathlib.Path, entry: Entry) -> object:
  """The checksum of a file; a key of its own if it cannot be read."""
  try:
    return entry.checksum or hashlib.sha256((root / entry.name).read_bytes()).hexdigest()
  except OSError:
    return entry
