"""The study of a hyperparameter search: Optuna's samplers, pruners and file of trials.

Suggestions depend only on the seed, the number of the trial and the finished trials: a sampler is
created for each of them. A study that is opened again therefore continues as if it had not been
closed.
"""

import dataclasses
import importlib.util
import math
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdl.step.watch import Watch
from jaxdl.sweeps.search import Parameter, Search, Value

if TYPE_CHECKING:
  import optuna

NAME = 'study.journal'  # file in the folder of the search
EXTRAS = {'optuna': 'search', 'torch': 'search,torch'}  # library → extras that install it
REDUCTION = 3  # of Hyperband: the share of trials that continue is 1 of REDUCTION
SETTINGS, FAULT, PRUNED, STEP = 'settings', 'fault', 'pruned_at', 'step'  # attributes


@dataclasses.dataclass(frozen=True)
class Outcome:
  """A trial of a study.

  Attributes:
    number: its number, from 0.
    values: key → value of every parameter.
    state: 'finished' | 'pruned' | 'failed' | 'stopped' (it resumes when the search resumes).
    figure: the watched metric: at the best checkpoint of a finished trial, at the last evaluation
      of a pruned one; None for other trials.
    step: the step at which it ended; None if it has not, or failed.
    fault: why it failed; '' if it did not.
  """

  number: int
  values: dict[str, Value]
  state: str
  figure: float | None
  step: int | None
  fault: str


class Trial:
  """A trial that is trained.

  Args:
    trial: the trial of Optuna, which has all values.
  """

  def __init__(self, trial: 'optuna.trial.Trial') -> None:
    self._trial = trial
    self._reported = set(_kept(trial).intermediate_values)
    self._pruned = trial.user_attrs.get(PRUNED)

  @property
  def number(self) -> int:
    """Its number, from 0."""
    return self._trial.number

  @property
  def values(self) -> dict[str, Value]:
    """Key → value of every parameter."""
    return self._trial.params

  @property
  def pruned(self) -> int | None:
    """The step at which it was pruned; None if it was not."""
    return self._pruned

  def is_over(self, step: int, evaluation: int, figure: float | None) -> bool:
    """Reports an evaluation to the pruner; returns whether the trial ends there.

    A trial that resumes may repeat evaluations; the pruner does not judge them again.

    Args:
      step: the training step.
      evaluation: number of the evaluation, from 1.
      figure: the watched metric; None if the trial resumes at this evaluation.
    """
    if self._pruned is not None:
      return step >= self._pruned
    if evaluation < max(self._reported, default=0):
      return False
    if evaluation not in self._reported:
      if figure is None:
        return False
      self._trial.report(figure, evaluation)
      self._reported.add(evaluation)
    if self._trial.should_prune():
      self._trial.set_user_attr(PRUNED, step)
      self._pruned = step
    return self._pruned is not None


def _kept(trial: 'optuna.trial.Trial') -> 'optuna.trial.FrozenTrial':
  return trial.storage.get_trial(trial._trial_id)


class Study:
  """The study of a search, which is created or opened.

  Args:
    search: the search.
    workdir: its folder.
    watch: the metric that is minimised or maximised.
    evaluations: number of evaluations of a trial.

  Raises:
    ValueError: Optuna is not installed, the file is damaged, or it has trials of another search.
    OSError: the file cannot be written.
  """

  def __init__(
    self, search: Search, workdir: str | os.PathLike, watch: Watch, evaluations: int
  ) -> None:
    check_libraries(search)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    self._search, self._file = search, pathlib.Path(workdir) / NAME
    _repair(self._file)
    try:
      self._study = optuna.create_study(
        storage=_storage(self._file),
        study_name='search',
        direction='maximize' if watch.metric.higher_is_better else 'minimize',
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=_pruner(search.pruner, evaluations),
        load_if_exists=True,
      )
    except OSError:
      raise
    except Exception as error:  # a damaged file causes many different exceptions
      raise ValueError(
        f'{self._file} is damaged ({error}): restore it, or give another --workdir'
      ) from error
    self._check_settings(
      {
        'space': [parameter.to_json() for parameter in search.space],
        'sampler': search.sampler,
        'pruner': search.pruner,
        'seed': search.seed,
        'watch': watch.key,
      }
    )

  def _check_settings(self, settings):
    """Keeps the settings of a new study; raises ValueError if those of an earlier one differ."""
    kept = self._study.user_attrs.get(SETTINGS)
    if kept is None:
      self._study.set_user_attr(SETTINGS, settings)
    elif changed := [key for key in settings if kept.get(key) != settings[key]]:
      key = 'config.watch' if changed[0] == 'watch' else f'config.search.{changed[0]}'
      key = 'config.seed' if changed[0] == 'seed' else key
      raise ValueError(
        f'{self._file} is the study of another search, because {key} has changed: restore the '
        'config, or give another --workdir'
      )

  @property
  def outcomes(self) -> list[Outcome]:
    """The trials so far, in order."""
    return [_outcome(trial) for trial in self._study.get_trials(deepcopy=False)]

  @property
  def best(self) -> Outcome | None:
    """The finished trial with the best figure; None if none has finished."""
    finished = [one for one in self.outcomes if one.state == 'finished']
    if not finished:
      return None
    return self.outcomes[self._study.best_trial.number]

  def next(self) -> Trial | None:
    """The trial that was stopped, or else a new one; None if all trials have ended."""
    import optuna

    trials = self._study.get_trials(deepcopy=False)
    waiting = [trial for trial in trials if not trial.state.is_finished()]
    if not waiting and len(trials) >= self._search.trials:
      return None
    number = waiting[0].number if waiting else len(trials)
    self._study.sampler = _sampler(self._search, number, 0)
    stopped = [optuna.trial.Trial(self._study, trial._trial_id) for trial in waiting]
    trial = stopped[0] if stopped else self._study.ask()
    _ = trial.relative_params  # by the first sampler, also if some values are known already
    for place, parameter in enumerate(self._search.space):
      self._study.sampler = _sampler(self._search, number, place + 1)
      _suggest(trial, parameter)
    self._study.sampler = optuna.samplers.RandomSampler(seed=0)  # a grid would end the study
    return Trial(trial)

  def finish(self, trial: Trial, figure: float, step: int) -> None:
    """Ends a trial.

    Args:
      trial: the trial.
      figure: the watched metric at its best checkpoint; the trial has failed if it is not a number.
      step: the step at which it ended.
    """
    if math.isnan(figure):
      return self.fail(trial, 'the watched metric is not a number')
    trial._trial.set_user_attr(STEP, step)
    self._study.tell(trial.number, figure)

  def prune(self, trial: Trial) -> None:
    """Ends a trial that was pruned."""
    import optuna

    self._study.tell(trial.number, state=optuna.trial.TrialState.PRUNED)

  def fail(self, trial: Trial, fault: str) -> None:
    """Ends a trial that failed; `fault` is the reason."""
    import optuna

    trial._trial.set_user_attr(FAULT, fault)
    self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

  def importances(self) -> dict[str, float]:
    """The share of each parameter in the variance of the metric of finished trials.

    They are those of fANOVA (Hutter et al. 2014), a random forest of the metric.

    Returns:
      Key → share, the greatest first; {} if the trials are too few or equally good.
    """
    import optuna

    finished = [one for one in self.outcomes if one.state == 'finished']
    if len({one.figure for one in finished}) < 2:
      return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._search.seed)
    found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
    return {key: float(share) for key, share in found.items()}


def check_libraries(search: Search) -> None:
  """Raises ValueError if a library that a search needs is not installed."""
  needed = {'optuna': 'config.search'}
  if search.sampler == 'gaussian_process':
    needed['torch'] = "config.search.sampler='gaussian_process'"
  for library, key in needed.items():
    if importlib.util.find_spec(library) is None:
      raise ValueError(
        f"{key} needs {library}, which is not installed: pip install 'jaxdl[{EXTRAS[library]}]'"
      )


def _repair(file):
  """Removes the end of a line that a crash cut off."""
  if not file.is_file():
    return
  content = file.read_bytes()
  complete = content[: content.rfind(b'\n') + 1]
  if len(complete) < len(content):
    file.write_bytes(complete)


def _storage(file):
  from optuna.storages import JournalStorage
  from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

  lock = JournalFileOpenLock(str(file))  # works without symbolic links
  return JournalStorage(JournalFileBackend(str(file), lock_obj=lock))


def _sampler(search, number, place):
  """The sampler of a parameter of a trial; place 0 is that of all parameters at once."""
  from optuna import samplers

  if search.sampler == 'grid':  # its order follows from the seed alone
    return samplers.GridSampler(
      {parameter.key: parameter.grid() for parameter in search.space}, seed=search.seed
    )
  kinds = {
    'tpe': samplers.TPESampler,
    'gaussian_process': samplers.GPSampler,
    'random': samplers.RandomSampler,
  }
  sequence = np.random.SeedSequence([search.seed, number, place])
  return kinds[search.sampler](seed=int(sequence.generate_state(1)[0]))


def _pruner(name, evaluations):
  from optuna import pruners

  if name == 'median':
    return pruners.MedianPruner()
  if name == 'hyperband':
    return pruners.HyperbandPruner(
      min_resource=1, max_resource=evaluations, reduction_factor=REDUCTION
    )
  return pruners.NopPruner()


def _suggest(trial: 'optuna.trial.Trial', parameter: Parameter) -> None:
  """Gives a trial its value of a parameter, if it has none yet."""
  if parameter.kind == 'choice':
    trial.suggest_categorical(parameter.key, parameter.values)
  elif parameter.kind == 'integer':
    trial.suggest_int(parameter.key, int(parameter.low), int(parameter.high))
  else:
    is_log = parameter.kind == 'log_uniform'
    trial.suggest_float(parameter.key, parameter.low, parameter.high, log=is_log)


def _outcome(trial: 'optuna.trial.FrozenTrial') -> Outcome:
  from optuna.trial import TrialState

  states: Mapping[Any, str] = {
    TrialState.COMPLETE: 'finished',
    TrialState.PRUNED: 'pruned',
    TrialState.FAIL: 'failed',
  }
  attributes = trial.user_attrs
  return Outcome(
    number=trial.number,
    values=dict(trial.params),
    state=states.get(trial.state, 'stopped'),
    figure=trial.value,
    step=attributes.get(PRUNED, attributes.get(STEP)),
    fault=str(attributes.get(FAULT, '')),
  )
