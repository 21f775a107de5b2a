"""Runs a command of jaxdl, or lists the commands.

Usage:

    jaxdl COMMAND …
    python -m jaxdl COMMAND …
"""

import importlib
import sys

COMMANDS = {  # name → (module, description)
  'train': ('jaxdl.main', 'train, evaluate, checkpoint and resume an experiment'),
  'analyze': ('jaxdl.analyze', 'analyse a trained network: pictures and numbers'),
  'predict': ('jaxdl.predict', 'apply a trained network to your own images or texts'),
  'report': ('jaxdl.report', 'write one page about a run, or about several'),
  'sweep': ('jaxdl.sweep', 'train many runs; write one table and one figure'),
  'exam': ('jaxdl.exam', 'grade attribution methods on networks whose evidence is known'),
  'generate': ('jaxdl.generate', 'generate text with a language model'),
  'export': ('jaxdl.export', 'write a network in the format of another tool'),
  'import': ('jaxdl.import_weights', 'create a run from weights of PyTorch, Keras or NumPy'),
  'status': ('jaxdl.status', 'show the progress of runs'),
  'verify': ('jaxdl.verify', 'replay steps of a run and compare every bit'),
  'pack': ('jaxdl.pack', 'pack a run into one .zip file, to hand in, mail or publish'),
  'data': ('jaxdl.data', 'list the data sets, or prepare one'),
  'configs': ('jaxdl.config', 'list the configs of the package, or copy one'),
}
ALIASES = {'main': 'train', 'config': 'configs'}


def main() -> int:
  """Runs the command given on the command line; returns the exit code."""
  called = 'python -m jaxdl' if sys.argv[0].endswith('__main__.py') else 'jaxdl'
  word = sys.argv[1] if len(sys.argv) > 1 else '--help'
  if word in ('-h', '--help'):
    _list_commands(called)
    return 0
  if word == '--version':
    from jaxdl import __version__

    print(f'jaxdl {__version__}')
    return 0
  name = ALIASES.get(word, word)
  if name not in COMMANDS:
    from jaxdl.config.spelling import meant

    commands = ', '.join(COMMANDS)
    print(
      f'jaxdl: {word} is not a command: use one of {commands}{meant(word, COMMANDS)}',
      file=sys.stderr,
    )
    return 1
  from jaxdl.terminal import start

  start.begin()
  module = _module(name)
  from jaxdl.terminal import command

  less_memory = getattr(module, 'LESS_MEMORY', command.LESS_TO_TRAIN)
  return command.run(module.main, [f'{called} {word}', *sys.argv[2:]], less_memory=less_memory)


def _module(name):
  """Imports the module of a command; for a package, its __main__ module."""
  place, _ = COMMANDS[name]
  module = importlib.import_module(place)
  if hasattr(module, '__path__'):
    module = importlib.import_module(f'{place}.__main__')
  return module


def _list_commands(called):
  for name, (module, what) in COMMANDS.items():
    print(f'{called} {name:<9} {what} (python -m {module})')
  print(f'Each has --help. To start: {called} train --config=lstm_mnist')


if __name__ == '__main__':
  sys.exit(main())
