"""python -m jaxdl: which commands there are."""

import sys

COMMANDS = {
  'main': 'train, evaluate, checkpoint and resume an experiment',
  'analyze': 'look inside its network: pictures and numbers',
  'report': 'one page about a run, or about several',
  'sweep': 'many runs, one table and one figure',
  'generate': 'let a language model write',
  'status': 'how far runs are',
  'data': 'which data sets there are, and how to prepare them',
}

if __name__ == '__main__':
  if given := [word for word in sys.argv[1:] if not word.startswith('-')]:
    sys.exit(
      f'jaxdl: {given[0]} is written with a dot: python -m jaxdl.{given[0]}'
      if given[0] in COMMANDS
      else f'jaxdl: {given[0]} is no command: use one of {", ".join(f"jaxdl.{name}" for name in COMMANDS)}'
    )
  for name, what in COMMANDS.items():
    print(f'python -m jaxdl.{name:<9} {what}')
  print(
    'Each explains itself with --help. To begin: python -m jaxdl.main --config=configs/lstm_mnist.py'
  )
