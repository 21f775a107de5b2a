"""python -m jaxdl.config [NAME --to=DIR]: the configs that come with the package."""

if __name__ == '__main__':  # before the imports below, which take seconds
  from jaxdl.terminal import start

  start.begin()


import pathlib
import shutil
import sys

from jaxdl.config import library, spelling
from jaxdl.terminal import command

EXAMPLES = """\
  python -m jaxdl.config
  python -m jaxdl.config lstm_mnist --to=."""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='config',
    called=arguments[0],
    description='List the configs that come with the package, or copy one to change it.',
    examples=EXAMPLES,
  )
  parser.add_argument('name', nargs='?', metavar='NAME', help='the config to print or copy')
  parser.add_argument('--to', metavar='DIR', help='folder to copy it to')
  chosen = parser.parse_args(arguments[1:])
  if chosen.name is None:
    if chosen.to is not None:
      parser.error('--to needs the name of a config')
    titles = {name: library.title(name) for name in library.names()}
    for name, title in titles.items():
      print(f'{name:<36}{title}')
    command.print_quietly(titles, quiet=chosen.quiet)
    return 0
  file = library.find(chosen.name)
  if file is None:
    near = spelling.meant(chosen.name, library.names())
    raise ValueError(f'the package has no config {chosen.name}{near}')
  if chosen.to is None:
    text = file.read_text(encoding='utf-8')
    print(text, end='')
    command.print_quietly({'name': chosen.name, 'text': text}, quiet=chosen.quiet)
    return 0
  target = pathlib.Path(chosen.to) / file.name
  if not target.parent.is_dir():
    raise FileNotFoundError(f'--to={chosen.to} is not a folder: create it, or name another')
  if target.exists():
    raise FileExistsError(f'{target} exists: delete it, or name another folder')
  shutil.copyfile(file, target)
  print(f'{target}: python -m jaxdl.{_command(chosen.name)} --config={target}')
  command.print_quietly({'name': chosen.name, 'file': str(target)}, quiet=chosen.quiet)
  return 0


def _command(name):
  return {'sweeps': 'sweep', 'exam': 'exam'}.get(name.partition('/')[0], 'main')


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv))
