"""The network of the report page, computed by node, against jaxdl."""

import json
import math
import shutil
import subprocess
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ROOT
from network_helpers import network
from training_helpers import CONFIGS

from jaxdl import analysis, exports, models
from jaxdl.analysis import units
from jaxdl.config import reading
from jaxdl.data.tfds_arrays import downloads
from jaxdl.exports import examples
from jaxdl.models.transformer import Transformer
from jaxdl.report import network as page_network
from jaxdl.runs.record import Run
from jaxdl.training import experiment

SCRIPT = ROOT / 'jaxdl/report/javascript/tests/compute.mjs'
LOGITS = dict(kind='dense', features=3, activate=False, name='logits')
FLAT = (dict(kind='flatten'), LOGITS)


def computed(made, *cases):
  """Returns what node computes for each case; see compute.mjs."""
  if shutil.which('node') is None:
    pytest.skip('node is not installed: apt install nodejs')
  described = page_network.description(made, examples.random(made)[:2])
  given = json.dumps({'network': described, 'cases': cases}, default=np.ndarray.tolist)
  run = subprocess.run(['node', SCRIPT], input=given, capture_output=True, text=True)
  assert run.returncode == 0, run.stderr
  return json.loads(run.stdout)


def close(theirs, ours, tolerance=1e-5):
  ours = np.asarray(ours)
  scale = max(np.abs(ours).max(), 1e-6)
  np.testing.assert_allclose(np.reshape(theirs, ours.shape), ours, rtol=0, atol=tolerance * scale)


def of_layers(*layers, shape=(7, 6, 2), **keywords):
  section = {'layers': (*layers, *FLAT)}
  return lambda: network(section, shape, channels=shape[-1], **keywords)


def recurrent(cell='lstm', **keywords):
  section = dict(name='recurrent', cell=cell, features=4, classes=3, **keywords)
  return lambda: network(section, (5, 6), layout='rows')


def text(cell, **keywords):
  section = dict(name='language_model', cell=cell, features=5, classes=3, **keywords)
  return lambda: network(section, (4,), task='next_char')


def transformer(**keywords):
  section = dict(
    name='transformer', features=8, classes=3, layers=2, heads=2, context=4, **keywords
  )
  return lambda: network(section, (4,), task='next_char')


def with_activation(name):
  layers = (conv(activate=False), dict(kind='activation'), conv(), *FLAT)
  return lambda: network({'layers': layers, 'activation': name}, (7, 6, 1))


def conv(**keywords):
  return dict(kind='conv', **{'features': 3, 'kernel': (3, 2), **keywords})


def transposed(**keywords):
  return dict(kind='conv_transpose', features=2, kernel=(3, 2), **keywords)


NETWORKS = {
  'cnn': of_layers(
    conv(strides=(2, 1)),
    dict(kind='batch_norm', epsilon=0.01),
    dict(kind='dropout', rate=0.5),
    dict(kind='max_pool', window=2),
    dict(kind='dense', features=4),
  ),
  'lstm': recurrent('lstm'),
  'text, lstm': text('lstm', layers=2),
  'padded and cropped': of_layers(conv(padding=((2, 0), (-1, 1))), conv(padding='VALID')),
  'transposed': of_layers(transposed(), transposed(strides=(4, 3)), transposed(padding='VALID')),
  'transposed, padded': of_layers(transposed(padding=((1, 2), (0, 1)), strides=1)),
  'pooling': of_layers(
    dict(kind='max_pool', window=3, strides=2, padding='SAME'),
    dict(kind='average_pool', window=3, strides=1, padding='SAME'),
    dict(kind='average_pool', window=(3, 2), padding=((1, 0), (0, 1))),
  ),
  'groups': of_layers(
    conv(features=4, groups=2, strides=(2, 1)),
    dict(kind='depthwise_conv', kernel=(3, 2), multiplier=2, padding='VALID'),
    dict(kind='group_norm', groups=4, epsilon=0.01),
    dict(kind='layer_norm'),
    dict(kind='global_average_pool'),
  ),
  'branches': of_layers(
    dict(kind='residual', layers=(conv(strides=2, features=4), conv(features=4)), project=True),
    dict(kind='residual', layers=(conv(features=4),)),
    dict(kind='parallel', branches=((conv(),), (), (dict(kind='dense', features=2),))),
    dict(kind='parallel', branches=((conv(),), (conv(),)), join='add'),
    dict(kind='global_max_pool'),
  ),
  'sequences': of_layers(
    dict(kind='conv', features=3, kernel=3, strides=2),
    dict(kind='max_pool', window=2),
    dict(kind='group_norm', groups=1),
    shape=(9, 2),
  ),
  'vectors': of_layers(dict(kind='dense', features=4), shape=(5,)),
  'rnn': recurrent('rnn'),
  'gru': recurrent('gru', layers=2, dropout=0.5),
  'bidirectional': recurrent('lstm', layers=2, bidirectional=True),
  'bidirectional, mean': recurrent('gru', bidirectional=True, pool='mean'),
  'text, rnn': text('rnn'),
  'text, gru': text('gru', layers=2, embedding=4, dropout=0.5),
  'text, tied': text('lstm', embedding=5, tie=True),
  'transformer': transformer(),
  'transformer, learned positions': transformer(positions='learned', tie=False),
  **{name: with_activation(name) for name in models.ACTIVATIONS},
}
FEW = ('cnn', 'lstm', 'text, lstm')


@pytest.mark.parametrize(
  'name',
  [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS if name not in FEW)],
)
def test_outputs_probabilities_and_gradients_are_those_of_jaxdl(name):
  made = NETWORKS[name]()
  inputs = np.asarray(examples.random(made)[:1])
  if made.is_text:
    inputs = inputs[:, :11]
  names = list(units.shapes(made.model, made.variables, inputs))
  at = [name for name in names if name not in ('logits', 'one_hot')]
  logits, outputs = outputs_of(made, inputs, names)
  target = logits.size - 2
  given = {'inputs': inputs.ravel(), 'target': target, 'at': at if made.is_text else ['', *at]}
  (found,) = computed(made, given)
  for layer, values in outputs.items():
    close(found['outputs'][layer]['data'], values[0])
    assert found['outputs'][layer]['shape'] == list(values.shape[1:])
  close(found['probabilities'], jax.nn.softmax(logits))

  def score(changes, given):
    return scored(made, given, changes)[target]

  zeros = {layer: jnp.zeros_like(outputs[layer]) for layer in at}
  places = (0,) if made.is_text else (0, 1)
  slopes, *of_inputs = jax.jit(jax.grad(score, places))(zeros, inputs)
  for layer in at:
    close(found['gradients'][layer], slopes[layer][0])
  for slope in of_inputs:
    close(found['gradients'][''], slope[0])


def outputs_of(made, inputs, names):
  return jax.jit(lambda inputs: units.outputs(made.model, made.variables, inputs, names))(inputs)


def scored(made, inputs, changes):
  """The logits, flat, with something added to the outputs of layers."""

  def add(following, arguments, keywords, context):
    outputs = following(*arguments, **keywords)
    here = context.method_name == '__call__' and context.module.name in changes
    return outputs + changes[context.module.name] if here else outputs

  with nn.intercept_methods(add):
    return made.model.apply(made.variables, inputs).ravel()


@pytest.mark.parametrize(
  'name',
  ['text, lstm']
  + [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ('text, rnn', 'text, gru', 'transformer', 'transformer, learned positions')
  ],
)
def test_a_text_character_by_character_has_the_logits_of_the_whole_text(name):
  made = NETWORKS[name]()
  characters = np.asarray(examples.random(made)[0, :11])
  logits = made.model.apply(made.variables, characters[None])[0]
  if isinstance(made.model, Transformer):
    assert made.model.context < len(characters)
  (found,) = computed(made, {'characters': characters})
  close(found['steps'], logits)


def test_attributions_are_those_of_the_analyses():
  made = NETWORKS['cnn']()
  inputs = np.asarray(examples.random(made)[:1])
  (found,) = computed(
    made, {'inputs': inputs.ravel(), 'target': 1, 'cam': 'conv1', 'at': [''], 'rule': 'guided'}
  )
  given = (made.model, made.variables, inputs, np.array([1]))
  methods = analysis.attribution
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    close(found['saliency'], methods.saliency(*given)[0])
    close(found['gradientTimesInput'], methods.input_x_gradient(*given)[0])
    close(found['integrated'], methods.integrated_gradients(*given, steps=8).maps[0])
    close(found['gradients'][''], methods.guided_backprop(*given)[0])
    cam = methods.grad_cam(*given, 'conv1')
  close(found['cam'], cam.maps[0])
  close(found['upsampled'], cam.upsampled[0])


@pytest.mark.slow
@pytest.mark.parametrize('file', CONFIGS, ids=lambda file: file.stem)
def test_networks_of_all_configs_have_the_outputs_of_jaxdl(file, monkeypatch):
  monkeypatch.setattr(page_network, 'MOST_FLOAT32', math.inf)
  made = of_config(file)
  count = 40 if made.is_text else 1
  inputs = np.asarray(
    examples.random(made).reshape(-1)[:count][None] if made.is_text else examples.random(made)[:1]
  )
  names = list(units.shapes(made.model, made.variables, inputs))
  logits, outputs = outputs_of(made, inputs, names)
  given = {'inputs': inputs.ravel(), 'target': int(logits.size) - 1, 'at': []}
  (found,) = computed(made, given if made.is_text else {**given, 'at': ['']})
  for layer, values in outputs.items():
    close(found['outputs'][layer]['data'], values[0])
  if made.config['task']['name'] == 'reconstruct':
    close(found['probabilities'], np.clip(logits, 0, 1))
  else:
    close(found['probabilities'], jax.nn.softmax(logits))
  if not made.is_text:
    slope = jax.jit(jax.grad(lambda inputs: scored(made, inputs, {})[-1]))(inputs)
    close(found['gradients'][''], slope[0])


def of_config(file):
  """The network of a config before training; photographs are 64 × 64."""
  config = reading.to_dict(reading.read_file(file))
  if config['data'].get('size') == 512:
    config['data']['size'] = 64
  with downloads(False):
    built = experiment.build(config, file.stem)
  shape = built.data.input_shape()
  inputs = jnp.zeros((1, *shape), built.data.inputs.dtype)
  model = models.build(built.config['model'])
  variables = jax.jit(model.init)({'params': jax.random.key(0)}, inputs)
  kept = {name: values for name, values in variables.items() if name != 'carry'}
  return exports.Network(file.stem, 0, model, kept, built.config)


@pytest.mark.parametrize('precision', ['int16', 'int8'])
def test_rounded_weights_and_their_difference(precision, monkeypatch):
  monkeypatch.setattr(page_network, 'MOST_FLOAT32', 0)
  monkeypatch.setattr(page_network, 'TOLERANCE', 1)
  monkeypatch.setattr(page_network, 'LARGE', 0 if precision == 'int8' else math.inf)
  made = NETWORKS['vectors']()
  inputs = np.asarray(examples.random(made)[:2])
  (found,) = computed(made, {'inputs': inputs[0]})
  described = page_network.description(made, inputs)
  assert described['precision'] == precision
  params = jax.tree.map(
    lambda array: page_network._rounded(np.asarray(array), precision), made.variables['params']
  )
  exact, rounded = (
    made.model.apply({'params': weights}, inputs) for weights in (made.variables['params'], params)
  )
  close(found['outputs']['logits']['data'], rounded[0])
  differences = np.abs(jax.nn.softmax(exact) - jax.nn.softmax(rounded))
  np.testing.assert_allclose(described['difference'], differences.max(), rtol=1e-4)
  assert 0 < described['difference'] < 0.1


def test_16_bits_are_not_used_where_they_change_a_probability(monkeypatch):
  monkeypatch.setattr(page_network, 'MOST_FLOAT32', 0)
  monkeypatch.setattr(page_network, 'TOLERANCE', 1e-9)
  described = page_network.description(NETWORKS['vectors'](), np.ones((1, 5), np.float32))
  assert (described['precision'], described['difference']) == ('float32', None)


def test_weights_of_8_bits_are_rounded_by_output_channel():
  values, scale = page_network.quantised(np.float32([[1.27, 0, 0], [-0.64, 0, -254]]), 'int8')
  np.testing.assert_array_equal(values, [[127, 0, 0], [-64, 0, -127]])
  np.testing.assert_allclose(scale, [0.01, 1, 2], rtol=1e-6)


def run_of(made, folder, config=None):
  """A run with a network in place of a checkpoint."""
  config = made.config if config is None else config
  run = Run(folder=folder, name='tiny', config=config, summary={}, history=[], command='')
  run.__dict__['_best'] = (made.model, made.variables)
  return run


def test_a_run_without_examples_has_its_network(tmp_path):
  described = page_network.of_run(run_of(NETWORKS['lstm'](), tmp_path))['network']
  assert json.loads(json.dumps(described)) == json.loads(json.dumps(described, allow_nan=False))
  assert described['input'] == {
    'kind': 'rows',
    'shape': [5, 6, 1],
    'mean': [0.2],
    'deviation': [0.3],
    'divide_by': 255,
    'distort': None,
  }
  assert [layer['name'] for layer in described['layers']] == ['lstm', 'last', 'logits']
  assert [layer['output_shape'] for layer in described['layers']] == [(5, 4), (4,), (3,)]


@pytest.mark.parametrize(
  ('change', 'reason'),
  [
    ({'most': 10}, 'its 191 parameters would make the page larger than 16 MB, with 8 bits each'),
    ({'masked': True}, 'the model reads sequences of different lengths'),
    ({'dataset': None}, 'the run is of an older version, which did not record its data'),
  ],
)
def test_a_network_that_does_not_run_in_the_page_has_a_reason(
  change, reason, tmp_path, monkeypatch
):
  made = recurrent('lstm', masked=change.get('masked', False))()
  run = run_of(made, tmp_path, {} if 'dataset' in change else None)
  if 'most' in change:
    monkeypatch.setattr(page_network, 'MOST_FLOAT32', 0)
    monkeypatch.setattr(page_network, 'LARGE', 0)
    monkeypatch.setattr(page_network, 'MOST', change['most'])
  expected = f'The network does not run in this page: {reason}.'
  assert page_network.of_run(run) == {'reason': expected}


def test_inputs_are_those_of_evaluation():
  made = NETWORKS['cnn']()
  pixels = np.random.default_rng(0).integers(0, 256, (1, 7, 6, 2), np.uint8)
  (found,) = computed(made, {'pixels': pixels.ravel()})
  close(found['prepared'], examples.of_images(made, pixels)[0], 1e-6)
