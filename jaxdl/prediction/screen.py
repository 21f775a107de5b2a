"""Tables in the terminal."""

from collections.abc import Collection, Sequence

ROWS = 20  # maximum number of printed rows, without --all
LONGEST = 44  # maximum number of characters of a file name


def lines(
  columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()
) -> list[str]:
  """Formats a table with aligned columns.

  Args:
    columns: titles.
    rows: cells of each row.
    numbers: indices of the right-aligned columns.

  Returns:
    The lines of the table.
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
  """Returns a printable file name. Long names are truncated at the beginning."""
  name = name.encode(errors='backslashreplace').decode().replace('\n', '\\n')
  return name if len(name) <= LONGEST else f'…{name[1 - LONGEST :]}'
