"""Tests of influence: equality with explicit gradients, with steps of SGD, and planted errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import models
from jaxdl.analysis import influence

SECTION = dict(
  name='cnn',
  layers=(
    dict(kind='dense', features=6, name='hidden'),
    dict(kind='batch_norm'),
    dict(kind='dropout', rate=0.5),
    dict(kind='dense', features=3, activate=False, name='logits'),
  ),
)


def loss_of(model, variables, params, inputs, labels):
  """Mean cross-entropy."""
  logits = model.apply({**variables, 'params': params}, inputs)
  return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@pytest.fixture(scope='module')
def net():
  """(model, two checkpoints with their rates, tests, training examples)."""
  model = models.build(SECTION)
  draw = np.random.default_rng(0)
  tests = draw.normal(size=(3, 4)).astype(np.float32), np.array([0, 1, 2], np.int32)
  training = draw.normal(size=(7, 4)).astype(np.float32), (np.arange(7) % 3).astype(np.int32)
  checkpoints = [
    (jax.device_get(model.init(jax.random.PRNGKey(seed), tests[0])), rate)
    for seed, rate in ((1, 0.5), (2, 0.125))
  ]
  return model, checkpoints, tests, training


def slopes_of(net):
  """Rate and the gradients of each test and each training example, for each checkpoint."""
  model, checkpoints, *splits = net
  found = []
  for variables, rate in checkpoints:
    slope = jax.jit(jax.grad(functools.partial(loss_of, model, variables)))
    parts = [
      [
        slope(variables['params'], one[None], label[None])
        for one, label in zip(*split, strict=True)
      ]
      for split in splits
    ]
    found.append((rate, *parts))
  return found


def explicit(slopes, names):
  """Σ η g · g' over the checkpoints, of the gradients of some layers."""

  def vector(tree):
    leaves = [np.ravel(leaf) for name in names for leaf in jax.tree.leaves(tree[name])]
    return np.concatenate(leaves).astype(np.float64)

  return sum(
    rate * np.array([[vector(one) @ vector(other) for other in training] for one in tests])
    for rate, tests, training in slopes
  )


def test_tracin_equals_the_sum_of_explicit_dot_products(net):
  found, slopes = influence.tracin(*net), slopes_of(net)
  everything = ('hidden', 'batch_norm1', 'logits')
  np.testing.assert_allclose(found.scores, explicit(slopes, everything), rtol=1e-4, atol=1e-6)
  hidden = influence.tracin(*net, layers=('hidden',))
  np.testing.assert_allclose(hidden.scores, explicit(slopes, ('hidden',)), rtol=1e-4, atol=1e-6)
  model, checkpoints, tests, training = net
  own = influence.tracin(model, checkpoints, training, training)
  np.testing.assert_allclose(found.own, np.diag(own.scores), rtol=1e-5)
  logits = [np.asarray(model.apply(variables, training[0])) for variables, _ in checkpoints]
  np.testing.assert_array_equal(found.correct, [one.argmax(1) == training[1] for one in logits])


def test_the_last_layer_is_the_product_of_features_and_errors(net):
  model, checkpoints, tests, training = net
  variables, rate = checkpoints[0]
  found = influence.tracin(model, checkpoints[:1], tests, training, layers=('logits',))
  before = models.build({**SECTION, 'layers': SECTION['layers'][:3]})
  parts = []
  for inputs, labels in (tests, training):
    features = np.asarray(before.apply(variables, inputs), np.float64)
    errors = np.asarray(jax.nn.softmax(model.apply(variables, inputs))) - np.eye(3)[labels]
    parts.append((features, errors))
  (first, first_errors), (second, second_errors) = parts
  expected = rate * (first @ second.T + 1) * (first_errors @ second_errors.T)  # 1 for the bias
  np.testing.assert_allclose(found.scores, expected, rtol=1e-4, atol=1e-6)


def test_scores_do_not_depend_on_the_batches(net, monkeypatch):
  found = influence.tracin(*net)
  other = influence.tracin(*net, batch_size=2)
  monkeypatch.setattr(influence, 'NUMBERS', 1)  # one example in a call
  one = influence.tracin(*net)
  for name in ('scores', 'own'):
    for again in (other, one):
      np.testing.assert_allclose(getattr(again, name), getattr(found, name), rtol=1e-5, atol=1e-7)


def test_batches_have_the_given_size(net, monkeypatch):
  """Tests and training examples are read in batches of at most two."""
  sizes = []
  for name in ('_gradients', '_dots'):
    function = getattr(influence, name)

    def recorded(*arguments, function=function):
      sizes.append(len(arguments[-1]))
      return function(*arguments)

    monkeypatch.setattr(influence, name, recorded)
  influence.tracin(*net, batch_size=2)
  assert set(sizes) == {2}


def test_influence_is_the_change_of_the_loss_by_one_step_of_sgd(net):
  model, checkpoints, tests, training = net
  rate = 1e-6
  with jax.enable_x64(True):
    variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), checkpoints[0][0])
    tests, training = ((inputs.astype(np.float64), labels) for inputs, labels in (tests, training))
    found = influence.tracin(model, [(variables, rate)], tests, training)
    for number in (0, 2, 6):
      example, label = (part[number : number + 1] for part in training)
      slopes = jax.grad(loss_of, argnums=2)(model, variables, variables['params'], example, label)
      stepped = jax.tree.map(lambda old, slope: old - rate * slope, variables['params'], slopes)
      for test in range(3):
        inputs, true = (part[test : test + 1] for part in tests)
        before, after = (
          float(loss_of(model, variables, params, inputs, true))
          for params in (variables['params'], stepped)
        )
        assert before - after == pytest.approx(found.scores[test, number], rel=1e-4, abs=1e-11)


def test_planted_wrong_labels_have_the_highest_self_influence():
  """Three separate groups of points, 12 of 120 with a wrong label; 40 steps of gradient descent."""
  draw = np.random.default_rng(3)
  true = np.arange(120) % 3
  inputs = (4 * np.eye(3, 4)[true] + draw.normal(size=(120, 4))).astype(np.float32)
  wrong = np.zeros(120, bool)
  wrong[draw.choice(120, 12, replace=False)] = True
  labels = np.where(wrong, (true + 1) % 3, true).astype(np.int32)
  model = models.build(
    dict(name='cnn', layers=(dict(kind='dense', features=3, activate=False, name='logits'),))
  )
  variables = model.init(jax.random.PRNGKey(0), inputs)
  step = jax.jit(
    lambda params: jax.tree.map(
      lambda old, slope: old - 0.5 * slope,
      params,
      jax.grad(lambda params: loss_of(model, {}, params, inputs, labels))(params),
    )
  )
  params, checkpoints = variables['params'], []
  for number in range(40):
    params = step(params)
    if number % 10 == 9:
      checkpoints.append(({'params': params}, 0.5))
  found = influence.tracin(model, checkpoints, (inputs[:1], labels[:1]), (inputs, labels))
  assert influence.precision_at(found.own, wrong, 12) >= 10 / 12
  assert influence.precision_at(-found.own, wrong, 12) == 0
  assert wrong[influence.most(found.own, 3)].all()


def test_forgetting_events_of_a_case_worked_by_hand():
  correct = np.array(
    [[0, 1, 0, 1, 0], [1, 1, 0, 0, 0], [0, 1, 0, 1, 0], [1, 1, 0, 0, 1]], dtype=bool
  )
  found = influence.forgetting(correct)
  assert found.events.tolist() == [1, 0, 0, 2, 0]
  assert found.learned.tolist() == [True, True, False, True, True]
  with pytest.raises(ValueError, match='1 checkpoints and at least 2 are needed: train with '):
    influence.forgetting(correct[:1])


def test_precision_at_k_counts_the_wanted_examples():
  suspicion, wanted = np.array([0.0, 3, 2, 3, 1]), np.array([False, True, False, False, True])
  assert influence.precision_at(suspicion, wanted, 1) == 1  # the first of equal ones
  assert influence.precision_at(suspicion, wanted, 4) == 0.5
  assert influence.most(suspicion, 3).tolist() == [1, 3, 2]
  for k in (0, 6):
    with pytest.raises(ValueError, match=f'k={k} is out of range: use 1 to 5'):
      influence.precision_at(suspicion, wanted, k)


def test_equal_scores_are_in_the_order_of_the_examples():
  """More examples than a sort that is not stable leaves in order."""
  scores = np.arange(200) % 4
  expected = [*range(3, 200, 4), *range(2, 200, 4), *range(1, 200, 4), *range(0, 200, 4)]
  assert influence.most(scores, 1000).tolist() == expected
  wanted = np.isin(np.arange(200), expected[:60])
  assert influence.precision_at(scores, wanted, 60) == 1


def test_datamodelling_score_is_1_where_losses_are_linear_in_the_examples():
  draw = np.random.default_rng(4)
  scores = draw.normal(size=(2, 9))
  kept = draw.random((12, 9)) < 0.5
  losses = 5 - kept @ scores.T
  losses[:, 1] *= -1  # the second test example responds in the opposite way
  np.testing.assert_allclose(influence.datamodelling_score(scores, kept, losses), [1, -1])
  with pytest.raises(ValueError, match='2 subsets are too few'):
    influence.datamodelling_score(scores, kept[:2], losses[:2])


def test_large_networks_use_their_last_layer(net, monkeypatch):
  _, ((variables, _), _), _, _ = net
  assert influence.layers_used(variables, 'logits') == ()
  size = sum(jnp.size(leaf) for leaf in jax.tree.leaves(variables['params']))
  monkeypatch.setattr(influence, 'PARAMETERS', size - 1)
  assert influence.layers_used(variables, 'logits') == ('logits',)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'checkpoints': []}, 'there is no checkpoint: give at least one'),
    ({'layers': ('conv1',)}, "layer 'conv1' has no parameters: use some of "),
    ({'training': (np.zeros((0, 4), np.float32), np.zeros(0, np.int32))}, 'there are no examples'),
    ({'tests': (np.zeros((1, 4), np.float32), np.array([3], np.int32))}, 'use 0 to 2'),
  ],
)
def test_invalid_arguments_raise(net, change, message):
  names = ('model', 'checkpoints', 'tests', 'training')
  with pytest.raises(ValueError, match=message):
    influence.tracin(**{**dict(zip(names, net, strict=True)), **change})
