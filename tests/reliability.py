"""Writes the table of docs/reliability.md.

Each row is written by its test in `pytest -n0 -m slow --record`.
"""

import datetime
import pathlib
import re

PAGE = pathlib.Path(__file__).parents[1] / 'docs/reliability.md'
TABLE = re.compile(r'(?<=<!-- reliability -->\n).*?(?=<!-- /reliability -->)', re.DOTALL)
HEAD = '| what | tried | as promised | measured |\n|---|---:|---:|---|\n'


def with_row(text, what, tried, kept):
  """Returns the page with a new or replaced row; the other rows are unchanged.

  Args:
    text: the page, with the two marks around the table.
    what: name of the row.
    tried: number of cases.
    kept: number of cases with the promised outcome.
  """
  rows = {line.split('|')[1].strip(): line for line in TABLE.search(text)[0].splitlines()[2:]}
  rows[what] = f'| {what} | {tried:,} | {kept:,} | {datetime.date.today()} |'
  table = HEAD + '\n'.join(rows[name] for name in sorted(rows)) + '\n'
  return TABLE.sub(lambda match: table, text)


def record(what, tried, kept):
  """Writes a row to the page."""
  PAGE.write_text(with_row(PAGE.read_text(), what, tried, kept))
