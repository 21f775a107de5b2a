"""Tests of LRP: hand-worked networks, a loop over all weights in NumPy, and conservation."""

import jax
import numpy as np
import pytest
from analysis_networks import BRANCHES, LAYERS, network

from jaxdl import models
from jaxdl.analysis import attribution, units
from jaxdl.analysis.maps import relevance, relevance_rules
from jaxdl.analysis.maps.relevance_rules import Box, Epsilon, Flat, Gamma, Rules, ZPlus
from jaxdl.analysis.units import Neuron

EXACT = Epsilon(1e-12)
RULES = {
  'ε': relevance.EPSILON,
  'ε and z⁺': relevance.EPSILON_PLUS,
  'flat': relevance.EPSILON_PLUS_FLAT,
  'box': relevance.epsilon_gamma_box((0.0, -0.5), (1.0, 1.5)),
  'γ everywhere': Rules(Gamma(0.5), Gamma(0.5), Gamma(0.5)),
}


@pytest.fixture(autouse=True)
def in_float64():
  with jax.enable_x64(True):
    yield


def two_by_two():
  """x = (1, 2) → h = (3, 1) → the logit 2.5, with weights and biases that are easy to follow."""
  model = models.build(
    dict(
      name='cnn',
      layers=(
        dict(kind='flatten'),
        dict(kind='dense', features=2),
        dict(kind='dense', features=1, activate=False, name='logits'),
      ),
    )
  )
  params = {
    'dense1': {'kernel': np.array([[1.0, 2.0], [1.0, -0.5]]), 'bias': np.zeros(2)},
    'logits': {'kernel': np.array([[1.0], [-1.0]]), 'bias': np.array([0.5])},
  }
  return model, {'params': params}, np.array([1.0, 2.0]).reshape(1, 1, 2, 1), np.array([0])


@pytest.mark.parametrize(
  ('rules', 'expected', 'absorbed'),
  [
    # ε = 0.5: h gets 3 / 3 · 2.5 and −1 / 3 · 2.5; then the outputs 3 and 1 become 3.5 and 1.5.
    (Rules(*[Epsilon(0.5)] * 3), (-0.396825, 1.984127), 1 / 3 * 2.5),
    # z⁺: h gets 3 / 3.5 · 2.5 and 0; the second unit has nothing to divide.
    (Rules(*[ZPlus()] * 3), (0.714286, 1.428571), 0.5 / 3.5 * 2.5),
    # γ = 1: h gets 6 / 6 · 2.5 and −1 / 6 · 2.5; x gets (1, 2) / 3 and (4, −1) / 3 of these.
    (Rules(*[Gamma(1.0)] * 3), (0.277778, 1.805556), 1 / 6 * 2.5),
    # z^B in 0..2: h gets 3 and −1; the second unit: 1 · 2 and 2 · −0.5 − 2 · −0.5 = 0.
    (Rules(Box(0.0, 2.0), EXACT, EXACT), (0.0, 2.0), 0.5),
    (Rules(Flat(), EXACT, EXACT), (1.0, 1.0), 0.5),
  ],
)
def test_rules_equal_numbers_worked_by_hand(rules, expected, absorbed):
  found = attribution.lrp(*two_by_two(), rules)
  np.testing.assert_allclose(found.maps.ravel(), expected, atol=3e-6)
  np.testing.assert_allclose(found.scores, 2.5)
  np.testing.assert_allclose(found.absorbed['logits'], absorbed, atol=3e-6)


def test_epsilon_grows_with_the_outputs_of_each_image():
  """The square mean of the outputs of the hidden layer is (9 + 1) / 2, so that ε is √5 / 2."""
  found = attribution.lrp(*two_by_two(), Rules(Epsilon(0.0, 0.5), EXACT, EXACT))
  epsilon = np.sqrt(5) / 2
  first, second = 3 / (3 + epsilon), -1 / (1 + epsilon)
  np.testing.assert_allclose(found.maps.ravel(), [first + 2 * second, 2 * first - second])


def test_a_sum_is_divided_in_proportion():
  """The branch gives (2, 1), all from the first input; the shortcut gives (1, 3)."""
  model = models.build(
    dict(
      name='cnn',
      layers=(
        dict(kind='residual', layers=(dict(kind='dense', features=2, activate=False),)),
        dict(kind='dense', features=1, activate=False, name='logits'),
      ),
    )
  )
  params = {
    'residual1_dense1': {'kernel': np.array([[2.0, 1.0], [0.0, 0.0]]), 'bias': np.zeros(2)},
    'logits': {'kernel': np.ones((2, 1)), 'bias': np.zeros(1)},
  }
  given = model, {'params': params}, np.array([[1.0, 3.0]]), np.array([0])
  found = attribution.lrp(*given, Rules(EXACT, EXACT, EXACT))
  np.testing.assert_allclose(found.maps, [[4, 3]], atol=1e-5)


def plus_one(layers, shape, params):
  """(model, variables) of layers, then a batch normalisation that adds 1, and a sum."""
  model = models.build(
    dict(
      name='cnn',
      layers=(
        *layers,
        dict(kind='batch_norm', epsilon=0.0),
        dict(kind='flatten'),
        dict(kind='dense', features=1, activate=False, name='logits'),
      ),
    )
  )
  channels = shape[-1]
  params = {
    **params,
    'batch_norm1': {'scale': np.ones(channels), 'bias': np.ones(channels)},
    'logits': {'kernel': np.ones((int(np.prod(shape)), 1)), 'bias': np.zeros(1)},
  }
  statistics = {'batch_norm1': {'mean': np.zeros(channels), 'var': np.ones(channels)}}
  return model, {'params': params, 'batch_stats': statistics}


def test_batch_norm_after_an_activation_passes_relevance_unchanged():
  """h = relu(2, −3) = (2, 0), and the logit is (2 + 1) + (0 + 1): the inputs get 3 and 1.

  Captum 0.9 gives (1, 1): its ReLU gets the gradient instead of what its `IdentityRule` returns.
  """
  layers = (dict(kind='conv', features=2, kernel=1),)
  params = {'conv1': {'kernel': np.eye(2).reshape(1, 1, 2, 2), 'bias': np.zeros(2)}}
  image = np.array([2.0, -3.0]).reshape(1, 1, 1, 2)
  given = plus_one(layers, (1, 1, 2), params)
  found = attribution.lrp(*given, image, np.array([0]), Rules(EXACT, EXACT, EXACT))
  np.testing.assert_allclose(found.maps.ravel(), [3, 1], atol=1e-9)
  np.testing.assert_allclose(found.scores, 4)


def test_a_maximum_of_0_keeps_its_relevance():
  """The maximum of (0, 0) is 0, and the logit 0 + 1: its relevance goes to the first pixel.

  Captum 0.9 gives (0, 0): its ε rule divides by the maximum and multiplies by the pixel.
  """
  layers = (dict(kind='max_pool', window=(1, 2)),)
  given = plus_one(layers, (1, 1, 1), {})
  found = attribution.lrp(*given, np.zeros((1, 1, 2, 1)), np.array([0]), Rules(EXACT, EXACT, EXACT))
  np.testing.assert_allclose(found.maps.ravel(), [1, 0], atol=1e-9)


def matrix(layer, shape, kernel):
  """The weights of a layer as a matrix [inputs, outputs], by a loop over all of them."""
  if kernel.ndim == 2:
    return kernel
  rows, columns, channels = shape
  size = kernel.shape[:2]
  before = [(side - 1) // 2 if layer.get('padding', 'SAME') == 'SAME' else 0 for side in size]
  out = [
    side if layer.get('padding', 'SAME') == 'SAME' else side - window + 1
    for side, window in zip(shape, size, strict=False)
  ]
  found = np.zeros((rows, columns, channels, *out, kernel.shape[3]))
  for i, j, a, b in np.ndindex(*out, *size):
    row, column = i + a - before[0], j + b - before[1]
    if 0 <= row < rows and 0 <= column < columns:
      found[row, column, :, i, j] += kernel[a, b]
  return found.reshape(rows * columns * channels, -1)


def divided(rule, inputs, weights, bias, given, limits):
  """Relevance [inputs] of one image, by a loop over the outputs."""
  found = np.zeros(len(inputs))
  outputs = inputs @ weights + bias
  epsilon = 1e-6
  if isinstance(rule, Epsilon):
    epsilon = rule.epsilon + rule.deviation * np.sqrt(np.mean(outputs**2))
  for k in range(len(outputs)):
    w, b = weights[:, k], bias[k]
    parts = inputs * w
    if isinstance(rule, ZPlus):
      parts, b = np.maximum(parts, 0), max(b, 0)
    elif isinstance(rule, Gamma):
      if outputs[k] == 0:
        continue
      sign = np.sign(outputs[k])
      parts = np.where(parts * sign > 0, (1 + rule.gamma) * parts, parts)
      b = (1 + rule.gamma) * b if b * sign > 0 else b
    elif isinstance(rule, Flat):
      parts, b = (w != 0).astype(float), 0
    elif isinstance(rule, Box):
      low, high = limits
      parts, b = inputs * w - low * np.maximum(w, 0) - high * np.minimum(w, 0), 0
    total = parts.sum() + b
    found += parts / (total + (epsilon if total >= 0 else -epsilon)) * given[k]
  return found


def by_loops(variables, image, label, rules):
  """Relevance of the pixels of one image of LAYERS, and what each layer absorbed."""
  params, running = variables['params'], variables['batch_stats']

  def normalised(name):
    scale = params[name]['scale'] / np.sqrt(running[name]['var'] + 1e-3)
    return scale, params[name]['bias'] - running[name]['mean'] * scale

  values, steps, shape = image.ravel(), [], image.shape
  for name, norm, layer in (
    ('conv1', 'batch_norm1', LAYERS[0]),
    ('conv2', None, LAYERS[4]),
    ('dense1', None, LAYERS[8]),
    ('dense2', 'logits', LAYERS[9]),
  ):
    kernel, bias = params[name]['kernel'], params[name]['bias']
    if norm:
      scale, shift = normalised(norm)
      kernel, bias = kernel * scale, bias * scale + shift
    weights = matrix(layer, shape, kernel)
    bias = np.tile(bias, weights.shape[1] // len(bias))
    steps.append(('linear', norm or name, values, weights, bias))
    values = values @ weights + bias
    if name != 'dense2':
      values = np.maximum(values, 0)
    if name == 'conv1':
      maps, pooled, winners = values.reshape(7, 6, 4), [], []
      for i, j, c in np.ndindex(3, 3, 4):
        window = maps[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        a, b = np.unravel_index(window.argmax(), (2, 2))
        pooled.append(window.max())
        winners.append(np.ravel_multi_index((2 * i + a, 2 * j + b, c), (7, 6, 4)))
      steps.append(('pool', winners, len(values)))
      values, shape = np.array(pooled), (3, 3, 4)
    if name == 'conv2':  # batch normalisation after a ReLU passes relevance on
      scale, shift = normalised('batch_norm2')
      values = (values.reshape(-1, 3) * scale + shift).ravel()
  return downward(steps, np.where(np.arange(3) == label, values, 0), image.shape, rules)


def downward(steps, given, shape, rules):
  """Relevance of the pixels and what each layer absorbed, from the inputs of all steps."""
  absorbed = {}
  for number, step in reversed(list(enumerate(steps))):
    if step[0] == 'pool':
      spread = np.zeros(step[2])
      np.add.at(spread, step[1], given)
      given = spread
      continue
    _, name, inputs, weights, bias = step
    rule = rules.dense if name in ('dense1', 'logits') else rules.convolution
    rule, limits = (rules.first if number == 0 else rule), None
    if isinstance(rule, Box):
      limits = [np.broadcast_to(limit, shape).ravel() for limit in (rule.low, rule.high)]
    found = divided(rule, inputs, weights, bias, given, limits)
    absorbed[name] = given.sum() - found.sum()
    given = found
  return given.reshape(shape), absorbed


@pytest.mark.parametrize('rules', RULES.values(), ids=RULES)
def test_lrp_equals_a_loop_over_all_weights(rules):
  model, variables, images, labels = network()
  found = attribution.lrp(model, variables, images, labels, rules)
  for number in range(3):
    maps, absorbed = by_loops(variables, images[number], labels[number], rules)
    np.testing.assert_allclose(found.maps[number], maps, rtol=1e-7, atol=1e-12)
    assert set(found.absorbed) == set(absorbed)
    for name, share in absorbed.items():
      np.testing.assert_allclose(found.absorbed[name][number], share, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize('first', [EXACT, ZPlus(), Box(0.0, 1.0), Flat()])
def test_every_layer_conserves_relevance_without_biases(first):
  """Nothing is absorbed in any layer of a network with branches, except by stabilisers."""
  given = network(BRANCHES, shape=(8, 8, 2), biases=0.0)
  found = attribution.lrp(*given, Rules(first, Gamma(), EXACT))
  logits = given[0].apply(*given[1:3])[np.arange(3), given[3]]
  np.testing.assert_allclose(found.scores, logits)
  np.testing.assert_allclose(found.maps.sum((1, 2, 3)), logits, rtol=1e-3)
  assert len(found.absorbed) == 11
  for name, share in found.absorbed.items():
    assert np.abs(share).max() < 1e-3 * np.abs(logits).max(), name


@pytest.mark.parametrize('layers', [LAYERS, BRANCHES])
def test_what_is_absorbed_completes_the_score(layers):
  given = network(layers, shape=(8, 8, 2))
  found = attribution.lrp(*given)
  total = found.maps.sum((1, 2, 3)) + sum(found.absorbed.values())
  np.testing.assert_allclose(total, found.scores)
  assert max(np.abs(share).max() for share in found.absorbed.values()) > 0.01


def test_epsilon_towards_0_is_gradient_times_input():
  layers = tuple(layer for layer in LAYERS if layer['kind'] != 'activation')
  layers = tuple(
    {**layer, 'activate': True} if layer['kind'] == 'conv' else layer for layer in layers
  )
  given = network(tuple(layer for layer in layers if layer['kind'] != 'batch_norm'))
  found = attribution.lrp(*given, Rules(EXACT, EXACT, EXACT))
  np.testing.assert_allclose(found.maps, attribution.input_x_gradient(*given), rtol=1e-6, atol=1e-9)


def test_a_neuron_is_divided_at_its_strongest_position():
  model, variables, images, _ = network()
  target = Neuron('conv2', 0)
  found = attribution.lrp(model, variables, images, target)
  output = np.asarray(units.outputs(model, variables, images, ['conv2'])[1]['conv2'])[..., 0]
  np.testing.assert_allclose(found.scores, output.reshape(3, -1).max(1))
  total = found.maps.sum((1, 2, 3)) + sum(found.absorbed.values())
  np.testing.assert_allclose(total, found.scores)
  assert set(found.absorbed) == {'batch_norm1', 'conv2'}


def test_the_size_of_batches_changes_nothing():
  given = network()
  for rules in RULES.values():
    found = attribution.lrp(*given, rules)
    np.testing.assert_allclose(
      attribution.lrp(*given, rules, batch_size=2).maps, found.maps, rtol=1e-9, atol=1e-12
    )


def test_rules_of_equal_numbers_are_different():
  """Compiled programs are kept by their rules; ε with two numbers is not z^B with the same two."""
  assert Epsilon(0.0, 1.0) != Box(0.0, 1.0)
  assert ZPlus() != Flat()


@pytest.mark.parametrize(
  ('layers', 'message'),
  [
    ((dict(kind='layer_norm'),), "LRP has no rule for layer 'layer_norm1' of kind LayerNorm"),
    ((dict(kind='group_norm', groups=1),), "layer 'group_norm1' of kind GroupNorm"),
    ((dict(kind='conv_transpose', features=2, kernel=2),), 'of kind ConvTranspose'),
  ],
)
def test_layers_without_a_rule_are_named(layers, message):
  ending = (dict(kind='flatten'), dict(kind='dense', features=3, activate=False))
  with pytest.raises(ValueError, match=message) as error:
    attribution.lrp(*network((*layers, *ending)))
  assert '\n' not in str(error.value)


def test_errors_name_the_rule_and_the_images():
  given = network()
  for rules, message in (
    (relevance.epsilon_gamma_box(0.0, 0.5), r'outside of Box\(low=0.0, high=0.5\)'),
    (relevance.epsilon_gamma_box((0.0, 0.0, 0.0), 1.0), 'does not fit images of 2 channels'),
    (relevance.epsilon_gamma_box(0.0, (1.0, 1.0, 1.0)), 'does not fit images of 2 channels'),
    (Rules(EXACT, Box(0.0, 1.0), EXACT), 'use it as the first rule only'),
  ):
    with pytest.raises(ValueError, match=message):
      attribution.lrp(*given, rules)
  with pytest.raises(ValueError, match='low=1.0 is not below high=0.0'):
    relevance.epsilon_gamma_box(1.0, 0.0)
  recurrent = models.build(dict(name='recurrent', cell='gru', features=2, classes=3))
  rows = np.random.default_rng(0).random((2, 3, 4))
  with pytest.raises(ValueError, match="LRP is defined for the model 'cnn', not for Recurrent"):
    attribution.lrp(recurrent, recurrent.init(jax.random.PRNGKey(0), rows), rows, np.array([0, 1]))
  assert Epsilon(1e-6) == relevance_rules.NO_EPSILON
