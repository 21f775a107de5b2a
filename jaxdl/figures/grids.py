"""Grids of images."""

import math


def image_grid(images, titles, *, columns=8, heading=None):
  """A grid of images, each with its title.

  Args:
    images: [N, H, W, C] uint8, or float 0..1; C is 1 or 3.
    titles: N strings, such as class names.
    columns: int, images in a row.
    heading: str above the grid.

  Returns:
    matplotlib Figure.

  Raises:
    ValueError: no images, or another number of titles.
  """
  from matplotlib.figure import Figure
  if len(images) == 0 or len(images) != len(titles):
    raise ValueError(f'{len(images)} images and {len(titles)} titles: give at least one image, and a title each')
  rows = math.ceil(len(images) / columns)
  size = min(9, 110 / max(map(len, titles)))  # points; the longest title just fits over its image
  figure = Figure(figsize=(columns * 1.05, rows * 1.25 + (0.4 if heading else 0)), layout='constrained', dpi=100)
  axes = figure.subplots(rows, columns, squeeze=False).ravel()
  for axis in axes:
    axis.axis('off')
  for axis, image, title in zip(axes, images, titles, strict=False):
    axis.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap='gray', interpolation='nearest')
    axis.set_title(title, fontsize=size)
  if heading:
    figure.suptitle(heading, fontsize=11)
  return figure
