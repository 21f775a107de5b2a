"""Inputs computed from the config of a run equal those of evaluation."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data import preprocess, recorded


def config(layout, *, mean, deviation, shape):
  return {
    'data': {'name': 'any', 'layout': layout},
    'dataset': {'input_shape': list(shape), 'mean': mean, 'deviation': deviation},
  }


def test_setting_is_in_the_config_or_the_default_of_the_data_set():
  described = {'data': {'name': 'image_folder', 'size': 64}}
  assert recorded.setting(described, 'size') == 64
  assert recorded.setting(described, 'evaluation_batch_size') == 32
  assert recorded.setting({'data': {'name': 'mnist'}}, 'evaluation_batch_size') == 1000
  assert recorded.setting({'data': {'name': 'custom'}}, 'fit') == 'area'


@pytest.mark.parametrize(
  ('layout', 'shape', 'channels'),
  [('image', (4, 6, 3), 3), ('rows', (4, 18), 3), ('rows', (4, 6), 1)],
)
def test_inputs_equal_those_of_evaluation(layout, shape, channels):
  images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, channels), np.uint8)
  mean, deviation = [0.4, 0.5, 0.1][:channels], [0.2, 0.3, 0.7][:channels]
  prepare = preprocess.inputs(mean=mean, deviation=deviation, layout=layout)
  expected = prepare({'image': images, 'index': jnp.arange(5)})['inputs']
  described = config(layout, mean=mean, deviation=deviation, shape=shape)
  assert recorded.image_shape(described) == (4, 6, channels)
  np.testing.assert_array_equal(recorded.image_inputs(described)(images), expected)
