"""Tests of autoencoders: the loss, its gradients, training and configuration errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from training_helpers import run_steps

from jaxdl import models
from jaxdl.step import tasks
from jaxdl.training import experiment, loop


def test_mse_equals_a_hand_computed_value():
  batch = {'target': jnp.zeros((2, 2, 2, 1)), 'mask': jnp.array([1.0, 0.0])}
  images = jnp.array([[[1.0, 0], [0, 1]], [[9, 9], [9, 9]]])[..., None]
  assert tasks.metrics(tasks.reconstruct(images, batch)) == {
    'loss': 0.5,
    'mse': 0.5,
  }  # the second example is padding and does not count


def test_gradients_of_autoencoder_match_finite_differences(small_autoencoder):
  with jax.enable_x64(True):
    model = models.build(small_autoencoder['model'])
    generator = np.random.default_rng(0)
    inputs, target = (jnp.asarray(generator.normal(size=(2, 28, 28, 1))) for _ in range(2))
    params = jax.tree.map(
      lambda leaf: jnp.asarray(generator.normal(size=leaf.shape)) * 0.1,
      jax.eval_shape(model.init, jax.random.PRNGKey(0), inputs)['params'],
    )

    def loss(params):
      images = model.apply({'params': params}, inputs)
      return tasks.reconstruct(images, {'target': target, 'mask': jnp.array([1.0, 0.0])})['loss']

    check_grads(jax.jit(loss), (params,), order=1, modes=('rev',), atol=1e-6, rtol=1e-6)


@pytest.mark.slow
def test_autoencoder_can_overfit_rotated_digits(small_autoencoder):
  """The 16 digits are rotated by a new angle in every step. The mean image has an error of 0.06."""
  small_autoencoder['data']['splits'] = dict(train='train[:16]')
  small_autoencoder['model']['layers'][2]['features'] = 32
  _, history = run_steps(small_autoencoder, 400)
  assert float(history['mse'][0] / history['count'][0]) > 0.08
  assert float(history['mse'][-20:].sum() / history['count'][-20:].sum()) < 0.04


@pytest.mark.slow
def test_run_reports_mse_and_lists_the_code_layer(small_autoencoder, tmp_path):
  built = experiment.build(small_autoencoder, 'autoencoder')
  assert {row['name']: row['output'] for row in built.layers}['code'] == [6]
  summary = loop.train(built, tmp_path)
  assert summary['test_mse'] == summary['test_loss'] > 0


@pytest.mark.parametrize(
  ('position', 'change', 'message'),
  [
    (
      4,
      dict(shape=(14, 13, 1)),
      r'reshape to \(14, 13, 1\) takes 182 numbers and gets 196: change the layer before it',
    ),
    (
      6,
      dict(features=3),
      r'the last layer image has output \[28, 28, 3\], but the images are \[28, 28, 1\]',
    ),
  ],
)
def test_invalid_autoencoder_error_names_the_layer(small_autoencoder, position, change, message):
  small_autoencoder['model']['layers'][position].update(change)
  with pytest.raises(ValueError, match=message):
    experiment.build(small_autoencoder, 'autoencoder')
