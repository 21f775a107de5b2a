"""Tests of the evolution of features, and of runs that keep several checkpoints."""

import dataclasses
import functools

import jax
import numpy as np
import optax
import pytest
from training_helpers import train_together

from jaxdl import models
from jaxdl.analysis import evolution, neurons, units
from jaxdl.analysis.activations import activations
from jaxdl.analysis.attribution import deconvnet
from jaxdl.runs import checkpoint
from jaxdl.step import state
from jaxdl.training import experiment, loop

NETWORK = dict(
  name='cnn',
  layers=[
    dict(kind='conv', features=2, kernel=3),
    dict(kind='max_pool', window=2),
    dict(kind='conv', features=3, kernel=3),
    dict(kind='flatten'),
    dict(kind='dense', features=4, activate=False, name='logits'),
  ],
)


@functools.cache
def initial_state():
  return (
    state.trace_initial_state(models.build(NETWORK), optax.sgd(0.1), seed=0, input_shape=(8, 8, 1))
    .lower()
    .compile()()
  )


def save_checkpoints(workdir, steps, keep_every=1):
  """Saves a checkpoint with different random parameters for each step."""
  initial = initial_state()
  with checkpoint.manager(workdir, keep_every) as checkpoints:
    for step in steps:
      generator = np.random.default_rng(step)
      params = jax.tree.map(
        lambda leaf, generator=generator: generator.normal(size=leaf.shape).astype(np.float32),
        initial.params,
      )
      params['conv2']['bias'] = np.ones(3, np.float32)
      if step == 4:
        params['conv2']['bias'][2] = -1e6  # channel 2 is dead
      # On a constant image, all units away from the border have the same output.
      params['conv1']['kernel'] = np.abs(params['conv1']['kernel'])
      params['logits']['bias'][1] = -1e4
      checkpoint.save(
        checkpoints,
        dataclasses.replace(initial, step=np.int32(step), params=params),
        {'model': NETWORK, 'data': {'name': 'own', 'batch_size': 1}},
      )
    checkpoint.read_back(checkpoints, initial)


@pytest.mark.slow
def test_evolution_maps_back_the_largest_output_per_checkpoint(tmp_path):
  save_checkpoints(tmp_path, [2, 4, 7])
  images = np.random.default_rng(0).random((6, 8, 8, 1)).astype(np.float32)
  found = evolution.features(tmp_path, 'conv2', 2, images)
  assert found.steps.tolist() == [2, 4, 7]
  assert found.dead.tolist() == [False, True, False]
  assert found.maps.shape == (3, 8, 8, 1)
  for number, step in enumerate(found.steps.tolist()):
    model, variables, _ = checkpoint.load_model(tmp_path, step)
    output = activations(model, variables, images, ['conv2'])['conv2'][..., 2]  # [6, H, W]
    position = np.unravel_index(output.argmax(), output.shape)
    assert (found.images[number], *found.places[number]) == position
    np.testing.assert_allclose(found.values[number], output.max(), rtol=1e-5)
    if step == 4:
      assert not found.maps[number].any()
      continue
    expected = deconvnet(
      model,
      variables,
      images[position[0]][None],
      units.Neuron('conv2', 2, tuple(map(int, position[1:]))),
    )[0]
    np.testing.assert_allclose(found.maps[number], expected, rtol=1e-5, atol=1e-6)
    top, bottom, left, right = neurons.box(model, (8, 8, 1), 'conv2', position[1:])
    assert found.maps[number][top:bottom, left:right].any()
    found.maps[number][top:bottom, left:right] = 0
    assert not found.maps[number].any()


def test_evolution_of_a_negative_logit_is_not_dead(tmp_path):
  save_checkpoints(tmp_path, [1, 2])
  images = np.random.default_rng(0).random((3, 8, 8, 1)).astype(np.float32)
  found = evolution.features(tmp_path, 'logits', 1, images)
  assert found.values.max() < 0
  assert not found.dead.any()
  assert found.maps.any((1, 2, 3)).tolist() == [True, True]


def test_evolution_maps_back_one_of_equal_units(tmp_path):
  """On a constant image, all units away from the border have the same output."""
  save_checkpoints(tmp_path, [1, 2])
  found = evolution.features(tmp_path, 'conv1', 0, np.ones((1, 8, 8, 1), np.float32))
  assert not found.dead.any()
  assert (found.maps != 0).sum((1, 2, 3)).tolist() == [9, 9]


def test_evolution_needs_two_checkpoints(tmp_path):
  save_checkpoints(tmp_path / 'one', [3])
  for name, count in (('one', 1), ('none', 0)):
    with pytest.raises(
      ValueError,
      match=rf'{name} keeps {count} checkpoints and at least 2 are needed: train it again with '
      r"--config.keep_every='1 epoch'$",
    ):
      evolution.features(tmp_path / name, 'conv2', 0, np.zeros((1, 8, 8, 1), np.float32))


def test_evolution_does_not_delete_checkpoints(tmp_path):
  save_checkpoints(tmp_path, range(1, 8), keep_every=3)
  assert checkpoint.kept_steps(tmp_path) == [3, 6, 7]
  checkpoint.load_model(tmp_path, 3)
  assert checkpoint.last_step(tmp_path) == 7
  assert checkpoint.kept_steps(tmp_path) == [3, 6, 7]


@pytest.mark.slow
def test_keep_every_keeps_checkpoints_of_a_resumed_run(small, tmp_path):
  """Steps 3 and 6 are kept in addition to the last and the best one."""
  small.update(checkpoint_every='8 steps')
  config = {**small, 'keep_every': '3 steps'}
  loop.train(experiment.build({**config, 'train_for': '5 steps'}, 'small'), tmp_path / 'run')
  best = loop.train(experiment.build(config, 'small'), tmp_path / 'run')['step']
  assert checkpoint.kept_steps(tmp_path / 'run') == sorted({3, 6, 8, best})


@pytest.mark.slow
def test_keep_every_keeps_checkpoints_of_runs_compiled_together(small, tmp_path):
  small.update(keep_every='3 steps', checkpoint_every='8 steps')
  folders = [tmp_path / 'zero', tmp_path / 'one']
  train_together([experiment.build({**small, 'seed': seed}, 'small') for seed in (0, 1)], folders)
  for folder in folders:
    assert {3, 6, 8} <= set(checkpoint.kept_steps(folder))


def test_keep_every_must_be_a_duration(small):
  with pytest.raises(
    ValueError,
    match=r"^config.keep_every='often' is not a duration: write '5500 steps' or '20 epochs'$",
  ):
    experiment.build({**small, 'keep_every': 'often'}, 'small')
