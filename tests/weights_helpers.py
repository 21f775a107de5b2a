"""Networks for tests of weights from other tools."""

import jax
import numpy as np

from jaxdl import models
from jaxdl.exports import Network

DENSE = dict(kind='dense', features=3, activate=False, name='logits')
LAYERS = (  # a bit of everything, 7 × 6 images of 2 channels
  dict(kind='conv', features=3, kernel=(3, 2)),
  dict(kind='batch_norm', epsilon=1e-5, momentum=0.9),
  dict(kind='max_pool', window=2),
  dict(kind='conv_transpose', features=2, kernel=(3, 2)),
  dict(kind='flatten'),
  dict(kind='dropout', rate=0.5),
  dict(kind='dense', features=24),
  dict(kind='batch_norm', epsilon=1e-5, momentum=0.9),
  dict(kind='reshape', shape=(3, 4, 2)),
  dict(kind='conv', features=4, kernel=3),
  dict(kind='flatten'),
  DENSE,
)


def network(section, shape, *, task='classify', seed=0):
  """A Network with random weights and statistics."""
  model = models.build(section)
  inputs = np.zeros((1, *shape), np.int32 if task == 'next_char' else np.float32)
  draw = np.random.default_rng(seed)
  variables = jax.tree_util.tree_map_with_path(
    lambda path, leaf: np.float32(
      draw.uniform(0.5, 2, leaf.shape) if path[-1].key == 'var' else draw.normal(0, 0.4, leaf.shape)
    ),
    {'batch_stats': {}, **jax.eval_shape(model.init, {'params': jax.random.key(0)}, inputs)},
  )
  config = {
    'task': {'name': task},
    'model': section,
    'data': {'name': 'any', 'layout': 'image'},
    'dataset': {
      'input_shape': list(shape),
      'mean': [0.0] * shape[-1],
      'deviation': [1.0] * shape[-1],
      'classes': ['a', 'b', 'c'],
    },
  }
  return Network('tiny', 7, model, variables, config)


def of_layers(*layers, shape=(7, 6, 2), **keywords):
  return network({'name': 'cnn', 'layers': layers}, shape, **keywords)


def recurrent(cell, **keywords):
  return network(dict(name='recurrent', cell=cell, features=4, classes=3), (5, 6), **keywords)


def text(cell, embedding=0, layers=2, **keywords):
  section = dict(
    name='language_model',
    cell=cell,
    features=4,
    classes=3,
    layers=layers,
    embedding=embedding,
    **keywords,
  )
  return network(section, (4,), task='next_char')


def outputs(network, variables, count=5):
  """(random inputs [B, …], outputs of the network) with some variables."""
  draw = np.random.default_rng(3)
  if network.is_text:
    inputs = draw.integers(0, len(network.classes), (count, 9), np.int32)
  else:
    inputs = np.float32(draw.normal(0, 1, (count, *network.input_shape)))
  return inputs, np.asarray(network.model.apply(variables, inputs))
