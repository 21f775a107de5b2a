"""Tests of language models: carried state, recurrent dropout, gradients, metrics and evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from training_helpers import run_steps

from jaxdl import models
from jaxdl.analysis import characters as analysis
from jaxdl.analysis.maps import last_character, recurrent_lrp
from jaxdl.data import characters as texts
from jaxdl.devices import parallel
from jaxdl.step import tasks
from jaxdl.training import evaluation, experiment, loop

SECTION = dict(name='language_model', cell='lstm', features=5, classes=7, layers=2, embedding=3)
CELLS = ('rnn', 'lstm', 'gru')


def random_text(batch=2, length=8, seed=0):
  return jnp.asarray(np.random.default_rng(seed).integers(0, 7, (batch, length)))


@pytest.mark.parametrize(
  ('cell', 'embedding'),
  [
    ('gru', 3),
    *(
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (('lstm', 0), ('rnn', 0), ('rnn', 3), ('lstm', 3), ('gru', 0))
    ),
  ],
)
@pytest.mark.slow
def test_carried_state_across_two_steps_equals_one_step(cell, embedding):
  model = models.build({**SECTION, 'cell': cell, 'embedding': embedding})
  characters = random_text()
  variables = jax.jit(model.init)(jax.random.PRNGKey(0), characters)
  expected = model.apply(variables, characters)
  assert expected.shape == (2, 8, 7)
  first, updated = model.apply(
    variables, characters[:, :5], reset=jnp.ones(2, bool), mutable=['carry']
  )
  second, updated = model.apply(
    {**variables, **updated}, characters[:, 5:], reset=jnp.zeros(2, bool), mutable=['carry']
  )
  np.testing.assert_allclose(jnp.concatenate([first, second], 1), expected, rtol=1e-5, atol=1e-6)
  one_reset, _ = model.apply(
    {**variables, **updated}, characters, reset=jnp.array([True, False]), mutable=['carry']
  )
  np.testing.assert_allclose(one_reset[0], expected[0], rtol=1e-5, atol=1e-6)  # state was reset
  assert np.abs(one_reset[1] - expected[1]).max() > 1e-3  # state was carried over


@pytest.mark.parametrize('cell', CELLS)
@pytest.mark.slow
def test_recurrent_dropout_masks_recurrent_weights_only_in_training(
  cell,
):
  rate, features = 0.3, 32
  section = {**SECTION, 'cell': cell, 'layers': 1, 'features': features}
  model = models.build({**section, 'recurrent_dropout': rate})
  without_dropout = models.build(section)
  characters, index = random_text(), jnp.arange(2)
  variables = jax.jit(model.init)(jax.random.PRNGKey(0), characters)
  np.testing.assert_array_equal(
    model.apply(variables, characters), without_dropout.apply(variables, characters)
  )

  def training_output(params, key=1):
    return model.apply(
      {'params': params},
      characters,
      train=True,
      index=index,
      rngs={'dropout': jax.random.PRNGKey(key)},
    )

  kernel = variables['params'][f'{cell}1']['recurrent_kernel']
  gradients = jax.grad(lambda params: jnp.square(training_output(params)).sum())(
    variables['params']
  )
  kept = gradients[f'{cell}1']['recurrent_kernel'] != 0
  assert 1 - kept.mean() == pytest.approx(rate, abs=3 * np.sqrt(rate * (1 - rate) / kernel.size))
  layer = {
    **variables['params'][f'{cell}1'],
    'recurrent_kernel': jnp.where(kept, kernel / (1 - rate), 0),
  }
  expected = without_dropout.apply(
    {'params': {**variables['params'], f'{cell}1': layer}}, characters
  )
  np.testing.assert_allclose(training_output(variables['params']), expected, rtol=1e-4, atol=1e-5)
  assert np.abs(training_output(variables['params'], key=2) - expected).max() > 1e-3, (
    'another key gives the same mask'
  )


@pytest.mark.parametrize('cell', CELLS)
@pytest.mark.parametrize(
  ('embedding', 'tie'), [(0, False), (3, False), (5, True)], ids=['one-hot', 'embedded', 'tied']
)
def test_gradients_of_language_model_match_finite_differences(cell, embedding, tie):
  """Covers all parameters, with an initial carried state, dropout, padding and real steps."""
  with jax.enable_x64(True):
    model = models.build(
      {
        **SECTION,
        'cell': cell,
        'embedding': embedding,
        'tie': tie,
        'layers': 1,
        'dropout': 0.3,
        'recurrent_dropout': 0.4,
        'locked_dropout': True,
      }
    )
    characters, reset = random_text(length=5), jnp.array([True, False])
    variables = jax.tree.map(
      lambda leaf: jnp.asarray(np.random.default_rng(1).normal(size=leaf.shape)) * 0.5,
      jax.eval_shape(model.init, jax.random.PRNGKey(0), characters, reset=reset),
    )
    batch = {'label': random_text(length=5, seed=2), 'mask': jnp.ones((2, 5)).at[1, 3:].set(0)}

    def loss(params):
      logits, _ = model.apply(
        {'params': params, 'carry': variables['carry']},
        characters,
        train=True,
        reset=reset,
        index=jnp.arange(2),
        steps=batch['mask'] if tie else None,
        mutable=['carry'],
        rngs={'dropout': jax.random.PRNGKey(1)},
      )
      return tasks.next_char(logits, batch)['loss']

    check_grads(
      jax.jit(loss), (variables['params'],), order=1, modes=('rev',), atol=1e-6, rtol=1e-6, eps=1e-5
    )


@pytest.mark.parametrize('cell', CELLS)
def test_tied_model_equals_one_with_the_vectors_as_its_kernel(cell):
  """The outputs, the gradient of the vectors, the analyses of characters, and LRP."""
  section = {**SECTION, 'cell': cell, 'embedding': 5}
  tied, untied = models.build({**section, 'tie': True}), models.build(section)
  characters = random_text()
  parameters = tied.init(jax.random.PRNGKey(0), characters)['params']
  assert list(parameters['logits']) == ['bias']

  def copied(parameters):
    kernel = parameters['embedding']['kernel'].T
    return {**parameters, 'logits': {**parameters['logits'], 'kernel': kernel}}

  def loss(model, parameters):
    return jnp.square(model.apply({'params': parameters}, characters)).sum()

  pairs = {'params': parameters}, {'params': copied(parameters)}
  np.testing.assert_allclose(
    tied.apply(pairs[0], characters), untied.apply(pairs[1], characters), rtol=1e-6
  )
  found = jax.grad(lambda given: loss(tied, given))(parameters)
  expected = jax.grad(lambda given: loss(untied, copied(given)))(parameters)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)
  read, same = (
    analysis.characters(model, variables, characters[0])
    for model, variables in zip((tied, untied), pairs, strict=True)
  )
  np.testing.assert_allclose(read.probabilities, same.probabilities, rtol=1e-6)
  maps = []
  for model, variables in zip((tied, untied), pairs, strict=True):
    last, vectors = last_character.differentiable(model, variables, characters)
    maps.append(recurrent_lrp.recurrent_lrp(last, variables, vectors, np.array([1, 2])).maps)
  np.testing.assert_allclose(*maps, rtol=1e-4, atol=1e-6)


def test_bits_per_character_of_uniform_and_certain_predictions():
  batch = {'label': jnp.array([[1, 3]]), 'mask': jnp.ones((1, 2))}
  uniform = tasks.metrics(tasks.next_char(jnp.zeros((1, 2, 8)), batch))
  assert uniform['bits_per_character'] == pytest.approx(3)  # log2 8
  assert uniform['loss'] == pytest.approx(np.log(8))
  assert list(uniform) == ['loss', 'bits_per_character', 'accuracy']
  certain = tasks.metrics(tasks.next_char(100 * jax.nn.one_hot(batch['label'], 8), batch))
  assert certain == {'loss': 0, 'bits_per_character': 0, 'accuracy': 1}
  mixed = jnp.log(jnp.array([[[0.5, 0.5, 1e-30, 1e-30], [1e-30, 1e-30, 0.75, 0.25]]]))
  assert tasks.metrics(tasks.next_char(mixed, batch))['bits_per_character'] == pytest.approx(
    (1 + 2) / 2
  )


@pytest.mark.slow
def test_evaluation_in_steps_equals_evaluation_of_full_streams(small_text):
  """Eight streams of 37 or 38 characters, in steps of 9 and each stream at once."""
  built = experiment.build(small_text, 'text')
  start = built.initial_state()
  sums = evaluation.of_splits(built)(parallel.replicate(start))['validation']
  characters = np.asarray(built.data.splits['validation'].arrays['character'], np.int32)
  edges = np.arange(9) * len(characters) // 8
  loss = 0.0
  for first, last in zip(edges[:-1], edges[1:], strict=True):
    inputs, targets = characters[None, first : last - 1], characters[first + 1 : last]
    logits = built.recipe.model.apply({'params': start.params}, inputs)[0]
    loss -= float(jax.nn.log_softmax(logits)[np.arange(last - first - 1), targets].sum())
  assert int(sums['count']) == len(characters) - 8
  assert sums['loss'] == pytest.approx(loss, rel=1e-5)


def test_training_carries_the_state_and_resets_it_each_epoch(small_text):
  """An epoch of 1,000 characters in 16 streams has 7 steps; step 8 starts with a zero state."""
  # Parameters practically do not change, so that each step can be recomputed.
  small_text['optimizer']['learning_rate'] = 1e-30
  built = experiment.build(small_text, 'text')
  assert built.data.splits['train'].batches == 7
  small_text['model'] |= dict(dropout=0.0, recurrent_dropout=0.0)
  without_dropout = models.build(small_text['model'])
  states = [run_steps(small_text, count)[0] for count in (6, 8)]
  characters = np.asarray(built.data.splits['train'].arrays['character'], np.int32)
  starts = np.arange(16) * 1000 // 16
  for count, state in zip((54, 9), states, strict=True):  # characters read in the current epoch
    inputs = np.stack([characters[start : start + count] for start in starts])
    _, expected = without_dropout.apply(
      {'params': state.params}, inputs, reset=np.ones(16, bool), mutable=['carry']
    )
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
      state.carry,
      expected['carry'],
    )


@pytest.mark.parametrize('cell', CELLS)
def test_training_stops_the_state_at_random_lengths(cell, random_text):
  """After n steps, the state is that of the characters which were read, and each step was one of
  gradient descent with the learning rate times its length / time_step.
  """
  random_text['model'] |= dict(cell=cell, dropout=0.0, recurrent_dropout=0.0)
  random_text['optimizer'] = dict(name='sgd', learning_rate=1e-30)
  built = experiment.build(random_text, 'text')
  split = built.data.splits['train']
  feed = split.feed(0, split.batches + 2)
  lengths = feed['length'].max(1)
  assert len(set(lengths.tolist())) > 3
  text = np.asarray(split.arrays['character'], np.int32)
  for count in (2, split.batches + 2):
    state, _ = run_steps(random_text, count)
    read = lengths[count // split.batches * split.batches : count].sum()
    inputs = np.stack([text[start : start + read] for start in np.arange(16) * 1000 // 16])
    _, expected = built.recipe.model.apply(
      {'params': state.params}, inputs, reset=np.ones(16, bool), mutable=['carry']
    )
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
      state.carry,
      expected['carry'],
    )


def test_learning_rate_is_that_of_a_random_length(random_text):
  """One step of gradient descent, against the gradient of its own characters."""
  random_text['model'] |= dict(dropout=0.0, recurrent_dropout=0.0)
  random_text['optimizer'] = dict(name='sgd', learning_rate=0.5)
  built = experiment.build(random_text, 'text')
  split, start = built.data.splits['train'], built.initial_state()
  after, history = run_steps(random_text, 1)
  length = int(split.feed(0, 1)['length'].max())
  assert length != 12
  text = np.asarray(split.arrays['character'], np.int32)
  pieces = np.stack([text[first : first + length + 1] for first in np.arange(16) * 1000 // 16])

  def loss(params):
    logits = built.recipe.model.apply({'params': params}, pieces[:, :-1])
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), pieces[:, 1:, None], -1)
    return -chosen.mean()

  assert history['count'][0] == 16 * length
  jax.tree.map(
    lambda found, before, gradient: np.testing.assert_allclose(
      found, before - 0.5 * length / 12 * gradient, rtol=1e-4, atol=1e-6
    ),
    after.params,
    start.params,
    jax.grad(loss)(start.params),
  )


def test_random_lengths_that_are_equal_change_nothing(random_text, small_text, monkeypatch):
  """With equal lengths, the mask, the stopped state and the factor are without effect."""
  small_text |= dict(model=random_text['model'], data={**random_text['data']})
  del small_text['data']['random_length']
  monkeypatch.setattr(texts, 'random_lengths', lambda count, time_step: np.array([12] * 5 + [2]))
  monkeypatch.setattr(texts.order, 'permutation', lambda seed, epoch, count: np.arange(count))
  found, expected = (run_steps(config, 5) for config in (random_text, small_text))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    (found[0].params, found[0].carry, found[1]),
    (expected[0].params, expected[0].carry, expected[1]),
  )


@pytest.mark.slow
def test_language_model_can_overfit_a_short_text(small_text):
  small_text['model'] |= dict(features=64, dropout=0.0, recurrent_dropout=0.0, layers=1)
  small_text['data']['splits'] = dict(train='train[:300]')
  small_text['optimizer']['learning_rate'] = 2e-2
  _, history = run_steps(small_text, 200)
  assert float(history['bits'][0] / history['count'][0]) > 5
  assert float(history['bits'][-1] / history['count'][-1]) < 0.5


@pytest.mark.slow
def test_run_on_text_reports_bits_per_character(small_text, tmp_path, capsys):
  summary = loop.train(experiment.build(small_text, 'text'), tmp_path)
  assert summary['test_bits_per_character'] == pytest.approx(
    summary['test_loss'] / np.log(2), rel=1e-4
  )
  assert 'bits_per_character' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (dict(cell='lsmt'), r"config\.model\.cell='lsmt' is unknown: use one of rnn, lstm, gru"),
    (
      dict(tie=True),
      r'tie=True needs vectors of config\.model\.features=12 numbers, not config\.model\.embedding=6',
    ),
    (dict(embedding=12, tied_embedding=True), r'tied_embedding.*did you mean .*tie\?'),
    (dict(layers=0), r'config\.model\.layers=0 is not an integer from 1 to 1,024'),
    (
      dict(classes=65),
      r'the last layer logits has output \[9, 65\], but shakespeare has 84 classes',
    ),
  ],
)
def test_invalid_language_model_error_names_the_key(small_text, change, message):
  small_text['model'] |= change
  with pytest.raises(ValueError, match=message):
    experiment.build(small_text, 'text')


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      dict(model=dict(name='transformer', features=8, classes='classes', heads=2, context=9)),
      r"accepts `steps`, the marks of real characters, and config\.model\.name='transformer' does",
    ),
    (
      dict(optimizer=dict(name='sgd', learning_rate=0.1, lookahead=dict(every=2))),
      r'random_length=True cannot scale the slow weights of config\.optimizer\.lookahead',
    ),
  ],
)
def test_random_length_of_another_network_or_optimizer_is_refused(random_text, change, message):
  with pytest.raises(ValueError, match=message):
    experiment.build({**random_text, **change}, 'text')
