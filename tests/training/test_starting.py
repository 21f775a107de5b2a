"""Runs that start from the parameters of another run."""

import json
import shutil

import jax
import numpy as np
import pytest
from helpers import BN_CNN, SMALL, state_of, with_steady_adam
from training_helpers import train_together

from jaxdl import main
from jaxdl.report import page
from jaxdl.runs import checkpoint, integrity
from jaxdl.runs.folder import format_of
from jaxdl.training import experiment, loop


@pytest.fixture(scope='module')
def other(tmp_path_factory):
  """The folder of a run of 2 steps, of the network of the fixture small_cnn."""
  folder = tmp_path_factory.mktemp('runs') / 'other'
  data = {**SMALL['data'], 'layout': 'image'}
  config = {**SMALL, 'model': BN_CNN, 'data': data, 'train_for': '2 steps', 'seed': 5}
  loop.train(experiment.build(config, 'other'), folder)
  return folder


@pytest.fixture
def plain_cnn(small_cnn):
  """The config small_cnn without augmentation, which compiles faster."""
  return {**small_cnn, 'data': {**small_cnn['data'], 'augment': []}}


def train(config, folder):
  """Trains or resumes a run, as `jaxdl.train` does, without its pictures."""
  return loop.train(experiment.build(config, 'small', format=format_of(folder)), folder)


def first_state(config):
  """The State at step 0."""
  built = experiment.build(config, 'small')
  drawn = built.initial_state()
  return drawn, built.with_variables(drawn, built.start().over(drawn.variables()))


def test_parameters_and_statistics_are_those_of_the_best_checkpoint(other, plain_cnn):
  _, start = first_state({**plain_cnn, 'start_from': str(other), 'ema_decay': 0.9})
  _, variables, _ = checkpoint.load_model(other)
  jax.tree.map(np.testing.assert_array_equal, start.variables(), variables)
  jax.tree.map(np.testing.assert_array_equal, start.params, variables['params'])
  assert int(start.step) == 0
  assert all(not leaf.any() for leaf in jax.tree.leaves(start.opt_state))


def test_what_does_not_fit_is_listed_and_starts_as_drawn(other, plain_cnn, tmp_path, capsys):
  layers = [dict(layer) for layer in plain_cnn['model']['layers']]
  layers[0]['features'] = 4
  layers[5]['name'] = 'head'
  layers[6]['name'] = 'final'
  config = {**plain_cnn, 'start_from': str(other)}
  config['model'] = {**config['model'], 'layers': layers}
  drawn, start = first_state(config)
  _, variables, _ = checkpoint.load_model(other)
  np.testing.assert_array_equal(
    start.params['conv1']['kernel'], variables['params']['conv1']['kernel']
  )
  for layer in ('head', 'final'):
    jax.tree.map(np.testing.assert_array_equal, start.params[layer], drawn.params[layer])
  summary = train({**config, 'train_for': '2 steps'}, tmp_path / 'run')
  said = capsys.readouterr().out
  assert f'starting from step 2 of {other}: 2 of 4 layers with weights' in said
  assert 'head (bias [10], kernel [196, 10]) is not there: it is initialised' in said
  assert f'dense1 of {other} is not used' in said
  assert summary['step'] > 0


def test_another_shape_is_named(other, plain_cnn):
  layers = [dict(layer) for layer in plain_cnn['model']['layers']]
  layers[0]['kernel'] = 3
  config = {**plain_cnn, 'model': {**plain_cnn['model'], 'layers': layers}}
  built = experiment.build({**config, 'start_from': str(other)}, 'small')
  (line,) = built.start().lines[1:]
  assert line == (
    'conv1 (bias [4], kernel [3, 3, 1, 4]) has bias [4], kernel [5, 5, 1, 4] there: it is '
    'initialised'
  )


@pytest.mark.slow
def test_a_resumed_run_does_not_need_the_other_one(other, plain_cnn, tmp_path):
  """To the bit; the config records the other run, its step and its checksum."""
  shutil.copytree(other, tmp_path / 'other')
  config = {**plain_cnn, 'train_for': '4 steps', 'start_from': str(tmp_path / 'other')}
  train(config, tmp_path / 'uninterrupted')
  train({**config, 'train_for': '2 steps'}, tmp_path / 'resumed')
  shutil.rmtree(tmp_path / 'other')
  train(config, tmp_path / 'resumed')
  built = experiment.build(plain_cnn, 'small')
  expected, found = (state_of(built, tmp_path / name) for name in ('uninterrupted', 'resumed'))
  assert int(found.step) == 4
  jax.tree.map(np.testing.assert_array_equal, found, expected)
  sha256 = integrity.of_folder(other / 'checkpoints/2/model')
  for name in ('uninterrupted', 'resumed'):
    kept = json.loads((tmp_path / name / 'config.json').read_text())
    assert kept['origin'] == {'start_from': config['start_from'], 'step': 2, 'sha256': sha256}
    _, _, saved = checkpoint.load_model(tmp_path / name, 'last')
    assert saved['origin'] == kept['origin']
  with pytest.raises(ValueError, match='another config .differing in start_from'):
    train(plain_cnn, tmp_path / 'resumed')
  page.write_report(tmp_path / 'resumed')
  assert 'started from' in (tmp_path / 'resumed/card.md').read_text()


@pytest.mark.slow
def test_runs_compiled_together_start_from_their_own_run(other, plain_cnn, tmp_path):
  config = with_steady_adam({**plain_cnn, 'start_from': str(other), 'train_for': '2 steps'})
  builts = [experiment.build({**config, 'seed': seed}, 'small') for seed in (0, 1)]
  train_together(builts, [tmp_path / 'a', tmp_path / 'b'])
  loop.train(builts[1], tmp_path / 'alone')
  together, alone = (state_of(builts[1], tmp_path / name) for name in ('b', 'alone'))
  jax.tree.map(
    lambda one, two: np.testing.assert_allclose(one, two, atol=1e-6), together.params, alone.params
  )


@pytest.mark.parametrize(
  ('value', 'message'),
  [
    (5, 'config.start_from=5 is not a string: write the folder of a run'),
    ('runs/none', 'config.start_from: runs/none does not exist'),
  ],
)
def test_a_wrong_place_is_one_line(value, message, small, tmp_path):
  with pytest.raises((ValueError, OSError), match=message):
    main.train({**small, 'start_from': value}, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_a_run_with_no_common_layer_is_refused(other, small, tmp_path):
  with pytest.raises(ValueError, match=r'has no layer of the same name and shape \(logits'):
    main.train({**small, 'start_from': str(other)}, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
