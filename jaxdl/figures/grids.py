"""Grids of images."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Array, Num

from jaxdl.figures.fitting import aspect, short, visible

if TYPE_CHECKING:
  import matplotlib.figure

WORDS = 40  # characters of a line of a title
WIDTH = 9.6  # inches, of a grid whose titles are long


def image_grid(
  images: Num[np.ndarray | Array, 'N H W C'],
  titles: Sequence[str],
  *,
  columns: int = 8,
  heading: str | None = None,
) -> 'matplotlib.figure.Figure':
  """A grid of images, each with its title.

  Args:
    images: uint8, or float from 0 to 1; their channels are drawn as in `visible`.
    titles: N strings, such as class names.
    columns: most images in a row; there are fewer if titles are long.
    heading: text above the grid.

  Returns:
    The figure.

  Raises:
    ValueError: there are no images, or another number of titles.
  """
  from matplotlib.figure import Figure

  if len(images) == 0 or len(images) != len(titles):
    raise ValueError(
      f'{len(images)} images and {len(titles)} titles: give at least one image, and a title each'
    )
  titles = [short(title, WORDS) for title in titles]
  lines = [line for title in titles for line in title.splitlines()]
  longest, high = max(map(len, lines), default=0), max(title.count('\n') for title in titles) + 1
  # Points: the longest line just fits above its image. If it is longer, images are further apart.
  size = min(9, max(7, 110 / max(longest, 1)))
  width = max(1.05, longest * size * 0.6 / 72)
  columns = min(columns, max(1, int(WIDTH / width)))
  rows = math.ceil(len(images) / columns)
  figure = Figure(
    figsize=(
      columns * width,
      rows * (min(width, 1.4) + high * size * 1.3 / 72) + (0.4 if heading else 0),
    ),
    layout='constrained',
    dpi=100,
  )
  axes = figure.subplots(rows, columns, squeeze=False).ravel()
  for axis in axes:
    axis.axis('off')
  for axis, image, title in zip(axes, images, titles, strict=False):
    image = visible(image)
    axis.imshow(
      image.squeeze(-1) if image.shape[-1] == 1 else image,
      cmap='gray',
      interpolation='nearest',
      aspect=aspect(image.shape),
    )
    axis.set_title(title, fontsize=size)
  if heading:
    figure.suptitle(heading, fontsize=11)
  return figure
