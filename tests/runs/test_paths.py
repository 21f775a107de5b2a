"""Runs in folders of any name: patterns, quotes, line breaks, every script, long names, links."""

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
NASTY = 'lr[1e-3]*?\\ "\'#%41&$(x)`{a,b}|;<é漢😀>\n-~'


@pytest.fixture(scope='module')
def first():
  traced = state.trace_initial_state(
    models.build(MODEL), optax.adam(0.1), seed=0, input_shape=(4, 4, 1)
  )
  return traced.lower().compile()()


def at(first, step):
  """A State whose parameters are functions of the step."""
  params = jax.tree.map(lambda leaf: np.full(leaf.shape, step, leaf.dtype), first.params)
  return dataclasses.replace(first, step=np.int32(step), params=params)


def save_and_read(first, workdir):
  """Saves three checkpoints, and reads them in a later session and as an analysis does."""
  with checkpoint.manager(workdir) as checkpoints:
    for step in (1, 2, 3):
      checkpoint.save(checkpoints, at(first, step), {'model': MODEL}, validation_loss=float(step))
    checkpoint.read_back(checkpoints, first)
  assert checkpoint.kept_steps(workdir) == [1, 2, 3]  # 1 has the lowest validation loss
  with checkpoint.manager(workdir) as checkpoints:
    found = checkpoint.restore_last(checkpoints, first)
    best = checkpoint.restore_best(checkpoints, found)
  jax.tree.map(np.testing.assert_array_equal, found, at(first, 3))
  jax.tree.map(np.testing.assert_array_equal, best, at(first, 1))
  _, variables, _ = checkpoint.load_model(workdir, 2)
  jax.tree.map(np.testing.assert_array_equal, variables['params'], at(first, 2).params)
  assert not (pathlib.Path(workdir) / 'damaged').exists()


def names(alphabet):
  """Names of folders, of 255 bytes at most."""
  text = st.text(alphabet, min_size=1, max_size=60)
  return text.filter(lambda name: name not in ('.', '..') and len(os.fsencode(name)) <= 255)


def check_names(first, folder, count):
  special = st.sampled_from('[]*?\\!"#$%&\'(){}|;:<>,=^`~@+- .\n\t\r\x01\x7fab1')
  text = st.characters(exclude_categories=['Cs'], exclude_characters='/\0')
  numbers = iter(range(10**6))

  @cases(count)
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
  def one(name):
    workdir = folder / str(next(numbers)) / name / 'run'
    workdir.mkdir(parents=True)
    save_and_read(first, workdir)

  one()


def test_paths_checkpoints_are_saved_and_read_in_a_folder_of_any_name(first, tmp_path, monkeypatch):
  (tmp_path / 'temporary').mkdir()
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
  check_names(first, tmp_path, 10)
  assert not list((tmp_path / 'temporary').iterdir())  # every link was removed


@pytest.mark.slow
def test_paths_checkpoints_in_folders_of_many_names(first, tmp_path):
  check_names(first, tmp_path, 300)


def test_paths_a_pattern_does_not_match_another_run(first, tmp_path):
  """The checkpoints of `a1b` and `a2b` are not those of `a*b`."""
  for name in ('a1b', 'a2b'):
    with checkpoint.manager(tmp_path / name) as checkpoints:
      for step in (1, 2, 3):
        checkpoint.save(checkpoints, at(first, 10 * step), {'model': MODEL})
  save_and_read(first, tmp_path / 'a*b')


def test_paths_relative_linked_and_with_another_temporary_folder(first, tmp_path, monkeypatch):
  (tmp_path / '[here]').mkdir()
  (tmp_path / '[here]/linked').mkdir()
  (tmp_path / 'link').symlink_to(tmp_path / '[here]/linked')
  monkeypatch.chdir(tmp_path / '[here]')
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / '[here]'))  # a pattern, too
  for workdir in ('run', './-run', '../[here]/other', tmp_path / 'link'):
    save_and_read(first, workdir)
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
def test_paths_that_libraries_take_as_they_are(path, plain):
  assert bool(checkpoint.PLAIN.fullmatch(path)) == plain


def test_paths_without_a_temporary_folder_are_refused(small, tmp_path, monkeypatch):
  def refuse(*_, **__):
    raise PermissionError('no')

  monkeypatch.setattr(checkpoint.tempfile, 'TemporaryDirectory', refuse)
  with pytest.raises(
    OSError, match=r'\[x\]/checkpoints has a special character .*: rename it, or set'
  ):
    loop.train(experiment.build(small, 'small'), tmp_path / '[x]')


def test_paths_that_are_no_text_are_refused(tmp_path):
  with pytest.raises(
    ValueError, match=r"^the folder '.*\\udcff' has a name that is not UTF-8: name another$"
  ):
    disk.make_folder(tmp_path / os.fsdecode(b'\xff'))
  assert not list(tmp_path.iterdir())


def test_paths_a_run_in_a_folder_of_any_name_resumes_to_the_bit(small, tmp_path):
  workdir, built = tmp_path / NASTY / NASTY, experiment.build(small, 'small')
  straight = loop.train(built, tmp_path / 'straight')
  loop.train(experiment.build({**small, 'train_for': '4 steps'}, 'small'), workdir)
  assert {**loop.train(built, workdir), 'seconds': 0} == {**straight, 'seconds': 0}
  states = [state_of(built, folder) for folder in (workdir, tmp_path / 'straight')]
  jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.slow
def test_paths_every_command_works_in_a_folder_of_any_name(small, config_file, tmp_path):
  """Train, train longer, analyze, status, sweep, report, as a user gives them in the folder above."""

  def run(*arguments):
    done = run_child('-m', *arguments, folder=tmp_path / NASTY, environment=WITHOUT_TENSORFLOW)
    assert done.returncode == 0, done.stderr
    assert 'damaged' not in done.stderr
    assert 'Traceback' not in done.stderr
    return done.stdout

  (tmp_path / NASTY).mkdir()
  file = config_file(small)
  axes = [dict(name='rate', choices=[dict(name='[slow]*')])]
  config_file(dict(base='small.py', seeds=[0, 1], axes=axes), 'sweep')
  run('jaxdl.main', f'--config={file}', f'--workdir=-{NASTY}', '--config.train_for=4 steps')
  shown = run('jaxdl.main', f'--config={file}', f'--workdir=-{NASTY}')
  assert re.search(r'resuming -lr\[1e-3\][\s\S]* at step 4 of 8', shown)
  assert "\nlook inside: python -m jaxdl.analyze './-lr[1e-3]" in shown
  run('jaxdl.analyze', f'./-{NASTY}', '--only=weights,statistics')
  assert json.loads(run('jaxdl.status', '.').splitlines()[-1])[0]['checkpoint'] == 8
  run('jaxdl.sweep', f'--config={tmp_path / "sweep.py"}', f'--workdir={NASTY}', '--together=always')
  assert len(json.loads(run('jaxdl.status', '.').splitlines()[-1])) == 3
  run('jaxdl.report', f'./-{NASTY}')
  run('jaxdl.report', f'./-{NASTY}', f'{NASTY}/slow/seed0', f'--out={NASTY}/compare.html')
  assert 'statistics' in (tmp_path / NASTY / f'-{NASTY}/report.html').read_text()
