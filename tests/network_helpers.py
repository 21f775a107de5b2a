"""Networks with random weights, for tests of their export."""

import jax
import numpy as np

from jaxdl import exports, models


def network(section, shape, *, task='classify', raw=False, layout='image', channels=1):
  """Returns a network with random weights and statistics and the classes a, b and c."""
  section = {'name': 'cnn', **section}
  model = models.build(section)
  inputs = np.zeros((1, *shape), np.int32 if task == 'next_char' else np.float32)
  draw = np.random.default_rng(0)
  variables = jax.tree_util.tree_map_with_path(
    lambda path, leaf: np.float32(
      draw.uniform(0.5, 2, leaf.shape) if path[-1].key == 'var' else draw.normal(0, 0.4, leaf.shape)
    ),
    dict(jax.eval_shape(model.init, {'params': jax.random.key(0)}, inputs)),
  )
  config = {
    'task': {'name': task},
    'model': section,
    'data': {'name': 'any', 'layout': layout},
    'dataset': {
      'input_shape': list(shape),
      'mean': [0.2, 0.5, 0.4][:channels],
      'deviation': [0.3, 0.25, 0.5][:channels],
      'classes': ['a', 'b', 'c'],
    },
  }
  if task != 'next_char' and layout == 'image' and len(shape) < 3:
    masked = section.get('masked', False)
    features = shape[-1] - masked
    config['dataset'] |= {
      'form': 'vectors' if len(shape) == 1 else 'sequences',
      'masked': masked,
      'mean': [0.2] * features,
      'deviation': [0.5] * features,
    }
  return exports.Network('tiny', 7, model, variables, config, raw=raw)
