"""Tests of claims about training curves and about the layers of a network, on the runs' files."""

import math
import statistics
from collections.abc import Callable, Sequence

from jaxdl.runs.record import Run
from jaxdl.step import metrics
from launch.reproduction import interval, wording
from launch.reproduction.comparisons import Verdict

Test = Callable[[Sequence[Run]], Verdict]


def epochs(split: str, name: str, reported: Sequence[float]) -> Test:
  """Returns a test of a figure after each epoch.

  A training figure is the mean over the epoch, as in the reports' own logs; a validation figure is
  measured after the epoch.

  Args:
    split: 'train' | 'validation'.
    name: 'accuracy' | 'loss'.
    reported: one figure for each epoch.

  Returns:
    A test whose status is 'agrees' if every epoch agrees, else the most frequent other status.
  """

  def test(runs: Sequence[Run]) -> Verdict:
    if any(run.config['evaluate_every'] not in ('1 epoch', '1 epochs') for run in runs):
      return Verdict('not testable', '–', 'a run was not evaluated after every epoch')
    of_run = _train_by_epoch if split == 'train' else _validation_by_epoch
    curves = [of_run(run, name) for run in runs]
    found = list(zip(reported, *curves, strict=False))  # the epochs that all of them have
    if not found:
      return Verdict('not testable', '–', f'a run has no {split} {name} of an epoch')
    statuses = [_status(ours, figure, f'{split}_{name}') for figure, *ours in found]
    others = [status for status in statuses if status != 'agrees']
    overall = max(sorted(set(others)), key=others.count) if others else 'agrees'
    last = wording.figure(name, statistics.fmean(value for value, _ in found[-1][1:]))
    agreeing = statuses.count('agrees')
    return Verdict(overall, f'{agreeing} of {len(found)} epochs agree; the last has {last}')

  return test


def falls(count: int) -> Test:
  """Returns a test that the mean training loss falls in each of the first `count` epochs."""

  def test(runs: Sequence[Run]) -> Verdict:
    curves = [[loss for loss, _ in _train_by_epoch(run, 'loss')][:count] for run in runs]
    if any(len(curve) < count for curve in curves):
      return Verdict('not testable', '–', f'a run was not evaluated {count} times')
    falling = all(
      before > after for curve in curves for before, after in zip(curve, curve[1:], strict=False)
    )
    means = [sum(epoch) / len(epoch) for epoch in zip(*curves, strict=True)]
    return Verdict(
      'agrees' if falling else 'differs (it rises in between)', wording.figure('loss', means)
    )

  return test


def layer_sums(**reported: int) -> Test:
  """Returns a test of exact sums over a network's layers.

  Args:
    **reported: any of 'conv_parameters', 'dense_parameters' (all layers that are not convolutions),
      'conv_neurons' and 'dense_neurons' (outputs of the convolutions and of the dense layers).
  """

  def test(runs: Sequence[Run]) -> Verdict:
    from jaxdl import models
    from jaxdl.models import table

    config = runs[0].config
    rows = table.layers(models.build(config['model']), config['dataset']['input_shape'])
    conv = [row for row in rows if row['type'].startswith('Conv')]
    dense = [row for row in rows if row['type'].startswith('Dense')]
    found = {
      'conv_parameters': sum(row['parameters'] for row in conv),
      'dense_parameters': sum(row['parameters'] for row in rows if row not in conv),
      'conv_neurons': sum(math.prod(row['output']) for row in conv),
      'dense_neurons': sum(math.prod(row['output']) for row in dense),
    }
    ours = ', '.join(f'{found[key]:,}' for key in reported)
    same = all(found[key] == value for key, value in reported.items())
    return Verdict('agrees' if same else 'differs', ours)

  return test


def _status(figures: Sequence[tuple[float, int]], reported: float, key: str) -> str:
  """The status of one epoch, from the (value, examples counted) of each run."""
  values, counts = zip(*figures, strict=True)
  metric = metrics.find(key)
  if metric is not None and metric.is_share:
    measured = interval.of_shares(values, min(counts))
  else:
    measured = interval.of_numbers(values)
  return interval.status(measured, reported, key)


def _validation_by_epoch(run: Run, name: str) -> list[tuple[float, int]]:
  """(figure after the epoch, examples counted) of each epoch."""
  return [(line[name], run.summary['validation_examples']) for line in run.of_split('validation')]


def _train_by_epoch(run: Run, name: str) -> list[tuple[float, int]]:
  """(mean over the epoch, examples in it) of each epoch, from the lines logged within it."""
  lines = run.of_split('train')
  starts = [0, *(line['step'] for line in lines)]
  spans = [line['step'] - start for line, start in zip(lines, starts, strict=False)]
  means, start = [], 0
  for end in (line['step'] for line in run.of_split('validation')):
    within = [
      (line[name], span)
      for line, span in zip(lines, spans, strict=True)
      if start < line['step'] <= end
    ]
    if within:
      steps = sum(span for _, span in within)
      mean = sum(value * span for value, span in within) / steps
      means.append((mean, steps * run.config['data']['batch_size']))
    start = end
  return means
