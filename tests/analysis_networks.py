"""Small networks with random weights in the current precision, for tests of attributions."""

import jax
import numpy as np

from jaxdl import models

LAYERS = (
  dict(kind='conv', features=4, kernel=3, activate=False),
  dict(kind='batch_norm'),
  dict(kind='activation'),
  dict(kind='max_pool'),
  dict(kind='conv', features=3, kernel=2, padding='VALID'),
  dict(kind='batch_norm'),
  dict(kind='dropout', rate=0.5),
  dict(kind='flatten'),
  dict(kind='dense', features=6),
  dict(kind='dense', features=3, activate=False),
  dict(kind='batch_norm', name='logits'),
)
BRANCHES = (
  dict(kind='conv', features=4, kernel=3),
  dict(
    kind='residual',
    project=True,
    layers=(
      dict(kind='conv', features=6, kernel=3, strides=2),
      dict(kind='depthwise_conv', kernel=3),
    ),
  ),
  dict(kind='average_pool', window=2, strides=1),
  dict(kind='parallel', branches=((dict(kind='conv', features=3, kernel=1),), ())),
  dict(
    kind='parallel',
    join='add',
    branches=((dict(kind='max_pool', window=2),), (dict(kind='average_pool', window=2),)),
  ),
  dict(
    kind='parallel',
    branches=((dict(kind='global_max_pool'),), (dict(kind='global_average_pool'),)),
  ),
  dict(kind='dense', features=3, activate=False, name='logits'),
)


def network(layers=LAYERS, shape=(7, 6, 2), batch=3, biases=0.6, **fields):
  """Returns (model, variables, images in 0..1, labels); `biases` is the deviation of the biases."""
  model = models.build(dict(name='cnn', layers=layers, **fields))
  draw = np.random.default_rng(0)
  images = draw.random((batch, *shape))

  def number(path, leaf):
    kind = path[-1].key
    values = draw.normal(size=leaf.shape) * (0.6 if kind == 'kernel' else biases)
    return 0.5 + draw.random(leaf.shape) if kind in ('var', 'scale') else values

  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), images)
  variables = jax.tree_util.tree_map_with_path(number, shapes)
  return model, dict(variables), images, np.arange(batch) % 3
