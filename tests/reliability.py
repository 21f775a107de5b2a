"""Writes the tables of docs/reliability.md.

A row of `COUNTS` is written by its test in `pytest -n0 -m slow --record`, a row of `VERSIONS` by
`python tests/versions.py --record`. This module needs only the standard library.
"""

import dataclasses
import datetime
import pathlib
import re

PAGE = pathlib.Path(__file__).parents[1] / 'docs/reliability.md'


@dataclasses.dataclass(frozen=True)
class Table:
  """A table between two marks of the page.

  Attributes:
    mark: name of the marks, `<!-- mark -->` and `<!-- /mark -->`.
    columns: name of each column → alignment, such as '---:'.
    keys: number of leading columns that identify a row.
  """

  mark: str
  columns: dict[str, str]
  keys: int = 1

  def rows(self, text):
    """Returns the rows of the table in a page, each a list of its cells."""
    lines = self._pattern().search(text)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines]

  def with_row(self, text, *cells):
    """Returns the page with a new or replaced row; the other rows are unchanged.

    Args:
      text: the page, with the two marks around the table.
      *cells: value of each column; integers are written with thousands separators.
    """
    cells = [f'{cell:,}' if isinstance(cell, int) else str(cell) for cell in cells]
    rows = {tuple(row[: self.keys]): row for row in [*self.rows(text), cells]}
    lines = [list(self.columns), *(rows[key] for key in sorted(rows))]
    lines = [f'| {" | ".join(line)} |' for line in lines]
    lines.insert(1, f'|{"|".join(self.columns.values())}|')
    return self._pattern().sub(lambda match: '\n'.join([*lines, '']), text)

  def record(self, *cells):
    """Writes a row, with the date of today in its last column, to the page."""
    text = self.with_row(PAGE.read_text(encoding='utf-8'), *cells, datetime.date.today())
    PAGE.write_text(text, encoding='utf-8', newline='\n')

  def _pattern(self):
    return re.compile(rf'(?<=<!-- {self.mark} -->\n).*?(?=<!-- /{self.mark} -->)', re.DOTALL)


COUNTS = Table(
  'reliability', {'what': '---', 'tried': '---:', 'as promised': '---:', 'measured': '---'}
)
VERSIONS = Table(
  'versions',
  {
    'Python': '---',
    'libraries': '---',
    'system': '---',
    'jax': '---',
    'jaxlib': '---',
    'flax': '---',
    'orbax': '---',
    'TensorFlow': '---',
    'passed': '---:',
    'failed': '---:',
    'skipped': '---:',
    'minutes': '---:',
    'device': '---',
    'measured': '---',
  },
  keys=3,
)
