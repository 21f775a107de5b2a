"""Tables of numbers as colours, and surfaces over a plane as contours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxdl.figures.fitting import short
from jaxdl.figures.output import ON_BRIGHT, ON_DARK

if TYPE_CHECKING:
  import matplotlib.figure

WRITTEN = 14  # rows and columns up to which the cells of a table show their numbers


def heatmap(
  values: Float[np.ndarray, 'R C'],
  rows: Sequence[str],
  columns: Sequence[str],
  *,
  heading: str,
  label: str,
  axes: Sequence[str] = ('', ''),
  limits: tuple[float, float] = (0.0, 1.0),
) -> 'matplotlib.figure.Figure':
  """A table of numbers as colours; up to 14 rows and columns, with the numbers.

  Args:
    values: numbers; NaN for none.
    rows: R names.
    columns: C names.
    heading: heading of the figure.
    label: name of the numbers.
    axes: labels of the horizontal and the vertical axis.
    limits: numbers of the darkest and the brightest colour.

  Returns:
    The figure.
  """
  from matplotlib.figure import Figure

  rows, columns = ([short(name) for name in names] for names in (rows, columns))
  margin = 0.085 * max(map(len, rows)) + 1.4
  width = max(5.0, 0.52 * len(columns) + margin)
  height = 0.42 * len(rows) + 0.06 * max(map(len, columns)) + 1.3
  figure = Figure(figsize=(width, height), layout='constrained', dpi=100)
  axis = figure.subplots()
  drawn = axis.imshow(values, cmap='cividis', vmin=limits[0], vmax=limits[1], aspect='auto')
  axis.set_xticks(range(len(columns)), columns, fontsize=8, rotation=45, ha='right')
  axis.set_yticks(range(len(rows)), rows, fontsize=8)
  axis.set(xlabel=axes[0], ylabel=axes[1])
  if max(values.shape) <= WRITTEN:
    bright = np.mean(limits)
    for (row, column), value in np.ndenumerate(values):
      text, colour = f'{value:.2f}', ON_BRIGHT if value > bright else ON_DARK
      if np.isnan(value):
        text, colour = '–', 'gray'
      axis.text(column, row, text, ha='center', va='center', fontsize=7, color=colour)
  figure.colorbar(drawn, ax=axis, label=label, shrink=0.8)
  figure.suptitle(heading, fontsize=11)
  return figure


def contours(
  positions: Float[np.ndarray, 'P'],
  values: Float[np.ndarray, 'P P'],
  *,
  heading: str,
  label: str,
  axes: Sequence[str],
) -> 'matplotlib.figure.Figure':
  """A surface over a square as contours, with a mark in the middle.

  Args:
    positions: coordinates along both axes.
    values: heights, above 0; the first axis is vertical. The colours are on a logarithmic scale.
    heading: heading of the figure.
    label: name of the heights.
    axes: labels of the horizontal and the vertical axis.

  Returns:
    The figure.
  """
  from matplotlib.colors import LogNorm
  from matplotlib.figure import Figure
  from matplotlib.ticker import LogLocator

  figure = Figure(figsize=(5.6, 4.8), layout='constrained', dpi=100)
  axis = figure.subplots()
  values = np.maximum(values, 1e-12)
  low, high = float(np.nanmin(values)), float(np.nanmax(values))
  levels = np.geomspace(low, max(high, low * 1.01), 16)
  drawn = axis.contourf(
    positions, positions, values, levels=levels, norm=LogNorm(levels[0], levels[-1]), cmap='cividis'
  )
  axis.contour(positions, positions, values, levels=levels, colors='white', linewidths=0.4)
  axis.plot(0, 0, marker='+', color='#D55E00', markersize=10)
  axis.set(xlabel=axes[0], ylabel=axes[1], aspect='equal')
  figure.colorbar(drawn, ax=axis, label=label, ticks=LogLocator(subs=(1, 2, 5)), format='%.2g')
  figure.suptitle(heading, fontsize=11)
  return figure
