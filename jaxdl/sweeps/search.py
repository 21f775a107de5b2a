"""A hyperparameter search, read from the config of a sweep: its space and its settings."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from jaxdl.config import binding, checks, named, overrides, reading, spelling
from jaxdl.sweeps import members
from jaxdl.sweeps.members import MOST, Member
from jaxdl.training import experiment

SAMPLERS = ('tpe', 'gaussian_process', 'grid', 'random')
PRUNERS = ('median', 'hyperband')
FIXED = {  # key → why a search may not change it
  'seed': 'trials would differ by luck',
  'watch': 'trials are compared by this metric',
}
Value = None | bool | int | float | str


def choice(key: str, *values: Value) -> dict[str, Any]:
  """A parameter that has one of several values.

  Args:
    key: key of the base config, as on the command line, such as 'model.layers[0].features'.
    *values: numbers, texts, booleans or None.

  Returns:
    An entry of `config.search.space`.
  """
  return {'key': key, 'kind': 'choice', 'values': values}


def integer(key: str, low: int, high: int) -> dict[str, Any]:
  """A parameter that is an integer from `low` to `high`; key and result as in `choice`."""
  return {'key': key, 'kind': 'integer', 'low': low, 'high': high}


def uniform(key: str, low: float, high: float) -> dict[str, Any]:
  """A parameter that is a number from `low` to `high`; key and result as in `choice`."""
  return {'key': key, 'kind': 'uniform', 'low': low, 'high': high}


def log_uniform(key: str, low: float, high: float) -> dict[str, Any]:
  """A parameter whose logarithm is uniform, from `low`, which is above 0, to `high`.

  Key and result as in `choice`.
  """
  return {'key': key, 'kind': 'log_uniform', 'low': low, 'high': high}


@dataclasses.dataclass(frozen=True)
class Parameter:
  """A parameter of a search.

  Attributes:
    key: key of the base config.
    kind: 'choice' | 'integer' | 'uniform' | 'log_uniform'.
    values: the values of a choice; () for the other kinds.
    low, high: the limits of the other kinds.
  """

  key: str
  kind: str
  values: tuple[Value, ...] = ()
  low: float = 0
  high: float = 0

  @property
  def is_continuous(self) -> bool:
    """Whether it has infinitely many values."""
    return self.kind in ('uniform', 'log_uniform')

  @property
  def count(self) -> float:
    """The number of its values."""
    if self.is_continuous:
      return math.inf
    return len(self.values) if self.kind == 'choice' else int(self.high - self.low) + 1

  @property
  def extremes(self) -> tuple[Value, ...]:
    """The values of a choice, or the limits of a range."""
    return self.values or (self.low, self.high)

  def grid(self) -> list[Value]:
    """All values of a parameter that is not continuous."""
    return list(self.values or range(int(self.low), int(self.high) + 1))

  def described(self) -> str:
    """The parameter in a line, such as 'model.features: 32, 64 or 128'."""
    if self.kind == 'choice':
      texts = [shown(value) for value in self.values]
      listed = ' or '.join(filter(None, (', '.join(texts[:-1]), texts[-1])))
      return f'{self.key}: {listed}'
    kinds = {'integer': 'integer ', 'log_uniform': 'logarithmic '}
    return f'{self.key}: {kinds.get(self.kind, "")}{shown(self.low)} to {shown(self.high)}'

  def to_json(self) -> dict[str, Any]:
    """The parameter as in the config."""
    limits = {'values': list(self.values)} if self.values else {'low': self.low, 'high': self.high}
    return {'key': self.key, 'kind': self.kind, **limits}


def shown(value: Value) -> str:
  """A value of a parameter as text, numbers with four digits."""
  return f'{value:.4g}' if isinstance(value, float) else str(value)


@dataclasses.dataclass(frozen=True)
class Search:
  """A hyperparameter search.

  Attributes:
    name: name of the base config.
    config: the base config with the sweep's common keys.
    space: the parameters.
    trials: number of trials.
    sampler: name of the sampler, one of SAMPLERS.
    pruner: name of the pruner, one of PRUNERS; None for none.
    seed: the config's seed, which is that of the sampler and of every trial.
  """

  name: str
  config: dict[str, Any]
  space: tuple[Parameter, ...]
  trials: int
  sampler: str
  pruner: str | None
  seed: int

  def with_values(self, values: Mapping[str, Value]) -> dict[str, Any]:
    """The base config with other values.

    Args:
      values: key → value.
    """
    config = named.copied(self.config)
    for key, value in values.items():
      *path, last = overrides.parts(key)
      node = config
      for part in path:
        node = overrides.section(node, part)
      node[int(last) if isinstance(node, list) else last] = value
    return config

  def member(self, number: int, values: Mapping[str, Value]) -> Member:
    """The run of a trial.

    Args:
      number: number of the trial, from 0.
      values: key → value of every parameter.
    """
    label = folder(number)
    config = {**self.with_values(values), 'seed': self.seed}
    return Member(label, {}, self.seed, self.name, config, folder=label)

  def to_json(self) -> dict[str, Any]:
    """The settings of the search, without its base config."""
    return {
      'space': [parameter.to_json() for parameter in self.space],
      'trials': self.trials,
      'sampler': self.sampler,
      'pruner': self.pruner,
      'seed': self.seed,
    }

  def described(self) -> list[str]:
    """Lines that describe the search."""
    return [
      f'{self.trials} trials, sampler {self.sampler}, pruner {self.pruner or "none"}, '
      f'seed {self.seed}',
      *(f'  {parameter.described()}' for parameter in self.space),
    ]


def folder(number: int) -> str:
  """The folder of a trial, relative to the folder of the search."""
  return f'trial-{number:03d}'


def read(config: ml_collections.ConfigDict | dict[str, Any], path: str | os.PathLike) -> Search:
  """Reads a hyperparameter search.

  The keys of its config are:

  - 'base': the config from which every trial starts, as in a sweep of axes
  - 'common': keys that are set in every trial
  - 'search': section with 'space', a list of parameters as returned by `choice`, `integer`,
    `uniform` and `log_uniform`; 'trials', their number, which a grid does not need; 'sampler'
    ('tpe', 'gaussian_process', 'grid' or 'random') and 'pruner' ('median', 'hyperband' or None)

  Args:
    config: the sweep's config.
    path: path of the sweep's file.

  Returns:
    Search; whether its values fit the base config is not checked (`check`).

  Raises:
    ValueError: a key is missing, unknown or invalid.
  """
  keys = reading.to_dict(config)
  for other, why in (
    ('axes', 'a sweep trains either the combinations of axes or the trials of a search'),
    ('seeds', 'a search has one seed, that of its base config: set it by config.common.seed'),
  ):
    if other in keys:
      raise ValueError(
        f'config.{other} is set together with config.search: leave it out, because {why}'
      )
  return binding.bind_one(_search, keys, 'config', path=pathlib.Path(path))()


def _search(path, *, base, search, common=None):
  checks.check_section(common or {}, 'config.common')
  config = members.resolved(path, base, [common or {}])
  settings = binding.bind_one(_settings, search, 'config.search', config=config)()
  seed = config.get('seed', 0)
  checks.check_seed(seed, 'config.seed')
  config['reported'] = {'source': (config.get('reported') or {}).get('source')}
  return Search(pathlib.Path(base).stem, config, seed=seed, **settings)


def _settings(config, *, space, trials=None, sampler='tpe', pruner=None):
  for key, value, valid in (('sampler', sampler, SAMPLERS), ('pruner', pruner, (None, *PRUNERS))):
    if value not in valid:
      raise ValueError(
        f'config.search.{key}={value!r} is unknown: use one of '
        f'{", ".join(map(str, valid))}{spelling.meant(value, filter(None, valid))}'
      )
  parameters = _space(space, config)
  most = _combinations(parameters) if sampler == 'grid' else MOST
  if trials is None and sampler != 'grid':
    raise ValueError('config.search.trials is missing: write the number of trials, such as 30')
  if trials is not None:
    checks.check_integer(trials, 'config.search.trials', 1, MOST)
  return {
    'space': parameters,
    'trials': most if trials is None else min(trials, most),
    'sampler': sampler,
    'pruner': pruner,
  }


def _combinations(parameters):
  """The number of combinations of a grid."""
  for parameter in parameters:
    if parameter.is_continuous:
      raise ValueError(
        f"config.search.sampler='grid' needs a finite number of values, but {parameter.key} is "
        f"{parameter.kind}: give it choice(…) or integer(…), or use sampler='tpe'"
      )
  if (count := math.prod(parameter.count for parameter in parameters)) > MOST:
    raise ValueError(
      f'config.search.space has a grid of {count:,} combinations: use at most {MOST:,}, or '
      "sampler='tpe'"
    )
  return int(count)


def _space(space, config):
  if not isinstance(space, list) or not space:
    raise ValueError(
      f'config.search.space={space!r} is not a list of parameters: write '
      "(log_uniform('optimizer.learning_rate', 1e-4, 1e-2),)"
    )
  found = [_parameter(f'config.search.space[{n}]', entry, config) for n, entry in enumerate(space)]
  paths = [overrides.parts(parameter.key) for parameter in found]
  for number, path in enumerate(paths):
    for other in paths[:number]:
      if path[: len(other)] == other or other[: len(path)] == path:
        raise ValueError(
          f'config.search.space has both {".".join(other)} and {".".join(path)}: a key may be '
          'there once, and not together with its section'
        )
  return tuple(found)


def _parameter(where, section, config):
  checks.check_section(section, where)
  key = section.get('key')
  if not isinstance(key, str) or not overrides.parts(key):
    raise ValueError(
      f"{where}.key={key!r} is not a key of the base config: write 'optimizer.learning_rate'"
    )
  _check_key(where, key, config)
  rest = {name: value for name, value in section.items() if name != 'key'}
  return binding.bind(KINDS, rest, where, by='kind', also=('key',), key=key, place=where)()


def _check_key(where, key, config):
  """Raises ValueError if a config cannot have a key; `check` finds unknown keys of sections."""
  first = overrides.parts(key)[0]
  if first in FIXED:
    raise ValueError(
      f'{where}.key={key!r} cannot be searched, because {FIXED[first]}: leave it out'
    )
  node, path = config, 'config'
  for part in overrides.parts(key):
    valid = overrides.keys(node)
    if part in valid:
      node, path = overrides.below(node, part), f'{path}.{part}'
    elif hasattr(node, 'items') or node is None or path in ('config.task',):
      return
    else:
      fix = f'its keys are {", ".join(valid)}' if valid else 'it has no keys below it'
      raise ValueError(f'{where}.key={key!r}: {path} has no key {part!r}; {fix}')


def _choice(key, place, *, values):
  if not isinstance(values, list) or not values:
    raise ValueError(f'{place}.values={values!r} is not a list of values: write (32, 64)')
  for number, value in enumerate(values):
    if not (value is None or isinstance(value, (bool, int, float, str))):
      raise ValueError(
        f'{place}.values[{number}]={value!r} cannot be chosen: use a number, a text, a boolean or '
        'None'
      )
    if value in values[:number]:  # 1, 1.0 and True are equal
      raise ValueError(f'{place}.values={values!r} has {value!r} twice: leave one out')
  return Parameter(key, 'choice', values=tuple(values))


def _integer(key, place, *, low, high):
  for name, value in (('low', low), ('high', high)):
    checks.check_integer(value, f'{place}.{name}', -(2**53), 2**53)
  return _range(key, place, 'integer', low, high)


def _uniform(key, place, *, low, high):
  return _continuous(key, place, 'uniform', low, high)


def _log_uniform(key, place, *, low, high):
  if checks.is_number(low) and low <= 0:
    raise ValueError(
      f'{place}.low={low!r} of {key} has no logarithm: use a number above 0, or uniform(…)'
    )
  return _continuous(key, place, 'log_uniform', low, high)


def _continuous(key, place, kind, low, high):
  for name, value in (('low', low), ('high', high)):
    if not checks.is_number(value) or not math.isfinite(value):
      raise ValueError(f'{place}.{name}={value!r} of {key} is not a number: write one such as 0.1')
  return _range(key, place, kind, float(low), float(high))


def _range(key, place, kind, low, high):
  if low > high:
    raise ValueError(f'{place}.low={low!r} of {key} is above high={high!r}: exchange them')
  return Parameter(key, kind, low=low, high=high)


KINDS: dict[str, Callable[..., Parameter]] = {
  'choice': _choice,
  'integer': _integer,
  'log_uniform': _log_uniform,
  'uniform': _uniform,
}


def check(search: Search) -> experiment.Experiment:
  """Checks that the values of a search fit its base config; writes nothing.

  The base config is built, and again with the lowest values, with the highest values and with every
  value of a choice.

  Args:
    search: the search.

  Returns:
    The Experiment of the base config.

  Raises:
    ValueError, OSError: as in `experiment.build`, or there is no watched metric.
  """
  built = experiment.build({**search.config, 'seed': search.seed}, search.name)
  built.watch.check_splits('search', built.data.splits)
  if search.pruner is not None and evaluations(built) < 2:
    raise ValueError(
      f'config.search.pruner={search.pruner!r} compares evaluations during training, but there is '
      'only one, at the end: lower config.common.evaluate_every, or use pruner=None'
    )
  for number in range(max(len(parameter.extremes) for parameter in search.space)):
    values = {
      parameter.key: parameter.extremes[number % len(parameter.extremes)]
      for parameter in search.space
    }
    try:
      experiment.build(search.member(number, values).config, search.name)
    except ValueError as error:
      raise ValueError(f'config.search.space: {error}') from None
  return built


def evaluations(built: experiment.Experiment) -> int:
  """The number of evaluations of a run."""
  return math.ceil(built.steps / built.evaluate_every)
