"""Side outputs never end training: unusual images and classes, and failing pictures, files and
callbacks.
"""

import contextlib
import errno
import functools
import json
import os
import socket
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from helpers import ROOT, WITHOUT_TENSORFLOW, run_child, slow_after

from jaxdl import figures, main, sweep
from jaxdl.data import DATA_SETS, images
from jaxdl.data.source import Source
from jaxdl.monitoring import evaluations, samples, side_outputs, writers
from jaxdl.report import page
from jaxdl.runs import checkpoint
from jaxdl.training import experiment, loop, profiling


def own_config(small, monkeypatch, *, channels=1, side=(8, 8), classes=('a', 'b', 'c')):
  """A config of a small CNN on random images of a custom data set."""

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
  'unusual',
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
@pytest.mark.slow
def test_unusual_arrays_are_trained_and_drawn(
  unusual, small, monkeypatch, config_file, tmp_path, capsys
):
  file, folder = config_file(own_config(small, monkeypatch, **unusual)), tmp_path / 'run'
  assert main.main(['jaxdl.main', f'--config={file}', f'--workdir={folder}']) == 0
  captured = capsys.readouterr()
  assert 'left out' not in captured.err
  assert json.loads(captured.out.splitlines()[-1])['step'] in (2, 4)
  assert checkpoint.last_step(folder) == 4
  assert (folder / 'analysis/samples.png').read_bytes().startswith(b'\x89PNG')
  names = json.loads((folder / 'config.json').read_text())['dataset']['classes']
  assert all(isinstance(name, str) for name in names)
  assert names == [
    name.decode() if isinstance(name, bytes) else str(name)
    for name in unusual.get('classes', 'abc')
  ]


@pytest.mark.usefixtures('unchecked_types')
def test_invalid_class_names_are_refused():
  with pytest.raises(
    ValueError,
    match=r'^classes=3 are not class names: give one for each class, such as \("cat", "dog"\)$',
  ):
    Source('made up', columns={}, classes=3)


def test_channels_are_mapped_to_visible_colours():
  """Two channels are drawn in two colours; of more than three, the first three are drawn."""
  pixels = np.arange(10, dtype=np.uint8).reshape(1, 2, 5)
  assert figures.visible(pixels[..., :2]).tolist() == [[[0, 1, 0], [5, 6, 5]]]
  assert figures.visible(pixels).tolist() == [[[0, 1, 2], [5, 6, 7]]]
  for channels in (1, 3):
    np.testing.assert_array_equal(figures.visible(pixels[..., :channels]), pixels[..., :channels])


def raise_error(*anything, **keywords):
  raise RuntimeError('the picture cannot be drawn\nand more')


FULL = OSError(errno.ENOSPC, 'No space left on device')


def raise_disk_full(*anything, **keywords):
  raise FULL


def trained(folder):
  """Whether the run in a folder reached its end: last checkpoint, journal and summary."""
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
  slow_after(
    2,
    [
      (
        samples,
        'write',
        raise_error,
        'the picture of training images left out: RuntimeError: the picture cannot be drawn',
      ),
      (
        figures,
        'save',
        raise_disk_full,
        'the picture of training images left out: [Errno 28] No space left on device',
      ),
      (
        samples,
        'describe',
        raise_error,
        'the graph and hyper-parameters left out: RuntimeError: the picture cannot be drawn',
      ),
      (
        evaluations,
        '_weights',
        raise_error,
        'histograms of the weights left out: RuntimeError: the picture cannot be drawn',
      ),
      (
        evaluations.weights,
        'quantiles',
        raise_error,
        'quantiles of the weights left out: RuntimeError: the picture cannot be drawn',
      ),
      (
        writers,
        '_append',
        raise_disk_full,
        'weights.jsonl left out: [Errno 28] No space left on device',
      ),
      (
        writers,
        '_clu_writers',
        raise_error,
        'TensorBoard files left out: RuntimeError: the picture cannot be drawn',
      ),
      (
        writers.graph,
        'write',
        raise_error,
        "TensorBoard's graph left out: RuntimeError: the picture cannot be drawn",
      ),
      (
        page,
        'write_report',
        raise_error,
        'report.html left out: RuntimeError: the picture cannot be drawn',
      ),
    ],
  ),
  ids=lambda case: getattr(case, '__name__', str(case))[:40],
)
def test_failed_side_output_is_only_one_warning(
  where, name, raises, warning, small, monkeypatch, config_file, tmp_path, capsys
):
  pytest.importorskip('tensorflow')
  monkeypatch.setattr(where, name, raises)
  file, folder = config_file(small), tmp_path / 'run'
  assert main.main(['jaxdl.main', f'--config={file}', f'--workdir={folder}']) == 0
  assert [line for line in warnings(capsys) if 'left out' in line] == [f'warning: {warning}']
  assert trained(folder)


HANGS = {  # name of the output in the warning → (module, function)
  'the picture of training images': (samples, 'write'),
  'the graph and hyper-parameters': (samples, 'describe'),
  'histograms of the weights': (evaluations, '_weights'),
  'weights.jsonl': (writers, '_append'),
  'TensorBoard files': (writers, '_clu_writers'),
  'report.html': (page, 'write_report'),
}


@pytest.mark.parametrize('name', slow_after(2, list(HANGS)))
def test_side_output_that_hangs_is_left_out(
  name, small, monkeypatch, config_file, tmp_path, capsys
):
  """Each call would take ten minutes."""
  pytest.importorskip('tensorflow')
  released = threading.Event()
  monkeypatch.setattr(side_outputs, 'LIMIT', 1.0)
  monkeypatch.setattr(*HANGS[name], lambda *anything, **more: released.wait(600))
  file, folder = config_file(small), tmp_path / 'run'
  began = time.monotonic()
  try:
    assert main.main(['jaxdl.main', f'--config={file}', f'--workdir={folder}']) == 0
  finally:
    released.set()
  assert time.monotonic() - began < 60
  left_out = [line for line in warnings(capsys) if f'warning: {name} left out' in line]
  assert len(left_out) == 1
  assert 'left out: it did not finish within' in left_out[0]
  assert trained(folder)


def test_hanging_output_delays_once(monkeypatch, capsys):
  monkeypatch.setattr(side_outputs, 'LIMIT', 0.2)
  outputs, released = side_outputs.SideOutputs(), threading.Event()
  began = time.monotonic()
  assert [outputs.attempt('a picture', released.wait, 600) for _ in range(3)] == [None] * 3
  assert time.monotonic() - began < 10
  released.set()
  assert capsys.readouterr().err == (
    'warning: a picture left out: it did not finish within 0.2 seconds\n'
  )


def test_failed_callbacks_do_not_end_training(small, tmp_path, capsys):
  loop.train(
    experiment.build(small, 'small'),
    tmp_path,
    at_start=raise_error,
    at_evaluation=raise_error,
    at_end=raise_error,
  )
  assert warnings(capsys) == [
    f'warning: the output at {when} left out: RuntimeError: the picture cannot be drawn'
    for when in ('the start', 'evaluations', 'the end')
  ]
  assert trained(tmp_path)


def test_failed_journal_ends_training(small, monkeypatch, tmp_path):
  """The journal is not a side output: a full disk ends the run."""

  def only_journal(step, split, values):
    raise FULL

  silent = dict.fromkeys(
    ['journal', 'weights', 'images', 'histograms', 'texts', 'graph', 'hyperparameters', 'final'],
    lambda *anything: None,
  )
  broken = writers.Writers(scalars=only_journal, record=False, board=False, **silent)
  monkeypatch.setattr(
    loop.writers, 'open_writers', lambda *anything, **more: contextlib.nullcontext(broken)
  )
  with pytest.raises(OSError, match='No space left on device'):
    loop.train(experiment.build(small, 'small'), tmp_path)


def test_keyboard_interrupt_is_not_suppressed():
  def interrupted():
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    side_outputs.SideOutputs().attempt('a picture', interrupted)


def test_failed_output_is_skipped_and_named_once(capsys, monkeypatch):
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
@pytest.mark.slow
def test_sweep_is_trained_although_its_pictures_fail(
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
    monkeypatch.setattr(where, name, raise_error)
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
  assert sum('quantiles of the weights left out' in line for line in lines) == 2, (
    'once for each run'
  )


def test_failed_trace_does_not_end_training(small, monkeypatch, tmp_path, capsys):
  stopped = []
  monkeypatch.setattr(jax.profiler, 'start_trace', raise_error)
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


@pytest.mark.slow
def test_several_processes_train_although_pictures_fail(small, config_file, tmp_path):
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
  outputs = [process.communicate(timeout=300) for process in processes]
  assert [process.returncode for process in processes] == [0, 0], outputs
  assert 'warning: report.html left out: RuntimeError: no picture' in outputs[0][1]
  assert trained(tmp_path / 'run')


def test_command_succeeds_although_its_pictures_fail(small, config_file, tmp_path):
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
