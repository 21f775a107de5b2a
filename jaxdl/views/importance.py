"""The view `importance`: permutation importance of the columns of a table."""

from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import importance
from jaxdl.views.outputs import compiled
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Display, Result, View

SHOWN = 40  # most features of the picture and of the table in the report
UNITS = {'regressor': 'squared error', 'multi_label': 'nats'}


def features(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Measures how much the loss increases when a column is permuted among the examples."""
  outputs = compiled(subject)

  def losses(inputs: np.ndarray) -> np.ndarray:
    return _losses(subject, outputs(inputs))

  found, mean = importance.permuted(
    losses, subject.inputs, groups_of(subject.config), seed=choice.seed
  )
  order = sorted(found, key=lambda name: -found[name].mean())
  shown = order[:SHOWN]
  more = f', the {SHOWN} largest of {len(order):,}' if len(shown) < len(order) else ''
  figure = figures.bars(
    {'increase of the loss': [float(found[name].mean()) for name in shown]},
    shown,
    xlabel='column',
    ylabel=f'increase ({UNITS.get(subject.kind, "nats")})',
    heading=(
      f'Permutation importance of the columns{more}: {len(subject.inputs):,} {subject.split} '
      f'examples,\nmean of {importance.ROUNDS} permutations, loss {mean:.4g} without'
    ),
  )
  rows = [
    {'feature': name, 'increase': float(found[name].mean()), 'deviation': float(found[name].std())}
    for name in found
  ]
  yield Result(
    'importance',
    figure,
    {'increases': np.stack(list(found.values()))},
    {'split': subject.split, 'examples': len(subject.inputs), 'loss': mean, 'features': rows},
  )


def groups_of(config: dict) -> dict[str, list[int]]:
  """Column of the table → the places of its features in the inputs of the network.

  Args:
    config: the config of a run on a table.
  """
  found, first = {}, 0
  for column in config['dataset']['table']['columns']:
    count = len(column.get('categories', [None]))
    found[column['column']] = list(range(first, first + count))
    first += count
  return found


def _losses(subject, found):
  """The loss of each example: cross-entropy, or the squared error of standardised targets."""
  truth, found = np.asarray(subject.labels), np.asarray(found, np.float64)
  if subject.kind == 'regressor':
    targets = subject.config['dataset']['targets']
    wanted = (truth - np.array(targets['mean'])) / np.array(targets['deviation'])
    return np.square(found - wanted).mean(1)
  if subject.kind == 'multi_label':
    return (np.logaddexp(0, found) - truth * found).mean(1)
  return np.logaddexp.reduce(found, axis=1) - found[np.arange(len(truth)), truth]


def _without_columns(subject):
  return '' if subject.config['dataset'].get('table') else 'the inputs have no named columns'


def _table(facts):
  rows = sorted(facts['features'], key=lambda row: -row['increase'])[:SHOWN]
  return {
    'columns': ['column', 'increase of the loss', 'deviation'],
    'rows': [[row['feature'], f'{row["increase"]:.4g}', f'{row["deviation"]:.2g}'] for row in rows],
    'numbers': [1, 2],
  }


VIEWS = {
  'importance': View(
    'importance of the columns of a table',
    ('cnn', 'recurrent', 'classifier', 'regressor', 'multi_label'),
    features,
    section='Features',
    lacking=_without_columns,
    displays={
      'importance': Display(
        'Permutation importance',
        'A high bar: the network needs the column. Columns that carry the same information can '
        'replace each other, so that each of them has a low bar',
        entry='importance',
        table=_table,
      ),
    },
  ),
}
