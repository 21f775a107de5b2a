"""Rows of pictures: what a network sees and makes of each of several images."""

import numpy as np

SIGNED, UNSIGNED = 'RdBu_r', 'viridis'  # both perceptually uniform enough, and for colour-blind readers too


def picture_rows(rows, columns, *, labels=None, heading=None, signed=(), size=1.15):
  """A table of small pictures.

  Args:
    rows: list of lists of arrays, [H, W, 1 or 3] in 0..1 for photographs, [H, W] for maps; None leaves a place empty.
    columns: titles of the columns, '' for none.
    labels: a text left of each row, None for none.
    heading: str above all.
    signed: columns (numbers) whose maps have both signs: each is drawn with 0 in the middle of its scale.
    size: inches of a picture.

  Returns:
    matplotlib Figure.

  Raises:
    ValueError: no row, or rows of different lengths.
  """
  from matplotlib.figure import Figure
  if not rows or any(len(row) != len(columns) for row in rows):
    raise ValueError(f'{len(rows)} rows of {sorted({len(row) for row in rows})} pictures under {len(columns)} titles: '
                     'give at least one row, each as long as the titles')
  width = len(columns) * size + (1.3 if labels else 0)
  figure = Figure(figsize=(width, len(rows) * size * 1.05 + (0.75 if heading else 0.35)), layout='constrained', dpi=100)
  figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
  axes = figure.subplots(len(rows), len(columns), squeeze=False)
  for number, row in enumerate(rows):
    for column, picture in enumerate(row):
      axis = axes[number][column]
      axis.set(xticks=[], yticks=[])
      for side in axis.spines.values():
        side.set_linewidth(0.4)
      if picture is None:
        axis.axis('off')
      else:
        _draw(axis, np.asarray(picture), signed=column in signed)
      if number == 0 and columns[column]:
        axis.set_title(columns[column], fontsize=8)
    if labels:
      axes[number][0].set_ylabel(labels[number], fontsize=8, rotation=0, ha='right', va='center')
  if heading:
    figure.suptitle(heading, fontsize=11)
  return figure


def _draw(axis, picture, *, signed):
  if picture.ndim == 3:
    picture = picture.squeeze(-1) if picture.shape[-1] == 1 else picture
    axis.imshow(picture, cmap='gray', vmin=0, vmax=1, interpolation='nearest')
  elif signed:
    limit = float(np.abs(picture).max()) or 1.0  # a map of zeros is drawn white
    axis.imshow(picture, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation='nearest')
  else:
    low, high = float(picture.min()), float(picture.max())
    axis.imshow(picture, cmap=UNSIGNED, vmin=low, vmax=high if high > low else low + 1, interpolation='nearest')


def tiles(picture, *, heading, note=None):
  """One large picture made of tiles, such as a grid of filters.

  Args:
    picture: [H, W, 1 or 3] in 0..1.
    heading: str.
    note: str below, such as how the tiles are scaled.

  Returns:
    matplotlib Figure.
  """
  from matplotlib.figure import Figure
  height, width = picture.shape[:2]
  scale = 5.5 / max(height, width)
  figure = Figure(figsize=(max(width * scale, 3.5), height * scale + 0.9), layout='constrained', dpi=100)
  axis = figure.subplots()
  axis.axis('off')
  axis.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap='gray', vmin=0, vmax=1, interpolation='nearest')
  figure.suptitle(heading, fontsize=11)
  if note:
    figure.supxlabel(note, fontsize=8)
  return figure
