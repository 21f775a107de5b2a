"""A run that is trained together with others leaves what it leaves when it is trained alone."""

import json
import pathlib
import signal

import numpy as np
import pytest
from helpers import run_child
from training_helpers import train_together

from jaxdl.runs import checkpoint, files, record
from jaxdl.training import experiment, loop

SEEDS = (0, 1)


def train_alone(experiments, folders, callbacks):
  found = []
  for built, folder, one in zip(experiments, folders, callbacks, strict=True):
    try:
      found.append(
        loop.train(
          built,
          folder,
          at_start=one.at_start,
          at_evaluation=one.at_evaluation,
          at_end=one.at_end,
        )
      )
    except FloatingPointError as error:
      found.append(str(error))
  return found


WAYS = {'alone': train_alone, 'together': train_together}


def built(small, **changes):
  return [experiment.build({**small, **changes, 'seed': seed}, 'small') for seed in SEEDS]


def recorded(calls, number, stop_at=None):
  """Callbacks that append (name, number of the run, step) to a list and may send a signal."""

  def at_evaluation(writers, state):
    calls.append(('evaluation', number, int(state.step)))
    if int(state.step) == stop_at:
      signal.raise_signal(signal.SIGTERM)

  return loop.Callbacks(
    at_start=lambda writers: calls.append(('start', number, None)),
    at_evaluation=at_evaluation,
    at_end=lambda writers, state: calls.append(('end', number, int(state.step))),
  )


def left(folder):
  """What a run left: files, checkpoints, the form of its journal, the facts of its summary."""
  run = record.load(folder)
  top = {path.relative_to(folder).parts[0] for path in pathlib.Path(folder).rglob('*')}
  lines = [
    (line['step'], line['split'], sorted(line), line['loss']) for line in files.journal(folder)
  ]
  return {
    'files': sorted(top),
    'checkpoints': checkpoint.kept_steps(folder),
    'damaged': sorted(path.name for path in pathlib.Path(folder).glob('damaged/*')),
    'journal': [line[:3] for line in lines],
    'losses': [line[3] for line in lines],
    'weights': [line['step'] for line in files.weights(folder)],
    'summary': {key: run.summary.get(key) for key in ('step', 'steps', 'stopped', 'stopped_early')},
    'figures': sorted(run.summary),
    'finished': run.finished,
  }


def both(tmp_path, scenario):
  """Runs a scenario alone and together; returns what each run left, and the callbacks' calls."""
  found = {}
  for name, train in WAYS.items():
    folders = [tmp_path / name / str(seed) for seed in SEEDS]
    calls = []
    scenario(train, folders, calls)
    found[name] = [left(folder) for folder in folders], sorted(calls, key=str)
  return found['alone'], found['together']


def assert_same(tmp_path, scenario):
  (alone, calls_alone), (together, calls_together) = both(tmp_path, scenario)
  assert calls_together == calls_alone
  for one, other in zip(alone, together, strict=True):
    np.testing.assert_allclose(other.pop('losses'), one.pop('losses'), rtol=1e-4)
    assert other == one
  return alone


def test_a_run_to_its_end(small, tmp_path):
  def scenario(train, folders, calls):
    train(built(small), folders, [recorded(calls, number) for number in SEEDS])
    assert [call for call in calls if call[0] == 'start'] == [
      ('start', 0, None),
      ('start', 1, None),
    ]

  alone = assert_same(tmp_path, scenario)
  assert all(run['finished'] for run in alone)


def test_checkpoints_between_evaluations(small, tmp_path):
  """The best state is kept until the next checkpoint is due."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='3 steps', keep_every='6 steps')

  def scenario(train, folders, calls):
    train(built(small, **changes), folders, [loop.Callbacks()] * 2)

  alone = assert_same(tmp_path, scenario)
  assert all(6 in run['checkpoints'] and 8 in run['checkpoints'] for run in alone)


def test_a_signal_in_the_last_call_is_no_stop(small, tmp_path):
  def scenario(train, folders, calls):
    train(built(small), folders, [recorded(calls, number, stop_at=8) for number in SEEDS])

  alone = assert_same(tmp_path, scenario)
  assert all(run['finished'] and run['summary']['stopped'] is None for run in alone)


def test_a_signal_in_the_middle_and_a_resume(small, tmp_path):
  """A signal at the evaluation of step 2 ends the training after the next call, at step 4."""
  changes = dict(evaluate_every='2 steps')

  def scenario(train, folders, calls):
    # Each run gets a signal where one starts after the other has ended.
    signalled = [recorded([], number, stop_at=2) for number in SEEDS]
    if train is train_together:
      signalled[1] = loop.Callbacks()
    first = train(built(small, **changes), folders, signalled)
    assert [summary['stopped'] for summary in first] == [4, 4]
    assert not any(record.load(folder).finished for folder in folders)
    train(built(small, **changes), folders, [recorded(calls, number) for number in SEEDS])

  alone = assert_same(tmp_path, scenario)
  assert all(run['finished'] for run in alone)


def resumed(train, experiments, folders, callbacks):
  """Resumes runs of any steps; like a sweep, it trains those of the same step together."""
  runs = list(zip(experiments, folders, callbacks, strict=True))
  steps = [checkpoint.last_step(folder) for folder in folders]
  for step in set(steps):
    train(*zip(*[run for run, at in zip(runs, steps, strict=True) if at == step], strict=True))


class Crash(BaseException):
  """Ends a training at once; an Exception of a callback is only a warning."""


def crashed(train, experiments, folders, step):
  """Ends each training by an exception at the evaluation of a step."""

  def crash(writers, state):
    if int(state.step) == step:
      raise Crash

  groups = [slice(None)] if train is train_together else [slice(0, 1), slice(1, 2)]
  for group in groups:
    callbacks = [loop.Callbacks(at_evaluation=crash)] * len(experiments[group])
    with pytest.raises(Crash):
      train(experiments[group], folders[group], callbacks)


KILLED = """
import json, os, signal, sys
from jaxdl.sweeps import ensemble
from jaxdl.training import experiment, loop, programs

configs, step, *folders = map(json.loads, sys.argv[1:])
built = [experiment.build(config, 'small') for config in configs]
program = programs.of_one(built[0]) if len(built) == 1 else ensemble.program(built)

def kill(writers, state):
  if int(state.step) == step:
    os.kill(os.getpid(), signal.SIGKILL)

loop.train_runs(built, folders, program, [loop.Callbacks(at_evaluation=kill)] * len(built))
"""


def killed(train, experiments, folders, step):
  """Ends each training by SIGKILL at the evaluation of a step."""
  groups = [slice(None)] if train is train_together else [slice(0, 1), slice(1, 2)]
  for group in groups:
    configs = [one.config for one in experiments[group]]
    configs = [{key: config[key] for key in config if key != 'dataset'} for config in configs]
    names = [json.dumps(str(folder)) for folder in folders[group]]
    done = run_child('-c', KILLED, json.dumps(configs), step, *names)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize('end', [crashed, pytest.param(killed, marks=pytest.mark.slow)])
def test_a_kill_between_a_checkpoint_and_a_log_and_a_resume(end, small, tmp_path):
  """Saved at step 3 and killed at step 6: the lines of step 4 are written a second time."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='3 steps')

  def scenario(train, folders, calls):
    end(train, built(small, **changes), folders, 6)
    for folder in folders:
      assert checkpoint.kept_steps(folder) in ([2], [2, 3])  # a kill may interrupt the last save
      assert {line['step'] for line in files.journal(folder)} == {2, 4}
    callbacks = [recorded(calls, number) for number in SEEDS]
    resumed(train, built(small, **changes), folders, callbacks)

  alone = assert_same(tmp_path, scenario)
  for run in alone:
    assert run['finished']
    assert [step for step, split, _ in run['journal'] if split == 'validation'] == [2, 4, 6, 8]
    assert [step for step, split, _ in run['journal'] if split == 'train'] == [4, 8]


def damage(folder, step):
  for file in folder.glob(f'checkpoints/{step}/train/d/*'):
    file.write_bytes(bytes(file.stat().st_size))


def test_a_damaged_checkpoint_and_a_resume(small, tmp_path):
  """The newest checkpoint, of step 6, is moved; the run resumes from step 4."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='2 steps')

  def scenario(train, folders, calls):
    train(built(small, **changes, train_for='6 steps'), folders, [loop.Callbacks()] * 2)
    for folder in folders:
      damage(folder, 6)
    train(built(small, **changes), folders, [recorded(calls, number) for number in SEEDS])

  alone = assert_same(tmp_path, scenario)
  for run in alone:
    assert run['finished']
    assert run['damaged'] == ['6']
    assert [step for step, split, _ in run['journal'] if split == 'validation'] == [2, 4, 6, 8]


def test_a_damaged_checkpoint_of_one_run_of_two(small, tmp_path):
  """The damaged one is moved; the runs are then at different steps and resume one by one."""
  changes = dict(evaluate_every='2 steps', checkpoint_every='2 steps')

  def scenario(train, folders, calls):
    train(built(small, **changes, train_for='6 steps'), folders, [loop.Callbacks()] * 2)
    damage(folders[0], 6)
    if train is train_together:
      with pytest.raises(
        loop.DifferentStepsError, match='at different steps, 4 and 6: train those'
      ):
        train(built(small, **changes), folders)
    callbacks = [recorded(calls, number) for number in SEEDS]
    resumed(train, built(small, **changes), folders, callbacks)

  alone = assert_same(tmp_path, scenario)
  assert [run['damaged'] for run in alone] == [['6'], []]
  assert all(run['finished'] for run in alone)


DAMAGED_LINES = [
  b'{"step": 4, "spl',
  b'{"step": 4, "split": "train", "loss": 0.\xff1}',
  b'{"step": "4", "split": "train", "loss": 0.1}',
  b'[4]',
  b'\x00\x00',
]


def test_damaged_lines_of_the_journal_and_a_resume(small, tmp_path):
  """They are removed; the lines before and after them are kept."""

  def scenario(train, folders, calls):
    train(built(small, train_for='4 steps'), folders, [loop.Callbacks()] * 2)
    for folder in folders:
      file = folder / 'metrics.jsonl'
      first, _, last = file.read_bytes().splitlines()
      file.write_bytes(b'\n'.join([first, *DAMAGED_LINES, last, b'{"step": 6, "sp']))
    train(built(small), folders, [recorded(calls, number) for number in SEEDS])
    for folder in folders:
      text = (folder / 'metrics.jsonl').read_text(encoding='utf-8')
      assert all(map(json.loads, text.splitlines()))

  alone = assert_same(tmp_path, scenario)
  for run in alone:
    assert run['finished']
    assert [entry[:2] for entry in run['journal']] == [
      (4, 'train'),
      (4, 'test'),
      (8, 'train'),
      (8, 'validation'),
      (8, 'test'),
    ]


def test_a_loss_that_is_not_finite(small, tmp_path):
  """The run that diverges is named; the other one is trained to its end."""
  small['optimizer'] = dict(name='sgd', learning_rate=1e-2)
  wild = {**small, 'optimizer': dict(name='sgd', learning_rate=1e38)}
  found = {}
  for name, train in WAYS.items():
    folders = [tmp_path / name / which for which in ('good', 'bad')]
    experiments = [experiment.build(config, 'small') for config in (small, wild)]
    good, bad = train(experiments, folders, [loop.Callbacks()] * 2)
    found[name] = (good['step'], bad, checkpoint.kept_steps(folders[0]))
    assert not (folders[1] / 'summary.json').exists()
  assert found['together'] == found['alone']
  assert 'not finite at step' in found['alone'][1]


@pytest.mark.parametrize(
  ('key', 'value'),
  [
    ('plateau', dict(patience='4 steps')),
    ('early_stopping', '4 steps'),
    ('profile', '2 steps'),
  ],
)
def test_what_follows_one_run_is_refused_by_name_for_several(key, value, small, tmp_path):
  with pytest.raises(
    ValueError, match=rf'config\.{key} is set, so small cannot be trained together'
  ):
    train_together(built(small, **{key: value}), [tmp_path / 'a', tmp_path / 'b'])
  assert not (tmp_path / 'a').exists()
