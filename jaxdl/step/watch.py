"""The metric that chooses the best checkpoint, cuts the learning rate and ends a run."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax

from jaxdl.config import spelling
from jaxdl.step import metrics
from jaxdl.step.metrics import METRICS, Metric
from jaxdl.step.state import Sums

DEFAULT = 'validation_loss'
WHY_NOT = {  # split → why it cannot be watched
  'train': 'it is the mean over steps in which the network changed',
  'test': 'test examples would then choose the checkpoint',
}


@dataclasses.dataclass(frozen=True)
class Watch:
  """A metric of the validation split that is watched.

  Attributes:
    metric: the metric.
  """

  metric: Metric = METRICS['loss']

  @property
  def key(self) -> str:
    """Its key in a summary, such as 'validation_accuracy'."""
    return f'validation_{self.metric.name}'

  @property
  def words(self) -> str:
    """Its name in a sentence, such as 'validation accuracy'."""
    return metrics.words(self.key)

  @property
  def better(self) -> str:
    """'higher' or 'lower'."""
    return 'higher' if self.metric.higher_is_better else 'lower'

  @property
  def best(self) -> str:
    """Description of its best value, such as 'the highest validation accuracy'."""
    return f'the {"highest" if self.metric.higher_is_better else "lowest"} {self.words}'

  def check_splits(self, key: str, splits: Collection[str]) -> None:
    """Raises ValueError if there is no validation split, whose metric a key of the config needs."""
    if 'validation' not in splits:
      raise ValueError(
        f'config.{key} follows the {self.words}, but there is none: add '
        'config.data.splits.validation'
      )

  def score(self, figures: Mapping[str, float]) -> float:
    """Returns the number to minimise: the figure, or its negative if higher is better.

    Args:
      figures: name of a metric → figure of the validation split.
    """
    return self.figure(figures[self.metric.name])

  def figure(self, score: float) -> float:
    """The figure of a score, and the score of a figure."""
    return -score if self.metric.higher_is_better else score


def of(config: Mapping[str, Any]) -> Watch:
  """Returns the metric that a run watches.

  Args:
    config: the run's config. An invalid key counts as the default, because a config of another
      version must stay readable.
  """
  metric = metrics.find(str(config.get('watch', DEFAULT)))
  return Watch() if metric is None else Watch(metric)


def build(
  key: Any,
  task: Callable[..., Sums],
  *,
  outputs: jax.ShapeDtypeStruct,
  batch: Mapping[str, Any],
  splits: Collection[str],
) -> Watch:
  """Builds the Watch of a config.

  Args:
    key: value of `config.watch`.
    task: function (outputs, batch) → sums that the evaluation measures.
    outputs, batch: shapes and types of its arguments.
    splits: names of the splits.

  Returns:
    Watch.

  Raises:
    ValueError: the key is not a measured metric of the validation split, or there is no such split.
  """
  if key == DEFAULT:
    return Watch()
  if 'validation' not in splits:
    raise ValueError(
      f'config.watch={key!r} needs a validation split, but there is none: add '
      'config.data.splits.validation'
    )
  sums = jax.eval_shape(task, outputs, batch)
  measured = [metric.name for metric in METRICS.values() if metric.sum in sums]
  keys = [f'validation_{name}' for name in measured]
  if key in keys:
    return Watch(METRICS[str(key).partition('_')[2]])
  split, _, name = str(key).partition('_')
  why = f', because {WHY_NOT[split]}' if split in WHY_NOT and name in METRICS else ''
  fix = f'use one of {", ".join(keys)}'
  if split == 'validation' and name in METRICS:
    why, fix = ', because evaluation does not measure it', f'add it to config.metrics, or {fix}'
  raise ValueError(
    f'config.watch={key!r} cannot be watched{why}: {fix}{spelling.meant(str(key), keys)}'
  )
