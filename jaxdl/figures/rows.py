"""Rows of pictures: what a network sees and makes of each of several images."""

import textwrap

import numpy as np

from jaxdl.figures.fitting import aspect, short, tile_height, visible

SIGNED, UNSIGNED = (
  'RdBu_r',
  'viridis',
)  # both perceptually uniform enough, and for colour-blind readers too
GAPS = (0.55, 0.72, 0.9)  # between tiles: light blue, as few of them are
NARROW = 3.2  # inches: a heading is broken to the width of the pictures, or to this one


def picture_rows(rows, columns, *, labels=None, heading=None, signed=(), size=1.15):
  """A table of small pictures.

  Args:
    rows: list of lists of arrays, [H, W, C] in 0..1 for photographs (drawn as `visible` says),
      [H, W] for maps; None leaves a place empty.
    columns: titles of the columns, '' for none.
    labels: a text left of each row, None for none.
    heading: str above all, broken where it is wider than the pictures.
    signed: columns (numbers) whose maps have both signs: each is drawn with 0 in the middle of its
      scale.
    size: inches, width of a picture.

  Returns:
    matplotlib Figure.

  Raises:
    ValueError: no row, rows of different lengths, or no picture at all.
  """
  from matplotlib.figure import Figure

  if all(picture is None for row in rows for picture in row) or any(
    len(row) != len(columns) for row in rows
  ):
    raise ValueError(
      f'{len(rows)} rows of {sorted({len(row) for row in rows})} pictures under {len(columns)} titles: '
      'give at least one row, each as long as the titles'
    )
  columns = [short(title) for title in columns]
  labels = labels and [short(label) for label in labels]
  gap, line = 0.06, 0.14  # inches, between pictures and from a line of text to the next
  left = gap + (
    0.075 * max(len(part) for label in labels for part in label.split('\n')) if labels else 0
  )
  titles = max(1 + title.count('\n') if title else 0 for title in columns) * line
  pictures = left + len(columns) * (size + gap)
  heading = '\n'.join(
    textwrap.fill(part, round(max(pictures, NARROW) / 0.085))
    for part in (heading or '').split('\n')
  )
  top = 2 * gap + titles + (0.2 * (1 + heading.count('\n')) + gap if heading else 0)
  width = max(pictures, 0.085 * max(map(len, heading.split('\n'))))
  left += (width - pictures) / 2
  tall = size * tile_height(
    [np.shape(picture) for row in rows for picture in row if picture is not None]
  )
  height = top + len(rows) * (tall + gap)
  figure = Figure(
    figsize=(width, height), dpi=100
  )  # places are known: laying out hundreds of axes would take seconds
  for number, row in enumerate(rows):
    for column, picture in enumerate(row):
      axis = figure.add_axes(
        (
          (left + column * (size + gap)) / width,
          1 - (top + number * (tall + gap) + tall) / height,
          size / width,
          tall / height,
        )
      )
      axis.set(xticks=[], yticks=[])
      for side in axis.spines.values():
        side.set_linewidth(0.4)
      if picture is None:
        axis.axis('off')
      else:
        _draw(axis, np.asarray(picture), signed=column in signed)
      if number == 0 and columns[column]:
        axis.set_title(columns[column], fontsize=8)
      if labels and column == 0:
        axis.set_ylabel(labels[number], fontsize=8, rotation=0, ha='right', va='center')
  if heading:
    figure.suptitle(heading, fontsize=11, y=1 - gap / height, va='top')
  return figure


def _draw(axis, picture, *, signed):
  form = {'interpolation': 'nearest', 'aspect': aspect(picture.shape)}
  if picture.ndim == 3:
    picture = visible(picture)
    picture = picture.squeeze(-1) if picture.shape[-1] == 1 else picture
    axis.imshow(picture, cmap='gray', vmin=0, vmax=1, **form)
  elif signed:
    limit = float(np.abs(picture).max()) or 1.0  # a map of zeros is drawn white
    axis.imshow(picture, cmap=SIGNED, vmin=-limit, vmax=limit, **form)
  else:
    low, high = float(picture.min()), float(picture.max())
    axis.imshow(picture, cmap=UNSIGNED, vmin=low, vmax=high if high > low else low + 1, **form)


def tiles(picture, *, heading, note=None):
  """One large picture made of tiles, such as a grid of filters.

  Args:
    picture: [H, W, 1 or 3] in 0..1; the gaps between the tiles are not a number.
    heading: str.
    note: str below, such as how the tiles are scaled.

  Returns:
    matplotlib Figure.
  """
  from matplotlib.figure import Figure

  height, width = picture.shape[:2]
  scale = 5.5 / max(height, width)
  figure = Figure(
    figsize=(max(width * scale, 3.5), height * scale + 0.35 + 0.25 * bool(note)),
    layout='constrained',
    dpi=100,
  )
  axis = figure.subplots()
  axis.axis('off')
  axis.imshow(np.where(np.isnan(picture), GAPS, picture), interpolation='nearest')
  figure.suptitle(heading, fontsize=11)
  if note:
    figure.supxlabel(note, fontsize=8)
  return figure
