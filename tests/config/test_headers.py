"""The docstring of every config: the command, the reported figure, our figure and what was chosen.

Everything else that was measured is in docs/results.md.
"""

import ast
import re

import pytest
from helpers import ROOT

from jaxdl.config import reading
from launch.reproduction import results_table, wording

CONFIGS = sorted(ROOT.glob('configs/*.py'))
RESULTS = (ROOT / 'docs/results.md').read_text()
NUMBER = r'\d[\d.,]*\d|\d'


def header(file):
  """'Reported', 'Ours' and 'Chosen' → the rest of their line; all lines of the docstring."""
  lines = ast.get_docstring(ast.parse(file.read_text())).splitlines()
  return dict(re.findall(r'^(\w+): (.+)$', '\n'.join(lines), re.MULTILINE)), lines


def same(text, figure):
  """Whether a text has a figure, rounded to the digits of the text."""
  found = [number.replace(',', '') for number in re.findall(NUMBER, text)]
  return any(
    number == f'{figure:.{len(number.partition(".")[2])}f}' for number in found if number != '0'
  )


@pytest.mark.parametrize('file', CONFIGS, ids=lambda file: file.stem)
def test_header_has_its_four_parts(file):
  parts, lines = header(file)
  assert lines[0].endswith('.')
  assert lines[2].startswith(f'    python -m jaxdl.main --config=configs/{file.name}')
  assert list(parts) == ['Reported', 'Ours', 'Chosen']
  assert all(text.endswith('.') for text in parts.values()), 'each part is one line'
  assert len(lines) <= 11
  assert lines[-1] == 'Measurements and discussion: docs/results.md.'
  assert f'`{file.stem}`' in RESULTS


@pytest.mark.parametrize('file', CONFIGS, ids=lambda file: file.stem)
def test_header_has_the_reported_figure_of_its_config(file):
  parts, _ = header(file)
  found = reading.to_dict(reading.read_file(file)).get('reported', {})
  assert found.get('source', 'no figure') in parts['Reported']
  if 'test_accuracy' in found:
    expected = wording.reported('test_accuracy', found['test_accuracy'])
    assert expected in parts['Reported']
    assert expected in RESULTS


@pytest.mark.parametrize('file', CONFIGS, ids=lambda file: file.stem)
def test_header_has_our_figure_of_the_table_and_the_results(file):
  ours = header(file)[0]['Ours']
  readme = (ROOT / 'README.md').read_text()
  table = readme[readme.index(results_table.BEGIN) : readme.index(results_table.END)]
  row = re.search(rf'^\| `{file.stem}` \| [^|]* \| ([\d.]+)', table, re.MULTILINE)
  if row:
    assert same(ours, float(row[1])), row[0]
  first = re.search(NUMBER, ours)
  assert first is None or first[0] in RESULTS


def test_same_compares_the_digits_of_the_text():
  assert same('2.181 bits (seed 0).', 2.1806)
  assert same('13 % of 100', 13.0)
  assert not same('2.181 bits (seed 0).', 2.1816)
  assert not same('12 % of 100', 13.0)
