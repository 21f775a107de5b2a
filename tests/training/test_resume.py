"""A run that is stopped and resumed equals an uninterrupted one, bit for bit."""

import dataclasses
import itertools
import json
import os
import re
import signal
import subprocess
import sys

import jax
import numpy as np
import PIL.Image
import pytest
from helpers import ROOT, WITHOUT_TENSORFLOW, last_json, state_of
from training_helpers import train_together

from jaxdl.analysis import weights
from jaxdl.data.sets import mnist
from jaxdl.runs import checkpoint, files, folder, format, record
from jaxdl.training import chunks, experiment, loop, programs
from jaxdl.views import subject


@pytest.mark.parametrize(
  ('model', 'stop'),
  [
    ('small_text', 5),
    ('random_text', 4),
    *(
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (
        ('small_cnn', 2),
        ('small_cnn', 5),
        ('small', 2),
        ('small', 5),
        ('small_text', 2),
      )
    ),
  ],
)
def test_resume_equals_uninterrupted_bit_for_bit(model, stop, request, tmp_path):
  """Stops in the middle of the first epoch (of 4 steps), or one step into the second."""
  config = {**request.getfixturevalue(model), 'ema_decay': 0.9 if model == 'small' else 0.0}
  built = experiment.build({**config, 'train_for': '9 steps'}, 'small')
  uninterrupted = loop.train(built, tmp_path / 'uninterrupted')
  loop.train(
    experiment.build({**config, 'train_for': f'{stop} steps'}, 'small'), tmp_path / 'resumed'
  )
  resumed = loop.train(built, tmp_path / 'resumed')
  expected, found = (state_of(built, tmp_path / name) for name in ('uninterrupted', 'resumed'))
  assert int(found.step) == 9
  jax.tree.map(np.testing.assert_array_equal, found, expected)
  keys = ('test_loss', 'test_accuracy')
  if uninterrupted['step'] == resumed['step']:
    assert [uninterrupted[key] for key in keys] == [resumed[key] for key in keys]


def test_resume_never_writes_a_step_twice(small, tmp_path):
  """A crash after step 6 leaves lines that are newer than the last checkpoint, and an incomplete
  one.
  """
  built = experiment.build(small, 'small')
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path)
  with (tmp_path / 'metrics.jsonl').open('a') as journal:
    journal.write('{"step": 6, "split": "train", "loss": 1.0}\n{"step": 8, "spl')
  loop.train(built, tmp_path)
  lines = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
  steps = [(line['step'], line['split']) for line in lines]
  assert len(steps) == len(set(steps))
  assert {step for step, _ in steps} == {4, 8}


class Crash(BaseException):
  """Ends a run at once: an Exception in a callback is only a warning."""


@pytest.mark.parametrize('together', [False, True], ids=['separate', 'together'])
@pytest.mark.slow
def test_resume_between_logs_records_the_uninterrupted_values(together, small, tmp_path):
  """A crash at step 5, after a checkpoint at step 3.

  The line of step 8 is the exact mean of all eight steps, not only of those since step 3. The
  weights of step 5, recorded before the crash, are recorded once.
  """
  small |= dict(log_every='8 steps', evaluate_every='5 steps', checkpoint_every='3 steps')
  seeds = (0, 1) if together else (0,)
  built = [experiment.build({**small, 'seed': seed}, 'small') for seed in seeds]

  def record_weights(writers, state):
    writers.weights(int(state.step), weights.quantiles(state.variables()))

  def record_and_crash(writers, state):
    record_weights(writers, state)
    raise Crash(f'at step {int(state.step)}')

  def train(name, record_weights):
    folders = [tmp_path / name / str(number) for number in range(len(built))]
    if together:
      train_together(built, folders, [loop.Callbacks(at_evaluation=record_weights)] * len(built))
    else:
      loop.train(built[0], folders[0], at_evaluation=record_weights)
    return [
      (
        [{**line, 'examples_per_second': 0} for line in files.journal(folder)],
        files.weights(folder),
      )
      for folder in folders
    ]

  with pytest.raises(Crash, match='^at step 5$'):
    train('resumed', record_and_crash)
  assert checkpoint.kept_steps(tmp_path / 'resumed/0') == [3]
  resumed = train('resumed', record_weights)
  assert resumed == train('uninterrupted', record_weights)
  assert [line['step'] for line in resumed[0][1]] == [5, 8]


def test_resume_of_a_finished_run_only_evaluates(small, tmp_path, capsys):
  built = experiment.build(small, 'small')
  first = loop.train(built, tmp_path)
  journal = (tmp_path / 'metrics.jsonl').read_text()
  second = loop.train(built, tmp_path)
  assert 'is finished already, at step 8' in capsys.readouterr().out
  assert (tmp_path / 'metrics.jsonl').read_text() == journal
  assert second == first == json.loads((tmp_path / 'summary.json').read_text())


def test_last_evaluation_is_that_of_the_best_checkpoint(small, tmp_path, monkeypatch):
  """No split is evaluated again at the end if the last step is the best."""
  of_one, evaluations = programs.of_one, []

  def counted(built):
    program = of_one(built)

    def evaluate(states):
      evaluations.append(int(states.step))
      return program.evaluate(states)

    return dataclasses.replace(program, evaluate=evaluate)

  monkeypatch.setattr(programs, 'of_one', counted)
  first = loop.train(experiment.build(small, 'small'), tmp_path)
  assert evaluations == [4, 8]
  assert first['step'] == 8
  assert loop.train(experiment.build(small, 'small'), tmp_path) == first  # evaluates
  assert evaluations == [4, 8, 8]


@pytest.mark.slow
def test_resume_adds_the_seconds_of_all_sessions(small, tmp_path):
  first = loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path)
  second = loop.train(experiment.build(small, 'small'), tmp_path)
  assert second['seconds'] > first['seconds'] > 0


def test_resume_refuses_a_run_of_another_config(small, tmp_path):
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path)
  before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob('*') if path.is_file())
  small['model']['features'] = 9
  with pytest.raises(
    ValueError, match=r'holds a run of another config \(differing in model.features\): give another'
  ):
    loop.train(experiment.build(small, 'small'), tmp_path)
  assert (
    sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob('*') if path.is_file())
    == before
  )


@pytest.mark.slow
def test_resume_before_the_first_step_accepts_another_config(small, tmp_path, monkeypatch):
  monkeypatch.setattr(chunks, 'first_state', lambda *_: 1 / 0)
  with pytest.raises(ZeroDivisionError):
    loop.train(experiment.build(small, 'small'), tmp_path)
  monkeypatch.undo()
  assert (tmp_path / 'config.json').is_file()
  small['model']['features'] = 9
  assert loop.train(experiment.build(small, 'small'), tmp_path)['step'] == 8


@pytest.mark.slow
def test_resume_of_format_1_keeps_its_schedule(small, tmp_path):
  """Its config.json has no format, and a cosine schedule ended one step after the last one."""
  small['schedule'] = dict(name='cosine')
  old, new = experiment.build(small, 'small', format=1), experiment.build(small, 'small')
  assert (float(old.rate(7)) > 0, float(new.rate(7))) == (True, 0)
  loop.train(old, tmp_path / 'old')
  loop.train(new, tmp_path / 'new')
  file = tmp_path / 'old/config.json'
  config = json.loads(file.read_text())
  assert config.pop('format') == 1
  file.write_text(json.dumps(config))
  formats = [folder.format_of(tmp_path / name) for name in ('old', 'new', 'none')]
  assert formats == [1, format.FORMAT, None]
  resumed = experiment.build(small, 'small', format=formats[0])
  assert float(resumed.rate(7)) == float(old.rate(7))
  loop.train(resumed, tmp_path / 'old')
  assert folder.format_of(tmp_path / 'old') == 1
  assert record.finished(tmp_path / 'old', small)


@pytest.mark.slow
def test_resume_without_a_seed_uses_seed_0(small, tmp_path, capsys):
  """A config with seed 0 and one without a seed are the same run, also in a folder of an older
  version, which stored no seed. Such a run can be analysed.
  """
  del small['seed']
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path)
  file = tmp_path / 'config.json'
  config = json.loads(file.read_text())
  assert (config.pop('format'), config.pop('seed')) == (2, 0)
  assert subject.read(tmp_path, count=3).labels.shape == (3,)
  file.write_text(json.dumps(config))
  loop.train(experiment.build({**small, 'seed': 0}, 'small'), tmp_path)
  assert f'resuming {tmp_path} at step 4 of 8' in capsys.readouterr().out
  file.write_text(json.dumps(config))
  with pytest.raises(ValueError, match='differing in seed'):
    loop.train(experiment.build({**small, 'seed': 1}, 'small'), tmp_path)


@pytest.mark.slow
def test_resume_accepts_older_runs_with_fewer_data_facts(small, tmp_path, capsys):
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path)
  file = tmp_path / 'config.json'
  config = json.loads(file.read_text())
  assert config['dataset'].pop('steps_per_epoch') == 4
  file.write_text(json.dumps(config))
  loop.train(experiment.build(small, 'small'), tmp_path)
  assert f'resuming {tmp_path} at step 4 of 8' in capsys.readouterr().out


def test_resume_refuses_other_data(small, tmp_path, monkeypatch):
  """The config, the number of examples and the classes are the same, but the digits differ."""
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path)
  before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob('*') if path.is_file())
  packed = mnist._bundled()
  columns = {
    split: {name: values[::-1] for name, values in part.items()}
    for split, part in packed.columns.items()
  }
  monkeypatch.setattr(mnist, '_bundled', lambda: dataclasses.replace(packed, columns=columns))
  with pytest.raises(
    ValueError,
    match=rf'^{tmp_path} holds a run that was trained on other data: give the data of that run, as '
    rf'{tmp_path}/config.json names them, or another --workdir$',
  ):
    loop.train(experiment.build(small, 'small'), tmp_path)
  assert (
    sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob('*') if path.is_file())
    == before
  )


@pytest.mark.slow
def test_resume_without_checksums_requires_the_same_origin(small, tmp_path, monkeypatch, capsys):
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path)
  file = tmp_path / 'config.json'
  config = json.loads(file.read_text())
  for key in ('checksums', 'examples', 'examples_per_class'):
    del config['dataset'][key]
  file.write_text(json.dumps(config))
  packed = mnist._bundled()
  with monkeypatch.context() as patched:
    patched.setattr(mnist, '_bundled', lambda: dataclasses.replace(packed, origin='tfds'))
    with pytest.raises(
      ValueError, match=r'holds a run of another config \(differing in dataset.origin\)'
    ):
      loop.train(experiment.build(small, 'small'), tmp_path)
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), tmp_path)
  assert f'resuming {tmp_path} at step 2 of 4' in capsys.readouterr().out
  with monkeypatch.context() as patched:  # from now on checksums are stored
    patched.setattr(mnist, '_bundled', lambda: dataclasses.replace(packed, origin='tfds'))
    loop.train(experiment.build(small, 'small'), tmp_path)
  assert f'resuming {tmp_path} at step 4 of 8' in capsys.readouterr().out


@pytest.mark.slow
def test_resume_accepts_moved_but_not_changed_photographs(small_cnn, tmp_path, monkeypatch, capsys):
  """Another working directory, an absolute path, a moved folder and other workers are accepted. A
  changed photograph is refused.
  """
  for split, kind, number in itertools.product(('train', 'test'), 'ab', range(4)):
    (tmp_path / f'photos/{split}/{kind}').mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([number, ord(kind)]).integers(0, 256, (28, 28, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / f'photos/{split}/{kind}/{number}.png')
  small_cnn['model']['layers'][-2]['features'] = 2
  run = tmp_path / 'run'

  def train(steps, **data):
    loop.train(
      experiment.build(
        {
          **small_cnn,
          'train_for': f'{steps} steps',
          'data': dict(
            name='image_folder',
            size=28,
            batch_size=4,
            evaluation_batch_size=4,
            data_dir=str(tmp_path),
            workers=0,
            splits=dict(train='train', test='test'),
          )
          | data,
        },
        'photos',
      ),
      run,
    )
    return capsys.readouterr().out

  monkeypatch.chdir(tmp_path)
  train(1, folder='photos')
  monkeypatch.chdir('/')
  assert f'resuming {run} at step 1 of 2' in train(2, folder=str(tmp_path / 'photos'))
  (tmp_path / 'photos').rename(tmp_path / 'moved')
  moved = str(tmp_path / 'moved')
  assert f'resuming {run} at step 2 of 3' in train(3, folder=moved, source='folder', workers=None)
  assert json.loads((run / 'config.json').read_text())['dataset']['folder'] == moved
  with pytest.raises(ValueError, match=r'holds a run of another config \(differing in data.size, '):
    train(4, folder=moved, size=32)
  (tmp_path / 'moved/train/a/0.png').write_bytes(
    (tmp_path / 'moved/train/a/0.png').read_bytes() + b' '
  )
  with pytest.raises(
    ValueError, match='holds a run that was trained on other data: give the data of that run'
  ):
    train(4, folder=moved)


@pytest.mark.slow
def test_resume_after_sigterm_equals_uninterrupted(small, config_file, tmp_path, capsys):
  """Stops a real process with a real signal in the middle of its run; it prints how to resume."""
  small.update(
    train_for='4000 steps',  # long enough that a busy machine delivers the signal before its end
    log_every='40 steps',
    evaluate_every='4000 steps',
    checkpoint_every='4000 steps',
  )
  small['data']['splits'] = {'train': 'train[:61]'}
  command = [sys.executable, '-m', 'jaxdl.main', f'--config={config_file(small)}']
  stopped = subprocess.Popen(
    [*command, f'--workdir={tmp_path / "resumed"}'],
    cwd=ROOT,
    text=True,
    stdout=subprocess.PIPE,
    env={**os.environ, **WITHOUT_TENSORFLOW},
  )
  for line in stopped.stdout:
    if line.startswith('step 40'):
      stopped.send_signal(signal.SIGTERM)
      break
  output = stopped.stdout.read()
  assert stopped.wait(120) == 75, 'the exit code of a run that can be resumed'
  (step,) = re.findall(
    r'stopped at step (\d+), resume with: python -m jaxdl\.main --config=', output
  )
  assert last_json(output)['stopped'] == int(step)
  built = experiment.build(small, 'small')
  loop.train(built, tmp_path / 'resumed')
  assert re.search(r'resuming .* at step [\d,]+ of 4,000', capsys.readouterr().out)
  loop.train(built, tmp_path / 'uninterrupted')
  jax.tree.map(
    np.testing.assert_array_equal,
    *(state_of(built, tmp_path / name) for name in ('resumed', 'uninterrupted')),
  )
  resumed, uninterrupted = (
    [{**line, 'examples_per_second': 0} for line in files.journal(tmp_path / name)]
    for name in ('resumed', 'uninterrupted')
  )
  assert resumed == uninterrupted
