"""Tests of branches, groups and normalisation: values by hand, names, and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import slow_after

from jaxdl import models
from jaxdl.analysis import units
from jaxdl.models import table

BLOCK = dict(
  kind='residual',
  project=True,
  layers=[
    dict(kind='conv', features=6, kernel=3, strides=2),
    dict(kind='batch_norm'),
    dict(kind='conv', features=6, kernel=3, activate=False, name='second'),
  ],
)


def network(*layers, **keywords):
  return models.build(dict(name='cnn', layers=layers, **keywords))


def applied(model, inputs, seed=0):
  """Returns random variables and the outputs of all layers."""
  variables = jax.eval_shape(model.init, jax.random.key(seed), inputs)
  variables = jax.tree.map(
    lambda leaf: jnp.asarray(np.random.default_rng(seed).uniform(0.2, 1, leaf.shape)), variables
  )
  names = list(units.shapes(model, variables, inputs))
  return variables, jax.jit(lambda *args: units.outputs(model, *args, names)[1])(variables, inputs)


def test_the_layers_of_a_branch_have_rows_and_names():
  rows = table.layers(
    network(
      BLOCK,
      dict(kind='activation'),
      BLOCK | {'project': False, 'layers': [dict(kind='dense', features=6)]},
    ),
    (9, 8, 2),
  )
  assert [(row['name'], row['type'], row['output']) for row in rows] == [
    ('residual1_conv1', 'Conv', [5, 4, 6]),
    ('residual1_batch_norm1', 'BatchNorm', [5, 4, 6]),
    ('second', 'Conv', [5, 4, 6]),
    ('residual1_project', 'Project', [5, 4, 6]),
    ('residual1', 'Residual', [5, 4, 6]),
    ('activation1', 'Activation', [5, 4, 6]),
    ('residual2_dense1', 'Dense', [5, 4, 6]),
    ('residual2', 'Residual', [5, 4, 6]),
  ]
  assert [row['parameters'] for row in rows[:4]] == [9 * 2 * 6 + 6, 4 * 6, 9 * 36 + 6, 2 * 6 + 6]


def test_a_residual_layer_adds_its_projected_inputs():
  images = np.random.default_rng(0).normal(size=(2, 9, 8, 2)).astype(np.float32)
  variables, outputs = applied(network(BLOCK), images)
  of_project = variables['params']['residual1_project']
  shortcut = images[:, ::2, ::2] @ of_project['kernel'] + of_project['bias']
  np.testing.assert_allclose(outputs['residual1'], outputs['second'] + shortcut, rtol=1e-5)


@pytest.mark.parametrize('join', ['concatenate', 'add'])
def test_a_parallel_layer_joins_its_branches(join):
  layer = dict(kind='parallel', join=join, branches=[[], [dict(kind='dense', features=3)]])
  vectors = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
  _, outputs = applied(network(layer), vectors)
  dense = outputs['parallel1_2_dense1']
  expected = vectors + dense if join == 'add' else np.concatenate([vectors, dense], axis=-1)
  np.testing.assert_array_equal(outputs['parallel1'], expected)


def test_a_depthwise_convolution_has_a_kernel_for_each_channel():
  images = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype(np.float32)
  model = network(dict(kind='depthwise_conv', kernel=2, multiplier=3, padding='VALID'))
  variables, outputs = applied(model, images)
  kernel = variables['params']['depthwise_conv1']['kernel']
  assert kernel.shape == (2, 2, 1, 6)
  window = images[0, 1:3, 2:4, 1]  # of channel 1, for its second feature, 1 · 3 + 1
  expected = (window * kernel[:, :, 0, 4]).sum() + variables['params']['depthwise_conv1']['bias'][4]
  assert float(outputs['depthwise_conv1'][0, 1, 2, 4]) == pytest.approx(
    max(float(expected), 0), rel=1e-5
  )


def test_normalisation_equals_its_definition():
  images = np.random.default_rng(0).normal(2, 3, size=(2, 3, 2, 6))
  with jax.enable_x64(True):
    layers = [dict(kind='layer_norm', epsilon=0.5), dict(kind='group_norm', groups=2, epsilon=0.1)]
    variables, outputs = applied(network(*layers), images)
  variables = jax.tree.map(np.asarray, variables)
  of_layer = variables['params']['layer_norm1']
  pixel = images[1, 2, 0]
  expected = (pixel - pixel.mean()) / np.sqrt(pixel.var() + 0.5) * of_layer['scale'] + of_layer[
    'bias'
  ]
  np.testing.assert_allclose(outputs['layer_norm1'][1, 2, 0], expected)
  given, of_group = np.asarray(outputs['layer_norm1']), variables['params']['group_norm1']
  group = given[1, ..., 3:]
  expected = (group - group.mean()) / np.sqrt(group.var() + 0.1) * of_group['scale'][3:]
  np.testing.assert_allclose(outputs['group_norm1'][1, ..., 3:], expected + of_group['bias'][3:])


def test_global_pooling_equals_the_moments_of_all_positions():
  images = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
  for kind, expected in (('average', images.mean((1, 2))), ('max', images.max((1, 2)))):
    _, outputs = applied(network(dict(kind=f'global_{kind}_pool')), images)
    np.testing.assert_allclose(outputs[f'global_{kind}_pool1'], expected, rtol=1e-6)


def test_the_gradient_of_global_max_goes_to_the_first_maximum():
  images = jnp.asarray([[[1.0], [3.0], [3.0], [2.0]]])
  model = network(dict(kind='global_max_pool'))
  slope = jax.grad(lambda images: model.apply({}, images).sum())(images)
  np.testing.assert_array_equal(slope[0, :, 0], [0, 1, 0, 0])


def test_statistics_inside_a_branch_are_those_of_all_devices():
  """Eight devices with one example each compute what one device computes for the batch."""
  images = np.random.default_rng(0).normal(size=(8, 5, 4, 2)).astype(np.float32)
  model = network(BLOCK)
  variables, _ = applied(model, images)

  def train(images, axis_name=None):
    return model.clone(axis_name=axis_name).apply(
      variables, images, train=True, mutable=['batch_stats']
    )

  outputs, updated = jax.jit(train)(images)
  shards = jax.jit(jax.vmap(lambda shard: train(shard, 'devices'), axis_name='devices'))
  of_shards, statistics = shards(images[:, None])
  np.testing.assert_allclose(of_shards[:, 0], outputs, rtol=1e-4, atol=1e-5)
  for part in range(8):
    jax.tree.map(
      lambda all, one: np.testing.assert_allclose(all[part], one, rtol=1e-4),  # noqa: B023
      statistics,
      updated,
    )


CONV = dict(kind='conv', features=4, kernel=3)


@pytest.mark.parametrize(
  ('layers', 'shape', 'message'),
  [
    (
      [dict(kind='residual', layers=[CONV])],
      (8, 8, 2),
      r'layer residual1, .*outputs \[8, 8, 4\] and its shortcut has \[8, 8, 2\]: set project=True',
    ),
    (
      [dict(kind='residual', project=True, layers=[CONV, dict(kind='flatten')])],
      (8, 8, 2),
      r'layer residual1_project, .*put layers that flatten or pool all positions after the branch',
    ),
    (
      [dict(kind='parallel', branches=[[CONV], [CONV | {'strides': 2}]])],
      (8, 8, 2),
      r"layer parallel1, .*outputs \[8, 8, 4\] and \[4, 4, 4\], which join='concatenate'",
    ),
    (
      [dict(kind='parallel', branches=[[], []], join='sum')],
      (4,),
      "join='sum' is unknown: use one",
    ),
    ([dict(kind='conv', features=4, kernel=3, groups=3)], (8, 8, 2), 'groups=3 does not divide 2'),
    ([dict(kind='group_norm', groups=4)], (8, 8, 2), 'groups=4 does not divide 2 features'),
    ([CONV], (7,), r'layer conv1, .*it takes sequences \[T, C\] or images .*, not \[7\]'),
    ([dict(kind='global_max_pool')], (7,), 'layer global_max_pool1, .*remove it'),
    ([dict(kind='conv', features=4, kernel=(3, 3))], (9, 2), 'is for 2 axes and the inputs have 1'),
    ([dict(kind='residual', layers=[])], (7,), r'layers\[0\]\.layers=\(\) is not a list of layers'),
    ([dict(kind='residual')], (7,), r'layers\[0\]\.layers is missing'),
    (
      [dict(kind='residual', layers=[dict(kind='dense', feature=3)])],
      (7,),
      r'layers\[0\]\.layers\[0\]\.feature is not a key .*did you mean features\?',
    ),
    ([dict(kind='parallel', branches=[CONV])], (7,), r'branches\[0\]=.* is not a list of layers'),
  ],
)
def test_errors_of_layers_are_one_line_with_the_fix(layers, shape, message):
  with pytest.raises(ValueError, match=message) as error:
    table.layers(network(*layers), shape)
  assert '\n' not in str(error.value)


MASKED = [
  dict(kind='conv', features=4, kernel=4, strides=2),
  dict(kind='residual', layers=[dict(kind='batch_norm'), dict(kind='conv', features=4, kernel=3)]),
  dict(kind='max_pool', window=3, strides=2, padding='SAME'),
  dict(kind='average_pool', window=2, padding='VALID', strides=1),
  dict(kind='group_norm', groups=2),
  dict(kind='global_average_pool'),
  dict(kind='dense', features=3, activate=False),
]
RECURRENT = [
  dict(name='recurrent', classes=3, cell=cell, features=5, **keywords)
  for cell, keywords in (
    ('rnn', dict(layers=2)),
    ('gru', dict(bidirectional=True)),
    ('lstm', dict(bidirectional=True, pool='mean')),
  )
]


def sequences(lengths, steps, padding):
  """Sequences with a mask as the last channel; the padded steps hold `padding`."""
  inputs = np.full((len(lengths), steps, 4), padding, np.float32)
  inputs[..., -1] = 0
  for row, length in enumerate(lengths):
    inputs[row, :length, :3] = np.random.default_rng(row).normal(size=(length, 3))
    inputs[row, :length, 3] = 1
  return inputs


@pytest.mark.parametrize(
  'section',
  slow_after(1, [dict(name='cnn', layers=MASKED), *RECURRENT]),
  ids=['cnn', 'rnn', 'gru', 'lstm'],
)
@pytest.mark.slow
def test_padding_changes_no_output_and_has_no_gradient(section):
  model, lengths = models.build({**section, 'masked': True}), (12, 9, 7)
  inputs = sequences(lengths, 12, 0)
  variables, _ = applied(model, inputs)
  apply = jax.jit(model.apply)
  outputs = apply(variables, inputs)
  exactly = dict(rtol=0, atol=0) if section in RECURRENT[:2] else dict(rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(apply(variables, sequences(lengths, 17, 5)), outputs, **exactly)
  alone = apply(variables, inputs[1:2, :9])  # without its padding
  np.testing.assert_allclose(alone, outputs[1:2], rtol=1e-5, atol=1e-6)
  slope = jax.jit(jax.grad(lambda inputs: jnp.square(model.apply(variables, inputs)).sum()))(inputs)
  assert not slope[..., -1].any()
  assert not slope[1, 9:].any()
  assert np.abs(slope[1, :9, :3]).min() > 0


def test_a_bidirectional_layer_reads_the_reversed_sequence():
  model = models.build(RECURRENT[1])
  inputs = sequences((6, 6), 6, 0)[..., :3]
  variables, outputs = applied(model, inputs)
  params = variables['params']
  swapped = {**params, 'gru_forward': params['gru_backward'], 'gru_backward': params['gru_forward']}
  _, mirrored = units.outputs(model, {'params': swapped}, inputs[:, ::-1], ['gru_forward'])
  np.testing.assert_allclose(mirrored['gru_forward'][:, ::-1], outputs['gru_backward'], rtol=1e-6)


def test_a_recurrent_model_of_several_widths():
  rows = table.layers(
    models.build(dict(name='recurrent', cell='gru', features=(5, 3), classes=2)), (6, 4)
  )
  assert [(row['name'], row['output']) for row in rows] == [
    ('gru1', [6, 5]),
    ('dropout1', [6, 5]),
    ('gru2', [6, 3]),
    ('logits', [2]),
  ]
  wrong = dict(name='recurrent', cell='gru', features=(5, 3), classes=2)
  with pytest.raises(ValueError, match='layers=3 and 2 numbers in config.model.features differ'):
    table.layers(models.build({**wrong, 'layers': 3}), (6, 4))
  with pytest.raises(ValueError, match="pool='max' is unknown: use one of last, mean"):
    table.layers(models.build({**wrong, 'pool': 'max'}), (6, 4))


@pytest.mark.parametrize(
  ('name', 'shape', 'message'),
  [
    ('cnn', (7,), None),
    ('cnn', (9, 7), None),
    ('cnn', (2, 3, 4, 5), 'does not take examples of 2 × 3 × 4 × 5'),
    ('recurrent', (9, 7), None),
    ('recurrent', (7,), "examples of 7: use config.model.name='cnn'"),
    ('recurrent', (9, 8, 7), "set config.data.layout='rows'"),
  ],
)
def test_the_examples_that_a_model_takes(name, shape, message):
  if message is None:
    models.check_input({'name': name}, shape, 'classify')
    return
  with pytest.raises(ValueError, match=message):
    models.check_input({'name': name}, shape, 'classify')
