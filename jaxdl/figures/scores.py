"""A table of scores in colours: methods by metrics."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxdl.figures.output import ON_BRIGHT, ON_DARK

if TYPE_CHECKING:
  import matplotlib.figure

WIDTH, HEIGHT = 0.86, 0.4  # inches of a cell
WRAPPED = 12  # letters in a line of the title of a column
PLAIN = '#ececec'  # a column without a best value


def score_table(
  means: Float[np.ndarray, 'M K'],
  intervals: Float[np.ndarray, 'M K'] | None,
  rows: Sequence[str],
  columns: Sequence[str],
  better: Sequence[int],
  *,
  heading: str,
) -> 'matplotlib.figure.Figure':
  """Means of M methods by K metrics; the cells of a column are darker the better they are.

  Args:
    means: the scores; NaN for an empty cell.
    intervals: half the width of the interval of each mean, below it; NaN or None for none.
    rows: M names.
    columns: K names.
    better: of each column, 1 if more is better, −1 if less is better, 0 for neither.
    heading: heading of the figure.

  Returns:
    The figure.
  """
  import matplotlib
  from matplotlib.figure import Figure
  from matplotlib.patches import Rectangle

  scale = matplotlib.colormaps['viridis_r']
  names = max(map(len, rows)) * 0.07 + 0.2
  size = (names + WIDTH * len(columns) + 0.2, HEIGHT * len(rows) + 1.7)
  figure = Figure(figsize=size, layout='constrained', dpi=100)
  axis = figure.subplots()
  axis.set(xlim=(-names / WIDTH, len(columns)), ylim=(len(rows), -1.9))
  axis.axis('off')
  for column, (name, sign) in enumerate(zip(columns, better, strict=True)):
    arrow = {1: '↑', -1: '↓'}.get(sign, '')
    words = textwrap.wrap(name, WRAPPED, break_long_words=False, break_on_hyphens=False)
    title = '\n'.join([*words, arrow])
    axis.text(column + 0.5, -0.15, title, ha='center', va='bottom', fontsize=7.5)
    shades = _shades(means[:, column], sign)
    for row, (mean, shade) in enumerate(zip(means[:, column], shades, strict=True)):
      if np.isnan(mean):
        axis.text(column + 0.5, row + 0.5, '–', ha='center', va='center', fontsize=8)
        continue
      colour = PLAIN if sign == 0 else scale(0.85 * shade)
      axis.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor='white'))
      half = np.nan if intervals is None else intervals[row, column]
      text = number(mean) if np.isnan(half) else f'{number(mean)}\n± {number(half)}'
      dark = sign != 0 and shade > 0.5
      axis.text(
        column + 0.5,
        row + 0.5,
        text,
        ha='center',
        va='center',
        fontsize=7,
        color=ON_DARK if dark else ON_BRIGHT,
      )
  for row, name in enumerate(rows):
    axis.text(-0.1, row + 0.5, name, ha='right', va='center', fontsize=8)
  figure.suptitle(heading, fontsize=10)
  return figure


def _shades(values: Float[np.ndarray, ' M'], sign: int) -> Float[np.ndarray, ' M']:
  """Shade of each number from 0, the worst, to 1, the best: its rank; equal numbers share it."""
  signed = np.where(np.isnan(values), np.nan, values * sign)
  known = np.unique(signed[~np.isnan(signed)])
  if len(known) < 2:
    return np.full(len(values), 1.0)
  return np.searchsorted(known, np.nan_to_num(signed, nan=known[0])) / (len(known) - 1)


def number(value: float) -> str:
  """A score in few letters: three digits, such as 0.987, 12.3 or 1.2e-07."""
  if value != 0 and abs(value) < 5e-4:
    return f'{value:.0e}'
  if abs(value) >= 1000:
    return f'{value:.1e}'
  return f'{value:.3g}' if abs(value) >= 10 else f'{value:.3f}'
