"""A small panel for every tensor of a network: its distribution, and how that moves during
training.
"""

import contextlib
import itertools
import math

from jaxdl.figures.curves import COLOURS
from jaxdl.figures.fitting import short

ALPHA = 0.2  # of one band
WORDS = 40  # characters of a title
MOST = 60  # panels of a figure


def distributions(panels, *, heading, xlabel, ylabel='count', columns=4):
  """A panel for each tensor, in which the distributions of several runs lie over each other.

  Args:
    panels: title → run → (counts [bins], edges [bins + 1]).
    heading, xlabel, ylabel: str.
    columns: int, panels in a row.

  Returns:
    matplotlib Figure.

  Raises:
    ValueError: no panel.
  """
  names = dict.fromkeys(run for runs in panels.values() for run in runs)
  colours = dict(zip(names, itertools.cycle(COLOURS), strict=False))
  dashes = dict(
    zip(names, itertools.cycle(('-', '--', ':')), strict=False)
  )  # equal ones show through each other
  panels, heading = _at_most(panels, heading)
  drawn = {}
  with _grid(panels, columns, heading, xlabel, ylabel) as (figure, axes):
    for axis, runs in zip(axes, panels.values(), strict=True):
      for run, (counts, edges) in runs.items():
        drawn[run] = axis.stairs(
          counts, edges, fill=len(names) == 1, color=colours[run], alpha=0.8, linestyle=dashes[run]
        )
      axis.locator_params(axis='y', integer=True)
    if len(names) > 1:
      figure.legend(
        drawn.values(),
        drawn.keys(),
        loc='outside lower center',
        ncols=len(names),
        fontsize=8,
        frameon=False,
      )
  return figure


def bands(panels, *, heading, xlabel, ylabel, parts, columns=4):
  """A panel for each tensor, in which nested bands say how its numbers spread at each step, about
  the line of their median.

  Args:
    panels: title → (steps [S], quantiles [S, 2 n + 1] from the least to the greatest number).
    heading, xlabel, ylabel: str.
    parts: n names of the bands, the outermost first.
    columns: int, panels in a row.

  Returns:
    matplotlib Figure.

  Raises:
    ValueError: no panel.
  """
  from matplotlib.patches import Patch

  panels, heading = _at_most(panels, heading)
  with _grid(panels, columns, heading, xlabel, ylabel) as (figure, axes):
    for axis, (steps, quantiles) in zip(axes, panels.values(), strict=True):
      for place in range(len(parts)):
        axis.fill_between(
          steps,
          quantiles[:, place],
          quantiles[:, -1 - place],
          color=COLOURS[0],
          linewidth=0,
          alpha=ALPHA,
        )
      (line,) = axis.plot(
        steps, quantiles[:, len(parts)], color=COLOURS[1], linewidth=1, label='median'
      )
      axis.margins(x=0)
    seen = [
      Patch(
        color=COLOURS[0], linewidth=0, alpha=1 - (1 - ALPHA) ** (place + 1), label=part
      )  # over those further out
      for place, part in enumerate(parts)
    ]
    figure.legend(
      handles=[*seen, line],
      loc='outside lower center',
      ncols=len(parts) + 1,
      fontsize=8,
      frameon=False,
    )
  return figure


def _at_most(panels, heading):
  """(the panels, the first and the last ones where there are too many; the heading, which then says
  so).
  """
  if len(panels) <= MOST:
    return panels, heading
  titles = list(panels)
  kept = [*titles[: MOST // 2], *titles[-MOST // 2 :]]
  return {
    title: panels[title] for title in kept
  }, f'{heading}: the first and the last {MOST // 2} of {len(panels):,}'


@contextlib.contextmanager
def _grid(panels, columns, heading, xlabel, ylabel):
  """Yields (matplotlib Figure, an axis with its title for each panel), in rows."""
  from matplotlib.figure import Figure

  if not panels:
    raise ValueError('there is no distribution to draw: give at least one tensor')
  count = math.ceil(len(panels) / columns)
  columns = math.ceil(len(panels) / count)  # so that few places stay empty
  figure = Figure(figsize=(3 * columns, 2.1 * count + 0.9), layout='constrained', dpi=100)
  axes = figure.subplots(count, columns, squeeze=False).ravel()
  for axis in axes[len(panels) :]:
    axis.axis('off')
  for axis, title in zip(axes, panels, strict=False):
    axis.set_title(short(title, WORDS), fontsize=9)
    axis.tick_params(labelsize=7)
  yield figure, axes[: len(panels)]
  for axis in axes[: len(panels)]:
    axis.locator_params(axis='x', nbins=4)
  for axis in axes[: len(panels)][-columns:]:  # of each column the last
    axis.set_xlabel(xlabel, fontsize=8)
  figure.supylabel(ylabel, fontsize=9)
  figure.suptitle(heading, fontsize=11)
