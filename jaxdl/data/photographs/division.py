"""Divides the training photographs of a folder into splits without their own folder."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from jaxdl.data import division as shares_of
from jaxdl.data.dataset import SPLITS
from jaxdl.data.photographs.examples import Picked
from jaxdl.data.photographs.reading import Photographs

COMPLETE = {name: name for name in SPLITS}  # split → its complete folder


@dataclasses.dataclass(frozen=True)
class Divided:
  """The photographs of a folder after division of its training photographs.

  Attributes:
    found: the photographs of each split.
    splits: split of the config → TFDS slicing of the splits in `found`.
    shares: text such as '80/10/10' that results in the same division; '' if nothing was divided.
    note: one line that describes the splits.
  """

  found: Photographs
  splits: Mapping[str, Any]
  shares: str
  note: str


def divide(found: Photographs, splits: Any, *, seed: int) -> Divided:
  """Finds the splits of a folder and divides its training photographs for missing splits.

  Args:
    found: the photographs of the folder.
    splits: None for train, validation and test; 10 % of the training photographs are held out for
      each of validation and test without a folder. A string such as '80/10/10' contains the per
      cent for train and for each split without a folder. A dict of split name → TFDS slicing is
      used unchanged, unless each value equals its key (`train='train', validation='validation'`):
      then these splits are held out if they have no folder.
    seed: determines which photographs of a class are held out.

  Returns:
    Divided.

  Raises:
    ValueError: the number of parts is wrong, there are no training photographs, a class has too few
      photographs, or a prepared copy has no list of its photographs.
  """
  shares_of.check(splits)
  if isinstance(splits, Mapping) and not _is_complete(splits):
    return Divided(found, splits, '', '')
  asked = COMPLETE if splits is None or isinstance(splits, str) else splits
  if 'train' not in found.splits:
    raise ValueError(
      f'{_place(found)} has {shares_of.listed(found.splits)} photographs but no training '
      'photographs: add a folder train/, or give the parent folder'
    )
  missing = [name for name in SPLITS if name not in found.splits]
  if isinstance(splits, str):
    parts = _for_splits(splits, missing, found)
  else:
    parts = [shares_of.HELD_OUT if name in asked else 0 for name in missing]
    parts = [100 - sum(parts), *parts]
  held_out = {name: part for name, part in zip(missing, parts[1:], strict=True) if part}
  if not held_out:
    used = {name: name for name in asked if name in found.splits}
    note = f'splits: the folders {shares_of.listed(used)}' if len(used) > 1 else ''
    return Divided(found, used, '', note)
  shares = '/'.join(map(str, parts))
  used = {name: name for name in asked if name in found.splits or name in held_out}
  per_split = zip(parts, ('train', *missing), strict=True)
  drawn = ', '.join(f'{part} % {name}' for part, name in per_split if part)
  own = ''.join(
    f'; {name} has its own folder' for name in used if name in found.splits and name != 'train'
  )
  note = (
    f'splits: {drawn}, drawn from each class with seed {seed} (config.data.splits={shares!r}){own}'
  )
  return Divided(_with_parts(found, held_out, shares, seed), used, shares, note)


def check_classes(
  splits: Mapping[str, Any], per_class: Mapping[str, Sequence[int]], classes: Sequence[str]
) -> None:
  """Checks that each split that is a complete folder contains all classes.

  Args:
    splits: split name → TFDS slicing. Slices are not checked.
    per_class: split name → number of examples of each class; {} if unknown.
    classes: class names in the order of the labels.

  Raises:
    ValueError: a class has no photographs in a split. The message names both.
  """
  for name, counts in per_class.items():
    if splits.get(name) == name and 0 in counts:
      raise ValueError(
        f'class {classes[list(counts).index(0)]!r} has no photographs in the {name} split: add '
        f'some, delete the {name} folder to hold out training photographs instead, or '
        f"accept this with --config.data.splits.{name}='{name}[:]'"
      )


def _is_complete(splits: Mapping[str, Any]) -> bool:
  return all(COMPLETE.get(name) == expression for name, expression in splits.items())


def _for_splits(splits: str, missing: Sequence[str], found: Photographs) -> list[int]:
  """Returns the parts of a string, one for train and one for each split without a folder."""
  parts = shares_of.parts_of(splits)
  if not missing:
    raise ValueError(
      f'config.data.splits={splits!r} has nothing to divide: {_place(found)} has folders for '
      f'{shares_of.listed(SPLITS)}; leave the key out'
    )
  if len(parts) != 1 + len(missing):
    own = [name for name in found.splits if name != 'train']
    why = f' ({shares_of.listed(own)} {"has" if len(own) == 1 else "have"} a folder)' if own else ''
    without = '' if own else ", or '90/10/0' for no test"
    raise ValueError(
      f'config.data.splits={splits!r} has {len(parts)} parts, but {_place(found)} needs '
      f'{1 + len(missing)}, for {shares_of.listed(["train", *missing])}{why}: write '
      f"'{shares_of.example(1 + len(missing))}'{without}"
    )
  return parts


def _with_parts(
  found: Photographs, held_out: Mapping[str, int], shares: str, seed: int
) -> Photographs:
  """Moves some of the training photographs to other splits.

  Args:
    found: the photographs of the folder.
    held_out: split → per cent of the training photographs, above 0.
    shares: as in `Divided`, for messages.
    seed: as in `divide`.
  """
  if found.entries is None:
    raise ValueError(
      f'{_place(found)} cannot be divided, because it has no list of its photographs: prepare it '
      "again, or give config.data.splits as slices, such as \"dict(train='train[:90%]', "
      "validation='train[90%:]')\""
    )
  entries = found.entries['train']
  chosen: dict[str, list[int]] = {name: [] for name in ('train', *held_out)}
  for label, name in enumerate(found.classes):
    own = [position for position, entry in enumerate(entries) if entry.label == label]
    own.sort(key=lambda position: _draw(seed, entries[position].name))
    if len(own) <= len(held_out):
      raise ValueError(
        f'class {name!r} of {_place(found)} has {_number(len(own))}, too few for '
        f"{shares_of.listed(chosen)} ('{shares}'): add some, or remove the class"
      )
    first = 0
    for split, count in shares_of.counts(len(own), held_out).items():
      chosen[split] += own[first : first + count]
      first += count
    chosen['train'] += own[first:]
  divided = {split: sorted(positions) for split, positions in chosen.items()}
  source = found.splits['train']
  return dataclasses.replace(
    found,
    splits={
      **found.splits,
      **{split: Picked(source, tuple(positions)) for split, positions in divided.items()},
    },
    entries={
      **found.entries,
      **{
        split: [entries[position] for position in positions] for split, positions in divided.items()
      },
    },
  )


def _draw(seed: int, name: str) -> bytes:
  """Returns a sort key for a photograph, which depends only on the seed and its name."""
  return hashlib.sha256(b'%d\0%s' % (seed, os.fsencode(name))).digest()


def _place(found: Photographs) -> str:
  return found.place.get('folder') or f'the prepared copy {found.place.get("copy")}'


def _number(count: int) -> str:
  return f'{count} photograph{"s" * (count != 1)}'
