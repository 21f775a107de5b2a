"""Packed runs: one .zip file with the trained network, its metrics and its description.

`opened` returns the folder of a run, or the unpacked folder of a packed run. Nothing in a packed
run is executed. Before its files are used, it checks

- names: relative paths of plain characters, without '..', links, duplicates or folders;
- sizes: at most `LARGEST` bytes, `MOST_FILES` files and `RATIO` times the size of the .zip;
- content: the sha256 of every file must equal that in `manifest.json`, which must list every file.
"""

import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

from jaxdl.config import memory, paths
from jaxdl.runs import code, disk, files, integrity

FORMAT = 1  # version of the format
MANIFEST = 'manifest.json'
REQUIRED = ('config.json', 'summary.json')
TEXTS = ('metrics.jsonl', 'weights.jsonl')  # copied unchanged; they contain only numbers
ITEMS = (
  'model',
  'config',
  'certificate',
  'checksums',
  'metrics',
)  # of a checkpoint, without 'train', which is only needed to resume
LARGEST = 4 << 30  # maximum number of unpacked bytes
MOST_FILES = 10_000
RATIO, SMALL = 100, 1 << 24  # maximum compression ratio, if more than SMALL bytes are unpacked
MANIFEST_LARGEST = 4 << 20  # bytes
BLOCK = 1 << 20  # bytes read at a time
NAME = re.compile(r'[A-Za-z0-9_.][A-Za-z0-9_.+=-]*')  # a path component
TIME = (1980, 1, 1, 0, 0, 0)  # modification time of all files; the earliest in a .zip
ABSOLUTE = re.compile(r'(?:~[\w.-]*|[A-Za-z]:|)[/\\]')  # beginning of an absolute path
ABSOLUTE_INSIDE = re.compile(r'(?<![\w.~:/\\-])(?:~[\w.-]*|[A-Za-z]:)?[/\\](?:[^\s\'",/\\]+[/\\])*')
QUOTED = re.compile(r"""(['"])((?:~[\w.-]*|[A-Za-z]:|)[/\\][^'"]*)\1""")


def opened(path: str | os.PathLike) -> pathlib.Path:
  """Returns the folder of a run. A packed run is unpacked into the cache if necessary.

  Args:
    path: a run's folder, or the file of a packed run. Any other path is returned unchanged.

  Returns:
    The folder. The folder of a packed run is in the cache and named after the file's sha256.

  Raises:
    ValueError: the file is damaged, is not a packed run, or is not safe to unpack.
    OSError: the file cannot be read, or the cache folder cannot be written.
  """
  path = pathlib.Path(path)
  if not paths.is_packed(path):
    return path
  cached = paths.cache('runs') / integrity.of_file(path)
  if not _is_sound(cached):
    _unpack(path, cached)
  return cached


def results_of(place: str | os.PathLike) -> pathlib.Path:
  """Returns the output folder of a run: its own folder, or RUN.results for RUN.zip."""
  place = pathlib.Path(place)
  return place.with_suffix('.results') if paths.is_packed(place) else place


def name_of(place: str | os.PathLike) -> str:
  """Returns the name of a run's folder, or of a packed run without '.zip'."""
  place = pathlib.Path(place)
  return place.stem if paths.is_packed(place) else place.resolve().name


def contents(folder: pathlib.Path) -> dict[str, bytes]:
  """Returns the files of a packed run, without the absolute paths of this machine.

  The checkpoint has no optimizer state, so a packed run can be used but not resumed.

  Args:
    folder: the run's folder.

  Returns:
    Name → content, of config.json, summary.json, command.txt, the journals, the copies of the run's
    own code and the best checkpoint.

  Raises:
    FileNotFoundError: the run has no summary, or its best checkpoint is missing.
    ValueError: a file is damaged, or is a link that leads out of the folder.
  """
  _check_links(folder)
  if not (folder / 'summary.json').is_file():
    raise FileNotFoundError(f'{folder} has no summary.json: finish its training first')
  summary = files.read_summary(folder / 'summary.json')
  config = files.read_config(folder / 'config.json')
  found = {
    'config.json': f'{disk.readable_json(without_paths(config))}\n'.encode(),
    'summary.json': _json(without_paths(summary)),
  }
  command = folder / 'command.txt'
  if command.is_file():
    text = command_without_paths(command.read_text(encoding='utf-8', errors='replace').strip())
    found['command.txt'] = f'{text}\n'.encode()
  for name in TEXTS:
    if (folder / name).is_file():
      found[name] = (folder / name).read_bytes()
  found |= code.copies(folder, config)
  return found | _checkpoint(folder, summary['step'])


def _check_links(folder):
  """Raises ValueError for a link that leads out of a run, whose target would be packed with it."""
  inside = folder.resolve()
  for place in (folder, folder / code.FOLDER, folder / 'checkpoints'):
    for path in [place, *(place.rglob('*') if place != folder else place.glob('*'))]:
      if path.is_symlink() and path != folder and not path.resolve().is_relative_to(inside):
        raise ValueError(f'{path} is a link that leads out of {folder}: put a copy there')


def _checkpoint(folder, step):
  """Returns the files of a checkpoint. Its config has no absolute paths and a new checksum."""
  place = folder / 'checkpoints' / str(step)
  if not place.is_dir():
    raise FileNotFoundError(
      f'{folder} has no checkpoint of step {step:,}, which summary.json describes: train it again'
    )
  found = {}
  for file in sorted(place.rglob('*')):
    first, *below = file.relative_to(place).parts
    if file.is_file() and file.name != integrity.NOTE and (not below or first in ITEMS):
      found[file.relative_to(folder).as_posix()] = file.read_bytes()
  prefix = f'checkpoints/{step}'
  config = without_paths(files.read_json(place / 'config/metadata'))
  found[f'{prefix}/config/metadata'] = _json(config)
  if (place / 'checksums/metadata').is_file():
    sums = files.read_json(place / 'checksums/metadata')
    kept = {name: sums[name] for name in ITEMS if name in sums}
    found[f'{prefix}/checksums/metadata'] = _json({**kept, 'config': integrity.of_json(config)})
  if (place / '_CHECKPOINT_METADATA').is_file():
    about = files.read_json(place / '_CHECKPOINT_METADATA')
    handlers = about.get('item_handlers')
    if isinstance(handlers, dict):
      about['item_handlers'] = {name: handlers[name] for name in ITEMS if name in handlers}
    found[f'{prefix}/_CHECKPOINT_METADATA'] = _json(about)
  return found


# Keys below which texts are names, not paths.
NAMES = ('classes', 'class_names', 'labels', 'targets', 'features', 'table')


def without_paths(value: Any) -> Any:
  """Removes absolute paths from plain JSON data.

  The key 'data_dir' is removed. Any other absolute path is reduced to its last component. Names of
  classes, targets and columns are not changed.

  Args:
    value: the data.
  """
  if isinstance(value, dict):
    return {
      key: part if key in NAMES else without_paths(part)
      for key, part in value.items()
      if key != 'data_dir'
    }
  if isinstance(value, list):
    return [without_paths(part) for part in value]
  return _relative(value) if isinstance(value, str) else value


def command_without_paths(text: str) -> str:
  """Reduces every absolute path in a command line to its last component.

  Args:
    text: the command line, quoted for a shell.
  """
  try:
    words = shlex.split(text)
  except ValueError:  # invalid quoting
    return ABSOLUTE_INSIDE.sub('', text)
  return shlex.join(_word_without_paths(word) for word in words)


def _word_without_paths(word):
  key, equals, value = word.partition('=')
  if not equals:
    key, value = '', word
  if ABSOLUTE.match(value):
    return f'{key}{equals}{_relative(value)}'
  value = QUOTED.sub(lambda found: f'{found[1]}{_relative(found[2])}{found[1]}', value)
  return f'{key}{equals}{ABSOLUTE_INSIDE.sub("", value)}'


def _relative(text):
  """Returns the last component of an absolute path. Other text is returned unchanged."""
  if not ABSOLUTE.match(text):
    return text
  return re.split(r'[/\\]', text.rstrip('/\\'))[-1] or '.'


def _json(value):
  return f'{json.dumps(value, indent=2)}\n'.encode()


def write(file: pathlib.Path, contents: Mapping[str, bytes], version: str) -> None:
  """Writes a packed run. Equal contents result in equal bytes.

  Args:
    file: path of the .zip file. An existing file is replaced after the new one is complete.
    contents: name → content of every file except the manifest.
    version: version of jaxdl, for the manifest.

  Raises:
    ValueError: `opened` would reject the result.
    OSError: the file cannot be written.
  """
  sums = {name: hashlib.sha256(contents[name]).hexdigest() for name in sorted(contents)}
  manifest = _json({'format': FORMAT, 'jaxdl': version, 'files': sums})
  aside = file.with_name(f'{file.name}.new')
  try:
    with zipfile.ZipFile(aside, 'w') as archive:
      for name, content in sorted({**contents, MANIFEST: manifest}.items()):
        member = zipfile.ZipInfo(name, TIME)
        member.create_system = 3  # Unix, on every platform
        member.external_attr = (stat.S_IFREG | 0o644) << 16
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, content, compresslevel=9)
    with zipfile.ZipFile(aside) as archive:
      _checked(archive, aside.stat().st_size)
    aside.replace(file)
  except _Refused as error:
    raise ValueError(f'{file} cannot be packed: it {error}') from error
  finally:
    aside.unlink(missing_ok=True)


class _Refused(ValueError):
  """Reason why a .zip is rejected; the message continues a sentence that starts with its name."""


def _is_sound(folder):
  """Returns whether the files of an unpacked run match its manifest."""
  try:
    sums = _sums(json.loads((folder / MANIFEST).read_text(encoding='utf-8')))
    return all(integrity.of_file(folder / name) == digest for name, digest in sums.items())
  except (OSError, ValueError, RecursionError):
    return False


def _unpack(path, target):
  """Unpacks a packed run into a temporary folder, checks it, and moves it to `target`."""
  try:
    disk.make_folder(target.parent)
    aside = pathlib.Path(tempfile.mkdtemp(prefix=f'{target.name[:8]}-', dir=target.parent))
  except OSError as error:
    raise type(error)(
      f'{path} cannot be unpacked into {target.parent} ({error.strerror or error}): set '
      'XDG_CACHE_HOME to a writable folder'
    ) from error
  try:
    _extract_to(path, aside / 'run')
    _move(aside / 'run', target)
  except OSError:
    if not _is_sound(target):  # if sound, another process unpacked it first
      raise
  finally:
    shutil.rmtree(aside, ignore_errors=True)


def _move(folder, target):
  """Moves an unpacked run to `target`, or replaces the files of `target` one by one.

  No file of `target` is missing at any time, because another process may be reading it.
  """
  try:
    folder.rename(target)
  except OSError:
    if not target.is_dir():
      raise
    for file in sorted(folder.rglob('*')):
      if file.is_file():
        place = target / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)


def _extract_to(path, folder):
  try:
    with memory.reading_zip(), zipfile.ZipFile(path) as archive:
      for member, digest in _checked(archive, path.stat().st_size):
        _copy(archive, member, digest, folder / member.filename)
  except _Refused as error:
    raise ValueError(f'{path} {error}') from error
  except zipfile.BadZipFile as error:
    raise ValueError(
      f'{path} is damaged or not a .zip file ({integrity.reason(error)}): give a file written by '
      'jaxdl.pack, or download it again'
    ) from error


def _copy(archive, member, digest, file):
  """Writes a member of a .zip to a file and checks its sha256, unless `digest` is None."""
  file.parent.mkdir(parents=True, exist_ok=True)
  found = hashlib.sha256()
  with archive.open(member) as packed, file.open('xb') as plain:
    while block := packed.read(BLOCK):
      found.update(block)
      plain.write(block)
  if digest is not None and found.hexdigest() != digest:
    raise _Refused(f'is damaged (the checksum of {member.filename} differs): download it again')


def _checked(archive, size):
  """Checks a .zip of `size` bytes.

  Returns:
    (member, sha256) of every file; the sha256 of the manifest is None.

  Raises:
    _Refused: the file is not a packed run, or is not safe to unpack.
  """
  members = archive.infolist()
  for member in members:
    _check_member(member)
  names = [member.filename for member in members]
  if len({name.lower() for name in names}) < len(names):
    raise _Refused('contains two files with the same name: do not use it')
  below = {str(parent) for name in names for parent in pathlib.PurePosixPath(name).parents}
  if below & set(names):
    raise _Refused('contains a file and a folder with the same name: do not use it')
  total = sum(member.file_size for member in members)
  if len(names) > MOST_FILES or total > LARGEST or total > max(SMALL, RATIO * size):
    raise _Refused(
      f'would unpack to {len(names):,} files of {total:,} bytes, from {size:,} bytes: do not use it'
    )
  sums = _manifest(archive, names)
  return [(member, sums.get(member.filename)) for member in members]


def _check_member(member):
  """Raises _Refused unless a member of a .zip is a regular file with a plain, relative path."""
  name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
  plain = name == member.orig_filename and all(
    NAME.fullmatch(part) and part.strip('.') for part in name.split('/')
  )
  if not plain:
    raise _Refused(f'contains {ascii(name)}, which is not a plain relative path: do not use it')
  if kind not in (0, stat.S_IFREG):
    raise _Refused(f'contains {name}, which is not a regular file: do not use it')
  if member.flag_bits & 1:
    raise _Refused('is encrypted: give a file written by jaxdl.pack')


def _manifest(archive, names):
  """Returns the sha256 of the files, name → digest. They must be the files of the manifest."""
  not_a_run = 'is not a packed run: give a file written by jaxdl.pack'
  if MANIFEST not in names or archive.getinfo(MANIFEST).file_size > MANIFEST_LARGEST:
    raise _Refused(not_a_run)
  try:
    found = json.loads(archive.read(MANIFEST))
    sums = _sums(found)
  except (ValueError, RecursionError) as error:
    if isinstance(error, _Refused):
      raise
    raise _Refused(not_a_run) from error
  if not sums.keys() >= set(REQUIRED):
    raise _Refused(not_a_run)
  if {*sums, MANIFEST} != set(names):
    other = min({*sums, MANIFEST} ^ set(names))
    raise _Refused(f'is damaged ({other} is missing or unexpected): download it again')
  return sums


def _sums(manifest):
  """Returns the sha256 of the files of a manifest, name → digest."""
  number = manifest.get('format') if isinstance(manifest, dict) else None
  sums = manifest.get('files') if isinstance(manifest, dict) else None
  if not isinstance(number, int) or not isinstance(sums, dict):
    raise ValueError('not a manifest')
  if number > FORMAT:
    raise _Refused(
      f'was packed by a newer version (format {number}; this one reads up to {FORMAT}): update '
      'jaxdl'
    )
  return sums
