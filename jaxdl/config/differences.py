"""Differences between two configs."""


def changed_keys(before, now, *, but):
  """The keys in which two configs differ, in order, but for some and what stands below them."""
  before, now = flat(before), flat(now)
  return sorted(
    key
    for key in before.keys() | now.keys()
    if before.get(key) != now.get(key) and not f'{key}.'.startswith(tuple(f'{one}.' for one in but))
  )


def flat(tree, prefix=''):
  """{'a': {'b': 1}} → {'a.b': 1}."""
  if not isinstance(tree, dict):
    return {prefix[:-1]: tree}
  return {
    key: value
    for name, below in tree.items()
    for key, value in flat(below, f'{prefix}{name}.').items()
  }
