"""Predictions of a classifier for the linked views: confusion matrix, calibration and images."""

import math
from typing import Any

import numpy as np
from jaxtyping import Integer

from jaxdl.config import memory
from jaxdl.report import results
from jaxdl.runs.record import Run

SECTION = 'Errors'  # the section of the page that has the linked views
CLASSES = 100  # with as many classes, the pictures stay
COUNTED = 20  # most classes whose counts are written into the matrix
EXAMPLES = 20_000  # most examples whose predictions are in the page
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 360, 300, 48, 40, 10  # geometry of the calibration


def of_run(record: Run) -> dict[str, Any] | None:
  """Returns the data of the linked views of a run.

  Args:
    record: the run.

  Returns:
    None if the predictions of the examples were not recorded, or if there are CLASSES classes or
    more. Otherwise a dict for the page template:

      'caption': caption of the confusion matrix.
      'classes': names of the classes.
      'rows': for each true class, a list of cells with 'count', 'share' (0 to 1, of the colour) and
        'right'.
      'counted': whether the counts are written into the cells.
      'calibration': drawing of the calibration, or None if it was not measured.
      'predictions': data for the script: 'split', 'classes', 'label', 'predicted', 'confidence' (in
        thousandths) and 'bin' (bar of the calibration) of the first examples.

  Raises:
    ValueError: a file of the analysis is damaged.
  """
  folder = record.results / 'analysis'
  classes = list(map(str, record.classes))
  if not (folder / 'predictions.npz').is_file() or len(classes) >= CLASSES:
    return None
  with results.errors_naming(record, 'predictions.npz'):
    facts = results.of_analysis(record, 'predictions')
    arrays = memory.load_arrays(folder / 'predictions.npz')
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (arrays['label'], arrays['predicted']), 1)
    confidence = arrays['confidence'][:EXAMPLES]
    thousandths = np.rint(1000 * confidence).astype(int).tolist()
  total, right = int(counts.sum()), int(counts.trace())
  calibration = _calibration(record)
  return {
    'caption': (
      f'{total:,} {facts.get("split", "")} examples, '
      f'{100 * right / max(total, 1):.2f} % right: true classes in rows, predicted ones in columns'
    ),
    'classes': classes,
    'rows': _rows(counts),
    'counted': len(classes) <= COUNTED,
    'calibration': calibration,
    'predictions': {
      'split': facts.get('split', ''),
      'classes': classes,
      'total': total,
      'label': arrays['label'][:EXAMPLES].tolist(),
      'predicted': arrays['predicted'][:EXAMPLES].tolist(),
      'confidence': thousandths,
      'bin': _bins(confidence, calibration),
    },
  }


def _bins(confidence, calibration):
  """The bar of each confidence, as `analysis.errors.reliability` counts it."""
  if calibration is None:
    return []
  return np.maximum(np.searchsorted(calibration['edges'], confidence) - 1, 0).tolist()


def replaced(found: dict[str, Any] | None) -> tuple[str, ...]:
  """The names of the pictures that the linked views replace.

  Args:
    found: as returned by `of_run`.
  """
  if found is None:
    return ()
  return ('confusion', 'mistakes', *(('calibration',) if found['calibration'] else ()))


def _rows(counts: Integer[np.ndarray, 'K K']) -> list[list[dict[str, Any]]]:
  """The cells of the matrix; mistakes are coloured by their share of the most frequent mistake."""
  wrong = counts.copy()
  np.fill_diagonal(wrong, 0)
  most, of_class = max(int(wrong.max()), 1), np.maximum(counts.sum(1), 1)
  return [
    [
      {
        'count': int(count),
        'right': true == predicted,
        'share': round(
          count / of_class[true] if true == predicted else math.sqrt(int(count) / most), 3
        ),
      }
      for predicted, count in enumerate(row)
    ]
    for true, row in enumerate(counts)
  ]


def _calibration(record):
  """The bars of the reliability curve; None if it was not measured."""
  file = record.results / 'analysis/calibration.npz'
  if not file.is_file():
    return None
  with results.errors_naming(record, 'calibration.npz'):
    found = memory.load_arrays(file)
    edges, count, accuracy = (found[key] for key in ('edges', 'count', 'accuracy'))
    error = float(results.of_analysis(record, 'calibration')['expected_calibration_error'])
    bars = [
      _bar(*bin)
      for bin in zip(edges[:-1], edges[1:], count.tolist(), accuracy.tolist(), strict=True)
    ]
  return {
    'caption': (f'How often a confidence is right: expected calibration error {100 * error:.2f} %'),
    'bars': bars,
    'edges': edges,
    'ticks': [(_x(share), _y(share), f'{share:.0%}'.replace('%', ' %')) for share in TICKS],
    'line': (_x(0), _y(0), _x(1), _y(1)),
    'width': WIDTH,
    'height': HEIGHT,
  }


TICKS = (0, 0.25, 0.5, 0.75, 1)


def _bar(low, high, count, accuracy):
  """A bar: its rectangle, which is 0 high for an empty bin, and a text."""
  share = accuracy if count else 0
  text = f'confidence {100 * low:.0f} to {100 * high:.0f} %: {count:,} examples'
  return {
    'x': _x(low) + 1,
    'y': _y(share),
    'width': round(_x(high) - _x(low) - 2, 1),
    'height': round(_y(0) - _y(share), 1),
    'top': TOP,
    'full': round(_y(0) - TOP, 1),
    'text': f'{text}, {100 * share:.1f} % right' if count else text,
  }


def _x(share):
  return round(LEFT + (WIDTH - LEFT - TOP) * float(share), 1)


def _y(share):
  return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - float(share)), 1)
