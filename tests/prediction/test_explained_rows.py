"""Tests of explained pictures of networks that read images row by row."""

import jax
import numpy as np
import pytest

from jaxdl import models
from jaxdl.analysis import methods
from jaxdl.prediction.explained import Explainer

CONFIG = {
  'data': {'layout': 'rows'},
  'dataset': {'input_shape': [4, 6], 'mean': [0.0, 0.0], 'deviation': [1.0, 1.0]},
}
METHODS = 'saliency, gradient_input, smoothgrad, integrated_gradients, occlusion, lrp'


@pytest.fixture(scope='module')
def network():
  model = models.build(dict(name='recurrent', cell='lstm', features=3, classes=2))
  inputs = np.random.default_rng(0).random((2, 4, 6), np.float32)
  return model, model.init(jax.random.PRNGKey(0), inputs), inputs


def test_rows_are_explained_by_the_methods_for_sequences(network):
  model, variables, inputs = network
  explainer = Explainer(CONFIG, model, variables, ['lrp', 'occlusion'])
  assert explainer.columns == ['LRP', 'occlusion']
  assert explainer.signed == [0, 1]
  predicted = np.array([0, 1])
  found = explainer.maps(inputs, predicted)
  table = methods.of_sequences(model)
  lrp = table['LRP'].function(model, variables, inputs, predicted)
  occlusion = table['occlusion'].function(model, variables, inputs, predicted)
  for number, (of_lrp, of_occlusion) in enumerate(found):
    assert of_lrp.shape == of_occlusion.shape == (4, 3), 'a row has 3 pixels of 2 channels'
    np.testing.assert_allclose(of_lrp, lrp[number].reshape(4, 3, 2).sum(-1), rtol=1e-6)
    # each pixel of a row has the drop of the whole row, once for each channel
    np.testing.assert_allclose(of_occlusion, 2 * occlusion[number][:, None].repeat(3, 1), rtol=1e-6)


def test_methods_of_convolutions_raise_for_rows(network):
  model, variables, _ = network
  assert Explainer(CONFIG, model, variables, []).columns == ['integrated gradients']
  with pytest.raises(ValueError, match=f'does not apply to this network: use some of {METHODS}'):
    Explainer(CONFIG, model, variables, ['grad_cam'])
