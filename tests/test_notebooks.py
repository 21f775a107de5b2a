"""The notebooks of the gallery: each is executed completely in a folder of its own."""

import os
import re
import shutil
import sys

import nbformat
import pytest
from helpers import AS_USERS, ROOT
from nbconvert.preprocessors import ExecutePreprocessor

FOLDER = ROOT / 'docs/gallery'
NOTEBOOKS = sorted(path.name for path in FOLDER.glob('*.ipynb'))


@pytest.fixture
def executed(tmp_path, monkeypatch):
  """Returns a function (name of a notebook) that executes it; it returns id of a cell → its text."""

  def run(name):
    for file in FOLDER.glob('*.keras'):
      shutil.copy(file, tmp_path)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('XLA_FLAGS', AS_USERS['XLA_FLAGS'])
    monkeypatch.setenv('PATH', f'{os.path.dirname(sys.executable)}{os.pathsep}{os.environ["PATH"]}')
    notebook = nbformat.read(FOLDER / name, as_version=4)
    resources = {'metadata': {'path': str(tmp_path)}}
    ExecutePreprocessor(timeout=600, kernel_name='python3').preprocess(notebook, resources)
    return {
      cell.id: ''.join(output.get('text', '') for output in cell.outputs)
      for cell in notebook.cells
      if cell.cell_type == 'code'
    }

  return run


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_notebook_has_no_outputs(name):
  notebook = nbformat.read(FOLDER / name, as_version=4)
  nbformat.validate(notebook)
  code = [cell for cell in notebook.cells if cell.cell_type == 'code']
  assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
  assert f'({name})' in (FOLDER / 'index.md').read_text(encoding='utf-8')


@pytest.mark.slow
def test_notebook_of_the_first_lesson(executed, tmp_path):
  """The figures agree with what the questions and answers say."""
  texts = executed('first_lesson.ipynb')
  assert float(re.findall(r'^test accuracy ([\d.]+) %', texts['train'], re.M)[-1]) > 95
  losses = re.findall(r'^learning rate \S+: validation loss ([\d.]+)', texts['rate'], re.M)
  slow, usual = map(float, losses)
  assert slow > 1.5 > 0.6 > usual
  assert texts['sums'].count('filter ') == 8
  assert texts['mistakes'].count(' taken for ') == 5
  assert 0 < float(re.search(r'error ([\d.]+) %', texts['calibration'])[1]) < 5
  assert 'true class 7' in texts['cover']
  assert (tmp_path / 'runs/quick/report.html').is_file()


@pytest.mark.slow
def test_notebook_trains_an_own_network_on_own_images(executed, tmp_path):
  texts = executed('own_images.ipynb')
  assert 'photos/digit 7/0007.png digit 7 ' in texts['use']
  assert float(texts['use'].partition("'test_accuracy': ")[2].partition(',')[0]) > 0.9
  assert (tmp_path / 'runs/digits/analysis/embedding_tsne.png').is_file()


@pytest.mark.slow
def test_notebook_classifies_time_series(executed):
  texts = executed('time_series.ipynb')
  assert float(texts['train'].rpartition('test accuracy ')[2].partition(' ')[0]) > 90
  assert texts['predict'].count('\n') == 6


@pytest.mark.slow
def test_notebook_opens_a_keras_network(executed, tmp_path):
  texts = executed('keras_network.ipynb')
  assert 'test accuracy 98.44 %' in texts['summary']  # the figure that Keras printed
  assert (tmp_path / 'runs/keras_mnist/analysis/attributions.png').is_file()
