"""The object `committed.json` of a run: which checkpoints in the bucket are complete.

It is written after the files of a checkpoint and before the files of older ones are deleted, so
that it always lists complete checkpoints. Nothing else below `checkpoints/` is ever read.
"""

import dataclasses
import json
import uuid
from typing import Any

from jaxdl.stores.store import Store, StoreError

NAME = 'committed.json'
FORMAT = 1
CHECKPOINTS = 'checkpoints'


@dataclasses.dataclass(frozen=True)
class Commit:
  """The content of a run's `committed.json`.

  Attributes:
    checkpoints: step → name of a file in the folder of the checkpoint → (size in bytes, sha256).
    saved: step → time at which the checkpoint was written, in seconds since 1970.
    files: names of the other files of the run at that time.
    id: a random text, different for each commit.
  """

  checkpoints: dict[int, dict[str, tuple[int, str]]]
  saved: dict[int, float]
  files: list[str]
  id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)

  @property
  def step(self) -> int:
    """The last step; 0 if there is no checkpoint."""
    return max(self.checkpoints, default=0)

  def has_content_of(self, other: 'Commit | None') -> bool:
    """Whether another commit lists the same checkpoints and files."""
    if other is None:
      return False
    return (self.checkpoints, set(self.files)) == (other.checkpoints, set(other.files))

  def to_json(self) -> bytes:
    """The content of the object."""
    found = {
      'format': FORMAT,
      'id': self.id,
      'step': self.step,
      'checkpoints': {
        str(step): {'saved': self.saved.get(step), 'files': files}
        for step, files in self.checkpoints.items()
      },
      'files': self.files,
    }
    return json.dumps(found, indent=1).encode()


def read(store: Store, run: str = '') -> Commit | None:
  """The commit of a run; None if there is none.

  Args:
    store: the store.
    run: the run's folder below the address, which ends in '/'; '' for the address itself.

  Raises:
    StoreError: the object is damaged, or was written by a newer version.
  """
  name = f'{run}{NAME}'
  try:
    content = store.read(name)
  except FileNotFoundError:
    return None
  try:
    return _parsed(json.loads(content))
  except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
    raise StoreError(
      f'{store.address}/{name} is damaged ({type(error).__name__}): it was not written by this '
      'version of jaxdl; restore it, or give another address'
    ) from error


def _parsed(found: dict[str, Any]) -> Commit:
  if found['format'] != FORMAT:
    raise ValueError('another format')
  checkpoints = {
    int(step): {
      _inside(name): (int(size), str(checksum)) for name, (size, checksum) in about['files'].items()
    }
    for step, about in found['checkpoints'].items()
  }
  saved = {
    int(step): float(about['saved'])
    for step, about in found['checkpoints'].items()
    if about.get('saved') is not None
  }
  files = [_inside(name) for name in found['files']]
  return Commit(checkpoints, saved, files, str(found['id']))


def _inside(name: str) -> str:
  """The name of a file, which may not lead out of its folder.

  Raises:
    ValueError: it does.
  """
  if not is_inside(name):
    raise ValueError(f'the name {name!r}')
  return name


def is_inside(name: str) -> bool:
  """Whether the name of an object is a relative path without '..', for any operating system."""
  parts = name.split('/')
  return not any(part in ('', '.', '..') or '\\' in part or '\0' in part for part in parts) and (
    ':' not in parts[0]
  )


def of_checkpoint(name: str) -> tuple[str, int, str] | None:
  """The parts of the name of a checkpoint's file: (run, step, name in the checkpoint's folder).

  Args:
    name: name of an object or path of a file, such as 'seed0/checkpoints/8/model/manifest'.

  Returns:
    None for any other file.
  """
  parts = name.split('/')
  for place, part in enumerate(parts[:-2]):
    if part == CHECKPOINTS and parts[place + 1].isdecimal():
      return (
        ''.join(f'{one}/' for one in parts[:place]),
        int(parts[place + 1]),
        '/'.join(parts[place + 2 :]),
      )
  return None


def is_below_checkpoints(name: str) -> bool:
  """Whether a file is in a folder of checkpoints, also an incomplete one."""
  return CHECKPOINTS in name.split('/')[:-1]
