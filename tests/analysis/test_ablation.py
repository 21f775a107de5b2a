"""Tests of ablation: a network worked by hand, and equality with loops that change the weights."""

import copy

import jax
import numpy as np
import pytest

from jaxdl import models
from jaxdl.analysis import ablation
from jaxdl.analysis.reference import recurrence

DENSE = dict(
  name='cnn',
  layers=(
    dict(kind='dense', features=2, name='hidden'),
    dict(kind='dense', features=2, activate=False, name='logits'),
  ),
)
CONV = dict(
  name='cnn',
  layers=(
    dict(kind='conv', features=5, kernel=3, name='first'),
    dict(kind='batch_norm'),
    dict(kind='conv', features=4, kernel=3, name='second'),
    dict(kind='flatten'),
    dict(kind='dense', features=3, activate=False, name='logits'),
  ),
)


def initialised(section, inputs, seed=0):
  """Returns a model and random variables as nested dicts of NumPy arrays."""
  model = models.build(section)
  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), inputs)
  draw = np.random.default_rng(seed)
  variables = jax.tree_util.tree_map_with_path(
    lambda path, leaf: np.float32(
      draw.uniform(0.5, 2, leaf.shape) if path[-1].key == 'var' else draw.normal(0, 0.5, leaf.shape)
    ),
    dict(shapes),
  )
  return model, variables


@pytest.fixture(scope='module')
def net():
  """(model, variables, images, labels); channel 2 of the first layer is dead."""
  draw = np.random.default_rng(1)
  images = draw.normal(size=(13, 6, 5, 2)).astype(np.float32)
  model, variables = initialised(CONV, images)
  variables['params']['first']['bias'][2] = -1e3
  return model, variables, images, (np.arange(13) % 3).astype(np.int32)


def losses_of(logits, labels):
  logits = np.asarray(logits, np.float64)
  return np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]


def test_ablation_of_a_network_worked_by_hand():
  """Unit 0 votes for class 0 and unit 1 for class 1; the inputs are the units."""
  model = models.build(DENSE)
  identity = {'kernel': np.eye(2, dtype=np.float32), 'bias': np.zeros(2, np.float32)}
  variables = {'params': {'hidden': identity, 'logits': copy.deepcopy(identity)}}
  inputs, labels = np.float32([[2, 0], [4, 1], [0, 3]]), np.int32([0, 0, 1])
  found = ablation.effects(model, variables, inputs, labels, 'hidden')

  def loss(own, other):
    return np.log(1 + np.exp(other - own))

  intact = [loss(2, 0), loss(4, 1), loss(3, 0)]
  assert found.intact_loss == pytest.approx(np.mean(intact))
  assert found.intact_accuracy.tolist() == [1, 1]
  np.testing.assert_allclose(
    found.losses,
    np.array([[loss(0, 0), loss(0, 1), loss(3, 0)], [loss(2, 0), loss(4, 0), loss(0, 0)]]) - intact,
    atol=1e-6,
  )
  # Without unit 0, the logits are (0, 0), (0, 1) and (0, 3): of equal ones, class 0 is predicted.
  assert found.accuracy.tolist() == [[-0.5, 0], [0, -1]]
  to_mean = ablation.effects(model, variables, inputs, labels, 'hidden', to='mean')
  np.testing.assert_allclose(to_mean.fill, [2, 4 / 3], rtol=1e-6)
  np.testing.assert_allclose(
    to_mean.losses[0], np.array([loss(2, 0), loss(2, 1), loss(3, 2)]) - intact, atol=1e-6
  )


def test_a_single_intervention_equals_its_row_of_several(net):
  keep = np.array([[True] * 5, [True, False, True, False, True]])
  fill = np.array([0, 0.5, 0, -1, 0], np.float32)
  both = ablation.interventions(*net, 'first', keep, fill)
  one = ablation.interventions(*net, 'first', keep[1:], fill)
  np.testing.assert_allclose(one.losses, both.losses[1:], atol=1e-6)
  np.testing.assert_array_equal(one.predicted, both.predicted[1:])
  with pytest.raises(ValueError, match=r'keep of shape \(0, 5\) for the 5 channels of first: give'):
    ablation.interventions(*net, 'first', keep[:0], fill)


def test_ablation_equals_a_loop_that_sets_kernels_to_zero(net):
  model, variables, images, labels = net
  for layer, count in (('first', 5), ('second', 4)):
    found = ablation.effects(model, variables, images, labels, layer)
    intact = model.apply(variables, images)
    for channel in range(count):
      changed = copy.deepcopy(variables)
      changed['params'][layer]['kernel'][..., channel] = 0
      changed['params'][layer]['bias'][channel] = 0
      logits = model.apply(changed, images)
      expected = losses_of(logits, labels) - losses_of(intact, labels)
      np.testing.assert_allclose(found.losses[channel], expected, atol=2e-5)
      for label in range(3):
        here = labels == label
        change = (np.argmax(logits, 1) == labels)[here].mean() - (np.argmax(intact, 1) == labels)[
          here
        ].mean()
        assert found.accuracy[channel, label] == pytest.approx(change)


def test_a_dead_channel_changes_nothing(net):
  for to in ablation.TO:
    found = ablation.effects(*net, 'first', to=to)
    assert not found.losses[2].any()
    assert not found.accuracy[2].any()
    assert found.losses[[0, 1, 3, 4]].any(1).all()


def test_effects_do_not_depend_on_the_batches_or_the_order_of_examples(net, monkeypatch):
  model, variables, images, labels = net
  found = ablation.effects(*net, 'first', to='mean')
  monkeypatch.setattr(ablation, 'NUMBERS', 1)  # one channel in a call
  other = ablation.effects(
    model, variables, images[::-1], labels[::-1], 'first', to='mean', batch_size=4
  )
  np.testing.assert_allclose(found.losses, other.losses[:, ::-1], atol=1e-5)  # losses of up to 29
  assert np.argsort(found.loss).tolist() == np.argsort(other.loss).tolist()
  np.testing.assert_array_equal(found.accuracy, other.accuracy)


def gru_with(inputs, parameters, unit, value):
  """States of a GRU whose unit has a fixed value before, at and after every step."""
  hidden = np.zeros((len(inputs), len(parameters['recurrent_kernel'])))
  states = []
  for step in range(inputs.shape[1]):
    hidden[:, unit] = value
    first = inputs[:, step] @ parameters['input_kernel'] + parameters['bias']
    second = hidden @ parameters['recurrent_kernel'] + parameters['recurrent_bias']
    (u, r, c), (hu, hr, hc) = np.split(first, 3, axis=1), np.split(second, 3, axis=1)
    update, reset = 1 / (1 + np.exp(-u - hu)), 1 / (1 + np.exp(-r - hr))
    hidden = update * hidden + (1 - update) * np.tanh(c + reset * hc)
    hidden[:, unit] = value
    states.append(hidden.copy())
  return np.stack(states, 1)


@pytest.mark.parametrize('cell', ['rnn', 'lstm', 'gru'])
def test_hidden_units_are_removed_from_the_recurrence_too(cell):
  draw = np.random.default_rng(2)
  inputs, labels = draw.normal(size=(7, 4, 3)).astype(np.float32), np.arange(7) % 3
  model, variables = initialised(dict(name='recurrent', cell=cell, features=4, classes=3), inputs)
  found = ablation.effects(model, variables, inputs, labels.astype(np.int32), cell)
  own, last = variables['params'][cell], variables['params']['logits']
  intact = losses_of(model.apply(variables, inputs), labels)
  for unit in range(4):
    kernel = np.array(own['recurrent_kernel'])
    kernel[unit] = 0
    hidden = recurrence.CELLS[cell](inputs, {**own, 'recurrent_kernel': kernel})['hidden']
    hidden[..., unit] = 0
    logits = hidden[:, -1] @ last['kernel'] + last['bias']
    np.testing.assert_allclose(found.losses[unit], losses_of(logits, labels) - intact, atol=1e-5)
  if cell == 'gru':
    to_mean = ablation.effects(model, variables, inputs, labels.astype(np.int32), cell, to='mean')
    for unit in range(4):
      logits = (
        gru_with(inputs, own, unit, to_mean.fill[unit])[:, -1] @ last['kernel'] + last['bias']
      )
      expected = losses_of(logits, labels) - intact
      np.testing.assert_allclose(to_mean.losses[unit], expected, atol=1e-5)


def test_pruning_removes_the_least_important_channels_first(net):
  model, variables, images, labels = net
  importance = {'up': np.arange(4.0), 'down': -np.arange(4.0), 'equal': np.zeros(4)}
  found = ablation.pruning(*net, 'second', importance, shares=(0, 0.25, 0.5, 1))
  for name, removed in (
    ('up', ([], [0], [0, 1], range(4))),
    ('down', ([], [3], [3, 2], range(4))),
    ('equal', ([], [0], [0, 1], range(4))),
  ):
    for accuracy, channels in zip(found[name], removed, strict=True):
      changed = copy.deepcopy(variables)
      for channel in channels:
        changed['params']['second']['kernel'][..., channel] = 0
        changed['params']['second']['bias'][channel] = 0
      expected = (np.argmax(model.apply(changed, images), 1) == labels).mean()
      assert accuracy == pytest.approx(expected)


def test_weight_norms_of_kernels():
  conv = {
    'params': {'block': {'c': {'kernel': np.arange(8.0).reshape(2, 1, 2, 2), 'bias': [9, 9]}}}
  }
  np.testing.assert_allclose(ablation.weight_norms(conv, 'c'), np.sqrt([56, 84]))
  # two units with the gates side by side: unit 0 has the columns 0, 2
  cell = {'input_kernel': np.array([[1.0, 2, 3, 4]]), 'recurrent_kernel': np.eye(2, 4)}
  norms = ablation.weight_norms({'params': {'rnn': cell}}, 'rnn')
  np.testing.assert_allclose(norms, np.sqrt([1 + 9 + 1, 4 + 16 + 1]))
  with pytest.raises(ValueError, match="layer 'flatten' has no weights"):
    ablation.weight_norms(conv, 'flatten')


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'layer': 'third'}, "layer 'third' is unknown: use one of first, "),
    ({'to': 'one'}, "to='one' is unknown: use zero or mean"),
    ({'labels': np.full(13, 3, np.int32)}, 'target has labels from 3 to 3: use 0 to 2'),
  ],
)
def test_invalid_ablations_raise(net, change, message):
  model, variables, images, labels = net
  arguments = {'layer': 'first', 'labels': labels, **change}
  with pytest.raises(ValueError, match=message):
    ablation.effects(model, variables, images, **arguments)
