"""Tables on the screen."""

from collections.abc import Collection, Sequence

ROWS = 20  # rows of a table, unless all are wanted
LONGEST = 44  # characters of a file's name


def lines(
  columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()
) -> list[str]:
  """The lines of a table with aligned columns.

  Args:
    columns: titles.
    rows: cells of each row.
    numbers: the columns that are aligned on the right.
  """
  cells = [list(columns), *map(list, rows)]
  widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
  return [
    '  '.join(
      cell.rjust(width) if column in numbers else cell.ljust(width)
      for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
    for row in cells
  ]


def short(name: str) -> str:
  """A file's name as it can be printed, without the beginning of a long one."""
  name = name.encode(errors='backslashreplace').decode().replace('\n', '\\n')
  return name if len(name) <= LONGEST else f'…{name[1 - LONGEST :]}'
