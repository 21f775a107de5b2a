"""The card at the top of a run's page: its leading figure and the main facts."""

import datetime
from typing import Any

from jaxdl.runs import record as records
from jaxdl.runs.record import Run
from jaxdl.step import metrics
from jaxdl.step.intervals import wilson


def of_run(record: Run) -> dict[str, Any] | None:
  """Returns the card of a run for the page template.

  Args:
    record: the run.

  Returns:
    None if the run has not been evaluated. Otherwise a dict:

      'name', 'value': the leading figure.
      'interval': its 95 % interval, '' if it is no share.
      'facts': rows (name, value).
  """
  summary = record.summary
  key = next((key for key in metrics.leading_keys() if key in summary), None)
  if key is None:
    return None
  value, examples = record.figure(key)
  metric = metrics.find(key)
  facts = []
  reported = {name: theirs for name, theirs, _ in record.reported()}.get(key)
  if reported is not None and not record.changed:
    facts.append(['reported', metrics.shown(key, reported)])
    if value is not None:
      facts.append(['difference', _difference(key, value - reported)])
  chance = record.chance(key)
  if chance is not None:
    facts.append(['chance level', metrics.shown(key, chance)])
  if examples:
    facts.append([f'{key.partition("_")[0]} examples', f'{examples:,}'])
  facts += [
    ['parameters', f'{summary["parameters"]:,}'],
    ['training time', str(datetime.timedelta(seconds=round(summary['seconds'])))],
    ['device', summary['device']],
    ['step', f'{summary["step"]:,}'],
    ['seed', str(summary['seed'])],
  ]
  name = metrics.words(key)
  if metric is not None and metric.name == 'loss':
    name += f' ({records.loss_unit(record.config)})'
  return {
    'name': name,
    'value': metrics.shown(key, value),
    'interval': _interval(key, metric, value, examples),
    'facts': facts,
  }


def _interval(key, metric, value, examples):
  if metric is None or not metric.is_share or value is None or not examples:
    return ''
  if not 0 <= value <= 1:  # NaN, or damaged
    return ''
  low, high = wilson(value, examples)
  return f'{metrics.number(key, low)} to {metrics.shown(key, high)}'


def _difference(key, difference):
  """A difference of two figures with its sign; of shares, in percentage points."""
  metric = metrics.find(key)
  shown = metrics.number(key, abs(difference))
  sign = '−' if difference < 0 else '+'
  unit = ' points' if metric is not None and metric.unit == '%' else ''
  return f'{sign}{shown}{unit}'
