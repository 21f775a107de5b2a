"""The local folder of a run in an object store: fetches objects, and sends what has changed."""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterable

from jaxdl.stores import commit, lease, state
from jaxdl.stores.commit import Commit
from jaxdl.stores.state import Same
from jaxdl.stores.store import Found, Store, StoreError, in_parallel

RUN = 'config.json'  # the file that makes a folder the folder of a run
JOURNAL = 'metrics.jsonl'
SUMMARY = 'summary.json'
CHECKSUMS = 'checksums/metadata'  # in a checkpoint: the checksums of its arrays
OF_TIME = ('examples_per_second',)  # keys of the journal that differ between equal runs
TRIES = 3  # to fetch a file that has other bytes than were committed
CHANGES = 20  # commits that may follow each other while a run is fetched
Stat = tuple[int, int]  # (size in bytes, time of the last change in ns)


class DamagedError(Exception):
  """A checkpoint in the store differs from what was committed."""


class _ChangedError(Exception):
  """The store may have been changed while it was read.

  Args:
    ids: run → id of the commit that was read.
  """

  def __init__(self, ids: dict[str, str]):
    super().__init__()
    self.ids = ids


class Mirror:
  """The mirror of an address in a local folder.

  Args:
    store: the store.
    base: a folder for the mirror and its record.

  Attributes:
    store: the argument.
    base: the argument.
    folder: the mirror, named like the last part of the address.
    state: State.
  """

  def __init__(self, store: Store, base: pathlib.Path):
    self.store, self.base = store, base
    self.folder = base / store.name
    self.state = state.read(base)
    self._written: dict[str, Commit] = {}  # run → its last commit
    self.folder.mkdir(parents=True, exist_ok=True)
    state.write(base, self.state)

  # --- fetching

  def pull(self, *, checkpoints: bool = True) -> None:
    """Makes the folder equal to the store, except for what the folder has in addition.

    Checkpoints are fetched if they are committed and have the checksums of the commit. A run whose
    folder is at a later step than the store stays as it is, and so does a file that has changed
    here but not in the store: `push` sends them.

    Args:
      checkpoints: whether checkpoints are fetched, too.

    Raises:
      StoreError: the store fails, has no readable checkpoint of a run that it committed, no longer
        has a run that it had, or has another history of it than the folder.
    """
    before = None
    for _ in range(CHANGES):
      try:
        return self._pull(before, checkpoints)
      except _ChangedError as error:
        before = error.ids
    raise StoreError(f'{self.store.address} changes faster than it can be read: try again later')

  def _pull(self, before, checkpoints):
    """Fetches once.

    Args:
      before: run → id of its commit when an object was missing or damaged; None at the first try.
      checkpoints: as in `pull`.

    Raises:
      _ChangedError: an object is missing or damaged, perhaps because of a newer commit.
    """
    listed = {name: one for name, one in self.store.find().items() if commit.is_inside(name)}
    commits = self._commits(listed)
    ids = {run: one.id for run, one in commits.items()}
    local = scan(self.folder)
    kept = {run for run in _runs(local) if self._is_ahead(run, commits.get(run), local)}
    for run, one in commits.items():
      if checkpoints and run not in kept:
        self._fetch_checkpoints(run, one, local, None if ids == before else ids)
    self._fetch_others(listed, commits, local, kept)
    for run, one in commits.items():
      if run not in kept or one.id in self.state.commits.get(run, []):
        self.state.commits[run] = [one.id]
    state.write(self.base, self.state)

  def _commits(self, listed):
    """The commits in the store, run → Commit; the run at the address itself is ''."""
    found = {}
    root = commit.read(self.store)
    names = {*listed, *(root.files if root else ())}
    if root is not None:
      found[''] = root
    runs = sorted(
      name.removesuffix(commit.NAME) for name in names if _is_commit(name) and '/' in name
    )
    for run, one in zip(
      runs, in_parallel(lambda run: commit.read(self.store, run), runs), strict=True
    ):
      if one is not None:
        found[run] = one
    return found

  def _is_ahead(self, run: str, there: Commit | None, local: dict[str, Stat]) -> bool:
    """Whether the folder has a later step of a run than the store.

    Raises:
      StoreError: the store no longer has the run, or has another history of it.
    """
    steps = _steps(local).get(run, {})
    ours = self.state.commits.get(run, [])
    if not steps:
      return False
    if there is None:
      if not any(ours[:1]):  # no commit was ever completed
        return True
      raise StoreError(
        f'{self.store.address}/{run} no longer has the run of which {self.folder / run} is a copy '
        f'at step {max(steps):,}: restore the objects, or delete {self.base} to start again'
      )
    if there.id not in ours and not self._is_unchanged(run, steps, local):
      self._check_history(run, there, steps)
      if max(steps) <= there.step:
        print(
          f'jaxdl: {self.store.address}/{run} is at step {there.step:,} and its local copy at step '
          f'{max(steps):,}: using that of the store',
          file=sys.stderr,
          flush=True,
        )
    return max(steps) > there.step

  def _is_unchanged(self, run, steps, local):
    """Whether every checkpoint of a run in the folder is one that the store had."""
    names = [f'{_place(run, step)}{name}' for step, names in steps.items() for name in names]
    return all(
      name in self.state.files and self.state.files[name].is_of(local[name]) for name in names
    )

  def _check_history(self, run, there, steps):
    """Raises StoreError if folder and store have different histories of a run."""
    evidence = False
    for step in sorted(steps.keys() & there.checkpoints.keys()):
      name = f'{_place(run, step)}{CHECKSUMS}'
      if (self.folder / name).is_file():
        evidence = True
        if _json(self._content(name)) != _json((self.folder / name).read_bytes()):
          raise self._two_histories(run, f'of step {step:,}')
    ours = _journal(
      (self.folder / run / JOURNAL).read_bytes() if (self.folder / run / JOURNAL).is_file() else b''
    )
    theirs = _journal(self._content(f'{run}{JOURNAL}'))
    both = sorted(ours.keys() & theirs.keys())
    for key in both:
      if ours[key] != theirs[key]:
        raise self._two_histories(run, f'at step {key[0]:,}')
    if not (evidence or both):
      raise self._two_histories(run, 'which have no step in common')

  def _content(self, name):
    try:
      return self.store.read(name)
    except FileNotFoundError:
      return b''

  def _two_histories(self, run, where):
    return StoreError(
      f'{self.store.address}/{run} and {self.folder / run} were both trained further, with '
      f'different results {where}: give another --workdir, or delete {self.base} to use that of '
      'the store'
    )

  def _fetch_checkpoints(self, run, there, local, ids):
    """Fetches the committed checkpoints of a run; deletes the others from the folder.

    `ids` are those of the _ChangedError after a fault; None to leave out what is damaged.
    """
    ours, good, faults = _steps(local).get(run, {}), [], []
    for step, files in sorted(there.checkpoints.items()):
      try:
        if not self._has_checkpoint(run, step, files, ours.get(step, set()), local):
          self._fetch_checkpoint(run, step, files, ids)
        good.append(step)
      except DamagedError as error:
        faults.append(f'checkpoint {step} of {self.store.address}/{run} is damaged ({error})')
    if faults and not good:
      raise StoreError(
        f'{faults[-1]}, and there is no other: restore the objects from a copy, or give another '
        'address'
      )
    for fault in faults:
      print(f'jaxdl: {fault}: continuing without it', file=sys.stderr, flush=True)
    for step in ours.keys() - set(good):
      _remove(self.folder / _place(run, step))
      self._forget(_place(run, step))

  def _has_checkpoint(self, run, step, files, ours, local):
    """Whether the folder has a checkpoint as it was committed."""
    if ours != files.keys():
      return False
    for name, (_, checksum) in files.items():
      known = self.state.files.get(f'{_place(run, step)}{name}')
      if not (known and known.checksum == checksum):
        return False
      if not known.is_of(local[f'{_place(run, step)}{name}']):
        return False
    return True

  def _fetch_checkpoint(self, run, step, files, ids):
    """Fetches a checkpoint into another folder, checks it, and moves it to its place."""
    place, incoming = _place(run, step), self.base / 'incoming'
    shutil.rmtree(incoming, ignore_errors=True)

    def fetch(name):
      size, checksum = files[name]
      for _ in range(TRIES):
        self.store.download(f'{place}{name}', incoming / name)
        if _of_file(incoming / name) == checksum:
          return
      found = (incoming / name).stat().st_size
      why = f'has {found:,} bytes instead of {size:,}' if found != size else 'has other bytes'
      raise DamagedError(f'{name} {why}')

    try:
      in_parallel(fetch, files)
    except (FileNotFoundError, DamagedError) as error:
      if ids is not None:  # a newer commit may have replaced this one
        raise _ChangedError(ids) from error
      if isinstance(error, DamagedError):
        raise
      raise DamagedError(f'{pathlib.PurePath(str(error)).name} is missing') from error
    _remove(self.folder / place)
    self._forget(place)
    (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
    incoming.rename(self.folder / place)
    for name, (_, checksum) in files.items():
      stat = _stat(self.folder / f'{place}{name}')
      self.state.files[f'{place}{name}'] = Same(*stat, version='', checksum=checksum)

  def _fetch_others(self, listed, commits, local, kept):
    """Fetches the files that are in no checkpoint; deletes those that the store no longer has."""
    names = {name for name in listed if _is_other(name)}
    for run, one in commits.items():
      names |= {f'{run}{name}' for name in one.files if _is_other(f'{run}{name}')}
    runs = sorted({*commits, *_runs(local)}, key=len, reverse=True)

    def fetch(name):
      known, there, stat = self.state.files.get(name), listed.get(name), local.get(name)
      if stat and known and there and there.version == known.version:
        return
      is_ours = stat is not None and not (known and known.is_of(stat))
      if is_ours and _run_of(name, runs) in kept:
        return
      try:
        self.store.download(name, self.folder / name)
      except FileNotFoundError:
        return
      self._set(name, there)

    in_parallel(fetch, sorted(names))
    for name in [name for name in self.state.files if _is_other(name) and name not in names]:
      if self.state.files.pop(name).is_of(local.get(name)):
        (self.folder / name).unlink(missing_ok=True)

  def _set(self, name: str, there: Found | None) -> None:
    self.state.files[name] = Same(
      *_stat(self.folder / name), version=there.version if there else ''
    )

  def _forget(self, place):
    for name in [name for name in self.state.files if name.startswith(place)]:
      del self.state.files[name]

  # --- sending

  def push(self, is_held: Callable[[], bool] = lambda: True) -> None:
    """Sends what has changed: checkpoints, then the other files, then the commits.

    The summary, which means that training has ended, follows. Then checkpoints that are no longer
    in the folder are deleted from the store.

    Args:
      is_held: whether this process may still write; asked before each commit.

    Raises:
      StoreError: the store fails, or another process writes there.
    """
    local = scan(self.folder)
    steps, sent = _steps(local), {}
    checkpoint_files = [name for name in self._changed(local) if commit.of_checkpoint(name)]
    others = [name for name in self._changed(local) if _is_other(name)]
    for name, checksum in zip(
      checkpoint_files, in_parallel(self._send_of_checkpoint, checkpoint_files), strict=True
    ):
      if checksum is None:  # training deleted it meanwhile
        run, step, _ = commit.of_checkpoint(name) or ('', 0, '')
        steps[run].pop(step, None)
      else:
        sent[name] = Same(*local[name], version='', checksum=checksum)
    sent |= self._send_others([name for name in others if not _is_last(name)], local)
    listed = self._check_stored(sent)
    self.state.files |= sent
    self._drop_deleted(steps)
    self._commit(steps, local, is_held)
    if last := self._send_others(list(filter(_is_last, others)), local):
      self._check_stored(last)
      self.state.files |= last
    self._delete_obsolete(steps, local, listed)
    state.write(self.base, self.state)

  def push_others(self) -> None:
    """Sends the changed files that are in no checkpoint; of a command that reads a run."""
    local = scan(self.folder)
    changed = [name for name in self._changed(local) if _is_other(name)]
    sent = self._send_others(changed, local)
    gone = self._gone(local)
    if not (sent or gone):
      return
    self._check_stored(sent)
    self.state.files |= sent
    self._delete_others(gone)
    state.write(self.base, self.state)

  def _changed(self, local):
    return [
      name
      for name, stat in local.items()
      if not (name in self.state.files and self.state.files[name].is_of(stat))
    ]

  def _send_of_checkpoint(self, name):
    """Sends a file of a checkpoint; returns its sha256, or None if the file no longer exists."""
    try:
      checksum = _of_file(self.folder / name)
      self.store.upload(self.folder / name, name)
    except FileNotFoundError:
      return None
    return checksum

  def _send_others(self, names, local):
    """Sends other files; returns name → Same, without those that no longer exist."""

    def send(name):
      try:
        self.store.upload(self.folder / name, name)
      except FileNotFoundError:
        return None
      return Same(*local[name], version='')

    results = zip(names, in_parallel(send, names), strict=True)
    return {name: same for name, same in results if same is not None}

  def _check_stored(self, sent):
    """Completes the versions of sent files; returns the objects in the store.

    Raises:
      StoreError: the store has not kept the file of a checkpoint.
    """
    listed = self.store.find()
    for name, same in list(sent.items()):
      there = listed.get(name)
      if there is not None:
        sent[name] = dataclasses.replace(same, version=there.version)
      if same.checksum and (there is None or there.size != same.size):
        raise StoreError(f'{self.store.address} has not kept {name}: check the store')
    return listed

  def _drop_deleted(self, steps):
    """Drops the checkpoints of which training has deleted files since they were listed."""
    now = _steps(scan(self.folder))
    for run, there in steps.items():
      before = self._written[run].checkpoints if run in self._written else {}
      for step, names in list(there.items()):
        is_complete = names == now.get(run, {}).get(step)
        if not is_complete or (step in before and names != before[step].keys()):
          del there[step]

  def _commit(self, steps, local, is_held):
    runs = sorted({'', *_runs(local)}, key=len, reverse=True)
    for run in runs:
      files = [
        name.removeprefix(run) for name in local if _is_other(name) and _run_of(name, runs) == run
      ]
      if run == '':
        files += [f'{other}{commit.NAME}' for other in runs if other]
      new = Commit(
        checkpoints={
          step: {name: self._committed(f'{_place(run, step)}{name}') for name in names}
          for step, names in steps.get(run, {}).items()
        },
        saved={step: _saved(self.folder / _place(run, step)) for step in steps.get(run, {})},
        files=sorted(files),
      )
      before = self._written.get(run)
      if new.has_content_of(before) or not (new.files or new.checkpoints):
        continue
      if not is_held():
        raise StoreError(f'{self.store.address} is now written by another process')
      self.state.commits[run] = [*(self.state.commits.get(run) or [''])[:1], new.id]
      state.write(self.base, self.state)
      self.store.write(f'{run}{commit.NAME}', new.to_json())
      self.state.commits[run] = [new.id]
      self._written[run] = new

  def _committed(self, name):
    same = self.state.files[name]
    return same.size, same.checksum

  def _delete_obsolete(self, steps, local, listed):
    """Deletes the checkpoints and files that the folder no longer has."""
    ours = {'', *_runs(local)}
    parts = {name: commit.of_checkpoint(name) for name in listed}
    old = [
      name
      for name, found in parts.items()
      if found and found[0] in ours and found[2] not in steps.get(found[0], {}).get(found[1], ())
    ]
    self.store.delete(old)
    for name in [name for name in self.state.files if commit.of_checkpoint(name)]:
      if name not in local:
        del self.state.files[name]
    self._delete_others(self._gone(local))

  def _gone(self, local):
    return [name for name in self.state.files if _is_other(name) and name not in local]

  def _delete_others(self, names):
    self.store.delete(names)
    for name in names:
      del self.state.files[name]


def scan(folder: pathlib.Path) -> dict[str, Stat]:
  """The files below a folder that belong to runs, name with '/' → (size, time of the last change).

  Locks, files that are being written and incomplete checkpoints are left out.
  """
  found = {}
  for place, folders, files in os.walk(folder):
    is_of_checkpoints = os.path.basename(place) == commit.CHECKPOINTS
    if is_of_checkpoints:
      folders[:] = [name for name in folders if name.isdecimal()]
    start = pathlib.Path(place).relative_to(folder).as_posix()
    for name in files:
      path = name if start == '.' else f'{start}/{name}'
      if name.startswith('.') or name.endswith('.new') or name in (lease.NAME, commit.NAME):
        continue
      try:
        found[path] = _stat(folder / path)
      except FileNotFoundError:  # training deleted it meanwhile
        continue
  return found


def checkpoints(folder: pathlib.Path) -> frozenset[str]:
  """The complete checkpoints below a folder, as paths. No file is looked at."""
  found = []
  for place, folders, _ in os.walk(folder):
    if os.path.basename(place) == commit.CHECKPOINTS:
      found += [os.path.join(place, name) for name in folders if name.isdecimal()]
      folders.clear()
  return frozenset(found)


def _stat(file):
  about = file.stat()
  return about.st_size, about.st_mtime_ns


def _saved(folder):
  try:
    return folder.stat().st_mtime
  except FileNotFoundError:
    return 0.0


def _runs(local: Iterable[str]) -> set[str]:
  """The runs of some files, as their folders: '' or 'name/'."""
  runs = {name.removesuffix(RUN) for name in local if name == RUN or name.endswith(f'/{RUN}')}
  return runs | {found[0] for found in map(commit.of_checkpoint, local) if found}


def _run_of(name: str, runs: list[str]) -> str:
  """The run of a file; `runs` has the longest names first."""
  return next((run for run in runs if name.startswith(run)), '')


def _steps(local: Iterable[str]) -> dict[str, dict[int, set[str]]]:
  """The files of checkpoints, run → step → names in the folder of the checkpoint."""
  found: dict[str, dict[int, set[str]]] = {}
  for run, step, name in filter(None, map(commit.of_checkpoint, local)):
    found.setdefault(run, {}).setdefault(step, set()).add(name)
  return found


def _place(run, step):
  return f'{run}{commit.CHECKPOINTS}/{step}/'


def _is_commit(name):
  return name.rpartition('/')[2] == commit.NAME


def _is_other(name):
  """Whether a file is neither of a checkpoint nor of this package."""
  last = name.rpartition('/')[2]
  return not (commit.is_below_checkpoints(name) or last in (commit.NAME, lease.NAME))


def _is_last(name):
  """Whether a file may be in the store only if its checkpoints are."""
  return name.rpartition('/')[2] == SUMMARY


def _of_file(file):
  with file.open('rb') as opened:
    return hashlib.file_digest(opened, 'sha256').hexdigest()


def _remove(folder):
  """Removes a checkpoint; its name is gone before its first file is."""
  if folder.is_dir():
    aside = folder.with_name(f'{folder.name}.removed')
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    shutil.rmtree(aside)


def _json(content):
  try:
    return json.loads(content)
  except (ValueError, RecursionError):
    return None


def _journal(content: bytes) -> dict[tuple[int, str], dict]:
  """The lines of a journal, (step, split) → figures that are equal in equal runs."""
  found = {}
  for line in content.decode(errors='replace').splitlines():
    one = _json(line)
    if isinstance(one, dict) and isinstance(one.get('step'), int):
      figures = {key: value for key, value in one.items() if key not in OF_TIME}
      found[one['step'], str(one.get('split'))] = figures
  return found
