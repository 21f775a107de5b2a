"""Text whose characters are coloured by a number each, and plain tables."""

import numpy as np

from jaxdl.figures.fitting import short

WIDTH = 90  # characters in a line, at most
NARROWEST = 55  # which leaves room for the heading
ROWS = 80  # of a table, at most


def coloured_text(text, values, *, heading, label):
  """A text, each character on a ground coloured by its value.

  Args:
    text: str.
    values: [characters]; values of both signs are drawn with 0 in the middle.
    heading: str.
    label: str, of the colour scale.

  Returns:
    matplotlib Figure.

  Raises:
    ValueError: not one value a character, or no character.
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
      colour = scale.to_rgba(values[place])
      axis.add_patch(_box(column, row, colour))
      dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 0.5
      axis.text(
        column + 0.5,
        row + 0.55,
        '↵' if text[place] == '\n' else text[place],
        fontsize=8,
        ha='center',
        va='center',
        family='monospace',
        color='white' if dark else 'black',
        parse_math=False,
      )
  figure.colorbar(scale, ax=axis, label=label, shrink=0.9, pad=0.01)
  figure.suptitle(heading, fontsize=11)
  return figure


def _wrapped(text):
  """Places of the characters of each line: a line ends after its newline, or at WIDTH."""
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


def table(rows, columns, *, heading):
  """A table of numbers and words.

  Args:
    rows: list of lists of str.
    columns: titles.
    heading: str.

  Returns:
    matplotlib Figure.
  """
  from matplotlib.figure import Figure

  if len(rows) > ROWS:
    heading = f'{heading}\nthe first and the last {ROWS // 2} of {len(rows):,} rows'
    rows = [*rows[: ROWS // 2], *rows[-ROWS // 2 :]]
  rows = [[short(cell) for cell in row] for row in rows]
  widths = [
    max(len(str(row[column])) for row in (columns, *rows)) + 2 for column in range(len(columns))
  ]
  figure = Figure(
    figsize=(max(4.0, sum(widths) * 0.085), 0.27 * (len(rows) + 1) + 0.6),
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
