"""Runs of earlier formats, in tests/golden: they can still be read and resumed.

`digits.py` in each folder is the config of its runs.
"""

import json
import shutil

import numpy as np
import pytest
from helpers import ROOT, last_json

from jaxdl import analyze, main, runs, status
from jaxdl.config.reading import read_file
from jaxdl.report import page
from jaxdl.runs import checkpoint, format
from jaxdl.terminal import command
from jaxdl.training import experiment, loop

GOLDEN = ROOT / 'tests/golden/format_1'


@pytest.fixture
def folder(tmp_path):
  """A copy of the golden runs, which tests may change."""
  return shutil.copytree(GOLDEN, tmp_path / 'golden')


def test_golden_runs_show_their_status(folder, capsys):
  assert command.run(status.main, ['status', str(folder)]) == 0
  finished, stopped = last_json(capsys.readouterr().out)
  assert (finished['state'], finished['step'], finished['steps']) == ('finished', 8, 8)
  assert (stopped['state'], stopped['step'], stopped['checkpoint']) == ('stopped', 6, 6)


def test_golden_run_loads_with_its_model(folder):
  run = runs.load(folder / 'finished')
  assert format.number(run.config) == 1
  assert run.config['task'] == {'name': 'classify'}
  assert 'format' not in json.loads((folder / 'finished/config.json').read_text())
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


def test_golden_run_resumes_where_it_stopped(folder, capsys):
  """Its format stays 1, so it keeps its original schedule."""
  code = command.run(
    main.main, ['main', f'--config={folder / "digits.py"}', f'--workdir={folder / "stopped"}']
  )
  assert code == 0
  shown = capsys.readouterr().out
  assert f'resuming {folder / "stopped"} at step 6 of 8' in shown
  assert last_json(shown)['stopped'] is None
  run = runs.load(folder / 'stopped')
  assert (run.finished, run.step) == (True, 8)
  assert format.number(run.config) == 1
  assert checkpoint.kept_steps(folder / 'stopped')[-1] == 8


def test_golden_finished_run_is_evaluated_again(folder):
  before = runs.load(folder / 'finished').summary
  after = loop.train(
    experiment.build(read_file(folder / 'digits.py'), 'digits'), folder / 'finished'
  )
  assert (after['step'], after['stopped']) == (before['step'], None)
  assert after['test_loss'] == pytest.approx(before['test_loss'], rel=1e-4)
