"""Relations between numbers: coloured tables of changes, and two numbers against each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from jaxdl.figures.charts import CLASSES
from jaxdl.figures.fitting import short
from jaxdl.figures.output import ON_BRIGHT, ON_DARK
from jaxdl.figures.rows import SIGNED

if TYPE_CHECKING:
  import matplotlib.figure

NAMED = 50  # most columns whose names have room below a table
COUNTED = 20  # most columns of a table whose cells have numbers
DARK = 0.6  # share of the greatest magnitude above which a cell is dark
IN_LEGEND = 12  # groups with a colour of their own


def signed_table(
  values: Float[np.ndarray, 'R C'],
  rows: Sequence[str],
  columns: Sequence[str],
  *,
  heading: str,
  xlabel: str,
  ylabel: str,
  unit: str,
) -> 'matplotlib.figure.Figure':
  """A table of signed numbers as colours: red above 0, blue below 0, white at 0.

  Args:
    values: the numbers; NaN is left blank.
    rows: names of the rows.
    columns: names of the columns; with more than 50, their numbers are shown.
    heading: heading of the figure.
    xlabel, ylabel: what the columns and the rows are.
    unit: label of the colours.

  Returns:
    The figure.

  Raises:
    ValueError: the names do not fit the numbers, or there are none.
  """
  from matplotlib.figure import Figure

  if not values.size or values.shape != (len(rows), len(columns)):
    raise ValueError(
      f'values of shape {values.shape} with {len(rows)} rows and {len(columns)} columns: give one '
      'name for each row and column, and at least one of both'
    )
  width = 0.46 if len(columns) <= COUNTED else 0.2 if len(columns) <= NAMED else 0.09
  figure = Figure(
    figsize=(max(5.4, width * len(columns) + 2.6), 0.24 * len(rows) + 1.9),
    layout='constrained',
    dpi=100,
  )
  axis = figure.subplots()
  known = np.abs(values[np.isfinite(values)])
  limit = float(known.max(initial=0)) or 1.0
  drawn = axis.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit, aspect='auto')
  axis.set_yticks(range(len(rows)), [short(name) for name in rows], fontsize=8)
  if len(columns) <= NAMED:
    names = [short(name) for name in columns]
    turned = {'rotation': 45, 'ha': 'right'} if max(map(len, names)) > 3 else {}
    axis.set_xticks(range(len(columns)), names, fontsize=8, **turned)
  if len(columns) <= COUNTED:
    for (row, column), value in np.ndenumerate(values):
      if np.isfinite(value) and value:
        colour = ON_DARK if abs(value) > DARK * limit else ON_BRIGHT
        text = f'{value:+.2g}'
        axis.text(column, row, text, ha='center', va='center', fontsize=7, color=colour)
  axis.set(xlabel=xlabel, ylabel=ylabel)
  figure.colorbar(drawn, ax=axis, label=unit)
  figure.suptitle(heading, fontsize=11)
  return figure


def relation(
  points: Float[np.ndarray, 'N 2'],
  groups: Int[np.ndarray, ' N'],
  names: Sequence[str],
  *,
  heading: str,
  xlabel: str,
  ylabel: str,
  marked: Sequence[tuple[int, str]] = (),
) -> 'matplotlib.figure.Figure':
  """Two numbers of each of N things against each other, on axes with numbers.

  Args:
    points: the two numbers.
    groups: group of each point, by which it is coloured.
    names: names of the groups; the 12 largest groups are named in the legend, the others are grey.
    heading: heading of the figure.
    xlabel, ylabel: labels of the axes.
    marked: (point, text next to it) of single points.

  Returns:
    The figure.

  Raises:
    ValueError: there are no points.
  """
  from matplotlib.figure import Figure

  if len(points) == 0:
    raise ValueError('there are no points to draw: give at least one')
  figure = Figure(figsize=(6.2, 4.4), layout='constrained', dpi=100)
  axis = figure.subplots()
  axis.axhline(0, color='0.6', linewidth=0.8)
  present, counts = np.unique(groups, return_counts=True)
  largest = np.sort(present[np.argsort(-counts, kind='stable')[:IN_LEGEND]])
  others = ~np.isin(groups, largest)
  if others.any():
    axis.scatter(*points[others].T, s=22, color='0.7', linewidths=0, label='others')
  for group, colour in zip(largest, CLASSES, strict=False):
    label = short(names[int(group)])
    axis.scatter(*points[groups == group].T, s=22, color=colour, linewidths=0, label=label)
  for number, text in marked:
    axis.annotate(
      text, points[number], xytext=(4, 3), textcoords='offset points', fontsize=7, parse_math=False
    )
  axis.set(xlabel=xlabel, ylabel=ylabel)
  axis.grid(alpha=0.3)
  if len(present) > 1:
    axis.legend(loc='center left', bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
  figure.suptitle(heading, fontsize=11)
  return figure
