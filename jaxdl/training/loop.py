"""The training loop: trains, evaluates, saves and resumes one or several runs."""

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxdl.devices import parallel, processes
from jaxdl.monitoring import writers
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.runs import certificate, checkpoint, folder, record, summary
from jaxdl.step import plateau, tasks
from jaxdl.terminal import output, progress
from jaxdl.terminal.signals import stop_signals
from jaxdl.training import chunks, divergence, programs
from jaxdl.training.experiment import Experiment
from jaxdl.training.profiling import profiled
from jaxdl.training.programs import Program


def nothing(*arguments: Any) -> None:
  """The callback that does nothing."""


class DifferentStepsError(ValueError):
  """The last readable checkpoints of runs that shall be trained together are of different steps."""


@dataclasses.dataclass(frozen=True)
class Callbacks:
  """Functions that are called while a run trains.

  An exception in one becomes a warning, except in `is_over`, which decides what is trained.

  Attributes:
    at_start: (Writers) → None; called once in a new run, after its first call of training steps.
    at_evaluation: (Writers, State on the devices) → None; called at each evaluation.
    after_evaluation: (step, seconds left or None, function () → State on the devices) → None;
      called on the first process after the metrics of an evaluation have been written, except at
      the last step.
    at_end: (Writers, State) → None; called with the state of the best checkpoint.
    is_over: (step, split → metric → figure) → whether the run ends at this evaluation. It is called
      on the first process after the metrics have been written, except at the last step; also, with
      {}, if the run resumes at the step of an evaluation. Only for a run that is trained alone.
  """

  at_start: Callable[..., Any] = nothing
  at_evaluation: Callable[..., Any] = nothing
  at_end: Callable[..., Any] = nothing
  after_evaluation: Callable[..., Any] = nothing
  is_over: Callable[..., Any] = nothing


@dataclasses.dataclass
class Session:
  """One run while it trains.

  Attributes:
    experiment: the experiment that is trained.
    workdir: the run's folder.
    checkpoints: its checkpoint.Manager; None in a process that writes nothing.
    writers: its Writers.
    callbacks: functions that are called while it trains.
    outputs: turns exceptions of the callbacks into warnings.
    together: number of runs of its program.
    best: best score of the watched metric so far (`step.watch`); by default, the lowest validation
      loss.
    unsaved: (State with the best score, that score, sums since the last log, certificate) until it
      is saved; otherwise None.
    fault: why the run no longer trains; None while it trains.
  """

  experiment: Experiment
  workdir: str | pathlib.Path
  checkpoints: checkpoint.Manager | None
  writers: writers.Writers
  callbacks: Callbacks
  outputs: SideOutputs
  together: int
  best: float
  unsaved: tuple | None = None
  fault: str | None = None

  @property
  def is_alone(self) -> bool:
    """Whether it is the only run of its program."""
    return self.together == 1

  def attempt(self, when: str, function: Callable, *arguments: Any) -> None:
    """Calls one of the callbacks.

    Args:
      when: time of the call, for the warning.
      function: the callback.
      *arguments: its arguments.
    """
    where = '' if self.is_alone else f' of {self.workdir}'
    self.outputs.attempt(f'the output {when}{where}', function, *arguments)


def train(
  experiment: Experiment,
  workdir: str | pathlib.Path,
  *,
  start_over: bool = False,
  at_start: Callable[..., Any] = nothing,
  at_evaluation: Callable[..., Any] = nothing,
  at_end: Callable[..., Any] = nothing,
  after_evaluation: Callable[..., Any] = nothing,
) -> dict[str, Any]:
  """Trains one experiment to its end; resumes from the last checkpoint if there is one.

  Args:
    experiment: the experiment to train.
    workdir: the run's folder.
    start_over: whether a run whose checkpoints are all damaged starts again at step 1; they are
      moved to `damaged/`. A run with a readable checkpoint resumes from it.
    at_start, at_evaluation, at_end, after_evaluation: as in Callbacks.

  Returns:
    The metrics of the best checkpoint. The key 'stopped' is the step at which a signal ended the
    run, or None. The key 'stopped_early' is the step at which training ended because the watched
    metric no longer improved, or None.

  Raises:
    ValueError: the folder has a run of another config.
    checkpoint.AllDamagedError: none of the run's checkpoints can be read; nothing was changed.
    OSError: another process trains in the folder, the folder cannot be written, or a checkpoint
      cannot be read back.
    FloatingPointError: the loss is no longer finite; the last good checkpoint is kept.
  """
  program = programs.of_one(experiment)
  callbacks = Callbacks(at_start, at_evaluation, at_end, after_evaluation)
  (found,) = train_runs([experiment], [workdir], program, [callbacks], start_over=start_over)
  if isinstance(found, str):
    raise FloatingPointError(found)
  return found


def train_runs(
  experiments: Sequence[Experiment],
  workdirs: Sequence[str | pathlib.Path],
  program: Program,
  callbacks: Sequence[Callbacks | None] | None = None,
  *,
  start_over: bool = False,
) -> list[dict[str, Any] | str]:
  """Trains one or several experiments in lockstep with one program, each in its own folder.

  The folders are those of ordinary runs. The runs can only resume in lockstep if all of them are at
  the same step.

  Args:
    experiments: M experiments of the same length, one or more.
    workdirs: M folders.
    program: compiled functions for M runs, returned by `programs.of_one` or `ensemble.program`.
    callbacks: M sets of functions; None for no callbacks.
    start_over: as in `train`.

  Returns:
    For each run, a summary as returned by `train`, or a string with the reason why it failed.

  Raises:
    ValueError, checkpoint.AllDamagedError, OSError: as in `train`; ValueError also if there are
      several experiments and one of them can only be trained separately.
    DifferentStepsError: the runs are at different steps, such as after a damaged checkpoint of one
      was moved to `damaged/`.
  """
  started = time.monotonic()
  _check_group(experiments)
  experiments = [
    dataclasses.replace(experiment, config=folder.with_origin(experiment.config, workdir))
    for experiment, workdir in zip(experiments, workdirs, strict=True)
  ]
  leader = experiments[0]
  callbacks = [given or Callbacks() for given in callbacks or [None] * len(experiments)]
  with contextlib.ExitStack() as stack:
    stack.enter_context(output.unfailing())
    managers: list[Any] = [
      processes.on_first_process(lambda: _open_checkpoints(stack, workdir, experiment))  # noqa: B023
      for experiment, workdir in zip(experiments, workdirs, strict=True)
    ]
    last = processes.broadcast_from_first(
      lambda: np.int64(checkpoint.find_step(managers[0], 'last') or 0), like=np.int64(0)
    )
    screen = stack.enter_context(
      progress.show(
        leader.steps,
        first_step=int(last),
        evaluate_every=leader.evaluate_every,
        counted=record.counted(leader.config),
        attempt=SideOutputs().attempt,
      )
    )
    initial = program.initial_states(compile_step=int(last) < leader.steps)
    states = processes.broadcast_from_first(
      lambda: [
        _first_state(*run, start_over=start_over)
        for run in zip(experiments, managers, initial, strict=True)
      ],
      like=initial,
    )
    for experiment, workdir in zip(experiments, workdirs, strict=True):
      processes.on_first_process(lambda: folder.write_config(workdir, experiment.config))  # noqa: B023
    first = int(states[0].step)
    if len(steps := {int(state.step) for state in states}) > 1:
      raise DifferentStepsError(
        f'the runs are at different steps, {" and ".join(map(str, sorted(steps)))}: '
        'train those of the same step together'
      )
    with contextlib.ExitStack() as files:
      sessions = [
        _session(files, experiment, workdir, manager, given, first, together=len(experiments))
        for experiment, workdir, manager, given in zip(
          experiments, workdirs, managers, callbacks, strict=True
        )
      ]
      ended = _is_stale(leader, states[0]) or _is_over(sessions, first, {})
      finished = first >= leader.steps or ended
      _say_start(screen, sessions, first, finished)
      profile = leader.profile if processes.is_first() else 0
      with profiled(program.run, workdirs[0], first_step=first, steps=profile) as run:
        program_of_loop = dataclasses.replace(program, run=run)
        states, step, stopped, ended, last = _loop(
          program_of_loop, sessions, program.join(states), first, screen, ended=ended
        )
      if not _training(sessions):
        return [str(session.fault) for session in sessions]
      figures = _evaluate_best(
        program,
        sessions,
        states,
        last,
        screen,
        stopped=step if stopped else None,
        stopped_early=step if ended else None,
      )
    # A finished run was only re-evaluated.
    seconds = 0.0 if finished else (time.monotonic() - started) / len(sessions)
    return [
      session.fault or _write_summary(session, values, seconds, resumed=first > 0)
      for session, values in zip(sessions, figures, strict=True)
    ]


def _check_group(experiments):
  """Raises ValueError if there are several experiments and one can only be trained separately."""
  if len(experiments) == 1:
    return
  for experiment in experiments:
    for key in ('plateau', 'early_stopping', 'profile', 'shards'):
      if experiment.config.get(key) not in (None, 1):
        raise ValueError(
          f'config.{key} is set, so {experiment.name} cannot be trained together with other runs: '
          'train it separately'
        )
  if jax.process_count() > 1:
    raise ValueError('several runs are trained together in one process only: train them one by one')


def _open_checkpoints(stack, workdir, experiment):
  """Opens the checkpoints of a run's folder, which is locked until the stack closes."""
  stack.enter_context(folder.locked(workdir, experiment.config, experiment.steps))
  return stack.enter_context(checkpoint.manager(workdir, experiment.keep_every))


def _first_state(experiment, manager, drawn, *, start_over):
  """The state of the last checkpoint; without one, the drawn one or that of `config.start_from`."""
  state = checkpoint.restore_last(manager, drawn, start_over=start_over)
  if state is not drawn:
    return state
  if 'imported' in experiment.config.get(folder.ORIGIN, {}):
    raise ValueError(
      f'{manager.folder.parent} started with imported weights, and no checkpoint of it can be '
      'read: import them again, into another folder'
    )
  if experiment.start is None:
    return drawn
  return experiment.with_variables(drawn, experiment.start().over(drawn.variables()))


def _session(stack, experiment, workdir, manager, callbacks, first_step, *, together):
  """The Session of a run, with writers that close with the stack."""
  opened = writers.SILENT
  if processes.is_first():
    splits = experiment.data.splits
    opened = stack.enter_context(writers.open_writers(workdir, splits, first_step=first_step))
  best = processes.broadcast_from_first(
    lambda: np.float64(checkpoint.best_score(manager)), like=np.float64(0)
  )
  outputs = SideOutputs(patience=10)  # a callback has several outputs, each with its own limit
  return Session(experiment, workdir, manager, opened, callbacks, outputs, together, float(best))


def _say_start(screen, sessions, first, finished):
  if not first:
    for _, session in _training(sessions):
      for line in session.experiment.start().lines if session.experiment.start else ():
        screen.say(line)
  which = sessions[0].workdir if len(sessions) == 1 else f'{len(sessions)} runs'
  if finished:
    verb = 'is' if len(sessions) == 1 else 'are'
    screen.say(
      f'{which} {verb} finished already, at step {first:,}: evaluating the best checkpoint again'
    )
  elif first:
    screen.say(f'resuming {which} at step {first:,} of {sessions[0].experiment.steps:,}')


def _loop(program, sessions, states, step, screen, *, ended):
  """Trains; logs, evaluates and saves at their intervals.

  Returns:
    (states, step, whether a signal ended the training before its end, whether it ended early, the
    last evaluation: (step, split → [M] sums), or (None, {}) if there was none).
  """
  leader, stopped, last = sessions[0].experiment, False, (None, {})
  since_log = _stacked([checkpoint.since_log(session.checkpoints, step) for session in sessions])
  with (
    stop_signals() as signals,
    contextlib.closing(chunks.run_in_chunks(leader, step, program)) as calls,
  ):
    next(calls)
    while step < leader.steps and not stopped and not ended and _training(sessions):
      is_new = step == 0
      states, history, spent = calls.send(states)
      step += history['loss'].shape[-1]
      # A signal to one process stops all of them after the same step.
      stopped = not processes.min_over_processes(not signals)
      if stopped:
        screen.say(f'stopping after step {step:,}: saving it, then evaluating the best checkpoint')
      _check_losses(sessions, history['loss'], step, screen)
      if is_new and processes.is_first():
        for _, session in _training(sessions):
          session.attempt('at the start', session.callbacks.at_start, session.writers)
      since_log = _added(since_log, history, spent)
      _show_progress(screen, step, since_log)
      measured = _evaluate(program, sessions, states, step, screen)
      if measured:
        last = step, measured
      logged = {}
      if _is_due(leader, step, leader.log_every):
        logged, since_log = since_log, {}
      _write_metrics(sessions, step, logged, measured, states.opt_state, screen)
      if leader.observe and step % leader.evaluate_every == 0:
        states = _observe(leader, states, step, measured, screen)
        ended = _is_stale(leader, states)
      ended = _is_over(sessions, step, measured) or ended
      due = stopped or ended or _is_due(leader, step, leader.checkpoint_every, leader.keep_every)
      for number, session in _training(sessions):
        state = functools.partial(program.member, states, number)
        score = _score(session.experiment, measured, number)
        _keep(session, state, step, score, _of_run(since_log, number), screen, due=due)
      _after_evaluation(program, sessions, states, step, measured, screen)
  if _is_stale(leader, states):
    screen.say(
      f'no {leader.watch.better} {leader.watch.words} for {leader.early_stopping:,} steps: '
      f'stopped early at step {step:,}'
    )
  return states, step, stopped and not ended and step < leader.steps, ended, last


def _training(sessions):
  """(number, Session) of the runs that still train."""
  return [(number, session) for number, session in enumerate(sessions) if not session.fault]


def _is_due(experiment, step, *everies):
  return step == experiment.steps or any(every and step % every == 0 for every in everies)


def _is_stale(experiment, state):
  """Whether early stopping is due: the watched metric has not improved for too many steps."""
  if not experiment.early_stopping:
    return False
  memory = jax.device_get(state.opt_state['memory'])
  return plateau.steps_without_improvement(memory) >= experiment.early_stopping


def _is_over(sessions, step, measured):
  """Whether the callback of a run that is trained alone ends it at an evaluation.

  Args:
    sessions: the sessions; the result is False for several.
    step: the current step; the result is False if no evaluation is due at it.
    measured: split → sums of the evaluation; {} if the run resumes.
  """
  if sessions[0].callbacks.is_over is nothing:
    return False
  session, is_due = sessions[0], step and step % sessions[0].experiment.evaluate_every == 0
  if not session.is_alone or not is_due or step >= session.experiment.steps or session.fault:
    return False
  figures = {split: tasks.metrics(_of_run(sums, 0)) for split, sums in measured.items()}
  found = processes.broadcast_from_first(
    lambda: np.int64(bool(session.callbacks.is_over(step, figures))), like=np.int64(0)
  )
  return bool(found)


def _stacked(sums):
  """Stacks the sums of M runs, name → number, into name → [M]; {} if one run has none."""
  if not all(sums):
    return {}
  return {name: np.array([one[name] for one in sums]) for name in sums[0]}


def _of_run(sums, number):
  """The sums of one run, name → number, from those of all runs, name → [M]."""
  return {name: values[number] for name, values in sums.items()}


def _added(since_log, history, seconds):
  """Adds the sums of steps [M, S, …] to the sums [M, …] since the last log.

  The result is exact for any division of the steps into calls.
  """
  sums = {name: values.sum(1, dtype=np.float64) for name, values in history.items()}
  sums['seconds'] = np.full(len(sums['count']), seconds)
  return {name: since_log.get(name, 0) + value for name, value in sums.items()}


def _check_losses(sessions, losses, step, screen):
  """Ends the runs whose loss [M, S] is no longer finite; the others continue."""
  for number, session in _training(sessions):
    if not np.isfinite(losses[number]).all():
      _save_unsaved(session)
    with _fault_of(session, screen):
      divergence.check_losses(losses[number], step, session.checkpoints)


@contextlib.contextmanager
def _fault_of(session, screen):
  """Turns a FloatingPointError in the block into the fault of a run."""
  try:
    yield
  except FloatingPointError as error:
    session.fault = str(error)
    if not session.is_alone:  # `train` raises the error of a single run
      screen.say(f'  {session.workdir}: {session.fault}')


def _show_progress(screen, step, since_log):
  speeds = since_log['count'] / since_log['seconds']

  def text():
    if len(speeds) == 1:
      return f'train {progress.describe(tasks.metrics(_of_run(since_log, 0)))}'
    return f'{len(speeds)} runs, loss {_span(since_log)}'

  screen.advance(step, text, speeds.sum())


def _span(sums):
  """The lowest and the highest loss of the runs, as text."""
  losses = sums['loss'] / sums['count']
  return f'{np.nanmin(losses):.4f} to {np.nanmax(losses):.4f}'


def _evaluate(program, sessions, states, step, screen):
  """If an evaluation is due, split → name → [M] sums over its examples; otherwise {}."""
  leader = sessions[0].experiment
  if not _is_due(leader, step, leader.evaluate_every):
    return {}
  with screen.evaluating():
    measured = program.evaluate(states)
    for number, session in _training(sessions):
      state = program.member(states, number)
      session.attempt('at evaluations', session.callbacks.at_evaluation, session.writers, state)
  return measured


def _write_metrics(sessions, step, logged, measured, opt_state, screen):
  """Writes and shows the means since the last log and the evaluations of all training runs."""
  for number, session in _training(sessions):
    figures = {}
    if logged:
      sums = _of_run(logged, number)
      figures['train'] = {
        **tasks.metrics(sums),
        'learning_rate': session.experiment.learning_rate(step, opt_state),
        'examples_per_second': round(float(sums['count'] / sums['seconds']), 1),
      }
    for split, sums in measured.items():
      figures[split] = tasks.metrics(_of_run(sums, number))
    for split, values in figures.items():
      session.writers.scalars(step, split, values)
    if figures and len(sessions) == 1:
      screen.log(step, figures)
  if len(sessions) > 1 and 'validation' in measured:
    screen.say(
      f'step {step:,} of {sessions[0].experiment.steps:,}  {len(sessions)} runs, '
      f'validation loss {_span(measured["validation"])}  {screen.left(step)}'
    )


def _after_evaluation(program, sessions, states, step, measured, screen):
  """Calls the callbacks that follow an evaluation, on the first process."""
  if not measured or step == sessions[0].experiment.steps or not processes.is_first():
    return
  seconds = screen.seconds_left(step)
  for number, session in _training(sessions):
    state = functools.partial(program.member, states, number)
    function = session.callbacks.after_evaluation
    session.attempt('after evaluations', function, step, seconds, state)


def _score(experiment, measured, number):
  """The score of the metric that one run watches; None if it was not measured."""
  if 'validation' not in measured:
    return None
  return experiment.watch.score(tasks.metrics(_of_run(measured['validation'], number)))


def _observe(experiment, state, step, measured, screen):
  """Updates the memory in a run's optimizer state with a score; returns the State."""
  before = jax.device_get(state.opt_state['memory'])
  after = experiment.observe(before, _score(experiment, measured, 0), step)
  if after['factor'] != before['factor']:
    screen.say(
      f'  no {experiment.watch.better} {experiment.watch.words} since step '
      f'{after["best_step"]:,}: '
      f'learning rate cut to {after["factor"]:.4g} times its schedule'
    )
  opt_state = {**state.opt_state, 'memory': parallel.replicate(after)}
  return dataclasses.replace(state, opt_state=opt_state)


def _keep(session, current, step, score, since_log, screen, *, due):
  """Keeps the state with the best score; if due, saves it and the current state.

  Args:
    session: Session.
    current: () → State of the run.
    step: the current step.
    score: score of the watched metric at this step; None if it was not measured.
    since_log: name → sum since the last log.
    screen: progress.Progress.
    due: whether a checkpoint is due.
  """
  if score is not None and np.isnan(score):
    score = None  # not defined for these examples: never the best
  improved = score is not None and score < session.best
  if not improved and not due:
    return
  state = current()
  record_of_origin = certificate.of_session(session.writers.journal(), session.together)
  with _fault_of(session, screen):
    divergence.check_parameters(state.params, step, session.checkpoints)
  if session.fault:
    _save_unsaved(session)
    return
  if improved:
    watch, before = session.experiment.watch, ''
    if session.best < float('inf'):
      before = f'improved from {watch.figure(session.best):.6g} to '
    if session.is_alone:
      screen.say(f'  {watch.words} {before}{watch.figure(score):.6g}')
    session.best = score
    if not due:  # a copy, because the next state reuses the memory of this one
      copied = jax.tree.map(np.array, jax.device_get(state))
      session.unsaved = (copied, score, since_log, record_of_origin)
      return
    session.unsaved = None
  _save_unsaved(session)
  _save(session, state, score, since_log, record_of_origin)


def _save_unsaved(session):
  """Saves the state with the best score, if it is not saved yet."""
  if session.unsaved is not None:
    _save(session, *session.unsaved)
    session.unsaved = None


def _save(session, state, score, since_log, record_of_origin):
  checkpoint.save(
    session.checkpoints,
    state,
    session.experiment.config,
    score=score,
    since_log=since_log,
    certificate=record_of_origin,
  )


def _evaluate_best(program, sessions, states, last, screen, *, stopped, stopped_early):
  """Evaluates the best checkpoint of every run, unless the last evaluation did.

  Returns:
    M summaries, without their seconds.
  """
  current = [program.member(states, number) for number in range(len(sessions))]
  best = processes.broadcast_from_first(
    lambda: [
      checkpoint.restore_best(session.checkpoints, state)
      for session, state in zip(sessions, current, strict=True)
    ],
    like=current,
  )
  last_step, measured = last
  if any(int(state.step) != last_step for state in best):
    screen.doing('evaluating the best checkpoint')
    measured = program.evaluate(program.place(program.join(best)))
  found = []
  for number, session in enumerate(sessions):
    sums = {split: _of_run(values, number) for split, values in measured.items()}
    step = int(best[number].step)
    figures = summary.of_run(
      session.experiment, best[number], sums, stopped=stopped, stopped_early=stopped_early
    )
    found.append(figures.to_json())
    if session.fault:
      continue
    session.writers.final(step, summary.of_splits(sums))
    metrics = {split: tasks.metrics(values) for split, values in sums.items()}
    which = 'best checkpoint' if len(sessions) == 1 else f'best checkpoint of {session.workdir}'
    screen.say(f'{which}: {screen.line(step, figures=metrics, left="")}')
    session.attempt('at the end', session.callbacks.at_end, session.writers, best[number])
  return found


def _write_summary(session, figures, seconds, *, resumed):
  """Writes the run's summary on the first process and returns it on all processes."""
  written = processes.on_first_process(
    lambda: summary.record(session.workdir, figures, seconds=seconds, resumed=resumed)
  )
  return written or figures
