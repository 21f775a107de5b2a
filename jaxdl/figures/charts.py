"""Charts: confusion matrices, reliability diagrams, scatter plots, bars and lines."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, Num

from jaxdl.figures.curves import COLOURS
from jaxdl.figures.fitting import apart, short
from jaxdl.figures.output import ON_BRIGHT, ON_DARK

if TYPE_CHECKING:
  import matplotlib.figure

# The palette of Okabe & Ito without yellow and black, and other colours. All are visible on white
# and on black.
CLASSES = (
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#E69F00',
  '#56B4E9',
  '#7F7F7F',
  '#999933',
  '#8C564B',
  '#6A3D9A',
  '#C2185B',
  '#44AA99',
)
FEW = 10  # predictions; the accuracy of a bin with fewer is uncertain
COUNTED = 20  # classes up to which the cells of a confusion matrix have counts
NAMED = 50  # classes up to which the axes of a confusion matrix have names
SIDE = 10.0  # inches, side of a confusion matrix without counts
LETTER = (0.025, 0.055)  # width and height of a letter in a scatter plot, as shares of its axes
IN_MAP = 20  # classes whose names have room in a scatter plot


def confusion_matrix(
  counts: Int[np.ndarray, 'K K'],
  classes: Sequence[str],
  *,
  heading: str,
  confused: Sequence[tuple[int, int, int]] = (),
) -> 'matplotlib.figure.Figure':
  """Counts of true (rows) and predicted (columns) classes, coloured by their share of the row.

  Up to 20 classes, the cells show their counts. With more classes, the figure has a fixed size and
  lists the most frequent confusions on the right. With more than 50 classes, its axes show the
  numbers of the classes instead of their names.

  Args:
    counts: number of examples of each pair of classes.
    classes: K names.
    heading: heading of the figure.
    confused: (true class, predicted class, count) of the confusions to list, the most frequent
      first.

  Returns:
    The figure.
  """
  from matplotlib.colors import PowerNorm
  from matplotlib.figure import Figure

  shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
  names = [short(name) for name in classes]
  many = len(names) > COUNTED
  side = SIDE if many else max(4.2, 0.52 * len(names) + 1.6)
  figure = Figure(figsize=(side + (5 if many else 0.8), side), layout='constrained', dpi=100)
  if many:
    axis, list_axis = figure.subplots(1, 2, width_ratios=(3, 1))
    _list_confusions(list_axis, names, confused)
  else:
    axis = figure.subplots()
  # The colours are those of the square root of the share, so that few mistakes are visible.
  drawn = axis.imshow(shares, cmap='cividis', norm=PowerNorm(0.5, 0, 1))
  places = range(len(names))
  if len(names) <= NAMED:
    turned = {}
    if max(map(len, names)) > 2:
      turned = {'rotation': 90, 'ha': 'center'} if many else {'rotation': 45, 'ha': 'right'}
    axis.set_xticks(places, names, fontsize=8, **turned)
    axis.set_yticks(places, names, fontsize=8)
  if not many:
    for row in places:
      for column in places:
        axis.text(
          column,
          row,
          f'{counts[row, column]}',
          ha='center',
          va='center',
          fontsize=7,
          color=ON_BRIGHT if shares[row, column] > 0.3 else ON_DARK,
        )
  numbered = '' if len(names) <= NAMED else ', by its number'
  axis.set(xlabel=f'predicted class{numbered}', ylabel=f'true class{numbered}')
  figure.colorbar(drawn, ax=axis, label='share of the true class', shrink=0.8)
  figure.suptitle(heading, fontsize=11)
  return figure


def _list_confusions(axis, names, confused):
  """Writes confusions (true class, predicted class, count) into an axis, one in each line."""
  axis.axis('off')
  if len(names) > NAMED:
    names = [f'{number} {name}' for number, name in enumerate(names)]
  lines = [f'{count:,}  {names[true]} → {names[predicted]}' for true, predicted, count in confused]
  title = 'most frequent confusions:\ncount  true → predicted' if lines else 'no confusion'
  axis.text(0, 1, '\n'.join([title, '', *lines]), fontsize=8, va='top', transform=axis.transAxes)


def reliability(
  confidence: Float[np.ndarray, ' bins'],
  accuracy: Float[np.ndarray, ' bins'],
  count: Int[np.ndarray, ' bins'],
  *,
  heading: str,
  measured: str = 'accuracy',
  confidence_of: str = 'confidence (probability of the predicted class)',
) -> 'matplotlib.figure.Figure':
  """Reliability diagram: accuracy against confidence in bins, and the predictions of each bin.

  Args:
    confidence: mean confidence of each bin; NaN for an empty bin.
    accuracy: accuracy of each bin, as a share; NaN for an empty bin.
    count: number of predictions of each bin.
    heading: heading of the figure.
    measured: label of the vertical axis.
    confidence_of: label of the horizontal axis.

  Returns:
    The figure.
  """
  from matplotlib.figure import Figure

  edges = np.linspace(0, 1, len(count) + 1)
  figure = Figure(figsize=(5, 5.2), layout='constrained', dpi=100)
  top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
  top.plot([0, 1], [0, 1], color='gray', linewidth=1, label='perfect calibration')
  for some, alpha, label in (
    (count >= FEW, 0.7, measured),
    (count < FEW, 0.25, f'of fewer than {FEW} predictions'),
  ):
    if (some & (count > 0)).any():
      top.bar(
        edges[:-1][some],
        np.nan_to_num(accuracy)[some],
        width=np.diff(edges)[some],
        align='edge',
        color=COLOURS[0],
        alpha=alpha,
        edgecolor='white',
        label=label,
      )
  filled = ~np.isnan(confidence)
  top.plot(
    confidence[filled],
    accuracy[filled],
    'o',
    color=COLOURS[1],
    markersize=4,
    label='at the mean confidence of the bin',
  )
  top.set(ylabel=measured, ylim=(0, 1), xlim=(0, 1))
  figure.legend(
    *top.get_legend_handles_labels(), frameon=False, fontsize=8, ncols=2, loc='outside lower center'
  )
  bottom.bar(edges[:-1], count, width=np.diff(edges), align='edge', color='gray', edgecolor='white')
  bottom.set(xlabel=confidence_of, ylabel='predictions', yscale='symlog')
  powers = len(str(count.max(initial=0))) - 1
  # At most five labels, so that they do not overlap.
  bottom.set_yticks([0, *(10**power for power in range(powers or 1, 0, -(powers // 4 + 1)))])
  bottom.yaxis.set_major_formatter('{x:,.0f}')
  figure.suptitle(heading, fontsize=11)
  return figure


def scatter(
  points: Float[np.ndarray, 'N 2'],
  labels: Int[np.ndarray, ' N'],
  classes: Sequence[str],
  *,
  heading: str,
  note: str | None = None,
  axes: Sequence[str] = ('', ''),
) -> 'matplotlib.figure.Figure':
  """Points in two dimensions, coloured by class, with the name of each class at its median.

  Only the 20 classes with the most points are named. Colours repeat after 12 classes.

  Args:
    points: coordinates.
    labels: class of each point.
    classes: K names.
    heading: heading of the figure.
    note: text below the plot, such as how reliable it is.
    axes: labels of the horizontal and the vertical axis.

  Returns:
    The figure.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5.4, 5.6), layout='constrained', dpi=100)
  axis, size = figure.subplots(), min(max(4000 / len(points), 6), 24)
  order = np.argsort(labels, kind='stable')  # later classes are drawn over earlier ones
  colours = [CLASSES[label % len(CLASSES)] for label in labels[order]]
  axis.scatter(points[order, 0], points[order, 1], s=size, c=colours, alpha=0.7, linewidths=0)
  present, counts = np.unique(labels, return_counts=True)
  named = np.sort(present[np.argsort(-counts, kind='stable')[:IN_MAP]])
  names = [short(classes[int(label)]) for label in named]
  middles = np.array([np.median(points[labels == label], axis=0) for label in named])
  extent = np.ptp(points, axis=0) * 1.1  # of the axes, whose margins are 5 %
  sizes = np.array([(len(name) * LETTER[0], LETTER[1]) for name in names]) * extent
  for name, (x, y) in zip(names, apart(middles, sizes), strict=True):
    axis.text(
      x,
      y,
      name,
      fontsize=9,
      weight='bold',
      ha='center',
      va='center',
      bbox=dict(boxstyle='round,pad=0.15', facecolor='white', alpha=0.75, linewidth=0),
    )
  if len(present) > IN_MAP:
    heading = f'{heading}\nnames: the {IN_MAP} most frequent of {len(present):,} classes'
  axis.set(xticks=[], yticks=[], xlabel=axes[0], ylabel=axes[1])
  figure.suptitle(heading, fontsize=11)
  if note:
    figure.supxlabel(textwrap.fill(note, 72), fontsize=8)  # a line has room for 72 characters
  return figure


def bars(
  series: Mapping[str, Num[np.ndarray, ' N'] | Sequence[float]],
  names: Sequence[str],
  *,
  xlabel: str,
  ylabel: str,
  heading: str,
) -> 'matplotlib.figure.Figure':
  """Bars of several series next to each other.

  Args:
    series: label → heights.
    names: N texts below the bars.
    xlabel, ylabel: labels of the axes.
    heading: heading of the figure.

  Returns:
    The figure.
  """
  from matplotlib.figure import Figure

  names = [short(name) for name in names]
  figure = Figure(figsize=(max(6.5, 0.18 * len(names) + 1), 4), layout='constrained', dpi=100)
  axis, width = figure.subplots(), 0.8 / len(series)
  for number, ((label, heights), colour) in enumerate(
    zip(series.items(), COLOURS * len(series), strict=False)
  ):
    axis.bar(
      np.arange(len(names)) + (number - (len(series) - 1) / 2) * width,
      heights,
      width,
      label=label,
      color=colour,
    )
  slanted = max(map(len, names)) > 3
  axis.set_xticks(
    range(len(names)),
    names,
    fontsize=8,
    rotation=45 if slanted else 0,
    ha='right' if slanted else 'center',
    parse_math=False,
  )
  axis.set(xlabel=xlabel, ylabel=ylabel)
  figure.legend(loc='outside lower center', ncols=2, frameon=False, fontsize=8)
  figure.suptitle(heading, fontsize=11)
  return figure


def lines(
  series: Mapping[str, tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]],
  *,
  xlabel: str,
  ylabel: str,
  heading: str,
  markers: bool = False,
) -> 'matplotlib.figure.Figure':
  """Lines in one chart.

  Args:
    series: label → (x, y) of equal lengths.
    xlabel, ylabel: labels of the axes.
    heading: heading of the figure.
    markers: whether every point has a marker.

  Returns:
    The figure.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5.4, 3.6), layout='constrained', dpi=100)
  axis = figure.subplots()
  for number, ((label, (x, y)), colour) in enumerate(
    zip(series.items(), COLOURS * len(series), strict=False)
  ):
    # Earlier lines are wider, so that they are visible under equal later ones.
    below = len(series) - 1 - number if markers else 0
    axis.plot(
      x,
      y,
      label=label,
      color=colour,
      linewidth=1.5 + 0.5 * below,
      marker='o' if markers else None,
      markersize=4 + 0.8 * below,
    )
  if all(np.issubdtype(np.asarray(x).dtype, np.integer) for x, _ in series.values()):
    axis.locator_params(axis='x', integer=True)
  axis.set(xlabel=xlabel, ylabel=ylabel)
  axis.grid(alpha=0.3)
  if len(series) > 1:
    figure.legend(loc='outside lower center', ncols=2, frameon=False, fontsize=8)
  figure.suptitle(heading, fontsize=11)
  return figure
