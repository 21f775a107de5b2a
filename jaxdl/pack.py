"""Packs a run into one .zip file, which commands accept instead of the folder of the run.

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
from jaxdl import stores
from jaxdl.config import paths
from jaxdl.data import licences
from jaxdl.monitoring import examples
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
    description='Pack a run into one .zip file, which commands accept instead of its folder.',
    examples=EXAMPLES,
    json=True,
    run='folder of a run',
  )
  parser.add_argument(
    '--out',
    metavar='FILE',
    help='output file (default DIR.zip, for an address in the current folder)',
  )
  parser.add_argument(
    '--pictures',
    action='store_true',
    help='keep the pictures of examples in report.html even if the licence of the data is not '
    'known to allow copies',
  )
  chosen = parser.parse_args(arguments[1:])
  if paths.is_address(chosen.workdir) and chosen.out is None:
    chosen.out = f'{pathlib.PurePosixPath(chosen.workdir).name}{paths.PACKED}'
  with stores.reading(chosen.workdir) as chosen.workdir:
    return _pack(chosen)


def _pack(chosen):
  """Packs the run and prints the result; returns the exit code."""
  folder = pathlib.Path(chosen.workdir)
  if paths.is_packed(folder):
    raise ValueError(f'{folder} is already packed: give the folder of a run')
  file = _target(folder, chosen.out)
  there = ', replaces the previous file' if file.exists() else ''
  found = pack(folder, file, pictures=chosen.pictures)
  print(f'{file}: {len(found["files"])} files, {found["bytes"] / 1e3:,.0f} kB{there}')
  if not found['pictures']:
    print(
      f'report.html has no pictures, because the licence of {found["data"]} is not known to allow '
      'copies: --pictures keeps them'
    )
  command.print_result(found, as_json=chosen.json)
  return 0


def _target(folder, out):
  """Returns the path of the .zip file: --out, or DIR.zip next to the run's folder."""
  place = folder.resolve()
  name = f'{place.name}{paths.PACKED}'
  if out is not None:
    return command.output_file(out, example=name, suffixes=[paths.PACKED])
  return folder.parent / name if folder.name else place.with_name(name)


def pack(folder: pathlib.Path, file: pathlib.Path, *, pictures: bool = False) -> dict:
  """Packs the config, best checkpoint, metrics, model card and report of a run.

  Args:
    folder: the run's folder.
    file: path of the .zip file. An existing file is replaced.
    pictures: whether to keep examples and their pictures if the licence of the data is not known to
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
  checkpoint.read_step(folder, run.summary['step'])  # raises ValueError if it is damaged
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
  if pictures and (folder / examples.NAME).is_file():
    found[examples.NAME] = (folder / examples.NAME).read_bytes()
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
