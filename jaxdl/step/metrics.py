"""What is measured: the one table of metrics.

Tasks, the journal, the summary, tables, charts and the page read it; adding a metric is one line.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jaxdl.step import scores

SPLITS = ('train', 'validation', 'test')
CHANCE = 'Chance level: the accuracy of always predicting the most frequent class of the split.'


@dataclasses.dataclass(frozen=True)
class Metric:
  """A figure of a split: the mean of a sum over the split's examples, or another function of it.

  Attributes:
    name: its key in metrics.jsonl; in summary.json it follows the name of the split.
    sum: name of the sum that tasks return.
    title: its name on an axis.
    unit: unit of its axis; '' for none. The loss has the unit of its task
      (`runs.record.loss_unit`).
    symbol: text after a number; '' for none.
    scale: factor from a stored number to a shown one.
    digits: decimals of a shown number.
    higher_is_better: whether an increase is an improvement.
    evaluated: whether evaluations measure it; if not, only the lines of training have it.
    splits: splits whose figure is shown in the table of a sweep and may be in the title of a page.
    tasks: names of the tasks whose main figure it is.
    of: function (sum, number of examples) → the figure; None for their quotient.
  """

  name: str
  sum: str
  title: str
  unit: str = ''
  symbol: str = ''
  scale: float = 1
  digits: int = 4
  higher_is_better: bool = False
  evaluated: bool = True
  splits: tuple[str, ...] = ('test', 'validation')
  tasks: tuple[str, ...] = ()
  of: Callable[[Any, float], float] | None = None

  @property
  def is_share(self) -> bool:
    """Whether it is a share of the examples, which has a confidence interval."""
    return self.unit == '%' and self.of is None

  def value(self, sums: Mapping[str, Any]) -> float:
    """The figure of a split.

    Args:
      sums: name → sum over its examples; 'count' is their number.
    """
    if self.of is None:
      return float(sums[self.sum]) / float(sums['count'])
    return self.of(sums[self.sum], float(sums['count']))

  def label(self, loss_unit: str = '') -> str:
    """The label of its axis, such as 'accuracy (%)'.

    Args:
      loss_unit: the unit of the loss.
    """
    unit = loss_unit if self.name == 'loss' else self.unit
    return self.title if unit in ('', self.title) else f'{self.title} ({unit})'


ABBREVIATIONS = {
  'rmse': 'RMSE',
  'mae': 'MAE',
  'mse': 'MSE',
  'r2': 'R²',
  'f1': 'F1',
  'roc': 'ROC',
  'auc': 'AUC',
}
METRICS = {
  metric.name: metric
  for metric in (
    Metric('loss', sum='loss', title='loss'),
    Metric('penalty', sum='penalty', title='penalty', evaluated=False),
    Metric(
      'bits_per_character',
      sum='bits',
      title='bits per character',
      unit='bits per character',
      symbol='bits',
      tasks=('next_char',),
    ),
    Metric(
      'accuracy',
      sum='correct',
      title='accuracy',
      unit='%',
      symbol='%',
      scale=100,
      digits=2,
      higher_is_better=True,
      tasks=('classify', 'classify_by_squared_error'),
    ),
    Metric(
      'mse',
      sum='mse',
      title='mean squared error',
      unit='mean squared error',
      symbol='mse',
      splits=('test',),
      tasks=('reconstruct',),
    ),
    Metric(
      'accuracy_augmented',  # with test-time augmentation, `config.test_augment`
      sum='correct_augmented',
      title='accuracy, test-time augmentation',
      unit='%',
      symbol='%',
      scale=100,
      digits=2,
      higher_is_better=True,
      splits=('test',),
    ),
    Metric(
      'rmse',
      sum='squared_errors',
      title='root mean squared error',
      of=scores.root_mean_square,
      tasks=('regress',),
    ),
    Metric('mae', sum='absolute_errors', title='mean absolute error'),
    Metric('r2', sum='r2', title='R²', higher_is_better=True, of=scores.r_squared),
    Metric(
      'f1',
      sum='f1',
      title='macro F1',
      higher_is_better=True,
      of=scores.macro_f1,
      tasks=('multi_label',),
    ),
    Metric(
      'mean_average_precision',
      sum='mean_average_precision',
      title='mean average precision',
      higher_is_better=True,
      of=scores.mean_average_precision,
    ),
    Metric(
      'balanced_accuracy',
      sum='balanced_accuracy',
      title='balanced accuracy',
      unit='%',
      symbol='%',
      scale=100,
      digits=2,
      higher_is_better=True,
      of=scores.macro_recall,
    ),
    Metric(
      'top_5_accuracy',
      sum='top_5_accuracy',
      title='top-5 accuracy',
      unit='%',
      symbol='%',
      scale=100,
      digits=2,
      higher_is_better=True,
    ),
    Metric(
      'precision',
      sum='precision',
      title='macro precision',
      higher_is_better=True,
      of=scores.macro_precision,
    ),
    Metric(
      'recall', sum='recall', title='macro recall', higher_is_better=True, of=scores.macro_recall
    ),
    Metric(
      'roc_auc',
      sum='roc_auc',
      title='macro area under the ROC curve',
      higher_is_better=True,
      of=scores.roc_auc,
    ),
  )
}  # in the order in which figures are written and printed


def evaluated() -> list[Metric]:
  """The metrics that evaluations measure: the loss first, then the others by name."""
  found = [metric for metric in METRICS.values() if metric.evaluated]
  return sorted(found, key=lambda metric: (metric.name != 'loss', metric.name))


def table_keys() -> list[str]:
  """Keys of a summary, in the order of a table's columns."""
  return _keys(sorted(METRICS.values(), key=lambda metric: metric.name))


def leading_keys() -> list[str]:
  """Keys of a summary, the most important one first."""
  return _keys(METRICS.values())


def _keys(metrics: Iterable[Metric]) -> list[str]:
  """Keys of a summary: test before validation, the loss at the end of each."""
  found = [metric for metric in metrics if metric.evaluated]
  found.sort(key=lambda metric: metric.name == 'loss')
  return [
    f'{split}_{metric.name}'
    for split in ('test', 'validation')
    for metric in found
    if split in metric.splits
  ]


def main_metric(task: str) -> Metric:
  """The metric that a task is judged by.

  Raises:
    ValueError: an unknown task.
  """
  for metric in METRICS.values():
    if task in metric.tasks:
      return metric
  raise ValueError(f'no metric is the main figure of task {task!r}')


def find(key: str) -> Metric | None:
  """The metric of a key such as 'accuracy' or 'test_accuracy'; None for another key."""
  split, _, name = key.partition('_')
  return METRICS.get(name if split in SPLITS else key)


def words(key: str) -> str:
  """A key as words: 'test_rmse' → 'test RMSE'."""
  return ' '.join(ABBREVIATIONS.get(part, part) for part in key.split('_'))


def scaled(key: str, value: float) -> float:
  """A stored number as it is shown: 0.97 → 97.0 for an accuracy."""
  metric = find(key)
  return value if metric is None else value * metric.scale


def number(key: str, value: float) -> str:
  """A stored number as text without its unit: '97.27' for an accuracy of 0.9727."""
  metric = find(key)
  return f'{scaled(key, value):.{4 if metric is None else metric.digits}f}'


def per_cent(key: str) -> str:
  """' %' after a figure that is shown in per cent, else ''."""
  metric = find(key)
  return ' %' if metric is not None and metric.unit == '%' else ''


def chance_levels(values: Mapping[str, float]) -> str:
  """Chance levels as text, such as '11.35 %', or 'test 11.35 %, validation 10.90 %' if they differ.

  Args:
    values: key of an accuracy, such as 'test_accuracy' → its chance level; '–' if there are none.
  """
  texts = {key.partition('_')[0]: shown(key, value) for key, value in values.items()}
  if len(set(texts.values())) > 1:
    return ', '.join(f'{split} {text}' for split, text in texts.items())
  return next(iter(texts.values()), '–')


def shown(key: str, value: float | None) -> str:
  """0.9727 → '97.27 %' for an accuracy, else four digits; '–' for None."""
  if value is None:
    return '–'
  return number(key, value) + per_cent(key)
