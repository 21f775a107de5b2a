"""Claims on a whole curve of training, or on the layers of a network, tested on the runs' files."""

import math
import statistics

from jaxdl.step import metrics
from launch.reproduction import interval, wording
from launch.reproduction.comparisons import Verdict


def epochs(split, name, reported):
  """Returns a test of a figure after each epoch.

  A figure of training is the mean over the epoch, as in the reports' own logs; one of validation is
  measured after it.

  Args:
    split: 'train' | 'validation'.
    name: 'accuracy' | 'loss'.
    reported: a figure an epoch.

  Returns:
    function (runs) → Verdict: 'agrees' where every epoch does, else which side most of the others
    are on.
  """

  def test(runs):
    if any(run.config['evaluate_every'] not in ('1 epoch', '1 epochs') for run in runs):
      return Verdict('not testable', '–', 'a run was not evaluated after every epoch')
    of_run = _train_by_epoch if split == 'train' else _validation_by_epoch
    found = list(
      zip(reported, *(of_run(run, name) for run in runs), strict=False)
    )  # as many epochs as all have
    if not found:
      return Verdict('not testable', '–', f'a run has no {split} {name} of an epoch')
    statuses = [_status(ours, figure, f'{split}_{name}') for figure, *ours in found]
    others = [status for status in statuses if status != 'agrees']
    last = wording.figure(name, statistics.fmean(value for value, _ in found[-1][1:]))
    return Verdict(
      max(sorted(set(others)), key=others.count) if others else 'agrees',
      f'{statuses.count("agrees")} of {len(found)} epochs agree; the last has {last}',
    )

  return test


def falls(count):
  """Returns a test that the mean training loss falls from epoch to epoch, so many epochs long."""

  def test(runs):
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


def layer_sums(**reported):
  """Returns a test of sums over a network's layers, exact: its Conv layers, and all the others.

  Args:
    **reported: of 'conv_parameters', 'dense_parameters' (with batch normalisation), 'conv_neurons',
      'dense_neurons' (outputs of the convolutions and of the dense layers).

  Returns:
    function (runs) → Verdict.
  """

  def test(runs):
    from jaxdl import models
    from jaxdl.models import table

    config = runs[0].config
    rows = table.layers(models.build(config['model']), config['dataset']['input_shape'])
    conv, dense = (
      [row for row in rows if row['type'].startswith(kind)] for kind in ('Conv', 'Dense')
    )
    found = {
      'conv_parameters': sum(row['parameters'] for row in conv),
      'dense_parameters': sum(row['parameters'] for row in rows if row not in conv),
      'conv_neurons': sum(math.prod(row['output']) for row in conv),
      'dense_neurons': sum(math.prod(row['output']) for row in dense),
    }
    ours = ', '.join(f'{found[key]:,}' for key in reported)
    return Verdict(
      'agrees' if all(found[key] == value for key, value in reported.items()) else 'differs', ours
    )

  return test


def _status(figures, reported, key):
  """The status of one epoch; figures are (value, examples counted), one a run."""
  values, counts = zip(*figures, strict=True)
  metric = metrics.find(key)
  if metric is not None and metric.is_share:
    measured = interval.of_shares(values, min(counts))
  else:
    measured = interval.of_numbers(values)
  return interval.status(measured, reported, key)


def _validation_by_epoch(run, name):
  """(figure after an epoch, examples counted) of every epoch."""
  return [(line[name], run.summary['validation_examples']) for line in run.of_split('validation')]


def _train_by_epoch(run, name):
  """(mean over an epoch, examples in it) of every epoch, from the lines that were logged within it."""
  lines, batch_size = run.of_split('train'), run.config['data']['batch_size']
  spans = [
    line['step'] - before
    for line, before in zip(lines, [0, *(line['step'] for line in lines)], strict=False)
  ]
  means, start = [], 0
  for end in (line['step'] for line in run.of_split('validation')):
    within = [
      (line[name], span)
      for line, span in zip(lines, spans, strict=True)
      if start < line['step'] <= end
    ]
    if within:
      steps = sum(span for _, span in within)
      means.append((sum(value * span for value, span in within) / steps, steps * batch_size))
    start = end
  return means
