"""The compared configs as plain files that every framework can read: layers, weights, examples."""

import json
import pathlib
from collections.abc import Callable

import jax
import numpy as np
from flax import traverse_util

from jaxdl import models, ops
from jaxdl.config import binding, reading
from jaxdl.models import cnn, layers
from jaxdl.step import tasks
from jaxdl.training import experiment

ROOT = pathlib.Path(__file__).parents[2]
WORKLOADS = (
  'cnn_cifar10',
  'deep_cnn_cifar10',
  'lenet5_gray_cifar10',
  'cnn_mnist',
  'cnn_fashion_mnist',
  'wide_cnn_fashion_mnist',
  'rnn_mnist',
  'lstm_mnist',
  'gru_mnist',
  'char_lstm_shakespeare',
  'rotated_autoencoder_hoda',
  'cnn_food11',
  'speedrun_cifar10',
)
MOST = 192 << 20  # bytes of inputs that a peer is given and repeats
TEXT_STEPS = 32  # batches of a text that a peer is given
# Optimizer of a config → that of the peers. They have no Muon for convolutions; Nesterov's momentum
# computes less.
RULES = {'adam': 'adam', 'adamw': 'adam', 'muon': 'nesterov'}
NAMES = {function: name for name, function in models.ACTIVATIONS.items()}
KINDS = {kind.__name__: name for name, kind in cnn.KINDS.items()}


def config(name: str, bfloat16: bool = False) -> dict:
  """A config without what only some frameworks have: augmentation, distorted inputs, averages of
  the parameters, smoothed labels and views of test images. All products are in float32, or in
  training in bfloat16.
  """
  plain = reading.read_file(ROOT / f'configs/{name}.py').to_dict()
  for key in ('augment', 'distort'):
    plain['data'].pop(key, None)
  if name == 'cnn_food11':
    folder = plain['data']['folder']
    if not pathlib.Path(folder).is_dir():
      folder = str(ROOT / '../shared/data/food')
    plain['data'].update(folder=folder, splits={'train': 'train'})
  for key in ('ema_decay', 'schedule', 'plateau', 'test_augment'):
    plain.pop(key, None)
  plain['task'] = binding.as_section(plain['task'])['name']
  plain['train_for'] = '100000 steps'
  plain['precision'] = 'bfloat16_products' if bfloat16 else 'float32'
  return plain


def write(name: str, folder: str | pathlib.Path, bfloat16: bool = False) -> None:
  """Writes `task.json`, `weights.npz`, `inputs.npy` and `targets.npy`, all that peers read.

  Args:
    name: one of WORKLOADS.
    folder: an existing folder.
    bfloat16: whether products are in bfloat16 in training.
  """
  folder = pathlib.Path(folder)
  built = experiment.build(config(name, bfloat16), name)
  state = jax.device_get(built.initial_state())
  inputs, targets = examples(built, 'train', MOST)
  np.save(folder / 'inputs.npy', inputs)
  np.save(folder / 'targets.npy', targets)
  np.savez(
    folder / 'weights.npz',
    **traverse_util.flatten_dict(state.params, sep='/'),
  )
  optimizer = built.config['optimizer']
  (folder / 'task.json').write_text(
    json.dumps(
      {
        'name': name,
        'task': built.config['task']['name'],
        'batch': built.config['data']['batch_size'],
        'optimizer': RULES[optimizer['name']],
        'learning_rate': optimizer['learning_rate'],
        'clip_norm': optimizer.get('clip_norm', 0.0),
        'layers': _layers(built, state, inputs),
        'bfloat16': bfloat16,
      }
    ),
    encoding='utf-8',
  )


def examples(
  built: experiment.Experiment, split_name: str, most: int
) -> tuple[np.ndarray, np.ndarray]:
  """(inputs, targets) of whole batches of a split, as the network takes them: [N, …], or
  [steps, B, T] of a text.

  Args:
    built: experiment without augmentation.
    split_name: 'train' or another split.
    most: bytes of inputs.
  """
  split, batch = built.data.splits[split_name], built.config['data']['batch_size']
  prepare = jax.jit(lambda arrays, feed: built.data.prepare(split.fetch(arrays, feed), None))
  text = built.config['task']['name'] == 'next_char'
  each = 4 * batch * int(np.prod(built.data.inputs.shape[1:]))
  steps = TEXT_STEPS if text else max(1, min(most // each, split.count // batch))
  inputs, targets = [], []
  capacity = min(steps, split.capacity or steps)
  for first in range(0, steps, capacity):
    feed = split.feed(first, min(capacity, steps - first))
    for step in range(len(feed['index'])):
      ready = prepare(split.arrays, {key: values[step] for key, values in feed.items()})
      inputs.append(np.asarray(ready['inputs']))
      targets.append(
        inputs[-1]
        if built.config['task']['name'] == 'reconstruct'
        else np.asarray(ready['label'], np.int32)
      )
  join = np.stack if text else np.concatenate
  return join(inputs), join(targets)


def _layers(built, state, inputs):
  """One dict a layer: name, kind and what it takes, in order."""
  from jaxdl.analysis import units  # here, because a contender's start does not need it

  section, model = built.config['model'], built.recipe.model
  if section['name'] == 'recurrent':
    return [
      {
        'name': section['cell'],
        'kind': section['cell'],
        'features': section['features'],
        'last': True,
      },
      {'name': 'logits', 'kind': 'dense', 'features': section['classes'], 'activation': None},
    ]
  if section['name'] == 'language_model':
    found = [{'name': 'one_hot', 'kind': 'one_hot', 'features': section['classes']}]
    for number in range(1, section['layers'] + 1):
      found += [
        {
          'name': f'{section["cell"]}{number}',
          'kind': section['cell'],
          'features': section['features'],
          'last': False,
        },
        {'name': f'dropout{number}', 'kind': 'dropout', 'rate': section['dropout']},
      ]
    return [
      *found,
      {'name': 'logits', 'kind': 'dense', 'features': section['classes'], 'activation': None},
    ]
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  shapes, shape, found = units.shapes(model, variables, inputs[:1]), inputs.shape[1:], []
  for name, build in model.named_layers():
    layer = build()
    row = {
      'name': name,
      'kind': KINDS[type(layer).__name__],
      'given': list(shape),
      'activation': NAMES.get(getattr(layer, 'activation', None)),
    }
    for key in ('kernel', 'window', 'strides'):
      if hasattr(layer, key):
        row[key] = layers.pair(getattr(layer, key) or layer.window)
    for key in ('features', 'padding', 'rate', 'epsilon', 'momentum', 'shape'):
      if hasattr(layer, key):
        row[key] = getattr(layer, key)
    if row['kind'] == 'conv':
      row['pads'] = [
        ops.explicit_padding(shape[axis], row['kernel'][axis], row['strides'][axis], layer.padding)
        for axis in (0, 1)
      ]
    found.append(row)
    shape = shapes[name]
  return found


def loss_of(built: experiment.Experiment) -> Callable:
  """Function (params, batch_stats, inputs, targets) → mean loss in evaluation."""
  task, _ = tasks.build(built.config['task'])
  text = built.config['task']['name'] == 'next_char'

  def loss(params, batch_stats, inputs, targets):
    variables = {'params': params, 'batch_stats': batch_stats}
    mask = np.ones(inputs.shape if text else len(inputs), np.float32)
    sums = task(
      built.recipe.model.apply(variables, inputs),
      {'label': targets, 'target': targets, 'mask': mask},
    )
    return sums['loss'] / sums['count']

  return jax.jit(loss)
