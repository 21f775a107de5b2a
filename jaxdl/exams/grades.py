"""The grades of one network, kept in the folder of its run."""

import json
import pathlib
import warnings
from collections.abc import Callable
from typing import Any

from jaxdl.analysis.grading import localisation, map_metrics
from jaxdl.runs import disk, keys
from jaxdl.runs.keys import Key
from jaxdl.views import subject as subjects
from jaxdl.views.faithfulness import explained

NAME = 'exam.json'
FORMAT = 2  # of the file; grades of another format are computed again
KEYS = {
  'step': Key(keys.is_count, needed=True),
  'examples': Key(keys.is_count, needed=True),
  'accuracy': Key(keys.is_finite, needed=True),
  'follows_evidence': Key(keys.is_or_none(keys.is_finite), needed=True),
  'scores': Key(keys.map_of(keys.map_of(keys.is_or_none(keys.is_figure))), needed=True),
  'reasons': Key(keys.map_of(keys.map_of(keys.is_text)), needed=True),
  'seconds': Key(keys.map_of(keys.is_span), needed=True),
}


def graded(
  folder: pathlib.Path, *, images: int, now: Callable[[str], Any] = lambda method: None
) -> dict[str, Any]:
  """Grades the methods that fit the network of a run, or reads the grades that it has.

  Args:
    folder: the run's folder.
    images: number of correctly predicted test examples.
    now: called with the name of each method before it is applied.

  Returns:
    Plain JSON data: 'scores', method → metric → number; 'seconds', method → duration; 'reasons',
    method → metric → why it could not be computed; 'accuracy', 'follows_evidence' (shares),
    'examples' and 'step'.

  Raises:
    ValueError: the data have no known evidence, or the network has no method of attribution.
    OSError: the folder cannot be read or written.
  """
  found = subjects.read(folder)
  if found.evidence is None:
    raise ValueError(
      f'{found.name} has no known evidence: use a config of exam/, such as exam/planted_mark, or a '
      "data set with the column 'evidence'; for any other run, "
      f'python -m jaxdl.analyze {folder} --only=faithfulness'
    )
  settings = {
    'format': FORMAT,
    'images': images,
    'step': found.step,
    'metrics': [*map_metrics.METRICS],
  }
  chosen = explained(found, images)
  settings['methods'] = list(chosen.known)
  kept = _kept(folder / NAME, settings)
  if kept is not None:
    return kept
  assert chosen.evidence is not None
  follows = localisation.follows_evidence(
    chosen.model, chosen.variables, chosen.inputs, chosen.target, chosen.evidence
  )
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # maps of zeros are counted as misses
    grades = map_metrics.grade(
      chosen.model,
      chosen.variables,
      chosen.inputs,
      chosen.target,
      chosen.known,
      evidence=chosen.evidence,
      now=now,
    )
  result = {
    'settings': settings,
    'step': found.step,
    'examples': len(chosen.target),
    'accuracy': chosen.accuracy,
    'follows_evidence': float(follows.mean()) if len(follows) else None,
    'scores': {
      method: {name: map_metrics.METRICS[name].of(values) for name, values in metrics.items()}
      for method, metrics in grades.values.items()
    },
    'reasons': {method: why for method, why in grades.reasons.items() if why},
    'seconds': {method: round(seconds, 3) for method, seconds in grades.seconds.items()},
  }
  disk.write_atomic(folder / NAME, json.dumps(result, indent=2) + '\n')
  return result


def _kept(file, settings):
  """The grades of a file; None if there are none of these settings."""
  try:
    found = json.loads(file.read_text(encoding='utf-8'))
  except (OSError, ValueError, RecursionError):
    return None
  is_same = isinstance(found, dict) and found.get('settings') == settings
  return found if is_same and not keys.fault(found, KEYS) else None
