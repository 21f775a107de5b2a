"""Checkpoints: save without waiting, restore a run from the newest whole one, or load its model
alone.
"""

import os
import pathlib
import re
import tempfile

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from jaxdl import models
from jaxdl.runs import disk, format, integrity
from jaxdl.step.state import State

ITEMS = ('model', 'train', 'config', 'since_log', 'checksums')
PLAIN = re.compile(r'(?!/(gs|s3|az|hf)/)[\w/ .,=+@~-]*')  # of paths that libraries take as they are
LINK = 'checkpoints'


class AllDamagedError(ValueError):
  """No checkpoint of a run can be read.

  Attributes:
    workdir: pathlib.Path, the run's folder.
  """

  def __init__(self, message: str, workdir: pathlib.Path):
    super().__init__(message)
    self.workdir = workdir


class Manager(ocp.CheckpointManager):
  """orbax's CheckpointManager for a folder of any name.

  orbax and tensorstore read some characters of a path as a pattern or as the address of a bucket.
  They get a symbolic link in the temporary folder instead of such a path.

  Args:
    folder: pathlib.Path, absolute.
    **keywords: of ocp.CheckpointManager.

  Attributes:
    folder: the same; `directory` may be the link.
    unread: int, the step that was saved last and has not been read back; None otherwise.
  """

  def __init__(self, folder: pathlib.Path, **keywords):
    self.folder, self.unread = folder, None
    self._temporary = None if PLAIN.fullmatch(str(folder)) else _linked(folder)
    super().__init__(f'{self._temporary.name}/{LINK}' if self._temporary else folder, **keywords)

  def metrics(self, step: int) -> dict | None:
    """The validation loss of a checkpoint, {'loss': nats}; None where it is absent or damaged."""
    try:
      integrity.check_loss(self.folder / str(step))
    except integrity.DamagedError:
      return None  # the other checkpoints stay usable; `restore` raises for this one
    return super().metrics(step)

  def reason(self, error: Exception) -> str:
    """The first line of an error, with the path of the folder and not of the link."""
    return integrity.reason(str(error).replace(str(self.directory), str(self.folder)))

  def close(self):
    """Waits for the last save, then removes the link."""
    try:
      super().close()
    finally:
      if self._temporary:
        self._temporary.cleanup()


def _linked(folder):
  """A TemporaryDirectory of a plain name that holds a symbolic link to a folder."""
  for place in (tempfile.gettempdir(), '/tmp', '/var/tmp'):
    if PLAIN.fullmatch(place):
      try:
        temporary = tempfile.TemporaryDirectory(prefix='jaxdl-', dir=place)
      except OSError:
        continue
      os.symlink(folder, f'{temporary.name}/{LINK}')
      return temporary
  raise OSError(
    f'{folder} has a special character in its name and needs a link in a temporary '
    'folder, where none can be made: rename it, or set TMPDIR to another folder'
  )


def manager(workdir, keep_every=0):
  """Opens `workdir/checkpoints`, which keeps the last two checkpoints and the one of the lowest
  validation loss.

  Args:
    workdir: the run's folder.
    keep_every: those of every so many steps are kept too; 0 for none. It counts only where
      something is saved.

  Returns:
    Manager; `close()` it.
  """

  def loss(metrics):
    return metrics['loss']

  keep = preservation_policy.AnyPreservationPolicy(
    [
      preservation_policy.LatestN(2),  # where the last one is damaged, there is one to go on from
      preservation_policy.BestN(
        get_metric_fn=loss, reverse=True, n=1, keep_checkpoints_without_metrics=False
      ),
      *([preservation_policy.EveryNSteps(keep_every)] if keep_every else []),
    ]
  )
  folder = pathlib.Path(workdir).absolute() / 'checkpoints'
  folder.mkdir(parents=True, exist_ok=True)
  alone = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix='jaxdl'
  )
  options = ocp.CheckpointManagerOptions(
    best_fn=loss,
    best_mode='min',
    preservation_policy=keep,
    create=False,
    multiprocessing_options=alone,
  )
  return Manager(folder, item_names=ITEMS, options=options)


def save(checkpoints, state, config, *, validation_loss=None, since_log=None):
  """Saves a state in the background: 'model' for analysis, 'train' to resume, config and checksums.

  The previous checkpoint is read back first. Of the last two, one is therefore always known to be
  readable.

  Args:
    checkpoints: the manager; None in a process that keeps none.
    state: State.
    config: dict of plain JSON data.
    validation_loss: nats; a checkpoint without one is never the best.
    since_log: name → number, what training summed since its last log, so that the next one is that
      of a run never stopped.

  Raises:
    OSError: the disk is too full for it, or the checkpoint saved before cannot be read back.
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
    'since_log': {name: float(value) for name, value in (since_log or {}).items()},
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
  checkpoints.save(
    step, args=items, metrics=None if validation_loss is None else {'loss': validation_loss}
  )
  checkpoints.unread = step


def read_back(checkpoints: Manager, state: State):
  """Waits for the last save, reads what it wrote and compares it with its checksums.

  Args:
    checkpoints: the manager.
    state: State of the same run, for its shapes and types.

  Raises:
    OSError: it cannot be read, or differs from what was saved.
  """
  if checkpoints.unread is None:
    return
  checkpoints.wait_until_finished()
  step, checkpoints.unread = checkpoints.unread, None
  try:
    restore(checkpoints, state, step=step)
  except Exception as error:  # orbax, tensorstore and json each have their own for a damaged file
    others = [other for other in checkpoints.all_steps() if other != step]
    kept = f'the checkpoint of step {max(others):,} is kept' if others else 'there is no other one'
    raise OSError(
      f'the checkpoint of step {step:,} was written to {checkpoints.folder} but cannot '
      f'be read back ({checkpoints.reason(error)}): {kept}; check the disk and give '
      'the same command again'
    ) from error


def restore(checkpoints, state, *, step):
  """The state of a checkpoint.

  Args:
    checkpoints: the manager.
    state: State of the same run, for its shapes and types.
    step: int.

  Returns:
    State.

  Raises:
    DamagedError: what was read is not what was saved; damage that orbax finds itself has errors of
      many types.
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
  """Restores the last checkpoint that can be read; damaged ones after it are moved to `damaged/`.

  Args:
    checkpoints: the manager.
    state: State of the same run at step 0.
    start_over: whether a run whose checkpoints are all damaged starts again at step 0.

  Returns:
    State; the given one where there is no checkpoint.

  Raises:
    AllDamagedError: there are checkpoints and none can be read; all are left where they are.
  """
  errors = {}
  for step in sorted(checkpoints.all_steps(), reverse=True):
    try:
      state = restore(checkpoints, state, step=step)
      break
    except Exception as error:  # orbax, tensorstore and json each have their own for a damaged file
      errors[step] = error
  else:
    if errors and not start_over:
      raise _all_damaged(checkpoints, errors)
  _put_aside(checkpoints, errors)
  return state


def restore_best(checkpoints: Manager, state: State) -> State:
  """Restores the checkpoint of the lowest validation loss, after the last one has been read back.

  Args:
    checkpoints: the manager.
    state: State of the last step.

  Returns:
    State; the given one where it is the best or no better one can be read.

  Raises:
    OSError: the last checkpoint cannot be read back.
  """
  checkpoints.wait_until_finished()
  read_back(checkpoints, state)
  while (step := find_step(checkpoints, 'best')) not in (None, int(state.step)):
    try:
      return restore(checkpoints, state, step=step)
    except Exception as error:
      _put_aside(checkpoints, {step: error})
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


def last_step(workdir):
  """The step of a run's last checkpoint; 0 where there is none."""
  return max(kept_steps(workdir), default=0)


def kept_steps(workdir):
  """The steps of the checkpoints that a run keeps, list of int in order; [] where there is none."""
  if not (pathlib.Path(workdir) / 'checkpoints').is_dir():
    return []
  with manager(workdir) as checkpoints:
    return sorted(checkpoints.all_steps())


def since_log(checkpoints, step):
  """What training had summed since its last log when `step` was saved, name → number; {} where that
  was not kept.
  """
  if checkpoints is None or not (checkpoints.folder / str(step) / 'since_log').is_dir():
    return {}
  return checkpoints.restore(
    step, args=ocp.args.Composite(since_log=ocp.args.JsonRestore())
  ).since_log


def best_loss(checkpoints):
  """The lowest validation loss of the checkpoints; infinite where there is none."""
  return (
    float('inf')
    if checkpoints.best_step() is None
    else checkpoints.metrics(checkpoints.best_step())['loss']
  )


def load_model(workdir, step='best'):
  """The model of a run, from its checkpoint alone: no flags, no optimizer, no data set.

  Args:
    workdir: the run's folder.
    step: 'best' (lowest validation loss; the last one where no validation was run) | 'last' | int.

  Returns:
    (linen module, variables, config dict).

  Raises:
    FileNotFoundError: no such checkpoint; the message lists the steps there are.
  """
  return load_step(workdir, step)[1:]


def load_step(workdir, step):
  """The same after the number of the step, of one reading: a run that still trains has another best
  one a moment later.
  """
  folder = pathlib.Path(workdir).absolute() / 'checkpoints'
  if not folder.is_dir():
    what = 'has no checkpoints' if pathlib.Path(workdir).is_dir() else 'does not exist'
    raise FileNotFoundError(f'{workdir} {what}: give the folder of a run that was trained')
  with manager(workdir) as checkpoints:
    chosen = find_step(checkpoints, step)
    if chosen is None:
      raise FileNotFoundError(
        f'{workdir} has no checkpoint {step!r}: it has {checkpoints.all_steps() or "none"}'
      )
    try:
      items = _read(checkpoints, chosen, model=ocp.args.StandardRestore())
    except Exception as error:
      why = checkpoints.reason(error)
      raise ValueError(
        f'checkpoint {chosen} of {workdir} is damaged ({why}): '
        f'give another --step of {checkpoints.all_steps()}'
      ) from error
  format.check(items.config, workdir)
  config = format.upgraded(items.config)
  return chosen, models.build(config['model']), items.model, config


def _read(checkpoints, step, **items):
  """The items of a checkpoint and its config, compared with the checksums that were saved with
  them.
  """
  folder = checkpoints.folder / str(step)
  integrity.check_loss(folder)
  texts = [
    name
    for name in ('config', 'since_log', 'checksums')
    if name == 'config' or (folder / name).is_dir()
  ]
  found = checkpoints.restore(
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


def find_step(checkpoints, step):
  """The step of 'best', 'last' or a number; None where there is no such checkpoint."""
  if step == 'best' and checkpoints.best_step() is not None:
    return checkpoints.best_step()
  if step in ('best', 'last'):
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
  }  # the model's own are the averaged ones
