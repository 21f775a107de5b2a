"""The figures that the repository keeps are those of today's configs and of the README's table."""

import json
import re

import pytest
from helpers import ROOT

from jaxdl.config import reading
from launch.reproduction import kept, reproduce, results_table, run_folders

FOLDERS = sorted(kept.FOLDER.glob('*/seed*'))
NAMES = sorted({folder.parent.name for folder in FOLDERS})


def config_of(name):
  return reading.to_dict(reading.read_file(ROOT / f'configs/{name}.py'))


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda path: f'{path.parent.name}-{path.name}')
def test_kept_run_is_a_finished_run_of_its_config(folder):
  assert reproduce.is_finished(folder, config_of(folder.parent.name))
  assert json.loads((folder / 'config.json').read_text())['seed'] == int(folder.name[4:])
  assert re.fullmatch(r'\d{4}-\d\d-\d\d\n', (folder / kept.DATE).read_text())
  texts = [file.read_text() for file in folder.iterdir()]
  assert not any(re.search(r'"/|/tmp|/home|/work', text) for text in texts)


@pytest.mark.parametrize('name', NAMES)
def test_row_of_the_readme_is_that_of_the_kept_runs(name, tmp_path):
  configs = {name: config_of(name)}
  groups = run_folders.read_groups(tmp_path, configs, kept.FOLDER)
  expected = results_table.table(groups, configs)
  readme = (ROOT / 'README.md').read_text()

  def cells(table):
    """The cells of the row without the numbers of footnotes."""
    row = re.search(rf'^\| `{name}` \|.*$', table, re.MULTILINE)[0]
    return re.sub(f' {results_table.MARK}', '', row)

  assert cells(readme) == cells(expected)
