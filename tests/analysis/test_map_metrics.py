"""Tests of the grades of methods: what is computed together equals what is computed alone."""

import jax
import numpy as np
import pytest

from jaxdl import models
from jaxdl.analysis import methods
from jaxdl.analysis.grading import (
  faithfulness,
  localisation,
  map_metrics,
  removal,
  sanity,
  stability,
)
from jaxdl.analysis.grading.faithfulness import deletion
from jaxdl.analysis.maps import last_character
from jaxdl.analysis.methods import Method
from jaxdl.models import CNN


def dense_model():
  return CNN(layers=(dict(kind='flatten'), dict(kind='dense', features=2, activate=False)))


def dense_variables():
  kernel = np.arange(8, dtype=np.float32).reshape(4, 2) / 8
  return {'params': {'dense1': {'kernel': kernel, 'bias': np.zeros(2, np.float32)}}}


def test_a_method_that_fails_has_a_reason():
  model, variables = dense_model(), dense_variables()
  inputs = np.random.default_rng(0).random((3, 2, 2, 1)).astype(np.float32)

  def fails(model, variables, inputs, target):
    raise ValueError('it has no ReLU')

  def applied_once(model, variables, inputs, target):
    return np.abs(inputs)

  known = {'fails': Method(fails), 'same': Method(applied_once)}
  found = map_metrics.grade(model, variables, inputs, np.zeros(3, int), known, repeated=2)
  assert found.values['fails'] == {}
  assert found.reasons['fails'] == {'maps': 'it has no ReLU'}
  same = found.values['same']
  assert 'pointing game' not in same  # there is no evidence
  assert same['random logit'].tolist() == [1, 1]
  assert same['deletion AUC'].shape == (3,)
  metric = map_metrics.METRICS['completeness error']
  assert metric.of(np.array([1.0, 2.0, np.nan, 9.0])) == 2
  assert metric.of(np.array([np.nan])) is None


def test_grades_do_not_depend_on_threads_or_parts():
  """Every metric equals the result of its own function."""
  model, variables = dense_model(), dense_variables()
  inputs = np.random.default_rng(1).random((5, 2, 2, 1)).astype(np.float32)
  target = np.array([0, 1, 1, 0, 1])
  names = ('saliency', 'gradient × input', 'integrated gradients', 'expected gradients')
  every = methods.of_images('', {}, background=inputs[:2])
  known = {name: every[name] for name in names}
  arguments = dict(repeated=2, steps=4)
  one = map_metrics.grade(model, variables, inputs, target, known, **arguments)
  three = map_metrics.grade(model, variables, inputs, target, known, threads=3, **arguments)
  jax.tree.map(np.testing.assert_array_equal, one.values, three.values)
  assert list(three.values) == list(names)
  assert one.reasons == three.reasons
  few = model, variables, inputs[:2], target[:2]
  for name, method in known.items():
    found = one.values[name]
    alone = {
      'max-sensitivity': stability.max_sensitivity(method.function, *few, samples=4),
      'input invariance error': stability.input_invariance_error(method.function, *few),
      'random logit': np.abs(stability.random_logit(method.function, *few)),
      'randomised weights': np.abs(sanity.sanity(method.function, *few).correlations[-1]),
    }
    for metric, values in alone.items():
      np.testing.assert_allclose(found[metric], values, rtol=1e-4, err_msg=f'{name}, {metric}')
    maps = methods.without_channels(method.function(model, variables, inputs, target), method)
    curve = deletion(model, variables, inputs, target, maps, steps=4)
    np.testing.assert_allclose(found['deletion AUC'], curve.area(), rtol=1e-5)


def test_every_metric_gets_the_seed_and_the_steps():
  """Grades of a map with equal numbers, whose order is random, equal those of each function."""
  inputs = np.random.default_rng(2).random((3, 3, 4, 1)).astype(np.float32)
  kernel = np.random.default_rng(3).normal(size=(12, 2)).astype(np.float32)
  layer = {'kernel': kernel, 'bias': np.zeros(2, np.float32)}
  network = dense_model(), {'params': {'dense1': layer}}, inputs, np.array([0, 1, 1])
  evidence = inputs[..., 0] > 0.7

  def rounded(model, variables, inputs, target):
    return np.round(inputs)

  maps = rounded(*network)[..., 0]

  def alone(seed):
    curve = dict(steps=4, seed=seed)
    windows = removal.remove(*network, removal.windows_of((3, 4), 96, seed=seed))
    # 5, 20 and 50 % of 12 places
    subsets = removal.remove(*network, removal.subsets_of(12, (1, 2, 6), 32, seed=seed))
    return {
      'pointing game': localisation.pointing_game(maps, evidence),
      'relevance mass': localisation.relevance_mass(maps, evidence),
      'relevance rank': localisation.relevance_rank(maps, evidence),
      'deletion AUC': faithfulness.deletion(*network, maps, **curve).area(),
      'insertion AUC': faithfulness.insertion(*network, maps, **curve).area(),
      'pixel flipping': faithfulness.pixel_flipping(*network, maps, **curve),
      'infidelity': faithfulness.infidelity(maps, windows),
      'sensitivity-n': faithfulness.sensitivity_n(maps, subsets),
      'sparseness': localisation.gini(maps),
      'ROAD': faithfulness.road(*network, maps, seed=seed).gap(),
    }

  known = {'rounded': Method(rounded, slow=True)}
  given = dict(evidence=evidence, steps=4)
  for seed in (0, 5):
    (found,) = map_metrics.grade(*network, known, **given, seed=seed).values.values()
    assert found.keys() == alone(seed).keys()
    for metric, values in alone(seed).items():
      np.testing.assert_allclose(found[metric], values, rtol=1e-4, err_msg=metric)
  drawn = [metric for metric in found if (alone(0)[metric] != alone(5)[metric]).any()]
  curves = ['deletion AUC', 'insertion AUC', 'pixel flipping']
  assert drawn == [*curves, 'infidelity', 'sensitivity-n', 'ROAD']


@pytest.mark.parametrize(
  'section',
  [
    dict(name='language_model', cell='gru', features=3, classes=4, embedding=2),
    dict(name='language_model', cell='lstm', features=3, classes=4),
    dict(name='language_model', cell='lstm', features=3, classes=4, embedding=3, tie=True),
    dict(name='transformer', features=4, classes=4, layers=1, heads=2, context=6, tie=True),
  ],
  ids=['embedded', 'one-hot', 'tied', 'tied transformer'],
)
def test_random_weights_of_a_character_model(section):
  """All kernels are drawn again, and the network with them still applies."""
  network, characters = models.build(section), np.array([[0, 3, 1, 2, 2]])
  variables = {'params': network.init(jax.random.key(0), characters)['params']}
  model, vectors = last_character.differentiable(network, variables, characters)
  random = sanity.with_random_weights(model, variables, vectors)

  def check(path, drawn, old):
    if 'kernel' in jax.tree_util.keystr(path):
      assert (np.asarray(drawn) != old).any(), path
    assert drawn.shape == old.shape

  jax.tree_util.tree_map_with_path(check, random['params'], variables['params'])
  assert np.isfinite(model.apply(random, vectors)).all()
