"""Parts of the view `errors` for labels: a table of the labels, worst mistakes, calibration."""

from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import labels
from jaxdl.views.outputs import all_outputs
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Result

WORST = 32
NAMED = 4  # most labels of a line that a caption names
SHOWN = 100  # most labels of the table in the report
COLUMNS = ('precision', 'recall', 'f1', 'average_precision')


def table(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Measures precision, recall, F1 and average precision of each label."""
  found = labels.table(subject.labels, all_outputs(subject))
  rows = [
    {
      'label': name,
      **{key: _number(getattr(found, key)[place]) for key in COLUMNS},
      'examples': int(found.support[place]),
      'predicted': int(found.predicted[place]),
    }
    for place, name in enumerate(subject.classes)
  ]
  yield Result(
    'per_label',
    figures.table(
      [_row(row) for row in rows],
      ['label', 'precision', 'recall', 'F1', 'average precision', 'examples', 'predicted'],
      heading=f'Labels of {len(subject.labels):,} {subject.split} examples',
    ),
    found._asdict(),
    {'split': subject.split, 'examples': len(subject.labels), 'labels': rows},
  )


def mistakes(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the worst mistakes."""
  found = labels.mistakes(subject.labels, all_outputs(subject))
  if not len(found.index):
    return
  shown = found.index[:WORST]
  pairs = [
    (_names(subject, missed), _names(subject, added))
    for missed, added in zip(found.missed[:WORST], found.added[:WORST], strict=True)
  ]
  heading = (
    f'{len(shown)} of {len(found.index):,} examples with a wrong label, the highest loss first: '
    '− label that was missed, + label that is not there'
  )
  if subject.images is None:
    rows = [[f'{place:,}', *pair] for place, pair in zip(shown.tolist(), pairs, strict=True)]
    figure = figures.table(rows, ['example', 'missed', 'added'], heading=heading)
  else:
    titles = [
      '\n'.join(f'{sign} {names}' for sign, names in zip('−+', pair, strict=True) if names)
      for pair in pairs
    ]
    figure = figures.image_grid(subject.images[shown], titles, columns=8, heading=heading)
  yield Result('mistakes', figure, found._asdict(), {'mistakes': len(found.index), 'shown': shown})


def calibration(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Measures how often labels of each probability occur."""
  curve = labels.calibration(subject.labels, all_outputs(subject))
  figure = figures.reliability(
    curve.confidence,
    curve.accuracy,
    curve.count,
    heading=(
      f'Calibration over {curve.count.sum():,} labels of {len(subject.labels):,} {subject.split} '
      f'examples:\nexpected calibration error {100 * curve.error:.2f} %'
    ),
    measured='share with the label',
    confidence_of='probability of the label',
  )
  yield Result(
    'calibration',
    figure,
    {key: np.asarray(value) for key, value in curve._asdict().items()},
    {'expected_calibration_error': curve.error, 'bins': len(curve.count)},
  )


def per_label(facts: dict) -> dict:
  """The table of the labels for the report; of more than 100, those of the lowest F1.

  Args:
    facts: those of the result 'per_label'.
  """
  rows = facts['labels']
  if len(rows) > SHOWN:
    rows = sorted(rows, key=lambda row: 0 if row['f1'] is None else row['f1'])[:SHOWN]
  columns = ['label', 'precision', 'recall', 'F1', 'average precision', 'examples', 'predicted']
  return {'columns': columns, 'rows': [_row(row) for row in rows], 'numbers': range(1, 7)}


def _row(row):
  figures_of = ['–' if row[key] is None else f'{row[key]:.4f}' for key in COLUMNS]
  return [row['label'], *figures_of, f'{row["examples"]:,}', f'{row["predicted"]:,}']


def _number(value):
  return None if np.isnan(value) else float(value)


def _names(subject, chosen):
  places = np.flatnonzero(chosen)
  names = [subject.classes[place] for place in places[:NAMED]]
  return ', '.join(names) + (', …' if len(places) > NAMED else '')
