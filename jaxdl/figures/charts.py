"""Charts: matrices, reliability, scatter plots and lines."""

import textwrap

import numpy as np

from jaxdl.figures.curves import COLOURS
from jaxdl.figures.fitting import short

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
)  # Okabe & Ito's without yellow and black, seen on white and on black alike, and others
FEW = 10  # predictions of a bin, whose accuracy says little
COUNTED, NAMED = (
  20,
  50,
)  # classes of a confusion matrix up to which its cells have counts and its axes names
SIDE = 10.0  # inches of a matrix of more classes
IN_MAP = 20  # classes whose names have room in a scatter plot


def confusion_matrix(counts, classes, *, heading, confused=()):
  """Counts of true (rows) and predicted (columns) classes, coloured by their share of the row.

  Up to 20 classes the cells have their counts. Of more the figure stays of one size and lists the
  most frequent confusions at its right; above 50 classes its axes have the numbers of the classes
  instead of their names.

  Args:
    counts: [K, K] int.
    classes: K names.
    heading: str.
    confused: (true class, predicted class, count) of the confusions to list, the most frequent
      first.

  Returns:
    matplotlib Figure.
  """
  from matplotlib.colors import PowerNorm
  from matplotlib.figure import Figure

  shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
  names = [short(name) for name in classes]
  many = len(names) > COUNTED
  side = SIDE if many else max(4.2, 0.52 * len(names) + 1.6)
  figure = Figure(figsize=(side + (5 if many else 0.8), side), layout='constrained', dpi=100)
  if many:
    axis, beside = figure.subplots(1, 2, width_ratios=(3, 1))
    _list_confusions(beside, names, confused)
  else:
    axis = figure.subplots()
  drawn = axis.imshow(
    shares, cmap='cividis', norm=PowerNorm(0.5, 0, 1)
  )  # so that a few mistakes are seen
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
          color='black' if shares[row, column] > 0.3 else 'white',
        )
  numbered = '' if len(names) <= NAMED else ', by its number'
  axis.set(xlabel=f'predicted class{numbered}', ylabel=f'true class{numbered}')
  figure.colorbar(drawn, ax=axis, label='share of the true class', shrink=0.8)
  figure.suptitle(heading, fontsize=11)
  return figure


def _list_confusions(axis, names, confused):
  """Writes confusions (true class, predicted class, count) into an axis, a line each."""
  axis.axis('off')
  if len(names) > NAMED:
    names = [f'{number} {name}' for number, name in enumerate(names)]
  lines = [f'{count:,}  {names[true]} → {names[predicted]}' for true, predicted, count in confused]
  title = 'most frequent confusions:\ncount  true → predicted' if lines else 'no confusion'
  axis.text(0, 1, '\n'.join([title, '', *lines]), fontsize=8, va='top', transform=axis.transAxes)


def reliability(confidence, accuracy, count, *, heading):
  """Accuracy against confidence in bins, and how many predictions each bin holds.

  Args:
    confidence, accuracy: [bins], means; NaN for an empty bin.
    count: [bins] int.
    heading: str.

  Returns:
    matplotlib Figure.
  """
  from matplotlib.figure import Figure

  edges = np.linspace(0, 1, len(count) + 1)
  figure = Figure(figsize=(5, 5.2), layout='constrained', dpi=100)
  top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
  top.plot([0, 1], [0, 1], color='gray', linewidth=1, label='perfect calibration')
  for some, alpha, label in (
    (count >= FEW, 0.7, 'accuracy'),
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
  top.set(ylabel='accuracy', ylim=(0, 1), xlim=(0, 1))
  figure.legend(
    *top.get_legend_handles_labels(), frameon=False, fontsize=8, ncols=2, loc='outside lower center'
  )
  bottom.bar(edges[:-1], count, width=np.diff(edges), align='edge', color='gray', edgecolor='white')
  bottom.set(
    xlabel='confidence (probability of the predicted class)', ylabel='predictions', yscale='symlog'
  )
  powers = len(str(count.max(initial=0))) - 1
  bottom.set_yticks(
    [0, *(10**power for power in range(powers or 1, 0, -(powers // 4 + 1)))]
  )  # at most five, none on another
  bottom.yaxis.set_major_formatter('{x:,.0f}')
  figure.suptitle(heading, fontsize=11)
  return figure


def scatter(points, labels, classes, *, heading, note=None, axes=('', '')):
  """Points in two dimensions, coloured by class, the class's name at its median.

  Of more than 20 classes, the 20 of the most points are named; colours repeat after 12 classes.

  Args:
    points: [N, 2].
    labels: [N] int.
    classes: K names.
    heading: str.
    note: str below, such as how far the picture can be trusted.
    axes: what stands beside the horizontal and the vertical axis.

  Returns:
    matplotlib Figure.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.5, 6.6), layout='constrained', dpi=100)
  axis, size = figure.subplots(), min(max(4000 / len(points), 6), 24)
  order = np.argsort(labels, kind='stable')  # later classes over earlier ones
  colours = [CLASSES[label % len(CLASSES)] for label in labels[order]]
  axis.scatter(*points[order].T, s=size, c=colours, alpha=0.7, linewidths=0)
  present, counts = np.unique(labels, return_counts=True)
  for label in np.sort(present[np.argsort(-counts, kind='stable')[:IN_MAP]]):
    axis.text(
      *np.median(points[labels == label], axis=0),
      short(classes[label]),
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
    figure.supxlabel(
      textwrap.fill(note, 88), fontsize=8
    )  # as many letters as a line of this width has
  return figure


def bars(series, names, *, xlabel, ylabel, heading):
  """Bars of several series beside each other.

  Args:
    series: label → [N] heights.
    names: N texts below them.
    xlabel, ylabel, heading: str.

  Returns:
    matplotlib Figure.
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
  axis.legend(frameon=False, fontsize=8)
  figure.suptitle(heading, fontsize=11)
  return figure


def lines(series, *, xlabel, ylabel, heading, markers=False):
  """Lines over one axis.

  Args:
    series: label → (x [S], y [S]).
    xlabel, ylabel, heading: str.
    markers: bool, a mark at every point.

  Returns:
    matplotlib Figure.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.5, 4), layout='constrained', dpi=100)
  axis = figure.subplots()
  for number, ((label, (x, y)), colour) in enumerate(
    zip(series.items(), COLOURS * len(series), strict=False)
  ):
    below = markers * (
      len(series) - 1 - number
    )  # the wider a line, so that those are seen that lie under equal ones
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
    axis.xaxis.get_major_locator().set_params(integer=True)
  axis.set(xlabel=xlabel, ylabel=ylabel)
  axis.grid(alpha=0.3)
  if len(series) > 1:
    figure.legend(loc='outside lower center', ncols=2, frameon=False, fontsize=8)
  figure.suptitle(heading, fontsize=11)
  return figure
