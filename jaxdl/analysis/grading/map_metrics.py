"""Every attribution method graded by every metric."""

import concurrent.futures
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped

from jaxdl.analysis import methods
from jaxdl.analysis.grading import (
  completeness,
  faithfulness,
  localisation,
  removal,
  sanity,
  stability,
)
from jaxdl.analysis.methods import Method
from jaxdl.analysis.units import AnyArray, Variables

SUBSETS = 96  # windows of infidelity, and subsets of sensitivity-n
SIZES = (0.05, 0.2, 0.5)  # of the subsets of sensitivity-n, as shares of the places
REPEATED = 16  # inputs for metrics that apply a method several times
SAMPLES = 4  # noisy copies of max-sensitivity


# Model, variables, inputs and target: the first arguments of a method and of a metric.
Network = tuple[nn.Module, Variables, np.ndarray, np.ndarray]


class Metric(NamedTuple):
  """A metric of attribution maps.

  Attributes:
    better: 1 if more is better, −1 if less is better, 0 for a property without a best value.
    needs_truth: whether it compares the map with known evidence.
    middle: whether the median is reported instead of the mean, for quotients with small divisors.
  """

  better: int
  needs_truth: bool = False
  middle: bool = False

  def of(self, values: Float[np.ndarray, 'B']) -> float | None:
    """The number that is reported for values of examples; None if none of them is defined."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
      return None
    return float(np.median(known) if self.middle else known.mean())


METRICS = {
  'pointing game': Metric(1, needs_truth=True),
  'relevance mass': Metric(1, needs_truth=True),
  'relevance rank': Metric(1, needs_truth=True),
  'deletion AUC': Metric(-1),
  'insertion AUC': Metric(1),
  'pixel flipping': Metric(1),
  'ROAD': Metric(1),
  'infidelity': Metric(-1),
  'sensitivity-n': Metric(1),
  'completeness error': Metric(-1, middle=True),
  'max-sensitivity': Metric(-1),
  'input invariance error': Metric(-1),
  'random logit': Metric(-1),
  'randomised weights': Metric(-1),
  'sparseness': Metric(0),
}


class Graded(NamedTuple):
  """Grades of attribution methods.

  Attributes:
    values: method → metric → the value of each example; metrics that do not apply are left out.
    reasons: method → metric, or 'maps' → why it could not be computed.
    seconds: method → duration of its maps, with compilation.
  """

  values: dict[str, dict[str, Float[np.ndarray, '...']]]
  reasons: dict[str, dict[str, str]]
  seconds: dict[str, float]


def grade(
  model: nn.Module,
  variables: Variables,
  inputs: Float[AnyArray, 'B ...'],
  target: Integer[AnyArray, 'B'],
  known: Mapping[str, Method],
  *,
  evidence: Bool[np.ndarray, 'B ...'] | None = None,
  repeated: int = REPEATED,
  steps: int = faithfulness.STEPS,
  seed: int = 0,
  threads: int = 1,
  now: Callable[[str], Any] = lambda method: None,
) -> Graded:
  """Applies methods to inputs, and grades their maps by all metrics of `METRICS` that fit.

  Args:
    model: linen module.
    variables: its variables.
    inputs: images [B, H, W, C] or sequences [B, T, I], scaled as in training.
    target: classes [B] int that are explained.
    known: name → Method, such as `methods.of_images`.
    evidence: [B, H, W] or [B, T], the places that decide; None without metrics of localisation.
    repeated: number of inputs for the metrics that apply a method several times, which are left out
      for slow methods.
    steps: steps of the curves of deletion, insertion and pixel flipping.
    seed: seed of all random draws.
    threads: methods that are graded at the same time. With more than one, `seconds` of the result
      are longer, because the methods share the processor.
    now: called with the name of each method before it is applied.

  Returns:
    Graded.

  Raises:
    ValueError: inputs or a target that do not fit the model.
  """
  inputs, target = np.asarray(inputs), np.asarray(target)
  repeated = min(repeated, len(inputs))
  subject = _Subject(model, variables, inputs, target, evidence, repeated, steps, seed)
  removed = subject.removed()

  def graded(name):
    now(name)
    return _graded(subject, known[name], removed)

  first, *others = known
  # The first method alone: it compiles the programs of the metrics, which all methods share.
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    results = {first: graded(first)}
    others.sort(key=lambda name: not known[name].slow)  # the longest first
    results |= zip(others, pool.map(graded, others), strict=True)
  results = {name: results[name] for name in known}
  return Graded(
    {name: values for name, (values, _, _) in results.items()},
    {name: reasons for name, (_, reasons, _) in results.items()},
    {name: seconds for name, (_, _, seconds) in results.items() if seconds is not None},
  )


def _graded(subject, method, removed):
  """(values, reasons, seconds) of one method; see `Graded`. The seconds are None without maps."""
  values, reasons, began = {}, {}, time.perf_counter()
  try:
    maps = subject.maps(method)
  except ValueError as error:  # the method does not know a layer of the network
    return values, {'maps': str(error)}, None
  seconds = time.perf_counter() - began
  for metric, compute in _metrics(subject, method, maps, removed).items():
    try:
      values[metric] = compute()
    except ValueError as error:
      reasons[metric] = str(error)
  return values, reasons, seconds


class _Subject(NamedTuple):
  """What is graded, and how: the arguments of `grade`."""

  model: nn.Module
  variables: Variables
  inputs: Float[np.ndarray, 'B ...']
  target: Integer[np.ndarray, 'B']
  evidence: Bool[np.ndarray, 'B ...'] | None
  repeated: int
  steps: int
  seed: int

  @property
  def network(self) -> Network:
    """The first four arguments of a method or a metric."""
    return self.model, self.variables, self.inputs, self.target

  @property
  def few(self) -> Network:
    """`network` with few inputs."""
    return self.model, self.variables, self.inputs[: self.repeated], self.target[: self.repeated]

  def maps(self, method: Method) -> Float[np.ndarray, 'B ...']:
    """Maps of all inputs, as many at once as `few` has, so that one program computes all maps."""
    size, count = self.repeated, len(self.inputs)
    parts = []
    for first in range(0, count, size):
      # At the end the last input is repeated.
      chosen = np.arange(first, first + size).clip(max=count - 1)
      maps = method.function(self.model, self.variables, self.inputs[chosen], self.target[chosen])
      parts.append(np.asarray(maps)[: count - first])
    return np.concatenate(parts)

  def removed(self) -> dict[str, removal.Removed]:
    """Drops of the score without windows and without random subsets, for all methods."""
    places = self.inputs.shape[1:-1]
    count = int(np.prod(places))
    sizes = sorted({min(max(1, round(share * count)), count - 1) for share in SIZES})
    chosen = {
      'windows': removal.windows_of(places, SUBSETS, seed=self.seed),
      'subsets': removal.subsets_of(count, sizes, SUBSETS // len(sizes), seed=self.seed),
    }
    return {name: removal.remove(*self.network, subsets) for name, subsets in chosen.items()}


def _metrics(
  subject: _Subject,
  method: Method,
  maps: Shaped[np.ndarray, 'B ...'],
  removed: Mapping[str, removal.Removed],
) -> dict[str, Callable[[], Float[np.ndarray, '...']]]:
  """Metric → function that computes it, for the metrics that apply."""
  network, seed, truth = subject.network, subject.seed, subject.evidence
  curve = dict(steps=subject.steps, seed=seed)
  given = maps[: subject.repeated]
  maps = methods.without_channels(maps, method, axes=subject.inputs.ndim - 1)
  found: dict[str, Callable] = {}
  if truth is not None:
    found |= {
      'pointing game': lambda: localisation.pointing_game(maps, truth),
      'relevance mass': lambda: localisation.relevance_mass(maps, truth),
      'relevance rank': lambda: localisation.relevance_rank(maps, truth),
    }
  found |= {
    'deletion AUC': lambda: faithfulness.deletion(*network, maps, **curve).area(),
    'insertion AUC': lambda: faithfulness.insertion(*network, maps, **curve).area(),
    'pixel flipping': lambda: faithfulness.pixel_flipping(*network, maps, **curve),
    'infidelity': lambda: faithfulness.infidelity(maps, removed['windows']),
    'sensitivity-n': lambda: faithfulness.sensitivity_n(maps, removed['subsets']),
    'sparseness': lambda: localisation.gini(maps),
  }
  if subject.inputs.ndim == 4:
    found['ROAD'] = lambda: faithfulness.road(*network, maps, seed=seed).gap()
  baseline_score = method.baseline_score
  if baseline_score is not None:
    model, variables, inputs, target = network
    found['completeness error'] = lambda: faithfulness.completeness_error(
      maps, completeness.difference(baseline_score, model, variables, inputs, target)
    )
  if not method.slow:
    few = method.function, *subject.few
    found |= {
      'max-sensitivity': lambda: stability.max_sensitivity(
        *few, samples=SAMPLES, seed=seed, maps=given
      ),
      'input invariance error': lambda: stability.input_invariance_error(*few, maps=given),
      'random logit': lambda: np.abs(stability.random_logit(*few, seed=seed, maps=given)),
      'randomised weights': lambda: _randomised(subject, method, given),
    }
  return found


def _randomised(subject, method, maps):
  """Size of the rank correlation of each map with that of a network of random weights."""
  model, variables, inputs, target = subject.few
  random = sanity.with_random_weights(model, variables, inputs, seed=subject.seed)
  return np.abs(sanity.rank_correlations(maps, method.function(model, random, inputs, target)))
