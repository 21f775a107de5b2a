"""Training: an experiment built from a config, and the loop that trains one or several runs."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from jaxdl.training.experiment import Experiment, build
  from jaxdl.training.loop import Callbacks, train, train_runs

__all__ = ['Callbacks', 'Experiment', 'build', 'train', 'train_runs']

_MODULES = {
  'Callbacks': 'loop',
  'Experiment': 'experiment',
  'build': 'experiment',
  'train': 'loop',
  'train_runs': 'loop',
}


def __getattr__(name: str) -> Any:
  """Imports a public name at its first use; building an experiment does not import orbax."""
  if name not in _MODULES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(f'{__name__}.{_MODULES[name]}'), name)
