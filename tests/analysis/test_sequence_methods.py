"""Tests of the table of methods for sequences, and of the figures of their maps."""

import jax
import numpy as np
import pytest
from helpers import slow_after

from jaxdl import models
from jaxdl.analysis import methods
from jaxdl.analysis.grading import completeness
from jaxdl.analysis.maps.last_character import LastCharacter, differentiable, vectors
from jaxdl.analysis.maps.step_occlusion import step_occlusion

TARGET = np.array([0, 2, 1])
STEPS = np.array([6, 2, 4])  # real steps of three masked sequences
NAMES = [
  'saliency',
  'gradient × input',
  'SmoothGrad',
  'integrated gradients',
  'expected gradients',
  'occlusion',
  'LRP',
]


def build_network(section, inputs):
  model, generator = models.build(section), np.random.default_rng(0)
  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), inputs)
  return model, jax.tree.map(
    lambda leaf: (generator.normal(size=leaf.shape) / np.sqrt(leaf.shape[0])).astype(np.float32),
    shapes,
  )


def rows(*, masked=False):
  inputs = np.random.default_rng(1).normal(size=(3, 6, 3)).astype(np.float32)
  if masked:
    inputs[..., -1] = np.arange(6) < STEPS[:, None]
    inputs *= inputs[..., -1:]
  return inputs


def characters():
  return np.random.default_rng(2).integers(0, 5, (3, 6)).astype(np.int32)


def character_model(**section):
  section = {'name': 'language_model', 'cell': 'lstm', 'features': 4, 'classes': 5, **section}
  return build_network(section, characters())


def transformer(**section):
  section = {'features': 4, 'classes': 5, 'layers': 1, 'heads': 1, 'context': 8, **section}
  return build_network({'name': 'transformer', **section}, characters())


@pytest.mark.parametrize(
  'build',
  [
    character_model,
    lambda: character_model(embedding=3),
    transformer,
    lambda: transformer(positions='learned', tie=False),
  ],
  ids=['one-hot', 'embedded', 'rotary', 'learned'],
)
def test_character_model_of_vectors_equals_the_model_of_characters(build):
  model, variables = build()
  last, given = differentiable(model, variables, characters())
  assert isinstance(last, LastCharacter)
  expected = jax.jit(model.apply)(variables, characters())[:, -1]
  np.testing.assert_allclose(jax.jit(last.apply)(variables, given), expected, rtol=1e-5, atol=1e-6)
  moved = jax.jit(last.apply)(variables, given[:, ::-1])
  assert np.abs(moved - expected).max() > 1e-3, 'the logits do not depend on the vectors'


def test_vectors_of_one_hot_characters_by_hand():
  model, variables = character_model()
  found = vectors(model, variables, np.array([[1, 4]]))
  np.testing.assert_array_equal(found, [[[0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]])


def test_step_occlusion_equals_a_loop():
  model, variables = build_network(
    dict(name='recurrent', cell='gru', features=4, classes=3), rows()
  )
  apply, fill = jax.jit(model.apply), np.array([0.5, -1.0, 2.0], np.float32)
  found = step_occlusion(model, variables, rows(), TARGET, window=2, fill=fill, batch_size=2)
  total, count = np.zeros((3, 6)), np.zeros(6)
  for start in range(5):
    changed = rows()
    changed[:, start : start + 2] = fill
    drop = (apply(variables, rows()) - apply(variables, changed))[np.arange(3), TARGET]
    total[:, start : start + 2] += np.asarray(drop)[:, None]
    count[start : start + 2] += 1
  np.testing.assert_allclose(found, total / count, rtol=1e-4, atol=1e-6)


def test_methods_of_a_classifier_are_complete():
  """The gradients of integrated gradients sum to the difference from the baseline, LRP's bias aside."""
  model, variables = build_network(
    dict(name='recurrent', cell='lstm', features=4, classes=3), rows()
  )
  baseline = np.array([1.0, 0.0, -1.0], np.float32)
  table = methods.of_sequences(model, rows()[:2], baseline=baseline)
  assert list(table) == NAMES
  apply = jax.jit(model.apply)
  scores = np.asarray(apply(variables, rows()))[np.arange(3), TARGET]
  empty = np.asarray(apply(variables, np.broadcast_to(baseline, rows().shape)))
  of_others = np.asarray(apply(variables, rows()[:2])).mean(0)
  for name, method in table.items():
    maps = method.function(model, variables, rows(), TARGET)
    assert np.shape(maps) == ((3, 6) if name == 'occlusion' else (3, 6, 3))
    assert np.isfinite(maps).all()
    assert np.any(maps)
    assert (method.baseline_score is None) == (not method.signed)
    if method.baseline_score is None:
      continue
    found = completeness.difference(method.baseline_score, model, variables, rows(), TARGET)
    expected = {
      'integrated gradients': scores - empty[np.arange(3), TARGET],
      'occlusion': scores - empty[np.arange(3), TARGET],
      'expected gradients': scores - of_others[TARGET],
      'LRP': scores,
    }.get(name)
    if expected is not None:
      np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    if name == 'integrated gradients':
      np.testing.assert_allclose(completeness.totals(maps), found, atol=1e-4)


@pytest.mark.parametrize('fixed', [0, 1])
def test_background_scores_equal_a_loop(fixed):
  """The targets repeat, and each input keeps its own score; a mask makes the scores differ."""
  section = dict(name='recurrent', cell='gru', features=3, classes=4, masked=bool(fixed))
  generator = np.random.default_rng(3)
  inputs, background = (generator.random((count, 5, 3), np.float32) for count in (6, 3))
  if fixed:
    inputs[..., -1] = np.arange(5) < np.array([5, 2, 3, 5, 1, 4])[:, None]
  target = np.array([2, 0, 2, 3, 0, 2])
  model, variables = build_network(section, inputs)
  found = completeness.background_scores(
    model, variables, inputs, target, background, fixed_channels=fixed
  )
  for number, one in enumerate(inputs):
    changed = background.copy()
    if fixed:
      changed[..., -fixed:] = one[:, -fixed:]
    expected = np.mean(model.apply(variables, changed)[:, target[number]])
    np.testing.assert_allclose(found[number], expected, rtol=1e-5)


@pytest.mark.parametrize('pool', slow_after(1, ['last', 'mean']))
def test_no_method_changes_the_mask(pool):
  """With a noisy or mixed mask, padded steps would count as real ones."""
  section = dict(name='recurrent', cell='gru', features=4, classes=3, masked=True, pool=pool)
  inputs = rows(masked=True)
  model, variables = build_network(section, inputs)
  for name, method in methods.of_sequences(model, inputs).items():
    maps = np.asarray(method.function(model, variables, inputs, TARGET))
    for number, count in enumerate(STEPS):
      assert np.any(maps[number, :count])
      assert not np.any(maps[number, count:]), f'{name}: padding has an attribution'
    assert name == 'occlusion' or not maps[..., -1].any(), f'{name}: the mask has an attribution'
    if name not in ('SmoothGrad', 'expected gradients'):  # their noise depends on the shape
      alone = method.function(model, variables, inputs[1:2, :2], TARGET[1:2])
      np.testing.assert_allclose(maps[1, :2], alone[0], rtol=1e-4, atol=1e-6)


def test_methods_of_characters_have_one_vector_for_each():
  for model, variables in (character_model(embedding=3), transformer()):
    table = methods.of_sequences(model, characters(), baseline=0.1)
    without = ['LRP'] if isinstance(model, models.MODELS['transformer']) else []
    assert list(table) == [name for name in NAMES if name not in without]
    for name in ('integrated gradients', 'expected gradients', 'occlusion'):
      method = table[name]
      maps = method.function(model, variables, characters(), TARGET)
      assert methods.without_channels(maps, method, axes=2).shape == (3, 6)
      found = completeness.difference(method.baseline_score, model, variables, characters(), TARGET)
      assert found.shape == (3,)


@pytest.mark.slow
def test_maps_do_not_depend_on_the_other_examples():
  model, variables = build_network(
    dict(name='recurrent', cell='rnn', features=4, classes=3), rows()
  )
  for name, method in methods.of_sequences(model, rows()).items():
    both = method.function(model, variables, rows(), TARGET)
    again = method.function(model, variables, rows(), TARGET)
    np.testing.assert_array_equal(both, again, err_msg=name)
    alone = method.function(model, variables, rows()[:1], TARGET[:1])
    np.testing.assert_allclose(both[:1], alone, rtol=1e-4, atol=1e-6, err_msg=name)


def test_first_step_share_by_hand():
  maps = np.array([[1.0, -3.0], [0.0, 0.0], [-2.0, 0.0]])
  np.testing.assert_allclose(completeness.first_step_share(maps), [0.25, 0, 1])
  of_channels = np.array([[[1.0, -1.0], [0.0, 6.0]]])
  np.testing.assert_allclose(completeness.first_step_share(of_channels), [0.25])
  np.testing.assert_allclose(completeness.first_step_share(maps, np.array([1, 0, 1])), [0.75, 0, 0])


def test_wrong_arguments_raise():
  model, variables = build_network(
    dict(name='recurrent', cell='rnn', features=4, classes=3), rows()
  )
  table = methods.of_sequences(model, baseline=np.zeros(2))
  assert 'expected gradients' not in table, 'there is no background'
  with pytest.raises(ValueError, match=r'baseline of shape \(2,\) does not fit inputs'):
    table['occlusion'].function(model, variables, rows(), TARGET)
  with pytest.raises(ValueError, match=r'window=7 does not fit sequences of shape \(3, 6, 3\)'):
    step_occlusion(model, variables, rows(), TARGET, window=7)
  with pytest.raises(ValueError, match=r'fill of shape \(2,\) does not fit sequences'):
    step_occlusion(model, variables, rows(), TARGET, fill=np.zeros(2))
  language_model, variables = character_model()
  saliency = methods.of_sequences(language_model)['saliency'].function
  with pytest.raises(ValueError, match='characters from 0 to 5: use 0 to 4'):
    saliency(language_model, variables, np.array([[0, 5]]), np.array([0]))
  with pytest.raises(ValueError, match='target has labels from 5 to 5: use 0 to 4'):
    saliency(language_model, variables, np.array([[0, 1]]), np.array([5]))
