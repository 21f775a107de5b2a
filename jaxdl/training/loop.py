"""The loop: train, evaluate, checkpoint, resume."""

import contextlib
import dataclasses
import time

import jax
import numpy as np

from jaxdl.devices import parallel, processes
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.monitoring.writers import SILENT, open_writers
from jaxdl.runs import checkpoint, folder, summary
from jaxdl.runs.record import counted
from jaxdl.step import plateau, tasks
from jaxdl.terminal import progress
from jaxdl.terminal.signals import stop_signals
from jaxdl.training import chunks, divergence, evaluation
from jaxdl.training.profiling import profiled


def train(
  experiment,
  workdir,
  *,
  start_over=False,
  at_start=lambda writers: None,
  at_evaluation=lambda writers, state: None,
  at_end=lambda writers, state: None,
):
  """Trains an experiment to its end, going on from the last checkpoint where there is one.

  Args:
    experiment: Experiment.
    workdir: the run's folder.
    start_over: whether a run whose checkpoints are all damaged begins again at step 1; they are
      moved to `damaged/`. A run with a readable checkpoint resumes from it.
    at_start: function of the writers, called once in a new run, after its first step so that nobody
      waits for it.
    at_evaluation: function of the writers and the State on the devices, called at each evaluation.
    at_end: the same of the State of the best checkpoint. An exception of one of the three functions
      is a warning.

  Returns:
    dict, the figures of the best checkpoint; its key 'stopped' is the step at which a signal ended
    the run, else None, 'stopped_early' that at which the validation loss had not fallen for long
    enough, else None.

  Raises:
    ValueError: the folder holds a run of another config.
    checkpoint.AllDamagedError: none of the run's checkpoints can be read; nothing was changed.
    OSError: another process trains there, the folder cannot be written, or a checkpoint cannot be
      read back.
    FloatingPointError: the loss is no longer finite; the last good checkpoint is kept.
  """
  started, outputs = time.monotonic(), SideOutputs()
  with contextlib.ExitStack() as stack:
    checkpoints = processes.on_first_process(lambda: _opened(stack, workdir, experiment))
    run, evaluate = chunks.compile_steps(experiment), evaluation.of_splits(experiment)
    done = int(
      processes.broadcast_from_first(
        lambda: np.int64(checkpoint.find_step(checkpoints, 'last') or 0), like=np.int64(0)
      )
    )
    shown = stack.enter_context(
      progress.show(
        experiment.steps,
        first_step=done,
        evaluate_every=experiment.evaluate_every,
        counted=counted(experiment.config),
      )
    )
    initial = (
      chunks.first_state(experiment, run) if done < experiment.steps else experiment.initial_state()
    )
    current = processes.broadcast_from_first(
      lambda: checkpoint.restore_last(checkpoints, initial, start_over=start_over), like=initial
    )
    processes.on_first_process(lambda: folder.write_config(workdir, experiment.config))
    first = int(current.step)
    with _writers(workdir, experiment, first) as opened:
      if finished := first >= experiment.steps or _ended(experiment, current):
        shown.say(
          f'{workdir} is finished already, at step {first:,}: evaluating its best checkpoint again'
        )
      elif first:
        shown.say(f'resuming {workdir} at step {first:,} of {experiment.steps:,}')

      def begin():
        outputs.attempt('what is written at the start', at_start, opened)

      def watch(state):
        outputs.attempt('what is written at evaluations', at_evaluation, opened, state)

      profile = experiment.profile if processes.is_first() else 0
      with profiled(run, workdir, first_step=first, steps=profile) as run:
        current, stopped = _loop(
          experiment, run, current, checkpoints, evaluate, opened, shown, begin, watch
        )
      stopped = int(current.step) if stopped else None
      early = int(current.step) if _ended(experiment, current) else None
      current = processes.broadcast_from_first(
        lambda: checkpoint.restore_best(checkpoints, current), like=current
      )
      shown.doing('evaluating the best checkpoint')
      measured = evaluate(parallel.replicate(current))
      opened.final(int(current.step), summary.of_splits(measured))
      figures = {split: tasks.metrics(sums) for split, sums in measured.items()}
      shown.say(f'best checkpoint: {shown.line(int(current.step), figures=figures, left="")}')
      outputs.attempt('what is written at the end', at_end, opened, current)
    figures = summary.of_run(experiment, current, measured, stopped=stopped, stopped_early=early)
    spent = (
      0.0 if finished else time.monotonic() - started
    )  # a finished run was only evaluated again
    return (
      processes.on_first_process(
        lambda: summary.record(workdir, figures, seconds=spent, resumed=first > 0)
      )
      or figures
    )


def _opened(stack, workdir, experiment):
  """The checkpoints of a run's folder, which is this process's own until the stack closes."""
  stack.enter_context(folder.locked(workdir, experiment.config, experiment.steps))
  return stack.enter_context(checkpoint.manager(workdir, experiment.keep_every))


def _writers(workdir, experiment, first_step):
  if processes.is_first():
    return open_writers(workdir, experiment.data.splits, first_step=first_step)
  return contextlib.nullcontext(SILENT)


def _loop(experiment, run, current, checkpoints, evaluate, opened, shown, at_start, at_evaluation):
  """Logs, evaluates and saves where it is due; returns (State, stopped by a signal)."""

  def due(*everies):
    return step == experiment.steps or any(every and step % every == 0 for every in everies)

  best = float(
    processes.broadcast_from_first(
      lambda: np.float64(checkpoint.best_loss(checkpoints)), like=np.float64(0)
    )
  )
  step, ended, stopped = int(current.step), _ended(experiment, current), False
  since_log = checkpoint.since_log(checkpoints, step)
  feed_at = experiment.data.splits['train'].feed
  with (
    stop_signals() as stop,
    contextlib.closing(chunks.run_in_chunks(experiment, step, run, feed_at)) as sitting,
  ):
    next(sitting)
    while step < experiment.steps and not stopped and not ended:
      current, history, spent = sitting.send(current)
      step = int(current.step)
      stopped = not processes.min_over_processes(
        not stop
      )  # a signal to one process stops all, after the same step
      if stopped:
        shown.say(f'stopping after step {step:,}: saving it, then evaluating the best checkpoint')
      divergence.check_losses(history['loss'], step, checkpoints)
      if step == len(history['loss']) and processes.is_first():
        at_start()  # before the first time left is asked for
      here = {
        name: values.sum(dtype=np.float64) for name, values in history.items()
      }  # exact: however the steps are cut
      since_log = {
        name: since_log.get(name, 0) + value for name, value in {**here, 'seconds': spent}.items()
      }
      speed = since_log['count'] / since_log['seconds']
      shown.advance(step, f'train {progress.describe(tasks.metrics(since_log))}', speed)
      figures, loss = {}, None
      if due(experiment.log_every):
        figures['train'] = {
          **tasks.metrics(since_log),
          'learning_rate': experiment.learning_rate(step, current.opt_state),
          'examples_per_second': round(float(speed), 1),
        }
        since_log = {}
      if due(experiment.evaluate_every):
        with shown.evaluating():
          figures |= {split: tasks.metrics(values) for split, values in evaluate(current).items()}
          at_evaluation(current)
        loss = figures.get('validation', {}).get('loss')
      for split, values in figures.items():
        opened.scalars(step, split, values)
      if figures:
        shown.log(step, figures)
      if experiment.observe and step % experiment.evaluate_every == 0:
        current = _observed(experiment, current, loss, shown)
        ended = _ended(experiment, current)
      improved = loss is not None and loss < best
      if improved or stopped or ended or due(experiment.checkpoint_every, experiment.keep_every):
        divergence.check_parameters(current.params, step, checkpoints)
        checkpoint.save(
          checkpoints, current, experiment.config, validation_loss=loss, since_log=since_log
        )
      if improved:
        shown.say(
          f'  validation loss {f"improved from {best:.6g} to " * (best < float("inf"))}{loss:.6g}, saved'
        )
        best = loss
  if ended:
    shown.say(
      f'no lower validation loss for {experiment.early_stopping:,} steps: stopped early at step {step:,}'
    )
  return current, stopped and not ended and step < experiment.steps


def _observed(experiment, current, loss, shown):
  """The State that remembers a validation loss."""
  before = jax.device_get(current.opt_state['memory'])
  after = experiment.observe(before, loss, int(current.step))
  if after['factor'] != before['factor']:
    shown.say(
      f'  no lower validation loss since step {after["best_step"]:,}: '
      f'learning rate cut to {after["factor"]:.4g} times its schedule'
    )
  return dataclasses.replace(
    current, opt_state={**current.opt_state, 'memory': parallel.replicate(after)}
  )


def _ended(experiment, current):
  """Whether the validation loss has not fallen for as long as the config waits."""
  return (
    experiment.early_stopping > 0
    and plateau.steps_without_improvement(jax.device_get(current.opt_state['memory']))
    >= experiment.early_stopping
  )
