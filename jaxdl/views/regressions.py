"""Parts of the view `errors` for regressions: residuals, and the worst examples."""

from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import regression
from jaxdl.views.outputs import all_outputs
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Result, once

WORST = 32
NAMED = 3  # most targets that are shown


def residuals(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Plots predicted against true values, and the residuals."""
  predicted, found, names = _found(subject)
  figure = figures.residual_plots(
    np.asarray(subject.labels, np.float64),
    predicted,
    names,
    heading=f'{len(predicted):,} {subject.split} examples',
  )
  rows = [
    {
      'target': name,
      **{key: float(getattr(found, key)[place]) for key in ('rmse', 'mae', 'r2', 'bias')},
    }
    for place, name in enumerate(names)
  ]
  yield Result(
    'residuals',
    figure,
    {'values': subject.labels, 'predicted': predicted, 'residuals': found.residuals},
    {'split': subject.split, 'examples': len(predicted)},
  )
  facts = {'split': subject.split, 'examples': len(predicted), 'targets': rows}
  yield Result('per_target', None, {}, facts)


def worst(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the examples with the largest errors."""
  predicted, found, names = _found(subject)
  chosen = found.worst[:WORST]
  heading = (
    f'{len(chosen)} of {len(predicted):,} {subject.split} examples, the largest error first: '
    'true → predicted'
  )
  names = names[:NAMED]
  shown = [
    [
      f'{true:.4g} → {value:.4g}'
      for _, true, value in zip(names, subject.labels[place], predicted[place], strict=False)
    ]
    for place in chosen.tolist()
  ]
  if subject.images is None:
    rows = [[f'{place:,}', *texts] for place, texts in zip(chosen.tolist(), shown, strict=True)]
    figure = figures.table(rows, ['example', *names], heading=heading)
  else:
    titles = ['\n'.join(map(' '.join, zip(names, texts, strict=True))) for texts in shown]
    figure = figures.image_grid(subject.images[chosen], titles, columns=8, heading=heading)
  yield Result(
    'worst',
    figure,
    {'index': chosen, 'values': subject.labels[chosen], 'predicted': predicted[chosen]},
    {'split': subject.split, 'shown': chosen},
  )


def per_target(facts: dict) -> dict:
  """The table of the figures of each target, for the report.

  Args:
    facts: those of the result 'per_target'.
  """
  rows = [
    [row['target'], *(f'{row[key]:.4g}' for key in ('rmse', 'mae', 'r2', 'bias'))]
    for row in facts['targets']
  ]
  columns = ['target', 'RMSE', 'MAE', 'R²', 'mean residual']
  return {'columns': columns, 'rows': rows, 'numbers': [1, 2, 3, 4]}


@once
def _found(subject):
  """(predicted values, residuals, names of the targets) of all examples."""
  targets = subject.config['dataset']['targets']
  deviation = np.asarray(targets['deviation'], np.float64)
  outputs = np.asarray(all_outputs(subject), np.float64)
  predicted = outputs * deviation + np.asarray(targets['mean'], np.float64)
  found = regression.residuals(subject.labels, predicted, deviation)
  return predicted, found, list(map(str, targets['names']))
