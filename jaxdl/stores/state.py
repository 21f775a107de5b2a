"""What a mirror and its address had in common when they were last compared."""

import dataclasses
import json
import os
import pathlib
import uuid

NAME = 'synced.json'


@dataclasses.dataclass(frozen=True)
class Same:
  """A file of the mirror that equals an object.

  Attributes:
    size: of the file, in bytes.
    modified: time of the last change of the file, in ns.
    version: version of the object, as in `store.Found`.
    checksum: sha256 of a file of a checkpoint; '' for other files.
  """

  size: int
  modified: int
  version: str
  checksum: str = ''

  def is_of(self, stat: tuple[int, int] | None) -> bool:
    """Whether a file is unchanged; `stat` is its (size, time of the last change)."""
    return stat == (self.size, self.modified)


@dataclasses.dataclass
class State:
  """The record of a mirror.

  Attributes:
    mirror: a random name of the mirror.
    files: name → Same, of the files that equal their objects.
    commits: run → [id of the commit that this mirror has read or written last], or [that id or '',
      id of the next] while the next is written: after a kill, the store may have either.
  """

  mirror: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)
  files: dict[str, Same] = dataclasses.field(default_factory=dict)
  commits: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def read(base: pathlib.Path) -> State:
  """Reads the record in a mirror's base folder; an empty one if it is missing or damaged."""
  try:
    found = json.loads((base / NAME).read_text(encoding='utf-8'))
    files = {
      str(name): Same(int(row[0]), int(row[1]), str(row[2]), str(row[3]))
      for name, row in found['files'].items()
    }
    commits = {str(run): [str(one) for one in ids] for run, ids in found['commits'].items()}
    return State(str(found['mirror']), files, commits)
  except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
    return State()


def write(base: pathlib.Path, state: State) -> None:
  """Writes the record; a crash leaves the previous one."""
  base.mkdir(parents=True, exist_ok=True)
  aside = base / f'{NAME}.new'
  aside.write_text(json.dumps(dataclasses.asdict(state, dict_factory=_compact)), encoding='utf-8')
  os.replace(aside, base / NAME)


def _compact(items):
  """A row for each Same, a dict for the State."""
  names = [name for name, _ in items]
  return [value for _, value in items] if names[0] == 'size' else dict(items)
