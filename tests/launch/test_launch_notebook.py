"""launch/colab_tpu.ipynb: its structure, how it finds the code, and a complete run."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from helpers import AS_USERS, ROOT
from IPython.core.inputtransformer2 import TransformerManager

FILE = ROOT / 'launch/colab_tpu.ipynb'
CELLS = {cell.id: cell for cell in nbformat.read(FILE, as_version=4).cells}
CODE = {name: cell for name, cell in CELLS.items() if cell.cell_type == 'code'}


def test_notebook_is_valid_and_has_no_outputs():
  notebook = nbformat.read(FILE, as_version=4)
  nbformat.validate(notebook)
  assert notebook.metadata.accelerator == 'TPU'
  assert all(cell.outputs == [] and cell.execution_count is None for cell in CODE.values())
  assert CODE['repository'].source.startswith("REPOSITORY = ''  # SET THIS")
  assert '://' not in FILE.read_text()  # no address is invented


@pytest.mark.parametrize('name', CODE)
def test_notebook_cells_compile(name):
  source = CODE[name].source
  if source.startswith('%%bash\n'):
    subprocess.run(['bash', '-n'], input=source.partition('\n')[2], text=True, check=True)
  else:
    compile(TransformerManager().transform_cell(source), name, 'exec')


@pytest.fixture
def checkout(monkeypatch):
  """Returns a function that runs the cell that looks for the code in a folder; it returns what the
  cell found.
  """

  def found(folder, repository=''):
    monkeypatch.chdir(folder)
    names = {'REPOSITORY': repository}
    exec(CODE['source'].source, names)
    return names['SOURCE']

  return found


@pytest.fixture
def small_checkout(tmp_path):
  """A folder with only the files that identify a checkout."""
  folder = tmp_path / 'a checkout'
  (folder / 'jaxdl').mkdir(parents=True)
  (folder / 'jaxdl/main.py').touch()
  (folder / 'configs').mkdir()
  (folder / 'configs/a.py').touch()
  return folder


def test_notebook_finds_the_surrounding_checkout(checkout, small_checkout):
  (small_checkout / 'launch').mkdir()
  assert checkout(small_checkout / 'launch') == checkout(small_checkout) == small_checkout


@pytest.mark.parametrize('inside', ['', 'jaxdl-main/'])
def test_notebook_unpacks_an_archive(checkout, small_checkout, tmp_path, inside):
  place = tmp_path / 'elsewhere'
  (place / 'packing').mkdir(parents=True)
  shutil.copytree(small_checkout, place / 'packing' / inside, dirs_exist_ok=True)
  shutil.make_archive(str(place / 'jaxdl'), 'zip', place / 'packing')
  shutil.rmtree(place / 'packing')
  assert (checkout(place) / 'configs/a.py').is_file()
  assert checkout(place) == place / 'jaxdl_source' / inside  # also the second time


@pytest.mark.skipif(shutil.which('git') is None, reason='git is not installed')
def test_notebook_clones_the_repository(checkout, small_checkout, tmp_path):
  git = ['git', '-C', small_checkout, '-c', 'user.name=a', '-c', 'user.email=a@b']
  for arguments in (['init', '--quiet'], ['add', '.'], ['commit', '--quiet', '--message=all']):
    subprocess.run([*git, *arguments], check=True)
  (tmp_path / 'elsewhere').mkdir()
  assert (
    checkout(tmp_path / 'elsewhere', repository=f'file://{small_checkout}') / 'configs/a.py'
  ).is_file()


def test_notebook_error_without_code_names_the_fix(checkout, tmp_path):
  with pytest.raises(FileNotFoundError, match='upload one, or set REPOSITORY'):
    checkout(tmp_path)


@pytest.mark.slow
def test_notebook_runs_unchanged(tmp_path):
  """On a CPU outside Colab: 50 steps, TensorBoard, every analysis, and the report in the
  notebook.
  """
  (tmp_path / 'launch').mkdir()
  shutil.copy(FILE, tmp_path / 'launch')
  for folder in ('jaxdl', 'configs'):
    (tmp_path / folder).symlink_to(ROOT / folder)
  subprocess.run(
    [
      sys.executable,
      '-m',
      'nbconvert',
      '--to=notebook',
      '--execute',
      '--output=done',
      'launch/colab_tpu.ipynb',
    ],
    cwd=tmp_path,
    check=True,
    timeout=900,
    env={**os.environ, **AS_USERS, 'PYTHONPATH': str(ROOT)},
  )
  run = tmp_path / 'launch/runs/lstm_mnist'
  summary = json.loads((run / 'summary.json').read_text())
  assert (summary['step'], summary['stopped']) == (50, None)
  assert summary['test_accuracy'] > 0.4
  assert (run / 'analysis/confusion.png').is_file()
  assert (run / 'analysis/samples.png').read_bytes().startswith(b'\x89PNG')
  done = {
    cell.id: cell for cell in nbformat.read(tmp_path / 'launch/done.ipynb', as_version=4).cells
  }
  assert 'tensorboard-frame' in str(done['tensorboard'].outputs)
  shown = ''.join(output.text for output in done['train'].outputs if output.name == 'stdout')
  assert '81,674 parameters: 81,674 trainable, 0 not' in shown
  assert re.search(
    r'step 50 of 50  train loss .*validation loss .*test loss .*examples/s, 0:00:00 left', shown
  )
  assert re.search(r'^  validation loss \d\.\d+, saved$', shown, re.MULTILINE)
  assert json.loads(shown.splitlines()[-1]).items() <= summary.items()
  (page,) = done['report'].outputs
  assert 'lstm_mnist' in page['data']['text/html']
  assert (
    f'logdir {run.parent}'
    not in subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True).stdout
  )
