"""Tests of the forward pass in NumPy: equal to the compiled models and to hand-computed values."""

import ast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import BN_CNN, RECURRENT, ROOT

from jaxdl import models
from jaxdl.analysis import reference, units
from jaxdl.analysis.reference import operations, recurrence
from jaxdl.config.reading import read_file, to_dict

CLASSES = {'language_model': 65, 'transformer': 65, 'cnn': 11}
SHAPES = {
  'hoda': (32, 32, 1),
  'image_folder': (48, 32, 3),
}  # smaller photographs than in the config
# Slow in float32 and float64. In float64, all configs except SMALL are slow.
SLOW = (
  'deep_cnn_cifar10',
  'cnn_fashion_mnist',
  'cnn_food11',
  'cnn_food11_l2',
  'wide_cnn_fashion_mnist',
  'cnn_mnist',
  'char_lstm_shakespeare',
)
SMALL = ('rnn_mnist', 'lstm_mnist', 'gru_mnist', 'char_rnn_shakespeare', 'wide_cnn_fashion_mnist')
CONFIGS = [
  pytest.param(
    file,
    dtype,
    id=f'{file.stem}-{dtype.__name__}',
    marks=(
      pytest.mark.slow
      if file.stem in SLOW or (dtype is np.float64 and file.stem not in SMALL)
      else ()
    ),
  )
  for file in sorted((ROOT / 'configs').glob('*.py'))
  for dtype in (np.float32, np.float64)
]


def random_inputs(config, generator, count=2):
  """Returns random inputs of the shape and type of a config's data."""
  data = config['data']
  if config['model']['name'] in models.TEXT_MODELS:
    return generator.integers(0, 65, (count, 7)).astype(np.int32)
  if data.get('layout') == 'rows':
    return generator.random((count, 28, 28), np.float32)
  size = data.get('size', 32 if data['name'] == 'cifar10' else 28)
  shape = SHAPES.get(
    data['name'],
    (size, size, 3 if data['name'] == 'cifar10' and data.get('color') != 'gray' else 1),
  )
  return generator.random((count, *shape), np.float32)


def random_variables(model, inputs, generator, dtype=np.float32):
  """Returns random variables; the kernels are scaled to preserve the variance."""

  def fill(path, leaf):
    values = generator.normal(size=leaf.shape)
    kind = path[-1].key
    if 'kernel' in kind:
      values /= np.sqrt(np.prod(leaf.shape[:-1]))
    elif kind in ('var', 'scale'):
      values = 0.5 + np.abs(values)
    if kind not in ('kernel', 'input_kernel', 'var', 'scale'):
      values *= 0.3
    return values.astype(dtype)

  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), inputs)
  return jax.tree_util.tree_map_with_path(fill, shapes)


def largest_difference(config, variables, inputs):
  """Returns the largest difference between the outputs of the reference and the compiled model."""
  model = models.build(config['model'])
  layers = list(units.shapes(model, variables, inputs))
  expected_logits, expected = jax.jit(
    lambda variables, inputs: units.outputs(model, variables, inputs, layers)
  )(variables, inputs)
  logits, outputs = reference.forward(config, variables, inputs)
  assert list(outputs) == layers  # in the same order
  np.testing.assert_array_equal(logits, list(outputs.values())[-1])
  assert logits.dtype == jax.tree.leaves(variables)[0].dtype
  differences = [np.abs(outputs[name] - expected[name]).max() for name in layers]
  return max(np.abs(logits - expected_logits).max(), *differences)


@pytest.mark.parametrize(('file', 'dtype'), CONFIGS)
def test_reference_equals_the_model_of_every_config(file, dtype):
  config = to_dict(read_file(file))
  config['model'] = models.with_classes(config['model'], CLASSES.get(config['model']['name'], 10))
  generator = np.random.default_rng(0)
  inputs = random_inputs(config, generator)
  if inputs.dtype != np.int32:
    inputs = inputs.astype(dtype)
  with jax.enable_x64(dtype is np.float64):
    variables = random_variables(models.build(config['model']), inputs, generator, dtype)
    assert largest_difference(config, variables, inputs) < (1e-5 if dtype is np.float32 else 1e-10)


LAYERS = {  # arguments that no config uses
  'conv': [dict(kind='conv', features=3, kernel=(2, 4), strides=(3, 2))],
  'conv of unequal padding': [
    dict(kind='conv', features=3, kernel=3, strides=2, padding=[[2, 0], [-1, 3]])
  ],
  'conv_transpose': [dict(kind='conv_transpose', features=3, kernel=(2, 5), strides=(4, 2))],
  'conv_transpose, VALID': [
    dict(kind='conv_transpose', features=3, kernel=(1, 3), strides=(2, 1), padding='VALID')
  ],
  'conv_transpose of unequal padding': [
    dict(kind='conv_transpose', features=2, kernel=3, padding=[[1, 2], [0, -1]])
  ],
  'max_pool': [
    dict(kind='max_pool', window=(3, 2), strides=(2, 1), padding='SAME'),
    dict(kind='dense', features=2),
  ],
  'average_pool': [
    dict(kind='average_pool', window=3, strides=2, padding='SAME'),
    dict(kind='dense', features=2),
  ],
  'average_pool, stride 1': [
    dict(kind='average_pool', window=(2, 3), strides=1, padding='VALID'),
    dict(kind='dense', features=2),
  ],
  'groups': [
    dict(kind='conv', features=6, kernel=(2, 3), groups=2),
    dict(kind='depthwise_conv', kernel=3, multiplier=2, strides=(2, 1), padding='VALID'),
    dict(kind='group_norm', groups=3),
  ],
  'global_average_pool': [
    dict(kind='layer_norm', epsilon=0.1),
    dict(kind='global_average_pool'),
    dict(kind='dense', features=2),
  ],
  'global_max_pool': [dict(kind='global_max_pool'), dict(kind='dense', features=2)],
  'residual': [
    dict(
      kind='residual',
      project=True,
      layers=[
        dict(kind='conv', features=4, kernel=3, strides=(2, 3)),
        dict(kind='residual', layers=[dict(kind='dense', features=4)]),
      ],
    ),
    dict(kind='activation'),
    dict(kind='residual', layers=[dict(kind='batch_norm')], name='block'),
  ],
  'parallel': [
    dict(
      kind='parallel',
      branches=[
        [],
        [dict(kind='conv', features=3, kernel=1)],
        [dict(kind='depthwise_conv', kernel=3)],
      ],
    ),
    dict(kind='parallel', join='add', branches=[[dict(kind='dense', features=7)], []]),
  ],
  'two of a kind': [
    dict(kind='dense', features=4),
    dict(kind='dense', features=3, name='middle'),
    dict(kind='dense', features=2),
  ],
}


SEQUENCES = {
  'strides': [
    dict(kind='conv', features=4, kernel=4, strides=3),
    dict(kind='batch_norm'),
    dict(kind='depthwise_conv', kernel=3, padding='VALID'),
    dict(kind='global_average_pool'),
    dict(kind='dense', features=3),
  ],
  'pooling': [
    dict(kind='max_pool', window=3, strides=2, padding='SAME'),
    dict(kind='average_pool', window=(4,), strides=1, padding=((1, 2),)),
    dict(kind='group_norm', groups=2),
    dict(kind='global_max_pool'),
  ],
  'flatten': [
    dict(
      kind='residual', project=True, layers=[dict(kind='conv', features=5, kernel=2, strides=2)]
    ),
    dict(kind='flatten'),
    dict(kind='dense', features=2),
  ],
}


def random_sequences(generator, lengths, steps, features):
  """Random sequences with a mask as the last channel; padding is random too."""
  inputs = generator.normal(size=(len(lengths), steps, features + 1))
  inputs[..., -1] = np.arange(steps) < np.array(lengths)[:, None]
  return inputs


@pytest.mark.parametrize('layers', SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize('masked', [True, False])
def test_reference_equals_the_model_of_sequences(layers, masked):
  config = {'model': dict(name='cnn', layers=layers, masked=masked)}
  generator = np.random.default_rng(1)
  inputs = random_sequences(generator, (13, 8, 1, 0), 13, 4)
  inputs = inputs if masked else inputs[..., :-1]
  with jax.enable_x64(True):
    variables = random_variables(models.build(config['model']), inputs, generator, np.float64)
    assert largest_difference(config, variables, inputs) < 1e-12


RECURRENTS = {
  'stacked': dict(cell='rnn', features=(3, 4)),
  'bidirectional, mean': dict(cell='gru', features=3, bidirectional=True, pool='mean'),
  'stacked, bidirectional': dict(cell='lstm', features=3, layers=2, bidirectional=True),
}


@pytest.mark.parametrize('section', RECURRENTS.values(), ids=RECURRENTS)
@pytest.mark.parametrize('masked', [True, False])
def test_reference_equals_recurrent_classifiers(section, masked):
  config = {'model': dict(name='recurrent', classes=3, masked=masked, **section)}
  generator = np.random.default_rng(1)
  inputs = random_sequences(generator, (6, 4, 1, 0), 6, 4)
  inputs = inputs if masked else inputs[..., :-1]
  with jax.enable_x64(True):
    variables = random_variables(models.build(config['model']), inputs, generator, np.float64)
    assert largest_difference(config, variables, inputs) < 1e-12


@pytest.mark.parametrize('layers', LAYERS.values(), ids=LAYERS)
def test_reference_equals_the_model_of_other_layers(layers):
  config = {'model': dict(name='cnn', layers=layers, activation='elu')}
  generator = np.random.default_rng(1)
  images = generator.normal(size=(2, 7, 10, 2))
  with jax.enable_x64(True):
    model = models.build(config['model'])
    variables = random_variables(model, images, generator, np.float64)
    assert largest_difference(config, variables, images) < 1e-12


@pytest.mark.parametrize('name', models.ACTIVATIONS)
def test_reference_equals_every_activation(name):
  values = np.concatenate([np.linspace(-6, 6, 49), [-800.0, 800.0]])
  with jax.enable_x64(True), np.errstate(over='raise'):
    np.testing.assert_allclose(
      operations.ACTIVATIONS[name](values),
      models.ACTIVATIONS[name](values),
      rtol=1e-12,
      atol=1e-15,
    )


@pytest.mark.parametrize(
  ('cell', 'embedding', 'tie'),
  [('rnn', 0, False), ('lstm', 5, False), ('gru', 5, False), ('gru', 0, False), ('lstm', 6, True)],
)
def test_reference_equals_stacked_recurrent_layers(cell, embedding, tie):
  config = {
    'model': dict(
      name='language_model',
      cell=cell,
      features=6,
      layers=2,
      embedding=embedding,
      tie=tie,
      classes=9,
      dropout=0.3,
    )
  }
  generator = np.random.default_rng(2)
  characters = generator.integers(0, 9, (3, 8))
  with jax.enable_x64(True):
    model = models.build(config['model'])
    variables = random_variables(model, characters, generator, np.float64)
    assert largest_difference(config, variables, characters) < 1e-12


TRANSFORMERS = {  # the rest of the section, and the number of characters
  'defaults': ({}, 6),
  'rotary': (dict(layers=1, heads=1, context=3), 7),
  'learned': (dict(layers=2, heads=2, context=3, positions='learned', tie=False), 8),
}


@pytest.mark.parametrize(('section', 'count'), TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_reference_equals_transformers(section, count):
  config = {'model': dict(name='transformer', features=8, classes=5, **section)}
  generator = np.random.default_rng(2)
  characters = generator.integers(0, 5, (2, count))
  with jax.enable_x64(True):
    model = models.build(config['model'])
    variables = random_variables(model, characters, generator, np.float64)
    assert largest_difference(config, variables, characters) < 1e-12


def test_reference_conv_and_pooling_equal_hand_values():
  """SAME padding of 4 pixels with 3 × 3 windows and stride 2 adds one pixel at the end."""
  image = np.arange(16.0).reshape(1, 4, 4, 1)
  outputs = operations.conv(
    image, {'kernel': np.ones((3, 3, 1, 1)), 'bias': np.array([0.5])}, strides=2
  )
  np.testing.assert_array_equal(outputs[0, ..., 0], [[45.5, 39.5], [66.5, 50.5]])
  np.testing.assert_array_equal(
    operations.max_pool(-image - 1, {}, window=3, strides=2, padding='SAME')[0, ..., 0],
    [[-1, -3], [-9, -11]],
  )
  np.testing.assert_array_equal(
    operations.average_pool(image, {}, window=3, strides=2, padding='SAME')[0, ..., 0],
    [[5, 6.5], [11, 12.5]],
  )


def test_reference_conv_transpose_equals_hand_values():
  """The pixels 1, 10 are dilated to 1 0 10 and padded by 2 and 1; the kernel is not flipped."""
  inputs = np.array([1.0, 10.0]).reshape(1, 1, 2, 1)
  kernel = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
  outputs = operations.conv_transpose(
    inputs, {'kernel': kernel, 'bias': np.zeros(1)}, strides=(1, 2)
  )
  np.testing.assert_array_equal(outputs.ravel(), [3, 2, 31, 20])


def test_reference_cells_equal_hand_values():
  """One unit with zero kernels: the states depend only on the biases of the gates."""
  half, quarter = 0.0, -np.log(3.0)  # sigmoids of 1/2 and 1/4
  zeros = {'input_kernel': np.zeros((1, 4)), 'recurrent_kernel': np.zeros((1, 4))}
  states = recurrence.lstm(
    np.zeros((1, 2, 1)), {**zeros, 'bias': np.array([half, quarter, 50.0, half])}
  )
  np.testing.assert_allclose(states['memory'].ravel(), [0.5, 0.25 * 0.5 + 0.5])
  np.testing.assert_allclose(states['hidden'].ravel(), np.tanh([0.5, 0.625]) / 2)
  states = recurrence.gru(
    np.zeros((1, 2, 1)),
    {
      'input_kernel': np.zeros((1, 3)),
      'recurrent_kernel': np.zeros((1, 3)),
      'bias': np.array([quarter, half, 0]),
      'recurrent_bias': np.array([0, 0, 0.8]),
    },
  )
  candidate = np.tanh(0.5 * 0.8)  # the reset gate halves the recurrent bias
  np.testing.assert_allclose(
    states['hidden'].ravel(), [0.75 * candidate, 0.25 * 0.75 * candidate + 0.75 * candidate]
  )


def same_pads_before(size, window, stride, padding):
  """SAME padding whose odd pixel comes first."""
  missing = max((-(-size // stride) - 1) * stride + window - size, 0) if padding == 'SAME' else 0
  return missing - missing // 2, missing // 2


def gru_with_reset_before_product(inputs, parameters, real=None):
  """The GRU as published by Cho et al.: the reset gate multiplies the state before the product."""
  hidden, states = np.zeros((len(inputs), len(parameters['recurrent_kernel']))), []
  kernels = np.split(parameters['recurrent_kernel'], 3, axis=-1)
  biases = np.split(parameters['recurrent_bias'], 3)
  for step in range(inputs.shape[1]):
    update, reset, candidate = np.split(
      inputs[:, step] @ parameters['input_kernel'] + parameters['bias'], 3, axis=-1
    )
    update = operations.sigmoid(update + hidden @ kernels[0] + biases[0])
    reset = operations.sigmoid(reset + hidden @ kernels[1] + biases[1])
    hidden = update * hidden + (1 - update) * np.tanh(
      candidate + (reset * hidden) @ kernels[2] + biases[2]
    )
    states.append(hidden)
  return {'hidden': np.stack(states, 1).astype(inputs.dtype)}


def without_forget_bias(inputs, parameters, real=None):
  features = len(parameters['recurrent_kernel'])
  bias = parameters['bias'].copy()
  bias[features : 2 * features] -= 1
  return recurrence.lstm(inputs, {**parameters, 'bias': bias}, real)


MUTATIONS = {
  'flatten in column order': (
    BN_CNN,
    reference.KINDS,
    'flatten',
    lambda inputs, _: inputs.swapaxes(1, 2).reshape(len(inputs), -1),
  ),
  'odd pixel of SAME padding first': (BN_CNN, vars(operations), '_pads', same_pads_before),
  'epsilon of 1e-5': (
    BN_CNN,
    reference.KINDS,
    'batch_norm',
    lambda *args: operations.batch_norm(*args, epsilon=1e-5),
  ),
  'no forget bias': (
    RECURRENT,
    recurrence.CELLS,
    'lstm',
    without_forget_bias,
  ),
  'reset before product': (
    {**RECURRENT, 'cell': 'gru'},
    recurrence.CELLS,
    'gru',
    gru_with_reset_before_product,
  ),
}


@pytest.mark.parametrize(('section', 'table', 'key', 'wrong'), MUTATIONS.values(), ids=MUTATIONS)
def test_reference_comparison_detects_mistakes(section, table, key, wrong, monkeypatch):
  generator = np.random.default_rng(3)
  config = {'model': section}
  shape = (2, 12, 12) if section['name'] == 'recurrent' else (2, 12, 12, 1)
  inputs = generator.random(shape, np.float32)
  variables = random_variables(models.build(section), inputs, generator)
  assert largest_difference(config, variables, inputs) < 1e-5
  monkeypatch.setitem(table, key, wrong)
  assert largest_difference(config, variables, inputs) > 1e-4


def test_reference_does_not_import_jax():
  for file in (ROOT / 'jaxdl/analysis/reference').glob('*.py'):
    tree = ast.parse(file.read_text())
    modules = {
      node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
      for node in ast.walk(tree)
      if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert not {
      module
      for module in modules
      if module.startswith(('jax.', 'flax', 'jaxdl.ops', 'jaxdl.models')) or module == 'jax'
    }


def test_reference_accepts_one_example_and_jax_arrays():
  config, generator = {'model': BN_CNN}, np.random.default_rng(4)
  image = generator.random((1, 12, 12, 1), np.float32)
  variables = jax.tree.map(jnp.asarray, random_variables(models.build(BN_CNN), image, generator))
  logits, outputs = reference.forward(config, variables, jnp.asarray(image))
  assert isinstance(logits, np.ndarray)
  assert logits.shape == (1, 10)
  assert all(isinstance(output, np.ndarray) for output in outputs.values())


CNN = dict(name='cnn', layers=[dict(kind='conv', features=1, kernel=3, padding='VALID')])
PARAMETERS = {'conv1': {'kernel': np.zeros((3, 3, 1, 1)), 'bias': np.zeros(1)}}


@pytest.mark.parametrize(
  ('section', 'variables', 'shape', 'message'),
  [
    (
      dict(name='vit'),
      {'params': {}},
      (1,),
      r"config.model.name='vit' is unknown: use one of cnn, recurrent, language_model",
    ),
    (CNN, PARAMETERS, (1, 4, 4, 1), r"variables have no 'params': they have conv1"),
    (
      CNN,
      {'params': {}},
      (1, 4, 4, 1),
      r'variables of type none: give all as float32 or all as float64',
    ),
    (
      CNN,
      {'params': {'other': PARAMETERS['conv1']}},
      (1, 4, 4, 1),
      r"layer 'conv1' has no variable 'kernel': give the",
    ),
    (
      CNN,
      {'params': PARAMETERS},
      (1, 4, 4, 3),
      r"layer 'conv1' does not take inputs of shape \(1, 4, 4, 3\): matmul",
    ),
    (
      CNN,
      {'params': PARAMETERS},
      (1, 2, 4, 1),
      r"layer 'conv1' does not take inputs of shape \(1, 2, 4, 1\): a window of",
    ),
    (
      {**CNN, 'activation': 'swish'},
      {'params': PARAMETERS},
      (1, 4, 4, 1),
      r"config.model.activation='swish' is unknown: use",
    ),
    (
      {**CNN, 'layers': [dict(kind='gru')]},
      {'params': PARAMETERS},
      (1, 4, 4, 1),
      r"the layer kind 'gru' is not written in NumPy: those are ",
    ),
    (
      {**CNN, 'layers': [dict(CNN['layers'][0], padding='same')]},
      {'params': PARAMETERS},
      (1, 4, 4, 1),
      r"layer .*padding='same' is",
    ),
  ],
)
def test_reference_errors_name_the_fix(section, variables, shape, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    reference.forward({'model': section}, variables, np.zeros(shape))


@pytest.mark.parametrize(
  ('characters', 'message'),
  [
    (np.array([[0, 9]]), '^characters from 0 to 9: use 0 to 3'),
    (np.zeros((1, 2)), r'characters of shape \(1, 2\) and type float64: give'),
  ],
)
def test_reference_rejects_invalid_characters(characters, message):
  with pytest.raises(ValueError, match=message):
    recurrence.vectors('lstm', {'embedding': {'kernel': np.zeros((4, 2))}}, characters)
