"""The objects below an address, read and written by fsspec; its errors become one line."""

import contextlib
import dataclasses
import datetime
import logging
import pathlib
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any, TypeVar

TOGETHER = 8  # objects that are sent or fetched at the same time
EXTRAS = {  # protocol → package that opens it
  's3': 's3fs',
  's3a': 's3fs',
  'gs': 'gcsfs',
  'gcs': 'gcsfs',
}
NAMES = {'s3a': 's3', 'gcs': 'gs'}  # protocol → the name that is used for it
# Protocols whose `create` fails if the object exists, also when two writers try it at once.
ATOMIC = ('s3', 'gs', 'memory')
OPTIONS = {  # protocol → arguments of its file system
  's3': {
    'config_kwargs': {
      'connect_timeout': 10,
      'read_timeout': 60,
      'retries': {'mode': 'standard', 'max_attempts': 3},
    }
  },
  'file': {'auto_mkdir': True},
}
# Classes of exceptions, by name because their packages may be missing, that no retry changes.
CREDENTIALS = (
  'NoCredentialsError',
  'PartialCredentialsError',
  'CredentialRetrievalError',
  'DefaultCredentialsError',
  'RefreshError',
  'ProfileNotFound',
)
LOGGERS = (
  'fsspec',
  's3fs',
  'gcsfs',
  'aiobotocore',
  'botocore',
  'asyncio',
)  # errors are raised, too
Item = TypeVar('Item')


class StoreError(OSError):
  """An object store cannot be used; the message names the address and the fix."""


@dataclasses.dataclass(frozen=True)
class Found:
  """An object.

  Attributes:
    size: in bytes.
    version: a text that differs between two contents.
    modified: time of the last change, in seconds since 1970; None if the store has none.
  """

  size: int
  version: str
  modified: float | None


class Store:
  """The objects below an address.

  Names of objects are relative to the address. Every method raises StoreError if the store fails.

  Args:
    address: the address, such as s3://bucket/runs/cnn.

  Attributes:
    address: the address in its shortest form.
    name: its last component.
    protocol: such as 's3'.

  Raises:
    StoreError: the address is unknown, or its package is not installed.
  """

  def __init__(self, address: str):
    protocol, _, rest = address.partition('://')
    self.protocol = NAMES.get(protocol.lower(), protocol.lower())
    rest = '/'.join(part for part in rest.split('/') if part)
    root = '/' if self.protocol in ('file', 'local') else ''
    self.address = f'{self.protocol}://{root}{rest}'
    self.name = rest.rpartition('/')[2]
    if not rest or (self.protocol in EXTRAS and '/' not in rest):
      raise StoreError(
        f'{address} names no folder in a bucket: write {self.protocol}://BUCKET/FOLDER'
      )
    self._system, self._root = _file_system(self.address, self.protocol, rest)

  @property
  def is_atomic(self) -> bool:
    """Whether `create` succeeds for one of two writers that try it at once."""
    return self.protocol in ATOMIC

  def find(self, below: str = '') -> dict[str, Found]:
    """The objects below the address, name → Found; {} if there are none.

    Args:
      below: name of a folder; '' for all.
    """
    place = self._path(below) if below else self._root
    with self._errors('be listed'):
      self._system.invalidate_cache()
      try:
        listed = self._system.find(place, detail=True)
      except FileNotFoundError as error:
        if _is_of_bucket(error):
          raise
        return {}
    start = f'{self._root}/'
    return {
      path.removeprefix(start): _found(about)
      for path, about in listed.items()
      if path.startswith(start) and about.get('type', 'file') == 'file'
    }

  def at(self) -> Found | None:
    """The object at the address itself; None if there is none."""
    with self._errors('be read'):
      try:
        about = self._system.info(self._root)
      except FileNotFoundError as error:
        if _is_of_bucket(error):
          raise
        return None
    return _found(about) if about.get('type') == 'file' else None

  def read(self, name: str) -> bytes:
    """The content of an object.

    Raises:
      FileNotFoundError: there is none.
    """
    with self._errors(f'be read ({name})', missing=True):
      return self._system.cat_file(self._path(name))

  def write(self, name: str, content: bytes) -> None:
    """Writes an object; readers see the previous one or the complete new one."""
    with self._errors(f'be written ({name})'):
      self._system.pipe_file(self._path(name), content)

  def create(self, name: str, content: bytes) -> None:
    """Writes an object that does not exist.

    Raises:
      FileExistsError: it exists.
    """
    with self._errors(f'be written ({name})', exists=True):
      try:
        self._system.pipe_file(self._path(name), content, mode='create')
      except (TypeError, NotImplementedError):  # a file system without this mode
        if self._system.exists(self._path(name)):
          raise FileExistsError(name) from None
        self._system.pipe_file(self._path(name), content)

  def upload(self, file: pathlib.Path, name: str) -> None:
    """Writes an object from a file.

    Raises:
      FileNotFoundError: there is no such file.
    """
    if not file.is_file():
      raise FileNotFoundError(file)
    with self._errors(f'be written ({name})', local=file):
      self._system.put_file(str(file), self._path(name))

  def download(self, name: str, file: pathlib.Path) -> None:
    """Writes a file from an object, '' for that at the address; the file is complete or missing.

    Raises:
      FileNotFoundError: there is no such object.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f'{file.name}.new')
    try:
      with self._errors(f'be read ({name})', missing=True):
        self._system.get_file(self._path(name), str(aside))
      aside.replace(file)
    finally:
      aside.unlink(missing_ok=True)

  def delete(self, names: Iterable[str]) -> None:
    """Deletes objects; those that do not exist are ignored."""

    def remove(name):
      with contextlib.suppress(FileNotFoundError), self._errors(f'be deleted ({name})', True):
        self._system.rm_file(self._path(name))

    in_parallel(remove, names)

  def _path(self, name):
    return f'{self._root}/{name}' if name else self._root

  @contextlib.contextmanager
  def _errors(
    self,
    what: str,
    missing: bool = False,
    exists: bool = False,
    local: pathlib.Path | None = None,
  ) -> Iterator[None]:
    """Turns every error of the block into a StoreError.

    Args:
      what: what fails, after 'cannot'.
      missing: whether a FileNotFoundError is raised as it is.
      exists: whether a FileExistsError is raised as it is.
      local: a file that may be deleted in the block, which raises FileNotFoundError.
    """
    try:
      yield
    except FileExistsError as error:
      if exists:
        raise
      raise self._error(what, error) from error
    except FileNotFoundError as error:
      if (missing and not _is_of_bucket(error)) or (local is not None and not local.exists()):
        raise
      raise self._error(what, error) from error
    except Exception as error:  # botocore, aiohttp and google-auth each have their own types
      raise self._error(what, error) from error

  def _error(self, what, error):
    reason = ' '.join(str(error).split())[:200].rstrip('. ') or type(error).__name__
    if isinstance(error, FileNotFoundError):
      fix = f'create the bucket {self._root.partition("/")[0]}, or correct the address'
    elif isinstance(error, PermissionError) or type(error).__name__ in CREDENTIALS:
      fix = 'check the credentials of this machine and their permissions'
    else:
      fix = 'check the network and the address, and rerun the command'
    return StoreError(f'{self.address} cannot {what}: {reason}: {fix}')


def _file_system(address: str, protocol: str, rest: str) -> tuple[Any, str]:
  """The file system of an address, and its path there.

  Raises:
    StoreError: the protocol is unknown, or its package is not installed.
  """
  package = EXTRAS.get(protocol, 'fsspec')
  install = f"{address} needs {package}: pip install 'jaxdl[cloud]'"
  try:
    import fsspec
  except ImportError:
    raise StoreError(install) from None
  for name in LOGGERS:
    logging.getLogger(name).setLevel(logging.CRITICAL)
  try:
    system = fsspec.filesystem(
      protocol,
      skip_instance_cache=True,
      use_listings_cache=False,
      **OPTIONS.get(protocol, {}),
    )
  except ImportError as error:
    if protocol in EXTRAS:
      raise StoreError(install) from None
    raise StoreError(f'{address}: {" ".join(str(error).split())}: install its package') from None
  except ValueError as error:
    if 'not known' in str(error).lower():
      raise StoreError(
        f'{address} has the unknown protocol {protocol!r}: write s3://BUCKET/FOLDER, '
        'gs://BUCKET/FOLDER or a folder'
      ) from None
    raise StoreError(f'{address} cannot be opened: {error}') from None
  except Exception as error:  # google-auth raises its own types if there are no credentials
    reason = ' '.join(str(error).split())[:200]
    raise StoreError(
      f'{address} cannot be opened: {reason}: check the credentials of this machine'
    ) from error
  root = f'/{rest}' if protocol in ('file', 'local', 'memory') else rest
  return system, root


def _is_of_bucket(error):
  """Whether a FileNotFoundError of S3 or Google is about the bucket, not about an object."""
  return 'bucket does not exist' in str(error).lower()


def _found(about: dict[str, Any]) -> Found:
  modified = next(
    (about[key] for key in ('LastModified', 'updated', 'mtime', 'created') if about.get(key)),
    None,
  )
  modified = _seconds(modified)
  size = int(about.get('size') or 0)
  version = about.get('ETag') or about.get('etag') or about.get('md5Hash')
  return Found(size, str(version or f'{size} {modified}'), modified)


def _seconds(time: Any) -> float | None:
  """A time of a listing in seconds since 1970; None if it is of another form."""
  if isinstance(time, str):
    try:
      time = datetime.datetime.fromisoformat(time)
    except ValueError:
      return None
  if isinstance(time, datetime.datetime):
    return time.timestamp()
  return float(time) if isinstance(time, (int, float)) else None


def in_parallel(function: Callable[[Item], Any], items: Iterable[Item]) -> list[Any]:
  """Calls a function for each item, a few at a time; returns the results in order.

  Raises:
    Exception: the first exception of a call, when all calls have ended.
  """
  with futures.ThreadPoolExecutor(TOGETHER) as pool:
    return [future.result() for future in [pool.submit(function, item) for item in items]]
