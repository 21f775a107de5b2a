"""Tests of LRP through recurrent networks: by hand, against a loop in NumPy, and conservation."""

import jax
import numpy as np
import pytest

from jaxdl import models
from jaxdl.analysis import Neuron
from jaxdl.analysis.maps import recurrent_lrp
from jaxdl.analysis.maps.last_character import differentiable
from jaxdl.analysis.reference.operations import sigmoid

TARGET = np.array([0, 2, 1])
STEPS = (6, 2, 4)  # real steps of three masked sequences
GATES = {'rnn': 1, 'lstm': 4, 'gru': 3}  # parts of a kernel
PLACE = {'rnn': 0, 'lstm': 2, 'gru': 2}  # of the candidate among them


def build_network(section, inputs):
  model, generator = models.build(section), np.random.default_rng(0)
  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), inputs)
  return model, jax.tree.map(
    lambda leaf: generator.normal(size=leaf.shape) / np.sqrt(leaf.shape[0]), shapes
  )


def rows(*, masked=False):
  inputs = np.random.default_rng(1).normal(size=(3, 6, 3))
  if masked:
    inputs[..., -1] = np.arange(6) < np.array(STEPS)[:, None]
    inputs *= inputs[..., -1:]
  return inputs


def lstm_of_one_unit(dense_bias):
  """Gates of exactly 1/2, a candidate tanh(x), and a dense layer of 4 · h."""
  layer = {
    'input_kernel': np.array([[0.0, 0.0, 1.0, 0.0]]),
    'recurrent_kernel': np.zeros((1, 4)),
    'bias': np.zeros(4),
  }
  dense = {'kernel': np.array([[4.0]]), 'bias': np.array([dense_bias])}
  model = models.build(dict(name='recurrent', cell='lstm', features=1, classes=1))
  return model, {'params': {'lstm': layer, 'logits': dense}}


def test_lrp_of_one_lstm_unit_by_hand():
  """The memory is 0.15 from step 1 and 0.10 from step 2, so they take 60 % and 40 %."""
  # candidates 0.6 and 0.2; memory 0.3, then 0.5 · 0.3 + 0.5 · 0.2 = 0.25
  steps = np.arctanh([[[0.6], [0.2]]])
  of_unit = 4 * 0.5 * np.tanh(0.25)  # 0.4898
  with jax.enable_x64(True):
    for bias in (0.0, 0.1):
      model, variables = lstm_of_one_unit(bias)
      found = recurrent_lrp.recurrent_lrp(model, variables, steps, np.array([0]), epsilon=0)
      np.testing.assert_allclose(found.maps[0, :, 0], [0.6 * of_unit, 0.4 * of_unit], rtol=1e-12)
      np.testing.assert_allclose(found.biases, [bias], rtol=1e-12, atol=1e-15)
      np.testing.assert_allclose(found.stabiliser, [0], atol=1e-15)


def test_lrp_of_one_simple_unit_by_hand():
  """With activations of 0.5 and 0.8, the weights are shares of the sums before them."""
  first, second = np.arctanh(0.5), np.arctanh(0.8)  # the sums before the activations
  layer = {
    'input_kernel': np.array([[1.0]]),
    'recurrent_kernel': np.array([[2.0]]),
    'bias': np.array([0.0]),
  }
  variables = {'params': {'rnn': layer, 'logits': {'kernel': np.ones((1, 1)), 'bias': np.zeros(1)}}}
  model = models.build(dict(name='recurrent', cell='rnn', features=1, classes=1))
  steps = np.array([[[first], [second - 2 * 0.5]]])
  share = 1 / second  # 2 · 0.5 from step 1, of the sum artanh(0.8) = 1.0986
  with jax.enable_x64(True):
    found = recurrent_lrp.recurrent_lrp(model, variables, steps, np.array([0]), epsilon=0)
  np.testing.assert_allclose(found.maps[0, :, 0], [0.8 * share, 0.8 * (1 - share)], rtol=1e-12)


def divided(terms, total, relevance, epsilon):
  """Relevance of each term [n, m] of m sums."""
  return (terms / (total + np.where(total < 0, -epsilon, epsilon)) * relevance).sum(1)


def read(cell, layer, steps):
  """The values of a layer for one sequence, step by step."""
  features = len(layer['recurrent_kernel'])
  hidden = memory = np.zeros(features)
  kept = []
  for vector in steps:
    of_inputs = np.split(vector @ layer['input_kernel'] + layer['bias'], GATES[cell])
    of_hidden = np.split(hidden @ layer['recurrent_kernel'], GATES[cell])
    one = {'vector': vector, 'before': hidden, 'reset': np.ones(features)}
    if cell == 'rnn':
      one['sum'] = of_inputs[0] + of_hidden[0]
      hidden = np.tanh(one['sum'])
    elif cell == 'lstm':
      i, f, one['sum'], o = (np.add(*pair) for pair in zip(of_inputs, of_hidden, strict=True))
      one['old'], one['new'] = sigmoid(f) * memory, sigmoid(i) * np.tanh(one['sum'])
      memory = one['old'] + one['new']
      hidden = sigmoid(o) * np.tanh(memory)
    else:
      extra = np.split(layer['recurrent_bias'], 3)
      update = sigmoid(of_inputs[0] + of_hidden[0] + extra[0])
      one['reset'] = sigmoid(of_inputs[1] + of_hidden[1] + extra[1])
      one['sum'] = of_inputs[2] + one['reset'] * (of_hidden[2] + extra[2])
      one['old'], one['new'] = update * hidden, (1 - update) * np.tanh(one['sum'])
      hidden = one['old'] + one['new']
    kept.append({**one, 'hidden': hidden})
  return kept


def relevance_of_steps(cell, layer, kept, relevance, epsilon):
  """Relevance of the inputs of a layer from that of its states [T, F], for one sequence."""
  features = len(layer['recurrent_kernel'])
  part = slice(PLACE[cell] * features, (PLACE[cell] + 1) * features)
  kernel, recurrent = layer['input_kernel'][:, part], layer['recurrent_kernel'][:, part]
  of_hidden, of_memory, found = np.zeros(features), np.zeros(features), []
  for one, of_output in reversed(list(zip(kept, relevance, strict=True))):
    candidate = of_hidden + of_output + of_memory
    of_old = np.zeros(features)
    if cell != 'rnn':
      both = np.stack([one['old'], one['new']])
      total = both.sum(0)
      of_old, candidate = both / (total + np.where(total < 0, -epsilon, epsilon)) * candidate
    found.append(divided(one['vector'][:, None] * kernel, one['sum'], candidate, epsilon))
    terms = one['before'][:, None] * recurrent * one['reset']
    of_hidden = divided(terms, one['sum'], candidate, epsilon)
    of_memory = of_old if cell == 'lstm' else np.zeros(features)
    of_hidden = of_hidden + (of_old if cell == 'gru' else 0)
  return np.array(found[::-1])


def stacked(model, parameters, steps, target, epsilon):
  """Relevance of one sequence without padding, for layers in one or both directions."""
  cell, layers, outputs = model.cell, [], steps
  names = [
    [
      name + direction
      for direction in ('', '_forward', '_backward')
      if name + direction in parameters
    ]
    for name in (cell, f'{cell}1', f'{cell}2')
  ]
  for directions in filter(None, names):
    layer = []
    for name in directions:
      order = slice(None, None, -1 if name.endswith('_backward') else 1)
      layer.append((name, order, read(cell, parameters[name], outputs[order])))
    outputs = np.concatenate(
      [np.array([one['hidden'] for one in kept])[order] for _, order, kept in layer], axis=1
    )
    layers.append(layer)
  share = np.zeros_like(outputs)
  if getattr(model, 'pool', 'last') == 'mean':
    share[:] = 1 / len(steps)
  else:
    width = outputs.shape[1] // len(layers[-1])
    share[-1, :width] = 1
    share[-1 if len(layers[-1]) == 1 else 0, width:] = 1
  pooled = (outputs * share).sum(0)
  kernel, bias = parameters['logits']['kernel'][:, target], parameters['logits']['bias'][target]
  logit = pooled @ kernel + bias
  relevance = divided((pooled * kernel)[:, None], np.array([logit]), np.array([logit]), epsilon)
  own = epsilon if getattr(model, 'pool', 'last') == 'mean' else 0  # one state is no sum
  relevance = outputs * share / (pooled + np.where(pooled < 0, -own, own)) * relevance
  for layer in reversed(layers):
    total, width = 0, relevance.shape[1] // len(layer)
    for number, (name, order, kept) in enumerate(layer):
      part = relevance[order, number * width : (number + 1) * width]
      total = total + relevance_of_steps(cell, parameters[name], kept, part, epsilon)[order]
    relevance = total
  return relevance


@pytest.mark.parametrize(
  'section',
  [
    dict(cell='rnn', features=4),
    dict(cell='lstm', features=4, layers=2, bidirectional=True, masked=True),
    dict(cell='gru', features=4, layers=2, bidirectional=True, masked=True, pool='mean'),
  ],
  ids=lambda section: section['cell'],
)
def test_lrp_equals_a_loop_and_conserves_the_score(section):
  """A sequence with padding is compared with the loop over its real steps alone."""
  inputs = rows(masked=section.get('masked', False))
  with jax.enable_x64(True):
    model, variables = build_network(dict(name='recurrent', classes=3, **section), inputs)
    scores = np.asarray(jax.jit(model.apply)(variables, inputs))[np.arange(3), TARGET]
    for epsilon in (0.0, 0.01):
      found = recurrent_lrp.recurrent_lrp(
        model, variables, inputs, TARGET, epsilon=epsilon, batch_size=2
      )
      total = found.maps.sum((1, 2)) + found.biases + found.stabiliser
      np.testing.assert_allclose(total, scores, rtol=1e-10)
      assert (found.stabiliser == 0).all() == (epsilon == 0)
      for number, target in enumerate(TARGET):
        count = STEPS[number] if model.masked else 6
        steps = inputs[number, :count, : 2 if model.masked else 3]
        expected = stacked(model, variables['params'], steps, target, epsilon)
        actual = found.maps[number, :count, : steps.shape[1]]
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-12)
        assert not found.maps[number, count:].any(), 'padding has relevance'
        assert not model.masked or not found.maps[number, :, -1].any(), 'the mask has relevance'


def test_lrp_of_a_character_model_equals_the_loop():
  characters = np.random.default_rng(2).integers(0, 5, (3, 6)).astype(np.int32)
  section = dict(name='language_model', cell='lstm', features=4, classes=5, layers=2)
  with jax.enable_x64(True):
    model, variables = build_network({**section, 'embedding': 3}, characters)
    last, vectors = differentiable(model, variables, characters)
    found = recurrent_lrp.recurrent_lrp(last, variables, vectors, TARGET)
    for number, target in enumerate(TARGET):
      expected = stacked(model, variables['params'], vectors[number], target, recurrent_lrp.EPSILON)
      np.testing.assert_allclose(found.maps[number], expected, rtol=1e-8, atol=1e-12)


def test_lrp_of_other_models_and_targets_raises():
  section = dict(name='transformer', features=8, classes=5, layers=1, heads=2, context=8)
  characters = np.zeros((1, 4), np.int32)
  transformer, variables = build_network(section, characters)
  last, vectors = differentiable(transformer, variables, characters)
  with pytest.raises(ValueError, match='no rule here for products of two signals'):
    recurrent_lrp.recurrent_lrp(last, variables, vectors, np.array([0]))
  model, variables = lstm_of_one_unit(0.0)
  steps = np.ones((1, 2, 1))
  with pytest.raises(ValueError, match='epsilon=-1 is negative'):
    recurrent_lrp.recurrent_lrp(model, variables, steps, np.array([0]), epsilon=-1)
  with pytest.raises(ValueError, match='LRP explains the logit of a class'):
    recurrent_lrp.recurrent_lrp(model, variables, steps, Neuron('lstm', 0))
