"""Pictures of a hyperparameter search: importances of parameters, and all trials."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxdl.figures.curves import COLOURS
from jaxdl.figures.fitting import short

if TYPE_CHECKING:
  import matplotlib.axes
  import matplotlib.figure

BETTER = 0.25  # share of the finished trials that are coloured
STYLES = {  # group of trials → its lines, those on top last
  'pruned': {'color': '#7F7F7F', 'linewidth': 0.8, 'linestyle': '--'},
  'other trials': {'color': '#7F7F7F', 'linewidth': 0.8, 'linestyle': '-'},
  'best quarter': {'color': COLOURS[0], 'linewidth': 1.8},
  'best': {'color': COLOURS[1], 'linewidth': 2.8},
}
TICKS = 5  # numbers at an axis
INSIDE = 0.04  # share of the height between the ends of the axes and the frame
SPREAD = 0.03  # share of the height over which trials of the same choice are spread, up and down


@dataclasses.dataclass(frozen=True)
class Column:
  """An axis of parallel coordinates.

  Attributes:
    title: name of the parameter.
    values: its value in each of N trials; the positions in `names` of a choice.
    limits: lowest and highest value.
    names: names of the values of a choice; () for a range.
    log: whether the axis is logarithmic.
  """

  title: str
  values: Float[np.ndarray, ' N']
  limits: tuple[float, float]
  names: tuple[str, ...] = ()
  log: bool = False


def importances(shares: Mapping[str, float], *, heading: str) -> 'matplotlib.figure.Figure':
  """Horizontal bars of the importance of parameters.

  Args:
    shares: name of a parameter → its importance, from 0 to 1, in the order of the bars.
    heading: heading of the figure.

  Returns:
    The figure.

  Raises:
    ValueError: there is no parameter.
  """
  from matplotlib.figure import Figure

  if not shares:
    raise ValueError('there are no importances to draw: give at least one')
  figure = Figure(figsize=(5.0, 0.4 * len(shares) + 1.3), layout='constrained', dpi=100)
  axis, places = figure.subplots(), range(len(shares))
  axis.barh(places, list(shares.values()), height=0.6, color=COLOURS[0])
  for place, share in zip(places, shares.values(), strict=True):
    axis.text(share + 0.012, place, f'{share:.2f}', va='center', fontsize=9)
  axis.set_yticks(places, [short(name, 30) for name in shares], fontsize=9)
  axis.set(xlim=(0, 1.12), xlabel='share of the variance between trials')
  axis.set_xticks(np.linspace(0, 1, 6))
  axis.invert_yaxis()
  axis.spines[['top', 'right']].set_visible(False)
  figure.suptitle(heading, fontsize=11)
  return figure


def parallel_coordinates(
  columns: Sequence[Column],
  scores: Float[np.ndarray, ' N'],
  *,
  label: str,
  higher_is_better: bool,
  best: int,
  heading: str,
) -> 'matplotlib.figure.Figure':
  """All trials: an axis for each parameter and one for the metric, a line for each trial.

  The best trial and the best quarter of the trials are coloured. Trials without a metric are dashed
  and end at the last parameter.

  Args:
    columns: the parameters.
    scores: the metric of each trial; NaN for none.
    label: name of the metric.
    higher_is_better: whether the best trial has the highest metric.
    best: number of the trial that is marked.
    heading: heading of the figure.

  Returns:
    The figure.

  Raises:
    ValueError: no trial has a metric.
  """
  from matplotlib.figure import Figure

  known = np.isfinite(scores)
  if not known.any():
    raise ValueError('no trial has a metric: draw at least one that has')
  metric = Column(label, scores, (float(scores[known].min()), float(scores[known].max())))
  axes = [*columns, metric]
  figure = Figure(figsize=(max(6.5, 1.65 * len(axes) + 0.6), 4.6), layout='constrained', dpi=100)
  axis = figure.subplots()
  heights = np.stack([_height(column, column.values) + _spread(column) for column in axes])
  groups = _groups(-scores if higher_is_better else scores, best)
  for name, style in STYLES.items():
    label_of_group = name if name in groups else None
    for number, group in enumerate(groups):
      if group == name:
        axis.plot(heights[:, number], label=label_of_group, **style)
        label_of_group = None
  for place, column in enumerate(axes):
    _draw_axis(axis, place, column)
  axis.set(xlim=(-0.35, len(axes) - 0.35), ylim=(-INSIDE, 1 + INSIDE))
  axis.axis('off')
  handles, labels = axis.get_legend_handles_labels()
  figure.legend(
    handles[::-1], labels[::-1], loc='outside lower center', ncols=4, frameon=False, fontsize=9
  )
  figure.suptitle(heading, fontsize=11)
  return figure


def _groups(losses, best):
  """The group of each trial, a key of STYLES; the lowest numbers are the best."""
  known = np.isfinite(losses)
  limit = np.sort(losses[known])[max(1, round(BETTER * known.sum())) - 1]
  groups = np.where(known, np.where(losses <= limit, 'best quarter', 'other trials'), 'pruned')
  return [*groups[:best].tolist(), 'best', *groups[best + 1 :].tolist()]


def _spread(column):
  """Distances by which lines of the same choice are moved, so that each is visible."""
  moved = np.zeros(len(column.values))
  if column.names:
    for value in np.unique(column.values):
      same = column.values == value
      moved[same] = np.linspace(-SPREAD, SPREAD, same.sum()) if same.sum() > 1 else 0
  return moved


def _height(column, values):
  """The places of values between the limits of a column, from 0 to 1."""
  low, high = column.limits
  if column.log:
    low, high, values = np.log(low), np.log(high), np.log(values)
  return (np.asarray(values, float) - low) / (high - low) if high > low else 0 * values + 0.5


def _draw_axis(axis: 'matplotlib.axes.Axes', place: int, column: Column) -> None:
  """Draws the line, the numbers or names and the title of a column."""
  axis.plot([place, place], [0, 1], color='black', linewidth=1, zorder=4)
  for value, text in _ticks(column):
    height = float(_height(column, np.array(value)))
    axis.plot([place - 0.03, place], [height] * 2, color='black', linewidth=1, zorder=4)
    axis.text(
      place - 0.05,
      height,
      text,
      ha='right',
      va='center',
      fontsize=8,
      zorder=5,
      bbox={'boxstyle': 'round,pad=0.12', 'facecolor': 'white', 'alpha': 0.8, 'linewidth': 0},
    )
  title = column.title.replace('.', '.\n').replace(' ', '\n')
  axis.text(place, 1.07, short(title), ha='center', va='bottom', fontsize=9)


def _ticks(column):
  """(value, text) of the marks of an axis, of which the ends are marked."""
  low, high = column.limits
  if column.names:
    return [(number, short(name, 14)) for number, name in enumerate(column.names)]
  if low == high:
    return [(low, f'{low:.4g}')]
  if column.log:
    powers = np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
    inside = [10.0**power for power in powers if low * 1.3 < 10.0**power < high / 1.3]
    return [(value, f'{value:.3g}') for value in (low, *inside, high)]
  if (np.round(column.values) == column.values).all() and high - low < TICKS:
    return [(value, f'{value:g}') for value in np.arange(low, high + 1)]
  return [(value, f'{value:.4g}') for value in np.linspace(low, high, TICKS)]
