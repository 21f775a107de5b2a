"""Tests of attribution: gradients, integrated gradients, Grad-CAM and the randomisation check.

Maps are compared with finite differences, formulas and cases with known results.
"""

import warnings

import jax
import numpy as np
import pytest
from helpers import compiled_programs

from jaxdl import models
from jaxdl.analysis import attribution, units
from jaxdl.analysis.grading import sanity
from jaxdl.analysis.units import Neuron
from jaxdl.models import geometry

LAYERS = (
  dict(kind='conv', features=4, kernel=3),
  dict(kind='batch_norm'),
  dict(kind='max_pool'),
  dict(kind='conv', features=3, kernel=2, padding='VALID'),
  dict(kind='flatten'),
  dict(kind='dense', features=6),
  dict(kind='dense', features=3, activate=False),
  dict(kind='batch_norm', name='logits'),
)


def network(layers=LAYERS, shape=(7, 6, 2), batch=3, dtype=np.float32, **fields):
  model = models.build(dict(name='cnn', layers=layers, **fields))
  generator = np.random.default_rng(0)
  images = generator.random((batch, *shape)).astype(dtype)
  variables = jax.tree.map(
    lambda leaf: (generator.normal(size=leaf.shape) * 0.6).astype(dtype),
    jax.eval_shape(model.init, jax.random.PRNGKey(0), images),
  )
  if 'batch_stats' in variables:
    variables['batch_stats'] = jax.tree.map(
      lambda leaf: np.abs(leaf) + dtype(0.5), variables['batch_stats']
    )
  return model, variables, images, np.arange(batch) % 3


def linear_network(weights):
  """Returns a linear model and its variables, with K logits from weights [K, H, W, C]."""
  model = models.build(
    dict(
      name='cnn',
      layers=(
        dict(kind='flatten'),
        dict(kind='dense', features=len(weights), activate=False, name='logits'),
      ),
    )
  )
  return model, {
    'params': {
      'logits': {
        'kernel': weights.reshape(len(weights), -1).T,
        'bias': np.ones(len(weights), np.float32),
      }
    }
  }


@pytest.mark.parametrize('activation', ['relu', 'tanh'])
def test_saliency_equals_finite_differences(activation):
  with jax.enable_x64(True):
    model, variables, images, labels = network(dtype=np.float64, activation=activation)
    scores = jax.jit(lambda images, target: units.scores(model, variables, images, target))
    steps = 1e-6 * np.random.default_rng(1).normal(size=(6, *images.shape))
    found = attribution.saliency(model, variables, images, labels)
    for step in steps:
      change = (scores(images + step, labels) - scores(images - step, labels)) / 2
      np.testing.assert_allclose((found * step).sum((1, 2, 3)), change, rtol=1e-5)


def test_input_x_gradient_without_biases_sums_to_the_logit():
  layers = (
    dict(kind='conv', features=4, kernel=3),
    dict(kind='max_pool'),
    dict(kind='flatten'),
    dict(kind='dense', features=3, activate=False, name='logits'),
  )
  model, variables, images, labels = network(layers)
  for layer in variables['params'].values():
    layer['bias'] *= 0
  found = attribution.input_x_gradient(model, variables, images, labels)
  logits = model.apply(variables, images)[np.arange(3), labels]
  np.testing.assert_allclose(found.sum((1, 2, 3)), logits, rtol=1e-4)


def test_smooth_grad_averages_over_noise():
  args = network()
  plain = attribution.saliency(*args)
  np.testing.assert_allclose(
    attribution.smooth_grad(*args, samples=8, noise=0.0), plain, rtol=1e-5, atol=1e-6
  )
  noisy = attribution.smooth_grad(*args, samples=8, seed=1)
  np.testing.assert_allclose(
    attribution.smooth_grad(*args, samples=8, seed=1, batch_size=2), noisy, rtol=1e-5, atol=1e-6
  )
  assert np.abs(noisy - plain).max() > 1e-3
  assert np.abs(attribution.smooth_grad(*args, samples=8, seed=2) - noisy).max() > 1e-3


def test_smooth_grad_of_a_relu_equals_its_formula():
  """The gradient is 0 or 1. Its mean over noise with standard deviation s is Φ(x / s).

  s is a fraction of the range of the image.
  """
  model = models.build(
    dict(
      name='cnn',
      layers=(
        dict(kind='activation'),
        dict(kind='flatten'),
        dict(kind='dense', features=1, activate=False, name='logits'),
      ),
    )
  )
  variables = {
    'params': {'logits': {'kernel': np.ones((2, 1), np.float32), 'bias': np.zeros(1, np.float32)}}
  }
  image = np.float32([[[-1.0], [3.0]]])  # range 4, standard deviation 0.25 · 4 = 1
  images = np.stack([image, 10 * image])  # their ranges differ
  found = attribution.smooth_grad(
    model, variables, images, np.array([0, 0]), samples=4000, noise=0.25
  )
  np.testing.assert_allclose(found.reshape(2, 2), [[0.1587, 0.9987]] * 2, atol=0.02)  # Φ(−1), Φ(3)


def test_integrated_gradients_sum_to_the_logit_difference():
  model, variables, images, labels = network()
  for baseline in (0.0, np.float32([0.2, 0.7]), images[::-1].copy()):
    found = attribution.integrated_gradients(
      model, variables, images, labels, baseline=baseline, steps=256, batch_size=2
    )
    baselines = np.broadcast_to(np.float32(baseline), images.shape)
    change = np.asarray(units.scores(model, variables, images, labels))
    change = change - np.asarray(units.scores(model, variables, baselines, labels))
    np.testing.assert_allclose(found.maps.sum((1, 2, 3)) - change, found.gap, atol=1e-5)
    assert (np.abs(found.gap) <= 5e-3 * np.abs(change) + 2e-3).all()


def test_integrated_gradients_of_a_linear_model_are_exact():
  weights = np.random.default_rng(0).normal(size=(2, 3, 4, 1)).astype(np.float32)
  images = np.full((2, 3, 4, 1), 3, np.float32)
  found = attribution.integrated_gradients(
    *linear_network(weights), images, np.array([1, 0]), baseline=1.0, steps=1
  )
  np.testing.assert_allclose(found.maps, 2 * weights[::-1], rtol=1e-6)
  np.testing.assert_allclose(found.gap, 0, atol=1e-5)


def test_quadrature_of_a_smooth_network_converges_fast():
  model, variables, images, labels = network(activation='tanh', batch=1)
  gaps = [
    abs(attribution.integrated_gradients(model, variables, images, labels, steps=steps).gap[0])
    for steps in (1, 3, 12)
  ]
  assert gaps[0] > 10 * gaps[1] > 0
  assert gaps[2] < 1e-5


def test_unseen_pixels_get_zero_attribution():
  layers = (
    dict(kind='conv', features=3, kernel=3, padding='VALID'),
    dict(kind='max_pool'),
    dict(kind='flatten'),
    dict(kind='dense', features=3, activate=False, name='logits'),
  )
  model, variables, images, labels = network(layers, shape=(9, 8, 1))
  rows, columns, _ = geometry.unseen(model, (9, 8))
  assert (rows, columns) == ([8], [])
  for maps in (
    attribution.saliency(model, variables, images, labels),
    attribution.occlusion(model, variables, images, labels, window=1)[..., None],
    attribution.integrated_gradients(model, variables, images, labels, steps=4).maps,
  ):
    assert not maps[:, rows].any()
    assert maps[:, :8].any((0, 2, 3)).all()


def test_grad_cam_equals_its_formula():
  with jax.enable_x64(True):
    model, variables, images, labels = network(dtype=np.float64)
    maps = np.asarray(units.outputs(model, variables, images, ['max_pool1'])[1]['max_pool1'])
    weights = np.zeros((3, 4))
    for c in range(4):  # finite difference for the whole channel, divided by its size
      up, down = (
        scores_with_raised_channel(model, variables, images, labels, c, step)
        for step in (1e-6, -1e-6)
      )
      weights[:, c] = (up - down) / 2e-6 / maps[0, :, :, 0].size
    expected = np.einsum('bhwc,bc->bhw', maps, weights)
    found = attribution.grad_cam(model, variables, images, labels, 'max_pool1', relu=False)
    np.testing.assert_allclose(found.maps, expected, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(
      attribution.grad_cam(model, variables, images, labels, 'max_pool1').maps,
      np.maximum(expected, 0),
      rtol=1e-5,
      atol=1e-8,
    )


def scores_with_raised_channel(model, variables, images, labels, channel, step):
  """Returns the scores after adding `step` to a channel of max_pool1."""
  logits = units.outputs_with(
    model, variables, images, 'max_pool1', lambda outputs: outputs.at[..., channel].add(step)
  )
  return np.asarray(logits)[np.arange(len(labels)), labels]


@pytest.mark.slow
def test_grad_cam_with_average_pooling_is_class_activation_map():
  layers = (
    dict(kind='conv', features=4, kernel=3),
    dict(kind='average_pool', window=(4, 6)),
    dict(kind='flatten'),
    dict(kind='dense', features=3, activate=False, name='logits'),
  )
  model, variables, images, labels = network(layers, shape=(4, 6, 1))
  conv = np.asarray(units.outputs(model, variables, images, ['conv1'])[1]['conv1'])
  kernel = variables['params']['logits']['kernel']
  expected = np.einsum('bhwc,cb->bhw', conv, kernel[:, labels]) / 24
  found = attribution.grad_cam(model, variables, images, labels, 'conv1', relu=False)
  np.testing.assert_allclose(found.maps, expected, rtol=1e-4, atol=1e-6)


def test_grad_cam_is_upsampled_bilinearly():
  model, variables, images, labels = network()
  found = attribution.grad_cam(model, variables, images, labels, 'max_pool1', relu=False)
  assert found.maps.shape == (3, 3, 3)
  assert found.upsampled.shape == (3, 7, 6)
  rows, columns = ((np.arange(size) + 0.5) * 3 / size - 0.5 for size in (7, 6))
  for small, upsampled in zip(found.maps, found.upsampled, strict=True):
    wide = np.stack([np.interp(columns, range(3), row) for row in small])
    expected = np.stack([np.interp(rows, range(3), column) for column in wide.T], 1)
    np.testing.assert_allclose(upsampled, expected, rtol=1e-4, atol=1e-6)
  guided = attribution.guided_grad_cam(model, variables, images, labels, 'max_pool1')
  mask = attribution.grad_cam(model, variables, images, labels, 'max_pool1').upsampled[..., None]
  np.testing.assert_allclose(
    guided,
    mask * attribution.guided_backprop(model, variables, images, labels),
    rtol=1e-5,
    atol=1e-7,
  )


def test_grad_cam_of_negative_evidence_is_zero_and_warns():
  layers = (
    dict(kind='conv', features=2, kernel=1),
    dict(kind='flatten'),
    dict(kind='dense', features=2, activate=False, name='logits'),
  )
  model, variables, images, _ = network(layers, shape=(3, 3, 1), batch=1)
  variables['params']['conv1'] = {
    'kernel': np.ones((1, 1, 1, 2), np.float32),
    'bias': np.zeros(2, np.float32),
  }
  variables['params']['logits']['kernel'] = -np.ones((18, 2), np.float32)
  with pytest.warns(UserWarning, match='1 of 1 maps are zero everywhere'):
    found = attribution.grad_cam(model, variables, images, np.array([0]), 'conv1')
  assert not found.maps.any()
  assert not found.upsampled.any()
  assert (
    attribution.grad_cam(model, variables, images, np.array([0]), 'conv1', relu=False).maps < 0
  ).all()


def test_rank_correlation_equals_hand_computed_values():
  np.testing.assert_array_equal(sanity.mean_ranks(np.array([3, 1, 3, 2])), [2.5, 0, 2.5, 1])
  assert sanity.spearman(np.array([1, 2, 3]), np.array([10, 20, 99])) == pytest.approx(1)
  # 1 − 6 · 18 / (4 · 15) = −0.8
  assert sanity.spearman(np.array([1, 2, 3, 4]), np.array([4, 2, 3, 1])) == pytest.approx(-0.8)
  assert sanity.spearman(np.array([1, 1, 2]), np.array([1, 2, 2])) == pytest.approx(0.5)
  assert np.isnan(sanity.spearman(np.ones(3), np.arange(3)))


def test_randomisation_starts_at_the_head_and_flags_insensitive_methods():
  args = network(shape=(10, 10, 1), batch=4)
  found = attribution.sanity(attribution.saliency, *args)
  plain = network(LAYERS[2:4] + LAYERS[4:5] + LAYERS[6:7])
  plain[1]['batch_stats'] = {}  # as in a checkpoint
  model, variables, *others = args
  committed = jax.device_put(variables, jax.devices()[0])  # as in a checkpoint
  with compiled_programs() as compiled:
    again = attribution.sanity(attribution.input_x_gradient, model, committed, *others)
  assert again.layers == found.layers
  shapes = [leaf.shape for leaf in (variables['params']['conv1']['kernel'], others[0])]
  types = [f'float32[{",".join(map(str, shape))}]' for shape in shapes]
  network_programs = [line for line in compiled if all(kind in line for kind in types)]
  assert len(network_programs) == 1, compiled  # one program for all stages
  assert attribution.sanity(lambda model, variables, images, target: images, *plain).layers == (
    '',
    'dense1',
    'conv1',
  )
  assert found.layers == ('', 'logits', 'dense2', 'dense1', 'conv2', 'batch_norm1', 'conv1')
  np.testing.assert_allclose(found.correlations[0], 1)
  assert found.correlations[1:].mean() < 0.9
  assert abs(found.correlations[-1].mean()) < 0.4
  assert not found.flagged
  images_only = attribution.sanity(lambda model, variables, images, target: images, *args)
  np.testing.assert_allclose(images_only.correlations, 1)
  assert images_only.flagged

  def first_layer_map(model, variables, images, target):
    """Depends only on a bias of the first layer, which randomisation sets to 0."""
    bias = variables['params']['conv1']['bias'][0]
    return images[::-1] if bias == 0 else images * bias

  first_layer_only = attribution.sanity(first_layer_map, *args)
  np.testing.assert_allclose(first_layer_only.correlations[:-1], 1)
  assert first_layer_only.correlations[-1].mean() < 0.5
  assert first_layer_only.flagged


def test_randomisation_is_flagged_by_the_last_two_stages_alone():
  """A map that does not depend on the two layers nearest to the logits is not flagged for that."""
  args = network(shape=(10, 10, 1), batch=4)

  def map_of_early_layers(model, variables, images, target):
    """Another picture as soon as the kernel of dense1 is random."""
    kernel = args[1]['params']['dense1']['kernel']
    same = np.array_equal(variables['params']['dense1']['kernel'], kernel)
    return images if same else np.random.default_rng(7).random(images.shape)

  found = attribution.sanity(map_of_early_layers, *args)
  np.testing.assert_allclose(found.correlations[:3], 1)
  assert not found.flagged


def test_all_layers_are_random_with_random_weights():
  model, variables, images, _ = network(shape=(10, 10, 1), batch=4)
  found = sanity.with_random_weights(model, variables, images)
  assert jax.tree.structure(found['params']) == jax.tree.structure(dict(variables['params']))
  for name, layer in found['params'].items():
    for parameter, values in layer.items():
      given = variables['params'][name][parameter]
      assert values.shape == given.shape
      assert values.dtype == given.dtype
      assert np.any(values != given)
  again = sanity.with_random_weights(model, variables, images, seed=1)
  assert np.any(again['params']['conv1']['kernel'] != found['params']['conv1']['kernel'])


def test_randomisation_also_resets_running_averages():
  stages = []
  model, variables, images, labels = network()

  def record_variables(model, variables, images, target):
    stages.append(variables)
    return images

  attribution.sanity(record_variables, model, variables, images, labels)
  for stage, layers in enumerate(
    [[], ['logits'], ['logits'], ['logits'], ['logits'], ['logits', 'batch_norm1']]
  ):
    for layer in ('logits', 'batch_norm1'):
      reset = stages[stage]['batch_stats'][layer]
      assert (np.all(reset['mean'] == 0) and np.all(reset['var'] == 1)) == (layer in layers)
  assert not np.array_equal(
    stages[2]['params']['dense2']['kernel'], variables['params']['dense2']['kernel']
  )
  np.testing.assert_array_equal(
    stages[2]['params']['dense1']['kernel'], variables['params']['dense1']['kernel']
  )


@pytest.mark.parametrize(
  ('call', 'message'),
  [
    (
      lambda m, v, x, y: attribution.saliency(m, v, np.zeros((3, 7, 6, 2), np.uint8), y),
      'images of type uint8 have no gradient',
    ),
    (
      lambda m, v, x, y: attribution.saliency(m, v, x[:0], y[:0]),
      r'images of shape \(0, 7, 6, 2\) are empty',
    ),
    (
      lambda m, v, x, y: attribution.saliency(m, v, x * np.nan, y),
      '252 numbers of the images are not finite',
    ),
    (
      lambda m, v, x, y: attribution.saliency(m, v, x[:, :3, :3], y),
      r'inputs of shape \(3, 3, 3, 2\) do not fit the model',
    ),
    (
      lambda m, v, x, y: attribution.saliency(m, v, x, y + 1),
      'target has labels from 1 to 3: use 0 to 2',
    ),
    (lambda m, v, x, y: attribution.smooth_grad(m, v, x, y, samples=0), 'samples=0 and noise=0.15'),
    (
      lambda m, v, x, y: attribution.integrated_gradients(m, v, x, y, steps=0),
      'steps=0 is not a number of points',
    ),
    (
      lambda m, v, x, y: attribution.integrated_gradients(m, v, x, y, baseline=np.zeros(3)),
      r'baseline of shape \(3,\) does not fit',
    ),
    (
      lambda m, v, x, y: attribution.grad_cam(m, v, x, y, 'dense1'),
      r"layer 'dense1' has no spatial positions, its output is \(6,\): use one of conv1, ",
    ),
    (
      lambda m, v, x, y: attribution.grad_cam(m, v, x, y, 'conv9'),
      "layer 'conv9' is unknown: use one of conv1, ",
    ),
    (
      lambda m, v, x, y: attribution.grad_cam(m, v, x, Neuron('conv1', 0), 'conv2'),
      r"target Neuron.* does not come after layer 'conv2'",
    ),
  ],
)
def test_invalid_argument_error_names_the_fix(call, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    call(*network())


def test_every_exported_name_exists():
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    assert all(callable(getattr(attribution, name)) for name in attribution.__all__)
