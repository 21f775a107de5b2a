"""Packs a run into one .zip file that every command takes in the place of the run's folder.

Usage:

    python -m jaxdl.pack D
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import dataclasses
import pathlib
import sys
from collections.abc import Sequence

import jaxdl
from jaxdl.config import paths
from jaxdl.data import licences
from jaxdl.report import card, page
from jaxdl.runs import checkpoint, code, integrity, packed, record
from jaxdl.terminal import command

EXAMPLES = """\
  python -m jaxdl.pack runs/cnn_mnist
  python -m jaxdl.pack runs/cnn_cifar10 --out=hand_in.zip"""


def main(arguments: Sequence[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='pack',
    called=arguments[0],
    description='Pack a run into one .zip file, which commands take in the place of its folder.',
    examples=EXAMPLES,
    json=True,
    run='folder of a run',
  )
  parser.add_argument('--out', metavar='FILE', help='the file (default DIR.zip)')
  parser.add_argument(
    '--pictures',
    action='store_true',
    help='keep the pictures of analyses in report.html also where the licence of the data is not '
    'known to allow it: they show examples',
  )
  chosen = parser.parse_args(arguments[1:])
  folder = pathlib.Path(chosen.workdir)
  if paths.is_packed(folder):
    raise ValueError(f'{folder} is packed already: give the folder of a run')
  file = _target(folder, chosen.out)
  there = ', in place of the one before' if file.exists() else ''
  found = pack(folder, file, pictures=chosen.pictures)
  print(f'{file}: {len(found["files"])} files, {found["bytes"] / 1e3:,.0f} kB{there}')
  if not found['pictures']:
    name = found['data']
    print(f'report.html has no pictures: the licence of {name} is not known to allow it')
  command.print_result(found, as_json=chosen.json)
  return 0


def _target(folder, out):
  """The path of the .zip file: --out, or one beside the run's folder."""
  if out is None:
    place = folder.resolve()
    return (
      folder.parent / f'{place.name}.zip' if folder.name else place.with_name(f'{place.name}.zip')
    )
  file = pathlib.Path(out)
  if file.suffix.lower() != paths.PACKED or file.is_dir():
    raise ValueError(f'--out={out} is no name of a .zip file: name one, such as {folder.name}.zip')
  if not file.parent.is_dir():
    raise FileNotFoundError(
      f'--out={out}: the folder {file.parent} is not there: make it, or name another'
    )
  return file


def pack(folder: pathlib.Path, file: pathlib.Path, *, pictures: bool = False) -> dict:
  """Packs a run: its config, best checkpoint, figures, model card and report.

  Args:
    folder: the run's folder.
    file: path of the .zip file, which is replaced if it exists.
    pictures: whether to keep the pictures of analyses if the licence of the data is not known to
      allow copies.

  Returns:
    {'file': path, 'bytes': its size, 'sha256': its checksum, 'files': names of the packed files,
    'data': name of the data set, 'pictures': whether the report has pictures}.

  Raises:
    FileNotFoundError: the run has no summary or no checkpoint.
    ValueError: a file of the run is damaged.
    OSError: the .zip file cannot be written.
  """
  run = record.load(folder)
  found = packed.contents(folder)
  checkpoint.read_step(folder, run.summary['step'])  # raises for a damaged one
  data = run.config['data']['name']
  pictures = pictures or licences.of(data).allows_copies
  clean = dataclasses.replace(
    run,
    config=packed.without_paths(_config(run)),
    summary=packed.without_paths(run.summary),
    command=packed.command_without_paths(run.command),
  )
  parts = page.one(clean, place=file.name, pictures=pictures)
  for section in parts['sections']:
    section['drawn_by'] = [packed.command_without_paths(flags) for flags in section['drawn_by']]
  found['card.md'] = card.markdown(parts['card'], parts['title']).encode()
  found['report.html'] = page.render(parts).encode()
  packed.write(file, found, jaxdl.__version__)
  return {
    'file': str(file),
    'bytes': file.stat().st_size,
    'sha256': integrity.of_file(file),
    'files': sorted(found),
    'data': data,
    'pictures': pictures,
  }


def _config(run):
  """The config of a run, with its own code for the layer table if it may be executed here."""
  try:
    return run.linked
  except code.RefusedCodeError:
    return run.config


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv))
