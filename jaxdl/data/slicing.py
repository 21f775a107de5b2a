"""Splits named as TFDS names them: 'train', 'train[:45000]', 'train[90%:]', 'train[-5000:]+test'."""

import re

import numpy as np

CUT = {
  'train': ':70%',
  'validation': '70%:85%',
  'test': '85%:',
}  # of examples that are in no split yet


def cut(columns, expression):
  """Examples of a split named as TFDS names them: 'train', 'train[:45000]', 'train[90%:]',
  'train[-5000:]+test'.

  Args:
    columns: split name → column name → [N, …].
    expression: str.

  Returns:
    column name → [n, …], views where the expression has no '+'.

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


def counts(columns):
  """Split name → how many examples it has."""
  return {split: len(next(iter(part.values()))) for split, part in columns.items()}


def intervals(expression, count):
  """The examples that an expression names.

  Args:
    expression: str, as in `cut`.
    count: split name → examples in it.

  Returns:
    list of (split name, first example, one past the last).

  Raises:
    ValueError: as `cut`.
  """
  return [_interval(part.strip(), count) for part in str(expression).split('+')]


def _interval(expression, count):
  match = re.fullmatch(r'(\w+)(?:\[(-?\d{1,12}%?)?:(-?\d{1,12}%?)?\])?', expression)
  if not match or match[1] not in count:
    cut = (
      CUT if 'test' not in count else {'train': ':85%', 'validation': '85%:'}
    )  # a test split stays what it is
    parts = ' '.join(f"--config.data.splits.{name}='train[{part}]'" for name, part in cut.items())
    raise ValueError(
      f'split {expression!r} is not one of {", ".join(count)}, or a slice such as train[:90%]: '
      f'change it in config.data.splits, such as {parts}'
    )
  whole = count[match[1]]
  start, stop = (_position(text, whole) for text in match.group(2, 3))
  chosen = range(whole)[start:stop]
  if not chosen or max(abs(start or 0), abs(stop or 0)) > whole:
    raise ValueError(f'split {expression!r} is out of range: {match[1]} has {whole} examples')
  return match[1], chosen.start, chosen.stop


def _position(text, count):
  """'90%' → examples, rounded as TFDS does (half to even); '45000' → 45000; None → None."""
  if text is None:
    return None
  return round(int(text[:-1]) * count / 100) if text.endswith('%') else int(text)


def refuse_overlap(splits, count):
  """Refuses a training split that shares examples with one it is measured on.

  Args:
    splits: 'train' and others → expression.
    count: split name → examples in it.

  Raises:
    ValueError: they overlap; the message says by how many examples.
  """
  for name in splits:
    if name == 'train':
      continue
    if both := shared(splits['train'], splits[name], count):
      raise ValueError(
        f'config.data.splits.{name}={splits[name]!r} shares {both:,} examples with '
        f'train={splits["train"]!r}: cut them apart, or set config.data.overlap=True'
      )


def shared(expression, other, count):
  """How many examples are named by both expressions; `count` as in `intervals`."""
  first, second = taken([expression], count), taken([other], count)
  return sum(int((first[split] & second[split]).sum()) for split in first.keys() & second.keys())


def taken(expressions, count):
  """Which examples any of some expressions names.

  Args:
    expressions: iterable of str, as in `cut`.
    count: split name → examples in it.

  Returns:
    split name → [N] bool, for the splits that are named at all.
  """
  found = {}
  for expression in expressions:
    for split, start, stop in intervals(expression, count):
      found.setdefault(split, np.zeros(count[split], bool))[start:stop] = True
  return found
