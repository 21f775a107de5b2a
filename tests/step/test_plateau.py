"""Tests of the plateau schedule and early stopping on given losses, and of resuming them."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import state_of

from jaxdl.runs import checkpoint
from jaxdl.step import plateau
from jaxdl.training import experiment, loop, programs

# Validation loss by step. Nothing is lower than at step 4 until step 10: with a patience of 4
# steps, the rate is cut at step 8.
LOSSES = {2: 1.0, 4: 0.9, 6: 0.95, 8: 0.91, 10: 0.8, 12: 0.85}


@pytest.fixture
def given_losses(monkeypatch):
  """Makes evaluation return LOSSES, and at all other steps a lower loss, which must not count."""

  def of_splits(built):
    return lambda current: {
      'validation': {'loss': LOSSES.get(int(current.step), 0.5), 'correct': 0, 'count': 1}
    }

  monkeypatch.setattr(programs.evaluation, 'of_splits', of_splits)


@pytest.fixture
def short_config(small):
  """The small config for 12 steps, evaluated every 2 and saved every 3 steps."""
  return {
    **small,
    'train_for': '12 steps',
    'log_every': '2 steps',
    'evaluate_every': '2 steps',
    'checkpoint_every': '3 steps',
  }


def memories_after(losses, **arguments):
  """Yields the memory after each (step, loss)."""
  memory = jax.device_get(
    plateau.with_plateau_memory(optax.identity()).init(jnp.zeros(2))['memory']
  )
  for step, loss in losses:
    memory = plateau.observe(memory, loss, step, **arguments)
    yield memory


def test_plateau_equals_hand_computed_values():
  """The factor is cut after 4 steps without a lower loss, and again 4 steps later.

  It never falls below the minimum of 0.3. An equal loss is not an improvement.
  """
  losses = [
    (2, 1.0),
    (4, 1.0),
    (6, 2.0),
    (8, 1.5),
    (10, 1.0),
    (12, 0.5),
    (14, 0.6),
    (16, float('nan')),
    (20, 0.7),
  ]
  memories = list(memories_after(losses, patience=4, factor=0.5, minimum=0.3))
  np.testing.assert_allclose(
    [memory['factor'] for memory in memories], [1, 1, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3]
  )
  assert [plateau.steps_without_improvement(memory) for memory in memories] == [
    0,
    2,
    4,
    6,
    8,
    0,
    2,
    4,
    8,
  ]
  assert [float(memory['best']) for memory in memories] == [1.0] * 5 + [0.5] * 4


def test_without_patience_the_factor_stays_one():
  assert [
    float(memory['factor']) for memory in memories_after([(step, 1.0) for step in range(1, 50)])
  ] == [1.0] * 49


def test_without_a_factor_or_a_minimum_the_rate_is_not_cut_or_cut_without_end():
  losses = [(step, 1.0) for step in range(1, 8)]
  for factor, expected in ((None, [1.0] * 7), (0.5, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125])):
    given = {} if factor is None else {'factor': factor}
    memories = memories_after(losses, patience=2, **given)
    assert [float(memory['factor']) for memory in memories] == expected


def test_factor_multiplies_the_learning_rate():
  """Halving the factor after one step equals a schedule that halves there, with momentum."""

  def optimizer(schedule):
    return optax.chain(optax.trace(0.9), optax.scale_by_learning_rate(schedule))

  plain, cut = (
    optimizer(lambda step: jnp.where(step < 1, 0.1, 0.05)),
    plateau.with_plateau_memory(optimizer(0.1)),
  )
  params, gradients = jnp.zeros(3), jnp.array([1.0, -2.0, 0.5])
  expected_state, state = plain.init(params), cut.init(params)
  for step in range(3):
    expected, expected_state = plain.update(gradients, expected_state, params)
    found, state = cut.update(gradients, state, params)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    if step == 0:
      state['memory']['factor'] = jnp.float32(0.5)


@pytest.mark.usefixtures('given_losses')
@pytest.mark.slow
def test_learning_rate_of_each_logged_step_is_recorded(short_config, tmp_path):
  """Warm-up over 4 steps, then 0.01, and 0.005 after the cut at step 8; evaluations have none."""
  config = {
    **short_config,
    'plateau': dict(patience='4 steps', factor=0.5),
    'schedule': dict(name='constant', warmup='4 steps'),
  }
  loop.train(experiment.build(config, 'small'), tmp_path)
  lines = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
  assert {line['step']: line['learning_rate'] for line in lines if line['split'] == 'train'} == {
    2: 0.005,
    4: 0.01,
    6: 0.01,
    8: 0.01,
    10: 0.005,
    12: 0.005,
  }
  assert not any('learning_rate' in line for line in lines if line['split'] != 'train')


@pytest.mark.usefixtures('given_losses')
@pytest.mark.parametrize('stop', [8, 'crash'])
@pytest.mark.slow
def test_resumed_plateau_equals_uninterrupted_bit_for_bit(
  stop, short_config, tmp_path, monkeypatch
):
  """Stops at the evaluation that cuts, or is killed after it, before the next checkpoint."""
  config = {**short_config, 'plateau': dict(patience='4 steps', factor=0.5)}
  built = experiment.build(config, 'small')
  loop.train(built, tmp_path / 'uninterrupted')
  if stop == 'crash':
    save = checkpoint.save

    def interrupted_save(checkpoints, current, *rest, **keywords):
      if int(current.step) >= 8:
        raise KeyError('killed')
      save(checkpoints, current, *rest, **keywords)

    with monkeypatch.context() as patched:
      patched.setattr(checkpoint, 'save', interrupted_save)
      with pytest.raises(KeyError):
        loop.train(built, tmp_path / 'resumed')
  else:
    loop.train(
      experiment.build({**config, 'train_for': f'{stop} steps'}, 'small'), tmp_path / 'resumed'
    )
  loop.train(built, tmp_path / 'resumed')
  expected, found = (state_of(built, tmp_path / name) for name in ('uninterrupted', 'resumed'))
  jax.tree.map(np.testing.assert_array_equal, found, expected)
  memory = {name: float(value) for name, value in found.opt_state['memory'].items()}
  assert memory == {
    'best': pytest.approx(0.8),
    'best_step': 10,
    'cut_step': 8,
    'last_step': 12,
    'factor': 0.5,
  }


@pytest.mark.usefixtures('given_losses')
@pytest.mark.parametrize('stop', [None, 7])
@pytest.mark.slow
def test_early_stopping_finishes_the_run_for_good(stop, short_config, tmp_path, capsys):
  built = experiment.build({**short_config, 'early_stopping': '4 steps'}, 'small')
  if stop:
    loop.train(
      experiment.build(
        {**short_config, 'early_stopping': '4 steps', 'train_for': f'{stop} steps'}, 'small'
      ),
      tmp_path,
    )
  first = loop.train(built, tmp_path)
  assert (
    'no lower validation loss for 4 steps: stopped early at step 8'
    in capsys.readouterr().out.splitlines()
  )
  assert (first['stopped_early'], first['stopped']) == (8, None)
  assert int(state_of(built, tmp_path).step) == 8
  if not stop:
    assert first['step'] == 4
  journal = (tmp_path / 'metrics.jsonl').read_text()
  assert max(json.loads(line)['step'] for line in journal.splitlines()) == 8
  second = loop.train(built, tmp_path)
  assert 'is finished already, at step 8' in capsys.readouterr().out
  assert (tmp_path / 'metrics.jsonl').read_text() == journal
  assert second == first


@pytest.mark.parametrize(
  ('keys', 'message'),
  [
    (dict(early_stopping=10), r"config\.early_stopping=10 is not a duration: write '5500 steps'"),
    (dict(plateau=dict()), r'config\.plateau\.patience is missing'),
    (
      dict(plateau=dict(patience='2 epochs', factor=1.0)),
      r'config\.plateau\.factor=1\.0 is out of range: use a number above 0 to below 1',
    ),
    (
      dict(plateau=dict(patience='2 epochs', minimum=1.0)),
      r'config\.plateau\.minimum=1\.0 is out of range: use a number from 0 to below 0\.01',
    ),
    (
      dict(plateau=dict(patience='2 epochs', wait=1)),
      r'config\.plateau\.wait is not a key of this section: its keys are patience, factor, minimum',
    ),
  ],
)
def test_invalid_key_error_names_the_fix(keys, message, small):
  with pytest.raises(ValueError, match=f'^{message}'):
    experiment.build({**small, **keys}, 'small')


@pytest.mark.parametrize('key', ['plateau', 'early_stopping'])
def test_missing_validation_split_error_names_the_fix(key, small):
  del small['data']['splits']['validation']
  small[key] = dict(patience='1 epoch') if key == 'plateau' else '1 epoch'
  with pytest.raises(
    ValueError,
    match=rf'^config\.{key} follows the validation loss, but there is none: add config\.data\.splits\.validation',
  ):
    experiment.build(small, 'small')
