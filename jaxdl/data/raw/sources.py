"""The raw files of each data set, checked before anything is built from them."""

import errno
import hashlib
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxdl.data.photographs import folders
from jaxdl.data.raw import idx
from jaxdl.data.sets import hoda, mnist

FASHION_MNIST = {  # sha256 of the unpacked files
  'train-images-idx3-ubyte': 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
  'train-labels-idx1-ubyte': 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
  't10k-images-idx3-ubyte': '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
  't10k-labels-idx1-ubyte': '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
}
CIFAR10 = {
  'data_batch_1.bin': 'cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5',
  'data_batch_2.bin': 'a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed',
  'data_batch_3.bin': 'bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67',
  'data_batch_4.bin': '014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48',
  'data_batch_5.bin': '755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add',
}
CIFAR10_TEST = 'test_batch.bin'
CIFAR10_META = 'batches.meta.txt'
CIFAR10_FOLDER = 'cifar-10-batches-bin'
CIFAR10_ARCHIVE = 'cifar-10-binary.tar.gz'
CIFAR10_CLASSES = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
]
CIFAR10_TEST_LABELS = bytes((3, 8, 8, 0, 6, 6, 1, 6, 3, 1))  # the first of the original order
LARGEST = 1 << 30  # bytes that an archive may unpack to
MOST_MEMBERS = 10_000  # files and folders of an archive
LONGEST_HEADER = 1 << 16  # bytes of a member's long name or other attributes
TEXTS = {  # file → (characters, sha256)
  'input.txt': (1115394, '86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed'),
  'shakespeare.txt': (5057240, '64d0f3aab6c2b9b92ced74b927a209a7fae861daf9d7ea72ede67519b43d83fe'),
}
HODA = {  # sha256
  'Data_hoda_full.mat': '39629eb751892b39fc5d1e987b472d441e4dffcbe8218931b73f466d8b2f3ce2',
  'Test 20000.cdb': 'f947c38071c886677ec212fe5000863fafae0b4ed349d97d51c33abe3c8e2b07',
  'RemainingSamples.cdb': '11c9b0661b8de5f743b1b01ac76b4de19b238062d6da3500b5d6128fb1989e3d',
}


# (folder with the raw files, empty folder for unpacked ones) → (name that TFDS's builder asks for
# → path, note on what the files are or ''). A reader raises ValueError or OSError; the message
# names the file and the fix.
Found = tuple[dict[str, Path], str]
Reader = Callable[[Path, Path], Found]


def digits(checksums: Mapping[str, str]) -> Reader:
  """Builds a reader of the four IDX files of MNIST and similar data sets.

  Args:
    checksums: file name → sha256 of the unpacked file.

  Returns:
    Reader.
  """

  def read(folder: Path, temporary: Path) -> Found:
    for name, checksum in checksums.items():
      count = 60000 if name.startswith('train') else 10000
      array, content = idx.read(folder, name, (count, 28, 28) if 'idx3' in name else (count,))
      path = idx.find(folder, name)
      _check(path, content, checksum)
      if 'idx1' in name:
        classes = set(array.tolist())
        if classes != set(range(10)):
          raise ValueError(f'{path} has {len(classes)} classes, expected 10: fetch it again')
      (temporary / name).write_bytes(content)
    return {f'{name}.gz': temporary / name for name in checksums}, ''

  return read


def cifar10(folder: Path, temporary: Path) -> Found:
  """A `Reader` of the binary version, as a folder or as cifar-10-binary.tar.gz."""
  archive = folder / CIFAR10_ARCHIVE if folder.is_dir() else folder
  if archive.is_file():
    folder = unpack(archive, temporary)
  if (folder / CIFAR10_FOLDER).is_dir():
    folder = folder / CIFAR10_FOLDER
  if (folder / 'data_batch_1').is_file() or (folder / 'cifar-10-batches-py').is_dir():
    raise ValueError(
      f'{folder} holds the Python version, whose files are pickles and are never loaded: '
      f'use the binary version, {CIFAR10_ARCHIVE}'
    )
  for name in [*CIFAR10, CIFAR10_TEST, CIFAR10_META]:
    if not (folder / name).is_file():
      raise FileNotFoundError(
        f'{folder / name} is missing: cifar10 needs {CIFAR10_FOLDER}/ or {CIFAR10_ARCHIVE}'
      )
  with (folder / CIFAR10_META).open(encoding='utf-8', errors='replace') as file:
    classes = file.read(1000).split()
  if classes != CIFAR10_CLASSES:
    raise ValueError(
      f'{folder / CIFAR10_META} names {len(classes)} classes ({", ".join(classes[:3])}…), '
      'expected the 10 of CIFAR-10: use the binary version of CIFAR-10'
    )
  for name, checksum in CIFAR10.items():
    _check(folder / name, _cifar_batch(folder / name).tobytes(), checksum)
  test_labels = _cifar_batch(folder / CIFAR10_TEST)[:10, 0].tobytes()
  is_original = test_labels == CIFAR10_TEST_LABELS
  parent = temporary / 'cifar10'
  parent.mkdir()
  link_or_copy(folder, parent / CIFAR10_FOLDER)
  note = '' if is_original else 'test split is not the original (JPEG test copy)'
  return {CIFAR10_ARCHIVE: parent}, note


def link_or_copy(folder: Path, target: Path) -> None:
  """Links to a folder, or copies it if links are not allowed, as for most users of Windows.

  Args:
    folder: the folder to link to.
    target: path of the link or the copy.
  """
  try:
    target.symlink_to(folder.resolve(), target_is_directory=True)
  except OSError:
    shutil.copytree(folder, target)


def _cifar_batch(path: Path) -> UInt8[np.ndarray, '10000 3073']:
  """[10000, 3073] uint8: a label, then the planes R, G, B."""
  if path.stat().st_size != 10000 * 3073:
    raise ValueError(
      f'{path} has {path.stat().st_size:,} bytes, expected 30,730,000: fetch it again'
    )
  content = np.frombuffer(path.read_bytes(), np.uint8)
  if content[::3073].max() > 9:
    raise ValueError(
      f'{path} has a label {content[::3073].max()}, expected 0 to 9: it is not a batch of CIFAR-10'
    )
  return content.reshape(10000, 3073)


def unpack(archive: Path, temporary: Path) -> Path:
  """Unpacks a tar file of files and folders.

  Links and devices are refused: no data set has them. Python's own filter would do the same, but
  only exists since 3.11.4.

  Args:
    archive: the tar file, compressed or not.
    temporary: folder in which a new folder is created.

  Returns:
    The new folder.

  Raises:
    ValueError: a damaged archive, a member that would leave the folder, more than `LARGEST` bytes
      or `MOST_MEMBERS` members.
    OSError: the disk is full.
  """
  folder, left, members = (temporary / 'unpacked').resolve(), LARGEST, 0
  folder.mkdir(parents=True, exist_ok=True)
  try:
    with tarfile.open(archive, tarinfo=_Member) as tar:
      for member in tar:
        left, members = left - member.size, members + 1
        if left < 0 or members > MOST_MEMBERS:
          most = f'{LARGEST:,} bytes' if left < 0 else f'{MOST_MEMBERS:,} files'
          raise ValueError(f'{archive} holds more than {most}: do not use this file')
        if not _stays_within(folder, member):
          raise ValueError(
            f'{archive} holds {member.name!r}, which leads out of its folder: do not use this file'
          )
        _extract(tar, member, folder / member.name)
  except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
    if getattr(error, 'errno', None) == errno.ENOSPC:
      raise
    reason = str(error).partition(':\n')[0]
    raise ValueError(f'{archive} is not a valid tar file ({reason}): fetch it again') from error
  return folder


class _Member(tarfile.TarInfo):
  """A member whose header takes little memory; `tarfile` reads it completely."""

  def _proc_member(
    self, tar
  ):  # of every header; the comment in tarfile.py lets subclasses override
    is_header = self.type not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)
    if is_header and self.size > LONGEST_HEADER or self.type == tarfile.GNUTYPE_SPARSE:
      raise tarfile.HeaderError(f'a header of {self.size:,} bytes')
    return super()._proc_member(tar)  # pyright: ignore[reportAttributeAccessIssue]


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
  if member.isdir():
    path.mkdir(parents=True, exist_ok=True)
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  packed = tar.extractfile(member)
  if packed is not None:  # None is for links and devices, which are refused before
    with packed, path.open('wb') as file:
      shutil.copyfileobj(packed, file)


def _stays_within(folder: Path, member: tarfile.TarInfo) -> bool:
  return (
    (member.isfile() or member.isdir())
    and '\0' not in member.name
    and (folder / member.name).resolve().is_relative_to(folder)
  )


def text(name: str) -> Reader:
  """Builds a reader of one text file of `TEXTS`."""

  def read(folder: Path, temporary: Path) -> Found:
    path = folder if folder.is_file() else folder / name
    if not path.is_file():
      raise FileNotFoundError(f'{path} is missing: put {name} there')
    count, checksum = TEXTS[name]
    if path.stat().st_size != count:
      raise ValueError(
        f'{path} has {path.stat().st_size:,} characters, expected {count:,}: fetch it again'
      )
    content = path.read_bytes()
    _check(path, content, checksum)
    (temporary / name).write_bytes(content)
    return {name: temporary / name}, ''

  return read


def farsi_digits(folder: Path, temporary: Path) -> Found:
  """A `Reader` of Hoda's three files."""
  del temporary
  hoda.require(folder)
  # Checksums first: the size of a file does not limit the memory that its parser takes.
  for name, checksum in HODA.items():
    _check(folder / name, (folder / name).read_bytes(), checksum)
  hoda.read(folder)
  return {name: folder / name for name in HODA}, ''


def photographs(folder: Path, temporary: Path) -> Found:
  """A `Reader` of class folders of photographs."""
  del temporary
  folders.find(folder)
  return {}, ''


def _check(path: Path, content: bytes, checksum: str) -> None:
  found = hashlib.sha256(content).hexdigest()
  if found != checksum:
    raise ValueError(
      f'{path} has another checksum (sha256 {found[:12]}…, expected {checksum[:12]}…): '
      'fetch it again'
    )


RAW: dict[str, Reader] = {
  'mnist': digits(mnist.RAW_CHECKSUMS),
  'fashion_mnist': digits(FASHION_MNIST),
  'cifar10': cifar10,
  'hoda': farsi_digits,
  'tiny_shakespeare': text('input.txt'),
  'shakespeare': text('shakespeare.txt'),
  'image_folder': photographs,
}
MANUAL = ('hoda', 'image_folder')  # not available for download
