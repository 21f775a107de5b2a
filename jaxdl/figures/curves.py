"""Learning curves."""

from typing import Any

import numpy as np

COLOURS = (
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#E69F00',
  '#56B4E9',
  '#000000',
)  # for colour-blind readers too
FEW = 10  # a curve of fewer points is shown completely
DASHES = ('-', '--', ':', '-.')
MARKERS = 'osD^vPX'  # of runs with one evaluation, which dashes cannot tell apart


def learning_curves(
  curves: dict, choices: dict, *, axes: dict[str, tuple[str, float]], heading: str
) -> Any:
  """Overlaid learning curves: a row of panels for each metric, a column for each split.

  Args:
    curves: label → (split, metric) → (steps [S], mean [S], standard deviation [S]).
    choices: label → tuple of its choices; the first one has its colour, the last of several its
      dashes.
    axes: metric → (label of its axis, factor of its numbers), in the order of the rows; a metric
      that no curve has gets no row.
    heading: str.

  Returns:
    matplotlib Figure.

  Raises:
    ValueError: no curve at all.
  """
  from matplotlib.figure import Figure

  keys = {key for found in curves.values() for key in found}
  metrics = [metric for metric in axes if any(metric == key[1] for key in keys)]
  splits = [
    split for split in ('train', 'validation', 'test') if any(split == key[0] for key in keys)
  ]
  if not keys:
    raise ValueError('there is no curve to draw: train at least one run up to its first log')
  figure = Figure(
    figsize=(4.2 * len(splits), 3.1 * len(metrics) + 0.9), layout='constrained', dpi=100
  )
  panels = figure.subplots(len(metrics), len(splits), squeeze=False, sharex=True, sharey='row')
  for row, metric in zip(panels, metrics, strict=True):
    label_of_axis, scale = axes[metric]
    for axis, split in zip(row, splits, strict=True):
      for label, found in curves.items():
        if (split, metric) in found:
          _line(
            axis,
            found[split, metric],
            label,
            scale=scale,
            **_style(label, choices),
          )
      axis.grid(alpha=0.3)
      axis.set_title(split)
    row[0].set_ylabel(label_of_axis)
    _zoom(
      {
        axis: [
          found[split, metric][1] * scale for found in curves.values() if (split, metric) in found
        ]
        for axis, split in zip(row, splits, strict=True)
      }
    )
  for axis in panels[-1]:
    axis.set_xlabel('step')
  handles = {
    label: line
    for axis in panels.ravel()
    for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
  }
  figure.legend(
    handles.values(),
    handles.keys(),
    loc='outside lower center',
    ncols=min(len(handles), 5),
    frameon=False,
  )
  figure.suptitle(heading, fontsize=12)
  return figure


def rate_search(rates: Any, losses: Any, smoothed: Any, suggestion: float | None) -> Any:
  """The loss of each learning rate, on a logarithmic axis, with the suggested rate.

  Args:
    rates: [S] learning rates.
    losses: [S] loss of each rate.
    smoothed: [S] smoothed losses.
    suggestion: the suggested rate, which is marked; None for none.

  Returns:
    matplotlib Figure.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.5, 4), layout='constrained', dpi=100)
  axis = figure.subplots()
  axis.plot(rates, losses, color=COLOURS[5], linewidth=0.8, label='loss of a step')
  axis.plot(rates, smoothed, color=COLOURS[0], linewidth=1.8, label='smoothed')
  heading = 'learning-rate finder: the loss does not fall'
  if suggestion is not None:
    heading = f'learning-rate finder: {suggestion:.2g} suggested, where the loss falls fastest'
    axis.axvline(suggestion, color=COLOURS[1], linestyle='--', label=f'suggestion {suggestion:.2g}')
  axis.set(xscale='log')
  axis.xaxis.set_major_formatter('{x:g}')
  axis.set(xlabel='learning rate', ylabel='training loss')
  axis.grid(alpha=0.3)
  figure.legend(loc='outside lower center', ncols=3, frameon=False, fontsize=8)
  figure.suptitle(heading, fontsize=11)
  return figure


def _style(label, choices):
  """Colour and dashes of a label: its first and its last choice, each counted in the order of the
  labels.
  """
  first, last = (list(dict.fromkeys(names[end] for names in choices.values())) for end in (0, -1))
  names = choices[label]
  dash = last.index(names[-1]) if len(names) > 1 else first.index(names[0]) // len(COLOURS)
  return {
    'color': COLOURS[first.index(names[0]) % len(COLOURS)],
    'linestyle': DASHES[dash % len(DASHES)],
    'marker': MARKERS[dash % len(MARKERS)],
  }


def _line(axis, points, label, *, scale, color, linestyle, marker):
  steps, mean, deviation = points
  axis.plot(
    steps,
    mean * scale,
    label=label,
    color=color,
    linestyle=linestyle,
    linewidth=1.4,
    marker=marker if len(steps) == 1 else None,
    markersize=5,
  )
  if deviation.any():
    axis.fill_between(
      steps,
      (mean - deviation) * scale,
      (mean + deviation) * scale,
      color=color,
      alpha=0.15,
      linewidth=0,
    )


def _zoom(drawn):
  """Limits that show the ends of the curves, not only the first fall: the middle 90 % of all points
  and every end. A note in a panel shows how far its curves extend beyond them.

  Args:
    drawn: axis, all of one row → list of curves [S].
  """
  means = [mean for some in drawn.values() for mean in some]
  points, ends = _finite(means), _finite([mean[-1:] for mean in means])
  if not len(points) or max(map(len, means)) < FEW:
    return
  low, high = min(np.quantile(points, 0.05), *ends), max(np.quantile(points, 0.95), *ends)
  margin = 0.05 * (high - low) or 0.1
  low, high = low - margin, high + margin
  for axis, some in drawn.items():
    axis.set_ylim(low, high)
    here = _finite(some)
    if len(here):
      for end, place in ((here.max(), 0.96), (here.min(), 0.04)):
        if not low <= end <= high:
          axis.text(
            0.97,
            place,
            f'{"↑" if end > high else "↓"} to {end:.3g}',
            transform=axis.transAxes,
            fontsize=8,
            color='gray',
            va='top' if end > high else 'bottom',
            ha='right',
          )  # where curves seldom are


def _finite(curves):
  points = np.concatenate([np.zeros(0), *curves])
  return points[np.isfinite(points)]
