"""Checkpoints: save without waiting, restore a run, or load its model alone."""

import json
import pathlib

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from jaxdl import config as configuration
from jaxdl import files, models
from jaxdl.state import State


def manager(workdir, keep_every=0):
  """Opens `workdir/checkpoints`, which keeps the last checkpoint and the one of the lowest validation loss.

  Args:
    workdir: the run's folder.
    keep_every: those of every so many steps are kept too; 0 for none. It counts only where something is saved.

  Returns:
    orbax CheckpointManager; `close()` it.
  """
  def loss(metrics):
    return metrics['loss']

  keep = preservation_policy.AnyPreservationPolicy([
      preservation_policy.LatestN(1),
      preservation_policy.BestN(get_metric_fn=loss, reverse=True, n=1, keep_checkpoints_without_metrics=False),
      *([preservation_policy.EveryNSteps(keep_every)] if keep_every else [])])
  options = ocp.CheckpointManagerOptions(best_fn=loss, best_mode='min', preservation_policy=keep)
  folder = pathlib.Path(workdir).absolute() / 'checkpoints'
  return ocp.CheckpointManager(folder, item_names=('model', 'train', 'config'), options=options)


def save(checkpoints, state, config, *, validation_loss=None):
  """Saves a state in the background: 'model' for analysis, 'train' for going on, 'config' for both.

  Args:
    checkpoints: the manager.
    state: State.
    config: dict of plain JSON data.
    validation_loss: nats; a checkpoint without one is never the best.
  """
  step = int(state.step)
  if step in checkpoints.all_steps():
    return
  items = ocp.args.Composite(model=ocp.args.StandardSave(_model_item(state)),
                             train=ocp.args.StandardSave(_train_item(state)), config=ocp.args.JsonSave(config))
  checkpoints.save(step, args=items, metrics=None if validation_loss is None else {'loss': validation_loss})


def restore(checkpoints, state, *, step):
  """The state of a checkpoint.

  Args:
    checkpoints: the manager.
    state: State of the same run, for its shapes and types.
    step: int.

  Returns:
    State.
  """
  abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, (_model_item(state), _train_item(state)))
  items = checkpoints.restore(step, args=ocp.args.Composite(model=ocp.args.StandardRestore(abstract[0]),
                                                            train=ocp.args.StandardRestore(abstract[1])))
  trained = items.train.pop('params') or items.model['params']
  average = items.model['params'] if trained is not items.model['params'] else {}
  return State(params=trained, average=average, batch_stats=items.model['batch_stats'], **items.train)


def newest(checkpoints, state):
  """The state of the last checkpoint, or the given one of the same run where there is none yet."""
  step = checkpoints.latest_step()
  return state if step is None else restore(checkpoints, state, step=step)


def last_step(workdir):
  """The step of a run's last checkpoint; 0 where there is none."""
  return max(kept_steps(workdir), default=0)


def kept_steps(workdir):
  """The steps of the checkpoints that a run keeps, list of int in order; [] where there is none."""
  if not (pathlib.Path(workdir) / 'checkpoints').is_dir():
    return []
  with manager(workdir) as checkpoints:
    return sorted(checkpoints.all_steps())


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
  folder = pathlib.Path(workdir).absolute() / 'checkpoints'
  if not folder.is_dir():
    raise FileNotFoundError(f'{workdir} has no checkpoints: train a run there first, or give another --workdir')
  with manager(workdir) as checkpoints:
    chosen = find_step(checkpoints, step)
    if chosen is None:
      raise FileNotFoundError(f'{workdir} has no checkpoint {step!r}: it has {checkpoints.all_steps() or "none"}')
    items = checkpoints.restore(chosen, args=ocp.args.Composite(model=ocp.args.StandardRestore(),
                                                                config=ocp.args.JsonRestore()))
  return models.build(items.config['model']), items.model, items.config


def find_step(checkpoints, step):
  """The step of 'best', 'last' or a number; None where there is no such checkpoint."""
  if step == 'best' and checkpoints.best_step() is not None:
    return checkpoints.best_step()
  if step in ('best', 'last'):
    return checkpoints.latest_step()
  return step if step in checkpoints.all_steps() else None


def check_config(workdir, config):
  """Refuses a folder that holds a run of another config, else writes `config.json` into it.

  How long and how often may change between sittings; what is trained may not.

  Args:
    workdir: the run's folder, made where it is absent.
    config: dict of plain JSON data.

  Raises:
    ValueError: the folder's config differs; the message names the keys.
    OSError: the folder cannot be written.
  """
  folder = pathlib.Path(workdir)
  folder.mkdir(parents=True, exist_ok=True)
  file = folder / 'config.json'
  if (folder / 'checkpoints').is_dir() and file.is_file():
    before, now = configuration.flat(json.loads(file.read_text())), configuration.flat(config)
    changed = sorted(key for key in before.keys() | now.keys()
                     if key.split('.')[0] not in MAY_CHANGE and before.get(key) != now.get(key))
    if changed:
      raise ValueError(f'{workdir} holds a run of another config (differing in {", ".join(changed)}): '
                       'give another --workdir, or delete the folder')
  files.write_whole(file, json.dumps(config, indent=2) + '\n')


MAY_CHANGE = ('train_for', 'log_every', 'evaluate_every', 'checkpoint_every', 'keep_every', 'reported')


def _model_item(state):
  return state.variables()


def _train_item(state):
  return {'step': state.step, 'opt_state': state.opt_state, 'rng': state.rng, 'carry': state.carry,
          'params': state.params if state.average else {}}  # the model's own are the averaged ones
