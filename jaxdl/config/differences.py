"""Differences between two configs."""

from typing import Any


def changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
  """Returns the keys whose values differ in two configs, such as 'model.features', in order."""
  before, now = flat(before), flat(now)
  return sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))


def flat(tree: Any, prefix: str = '') -> dict[str, Any]:
  """{'a': {'b': 1}} → {'a.b': 1}."""
  if not isinstance(tree, dict):
    return {prefix[:-1]: tree}
  return {
    key: value
    for name, below in tree.items()
    for key, value in flat(below, f'{prefix}{name}.').items()
  }
