"""Data sets inside the package: xz files, verified against their checksums before they are decoded."""

import concurrent.futures
import functools
import hashlib
import lzma
import pathlib

FOLDER = pathlib.Path(__file__).parent / 'bundled'


def read(folder, checksums):
  """Decodes the named files.

  Args:
    folder: str, folder below `jaxdl/data/bundled`.
    checksums: dict of file name (without `.xz`) to the sha256 of the `.xz` file.

  Returns:
    dict of file name to its decoded bytes.

  Raises:
    FileNotFoundError: a file is missing from the installation.
    ValueError: a file's checksum differs from the recorded one.
  """
  paths = {name: FOLDER / folder / f'{name}.xz' for name in checksums}
  with (
    concurrent.futures.ThreadPoolExecutor() as pool
  ):  # lzma and hashlib release the interpreter lock
    decoded = pool.map(_decode, paths.values(), checksums.values())
    return dict(zip(paths, decoded, strict=True))


@functools.lru_cache(8)  # runs of one process, as those of a sweep, read the same files
def _decode(path, checksum):
  mend = 'reinstall jaxdl (pip install --force-reinstall), or set config.data.source="tfds"'
  try:
    packed = path.read_bytes()
  except FileNotFoundError:
    raise FileNotFoundError(f'bundled file {path} is missing: {mend}') from None
  found = hashlib.sha256(packed).hexdigest()
  if found != checksum:
    raise ValueError(
      f'bundled file {path} is corrupt (sha256 {found[:12]}…, expected {checksum[:12]}…): {mend}'
    )
  return lzma.decompress(packed)
