"""A channel at every kept checkpoint, and the runs that keep several."""

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
def first_state():
  return (
    state.trace_initial_state(models.build(NETWORK), optax.sgd(0.1), seed=0, input_shape=(8, 8, 1))
    .lower()
    .compile()()
  )


def keep(workdir, steps, keep_every=1):
  """Saves a checkpoint with other parameters for each step."""
  first = first_state()
  with checkpoint.manager(workdir, keep_every) as checkpoints:
    for step in steps:
      generator = np.random.default_rng(step)
      params = jax.tree.map(
        lambda leaf, draw=generator: draw.normal(size=leaf.shape).astype(np.float32), first.params
      )
      params['conv2']['bias'] = np.array(
        [1, 1, -1e6 if step == 4 else 1], np.float32
      )  # channel 2 is dead at step 4
      params['conv1']['kernel'] = np.abs(
        params['conv1']['kernel']
      )  # the inside of an even image excites all alike
      params['logits']['bias'][1] = -1e4
      checkpoint.save(
        checkpoints,
        dataclasses.replace(first, step=np.int32(step), params=params),
        {'model': NETWORK},
      )


def test_evolution_maps_the_strongest_output_back_at_every_checkpoint(tmp_path):
  keep(tmp_path, [2, 4, 7])
  images = np.random.default_rng(0).random((6, 8, 8, 1)).astype(np.float32)
  found = evolution.features(tmp_path, 'conv2', 2, images)
  assert found.steps.tolist() == [2, 4, 7]
  assert found.dead.tolist() == [False, True, False]
  assert found.maps.shape == (3, 8, 8, 1)
  for number, step in enumerate(found.steps.tolist()):
    model, variables, _ = checkpoint.load_model(tmp_path, step)
    output = activations(model, variables, images, ['conv2'])['conv2'][..., 2]  # [6, H, W]
    place = np.unravel_index(output.argmax(), output.shape)
    assert (found.images[number], *found.places[number]) == place
    np.testing.assert_allclose(found.values[number], output.max(), rtol=1e-5)
    if step == 4:
      assert not found.maps[number].any()
      continue
    expected = deconvnet(
      model, variables, images[place[0]][None], units.Neuron('conv2', 2, tuple(map(int, place[1:])))
    )[0]
    np.testing.assert_allclose(found.maps[number], expected, rtol=1e-5, atol=1e-6)
    top, bottom, left, right = neurons.box(model, (8, 8, 1), 'conv2', place[1:])
    assert found.maps[number][top:bottom, left:right].any()
    found.maps[number][top:bottom, left:right] = 0
    assert not found.maps[number].any()


def test_evolution_of_a_logit(tmp_path):
  keep(tmp_path, [1, 2])
  images = np.random.default_rng(0).random((3, 8, 8, 1)).astype(np.float32)
  found = evolution.features(tmp_path, 'logits', 1, images)
  assert found.values.max() < 0  # which is no reason to call a logit dead
  assert not found.dead.any()
  assert found.maps.any((1, 2, 3)).tolist() == [True, True]


def test_evolution_maps_one_unit_back_where_many_are_equal(tmp_path):
  """An even image: all units but those of the border tie for the first place, which one of them
  takes.
  """
  keep(tmp_path, [1, 2])
  found = evolution.features(tmp_path, 'conv1', 0, np.ones((1, 8, 8, 1), np.float32))
  assert not found.dead.any()
  assert (found.maps != 0).sum((1, 2, 3)).tolist() == [9, 9]


def test_evolution_needs_two_checkpoints(tmp_path):
  keep(tmp_path / 'one', [3])
  for name, count in (('one', 1), ('none', 0)):
    with pytest.raises(
      ValueError,
      match=rf'{name} keeps {count} checkpoints and at least 2 are needed: train it again with '
      r"--config.keep_every='1 epoch'$",
    ):
      evolution.features(tmp_path / name, 'conv2', 0, np.zeros((1, 8, 8, 1), np.float32))


def test_evolution_reads_without_taking_checkpoints_away(tmp_path):
  keep(tmp_path, range(1, 8), keep_every=3)
  assert checkpoint.kept_steps(tmp_path) == [3, 6, 7]
  checkpoint.load_model(tmp_path, 3)
  assert checkpoint.last_step(tmp_path) == 7
  assert checkpoint.kept_steps(tmp_path) == [3, 6, 7]


@pytest.mark.slow
def test_keep_every_keeps_checkpoints_of_a_run_that_is_stopped_and_resumed(small, tmp_path):
  """8 steps, evaluated at 4 and 8, saved at 5 and 8: 3 and 6 are kept too."""
  small.update(checkpoint_every='8 steps')
  keeping = {**small, 'keep_every': '3 steps'}
  loop.train(experiment.build({**keeping, 'train_for': '5 steps'}, 'small'), tmp_path / 'keeping')
  best = loop.train(experiment.build(keeping, 'small'), tmp_path / 'keeping')['step']
  assert checkpoint.kept_steps(tmp_path / 'keeping') == sorted({3, 6, 8, best})


@pytest.mark.slow
def test_keep_every_keeps_checkpoints_of_runs_trained_together(small, tmp_path):
  small.update(keep_every='3 steps', checkpoint_every='8 steps')
  folders = [tmp_path / 'zero', tmp_path / 'one']
  train_together([experiment.build({**small, 'seed': seed}, 'small') for seed in (0, 1)], folders)
  for folder in folders:
    assert {3, 6, 8} <= set(checkpoint.kept_steps(folder))


def test_keep_every_is_a_duration(small):
  with pytest.raises(
    ValueError,
    match=r"^config.keep_every='often' is not a duration: write '5500 steps' or '20 epochs'$",
  ):
    experiment.build({**small, 'keep_every': 'often'}, 'small')
