"""Saves checkpoints in the background, restores the newest readable one, and loads models."""

import contextlib
import errno
import math
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import psutil
from flax import linen as nn
from orbax.checkpoint.checkpoint_managers import preservation_policy

from jaxdl import models
from jaxdl.runs import code, disk, format, integrity, keys, packed
from jaxdl.step.state import State

ITEMS = ('model', 'train', 'config', 'since_log', 'certificate', 'checksums')
TEXTS = ITEMS[2:]
# Absolute paths that the libraries do not reinterpret; on Windows they begin with a drive.
PLAIN = re.compile(r'(?!/(gs|s3|az|hf)/)[\w/ .,=+@~-]*|[A-Za-z]:[\w\\ .,=+@~-]*')
LINK = 'checkpoints'
# Errors that tensorstore reports in the middle of a long text.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EFBIG)


class AllDamagedError(ValueError):
  """No checkpoint of a run can be read.

  Attributes:
    workdir: the run's folder.
  """

  def __init__(self, message: str, workdir: pathlib.Path):
    super().__init__(message)
    self.workdir = workdir


class WriteError(OSError):
  """A checkpoint cannot be written."""


class Manager(ocp.CheckpointManager):
  """A CheckpointManager of orbax for a folder of any name.

  orbax and tensorstore interpret some characters of a path as a pattern or as the address of a
  bucket. For such a path, they are given a symbolic link in the temporary folder.

  Args:
    folder: absolute path of the folder.
    keep_every: as in `manager`.
    **keywords: arguments of ocp.CheckpointManager.

  Attributes:
    folder: the argument; `directory` may be the link.
    unread: the last saved step if it has not been read back yet; otherwise None.
  """

  def __init__(self, folder: pathlib.Path, keep_every: int = 0, **keywords: Any):
    self.folder = folder
    self.unread: int | None = None
    self._keep_every = keep_every
    self._warned = False
    self._temporary = None if PLAIN.fullmatch(str(folder)) else _linked(folder)
    super().__init__(f'{self._temporary.name}/{LINK}' if self._temporary else folder, **keywords)

  def metrics(self, step: int) -> dict | None:
    """The score of a checkpoint, {'loss': number}; None if it is absent or damaged.

    It is the validation loss, or the score of the metric that the run watches (`step.watch`).
    """
    try:
      integrity.check_loss(self.folder / str(step))
    except integrity.DamagedError:
      return None  # the other checkpoints remain usable; `restore` raises for this one
    return super().metrics(step)

  def reason(self, error: Exception) -> str:
    """The first line of an error, with the folder's path instead of the link's."""
    return integrity.reason(str(error).replace(str(self.directory), str(self.folder)))

  def wait_until_finished(self) -> None:
    """Waits for the last save.

    Raises:
      WriteError: the checkpoint cannot be written.
    """
    with self.writing(self.unread):
      super().wait_until_finished()

  @contextlib.contextmanager
  def writing(self, step: int | None) -> Iterator[None]:
    """Turns every error of the block into a WriteError that names the step and what is kept."""
    try:
      yield
    except WriteError:
      raise
    except Exception as error:  # orbax and tensorstore each have their own types
      raise self._write_error(step, error) from error

  def _write_error(self, step, error):
    of_step = 'a checkpoint' if step is None else f'the checkpoint of step {step:,}'
    text = str(error)
    known = [os.strerror(number) for number in DISK_ERRORS]
    reason = next((one for one in known if one in text), self.reason(error))
    return WriteError(
      f'{of_step} cannot be written to {self.folder} ({reason}): '
      f'{_kept(self, step)}; check the disk and rerun the command'
    )

  def delete_old(self) -> None:
    """Deletes the checkpoints that are no longer kept; the last one must have been read back.

    An error of the disk is one warning, and the next call tries again.
    """
    steps = sorted(self.all_steps())
    kept = {*steps[-2:], self.best_step()}  # if the last is damaged, a run resumes from the other
    for step in steps:
      if step in kept or (self._keep_every and step % self._keep_every == 0):
        continue
      try:
        self.delete(step)
      except OSError as error:
        if not self._warned:
          print(
            f'warning: the checkpoint of step {step:,} cannot be deleted ({self.reason(error)}): '
            'it is tried again after the next one',
            file=sys.stderr,
            flush=True,
          )
        self._warned = True

  def close(self) -> None:
    """Waits for the last save, then removes the link."""
    try:
      super().close()
    finally:
      if self._temporary:
        self._temporary.cleanup()


def _linked(folder):
  """Creates a TemporaryDirectory with a plain name that contains a symbolic link to a folder."""
  places = [tempfile.gettempdir()]
  if sys.platform != 'win32':
    places += ['/tmp', '/var/tmp']  # noqa: S108 (a new folder in it)
  for place in filter(PLAIN.fullmatch, places):
    try:
      temporary = tempfile.TemporaryDirectory(prefix='jaxdl-', dir=place)
    except OSError:
      continue
    try:
      os.symlink(folder, f'{temporary.name}/{LINK}')
    except OSError:  # most users of Windows may not create links
      temporary.cleanup()
      continue
    return temporary
  raise OSError(
    f'{folder} has a special character in its name and needs a link in a temporary '
    'folder, which cannot be created: rename it, or set TMPDIR to another folder'
  )


def manager(workdir: str | os.PathLike, keep_every: int = 0) -> Manager:
  """Opens `workdir/checkpoints`.

  The folder keeps the last two checkpoints and the best one: that with the lowest score, which is
  the validation loss unless the run watches another metric. Older ones are deleted when the last
  one has been read back.

  Args:
    workdir: the run's folder.
    keep_every: steps between additional checkpoints that are kept; 0 for none. Only used when
      saving.

  Returns:
    Manager; `close()` it.
  """

  def loss(metrics):
    return metrics['loss']

  folder = pathlib.Path(workdir).absolute() / 'checkpoints'
  folder.mkdir(parents=True, exist_ok=True)
  single_process = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix='jaxdl'
  )
  options = ocp.CheckpointManagerOptions(
    best_fn=loss,
    best_mode='min',
    preservation_policy=preservation_policy.PreserveAll(),  # `delete_old` deletes
    create=False,
    multiprocessing_options=single_process,
  )
  try:
    return Manager(folder, keep_every, item_names=ITEMS, options=options)
  except OSError:
    raise
  except Exception as error:  # orbax does not check the values of its metadata
    reason = 'nested too deeply' if isinstance(error, RecursionError) else integrity.reason(error)
    raise ValueError(
      f'{folder} has a checkpoint whose _CHECKPOINT_METADATA cannot be read ({reason}): it was not '
      'written by jaxdl, delete it'
    ) from error


def save(
  checkpoints: Manager | None,
  state: State,
  config: dict[str, Any],
  *,
  score: float | None = None,
  since_log: Mapping[str, Any] | None = None,
  certificate: Mapping[str, Any] | None = None,
) -> None:
  """Saves a state in the background: 'model' for analysis, 'train' to resume, config and checksums.

  The previous checkpoint is read back first, and those that are no longer kept are deleted. At
  least one of the last two checkpoints is therefore known to be readable.

  Args:
    checkpoints: the manager; None in a process that writes no checkpoints.
    state: State to save.
    config: the resolved config, plain JSON data.
    score: of the metric that the run watches (`step.watch`), by default the validation loss; a
      checkpoint without one is never the best.
    since_log: name → sum since the last log. After a resumption, the next log then equals that of
      an uninterrupted run.
    certificate: what is recorded about the origin of the state (`runs.certificate`).

  Raises:
    OSError: the disk has too little space, or a checkpoint cannot be written or read back.
  """
  step = int(state.step)
  if checkpoints is None or step in checkpoints.all_steps():
    return
  read_back(checkpoints, state)
  model, train = jax.device_get((_model_item(state), _train_item(state)))
  size = sum(leaf.nbytes for leaf in jax.tree.leaves((model, train)))
  disk.check_space(checkpoints.folder, size, f'the checkpoint of step {step}')
  texts = {
    'config': config,
    'since_log': {name: np.asarray(value).tolist() for name, value in (since_log or {}).items()},
    'certificate': dict(certificate or {}),
  }
  texts['checksums'] = {
    'model': integrity.checksums(model),
    'train': integrity.checksums(train),
    **{name: integrity.of_json(text) for name, text in texts.items()},
  }
  items = ocp.args.Composite(
    model=ocp.args.StandardSave(model),
    train=ocp.args.StandardSave(train),
    **{name: ocp.args.JsonSave(text) for name, text in texts.items()},
  )
  checkpoints.unread = step
  with checkpoints.writing(step):
    checkpoints.save(step, args=items, metrics=None if score is None else {'loss': score})


def read_back(checkpoints: Manager, state: State) -> None:
  """Waits for the last save, compares the checkpoint with its checksums, and deletes older ones.

  Args:
    checkpoints: the manager.
    state: State of the same run, for its shapes and types.

  Raises:
    OSError: the checkpoint cannot be read, or differs from what was saved.
  """
  if checkpoints.unread is None:
    return
  checkpoints.wait_until_finished()
  step, checkpoints.unread = checkpoints.unread, None
  try:
    restore(checkpoints, state, step=step)
  except Exception as error:  # orbax, tensorstore and json each have their own types
    raise OSError(
      f'the checkpoint of step {step:,} was written to {checkpoints.folder} but cannot '
      f'be read back ({checkpoints.reason(error)}): {_kept(checkpoints, step)}; check the disk and '
      'rerun the command'
    ) from error
  checkpoints.delete_old()


def _kept(checkpoints, step):
  """Which checkpoint is kept if that of a step is lost."""
  others = [other for other in checkpoints.all_steps() if other != step]
  if not others:
    return 'there is no other checkpoint'
  return f'the checkpoint of step {max(others):,} is kept'


def restore(checkpoints: Manager, state: State, *, step: int) -> State:
  """Restores the state of a checkpoint.

  Args:
    checkpoints: the manager.
    state: State of the same run, for its shapes and types.
    step: step of the checkpoint.

  Returns:
    The restored State.

  Raises:
    DamagedError: the data read differ from the data saved. Damage that orbax detects itself raises
      errors of many types.
  """
  abstract = jax.tree.map(
    lambda leaf: np.zeros(leaf.shape, leaf.dtype), (_model_item(state), _train_item(state))
  )
  items = _read(
    checkpoints,
    step,
    model=ocp.args.StandardRestore(abstract[0]),
    train=ocp.args.StandardRestore(abstract[1]),
  )
  trained = items.train.pop('params') or items.model['params']
  average = items.model['params'] if trained is not items.model['params'] else {}
  return State(
    params=trained, average=average, batch_stats=items.model['batch_stats'], **items.train
  )


def restore_last(checkpoints: Manager, state: State, *, start_over: bool = False) -> State:
  """Restores the last readable checkpoint and moves damaged ones after it to `damaged/`.

  Args:
    checkpoints: the manager.
    state: State of the same run at step 0.
    start_over: whether a run whose checkpoints are all damaged starts again at step 0.

  Returns:
    The restored State; the given one if there is no checkpoint.

  Raises:
    AllDamagedError: there are checkpoints, but none can be read; they are not moved.
  """
  errors = {}
  for step in sorted(checkpoints.all_steps(), reverse=True):
    try:
      state = restore(checkpoints, state, step=step)
      break
    except Exception as error:  # orbax, tensorstore and json each have their own types
      errors[step] = error
  else:
    if errors and not start_over:
      raise _all_damaged(checkpoints, errors)
  _put_aside(checkpoints, errors)
  return state


def restore_best(checkpoints: Manager, state: State) -> State:
  """Reads the last checkpoint back, then restores the one with the lowest score.

  Args:
    checkpoints: the manager.
    state: State of the last step.

  Returns:
    The restored State; the given one if it is the best or no better one can be read.

  Raises:
    OSError: the last checkpoint cannot be read back.
  """
  checkpoints.wait_until_finished()
  read_back(checkpoints, state)
  step = find_step(checkpoints, 'best')
  while step is not None and step != int(state.step):
    try:
      return restore(checkpoints, state, step=step)
    except Exception as error:
      _put_aside(checkpoints, {step: error})
    step = find_step(checkpoints, 'best')
  return state


def _all_damaged(checkpoints, errors):
  last, folder = max(errors), checkpoints.folder
  return AllDamagedError(
    f'every checkpoint of {folder.parent} is damaged: {len(errors)} in {folder}, the last of '
    f'step {last:,} ({checkpoints.reason(errors[last])}); restore the files from a copy, or add '
    f'--start-over, which moves them to {folder.parent / "damaged"}, loses the training up to '
    f'step {last:,} and begins at step 1',
    folder.parent,
  )


def _put_aside(checkpoints, errors):
  """Moves damaged checkpoints out of the folder, so that their steps can be saved again."""
  for step, error in errors.items():
    integrity.quarantine(checkpoints.folder, step, checkpoints.reason(error))
  if errors:
    checkpoints.reload()


def last_step(workdir: str | os.PathLike) -> int:
  """The step of a run's last checkpoint; 0 if there is none."""
  return max(kept_steps(workdir), default=0)


def kept_steps(workdir: str | os.PathLike) -> list[int]:
  """The steps of the checkpoints that a run keeps, in order; [] if there are none."""
  folder = packed.opened(workdir)
  if not (folder / 'checkpoints').is_dir():
    return []
  with manager(folder) as checkpoints:
    return sorted(checkpoints.all_steps())


def since_log(checkpoints: Manager | None, step: int) -> dict[str, Any]:
  """The sums since the last log that were saved with a step, name → sum; {} if there are none."""
  return {} if checkpoints is None else text(checkpoints, step, 'since_log')


def text(checkpoints: Manager, step: int, name: str) -> dict[str, Any]:
  """An item of a checkpoint that is plain JSON data; {} if the checkpoint has none.

  Args:
    checkpoints: the manager.
    step: step of the checkpoint, which was read before and has the right checksums.
    name: one of TEXTS.
  """
  if not (checkpoints.folder / str(step) / name).is_dir():
    return {}
  found = checkpoints.restore(step, args=ocp.args.Composite(**{name: ocp.args.JsonRestore()}))
  return found[name]


def best_score(checkpoints: Manager) -> float:
  """The lowest score of the checkpoints, as in `save`; infinite if there is none."""
  best = checkpoints.best_step()
  measured = None if best is None else checkpoints.metrics(best)
  return float('inf') if measured is None else measured['loss']


def load_model(
  workdir: str | os.PathLike, step: str | int = 'best', *, trust_code: bool = False
) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
  """Loads the model of a run from its checkpoint, without flags, optimizer or data set.

  Args:
    workdir: the run's folder, or the file of a packed run.
    step: 'best' (by the metric that the run watches, by default the lowest validation loss; the
      last one if no validation was run) | 'last' | int.
    trust_code: as in `runs.code.linked`.

  Returns:
    (linen module, variables, config). The config's own code is linked.

  Raises:
    FileNotFoundError: there is no such checkpoint; the message lists the available steps.
    RefusedCodeError: the run's own code may not be executed, or cannot be imported.
  """
  return load_step(workdir, step, trust_code=trust_code)[1:]


def load_step(
  workdir: str | os.PathLike, step: str | int, *, trust_code: bool = False
) -> tuple[int, nn.Module, dict[str, Any], dict[str, Any]]:
  """Like `load_model`, but returns the step first: (step, linen module, variables, config).

  All results are from the same checkpoint, even if a run that trains replaces its best one.
  """
  chosen, variables, config = read_step(workdir, step)
  config = code.linked(config, packed.opened(workdir), trust_code=trust_code)
  try:
    model = models.build(config['model'])
  except ValueError as error:
    raise ValueError(f'the config of checkpoint {chosen} of {workdir}: {error}') from error
  return chosen, model, variables, config


def read_step(
  workdir: str | os.PathLike, step: str | int
) -> tuple[int, dict[str, Any], dict[str, Any]]:
  """Like `load_step`, without the module: (step, variables, config). No own code is imported."""
  folder = packed.opened(workdir)
  if not (folder / 'checkpoints').is_dir():
    what = 'has no checkpoints' if folder.is_dir() else 'does not exist'
    raise FileNotFoundError(f'{workdir} {what}: give the folder of a run that was trained')
  with manager(folder) as checkpoints:
    chosen = find_step(checkpoints, step)
    if chosen is None:
      raise FileNotFoundError(
        f'{workdir} has no checkpoint {step!r}: it has {checkpoints.all_steps() or "none"}'
      )
    try:
      _check_sizes(checkpoints, chosen)
      items = _read(checkpoints, chosen, model=ocp.args.StandardRestore())
    except Exception as error:
      why = checkpoints.reason(error)
      raise ValueError(
        f'checkpoint {chosen} of {workdir} is damaged ({why}): '
        f'give another --step of {checkpoints.all_steps()}'
      ) from error
  format.check(items.config, workdir)
  if wrong := keys.fault_of_config(items.config):
    raise ValueError(
      f'the config of checkpoint {chosen} of {workdir} {wrong}: give another --step of '
      f'{checkpoints.all_steps()}'
    )
  return chosen, items.model, format.upgraded(items.config)


def _check_sizes(checkpoints: Manager, step: int) -> None:
  """Raises DamagedError if the arrays of a checkpoint's model are larger than the memory.

  The shapes are read, not the arrays, which a file of another origin may only pretend to contain.
  """
  described = ocp.StandardCheckpointHandler().metadata(checkpoints.directory / str(step) / 'model')
  size = sum(
    math.prod(array.shape) * np.dtype(array.dtype).itemsize for array in jax.tree.leaves(described)
  )
  memory = psutil.virtual_memory().total
  if size > memory:
    raise integrity.DamagedError(
      f'its arrays need {size // 10**9:,} GB and the machine has {memory // 10**9:,}'
    )


def _read(checkpoints: Manager, step: int, **items) -> Any:
  """Reads the items of a checkpoint and its config, and verifies their checksums."""
  folder = checkpoints.folder / str(step)
  integrity.check_loss(folder)
  texts = [name for name in TEXTS if name == 'config' or (folder / name).is_dir()]
  found: Any = checkpoints.restore(
    step, args=ocp.args.Composite(**{name: ocp.args.JsonRestore() for name in texts}, **items)
  )
  if 'checksums' not in texts and format.number(found.config) > 1:
    raise integrity.DamagedError('its checksums are missing')
  if 'checksums' in texts:
    for name in texts[:-1]:
      integrity.check({name: integrity.of_json(found[name])}, {name: found.checksums[name]})
    for name in items:
      integrity.check(integrity.checksums(found[name]), found.checksums[name])
  return found


def find_step(checkpoints: Manager, step: str | int) -> int | None:
  """The step of 'best', 'last' or a number; None if there is no such checkpoint."""
  if step == 'best' and checkpoints.best_step() is not None:
    return checkpoints.best_step()
  if isinstance(step, str):
    return checkpoints.latest_step()
  return step if step in checkpoints.all_steps() else None


def _model_item(state):
  return state.variables()


def _train_item(state):
  return {
    'step': state.step,
    'opt_state': state.opt_state,
    'rng': state.rng,
    'carry': state.carry,
    'params': state.params if state.average else {},
  }  # 'model' has the averaged ones
