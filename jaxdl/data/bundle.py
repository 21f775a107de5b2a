"""Data sets inside the package: xz files, whose checksums are verified before they are decoded."""

import concurrent.futures
import functools
import hashlib
import lzma
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / 'bundled'


def read(folder: str, checksums: Mapping[str, str]) -> dict[str, bytes]:
  """Decodes the named files.

  Args:
    folder: folder below `jaxdl/data/bundled`.
    checksums: file name (without `.xz`) → sha256 of the `.xz` file.

  Returns:
    File name → decoded bytes.

  Raises:
    FileNotFoundError: a file is missing from the installation.
    ValueError: a file's checksum differs from the recorded one.
  """
  paths = {name: FOLDER / folder / f'{name}.xz' for name in checksums}
  # Threads help because lzma and hashlib release the interpreter lock.
  with concurrent.futures.ThreadPoolExecutor() as pool:
    decoded = pool.map(_decode, paths.values(), checksums.values())
    return dict(zip(paths, decoded, strict=True))


@functools.lru_cache(8)  # several runs of one process, such as a sweep's, read the same files
def _decode(path: Path, checksum: str) -> bytes:
  fix = 'reinstall jaxdl (pip install --force-reinstall), or set config.data.source="tfds"'
  try:
    packed = path.read_bytes()
  except FileNotFoundError:
    raise FileNotFoundError(f'bundled file {path} is missing: {fix}') from None
  found = hashlib.sha256(packed).hexdigest()
  if found != checksum:
    raise ValueError(
      f'bundled file {path} is corrupt (sha256 {found[:12]}…, expected {checksum[:12]}…): {fix}'
    )
  return lzma.decompress(packed)
