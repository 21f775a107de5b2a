"""Tests of the table of methods for images: each equals the function that it names."""

import jax
import numpy as np
import pytest
from analysis_networks import network

from jaxdl.analysis import attribution, methods, units
from jaxdl.analysis.methods import Method

LAYER = 'conv1'


@pytest.fixture(autouse=True)
def in_float64():
  with jax.enable_x64(True):
    yield


def test_methods_of_images_equal_the_functions():
  model, variables, images, labels = given = network()
  occluded = dict(window=2, stride=1, fill=0.25)
  found = methods.of_images(LAYER, occluded)
  low, high = images.min((0, 1, 2)), images.max((0, 1, 2))
  composite = attribution.epsilon_gamma_box(tuple(low), tuple(high))
  expected = {
    'saliency': attribution.saliency(*given),
    'gradient × input': attribution.input_x_gradient(*given),
    'integrated gradients': attribution.integrated_gradients(*given).maps,
    'Grad-CAM': attribution.grad_cam(*given, LAYER).upsampled,
    'guided Grad-CAM': attribution.guided_grad_cam(*given, layer=LAYER),
    'occlusion': attribution.occlusion(*given, **occluded),
    'LRP-ε': attribution.lrp(*given).maps,
    'LRP composite': attribution.lrp(*given, composite).maps,
    'DeepLIFT': attribution.deep_lift(*given).maps,
    'expected gradients': attribution.expected_gradients(*given, images).maps,
    'LayerCAM': attribution.layer_cam(*given, LAYER).upsampled,
    'RISE': attribution.rise(*given, fill=0.25),
  }
  for name, maps in expected.items():
    again = found[name].function(*given)
    np.testing.assert_allclose(again, maps, rtol=1e-9, atol=1e-12, err_msg=name)


def test_limits_and_background_replace_those_of_the_images():
  given = network()
  limits, background = ((0.0, -1.0), (1.0, 2.0)), given[2][:1] / 2
  found = methods.of_images(LAYER, {}, limits=limits, background=background)
  composite = attribution.lrp(*given, attribution.epsilon_gamma_box(*limits)).maps
  np.testing.assert_allclose(found['LRP composite'].function(*given), composite, rtol=1e-9)
  expected = attribution.expected_gradients(*given, background).maps
  np.testing.assert_allclose(found['expected gradients'].function(*given), expected, rtol=1e-9)
  of_images = methods.of_images(LAYER, {})
  for name in ('LRP composite', 'expected gradients'):
    assert (of_images[name].function(*given) != found[name].function(*given)).any(), name


def test_baseline_scores_are_those_of_the_method():
  """The baseline of LRP has no score, and that of expected gradients the mean of the background."""
  model, variables, images, labels = given = network()
  background = images[::-1] / 2
  blank = units.scores(model, variables, 0 * images, labels)
  others = np.asarray(model.apply(variables, background))
  for name, method in methods.of_images(LAYER, {}, background=background).items():
    if method.baseline_score is None:
      continue
    expected = blank
    if name.startswith('LRP'):
      expected = [0, 0, 0]
    elif name == 'expected gradients':
      expected = others.mean(0)[labels]
    np.testing.assert_allclose(method.baseline_score(*given), expected, rtol=1e-6, err_msg=name)


def test_channels_are_added_or_the_greatest_is_taken():
  maps = np.array([[[[1.0, -3.0]]], [[[2.0, 1.0]]]])
  signed, unsigned = Method(None, signed=True), Method(None)
  np.testing.assert_array_equal(methods.without_channels(maps, signed).ravel(), [-2, 3])
  np.testing.assert_array_equal(methods.without_channels(maps, unsigned).ravel(), [3, 2])
  np.testing.assert_array_equal(methods.without_channels(maps[..., 0], signed), maps[..., 0])
  steps = maps[:, 0]
  np.testing.assert_array_equal(methods.without_channels(steps, signed, axes=2), [[-2], [3]])
