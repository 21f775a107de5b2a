"""Divides examples into splits by a string such as '80/10/10'."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Int32

from jaxdl.data.dataset import SPLITS

HELD_OUT = 10  # per cent of the training examples for each missing split
STREAM = 1 << 63  # key of the random numbers, which `order.permutation` does not use


def check(splits: Any) -> None:
  """Checks that a string contains parts in per cent, such as '80/10/10', that add up to 100.

  Args:
    splits: `splits` of a config's data section. Only strings are checked.

  Raises:
    ValueError: the string is invalid.
  """
  if not isinstance(splits, str):
    return
  if not re.fullmatch(r'\d{1,3}(/\d{1,3})+', splits):
    raise ValueError(
      f'config.data.splits={splits!r} is invalid: write the per cent of train, validation and '
      "test, such as '80/10/10'"
    )
  parts = parts_of(splits)
  if len(parts) > len(SPLITS):
    raise ValueError(
      f'config.data.splits={splits!r} has {len(parts)} parts: write the per cent of train, '
      "validation and test, such as '80/10/10'"
    )
  if sum(parts) != 100:
    raise ValueError(
      f'config.data.splits={splits!r} adds up to {sum(parts)} instead of 100: change a part, such '
      f"as '{example(len(parts))}'"
    )
  if not parts[0]:
    raise ValueError(
      f'config.data.splits={splits!r} leaves nothing for training: make the first part larger, '
      f"such as '{example(len(parts))}'"
    )


def parts_of(splits: str) -> list[int]:
  """Returns the parts of a string such as '80/10/10', in per cent."""
  return [int(part) for part in splits.split('/')]


def example(count: int) -> str:
  """Returns a string with `count` parts, such as '90/10'."""
  return '/'.join(map(str, [100 - HELD_OUT * (count - 1), *[HELD_OUT] * (count - 1)]))


def counts(examples: int, held_out: Mapping[str, int]) -> dict[str, int]:
  """Returns the number of examples of a class for each held-out split.

  Args:
    examples: number of examples of the class, above the number of held-out splits.
    held_out: split → per cent, above 0.

  Returns:
    split → number of examples, at least one. At least one example is left for training.
  """
  found = {split: max(1, (examples * part + 50) // 100) for split, part in held_out.items()}
  while sum(found.values()) >= examples:
    largest = max(found, key=lambda split: found[split])
    found[largest] -= 1
  return found


def divide(
  strata: Int[np.ndarray, ' N'] | None,
  count: int,
  shares: str,
  seed: int,
  *,
  splits: Sequence[str] = SPLITS,
  classes: Sequence[str] | None = None,
) -> dict[str, Int32[np.ndarray, ' _']]:
  """Divides examples at random. Each class has the same share in every split.

  The random numbers are the raw bits of Philox, which are equal on all machines and in all versions
  of NumPy.

  Args:
    strata: class of each example; None if all examples have the same class.
    count: N, the number of examples.
    shares: per cent for each of `splits`, such as '80/10/10'. Missing parts are 0.
    seed: int >= 0, determines the split of each example.
    splits: names of the splits, the training split first.
    classes: names of the classes in the order of their indices, for messages.

  Returns:
    split → positions of its examples in ascending order, for the splits whose part is not 0.

  Raises:
    ValueError: `shares` is invalid or has more parts than there are splits, or a class has fewer
      examples than there are splits.
  """
  check(shares)
  parts = parts_of(shares)
  if len(parts) > len(splits):
    raise ValueError(
      f'config.data.splits={shares!r} has {len(parts)} parts, but only {listed(splits)} are '
      f"possible: write '{example(len(splits))}'"
    )
  held_out = {name: part for name, part in zip(splits[1:], parts[1:], strict=False) if part}
  draws = np.random.Philox(key=[seed, STREAM]).random_raw(count)  # [N]
  groups = np.zeros(count, np.int32) if strata is None else strata
  order = np.lexsort((draws, groups))  # by class, and at random inside each class
  chosen: dict[str, list[np.ndarray]] = {name: [] for name in (splits[0], *held_out)}
  for own in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
    if len(own) <= len(held_out):
      raise ValueError(
        _too_few(len(own), groups[own[0]] if len(own) else 0, shares, chosen, strata, classes)
      )
    first = 0
    for split, number in counts(len(own), held_out).items():
      chosen[split].append(own[first : first + number])
      first += number
    chosen[splits[0]].append(own[first:])
  return {split: np.sort(np.concatenate(found)).astype(np.int32) for split, found in chosen.items()}


@dataclasses.dataclass(frozen=True)
class Divided:
  """Examples in memory after division of the training examples.

  Attributes:
    columns: split → column → [N, …] array.
    splits: split of the config → TFDS slicing of the splits in `columns`.
    shares: string that results in the same division; '' if nothing was divided.
    note: one line that describes the splits; '' if the data set defines them.
  """

  columns: Mapping[str, Mapping[str, np.ndarray]]
  splits: Mapping[str, Any]
  shares: str
  note: str


def of_columns(
  columns: Mapping[str, Mapping[str, np.ndarray]],
  splits: Any,
  *,
  seed: int,
  where: str,
  classes: Sequence[str] | None = None,
) -> Divided:
  """Finds the splits of examples in memory, and divides 'train' for missing splits.

  Args:
    columns: split → column → [N, …] array. If 'label' is [N], each class has its share in every
      split.
    splits: None for train, validation and test; 10 % of the training examples are held out for each
      missing split. A string such as '80/10/10' contains the per cent for train and for each
      missing split. A dict of split → TFDS slicing is used unchanged.
    seed: as in `divide`.
    where: description of the data, for messages.
    classes: as in `divide`.

  Returns:
    Divided.

  Raises:
    ValueError: there are no training examples, nothing can be divided, or as in `divide`.
  """
  check(splits)
  if isinstance(splits, Mapping):
    return Divided(columns, splits, '', '')
  if 'train' not in columns:
    raise ValueError(
      f'{where} has {listed(columns)} examples but no training examples: name the split train, or '
      'give config.data.splits as slices'
    )
  missing = [name for name in SPLITS if name not in columns]
  if splits and not missing:
    raise ValueError(
      f'config.data.splits={splits!r} has nothing to divide: {where} has {listed(SPLITS)}; leave '
      'the key out'
    )
  own = [name for name in SPLITS if name in columns]
  if not missing:
    return Divided(columns, {name: name for name in own}, '', '')
  shares = splits or example(1 + len(missing))
  label = columns['train'].get('label')
  strata = label if label is not None and label.ndim == 1 else None
  count = len(next(iter(columns['train'].values())))
  chosen = divide(strata, count, shares, seed, splits=('train', *missing), classes=classes)
  divided = {
    name: {column: values[positions] for column, values in columns['train'].items()}
    for name, positions in chosen.items()
  }
  drawn = ', '.join(
    f'{part} % {name}'
    for part, name in zip(parts_of(shares), ('train', *missing), strict=False)
    if part
  )
  how = f'with seed {seed}' if strata is None else f'from each class with seed {seed}'
  note = f'splits: {drawn}, drawn {how} (config.data.splits={shares!r})'
  return Divided(
    {**columns, **divided},
    {name: name for name in SPLITS if name in columns or name in divided},
    shares,
    note,
  )


def _too_few(have, group, shares, chosen, strata, classes):
  """Returns the message for a class with fewer examples than splits."""
  noun = 'example' if have == 1 else 'examples'
  if strata is None:
    return (
      f'config.data.splits={shares!r} divides {have} {noun} into {listed(chosen)}: give more '
      'examples, or fewer parts'
    )
  name = group if classes is None else repr(classes[group])
  return (
    f"class {name} has {have} {noun}, too few for {listed(chosen)} ('{shares}'): add some, leave "
    "the class out, or give config.data.splits as slices, such as \"dict(train='train[:90%]', "
    "validation='train[90%:]')\""
  )


def listed(names: Any) -> str:
  """Joins names, such as 'train, validation and test'."""
  *first, last = names
  return f'{", ".join(first)} and {last}' if first else last
