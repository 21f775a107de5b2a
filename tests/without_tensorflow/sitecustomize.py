"""Python reads this at its start where this folder is on its path: TensorFlow is then as if it were
not installed.
"""

from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: (
  None if name.partition('.')[0] == 'tensorflow' else find(name, *rest)
)
