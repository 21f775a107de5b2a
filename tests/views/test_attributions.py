"""Tests of the pictures of attributions: which methods they show, and what is left out."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from jaxdl import models
from jaxdl.analysis import attribution, methods
from jaxdl.analysis.methods import Method
from jaxdl.prediction import explained
from jaxdl.views import attributions
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice

CONV = dict(kind='conv', features=3, kernel=3)
HEAD = (dict(kind='flatten'), dict(kind='dense', features=2, activate=False, name='logits'))


def subject(*layers, side=6):
  model = models.build(dict(name='cnn', layers=(*layers, *HEAD)))
  images = np.random.default_rng(0).random((4, side, side, 1), np.float32)
  dataset = {'mean': [0.0], 'deviation': [1.0], 'input_shape': [side, side, 1]}
  config = {'data': {}, 'dataset': dataset}
  return Subject(
    workdir=pathlib.Path('run'),
    name='any',
    split='test',
    step=1,
    kind='cnn',
    model=model,
    variables=model.init(jax.random.PRNGKey(0), images),
    config=config,
    classes=('a', 'b'),
    inputs=images,
    labels=np.array([0, 1, 0, 1]),
    images=images,
    targets=None,
    available=4,
  )


def few_methods(subject, layer):
  """Two of the first methods, two further ones, and a slow one that reports what it gets."""
  known = methods.of_images(layer, {})
  chosen = {name: known[name] for name in ('saliency', 'gradient × input', 'LRP-ε', 'LayerCAM')}
  slow = Method(lambda *given: given[2][..., 0], signed=True, slow=True)
  return {**chosen, 'RISE': slow}


def test_the_second_picture_has_the_other_methods(monkeypatch):
  monkeypatch.setattr(attributions, 'methods_of', few_methods)
  seen = subject(CONV)
  (result,) = attributions.relevance(seen, Choice())
  assert result.facts['columns'] == ['image', 'LRP-ε', 'LayerCAM', 'RISE']
  assert result.facts['signed'] == ['LRP-ε', 'RISE']
  assert result.facts['layer'] == 'conv1'
  assert 'left_out' not in result.facts
  expected = attribution.lrp(
    seen.model, seen.variables, seen.inputs[[0, 1]], result.arrays['targets']
  )
  np.testing.assert_allclose(result.arrays['LRP-ε'], expected.maps)


def test_a_method_without_a_rule_is_left_out_with_the_reason(monkeypatch):
  monkeypatch.setattr(attributions, 'methods_of', few_methods)
  (result,) = attributions.relevance(subject(CONV, dict(kind='layer_norm')), Choice())
  assert result.facts['columns'] == ['image', 'LayerCAM', 'RISE']
  display = attributions.VIEWS['relevance'].displays['relevance']
  note = display.note(result.facts)
  assert note.startswith("Left out: LRP has no rule for layer 'layer_norm1' of kind LayerNorm")
  assert display.note({}) == ''


def test_slow_methods_are_left_out_for_large_images(monkeypatch):
  monkeypatch.setattr(attributions, 'methods_of', few_methods)
  large = subject(dict(kind='conv', features=2, kernel=3, strides=8), side=65)
  (result,) = attributions.relevance(large, Choice())
  assert result.facts['columns'] == ['image', 'LRP-ε', 'LayerCAM']


def test_the_sanity_check_has_a_result_for_each_picture(monkeypatch):
  monkeypatch.setattr(attributions, 'methods_of', few_methods)
  first, further = attributions.sanity(subject(CONV), Choice())
  assert (first.name, further.name) == ('sanity', 'sanity_relevance')
  assert set(first.facts) == {'saliency', 'gradient × input'}
  assert set(further.facts) == {'LRP-ε', 'LayerCAM'}
  for fact in further.facts.values():
    assert fact['layers'] == ('', 'logits', 'conv1')
    assert fact['correlation'][0] == pytest.approx(1)


def test_pixels_outside_of_0_to_1_extend_the_range_of_the_composite():
  seen = subject(CONV)
  seen = dataclasses.replace(seen, inputs=seen.inputs * 3 - 1)
  maps = attributions.methods_of(seen, 'conv1')['LRP composite'].function(
    seen.model, seen.variables, seen.inputs, seen.labels
  )
  low, high = min(0.0, seen.inputs.min()), max(1.0, seen.inputs.max())
  rules = attribution.epsilon_gamma_box([low], [high])
  expected = attribution.lrp(seen.model, seen.variables, seen.inputs, seen.labels, rules)
  np.testing.assert_allclose(maps, expected.maps, rtol=1e-4, atol=1e-6)


def test_predict_explains_by_the_further_methods_that_apply():
  seen = subject(CONV)
  given = seen.config, seen.model, seen.variables
  names = ['lrp_epsilon', 'lrp_composite', 'deeplift', 'hirescam', 'score_cam', 'rise']
  explainer = explained.Explainer(*given, [*names, 'expected_gradients'], seen.inputs)
  assert explainer.columns[0] == 'LRP-ε'
  assert len(explainer.columns) == 7
  with pytest.raises(ValueError, match='explain=expected_gradients does not apply to this network'):
    explained.Explainer(*given, ['expected_gradients'])
  other = subject(CONV, dict(kind='group_norm', groups=1))
  with pytest.raises(ValueError, match='explain=deeplift does not apply to this network'):
    explained.Explainer(other.config, other.model, other.variables, ['deeplift'])
