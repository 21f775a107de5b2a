"""python -m jaxdl.data list | prepare NAME --from=DIR: the data sets, and how to prepare one
without a network.
"""

if __name__ == '__main__':  # before the imports below, which take seconds
  from jaxdl.terminal import start

  start.begin()


import argparse
import json
import pathlib
import sys

from jaxdl.data import DATA_SETS, array_cache, bundle, tfds_arrays
from jaxdl.data.photographs import folders
from jaxdl.data.prepare import prepare
from jaxdl.data.raw.sources import MANUAL, RAW
from jaxdl.data.sets import planted
from jaxdl.terminal import command, progress

PLANTED = {read.__name__ for read in planted.SETS}  # computed when they are read
FOLDER = 'image_folder'  # photographs of a user
NEEDS = {  # data set → the key that names the user's data
  FOLDER: 'folder=DIR',
  'arrays': 'file=FILE',
  'table': 'file=FILE --config.data.target=COLUMN',
  'text': 'file=FILE',
  'tfds': 'dataset=NAME',
  'huggingface': 'dataset=NAME',
}
EXAMPLES = """\
  python -m jaxdl.data list
  python -m jaxdl.data prepare mnist --from=downloads/mnist"""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='data',
    called=arguments[0],
    examples=EXAMPLES,
    description='See which data sets there are, or prepare one from raw files. Photographs of '
    'your own need no preparation: '
    'python -m jaxdl.main --config=cnn_food11 --config.data.folder=DIR',
  )
  commands = parser.add_subparsers(dest='command', required=True)
  listing = commands.add_parser(
    'list', help='where each data set comes from now, its size and, where prepared, its splits'
  )
  preparing = commands.add_parser('prepare', help='build a TFDS data set from raw files on disk')
  preparing.add_argument('name', choices=list(RAW), metavar='NAME', help=', '.join(RAW))
  preparing.add_argument(
    '--from', dest='raw', required=True, metavar='DIR', help='folder of the raw files'
  )
  for part in (listing, preparing):
    part.add_argument(
      '--data_dir',
      metavar='DIR',
      help="TFDS's folder (default: $TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )
    part.add_quiet(default=argparse.SUPPRESS)  # keeps the one given before the subcommand
  chosen = parser.parse_args(arguments[1:])
  if chosen.command == 'list':
    command.print_quietly(show(chosen.data_dir), quiet=chosen.quiet)
    return 0
  if chosen.name == FOLDER and pathlib.Path(chosen.raw).expanduser().is_dir():
    left_out = folders.find(chosen.raw).remark(chosen.raw)
    if left_out is not None:
      print(f'jaxdl: {left_out}', file=sys.stderr)
  with progress.waiting(f'preparing {chosen.name} from {chosen.raw}'):
    folder, was_there = prepare(chosen.name, raw=chosen.raw, data_dir=chosen.data_dir)
    if chosen.name != FOLDER:
      DATA_SETS[chosen.name].args[0](
        source='tfds', data_dir=chosen.data_dir
      )  # decodes it once and caches the arrays
  print(f'{chosen.name} {"was there already" if was_there else "is prepared"}: {folder}')
  splits = splits_of(folder)
  print(_words(splits))
  found = {'name': chosen.name, 'folder': str(folder), 'was_there': was_there, 'splits': splits}
  command.print_quietly(found, quiet=chosen.quiet)
  return 0


def show(data_dir: str | None) -> dict[str, dict]:
  """Prints a line for each data set.

  Args:
    data_dir: TFDS's folder; None for the default.

  Returns:
    Name → 'origin' ('tfds', 'bundled' or 'absent') and 'splits', the length of each split.
  """
  root = tfds_arrays.root_folder(data_dir)
  print(f'prepared data sets are looked for in {root}')
  copies = sorted(f'{FOLDER}/{path.name}' for path in (root / FOLDER).glob('*') if path.is_dir())
  found = {}
  for name in [*DATA_SETS, *copies]:
    folder = tfds_arrays.version_folder(root, name)
    if folder is not None:
      counts = splits_of(folder)
      print(f'{name:<20}tfds      {_megabytes(folder)}  {_words(counts)}')
      found[name] = {'origin': 'tfds', 'splits': counts}
    elif (bundle.FOLDER / name).is_dir() or name in PLANTED:
      columns = DATA_SETS[name].args[0](source='bundled', data_dir=data_dir).columns
      counts = {split: len(next(iter(arrays.values()))) for split, arrays in columns.items()}
      size = f'{"":>9}' if name in PLANTED else _megabytes(bundle.FOLDER / name)
      print(f'{name:<20}bundled   {size}  {_words(counts)}')
      found[name] = {'origin': 'bundled', 'splits': counts}
    else:
      ways = []
      if name in NEEDS:
        ways.append(f'needs only --config.data.{NEEDS[name]}')
      elif name not in MANUAL:
        # RAW has no data sets of a user
        ways.append(f'is {"downloaded" if name in RAW else "read, or downloaded,"} at first use')
      ways += [f'python -m jaxdl.data prepare {name} --from=DIR'] * (name in RAW)
      print(f'{name:<20}absent    {"":>9}  {", or: ".join(ways)}')
      found[name] = {'origin': 'absent', 'splits': {}}
  return found


def splits_of(folder: pathlib.Path) -> dict[str, int]:
  """Split → length in a prepared version: examples, or characters where its arrays are cached."""
  if (counts := array_cache.counts(folder)) is None:
    try:
      info = json.loads((folder / 'dataset_info.json').read_text(encoding='utf-8'))
      counts = {split['name']: sum(map(int, split['shardLengths'])) for split in info['splits']}
    except (ValueError, LookupError, TypeError) as error:
      raise ValueError(
        f'{folder / "dataset_info.json"} is damaged ({error}): delete {folder} and prepare it again'
      ) from error
  return counts


def _words(counts):
  """'train 60,000  test 10,000'."""
  return '  '.join(f'{split} {count:,}' for split, count in counts.items())


def _megabytes(folder):
  size = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
  return f'{size / 1e6:6.1f} MB'


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv))
