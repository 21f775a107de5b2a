"""A small panel for every tensor of a network: its distribution, or its changes in training."""

import contextlib
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Num

from jaxdl.figures.curves import COLOURS
from jaxdl.figures.fitting import short

if TYPE_CHECKING:
  import matplotlib.figure

ALPHA = 0.2  # opacity of one band
WORDS = 40  # characters of a title
MOST = 60  # panels of a figure


def distributions(
  panels: Mapping[str, Mapping[str, tuple[Num[np.ndarray, ' _'], Num[np.ndarray, ' _']]]],
  *,
  heading: str,
  xlabel: str,
  ylabel: str = 'count',
  columns: int = 4,
) -> 'matplotlib.figure.Figure':
  """A panel for each tensor with the overlaid distributions of several runs.

  Args:
    panels: title → run → (counts [bins], edges [bins + 1]).
    heading: heading of the figure.
    xlabel, ylabel: labels of the axes.
    columns: panels in a row.

  Returns:
    The figure.

  Raises:
    ValueError: there are no panels.
  """
  names = dict.fromkeys(run for runs in panels.values() for run in runs)
  colours = dict(zip(names, itertools.cycle(COLOURS), strict=False))
  # Dashes, so that equal distributions are visible through each other.
  dashes = dict(zip(names, itertools.cycle(('-', '--', ':')), strict=False))
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


def bands(
  panels: Mapping[str, tuple[Num[np.ndarray, ' _'], Num[np.ndarray, '_ _']]],
  *,
  heading: str,
  xlabel: str,
  ylabel: str,
  parts: Sequence[str],
  columns: int = 4,
) -> 'matplotlib.figure.Figure':
  """A panel for each tensor with the median of its numbers over time, inside nested bands.

  Args:
    panels: title → (steps [S], quantiles [S, 2 n + 1] from the minimum to the maximum).
    heading: heading of the figure.
    xlabel, ylabel: labels of the axes.
    parts: n names of the bands, the outermost first.
    columns: panels in a row.

  Returns:
    The figure.

  Raises:
    ValueError: there are no panels.
  """
  from matplotlib.lines import Line2D
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
      axis.plot(steps, quantiles[:, len(parts)], color=COLOURS[1], linewidth=1)
      axis.margins(x=0)
    # The opacity of a band includes that of the bands outside it.
    handles: list = [
      Patch(color=COLOURS[0], linewidth=0, alpha=1 - (1 - ALPHA) ** (place + 1), label=part)
      for place, part in enumerate(parts)
    ]
    handles.append(Line2D([], [], color=COLOURS[1], linewidth=1, label='median'))
    figure.legend(
      handles=handles,
      loc='outside lower center',
      ncols=len(parts) + 1,
      fontsize=8,
      frameon=False,
    )
  return figure


def _at_most(panels, heading):
  """Returns (panels, heading): selects panels if there are too many, with a note in the heading."""
  if len(panels) <= MOST:
    return panels, heading
  titles = list(panels)
  kept = [*titles[: MOST // 2], *titles[-MOST // 2 :]]
  heading = f'{heading}: the first and the last {MOST // 2} of {len(panels):,}'
  return {title: panels[title] for title in kept}, heading


@contextlib.contextmanager
def _grid(panels, columns, heading, xlabel, ylabel):
  """Yields (figure, a list of axes with titles, one for each panel), in rows."""
  from matplotlib.figure import Figure

  if not panels:
    raise ValueError('there is no distribution to draw: give at least one tensor')
  count = math.ceil(len(panels) / columns)
  columns = math.ceil(len(panels) / count)  # so that few positions stay empty
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
  for axis in axes[: len(panels)][-columns:]:  # the last one of each column
    axis.set_xlabel(xlabel, fontsize=8)
  figure.supylabel(ylabel, fontsize=9)
  figure.suptitle(heading, fontsize=11)
