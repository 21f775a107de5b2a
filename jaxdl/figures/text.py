"""Text with characters coloured by numbers, and plain tables."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Num

from jaxdl.figures.fitting import short
from jaxdl.figures.output import ON_BRIGHT, ON_DARK

if TYPE_CHECKING:
  import matplotlib.figure

WIDTH = 90  # most characters in a line
NARROWEST = 55  # characters: leaves room for the heading
ROWS = 80  # most rows of a table
NARROWEST_ROWS = 5.5  # inches: a narrower figure would wrap its heading often


def coloured_text(
  text: str, values: Num[np.ndarray, ' N'] | Sequence[float], *, heading: str, label: str
) -> 'matplotlib.figure.Figure':
  """A text in which the background of each character is coloured by its value.

  Args:
    text: the characters.
    values: value of each character; if they have both signs, 0 is in the middle of the scale.
    heading: heading of the figure.
    label: label of the colour scale.

  Returns:
    The figure.

  Raises:
    ValueError: there is no character, or another number of values.
  """
  from matplotlib import cm, colors
  from matplotlib.figure import Figure

  if len(text) != len(values) or not text:
    raise ValueError(
      f'{len(text)} characters and {len(values)} values: give one value each, and at least one'
    )
  lines = _wrapped(text)
  limit = float(np.abs(values).max()) or 1.0
  norm = colors.Normalize(-limit if np.min(values) < 0 else 0, limit)
  scale = cm.ScalarMappable(norm, 'RdBu_r' if np.min(values) < 0 else 'viridis')
  columns = max(NARROWEST, *map(len, lines))
  figure = Figure(
    figsize=(0.103 * columns + 1.2, 0.24 * len(lines) + 1.1), layout='constrained', dpi=100
  )
  axis = figure.subplots()
  axis.set(xlim=(0, columns), ylim=(len(lines), 0))
  axis.axis('off')
  for row, places in enumerate(lines):
    for column, place in enumerate(places):
      _character(axis, column, row, text[place], scale.to_rgba(values[place]))
  figure.colorbar(scale, ax=axis, label=label, shrink=0.9, pad=0.01)
  figure.suptitle(heading, fontsize=11)
  return figure


def text_rows(
  blocks: Sequence[tuple[str, str, Mapping[str, Num[np.ndarray, '_']]]],
  *,
  signed: Collection[str],
  notes: Mapping[str, str],
  heading: str,
) -> 'matplotlib.figure.Figure':
  """Texts, each of which is repeated in several colourings with a label at the left.

  Args:
    blocks: (title, text, label → value of each character) of each text. Each row is drawn on its
      own scale.
    signed: labels of the rows whose values have both signs, with 0 in the middle of the scale.
    notes: label → text at the right of the row, in the first block.
    heading: heading of the figure, wrapped to its width.

  Returns:
    The figure.

  Raises:
    ValueError: there is no text, or a row has another number of values.
  """
  from matplotlib.figure import Figure

  if not blocks or any(
    len(values) != len(text) for _, text, of in blocks for values in of.values()
  ):
    raise ValueError('give at least one text, and one value for each of its characters')
  columns = max(len(text) for _, text, _ in blocks)
  left = 1 + 0.75 * max(len(label) for _, _, of in blocks for label in of)
  right = 1 + 0.75 * max((len(note) for note in notes.values()), default=0)
  lines = sum(len(of) + 1.6 for _, _, of in blocks)
  width = max(0.103 * (left + columns + right), NARROWEST_ROWS)  # inches
  heading = '\n'.join(textwrap.fill(part, round(width / 0.085)) for part in heading.split('\n'))
  height = 0.22 * lines + 0.2 * (2 + heading.count('\n'))
  figure = Figure(figsize=(width, height), layout='constrained', dpi=100)
  axis = figure.subplots()
  axis.set(xlim=(-left, columns + right), ylim=(lines, 0))
  axis.axis('off')
  row = 0.0
  for number, (title, text, rows) in enumerate(blocks):
    axis.text(0, row + 0.9, title, fontsize=8, va='center', parse_math=False)
    row += 1.5
    for label, values in rows.items():
      axis.text(-0.7, row + 0.5, label, fontsize=8, ha='right', va='center', parse_math=False)
      if number == 0 and label in notes:
        axis.text(columns + 0.7, row + 0.5, notes[label], fontsize=8, va='center')
      _coloured_row(axis, row, text, np.asarray(values), signed=label in signed)
      row += 1
    row += 0.1
  figure.suptitle(heading, fontsize=11)
  return figure


def _coloured_row(axis, row, text, values, *, signed):
  from matplotlib import cm, colors

  limit = float(np.abs(values).max()) or 1.0
  norm = colors.Normalize(-limit if signed else float(values.min()), limit)
  scale = cm.ScalarMappable(norm, 'RdBu_r' if signed else 'viridis')
  for column, (character, value) in enumerate(zip(text, values, strict=True)):
    _character(axis, column, row, character, scale.to_rgba(value))


def _character(axis, column, row, character, colour):
  """A character on a coloured box."""
  axis.add_patch(_box(column, row, colour))
  dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 0.5
  axis.text(
    column + 0.5,
    row + 0.55,
    '↵' if character == '\n' else character,
    fontsize=8,
    ha='center',
    va='center',
    family='monospace',
    color=ON_DARK if dark else ON_BRIGHT,
    parse_math=False,
  )


def _wrapped(text):
  """The positions of the characters of each line; a line ends after a newline, or at WIDTH."""
  lines, line = [], []
  for place, character in enumerate(text):
    line.append(place)
    if character == '\n' or len(line) == WIDTH:
      lines.append(line)
      line = []
  return [*lines, line] if line else lines


def _box(column, row, colour):
  from matplotlib.patches import Rectangle

  return Rectangle((column, row), 1, 1, facecolor=colour, linewidth=0)


def table(
  rows: Sequence[Sequence[str]], columns: Sequence[str], *, heading: str
) -> 'matplotlib.figure.Figure':
  """A table of texts.

  Args:
    rows: texts of the cells.
    columns: titles of the columns.
    heading: heading of the figure.

  Returns:
    The figure.
  """
  from matplotlib.figure import Figure

  if len(rows) > ROWS:
    heading = f'{heading}\nthe first and the last {ROWS // 2} of {len(rows):,} rows'
    rows = [*rows[: ROWS // 2], *rows[-ROWS // 2 :]]
  rows = [[short(cell) for cell in row] for row in rows]
  columns = [short(column) for column in columns]
  longest = max(map(len, heading.split('\n')))
  widths = [
    max(len(str(row[column])) for row in (columns, *rows)) + 2 for column in range(len(columns))
  ]
  figure = Figure(
    figsize=(max(4.0, sum(widths) * 0.085, longest * 0.085), 0.27 * (len(rows) + 1) + 0.6),
    layout='constrained',
    dpi=100,
  )
  axis = figure.subplots()
  axis.axis('off')
  drawn = axis.table(
    cellText=rows,
    colLabels=columns,
    loc='center',
    cellLoc='right',
    colWidths=[width / sum(widths) for width in widths],
  )
  drawn.auto_set_font_size(False)
  drawn.set_fontsize(8)
  drawn.scale(1, 1.25)
  for (row, column), cell in drawn.get_celld().items():
    cell.set_linewidth(0.3)
    cell.get_text().set_parse_math(False)
    if row == 0:
      cell.set_text_props(weight='bold')
    if column == 0:
      cell.set_text_props(ha='left')
  figure.suptitle(heading, fontsize=11)
  return figure
