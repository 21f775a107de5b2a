"""Runs in folders of any name: patterns, quotes, line breaks, Unicode, long names and links."""

import dataclasses
import json
import os
import pathlib
import re
import tempfile

import jax
import numpy as np
import optax
import pytest
from fuzzing import cases
from helpers import WITHOUT_TENSORFLOW, run_child, state_of
from hypothesis import example, given
from hypothesis import strategies as st

from jaxdl import models
from jaxdl.runs import checkpoint, disk
from jaxdl.step import state
from jaxdl.training import experiment, loop

MODEL = dict(
  name='cnn',
  layers=[dict(kind='flatten'), dict(kind='dense', features=3, activate=False, name='logits')],
)
CONFIG = {'model': MODEL, 'data': {'name': 'own', 'batch_size': 1}}
SPECIAL_NAME = 'lr[1e-3]*?\\ "\'#%41&$(x)`{a,b}|;<é漢😀>\n-~'


@pytest.fixture(scope='module')
def initial_state():
  traced = state.trace_initial_state(
    models.build(MODEL), optax.adam(0.1), seed=0, input_shape=(4, 4, 1)
  )
  return traced.lower().compile()()


def state_at(initial_state, step):
  """A State whose parameters are all equal to the step."""
  params = jax.tree.map(lambda leaf: np.full(leaf.shape, step, leaf.dtype), initial_state.params)
  return dataclasses.replace(initial_state, step=np.int32(step), params=params)


def save_and_read(initial_state, workdir):
  """Saves three checkpoints and reads them, as a later session and as an analysis does."""
  with checkpoint.manager(workdir) as checkpoints:
    for step in (1, 2, 3):
      checkpoint.save(checkpoints, state_at(initial_state, step), CONFIG, score=float(step))
    checkpoint.read_back(checkpoints, initial_state)
  assert checkpoint.kept_steps(workdir) == [1, 2, 3]  # 1 has the lowest validation loss
  with checkpoint.manager(workdir) as checkpoints:
    found = checkpoint.restore_last(checkpoints, initial_state)
    best = checkpoint.restore_best(checkpoints, found)
  jax.tree.map(np.testing.assert_array_equal, found, state_at(initial_state, 3))
  jax.tree.map(np.testing.assert_array_equal, best, state_at(initial_state, 1))
  _, variables, _ = checkpoint.load_model(workdir, 2)
  jax.tree.map(
    np.testing.assert_array_equal, variables['params'], state_at(initial_state, 2).params
  )
  assert not (pathlib.Path(workdir) / 'damaged').exists()


def names(alphabet):
  """A strategy of folder names of at most 255 bytes."""
  text = st.text(alphabet, min_size=1, max_size=60)
  return text.filter(lambda name: name not in ('.', '..') and len(os.fsencode(name)) <= 255)


def test_paths_checkpoints_work_in_folders_of_any_name(initial_state, tmp_path, monkeypatch):
  (tmp_path / 'temporary').mkdir()
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
  for name in ('[x]', '**', '漢' * 85, os.fsdecode(b'\xff')):
    workdir = tmp_path / name / 'run'
    workdir.mkdir(parents=True)
    save_and_read(initial_state, workdir)
  assert not list((tmp_path / 'temporary').iterdir())  # every temporary link was removed


@pytest.mark.slow
def test_paths_checkpoints_work_in_folders_of_many_names(initial_state, tmp_path):
  special = st.sampled_from('[]*?\\!"#$%&\'(){}|;:<>,=^`~@+- .\n\t\r\x01\x7fab1')
  text = st.characters(exclude_categories=['Cs'], exclude_characters='/\0')
  numbers = iter(range(10**6))

  @cases(300)
  @given(st.one_of(names(special), names(text)))
  @example('[x]')
  @example('**')
  @example('[!a]')
  @example('gs:')
  @example('file:')
  @example('%41')
  @example('\\')
  @example('e\u0301')
  @example('\u202e')
  @example('-a')
  @example('[' * 255)
  @example('漢' * 85)
  @example(os.fsdecode(b'\xff'))
  def check_one_name(name):
    workdir = tmp_path / str(next(numbers)) / name / 'run'
    workdir.mkdir(parents=True)
    save_and_read(initial_state, workdir)

  check_one_name()


def test_paths_pattern_does_not_match_another_run(initial_state, tmp_path):
  """The checkpoints of `a1b` and `a2b` are not those of `a*b`."""
  for name in ('a1b', 'a2b'):
    with checkpoint.manager(tmp_path / name) as checkpoints:
      for step in (1, 2, 3):
        checkpoint.save(checkpoints, state_at(initial_state, 10 * step), CONFIG)
  save_and_read(initial_state, tmp_path / 'a*b')


def test_paths_may_be_relative_or_linked(initial_state, tmp_path, monkeypatch):
  """The temporary folder may also have a special name."""
  (tmp_path / '[here]').mkdir()
  (tmp_path / '[here]/linked').mkdir()
  (tmp_path / 'link').symlink_to(tmp_path / '[here]/linked')
  monkeypatch.chdir(tmp_path / '[here]')
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / '[here]'))  # also a pattern
  for workdir in ('run', './-run', '../[here]/other', tmp_path / 'link'):
    save_and_read(initial_state, workdir)
  assert sorted(path.name for path in pathlib.Path().iterdir()) == [
    '-run',
    'linked',
    'other',
    'run',
  ]


@pytest.mark.parametrize(
  ('path', 'plain'),
  [
    ('/home/a b/runs/lr=1e-3,x@2+3~/é', True),
    ('/gs/run', False),
    ('/s3/run', False),
    ('/gsa/run', True),
    ('/a[x]', False),
    ('/a\nb', False),
    ('/a:b', False),
  ],
)
def test_paths_without_special_characters_are_recognised(path, plain):
  assert bool(checkpoint.PLAIN.fullmatch(path)) == plain


def test_paths_with_special_characters_need_a_temporary_folder(small, tmp_path, monkeypatch):
  def refuse(*_, **__):
    raise PermissionError('no')

  monkeypatch.setattr(checkpoint.tempfile, 'TemporaryDirectory', refuse)
  with pytest.raises(
    OSError, match=r'\[x\]/checkpoints has a special character .*: rename it, or set'
  ):
    loop.train(experiment.build(small, 'small'), tmp_path / '[x]')


def test_paths_that_are_not_utf8_are_refused(tmp_path, monkeypatch):
  """Also a path through a link, or relative to a folder of such a name."""
  folder = tmp_path / os.fsdecode(b'\xff')
  message = r"^the folder '.*\\udcff(/run)?' has a name that is not UTF-8: name another$"
  with pytest.raises(ValueError, match=message):
    disk.make_folder(folder)
  assert not list(tmp_path.iterdir())
  folder.mkdir()
  (tmp_path / 'link').symlink_to(folder)
  monkeypatch.chdir(folder)
  for path in (tmp_path / 'link', tmp_path / 'link/run', 'run', '.'):
    with pytest.raises(ValueError, match=message):
      disk.make_folder(path)
  assert not list(folder.iterdir())


def test_paths_run_in_a_special_folder_resumes_exactly(small, tmp_path):
  workdir, built = tmp_path / SPECIAL_NAME / SPECIAL_NAME, experiment.build(small, 'small')
  uninterrupted = loop.train(built, tmp_path / 'uninterrupted')
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), workdir)
  assert {**loop.train(built, workdir), 'seconds': 0} == {**uninterrupted, 'seconds': 0}
  states = [state_of(built, folder) for folder in (workdir, tmp_path / 'uninterrupted')]
  jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.slow
def test_paths_every_command_works_in_a_special_folder(small, config_file, tmp_path):
  """Train, extend, analyze, status, sweep and report, called as by a user in the parent folder."""

  def run(*arguments):
    done = run_child(
      '-m', *arguments, folder=tmp_path / SPECIAL_NAME, environment=WITHOUT_TENSORFLOW
    )
    assert done.returncode == 0, done.stderr
    assert 'damaged' not in done.stderr
    assert 'Traceback' not in done.stderr
    return done.stdout

  (tmp_path / SPECIAL_NAME).mkdir()
  file = config_file(small)
  axes = [dict(name='rate', choices=[dict(name='[slow]*')])]
  config_file(dict(base='small.py', seeds=[0, 1], axes=axes), 'sweep')
  run('jaxdl.main', f'--config={file}', f'--workdir=-{SPECIAL_NAME}', '--config.train_for=4 steps')
  shown = run('jaxdl.main', f'--config={file}', f'--workdir=-{SPECIAL_NAME}')
  assert re.search(r'resuming -lr\[1e-3\][\s\S]* at step 4 of 8', shown)
  assert "\nlook inside: python -m jaxdl.analyze './-lr[1e-3]" in shown
  run('jaxdl.analyze', f'./-{SPECIAL_NAME}', '--only=weights,statistics')
  assert json.loads(run('jaxdl.status', '.').splitlines()[-1])[0]['checkpoint'] == 8
  run(
    'jaxdl.sweep',
    f'--config={tmp_path / "sweep.py"}',
    f'--workdir={SPECIAL_NAME}',
    '--together=always',
  )
  assert len(json.loads(run('jaxdl.status', '.').splitlines()[-1])) == 3
  run('jaxdl.report', f'./-{SPECIAL_NAME}')
  run(
    'jaxdl.report',
    f'./-{SPECIAL_NAME}',
    f'{SPECIAL_NAME}/slow/seed0',
    f'--out={SPECIAL_NAME}/compare.html',
  )
  assert 'statistics' in (tmp_path / SPECIAL_NAME / f'-{SPECIAL_NAME}/report.html').read_text()
