"""Runs that earlier formats left, in tests/golden: they stay readable, and resume.

`digits.py` in each folder is the config that they were trained with.
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
  """A copy of the golden runs, which the tests may change."""
  return shutil.copytree(GOLDEN, tmp_path / 'golden')


def test_golden_runs_have_their_state(folder, capsys):
  assert command.run(status.main, ['status', str(folder)]) == 0
  finished, stopped = last_json(capsys.readouterr().out)
  assert (finished['state'], finished['step'], finished['steps']) == ('finished', 8, 8)
  assert (stopped['state'], stopped['step'], stopped['checkpoint']) == ('stopped', 6, 6)


def test_a_golden_run_is_loaded_with_its_network(folder):
  run = runs.load(folder / 'finished')
  assert format.number(run.config) == 1
  assert run.config['task'] == {'name': 'classify'}
  assert 'format' not in json.loads((folder / 'finished/config.json').read_text())
  built = experiment.build(read_file(folder / 'digits.py'), 'digits')
  split = built.data.splits['test']
  images = split.arrays['image'] / np.float32(255)
  correct = (run.model.apply(run.variables, images).argmax(-1) == split.arrays['label']).mean()
  assert float(correct) == pytest.approx(run.summary['test_accuracy'])


def test_a_report_is_written_of_golden_runs(folder):
  page.write_report(folder / 'finished')
  html = (folder / 'finished/report.html').read_text()
  assert '16.00' in html  # per cent of the test split


def test_a_golden_run_is_analysed(folder):
  place = folder / 'finished'
  assert command.run(analyze.main, ['analyze', str(place), '--only=filters,errors']) == 0
  made = {file.name for file in (place / 'analysis').iterdir()}
  assert {'filters_raw.png', 'confusion.png'} <= made


def test_a_golden_run_resumes_where_it_stopped(folder, capsys):
  """Its format stays 1, so that its schedule stays the one that it was started with."""
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


def test_a_golden_run_that_is_finished_is_evaluated_again(folder):
  before = runs.load(folder / 'finished').summary
  after = loop.train(
    experiment.build(read_file(folder / 'digits.py'), 'digits'), folder / 'finished'
  )
  assert (after['step'], after['stopped']) == (before['step'], None)
  assert after['test_loss'] == pytest.approx(before['test_loss'], rel=1e-4)
