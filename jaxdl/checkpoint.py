"""Checkpoints: save without waiting, restore a run from the newest whole one, or load its model alone."""

import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from jaxdl import files, integrity, models
from jaxdl.state import State

ITEMS = ('model', 'train', 'config', 'since_log', 'checksums')


def manager(workdir, keep_every=0):
  """Opens `workdir/checkpoints`, which keeps the last two checkpoints and the one of the lowest validation loss.

  Args:
    workdir: the run's folder.
    keep_every: those of every so many steps are kept too; 0 for none. It counts only where something is saved.

  Returns:
    orbax CheckpointManager; `close()` it.
  """
  def loss(metrics):
    return metrics['loss']

  keep = preservation_policy.AnyPreservationPolicy([
      preservation_policy.LatestN(2),  # where the last one is damaged, there is one to go on from
      preservation_policy.BestN(get_metric_fn=loss, reverse=True, n=1, keep_checkpoints_without_metrics=False),
      *([preservation_policy.EveryNSteps(keep_every)] if keep_every else [])])
  folder = pathlib.Path(workdir).absolute() / 'checkpoints'
  folder.mkdir(parents=True, exist_ok=True)
  alone = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0}, barrier_sync_key_prefix='jaxdl')
  options = ocp.CheckpointManagerOptions(best_fn=loss, best_mode='min', preservation_policy=keep, create=False,
                                         multiprocessing_options=alone)
  return ocp.CheckpointManager(folder, item_names=ITEMS, options=options)


def save(checkpoints, state, config, *, validation_loss=None, since_log=None):
  """Saves a state in the background: 'model' for analysis, 'train' for going on, 'config' and 'checksums' for both.

  Args:
    checkpoints: the manager; None in a process that keeps none.
    state: State.
    config: dict of plain JSON data.
    validation_loss: nats; a checkpoint without one is never the best.
    since_log: name → number, what training summed since its last log, so that the next one is that of a run never stopped.

  Raises:
    OSError: the disk is too full for it.
  """
  step = int(state.step)
  if checkpoints is None or step in checkpoints.all_steps():
    return
  model, train = jax.device_get((_model_item(state), _train_item(state)))
  files.check_space(checkpoints.directory, sum(leaf.nbytes for leaf in jax.tree.leaves((model, train))),
                    f'the checkpoint of step {step}')
  texts = {'config': config, 'since_log': {name: float(value) for name, value in (since_log or {}).items()}}
  texts['checksums'] = {'model': integrity.checksums(model), 'train': integrity.checksums(train),
                        **{name: integrity.of_json(text) for name, text in texts.items()}}
  items = ocp.args.Composite(model=ocp.args.StandardSave(model), train=ocp.args.StandardSave(train),
                             **{name: ocp.args.JsonSave(text) for name, text in texts.items()})
  checkpoints.save(step, args=items, metrics=None if validation_loss is None else {'loss': validation_loss})


def restore(checkpoints, state, *, step):
  """The state of a checkpoint.

  Args:
    checkpoints: the manager.
    state: State of the same run, for its shapes and types.
    step: int.

  Returns:
    State.

  Raises:
    DamagedError: what was read is not what was saved; damage that orbax finds itself has errors of many types.
  """
  abstract = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), (_model_item(state), _train_item(state)))
  items = _read(checkpoints, step, model=ocp.args.StandardRestore(abstract[0]), train=ocp.args.StandardRestore(abstract[1]))
  trained = items.train.pop('params') or items.model['params']
  average = items.model['params'] if trained is not items.model['params'] else {}
  return State(params=trained, average=average, batch_stats=items.model['batch_stats'], **items.train)


def newest(checkpoints, state):
  """The state of the last whole checkpoint, or the given one of the same run where there is none."""
  return _first_whole(checkpoints, state, 'last')


def best(checkpoints, state):
  """The state of the whole checkpoint of the lowest validation loss, or the given one, of the last step."""
  checkpoints.wait_until_finished()
  return state if find_step(checkpoints, 'best') == int(state.step) else _first_whole(checkpoints, state, 'best')


def _first_whole(checkpoints, state, which):
  """Restores the last or best checkpoint; one that is damaged is put aside, so that its step can be saved anew."""
  while (step := find_step(checkpoints, which)) is not None:
    try:
      return restore(checkpoints, state, step=step)
    except Exception as error:  # orbax, tensorstore and json each have their own for a damaged file
      integrity.put_aside(pathlib.Path(checkpoints.directory), step, error)
      checkpoints.reload()
  return state


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
  """What training had summed since its last log when `step` was saved, name → number; {} where that was not kept."""
  if checkpoints is None or not (pathlib.Path(checkpoints.directory) / str(step) / 'since_log').is_dir():
    return {}
  return checkpoints.restore(step, args=ocp.args.Composite(since_log=ocp.args.JsonRestore())).since_log


def best_loss(checkpoints):
  """The lowest validation loss of the checkpoints; infinite where there is none."""
  return float('inf') if checkpoints.best_step() is None else checkpoints.metrics(checkpoints.best_step())['loss']


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
  """The same after the number of the step, of one reading: a run that still trains has another best one a moment later."""
  folder = pathlib.Path(workdir).absolute() / 'checkpoints'
  if not folder.is_dir():
    what = 'has no checkpoints' if pathlib.Path(workdir).is_dir() else 'does not exist'
    raise FileNotFoundError(f'{workdir} {what}: give the folder of a run that was trained')
  with manager(workdir) as checkpoints:
    chosen = find_step(checkpoints, step)
    if chosen is None:
      raise FileNotFoundError(f'{workdir} has no checkpoint {step!r}: it has {checkpoints.all_steps() or "none"}')
    try:
      items = _read(checkpoints, chosen, model=ocp.args.StandardRestore())
    except Exception as error:
      raise ValueError(f'checkpoint {chosen} of {workdir} is damaged ({integrity.reason(error)}): give another --step of '
                       f'{checkpoints.all_steps()}') from error
  return chosen, models.build(items.config['model']), items.model, items.config


def _read(checkpoints, step, **items):
  """The items of a checkpoint and its config, compared with the checksums that were saved with them."""
  folder = pathlib.Path(checkpoints.directory) / str(step)
  texts = [name for name in ('config', 'since_log', 'checksums') if name == 'config' or (folder / name).is_dir()]
  found = checkpoints.restore(step, args=ocp.args.Composite(**{name: ocp.args.JsonRestore() for name in texts}, **items))
  if 'checksums' in texts:  # older versions wrote none
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
  return {'step': state.step, 'opt_state': state.opt_state, 'rng': state.rng, 'carry': state.carry,
          'params': state.params if state.average else {}}  # the model's own are the averaged ones
