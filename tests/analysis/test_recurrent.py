"""Tests of the analysis of recurrent networks: steps, states, gates and characters."""

import jax
import numpy as np
import pytest
from helpers import BN_CNN

from jaxdl import models
from jaxdl.analysis import characters, recurrent
from jaxdl.analysis.activations import activations
from jaxdl.analysis.reference.operations import sigmoid

VOCABULARY = '\n ()ab'


def build_network(section, inputs, scale=1.0):
  """Returns a model and random variables, `scale` times as large as at initialisation."""
  model, generator = models.build(section), np.random.default_rng(0)
  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), inputs)
  return model, jax.tree.map(
    lambda leaf: (scale * generator.normal(size=leaf.shape) / np.sqrt(leaf.shape[0])).astype(
      np.float32
    ),
    shapes,
  )


def random_rows(count=7, steps=4):
  return np.random.default_rng(1).random((count, steps, 3), np.float32)


@pytest.mark.parametrize(('cell', 'pool'), [('lstm', 'last'), ('rnn', 'last'), ('rnn', 'mean')])
def test_recurrent_by_step_equals_the_network_on_shorter_sequences(cell, pool):
  model, variables = build_network(
    dict(name='recurrent', cell=cell, features=5, classes=3, pool=pool), random_rows()
  )
  labels = np.array([0, 1, 2, 0, 1, 2, 0])
  found = recurrent.by_step(model, variables, random_rows(), labels, batch_size=3)
  apply = jax.jit(model.apply)
  for step in range(4):
    logits = np.asarray(apply(variables, random_rows()[:, : step + 1]), np.float64)
    assert found.accuracy[step] == np.mean(logits.argmax(-1) == labels)
    loss = np.log(np.exp(logits).sum(-1)) - logits[np.arange(7), labels]
    assert found.loss[step] == pytest.approx(loss.mean(), abs=1e-6)


def test_recurrent_states_preserve_lengths_and_distances():
  """With as many components as units, the projection is exact. Paths start at the zero state."""
  model, variables = build_network(
    dict(name='recurrent', cell='gru', features=4, classes=3), random_rows()
  )
  hidden = activations(model, variables, random_rows(), ['gru'])['gru']
  found = recurrent.states(model, variables, random_rows(), components=4)
  assert found.points.shape == (7, 4, 4)
  np.testing.assert_allclose(
    np.linalg.norm(found.points - found.start, axis=-1), np.linalg.norm(hidden, axis=-1), rtol=1e-5
  )
  np.testing.assert_allclose(
    np.linalg.norm(np.diff(found.points, axis=1), axis=-1),
    np.linalg.norm(np.diff(hidden, axis=1), axis=-1),
    rtol=1e-4,
    atol=1e-6,
  )
  assert found.explained.sum() == pytest.approx(1)
  assert (np.diff(found.explained) <= 0).all()
  np.testing.assert_allclose(
    recurrent.states(model, variables, random_rows()).points, found.points[..., :2], atol=1e-12
  )


# cell → gate → index of its part of the kernels
GATES = {'lstm': dict(input=0, forget=1, output=3), 'gru': dict(update=0, reset=1)}


@pytest.mark.parametrize('cell', ['lstm', 'gru'])
@pytest.mark.parametrize('stacked', [False, True])
def test_recurrent_gates_equal_those_computed_from_states(cell, stacked):
  if stacked:
    section = dict(name='language_model', cell=cell, features=5, layers=2, embedding=3, classes=6)
    inputs = np.random.default_rng(2).integers(0, 6, (4, 9))
    input_layer, layer = 'dropout1', f'{cell}2'
  else:
    section = dict(name='recurrent', cell=cell, features=5, classes=3)
    inputs = random_rows()
    input_layer, layer = None, cell
  model, variables = build_network(section, inputs, scale=4.0)
  found = activations(model, variables, inputs, [name for name in (input_layer, layer) if name])
  layer_inputs = inputs if input_layer is None else found[input_layer]
  hidden = np.pad(found[layer], ((0, 0), (1, 0), (0, 0)))[:, :-1]  # before each step
  parameters = variables['params'][layer]
  sums = (
    layer_inputs @ parameters['input_kernel']
    + parameters['bias']
    + hidden @ parameters['recurrent_kernel']
    + parameters.get('recurrent_bias', 0)
  )
  shares = recurrent.gates(model, variables, inputs, batch_size=3)
  assert list(shares) == list(GATES[cell])
  for gate, part in GATES[cell].items():
    values = sigmoid(sums[..., 5 * part : 5 * part + 5])
    np.testing.assert_allclose(shares[gate].low, (values < 0.1).mean((0, 1)), atol=1e-12)
    np.testing.assert_allclose(shares[gate].high, (values > 0.9).mean((0, 1)), atol=1e-12)
  # Neither all nor no values are low, so that the comparison can fail.
  assert 0 < np.mean([share.low for share in shares.values()]) < 0.6


def hand_set_lstm():
  """Returns an LSTM of three units with hand-set weights.

  The first unit is random. The second is 1 inside brackets. The third counts the characters since
  the last line break.
  """
  model = models.build(dict(name='language_model', cell='lstm', features=3, classes=6))
  generator = np.random.default_rng(0)
  kernel = np.zeros((6, 4, 3))  # character, gate of i f g o, unit
  kernel[:, :, 0] = generator.normal(size=(6, 4))
  # Input gate closed, forget gate open, candidate 1, output gate open.
  kernel[:, :, 1] = [-50, 50, 50, 50]
  kernel[VOCABULARY.index('('), 0, 1] = 50
  kernel[VOCABULARY.index(')'), 1, 1] = -50
  kernel[:, :, 2] = [50, 50, np.arctanh(0.1), 50]  # adds 0.1 per character
  kernel[VOCABULARY.index('\n'), :2, 2] = -50
  logits = {'kernel': generator.normal(size=(3, 6)), 'bias': generator.normal(size=6)}
  parameters = {
    'lstm1': {
      'input_kernel': kernel.reshape(6, 12),
      'recurrent_kernel': np.zeros((3, 12)),
      'bias': np.zeros(12),
    },
    'logits': logits,
  }
  return model, {'params': jax.tree.map(lambda leaf: leaf.astype(np.float32), parameters)}


TEXT = 'ab (a) b\na(b a)b b\n\n(ab)a ab\n(b) ab (a)\n'


def codes(text=TEXT):
  return np.array([VOCABULARY.index(character) for character in text])


def test_characters_ranks_the_hand_set_units_first():
  found = recurrent.characters(*hand_set_lstm(), codes())
  signals = recurrent.signals(TEXT)
  np.testing.assert_allclose(found.memory[:, 1], np.tanh(signals['inside brackets']), atol=1e-6)
  np.testing.assert_allclose(
    found.memory[:, 2], np.tanh(signals['place in the line'] / 10), atol=1e-6
  )
  units, correlation = recurrent.ranking(found.memory, signals['inside brackets'])
  assert units[0] == 1
  assert correlation[0] == pytest.approx(1)
  units, correlation = recurrent.ranking(found.memory, signals['place in the line'])
  assert units[0] == 2
  assert correlation[0] > 0.95  # the correlation is below 1 because of tanh
  shares = recurrent.gates(*hand_set_lstm(), codes()[None])
  assert shares['input'].high[1] == TEXT.count('(') / len(TEXT)
  assert shares['forget'].low[1] == TEXT.count(')') / len(TEXT)
  assert shares['output'].high[1] == 1


@pytest.mark.parametrize('cell', ['rnn', 'gru', 'lstm'])
def test_characters_equal_those_of_the_compiled_model(cell):
  model, variables = build_network(
    dict(name='language_model', cell=cell, features=5, layers=2, embedding=4, classes=6),
    codes()[None],
    2.0,
  )
  found = recurrent.characters(model, variables, codes())
  logits = np.asarray(jax.jit(model.apply)(variables, codes()[None])[0], np.float64)
  expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
  assert np.isnan(found.bits[0])
  np.testing.assert_allclose(
    found.bits[1:],
    [-np.log2(expected[position, code]) for position, code in enumerate(codes()[1:])],
    rtol=1e-4,
  )
  states = activations(model, variables, codes()[None])
  np.testing.assert_allclose(found.hidden, states[f'{cell}2'][0], atol=1e-5)
  first = recurrent.characters(model, variables, codes(), f'{cell}1')
  np.testing.assert_allclose(first.hidden, states[f'{cell}1'][0], atol=1e-5)
  np.testing.assert_array_equal(first.bits, found.bits)
  if cell != 'lstm':
    np.testing.assert_array_equal(found.memory, found.hidden)


def test_characters_of_a_uniform_model_cost_log2_vocabulary():
  model, variables = hand_set_lstm()
  variables['params']['logits'] = jax.tree.map(np.zeros_like, variables['params']['logits'])
  found = recurrent.characters(model, variables, codes())
  np.testing.assert_allclose(found.bits[1:], np.log2(6))
  assert len(recurrent.characters(model, variables, codes()[:1]).bits) == 1


def test_ranking_equals_hand_values():
  values = np.array([[0.0, 1, 3, 7], [1, 1, 2, 7], [0, 1, 1, 7], [1, 1, 0, 8]])
  units, correlation = recurrent.ranking(values, [0, 1, 0, 1])
  assert units.tolist() == [0, 3, 2, 1]
  np.testing.assert_allclose(correlation, [1, 1 / np.sqrt(3), -1 / np.sqrt(5), 0])
  assert recurrent.ranking(values, np.ones(4))[1].tolist() == [0] * 4
  # the product of the two lengths is 0 in float64
  assert recurrent.ranking(1e-200 * values, 1e-200 * np.arange(4))[1].tolist() == [0] * 4


def test_layers_of_character_models():
  transformer = models.build(
    dict(name='transformer', features=4, heads=2, layers=2, context=8, classes=6)
  )
  lstm = models.build(dict(name='language_model', cell='lstm', features=4, layers=2, classes=6))
  assert characters.text_layers(transformer) == transformer.block_names()
  assert characters.text_layers(lstm) == ['lstm1', 'lstm2']
  first, last = transformer.block_names()
  assert characters.text_layer(transformer, None) == last
  assert characters.text_layer(transformer, first) == first
  assert characters.text_layer(lstm, None) == 'lstm2'
  with pytest.raises(ValueError, match=f"^layer 'lstm1' is not a block: use {first} or {last}"):
    characters.text_layer(transformer, 'lstm1')
  for text in (np.zeros(9, int), np.zeros(0, int), np.zeros((1, 4), int)):
    with pytest.raises(ValueError, match=r'give \[T\] positions in the vocabulary, from 1 to 8'):
      characters.attention(transformer, {}, text)


def test_signals_equal_hand_values():
  found = recurrent.signals('a "Bc" ([x])\nd')
  assert found['place in the line'].tolist() == [*range(1, 13), 0, 1]
  assert found['place in the word'].tolist() == [1, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 1]
  assert found['inside quotes'].tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
  assert found['inside brackets'].tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 1, 0, 0, 0]
  assert found['capital'].tolist() == [0, 0, 0, 1] + [0] * 10
  assert found['space'].nonzero()[0].tolist() == [1, 6, 12]


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (
      lambda text, image: recurrent.by_step(*text, codes()[None], np.array([0])),
      'by_step takes a model Recurrent, which reads',
    ),
    (
      lambda text, image: recurrent.states(image, {}, random_rows()),
      'a model CNN has no recurrent layer: use recurrent or language_model',
    ),
    (
      lambda text, image: recurrent.states(*text, codes()[None], 'lstm2'),
      "layer 'lstm2' is not recurrent: use lstm1",
    ),
    (
      lambda text, image: recurrent.states(*text, codes()[None], components=4),
      'components=4 is out of range for features of',
    ),
    (
      lambda text, image: recurrent.gates(
        *build_network(dict(name='recurrent', cell='rnn', features=2, classes=2), random_rows()),
        random_rows(),
      ),
      "a layer of cell 'rnn' has no gates: use lstm or gru",
    ),
    (lambda text, image: recurrent.gates(*text, codes()[None, :0]), r'inputs of shape \(1, 0\)'),
    (
      lambda text, image: recurrent.gates(
        *build_network(dict(name='recurrent', cell='gru', features=2, classes=2), random_rows()),
        random_rows()[..., :2],
      ),
      r'inputs of shape \(7, 4, 2\) do not fit the model',
    ),
    (
      lambda text, image: recurrent.characters(image, {}, codes()),
      'characters takes a model LanguageModel or Transformer, not CNN',
    ),
    (
      lambda text, image: recurrent.characters(*text, codes()[None]),
      r'text of shape \(1, 40\): give \[T\] positions',
    ),
    (
      lambda text, image: recurrent.characters(*text, np.array([0, 6])),
      'characters from 0 to 6: use 0 to 5',
    ),
    (
      lambda text, image: recurrent.ranking(np.ones((3, 2)), np.ones(2)),
      r'values of shape \(3, 2\) and a signal of shape \(2,\)',
    ),
  ],
)
def test_recurrent_errors_name_the_fix(call, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    call(hand_set_lstm(), models.build(BN_CNN))
