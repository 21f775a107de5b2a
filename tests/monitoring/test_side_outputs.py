"""What a run shows may not end what it learns: odd images and classes, and pictures, files and
functions that fail.
"""

import contextlib
import errno
import functools
import json
import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers import ROOT, WITHOUT_TENSORFLOW, run_child

from jaxdl import figures, main, sweep
from jaxdl.data import DATA_SETS, images
from jaxdl.data.source import Source
from jaxdl.monitoring import evaluations, samples, side_outputs, writers
from jaxdl.report import page
from jaxdl.runs import checkpoint
from jaxdl.training import experiment, loop, profiling


def own_config(small, monkeypatch, *, channels=1, side=(8, 8), classes=('a', 'b', 'c')):
  """A config of a small CNN on random images of one's own."""

  def own(*, source, data_dir):
    columns = {}
    for split, count in (('train', 48), ('test', 24)):
      image = np.random.default_rng(count).integers(0, 256, (count, *side, channels), np.uint8)
      columns[split] = {'image': image, 'label': np.arange(count, dtype=np.int32) % len(classes)}
    return Source('made up', classes=classes, columns=columns)

  monkeypatch.setitem(DATA_SETS, 'own', functools.partial(images.load, own))
  layers = (
    dict(kind='conv', features=4, kernel=3),
    dict(kind='flatten'),
    dict(kind='dense', features='classes', activate=False),
  )
  return {
    **small,
    'train_for': '4 steps',
    'log_every': '2 steps',
    'evaluate_every': '2 steps',
    'checkpoint_every': '2 steps',
    'model': dict(name='cnn', layers=layers),
    'data': dict(
      name='own',
      batch_size=12,
      evaluation_batch_size=12,
      splits=dict(train='train[:36]', validation='train[36:]', test='test'),
    ),
  }


@pytest.mark.parametrize(
  'odd',
  [
    dict(classes=(0, 1, 2)),
    dict(classes=list(np.arange(3))),
    dict(classes=np.array(['x', 'y', 'z'])),
    dict(classes=(b'x', None, 2.5)),
    dict(channels=2),
    dict(channels=4),
    dict(channels=7),
    dict(side=(1, 1), channels=2),
    dict(side=(1, 300)),
    dict(side=(300, 1), channels=3),
    dict(classes=('only',)),
  ],
  ids=str,
)
@pytest.mark.usefixtures('unchecked_types')
def test_own_arrays_train_to_the_end_with_their_pictures(
  odd, small, monkeypatch, config_file, tmp_path, capsys
):
  file, folder = config_file(own_config(small, monkeypatch, **odd)), tmp_path / 'run'
  assert main.main(['jaxdl.main', f'--config={file}', f'--workdir={folder}']) == 0
  captured = capsys.readouterr()
  assert 'left out' not in captured.err
  assert json.loads(captured.out.splitlines()[-1])['step'] in (2, 4)
  assert checkpoint.last_step(folder) == 4
  assert (folder / 'analysis/samples.png').read_bytes().startswith(b'\x89PNG')
  names = json.loads((folder / 'config.json').read_text())['dataset']['classes']
  assert all(isinstance(name, str) for name in names)
  assert names == [
    name.decode() if isinstance(name, bytes) else str(name) for name in odd.get('classes', 'abc')
  ]


@pytest.mark.usefixtures('unchecked_types')
def test_classes_that_are_no_names_are_refused():
  with pytest.raises(
    ValueError,
    match=r'^classes=3 are not class names: give one for each class, such as \("cat", "dog"\)$',
  ):
    Source('made up', columns={}, classes=3)


def test_two_channels_are_drawn_in_two_colours_and_many_as_the_first_three():
  pixels = np.arange(10, dtype=np.uint8).reshape(1, 2, 5)
  assert figures.visible(pixels[..., :2]).tolist() == [[[0, 1, 0], [5, 6, 5]]]
  assert figures.visible(pixels).tolist() == [[[0, 1, 2], [5, 6, 7]]]
  for channels in (1, 3):
    np.testing.assert_array_equal(figures.visible(pixels[..., :channels]), pixels[..., :channels])


def failing(*anything, **keywords):
  raise RuntimeError('the picture cannot be drawn\nand more')


FULL = OSError(errno.ENOSPC, 'No space left on device')


def full(*anything, **keywords):
  raise FULL


def trained(folder):
  """Whether the run in a folder was trained to its end: its last checkpoint, journal and summary."""
  journal = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
  return (
    checkpoint.last_step(folder) == 8
    and journal[-1]['step'] == 8
    and (folder / 'summary.json').is_file()
  )


def warnings(capsys):
  return [line for line in capsys.readouterr().err.splitlines() if line.startswith('warning: ')]


@pytest.mark.parametrize(
  ('where', 'name', 'raises', 'warning'),
  [
    (
      samples,
      'write',
      failing,
      'the picture of training images left out: RuntimeError: the picture cannot be drawn',
    ),
    (
      figures,
      'save',
      full,
      'the picture of training images left out: [Errno 28] No space left on device',
    ),
    (
      samples,
      'describe',
      failing,
      'the graph and hyper-parameters left out: RuntimeError: the picture cannot be drawn',
    ),
    (
      evaluations,
      '_weights',
      failing,
      'histograms of the weights left out: RuntimeError: the picture cannot be drawn',
    ),
    (
      evaluations.weights,
      'quantiles',
      failing,
      'weights.jsonl left out: RuntimeError: the picture cannot be drawn',
    ),
    (writers, '_append', full, 'weights.jsonl left out: [Errno 28] No space left on device'),
    (
      writers,
      '_clu_writers',
      failing,
      'TensorBoard files left out: RuntimeError: the picture cannot be drawn',
    ),
    (
      writers.graph,
      'write',
      failing,
      "TensorBoard's graph left out: RuntimeError: the picture cannot be drawn",
    ),
    (
      page,
      'write_report',
      failing,
      'report.html left out: RuntimeError: the picture cannot be drawn',
    ),
  ],
  ids=lambda case: getattr(case, '__name__', str(case))[:40],
)
def test_what_fails_to_be_shown_is_one_warning_and_the_run_is_trained(
  where, name, raises, warning, small, monkeypatch, config_file, tmp_path, capsys
):
  pytest.importorskip('tensorflow')
  monkeypatch.setattr(where, name, raises)
  file, folder = config_file(small), tmp_path / 'run'
  assert main.main(['jaxdl.main', f'--config={file}', f'--workdir={folder}']) == 0
  assert [line for line in warnings(capsys) if 'left out' in line] == [f'warning: {warning}']
  assert trained(folder)


def test_functions_of_a_user_that_fail_do_not_end_training(small, tmp_path, capsys):
  loop.train(
    experiment.build(small, 'small'),
    tmp_path,
    at_start=failing,
    at_evaluation=failing,
    at_end=failing,
  )
  assert warnings(capsys) == [
    f'warning: the output at {when} left out: RuntimeError: the picture cannot be drawn'
    for when in ('the start', 'evaluations', 'the end')
  ]
  assert trained(tmp_path)


def test_the_journal_is_no_side_output(small, monkeypatch, tmp_path):
  """A journal on a full disk ends the run as ever."""

  def only_journal(step, split, values):
    raise FULL

  silent = dict.fromkeys(
    ['weights', 'images', 'histograms', 'texts', 'graph', 'hyperparameters', 'final'],
    lambda *anything: None,
  )
  broken = writers.Writers(scalars=only_journal, record=False, board=False, **silent)
  monkeypatch.setattr(
    loop.writers, 'open_writers', lambda *anything, **more: contextlib.nullcontext(broken)
  )
  with pytest.raises(OSError, match='No space left on device'):
    loop.train(experiment.build(small, 'small'), tmp_path)


def test_an_interruption_is_no_failure():
  def interrupted():
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    side_outputs.SideOutputs().attempt('a picture', interrupted)


def test_an_output_that_failed_is_skipped_and_named_once(capsys, monkeypatch):
  monkeypatch.delenv('JAXDL_TRACEBACK', raising=False)
  outputs, calls = side_outputs.SideOutputs(), []

  def picture():
    calls.append(1)
    raise MemoryError

  assert [outputs.attempt('a picture', picture) for _ in range(3)] == [None] * 3
  assert outputs.attempt('another', lambda number: number + 1, 1) == 2
  assert len(calls) == 1
  assert capsys.readouterr().err == 'warning: a picture left out: out of memory\n'


@pytest.mark.parametrize('together', ['always', 'never'])
def test_a_sweep_is_trained_though_its_pictures_fail(
  together, small, config_file, monkeypatch, tmp_path, capsys
):
  config_file(small, 'base')
  two = config_file(
    dict(base='base.py', seeds=[0, 1], axes=[dict(name='rate', choices=[dict(name='slow')])]), 'two'
  )
  for where, name in (
    (samples, 'describe'),
    (evaluations, '_weights'),
    (evaluations.weights, 'quantiles'),
    (figures, 'learning_curves'),
  ):
    monkeypatch.setattr(where, name, failing)
  assert (
    sweep.main(
      ['sweep', f'--config={two}', f'--workdir={tmp_path / "runs"}', f'--together={together}']
    )
    == 0
  )
  for seed in (0, 1):
    assert trained(tmp_path / f'runs/slow/seed{seed}')
  lines = warnings(capsys)
  assert 'warning: figure.png left out: RuntimeError: the picture cannot be drawn' in lines
  assert sum('weights.jsonl left out' in line for line in lines) == 2, 'once for each run'


def test_a_trace_that_cannot_be_started_does_not_end_training(small, monkeypatch, tmp_path, capsys):
  stopped = []
  monkeypatch.setattr(jax.profiler, 'start_trace', failing)
  monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: stopped.append(1))
  loop.train(experiment.build({**small, 'profile': '2 steps'}, 'small'), tmp_path)
  assert not stopped
  assert warnings(capsys) == [
    f'warning: {profiling.NAME} left out: RuntimeError: the picture cannot be drawn'
  ]
  assert trained(tmp_path)


BROKEN = """
import sys
from jaxdl import main
from jaxdl.monitoring import samples
from jaxdl.terminal import command
def failing(*anything):
  raise RuntimeError('no picture')
samples.write = samples.describe = main.page.write_report = failing
sys.exit(command.run(main.main, sys.argv))
"""


def test_several_processes_are_trained_though_the_pictures_of_the_first_fail(
  small, config_file, tmp_path
):
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  config = config_file({**small, 'data': {**small['data'], 'batch_size': 16}})
  processes = [
    subprocess.Popen(
      [
        sys.executable,
        '-c',
        BROKEN,
        f'--config={config}',
        f'--workdir={tmp_path / "run"}',
        f'--coordinator=127.0.0.1:{port}',
        '--processes=2',
        f'--process={number}',
      ],
      cwd=ROOT,
      text=True,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      env={**os.environ, **WITHOUT_TENSORFLOW},
    )
    for number in (0, 1)
  ]
  said = [process.communicate(timeout=300) for process in processes]
  assert [process.returncode for process in processes] == [0, 0], said
  assert 'warning: report.html left out: RuntimeError: no picture' in said[0][1]
  assert trained(tmp_path / 'run')


def test_the_command_ends_well_without_its_pictures(small, config_file, tmp_path):
  done = run_child(
    '-c',
    BROKEN,
    f'--config={config_file(small)}',
    f'--workdir={tmp_path / "run"}',
    environment=WITHOUT_TENSORFLOW,
  )
  assert done.returncode == 0, done.stderr
  assert 'Traceback' not in done.stderr
  assert trained(tmp_path / 'run')
