"""Gradients of models and tasks against finite differences in float64.

The gradients of the operations are tested in tests/ops.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import BN_CNN
from jax.test_util import check_grads

from jaxdl import models
from jaxdl.step import tasks

GENERATOR = np.random.default_rng(0)


def normal(*shape):
  return jnp.asarray(GENERATOR.normal(size=shape))


# Smooth activations, because a finite difference may cross the kink of a ReLU or a maximum.
BRANCHED = dict(
  name='cnn',
  activation='tanh',
  layers=(
    dict(kind='conv', features=4, kernel=3, strides=2),
    dict(
      kind='residual',
      project=True,
      layers=(
        dict(kind='batch_norm'),
        dict(kind='conv', features=6, kernel=3, strides=2, groups=2),
        dict(kind='dropout', rate=0.3),
      ),
    ),
    dict(
      kind='parallel',
      branches=((dict(kind='depthwise_conv', kernel=3, multiplier=2),), (dict(kind='layer_norm'),)),
    ),
    dict(kind='group_norm', groups=3),
    dict(kind='global_average_pool'),
    dict(kind='dense', features=10, activate=False),
  ),
)
SEQUENCES = dict(
  name='cnn',
  activation='tanh',
  masked=True,
  layers=(
    dict(kind='conv', features=4, kernel=3, padding=((2, 0),)),
    dict(kind='batch_norm'),
    dict(kind='depthwise_conv', kernel=2, strides=2),
    dict(kind='group_norm', groups=2),
    dict(kind='average_pool', window=2, strides=1, padding='SAME'),
    dict(kind='global_max_pool'),
    dict(kind='dense', features=10, activate=False),
  ),
)
RECURRENT = (
  dict(name='recurrent', cell='rnn', features=(5, 4), classes=10, masked=True, dropout=0.3),
  dict(name='recurrent', cell='lstm', features=3, classes=10, bidirectional=True, masked=True),
  dict(name='recurrent', cell='gru', features=3, classes=10, pool='mean', masked=True),
)
RECURRENT_IDS = ('stacked', 'bidirectional', 'mean')


@pytest.fixture(autouse=True)
def _float64():
  with jax.enable_x64(True):
    yield


@pytest.mark.parametrize(
  'section',
  [
    *(dict(name='recurrent', cell=cell, features=5, classes=10) for cell in ('rnn', 'lstm', 'gru')),
    BN_CNN,
    {
      **BN_CNN,
      'activation': 'tanh',
      'layers': BN_CNN['layers'][:1] + (dict(kind='average_pool'),) + BN_CNN['layers'][4:],
    },
    BRANCHED,
    SEQUENCES,
    *RECURRENT,
  ],
  ids=['rnn', 'lstm', 'gru', 'bn_cnn', 'tanh_cnn', 'branches', 'sequences', *RECURRENT_IDS],
)
@pytest.mark.parametrize('train', [True, False])
def test_gradients_of_model_and_task(section, train):
  """Gradient of the summed loss, with batch statistics, dropout and a padded example."""
  model = models.build(section)
  inputs = normal(3, 12, 12, 1) if section['name'] == 'cnn' else normal(3, 6, 4)
  if section.get('masked'):
    inputs = normal(3, 6, 4).at[..., -1].set(jnp.arange(6) < jnp.array([[6], [3], [1]]))
  mask, index = jnp.array([1.0, 1.0, 0.0]), jnp.array([7, 3, 0])
  variables = jax.tree.map(
    lambda leaf: normal(*leaf.shape) * 0.5 + 0.8,
    jax.eval_shape(model.init, jax.random.PRNGKey(0), inputs),
  )
  fixed = {'batch_stats': jax.tree.map(jnp.abs, variables.get('batch_stats', {}))}

  def loss(params):
    outputs, _ = model.apply(
      {'params': params, **fixed},
      inputs,
      train=train,
      mask=mask,
      index=index,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.PRNGKey(1)},
    )
    return tasks.classify(outputs, {'label': jnp.array([1, 2, 3]), 'mask': mask})['loss']

  check_grads(
    jax.jit(loss), (variables['params'],), order=1, modes=('rev',), atol=1e-5, rtol=1e-5, eps=1e-5
  )


def test_gradients_of_classify():
  batch = {'label': jnp.array([0, 2, 1]), 'mask': jnp.array([1.0, 1.0, 0.0])}
  check_grads(
    lambda logits: tasks.classify(logits, batch)['loss'],
    (normal(3, 4),),
    order=1,
    modes=('rev',),
    atol=1e-6,
    rtol=1e-6,
  )


@pytest.mark.parametrize(
  'task', [functools.partial(tasks.classify, label_smoothing=0.2), tasks.classify_by_squared_error]
)
def test_gradients_of_smoothed_labels_and_squared_error(task):
  batch = {'label': jnp.array([0, 2, 1]), 'mask': jnp.array([1.0, 1.0, 0.0])}
  check_grads(
    lambda logits: task(logits, batch)['loss'],
    (normal(3, 4),),
    order=1,
    modes=('rev',),
    atol=1e-6,
    rtol=1e-6,
  )


@pytest.mark.parametrize(
  'options',
  [
    dict(focal=2.0),
    dict(focal=0.5),
    dict(class_weights=[0.5, 2.0, 1.0, 3.0]),
    dict(focal=2.0, class_weights=[0.5, 2.0, 1.0, 3.0], label_smoothing=0.1),
  ],
)
def test_gradients_of_weighted_and_focal_loss(options):
  batch = {'label': jnp.array([0, 2, 1]), 'mask': jnp.array([1.0, 1.0, 0.0])}
  check_grads(
    lambda logits: tasks.classify(logits, batch, **options)['loss'],
    (normal(3, 4),),
    order=1,
    modes=('rev',),
    atol=1e-6,
    rtol=1e-6,
  )


@pytest.mark.parametrize('logit', [0.0, 60.0, -60.0])
def test_gradient_of_focal_loss_is_finite(logit):
  """At a probability of 1, the slope of (1 − p)^0.5 is infinite."""
  batch = {'label': jnp.array([0]), 'mask': jnp.ones(1)}
  found = jax.grad(lambda logits: tasks.classify(logits, batch, focal=0.5)['loss'])(
    jnp.array([[logit, 0.0]])
  )
  assert np.isfinite(found).all()


@pytest.mark.parametrize('loss', ['squared', 'absolute', 'huber'])
def test_gradients_of_regress(loss):
  batch = {
    'target': normal(3, 2),
    'target_scale': jnp.array([2.0, 0.1]),
    'mask': jnp.array([1.0, 1.0, 0.0]),
  }
  check_grads(
    lambda outputs: tasks.regress(outputs, batch, loss=loss, delta=0.7)['loss'],
    (normal(3, 2),),
    order=1,
    modes=('rev',),
    atol=1e-6,
    rtol=1e-6,
  )


def test_gradients_of_multi_label():
  batch = {
    'label': jnp.array([[1.0, 0, 1], [0, 0, 0], [1, 1, 1]]),
    'mask': jnp.array([1.0, 1.0, 0.0]),
  }
  check_grads(
    lambda logits: tasks.multi_label(logits, batch)['loss'],
    (normal(3, 3),),
    order=1,
    modes=('rev',),
    atol=1e-6,
    rtol=1e-6,
  )


def test_gradients_of_l2_penalty():
  check_grads(
    lambda tree: tasks.l2(tree, strength=0.3),
    ({'kernel': normal(3, 4), 'bias': normal(4)},),
    order=1,
    modes=('rev',),
    atol=1e-6,
    rtol=1e-6,
  )
