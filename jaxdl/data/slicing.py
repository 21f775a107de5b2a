"""Splits in TFDS's notation: 'train', 'train[:45000]', 'train[90%:]', 'train[-5000:]+test'."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

# Slices that messages suggest for examples that are not divided into splits yet.
CUT = {'train': ':70%', 'validation': '70%:85%', 'test': '85%:'}
CUT_BESIDE_TEST = {'train': ':85%', 'validation': '85%:'}  # the test split is unchanged

Interval = tuple[str, int, int]  # split name, first example, one past the last


def cut(columns: Mapping[str, Mapping[str, np.ndarray]], expression: Any) -> dict[str, np.ndarray]:
  """Examples of a split in TFDS's notation.

  Args:
    columns: split name → column name → [N, …].
    expression: such as 'train', 'train[:45000]', 'train[90%:]' or 'train[-5000:]+test'.

  Returns:
    column name → [n, …], views if the expression has no '+'.

  Raises:
    ValueError: an unknown split, a malformed slice, or one that selects nothing.
  """
  parts = [
    {name: values[start:stop] for name, values in columns[split].items()}
    for split, start, stop in intervals(expression, counts(columns))
  ]
  if len(parts) == 1:
    return parts[0]
  return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def counts(columns: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, int]:
  """Split name → number of its examples."""
  return {split: len(next(iter(part.values()))) for split, part in columns.items()}


def intervals(expression: Any, count: Mapping[str, int]) -> list[Interval]:
  """The examples that an expression names.

  Args:
    expression: text as in `cut`.
    count: split name → number of its examples.

  Returns:
    (split name, first example, one past the last) of each part of the expression.

  Raises:
    ValueError: as `cut`.
  """
  return [_interval(part.strip(), count) for part in str(expression).split('+')]


def _interval(expression: str, count: Mapping[str, int]) -> Interval:
  match = re.fullmatch(r'(\w+)(?:\[(-?\d{1,12}%?)?:(-?\d{1,12}%?)?\])?', expression)
  if not match or match[1] not in count:
    suggested = CUT_BESIDE_TEST if 'test' in count else CUT
    flags = ' '.join(
      f"--config.data.splits.{name}='train[{part}]'" for name, part in suggested.items()
    )
    raise ValueError(
      f'split {expression!r} is not one of {", ".join(count)}, or a slice such as train[:90%]: '
      f'change it in config.data.splits, such as {flags}'
    )
  size = count[match[1]]
  start, stop = (_position(text, size) for text in match.group(2, 3))
  chosen = range(size)[start:stop]
  if not chosen or max(abs(start or 0), abs(stop or 0)) > size:
    raise ValueError(f'split {expression!r} is out of range: {match[1]} has {size} examples')
  return match[1], chosen.start, chosen.stop


def _position(text: str | None, count: int) -> int | None:
  """'90%' → examples, rounded as TFDS does (half to even); '45000' → 45000; None → None."""
  if text is None:
    return None
  return round(int(text[:-1]) * count / 100) if text.endswith('%') else int(text)


def refuse_overlap(splits: Mapping[str, Any], count: Mapping[str, int]) -> None:
  """Refuses a training split that shares examples with a split that it is measured on.

  Args:
    splits: 'train' and others → expression.
    count: split name → number of its examples.

  Raises:
    ValueError: they overlap; the message names the number of shared examples.
  """
  for name in splits:
    if name == 'train':
      continue
    both = shared(splits['train'], splits[name], count)
    if both:
      raise ValueError(
        f'config.data.splits.{name}={splits[name]!r} shares {both:,} examples with '
        f'train={splits["train"]!r}: make them disjoint, or set config.data.overlap=True'
      )


def shared(expression: Any, other: Any, count: Mapping[str, int]) -> int:
  """How many examples both expressions name; arguments as in `intervals`."""
  first, second = taken([expression], count), taken([other], count)
  return sum(int((first[split] & second[split]).sum()) for split in first.keys() & second.keys())


def taken(
  expressions: Iterable[Any], count: Mapping[str, int]
) -> dict[str, Bool[np.ndarray, ' _']]:
  """Which examples at least one of the expressions names.

  Args:
    expressions: texts as in `cut`.
    count: split name → number of its examples.

  Returns:
    split name → [N] bool, for the splits that are named at all.
  """
  found = {}
  for expression in expressions:
    for split, start, stop in intervals(expression, count):
      found.setdefault(split, np.zeros(count[split], bool))[start:stop] = True
  return found
