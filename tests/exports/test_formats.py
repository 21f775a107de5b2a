"""Every layer in every format, computed by the runtime of the format."""

import dataclasses
import importlib.util
import json
import os
import pathlib

import flax.linen as nn
import jax
import numpy as np
import pytest
from network_helpers import network

from jaxdl import exports, models
from jaxdl.exports import examples, stablehlo, write
from jaxdl.models import cnn

os.environ.setdefault('KERAS_BACKEND', 'jax')  # TensorFlow takes seconds to import
DENSE = dict(kind='dense', features=3, activate=False, name='logits')
FLAT = (dict(kind='flatten'), DENSE)


def of_layers(*layers, shape=(7, 6, 2), **keywords):
  return lambda: network({'layers': layers}, shape, channels=shape[-1], **keywords)


def recurrent(cell, **keywords):
  section = dict(name='recurrent', cell=cell, features=4, classes=3)
  return lambda: network(section, (5, 6), layout='rows', **keywords)


def text(cell, **keywords):
  section = dict(name='language_model', cell=cell, features=4, classes=3, layers=2, **keywords)
  return lambda: network(section, (4,), task='next_char')


def conv(**keywords):
  return dict(kind='conv', features=3, kernel=(3, 2), **keywords)


def transposed(**keywords):
  return dict(kind='conv_transpose', features=2, kernel=(3, 2), **keywords)


NETWORKS = {
  'conv': of_layers(conv(), *FLAT),
  'conv, strided': of_layers(conv(strides=(2, 3)), conv(padding='VALID'), *FLAT),
  'conv, padded and cropped': of_layers(conv(padding=((2, 0), (-1, 1))), *FLAT),
  'transposed': of_layers(transposed(), *FLAT),
  'transposed, strides larger than the kernel': of_layers(transposed(strides=(4, 3)), *FLAT),
  'transposed, VALID': of_layers(transposed(padding='VALID'), *FLAT),
  'transposed, VALID, strided': of_layers(transposed(padding='VALID', strides=(4, 1)), *FLAT),
  'transposed, padded': of_layers(transposed(padding=((1, 2), (0, 1)), strides=1), *FLAT),
  'pooling': of_layers(
    dict(kind='max_pool', window=2), dict(kind='average_pool', window=(2, 1)), *FLAT
  ),
  'pooling, SAME': of_layers(
    dict(kind='max_pool', window=3, strides=2, padding='SAME'),
    dict(kind='average_pool', window=3, strides=1, padding='SAME'),
    *FLAT,
  ),
  'max_pool, padded': of_layers(
    dict(kind='max_pool', window=(3, 2), padding=((1, 0), (0, 1))), *FLAT
  ),
  'average_pool, padded': of_layers(
    dict(kind='average_pool', window=(3, 2), padding=((1, 0), (0, 1))), *FLAT
  ),
  'batch_norm': of_layers(
    dict(kind='batch_norm', epsilon=0.01, momentum=0.9), conv(), *FLAT, dict(kind='batch_norm')
  ),
  'dense on images, reshape': of_layers(
    dict(kind='dense', features=4),
    dict(kind='dropout', rate=0.5),
    dict(kind='reshape', shape=(4, 6, 7)),
    conv(name='train'),
    dict(kind='reshape', shape=(36, 2)),
    dict(kind='dense', features=2, name='2-d'),
    *FLAT,
  ),
  'autoencoder': of_layers(
    conv(strides=2),
    dict(kind='flatten'),
    dict(kind='dense', features=16),
    dict(kind='reshape', shape=(4, 4, 1)),
    dict(kind='conv', features=2, kernel=1, activate=False),
    shape=(4, 4, 2),
    task='reconstruct',
  ),
  **{
    activation: (
      lambda activation=activation: network(
        {
          'layers': (conv(activate=False), dict(kind='activation'), conv(), *FLAT),
          'activation': activation,
        },
        (7, 6, 1),
      )
    )
    for activation in models.ACTIVATIONS
  },
  'groups': of_layers(
    dict(kind='conv', features=4, kernel=3, groups=2, strides=(2, 1)),
    dict(kind='depthwise_conv', kernel=(3, 2), multiplier=2, padding='VALID'),
    dict(kind='group_norm', groups=4, epsilon=0.01),
    *FLAT,
  ),
  'global_average_pool': of_layers(
    dict(kind='layer_norm', epsilon=0.01), conv(), dict(kind='global_average_pool'), DENSE
  ),
  'global_max_pool': of_layers(conv(), dict(kind='global_max_pool'), DENSE),
  'residual': of_layers(
    dict(
      kind='residual',
      project=True,
      layers=(conv(strides=2), dict(kind='batch_norm'), dict(kind='conv', features=4, kernel=1)),
    ),
    dict(kind='activation'),
    dict(kind='residual', layers=(dict(kind='dense', features=4),)),
    *FLAT,
  ),
  'parallel': of_layers(
    conv(),
    dict(
      kind='parallel',
      branches=((), (conv(),), (dict(kind='max_pool', window=3, strides=1, padding='SAME'),)),
    ),
    dict(
      kind='parallel',
      join='add',
      branches=((dict(kind='layer_norm'),), (dict(kind='dense', features=9),)),
    ),
    *FLAT,
  ),
  'sequences': lambda: network(
    dict(layers=(dict(kind='conv', features=3, kernel=3), *FLAT)), (7, 6), layout='rows'
  ),
  'masked': lambda: network(
    dict(name='recurrent', cell='gru', features=4, classes=3, masked=True), (5, 6), layout='rows'
  ),
  'bidirectional': lambda: network(
    dict(name='recurrent', cell='lstm', features=4, classes=3, bidirectional=True, layers=2),
    (5, 6),
    layout='rows',
  ),
  'mean': lambda: network(
    dict(name='recurrent', cell='rnn', features=4, classes=3, pool='mean'), (5, 6), layout='rows'
  ),
  'transformer': lambda: network(
    dict(name='transformer', classes=3, features=4, heads=2, layers=2, context=4),
    (6,),
    task='next_char',
  ),
  'raw': of_layers(conv(), *FLAT, shape=(7, 6, 3), raw=True),
  'rnn': recurrent('rnn'),
  'lstm': recurrent('lstm'),
  'gru, raw': recurrent('gru', raw=True),
  'rnn text': text('rnn'),
  'lstm text': text('lstm', embedding=5),
  'gru text': text('gru', dropout=0.2),
  'tied text': text('lstm', embedding=4, tie=True),
}
QUICK = (
  'conv',
  'pooling, SAME',
  'batch_norm',
  'autoencoder',
  'gru, raw',
  'lstm text',
  'global_max_pool',
  'masked',
  'transformer',
)
REFUSED = {
  ('keras', 'average_pool, padded'): 'average_pool1',
  **{
    (format, name): message
    for format in ('keras', 'torch', 'onnx')
    for name, message in {
      'sequences': 'cannot express the layer conv1, which reads sequences',
      'masked': 'the model recurrent, which reads sequences of different lengths',
      'bidirectional': 'the model recurrent, which reads in both directions',
      'mean': 'the model recurrent, which reads the mean of the states',
      'transformer': 'the model transformer, whose attention it has no writer for',
    }.items()
  },
  **{
    (format, name): f'cannot express the layer {layer}, '
    for format in ('keras', 'torch')
    for name, layer in {
      'groups': 'conv1',
      'global_average_pool': 'layer_norm1',
      'global_max_pool': 'global_max_pool1',
      'residual': 'residual1_project',
      'parallel': 'parallel1',
    }.items()
  },
}


def need(format):
  for library in exports.FORMATS[format].libraries:
    pytest.importorskip(library)


def export(made, format, folder):
  return exports.export(made, format, folder / 'export', examples.random(made))


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize(
  'format',
  [
    pytest.param(format, marks=[pytest.mark.slow] if format == 'keras' else [])
    for format in exports.FORMATS
  ],
)
def test_exported_outputs_equal_jaxdl(format, name, tmp_path, request):
  if format in ('stablehlo', 'safetensors') and name not in QUICK:
    pytest.skip('this format has no code for individual layers')
  need(format)
  made = NETWORKS[name]()
  if not exports.FORMATS[format].graph:
    made = dataclasses.replace(made, raw=False)
  if (format, name) in REFUSED:
    with pytest.raises(ValueError, match=REFUSED[format, name]):
      export(made, format, tmp_path)
    assert list(tmp_path.iterdir()) == []
    return
  found = export(made, format, tmp_path)
  assert found.difference < 1e-5 * max(1, found.largest)
  assert found.largest > 0.1
  names = {path.name for path in (tmp_path / 'export').iterdir()}
  assert names == {*exports.FORMATS[format].files, 'README.md'}
  assert [path.name for path in tmp_path.iterdir()] == ['export']


def test_networks_contain_every_kind_of_layer():
  tested = set()
  for made in NETWORKS.values():
    section = made().config['model']
    if section['name'] == 'cnn':
      tested |= {layer['kind'] for layer in section['layers']}
  assert tested == set(cnn.KINDS)


OTHERS = (
  dict(kind='layer_norm'),
  dict(kind='group_norm', groups=2),
  dict(kind='depthwise_conv', kernel=3),
  dict(kind='conv', features=2, kernel=3, groups=2),
  dict(kind='residual', layers=(dict(kind='conv', features=2, kernel=3),)),
  dict(kind='parallel', branches=((dict(kind='conv', features=2, kernel=3),), ())),
)


@pytest.mark.parametrize('layer', OTHERS, ids=lambda layer: layer['kind'])
@pytest.mark.parametrize('format', ['keras', 'torch'])
def test_layer_that_a_format_lacks_is_named(format, layer, tmp_path):
  need(format)
  made = of_layers(layer, *FLAT, shape=(7, 6, 2))()
  what = 'conv1' if layer['kind'] == 'conv' else layer['kind']
  with pytest.raises(ValueError, match=f'format={format} cannot express the layer {what}.*: use'):
    export(made, format, tmp_path)
  assert list(tmp_path.iterdir()) == []


def test_stablehlo_expresses_every_layer(tmp_path):
  pooled = dict(kind='global_average_pool'), dict(kind='dense', features=3, activate=False)
  made = of_layers(*OTHERS, *pooled, shape=(7, 6, 2))()
  assert export(made, 'stablehlo', tmp_path).difference < 1e-5


@pytest.mark.parametrize('cell', ['rnn', 'lstm', 'gru'])
def test_language_model_can_be_run_step_by_step(cell, tmp_path):
  """Gives one character per call, with the states that the previous call returned."""
  made = text(cell)()
  export(made, 'stablehlo', tmp_path)
  call = stablehlo.load(made, tmp_path / 'export')
  characters = examples.random(made)[:3, :5]
  logits, *states = [], *made.empty_states(3)
  for time in range(5):
    step, *states = call([characters[:, time : time + 1], *states])
    logits.append(step)
  expected = made.model.apply(made.variables, characters)
  np.testing.assert_allclose(np.concatenate(logits, axis=1), expected, atol=1e-5)
  ports = [port.name for port in made.inputs()[1:]]
  parts = ('cell', 'hidden') if cell == 'lstm' else ('hidden',)
  assert ports == [f'{cell}{number}_{part}' for number in (1, 2) for part in parts]


def test_stablehlo_program_supports_all_platforms(tmp_path):
  made = NETWORKS['conv']()
  export(made, 'stablehlo', tmp_path)
  program = jax.export.deserialize(bytearray((tmp_path / 'export/model.stablehlo').read_bytes()))
  assert program.platforms == ('cpu', 'cuda', 'tpu')
  assert str(program.in_avals[0].shape) == '(batch, 7, 6, 2)'


@pytest.mark.parametrize(
  ('data', 'fit', 'background'),
  [
    (dict(name='mnist'), None, None),
    (dict(name='mnist', size=8), 'area', None),
    (dict(name='image_folder'), 'crop', None),  # its default size is 512
    (dict(name='image_folder', size=8, fit='pad', background='black'), 'pad', 'black'),
    (dict(name='arrays', size=8, fit='pad'), 'pad', 'white'),
  ],
)
def test_preprocessing_contains_the_fit_of_the_images(data, fit, background):
  made = NETWORKS['gru, raw']()
  made = dataclasses.replace(made, config={**made.config, 'data': {**made.config['data'], **data}})
  facts = made.preprocessing()
  assert (facts['fit'], facts.get('background')) == (fit, background)
  assert (facts['color'], facts['layout']) == ('gray', 'rows')


def test_onnx_metadata_contain_classes_and_preprocessing(tmp_path):
  need('onnx')
  import onnx

  made = NETWORKS['gru, raw']()
  export(made, 'onnx', tmp_path)
  model = onnx.load(str(tmp_path / 'export/model.onnx'))
  found = {entry.key: entry.value for entry in model.metadata_props}
  assert json.loads(found['classes']) == ['a', 'b', 'c']
  facts = json.loads(found['preprocessing'])
  assert (facts['subtract'], facts['then_divide_by']) == ([0.2], [0.3])
  assert facts['in_the_graph'] is True
  assert found['step'] == '7'
  (given,) = model.graph.input
  assert [axis.dim_param or axis.dim_value for axis in given.type.tensor_type.shape.dim] == [
    'batch',
    5,
    6,
    1,
  ]
  assert 'GRU' in [node.op_type for node in model.graph.node], 'the layer is not a single node'


def test_safetensors_names_and_metadata(tmp_path):
  need('safetensors')
  from safetensors import safe_open

  made = NETWORKS['batch_norm']()
  export(made, 'safetensors', tmp_path)
  with safe_open(tmp_path / 'export/model.safetensors', 'numpy') as file:
    assert {*file.keys()} >= {'conv1.kernel', 'logits.bias', 'batch_norm2.var'}
    assert file.metadata()['classes'] == '["a", "b", "c"]'
    np.testing.assert_array_equal(
      file.get_tensor('conv1.kernel'), made.variables['params']['conv1']['kernel']
    )
  weights, readme = (tmp_path / 'export' / name for name in ('model.safetensors', 'README.md'))
  assert weights.stat().st_mode == readme.stat().st_mode
  readme = readme.read_text()
  assert '| `conv1.kernel` | float32 | 3 × 2 × 2 × 3 |' in readme


def test_torch_module_has_valid_names_and_prepares_images(tmp_path):
  """Attributes are named after the layers; `prepare` equals the preprocessing of jaxdl."""
  need('torch')
  import torch

  made = of_layers(conv(name='train'), dict(kind='dense', features=2, name='2-d'), *FLAT)()
  export(made, 'torch', tmp_path)
  source = (tmp_path / 'export/model.py').read_text()
  assert 'self.layer_train = nn.Conv2d' in source
  assert 'self.layer_2_d = nn.Linear' in source
  names: dict = {}
  exec(compile(source, 'model.py', 'exec'), names)
  images = np.random.default_rng(1).integers(0, 256, (2, 7, 6, 2), np.uint8)
  prepared = names['prepare'](torch.from_numpy(images).permute(0, 3, 1, 2))
  np.testing.assert_allclose(
    prepared.permute(0, 2, 3, 1).numpy(), examples.of_images(made, images), atol=1e-6
  )
  assert names['CLASSES'] == ['a', 'b', 'c']
  readme = (tmp_path / 'export/README.md').read_text()
  assert '- input `inputs: float32 [batch, 2, 7, 6]`' in readme


def test_torch_module_escapes_names(tmp_path):
  need('torch')
  made = NETWORKS['raw']()
  hostile = ['"""', "'\n\\", '{x}']
  made.config['dataset']['classes'] = hostile
  made = dataclasses.replace(made, name='"""\nraise SystemExit\\')
  export(made, 'torch', tmp_path)
  names: dict = {}
  exec(compile((tmp_path / 'export/model.py').read_text(), 'model.py', 'exec'), names)
  assert names['CLASSES'] == hostile


class Swish(nn.Module):
  """A custom layer, as in docs/adding.md."""

  def __call__(self, inputs, context):
    return nn.swish(inputs)


@pytest.mark.parametrize('format', exports.FORMATS)
def test_custom_layer_is_exported_or_named_in_the_error(format, tmp_path, monkeypatch):
  need(format)
  monkeypatch.setitem(cnn.KINDS, 'swish', Swish)
  made = of_layers(conv(), dict(kind='swish'), *FLAT)()
  if format in ('stablehlo', 'safetensors'):
    assert export(made, format, tmp_path).difference < 1e-5
    return
  with pytest.raises(
    ValueError, match=rf'format={format} cannot express the layer swish1, a Swish, which'
  ):
    export(made, format, tmp_path)
  assert list(tmp_path.iterdir()) == []


def with_load(monkeypatch, change):
  """Changes the outputs of the loaded StableHLO program."""
  original = exports.FORMATS['stablehlo']

  def load(made, folder):
    call = original.load(made, folder)
    return lambda arrays: [change(array) for array in call(arrays)]

  monkeypatch.setitem(write.FORMATS, 'stablehlo', dataclasses.replace(original, load=load))


@pytest.mark.parametrize(
  'change',
  [lambda array: array + 1e-2, lambda array: array * np.nan, lambda array: array[:, :1]],
  ids=['difference', 'nan', 'shape'],
)
def test_different_outputs_are_rejected(change, tmp_path, monkeypatch):
  """No files are left, and an earlier export is kept."""
  made = NETWORKS['conv']()
  export(made, 'stablehlo', tmp_path)
  before = {path: path.read_bytes() for path in (tmp_path / 'export').iterdir()}
  with_load(monkeypatch, change)
  with pytest.raises(ValueError, match='nothing was written'):
    export(made, 'stablehlo', tmp_path)
  assert {path: path.read_bytes() for path in (tmp_path / 'export').iterdir()} == before
  assert [path.name for path in tmp_path.iterdir()] == ['export']
  (tmp_path / 'other').mkdir()
  with pytest.raises(ValueError, match='nothing was written'):
    export(made, 'stablehlo', tmp_path / 'other')
  assert list((tmp_path / 'other').iterdir()) == []


def test_readme_keeps_the_sections_of_other_formats(tmp_path):
  need('safetensors')
  made = NETWORKS['raw']()
  export(made, 'stablehlo', tmp_path)
  plain = dataclasses.replace(made, raw=False)
  export(plain, 'safetensors', tmp_path)
  export(dataclasses.replace(plain, step=9), 'safetensors', tmp_path)
  readme = (tmp_path / 'export/README.md').read_text()
  titles = [line[3:] for line in readme.splitlines() if line.startswith('## ')]
  assert titles == ['Inputs', 'stablehlo', 'safetensors']
  assert 'images: uint8 [batch, 7, 6, 3]' in readme
  assert 'step 9' in readme
  assert "'a', 'b', 'c'" in readme
  assert '[0.2, 0.5, 0.4]' in readme


@pytest.mark.parametrize(
  ('name', 'format', 'raw', 'message'),
  [
    ('conv', 'onyx', False, 'format=onyx is unknown: use one of .*did you mean onnx'),
    ('conv', 'safetensors', True, 'format=safetensors contains only weights'),
    ('rnn text', 'stablehlo', True, 'raw applies to networks of images'),
  ],
)
def test_invalid_argument_error_names_the_fix(name, format, raw, message):
  made = dataclasses.replace(NETWORKS[name](), raw=raw)
  with pytest.raises(ValueError, match=message):
    write.check(made, format)


@pytest.mark.parametrize(
  ('format', 'extra'),
  [('onnx', 'export'), ('safetensors', 'export'), ('keras', 'keras'), ('torch', 'torch')],
)
def test_missing_library_error_names_the_extra(format, extra, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  made = NETWORKS['conv']()
  with pytest.raises(ImportError, match=rf"not installed: pip install 'jaxdl\[{extra}\]'"):
    write.check(made, format)
  text = (pathlib.Path(__file__).parents[2] / 'pyproject.toml').read_text()
  (line,) = [line for line in text.splitlines() if line.startswith(f'{extra} = ')]
  assert all(f'"{library}>=' in line for library in exports.FORMATS[format].libraries)
