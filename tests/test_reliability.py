"""The table of docs/reliability.md."""

from reliability import PAGE, TABLE, with_row


def test_reliability_replaces_one_row_of_the_table():
  text = 'before\n<!-- reliability -->\n<!-- /reliability -->\nafter\n'
  text = with_row(with_row(text, 'kills', 3, 2), 'bits flipped', 2000, 2000)
  again = with_row(text, 'kills', 30, 30)
  rows = TABLE.search(again)[0].splitlines()
  assert rows[2].startswith('| bits flipped | 2,000 | 2,000 | 20')
  assert rows[3].startswith('| kills | 30 | 30 | 20')
  assert len(rows) == 4
  assert again.startswith('before\n<!-- reliability -->\n| what |')
  assert again.endswith('<!-- /reliability -->\nafter\n')


def test_reliability_readme_table_has_no_failures():
  rows = [line.split('|') for line in TABLE.search(PAGE.read_text())[0].splitlines()[2:]]
  assert rows
  for _, what, tried, kept, *_ in rows:
    assert tried == kept, what
