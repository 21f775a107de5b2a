"""Runs of every format, in tests/golden: they can still be read and resumed.

`digits.py` in each folder is the config of its runs, which `tests/golden/write.py` wrote with the
first version of the format. The reader of docs/run_format.md reads them, and the runs of this
version: a change of the files without a new number fails here.
"""

import json
import re
import shutil

import jax
import numpy as np
import pytest
from helpers import ROOT, last_json, state_of

import jaxdl
from jaxdl import analyze, main, runs, status
from jaxdl.config.reading import read_file
from jaxdl.report import page
from jaxdl.runs import checkpoint, format, integrity, packed
from jaxdl.terminal import command
from jaxdl.training import experiment, loop

GOLDEN = ROOT / 'tests/golden'
FORMATS = range(1, format.FORMAT + 1)
FOLDERS = [f'format_{number}/{name}' for number in FORMATS for name in ('finished', 'stopped')]
PAGE = (ROOT / 'docs/run_format.md').read_text()


@pytest.fixture(params=FORMATS)
def number(request):
  """The number of a format."""
  return request.param


@pytest.fixture
def folder(number, tmp_path):
  """A copy of the golden runs of a format, which tests may change."""
  return shutil.copytree(GOLDEN / f'format_{number}', tmp_path / 'golden')


@pytest.fixture(scope='module')
def read_run():
  """The function `read_run` of docs/run_format.md."""
  (code,) = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
  names = {}
  exec(compile(code, 'run_format.md', 'exec'), names)
  return names['read_run']


def by_path(tree):
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def test_golden_runs_are_kept_of_every_format():
  kept = {path.name for path in GOLDEN.iterdir() if path.is_dir() and path.name != '__pycache__'}
  assert kept == {
    *(f'format_{number}' for number in FORMATS),
    *(f'packed_{number}' for number in range(1, packed.FORMAT + 1)),
  }
  rows = re.findall(r'^\| (\d+) \|', PAGE, re.MULTILINE)
  assert rows == [str(number) for number in FORMATS], 'docs/run_format.md lacks a format'


@pytest.mark.parametrize('name', FOLDERS)
def test_golden_run_is_read_by_the_documented_reader(name, read_run):
  """The reader and jaxdl find the same arrays, scores and figures."""
  found, run = read_run(GOLDEN / name), runs.load(GOLDEN / name)
  assert found['journal'] == run.history
  assert found['summary'] == run.summary
  assert sorted(found['checkpoints']) == checkpoint.kept_steps(GOLDEN / name)
  for step in found['checkpoints']:
    ours = by_path(checkpoint.load_model(GOLDEN / name, step)[1])
    theirs = found['checkpoints'][step]['model']
    assert ours.keys() == theirs.keys()
    for path, array in ours.items():
      np.testing.assert_array_equal(array, theirs[path])


@pytest.mark.parametrize(
  'changes',
  [
    {},
    {'ema_decay': 0.9, 'plateau': dict(factor=0.5, patience='4 steps')},
    {'evaluate_every': '8 steps', 'checkpoint_every': '2 steps'},
  ],
  ids=['lstm', 'average', 'since_log'],
)
def test_golden_reader_reads_the_runs_of_this_version(changes, small, read_run, tmp_path):
  built = experiment.build({**small, **changes}, 'small')
  main.train(built, tmp_path / 'run')
  check_reading(built, tmp_path / 'run', read_run)


def test_golden_reader_reads_a_run_with_batch_normalisation(small_cnn, read_run, tmp_path):
  built = experiment.build(small_cnn, 'small')
  main.train(built, tmp_path / 'run')
  check_reading(built, tmp_path / 'run', read_run)


def check_reading(built, workdir, read_run):
  """Checks what the documented reader finds in a run of this version."""
  found = read_run(workdir)
  assert found['config']['format'] == format.FORMAT
  with np.load(workdir / 'examples.npz', allow_pickle=False) as kept:
    assert {'split', 'index', 'label'} <= set(kept)
    assert {'image', 'inputs'} & set(kept)
  assert json.loads((workdir / 'lock').read_text()).keys() == {'process', 'host', 'steps'}
  assert {line['split'] for line in found['journal']} == {'train', 'validation', 'test'}
  last = max(found['checkpoints'])
  state = state_of(built, workdir, last)
  assert last == built.steps
  expected = by_path({'opt_state': state.opt_state, 'rng': state.rng, 'step': state.step})
  for path, array in expected.items():
    np.testing.assert_array_equal(array, found['checkpoints'][last]['train'][path])
  for path, array in by_path(state.variables()).items():
    np.testing.assert_array_equal(array, found['checkpoints'][last]['model'][path])
  scores = {step: found['checkpoints'][step]['score'] for step in found['checkpoints']}
  measured = {step: score for step, score in scores.items() if score is not None}
  assert found['summary']['step'] == min(measured, key=measured.get)


def test_golden_packed_run_is_read(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  file = shutil.copy(GOLDEN / f'packed_{packed.FORMAT}/finished.zip', tmp_path)
  run = jaxdl.load(file)
  assert (run.finished, run.step) == (True, 8)
  manifest = json.loads((packed.opened(file) / packed.MANIFEST).read_text())
  assert manifest['format'] == packed.FORMAT
  for name, expected in manifest['files'].items():
    assert integrity.of_file(packed.opened(file) / name) == expected


def test_golden_runs_show_their_status(folder, capsys):
  assert command.run(status.main, ['status', str(folder)]) == 0
  finished, stopped = last_json(capsys.readouterr().out)
  assert (finished['state'], finished['step'], finished['steps']) == ('finished', 8, 8)
  assert (stopped['state'], stopped['step'], stopped['checkpoint']) == ('stopped', 6, 6)


def test_golden_run_loads_with_its_model(folder, number):
  run = runs.load(folder / 'finished')
  assert format.number(run.config) == number
  assert run.config['task'] == {'name': 'classify'}
  written = json.loads((folder / 'finished/config.json').read_text())
  assert written.get('format') == (None if number == 1 else number)
  built = experiment.build(read_file(folder / 'digits.py'), 'digits')
  split = built.data.splits['test']
  images = split.arrays['image'] / np.float32(255)
  correct = (run.model.apply(run.variables, images).argmax(-1) == split.arrays['label']).mean()
  assert float(correct) == pytest.approx(run.summary['test_accuracy'])


def test_golden_run_report_shows_the_accuracy(folder):
  page.write_report(folder / 'finished')
  html = (folder / 'finished/report.html').read_text()
  assert '16.00' in html  # test accuracy in per cent


def test_golden_run_is_analysed(folder):
  workdir = folder / 'finished'
  assert command.run(analyze.main, ['analyze', str(workdir), '--only=filters,errors']) == 0
  written = {file.name for file in (workdir / 'analysis').iterdir()}
  assert {'filters_raw.png', 'confusion.png'} <= written


def test_golden_run_resumes_where_it_stopped(folder, number, capsys):
  """Its format stays, so it keeps its original schedule."""
  code = command.run(
    main.main, ['main', f'--config={folder / "digits.py"}', f'--workdir={folder / "stopped"}']
  )
  assert code == 0
  shown = capsys.readouterr().out
  assert f'resuming {folder / "stopped"} at step 6 of 8' in shown
  assert last_json(shown)['stopped'] is None
  run = runs.load(folder / 'stopped')
  assert (run.finished, run.step) == (True, 8)
  assert format.number(run.config) == number
  assert checkpoint.kept_steps(folder / 'stopped')[-1] == 8


def test_golden_finished_run_is_evaluated_again(folder):
  before = runs.load(folder / 'finished').summary
  after = loop.train(
    experiment.build(read_file(folder / 'digits.py'), 'digits'), folder / 'finished'
  )
  assert (after['step'], after['stopped']) == (before['step'], None)
  assert after['test_loss'] == pytest.approx(before['test_loss'], rel=1e-4)
