"""Tests of the page of a run that trains: when it is written, and what it shows."""

import contextlib
import re
import sys
import threading
import time
import types

import jax
import numpy as np
import pytest
from helpers import state_of
from report_helpers import training_run

from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.report import __main__ as report
from jaxdl.report import live, page
from jaxdl.runs import folder as run_folder
from jaxdl.runs import record
from jaxdl.training import experiment, loop

MOMENT = live.Moment(8, 125.0, 4.2, ())
STATE = types.SimpleNamespace(variables=lambda: {'params': {'a': np.ones(2)}})


@pytest.fixture
def run(tmp_path):
  """A run that has been evaluated twice."""
  return training_run(tmp_path / 'run')


def test_pages_take_at_most_their_share_of_the_time():
  """One evaluation a second; a page takes 0.4 s, so that 40 s pass until the next one."""
  pace, written = live.Pace(0.0), []
  for now in range(1, 200):
    if pace.is_due(float(now), seconds_left=200.0 - now):
      written.append(now)
      pace.wrote(now + 0.4, cost=0.4)
  assert written == [1, 42, 83, 124, 165]
  assert pace.every == pytest.approx(0.4 / live.SHARE)


@pytest.mark.parametrize(
  ('seconds_left', 'due'),
  [
    (None, False),
    (live.FIRST / live.SHARE - 1.5, False),
    (live.FIRST / live.SHARE - 0.5, True),
  ],
)
def test_first_page_is_written_if_the_training_is_long_enough(seconds_left, due):
  assert live.Pace(0.0).is_due(1.0, seconds_left) is due


def test_page_is_expected_at_the_next_evaluation():
  pace = live.Pace(0.0)
  pace.is_due(90.0, None)
  assert pace.every == 90.0, 'the first evaluation gives no interval'
  pace.is_due(100.0, None)
  assert pace.every == 10.0
  assert live.Pace(0.0).every == live.SOONEST


def test_training_does_not_wait_for_the_page(monkeypatch):
  monkeypatch.setattr(live, 'FIRST', 0)
  monkeypatch.setattr(live, 'SHARE', 1e9)
  monkeypatch.setattr(live, 'SOONEST', 0)
  release, written = threading.Event(), []

  def write(moment, variables):
    release.wait(10)
    written.append((moment.step, variables['params']['a'].tolist()))

  with live.Writer(SideOutputs().attempt, write, lambda: None) as writer:
    began = time.monotonic()
    for step in (1, 2, 3):  # the first page is still being written
      writer.after_evaluation(step, 9.0, lambda: STATE)
    assert time.monotonic() - began < 5
    release.set()
  assert written == [(1, [1.0, 1.0])]


def fail(writer, *, evaluated):
  """Fails in the block of a Writer, with or without an evaluation before."""
  with writer:
    if evaluated:
      writer.after_evaluation(1, 9.0, lambda: STATE)
    raise FloatingPointError


@pytest.mark.parametrize('evaluated', [True, False])
def test_page_of_a_failed_training_is_written_without_its_state(monkeypatch, evaluated):
  monkeypatch.setattr(live, 'FIRST', 0)
  closed = []
  writer = live.Writer(SideOutputs().attempt, lambda *moment: None, lambda: closed.append(1))
  with pytest.raises(FloatingPointError):
    fail(writer, evaluated=evaluated)
  assert closed == ([1] if evaluated else [])


def test_failed_page_is_one_warning(monkeypatch, capsys):
  monkeypatch.setattr(live, 'FIRST', 0)

  def write(moment, variables):
    raise OSError(28, 'No space left on device')

  with live.Writer(SideOutputs().attempt, write, lambda: None) as writer:
    for step in range(20):
      writer.after_evaluation(step, 9.0, lambda: STATE)
      time.sleep(0.01)
  assert capsys.readouterr().err == (
    'warning: the report while training left out: [Errno 28] No space left on device\n'
  )


@pytest.mark.parametrize(
  ('seconds', 'text'),
  [
    (0, '1 second'),
    (42.4, '42 seconds'),
    (59.6, '1 minute'),
    (179, '3 minutes'),
    (3600, '1 hour'),
    (7500, '2 hours 5 minutes'),
  ],
)
def test_durations_are_written_in_words(seconds, text):
  assert live.duration(seconds) == text


def test_page_shows_the_state_of_the_training(run):
  page.write_live(run, MOMENT, None)
  html = (run / 'report.html').read_text()
  assert 'training, step 8 of 1,200, 2 minutes left' in html
  assert '<progress max="1200" value="8"' in html
  assert 'data-every="5"' in html
  assert 'Model card' not in html
  found = live.of_run(record.load(run), MOMENT)
  assert ['validation loss', '0.3000', '0.2500', '4'] in found['figures']['rows']
  assert ['validation accuracy', '80.00 %', '80.00 %', '8'] in found['figures']['rows']
  page.write_page_and_card(run)
  assert 'class="live"' not in (run / 'report.html').read_text()


def test_page_of_another_process_has_its_estimates(run, monkeypatch):
  assert live.moment_of(record.load(run)) is None
  monkeypatch.setattr(run_folder, 'trainer', lambda folder: {'now': True})
  found = live.moment_of(record.load(run))
  # 4 examples a step and 16 examples a second.
  assert (found.step, found.seconds_left, found.every) == (8, 1192 / 4, 50 / 4)
  page.write_page_and_card(run)
  assert 'class="live"' in (run / 'report.html').read_text()
  assert not (run / 'card.md').exists()


def test_weights_are_drawn_as_bands():
  lines = [
    {'step': 10, 'd/kernel': [-4, -3, -2, -1, 0, 1, 2, 3, 4], 'd/bias': [0] * 9},
    {'step': 30, 'd/kernel': [-2, -1, 0, 0, 0, 0, 0, 1, 2], 'd/bias': [0] * 9},
  ]
  (drawn,) = live.drawings(lines)
  assert (drawn['name'], drawn['low'], drawn['high']) == ('d/kernel', '−4', '4')
  width, height = live.WIDTH, live.HEIGHT
  assert drawn['middle'] == f'0.0,{height / 2:.1f} {width:.1f},{height / 2:.1f}'
  assert drawn['bands'][0] == (
    f'0.0,{height:.1f} {width:.1f},{height * 0.75:.1f} {width:.1f},{height * 0.25:.1f} 0.0,0.0'
  )
  assert len(drawn['bands']) == 4
  assert live.drawings(lines[:1]) == []
  many = [{'step': step, 'a/kernel': [0.0] * 9} for step in range(1000)]
  assert len(live.drawings(many)[0]['middle'].split()) <= live.POINTS + 1


def test_training_writes_the_page_and_computes_the_same(small, tmp_path, monkeypatch):
  """The page is written after each evaluation; the parameters are those without it, to the bit."""
  small['train_for'] = '16 steps'
  monkeypatch.setitem(sys.modules, 'tensorflow', None)  # its import takes seconds
  monkeypatch.setattr(live, 'SOONEST', 0)
  shown, parameters = [], {}
  for name, share in (('with', 1e9), ('without', 1e-9)):
    monkeypatch.setattr(live, 'SHARE', share)
    built, workdir = experiment.build(small, 'small'), tmp_path / name

    def write(moment, variables, built=built, workdir=workdir):
      page.write_live(workdir, moment, (built.recipe.model, variables))
      html = (workdir / 'report.html').read_text()
      shown.append(re.search(r'training, step (\d+) of 16', html)[1])

    with live.Writer(SideOutputs().attempt, write, lambda: None, built.layers) as writer:

      def after_evaluation(*arguments, writer=writer):  # waits, so that every page is due
        writer.after_evaluation(*arguments)
        if writer._writing is not None:
          writer._writing.result()

      loop.train(built, workdir, after_evaluation=after_evaluation)
    parameters[name] = jax.tree.leaves(state_of(built, workdir).params)
  assert shown == ['4', '8', '12']
  assert all(map(np.array_equal, parameters['with'], parameters['without']))


@pytest.mark.parametrize('found', [True, False])
def test_open_shows_the_page_or_its_address(run, monkeypatch, capsys, found):
  opened = []
  monkeypatch.setattr('webbrowser.open_new_tab', lambda address: opened.append(address) or found)
  assert report.main(['report', str(run), '--open']) == 0
  assert opened == [(run / 'report.html').as_uri()]
  message = f'jaxdl: there is no browser here: open {(run / "report.html").as_uri()} in one\n'
  assert capsys.readouterr().err == ('' if found else message)


def test_page_is_not_opened_without_the_flag(run, monkeypatch):
  monkeypatch.setattr('webbrowser.open_new_tab', lambda address: pytest.fail('opened'))
  with contextlib.redirect_stdout(None):
    assert report.main(['report', str(run)]) == 0
