"""The table of docs/reliability.md: each row is written by the test that counted it, in `pytest -n0
-m slow --record`.
"""

import datetime
import pathlib
import re

PAGE = pathlib.Path(__file__).parents[1] / 'docs/reliability.md'
TABLE = re.compile(r'(?<=<!-- reliability -->\n).*?(?=<!-- /reliability -->)', re.DOTALL)
HEAD = '| what | tried | as promised | measured |\n|---|---:|---:|---|\n'


def with_row(text, what, tried, kept):
  """The page in which the row `what` says how many were tried and how many kept the promise; the
  other rows stay.

  Args:
    text: str with the two marks around the table.
    what: str, the row's name.
    tried, kept: int.
  """
  rows = {line.split('|')[1].strip(): line for line in TABLE.search(text)[0].splitlines()[2:]}
  rows[what] = f'| {what} | {tried:,} | {kept:,} | {datetime.date.today()} |'
  table = HEAD + '\n'.join(rows[name] for name in sorted(rows)) + '\n'
  return TABLE.sub(lambda match: table, text)


def record(what, tried, kept):
  """Writes a row into the page."""
  PAGE.write_text(with_row(PAGE.read_text(), what, tried, kept))
