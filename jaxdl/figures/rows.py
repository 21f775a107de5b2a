"""Tables of small pictures, such as images and their maps, and large pictures made of tiles."""

import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Float, Num, UInt8

from jaxdl.figures.fitting import aspect, short, tile_height, visible

if TYPE_CHECKING:
  import matplotlib.figure

# Colour maps that are almost perceptually uniform and suitable for colour-blind readers.
SIGNED, UNSIGNED = 'RdBu_r', 'viridis'
WORDS = 20  # most characters of a caption below a picture
NARROW = 3.2  # inches: a heading is wrapped to the width of the pictures, or to this width


def picture_rows(
  rows: Sequence[Sequence[Any]],
  columns: Sequence[str],
  *,
  labels: Sequence[str] | None = None,
  heading: str | None = None,
  signed: Collection[int] = (),
  empty: str = '',
  size: float = 1.15,
  captions: Sequence[Sequence[str]] | None = None,
) -> 'matplotlib.figure.Figure':
  """A table of small pictures.

  Args:
    rows: rows of arrays. Images are [H, W, C] from 0 to 1 and drawn as in `visible`; maps are
      [H, W], transparent where they are NaN; None leaves a position empty.
    columns: titles of the columns; '' for no title.
    labels: texts on the left of the rows.
    heading: text above the table, wrapped if it is wider than the pictures.
    signed: numbers of the columns whose maps have both signs. Each map is drawn with 0 in the
      middle of its scale.
    empty: text in the place of a map of zeros; '' draws the map.
    size: width of a picture in inches.
    captions: a text of one line below each picture, in rows like `rows`; '' for none.

  Returns:
    The figure.

  Raises:
    ValueError: there is no row or no picture, or a row is not as long as the titles.
  """
  from matplotlib.figure import Figure

  pictures = _pictures(rows, columns)
  columns = [short(title) for title in columns]
  labels = [short(label) for label in labels or ()]
  gap, line = 0.06, 0.14  # inches, between pictures and from a line of text to the next
  left = gap
  if labels:
    left += 0.075 * max(len(part) for label in labels for part in label.split('\n'))
  top = 2 * gap + max(1 + title.count('\n') if title else 0 for title in columns) * line
  table_width = left + len(columns) * (size + gap)
  letters = round(max(table_width, NARROW) / 0.085)
  heading = '\n'.join(textwrap.fill(part, letters) for part in (heading or '').split('\n'))
  if heading:
    top += 0.2 * (1 + heading.count('\n')) + gap
  width = max(table_width, 0.085 * max(map(len, heading.split('\n'))))
  left += (width - table_width) / 2
  tall = size * tile_height([np.shape(picture) for picture in pictures])
  each = tall + gap + (line if captions else 0)  # height of a row
  height = top + len(rows) * each
  # Positions are given, because a layout of hundreds of axes would take seconds.
  figure = Figure(figsize=(width, height), dpi=100)
  for number, row in enumerate(rows):
    for column, picture in enumerate(row):
      axis = figure.add_axes(
        (
          (left + column * (size + gap)) / width,
          1 - (top + number * each + tall) / height,
          size / width,
          tall / height,
        )
      )
      _fill(axis, picture, signed=column in signed, empty=empty)
      if captions:
        axis.set_xlabel(short(captions[number][column], WORDS), fontsize=7.5, labelpad=2)
      if number == 0 and columns[column]:
        name = columns[column].replace('\n', ' ')
        axis.set_title(columns[column], fontsize=8, gid=f'column-{name}')
      if labels and column == 0:
        axis.set_ylabel(labels[number], fontsize=8, rotation=0, ha='right', va='center')
  if heading:
    figure.suptitle(heading, fontsize=11, y=1 - gap / height, va='top')
  return figure


def _fill(axis, picture, *, signed, empty):
  """Draws a picture into its axis, or the text `empty` in the place of a map of zeros."""
  axis.set(xticks=[], yticks=[])
  for side in axis.spines.values():
    side.set_linewidth(0.4)
  if picture is None:
    axis.axis('off')
  elif empty and np.ndim(picture) == 2 and not np.any(picture):
    axis.text(0.5, 0.5, empty, fontsize=8, ha='center', va='center', transform=axis.transAxes)
  else:
    _draw(axis, np.asarray(picture), signed=signed)


def _pictures(rows, columns):
  """All pictures of a table; raises ValueError if it is empty or its rows differ in length."""
  pictures = [picture for row in rows for picture in row if picture is not None]
  if not pictures or any(len(row) != len(columns) for row in rows):
    raise ValueError(
      f'{len(rows)} rows of {sorted({len(row) for row in rows})} pictures under {len(columns)} '
      'titles: give at least one row, each as long as the titles'
    )
  return pictures


def _draw(axis, picture, *, signed):
  form = {'interpolation': 'nearest', 'aspect': aspect(picture.shape)}
  if picture.ndim == 3:
    picture = visible(picture)
    picture = picture.squeeze(-1) if picture.shape[-1] == 1 else picture
    axis.imshow(picture, cmap='gray', vmin=0, vmax=1, **form)
  elif signed:
    limit = float(np.nanmax(np.abs(picture))) or 1.0  # a map of zeros is drawn white
    axis.imshow(picture, cmap=SIGNED, vmin=-limit, vmax=limit, **form)
  else:
    low, high = float(np.nanmin(picture)), float(np.nanmax(picture))
    axis.imshow(picture, cmap=UNSIGNED, vmin=low, vmax=high if high > low else low + 1, **form)


def coloured(values: Num[np.ndarray, 'H W'], *, signed: bool) -> UInt8[np.ndarray, 'H W 3']:
  """The pixels of a map in the colours of `picture_rows`, one for each of its values.

  Args:
    values: the map.
    signed: whether it has both signs; 0 is then in the middle of its scale.

  Returns:
    Red, green and blue, from 0 to 255.
  """
  from matplotlib import colormaps

  low, high = float(values.min()), float(values.max())
  if signed:
    high = max(abs(low), abs(high))
    low = -high
  scaled = (values - low) / (high - low) if high > low else np.full(values.shape, 0.5 * signed)
  colours = colormaps[SIGNED if signed else UNSIGNED](scaled)[..., :3]
  return np.rint(255 * colours).astype(np.uint8)


def tiles(
  picture: Float[np.ndarray | Array, 'H W C'], *, heading: str, note: str | None = None
) -> 'matplotlib.figure.Figure':
  """One large picture made of tiles, such as a grid of filters.

  Args:
    picture: from 0 to 1, with NaN in the gaps between the tiles (transparent); C is 1 or 3.
    heading: heading of the figure.
    note: text below the picture, such as the scale of the tiles.

  Returns:
    The figure.
  """
  from matplotlib.figure import Figure

  height, width = picture.shape[:2]
  scale = 5.5 / max(height, width)
  figure_height = height * scale + 0.35  # inches, with the heading
  if note:
    figure_height += 0.25
  figure = Figure(figsize=(max(width * scale, 3.5), figure_height), layout='constrained', dpi=100)
  axis = figure.subplots()
  axis.axis('off')
  colours = np.broadcast_to(np.nan_to_num(picture), (height, width, 3))
  shown = np.isfinite(picture).all(-1, keepdims=True)
  axis.imshow(np.concatenate([colours, shown], -1), interpolation='nearest')
  figure.suptitle(heading, fontsize=11)
  if note:
    figure.supxlabel(note, fontsize=8)
  return figure
