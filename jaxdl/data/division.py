"""Divides examples into splits by a text such as '80/10/10'."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Int32

from jaxdl.data.dataset import SPLITS

HELD_OUT = 10  # per cent of the training examples, for each split that the data do not have
STREAM = 1 << 63  # key of the random numbers, which no epoch of `order.permutation` has


def check(splits: Any) -> None:
  """Raises ValueError if a text is not parts in per cent, such as '80/10/10', that add up to 100.

  Args:
    splits: `splits` of a config's data section; other values than texts are not checked.
  """
  if not isinstance(splits, str):
    return
  if not re.fullmatch(r'\d{1,3}(/\d{1,3})+', splits):
    raise ValueError(
      f'config.data.splits={splits!r} is not a division: write the per cent of train, validation '
      "and test, such as '80/10/10'"
    )
  parts = parts_of(splits)
  if len(parts) > len(SPLITS):
    raise ValueError(
      f'config.data.splits={splits!r} has {len(parts)} parts: write the per cent of train, '
      "validation and test, such as '80/10/10'"
    )
  if sum(parts) != 100:
    raise ValueError(
      f'config.data.splits={splits!r} adds up to {sum(parts)}, not to 100: change a part, such as '
      f"'{example(len(parts))}'"
    )
  if not parts[0]:
    raise ValueError(
      f'config.data.splits={splits!r} leaves nothing for training: make the first part larger, '
      f"such as '{example(len(parts))}'"
    )


def parts_of(splits: str) -> list[int]:
  """The parts of a text such as '80/10/10', in per cent."""
  return [int(part) for part in splits.split('/')]


def example(count: int) -> str:
  """A text with `count` parts, such as '90/10'."""
  return '/'.join(map(str, [100 - HELD_OUT * (count - 1), *[HELD_OUT] * (count - 1)]))


def counts(examples: int, held_out: Mapping[str, int]) -> dict[str, int]:
  """How many examples of a class each held-out split gets.

  Args:
    examples: number of examples of the class, more than there are held-out splits.
    held_out: split → per cent, above 0.

  Returns:
    split → number, at least one; at least one example is left for training.
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
  """Divides examples at random; each class has its share in every split.

  The random numbers are Philox's raw bits, which are equal on every machine and NumPy version.

  Args:
    strata: the class of each example; None for one class of all examples.
    count: N, the number of examples.
    shares: such as '80/10/10', per cent of each of `splits`; missing parts are 0.
    seed: int >= 0, decides which examples of a class are in which split.
    splits: names of the splits, the training split first.
    classes: names of the classes in the order of their numbers, for messages.

  Returns:
    split → positions of its examples in ascending order, for the splits whose part is not 0.

  Raises:
    ValueError: `shares` is not a division, has more parts than there are splits, or a class has
      fewer examples than there are splits.
  """
  check(shares)
  parts = parts_of(shares)
  if len(parts) > len(splits):
    raise ValueError(
      f'config.data.splits={shares!r} has {len(parts)} parts, but only {listed(splits)} have none: '
      f"write '{example(len(splits))}'"
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
  """Examples in memory after those without a split were divided.

  Attributes:
    columns: split → column → [N, …] array; each split has its own name.
    splits: split of the config → TFDS slicing of the splits in `columns`.
    shares: the text that divides the data in the same way; '' if nothing was divided.
    note: one line that says how the splits were found; '' for a data set with its own.
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
  """Finds the splits of examples in memory, and divides 'train' for splits that are missing.

  Args:
    columns: split → column → [N, …] array. If 'label' is [N], each class has its share in every
      split.
    splits: None for train, validation and test, of which the missing ones get 10 % of the training
      examples each; a text such as '80/10/10' with the per cent of train and of each missing split;
      or a dict of split → TFDS slicing, which is taken as it is.
    seed: as in `divide`.
    where: the data, for messages.
    classes: as in `divide`.

  Returns:
    Divided.

  Raises:
    ValueError: no training examples, nothing to divide, or as in `divide`.
  """
  check(splits)
  if isinstance(splits, Mapping):
    return Divided(columns, splits, '', '')
  if 'train' not in columns:
    raise ValueError(
      f'{where} has {listed(columns)} examples but none for training: name the split train, or '
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
  """The message for a class with fewer examples than splits."""
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
  """Names as text: 'train, validation and test'."""
  *first, last = names
  return f'{", ".join(first)} and {last}' if first else last
