"""Residual plots of regressions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxdl.figures.curves import COLOURS
from jaxdl.figures.fitting import short

if TYPE_CHECKING:
  import matplotlib.figure

TARGETS = 6  # most targets of a figure
POINTS = 5000  # most examples of a plot
BINS = 40


def residual_plots(
  values: Float[np.ndarray, 'N D'],
  predicted: Float[np.ndarray, 'N D'],
  names: Sequence[str],
  *,
  heading: str,
) -> 'matplotlib.figure.Figure':
  """Predicted against true values, residuals against predicted values, and their distribution.

  A row shows a target; there are rows for the first 6. Of more than 5,000 examples, points show
  5,000 at equal distances.

  Args:
    values: true values.
    predicted: predicted values.
    names: D names.
    heading: heading of the figure.

  Returns:
    The figure.
  """
  from matplotlib.figure import Figure

  count = min(len(names), TARGETS)
  some = np.unique(np.linspace(0, len(values) - 1, min(len(values), POINTS)).astype(int))
  if len(some) < len(values):
    heading += f'\npoints: {len(some):,} of the {len(values):,} examples'
  if count < len(names):
    heading += f'\nthe first {count} of {len(names):,} targets'
  figure = Figure(figsize=(11, 3.4 * count + 0.5), layout='constrained', dpi=100)
  rows = figure.subplots(count, 3, squeeze=False)
  size = min(max(4000 / len(some), 4), 20)
  for target, (against, left, spread) in enumerate(rows):
    name, true, found = short(names[target]), values[:, target], predicted[:, target]
    rest = found - true
    dots = {'s': size, 'alpha': 0.5, 'linewidths': 0, 'color': COLOURS[0]}
    ends = [min(true.min(), found.min()), max(true.max(), found.max())]
    against.plot(ends, ends, color='gray', linewidth=1)
    against.scatter(true[some], found[some], **dots)
    against.set(xlabel=f'true {name}', ylabel=f'predicted {name}')
    left.axhline(0, color='gray', linewidth=1)
    left.scatter(found[some], rest[some], **dots)
    left.set(xlabel=f'predicted {name}', ylabel='residual (predicted − true)')
    spread.hist(rest, bins=BINS, color=COLOURS[0])
    spread.axvline(0, color='gray', linewidth=1)
    spread.set(xlabel='residual (predicted − true)', ylabel='examples')
  figure.suptitle(heading, fontsize=11)
  return figure
