"""Several runs trained by one compiled program: the loop of `train`, with an axis of members before
every array.
"""

import contextlib
import dataclasses

import numpy as np

from jaxdl.monitoring import writers
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.runs import checkpoint, folder, record, summary
from jaxdl.step import tasks
from jaxdl.sweeps import ensemble
from jaxdl.terminal.progress import show
from jaxdl.terminal.signals import stop_signals
from jaxdl.training import chunks, divergence, experiment


@dataclasses.dataclass
class Run:
  """One member of a group while it trains.

  Attributes:
    built, workdir: its Experiment and folder.
    checkpoints, journal: its manager and its Writers.
    watch: function of the Writers and a State, called at each evaluation.
    outputs: SideOutputs, of what `watch` writes.
    best: lowest validation loss so far.
    waiting: the State of that loss and its sums since the last log, until they are saved, else
      None.
    fault: why it no longer trains, else None.
  """

  built: experiment.Experiment
  workdir: str
  checkpoints: object
  journal: writers.Writers
  watch: object
  best: float
  outputs: SideOutputs = dataclasses.field(default_factory=SideOutputs)
  waiting: tuple | None = None
  fault: str | None = None


def train_together(experiments, workdirs, starts=None, watched=None, *, start_over=False):
  """Trains experiments that `grouping.grouped` put together, each into a folder of its own, as
  `loop.train` would.

  Each folder is that of an ordinary run, and goes on from its last checkpoint where all of them
  stand at one step.

  Args:
    experiments, workdirs: lists of Experiment and of folders.
    starts, watched: lists of functions of the Writers, called once in a new run, and of the Writers
      and a State, called at each evaluation; None for none.
    start_over: as in `loop.train`.

  Returns:
    list of summaries as `loop.train` returns them, or of str: why a run no longer trained.

  Raises:
    ValueError, checkpoint.AllDamagedError, OSError: as `loop.train`.
  """
  with contextlib.ExitStack() as stack:
    for built, workdir in zip(experiments, workdirs, strict=True):
      stack.enter_context(folder.locked(workdir, built.config, built.steps))
    managers = [
      stack.enter_context(checkpoint.manager(workdir, experiments[0].keep_every))
      for workdir in workdirs
    ]
    states = [
      checkpoint.restore_last(kept, built.initial_state(), start_over=start_over)
      for built, kept in zip(experiments, managers, strict=True)
    ]
    for built, workdir in zip(experiments, workdirs, strict=True):
      folder.write_config(workdir, built.config)
    first = int(states[0].step)
    if any(int(state.step) != first for state in states):
      raise ValueError(
        'a damaged checkpoint left the runs at different steps: give the same command again'
      )
    journals = [
      stack.enter_context(writers.open_writers(workdir, built.data.splits, first_step=first))
      for built, workdir in zip(experiments, workdirs, strict=True)
    ]
    nothing = [lambda *anything: None] * len(experiments)
    runs = [
      Run(
        built=built,
        workdir=workdir,
        checkpoints=kept,
        journal=journal,
        watch=watch,
        best=checkpoint.best_loss(kept),
      )
      for built, workdir, kept, journal, watch in zip(
        experiments, workdirs, managers, journals, watched or nothing, strict=True
      )
    ]
    for run, start in zip(runs, starts or nothing, strict=True):
      if first == 0:
        run.outputs.attempt(f'what is written at the start of {run.workdir}', start, run.journal)
    evaluate = ensemble.evaluation_of(experiments)
    shown = stack.enter_context(
      show(
        experiments[0].steps,
        first_step=first,
        evaluate_every=experiments[0].evaluate_every,
        counted=record.counted(experiments[0].config),
      )
    )
    if first:
      shown.say(f'resuming {len(runs)} runs at step {first:,} of {experiments[0].steps:,}')
    current, seconds, stopped = _loop(runs, ensemble.stacked(states), evaluate, shown)
    states = [
      checkpoint.restore_best(run.checkpoints, ensemble.member(current, number))
      for number, run in enumerate(runs)
    ]
    measured = evaluate(ensemble.placed(ensemble.stacked(states)))
    return [
      run.fault
      or _recorded(
        run,
        state,
        {split: _of(sums, number) for split, sums in measured.items()},
        stopped=int(current.step[0]) if stopped else None,
        seconds=seconds / len(runs),
        first=first,
      )
      for number, (run, state) in enumerate(zip(runs, states, strict=True))
    ]


def _loop(runs, current, evaluate, shown):
  """Logs, evaluates and saves where it is due; returns (States, seconds of training, stopped by a
  signal).
  """
  built, experiments = runs[0].built, [run.built for run in runs]
  step, seconds = int(current.step[0]), 0.0
  since_log = _joined([checkpoint.since_log(run.checkpoints, step) for run in runs])

  def due(*everies):
    return step == built.steps or any(every and step % every == 0 for every in everies)

  compiled = chunks.run_in_chunks(
    built,
    step,
    ensemble.compile_steps(experiments),
    ensemble.feeds(experiments),
    place=ensemble.placed,
    split_feed=ensemble.split_feeds(len(runs)),
  )
  with stop_signals() as stop, contextlib.closing(compiled) as sitting:
    next(sitting)
    while step < built.steps and not stop and not all(run.fault for run in runs):
      current, history, spent = sitting.send(current)
      step, seconds = int(current.step[0]), seconds + spent
      _notice(runs, history['loss'], step, shown)
      here = {name: values.sum(-1, dtype=np.float64) for name, values in history.items()}  # [M]
      here['seconds'] = np.full(len(runs), spent)
      since_log = {name: since_log.get(name, 0) + value for name, value in here.items()}
      speeds = since_log['count'] / since_log['seconds']
      shown.advance(step, f'{len(runs)} runs, loss {_span(since_log)}', speeds.sum())
      measured = {}
      if due(built.evaluate_every):
        with shown.evaluating():
          measured = evaluate(current)
      logged = {'train': since_log} if due(built.log_every) else {}
      since_log = {} if logged else since_log
      for number, run in enumerate(runs):
        if not run.fault:
          for split, values in {**logged, **measured}.items():
            figures = tasks.metrics(_of(values, number))
            if split == 'train':
              figures['learning_rate'] = run.built.learning_rate(step, current.opt_state)
              figures['examples_per_second'] = round(float(speeds[number]), 1)
            run.journal.scalars(step, split, figures)
          if measured:
            run.outputs.attempt(
              f'what is written at evaluations of {run.workdir}',
              run.watch,
              run.journal,
              ensemble.member(current, number),
            )
          loss = _remember(run, measured, current, number, since_log)
          if stop or due(built.checkpoint_every, built.keep_every):
            _save(run, ensemble.member(current, number), loss, _of(since_log, number))
      if 'validation' in measured:
        shown.say(
          f'step {step:,} of {built.steps:,}  {len(runs)} runs, validation loss {_span(measured["validation"])}  '
          f'{shown.left(step)}'
        )
  return current, seconds, bool(stop)


def _notice(runs, losses, step, shown):
  """Takes a run whose loss is no longer finite out of the group; the others go on."""
  for run, values in zip(runs, losses, strict=True):
    try:
      if not run.fault:
        divergence.check_losses(values, step, run.checkpoints)
    except FloatingPointError as error:
      run.fault = str(error)
      shown.say(f'  {run.workdir}: {run.fault}')


def _remember(run, measured, current, number, since_log):
  """Keeps the State of the lowest validation loss; returns this one's, None where there is none."""
  if 'validation' not in measured:
    return None
  loss = tasks.metrics(_of(measured['validation'], number))['loss']
  if loss < run.best:
    run.best, run.waiting = loss, (ensemble.member(current, number), _of(since_log, number))
  return loss


def _save(run, state, loss, since_log):
  """Saves the State of the lowest validation loss, unless that is done, and the last one."""
  try:
    divergence.check_parameters(state.params, int(state.step), run.checkpoints)
  except FloatingPointError as error:
    run.fault = str(error)
    return
  if run.waiting is not None and int(run.waiting[0].step) < int(state.step):
    checkpoint.save(
      run.checkpoints,
      run.waiting[0],
      run.built.config,
      validation_loss=run.best,
      since_log=run.waiting[1],
    )
  run.waiting = None
  checkpoint.save(
    run.checkpoints, state, run.built.config, validation_loss=loss, since_log=since_log
  )


def _recorded(run, state, measured, *, stopped, seconds, first):
  run.journal.final(int(state.step), summary.of_splits(measured))
  figures = summary.of_run(run.built, state, measured, stopped=stopped, stopped_early=None)
  return summary.record(run.workdir, figures, seconds=seconds, resumed=first > 0)


def _joined(sums):
  """name → [M] of the sums of M members, each name → number; {} where one has none."""
  return {name: np.array([one[name] for one in sums]) for name in sums[0]} if all(sums) else {}


def _of(sums, number):
  return {name: values[number] for name, values in sums.items()}


def _span(sums):
  return f'{np.nanmin(losses := sums["loss"] / sums["count"]):.4f} to {np.nanmax(losses):.4f}'
