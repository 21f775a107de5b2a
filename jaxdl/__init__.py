"""jaxdl: train a small network and look inside it, repeatable bit for bit.

    import jaxdl

    config = jaxdl.read_config('lstm_mnist', seed=1, optimizer={'learning_rate': 3e-4})
    summary = jaxdl.train(config, 'runs/lstm_mnist')
    run = jaxdl.load('runs/lstm_mnist')
    found = run.predict(images)
    run.export('onnx')

Importing the package imports neither JAX nor any other library; a name of `__all__` imports what it
needs when it is first used. On the versions of jaxlib that compute wrong numbers on CPUs, the
import adds a flag to XLA_FLAGS (`jaxdl.devices.compiler`).
"""

import importlib
import typing

from jaxdl.devices import compiler

if typing.TYPE_CHECKING:
  from jaxdl import analysis as analysis
  from jaxdl.config.reading import read_config as read_config
  from jaxdl.main import train as train
  from jaxdl.prediction.run import Run as Run
  from jaxdl.prediction.run import load as load
  from jaxdl.training.experiment import Experiment as Experiment
  from jaxdl.training.experiment import build as build
  from jaxdl.training.finding import find_rate as find_rate

  __version__: str

_PLACES = {  # public name → module that defines it
  'Experiment': 'jaxdl.training.experiment',
  'Run': 'jaxdl.prediction.run',
  'build': 'jaxdl.training.experiment',
  'find_rate': 'jaxdl.training.finding',
  'load': 'jaxdl.prediction.run',
  'read_config': 'jaxdl.config.reading',
  'train': 'jaxdl.main',
}

__all__ = ['Experiment', 'Run', 'analysis', 'build', 'find_rate', 'load', 'read_config', 'train']


def __getattr__(name: str) -> typing.Any:
  if name in _PLACES:
    found = getattr(importlib.import_module(_PLACES[name]), name)
  elif name == 'analysis':
    found = importlib.import_module('jaxdl.analysis')
  elif name == '__version__':
    found = _version()
  else:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  globals()[name] = found
  return found


def __dir__() -> list[str]:
  return sorted([*__all__, '__version__', '__doc__', '__name__', '__path__'])


def _version() -> str:
  """The version of the installed package; of a checkout that is not installed, pyproject.toml's."""
  from importlib import metadata

  try:
    return metadata.version('jaxdl')
  except metadata.PackageNotFoundError:
    import pathlib
    import tomllib

    pyproject = pathlib.Path(__file__).parents[1] / 'pyproject.toml'
    return tomllib.loads(pyproject.read_text(encoding='utf-8'))['project']['version']


compiler.set_flags()  # before JAX starts: it reads them once
