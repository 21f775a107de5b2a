"""Weights of other tools in jaxdl's networks, from files made by hand."""

import io
import json
import pathlib
import zipfile

import jax
import numpy as np
import pytest
from helpers import slow_after
from weights_helpers import DENSE, LAYERS, network, of_layers, outputs, recurrent, text

from jaxdl import weights
from jaxdl.exports import layers, layouts, safetensors_weights
from jaxdl.weights import matching, table

MODELS = {
  'cnn': lambda: of_layers(*LAYERS),
  'rnn': lambda: recurrent('rnn'),
  'lstm': lambda: recurrent('lstm'),
  'gru': lambda: recurrent('gru'),
  'text': lambda: text('gru', embedding=5),
  'one-hot text': lambda: text('lstm'),
  'tied text': lambda: text('lstm', embedding=4, tie=True),
}


def as_torch(made):
  """The state_dict of a network, name → array."""
  listed = layers.layers_of(made, 'torch')
  orders = layouts.flat_orders(listed)
  found = {}
  for layer in listed:
    order = orders.get(layer.name, layouts.UNCHANGED)
    for name, array in layouts.to_torch(layer, order).items():
      found[f'{layer.name}.{name}'] = array
    if layer.kind == 'batch_norm':
      found[f'{layer.name}.num_batches_tracked'] = np.asarray(7)
  return found


def as_keras(made):
  return [
    array for layer in layers.layers_of(made, 'keras') for array in layouts.to_keras(layer).values()
  ]


def save(folder, *arrays, **named):
  """Writes a .npz file and reads it."""
  np.savez(folder / 'weights.npz', *arrays, **named)
  return weights.read(folder / 'weights.npz')


def same(one, other):
  jax.tree.map(np.testing.assert_array_equal, dict(one), dict(other))


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('layout', slow_after(1, ['torch', 'keras', 'jaxdl']))
def test_weights_come_back_as_they_were(name, layout, tmp_path):
  """From a state_dict, from a list like Keras's `get_weights`, and by the names of jaxdl."""
  made = MODELS[name]()
  if layout == 'keras':
    source = save(tmp_path, *as_keras(made))
  elif layout == 'torch':
    source = save(tmp_path, **as_torch(made))
  else:
    source = save(tmp_path, **safetensors_weights.tensors(made))
  found = weights.fill(made, source, layout='keras' if layout == 'keras' else None)
  assert found.layout == layout
  one_hot = [row for row in found.rows if row['layer'] == 'one_hot']
  if layout == 'torch' or name == 'text':
    assert len(one_hot) == (name == 'one-hot text')
  same(found.variables, made.variables)


@pytest.mark.parametrize('layout', ['torch', 'keras'])
def test_a_list_without_names_needs_the_layout(layout, tmp_path):
  made = of_layers(*LAYERS)
  arrays = as_keras(made) if layout == 'keras' else as_torch(made).values()
  source = save(tmp_path, *arrays)
  with pytest.raises(
    ValueError, match='layout cannot be inferred from the names of the weights: add --layout=torch'
  ):
    weights.fill(made, source)
  same(weights.fill(made, source, layout=layout).variables, made.variables)


def test_an_image_is_flattened_with_channels_first(tmp_path):
  """Worked by hand: an image of 1 × 2 pixels with 2 channels, [[[a, b], [c, d]]], is a b c d."""
  made = of_layers(dict(kind='flatten'), dict(DENSE, features=1), shape=(1, 2, 2))
  source = save(tmp_path, **{'weight': np.array([[1.0, 2, 3, 4]]), 'bias': np.array([5.0])})
  found = weights.fill(made, source)
  kernel = found.variables['params']['logits']['kernel']
  np.testing.assert_array_equal(kernel[:, 0], [1, 3, 2, 4])  # PyTorch: a c b d
  (row,) = (row for row in found.rows if row['parameter'] == 'kernel')
  assert row['done'] == 'transposed, C·H·W to H·W·C'
  assert (row['file'], row['file_shape'], row['shape']) == (['weight'], [1, 4], [4, 1])


def test_gates_and_biases_of_pytorch(tmp_path):
  """Worked by hand with one unit: r z n become z r n in a GRU; two biases are added in an LSTM."""
  named = dict(weight_ih_l0=[[1.0], [2], [3]], weight_hh_l0=[[4.0], [5], [6]])
  biases = dict(bias_ih_l0=[7.0, 8, 9], bias_hh_l0=[10.0, 11, 12])
  dense = {'head.weight': np.ones((2, 1)), 'head.bias': np.zeros(2)}
  made = network(dict(name='recurrent', cell='gru', features=1, classes=2), (4, 1))
  cell = {f'cell.{name}': np.array(value) for name, value in (named | biases).items()}
  gru = weights.fill(made, save(tmp_path, **cell, **dense)).variables['params']['gru']
  assert {name: array.ravel().tolist() for name, array in gru.items()} == {
    'input_kernel': [2, 1, 3],
    'recurrent_kernel': [5, 4, 6],
    'bias': [8, 7, 9],
    'recurrent_bias': [11, 10, 12],
  }
  made = network(dict(name='recurrent', cell='rnn', features=3, classes=2), (4, 1))
  cell['cell.weight_hh_l0'] = np.arange(9.0).reshape(3, 3)
  dense['head.weight'] = np.ones((2, 3))
  found = weights.fill(made, save(tmp_path, **cell, **dense))
  rnn = found.variables['params']['rnn']
  np.testing.assert_array_equal(rnn['bias'], [17, 19, 21])
  np.testing.assert_array_equal(rnn['recurrent_kernel'], np.arange(9).reshape(3, 3).T)
  shown = table.text(found.rows)
  assert 'cell.bias_ih_l0 + cell.bias_hh_l0' in shown
  assert 'two biases added' in shown


def test_a_bias_that_the_network_lacked_is_zero(tmp_path):
  made = of_layers(dict(kind='conv', features=3, kernel=1), dict(kind='flatten'), DENSE)
  named = {name: array for name, array in as_torch(made).items() if name != 'conv1.bias'}
  found = weights.fill(made, save(tmp_path, **named))
  np.testing.assert_array_equal(found.variables['params']['conv1']['bias'], np.zeros(3))
  (row,) = (row for row in found.rows if not row['file'])
  assert (row['layer'], row['done']) == ('conv1', 'zeros: the file has none')


def test_names_of_a_wrapper_and_types_are_converted(tmp_path):
  made = of_layers(dict(kind='flatten'), DENSE)
  named = {f'module.{name}': array.astype(np.float16) for name, array in as_torch(made).items()}
  found = weights.fill(made, save(tmp_path, **named))
  kernel = found.variables['params']['logits']['kernel']
  assert kernel.dtype == np.float32
  np.testing.assert_allclose(kernel, made.variables['params']['logits']['kernel'], atol=1e-3)


def two_dense():
  return of_layers(
    dict(kind='flatten'),
    *(dict(kind='dense', features=4, name=name) for name in ('one', 'two', 'three')),
    DENSE,
    shape=(2, 2, 1),
  )


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (('fc1', 'fc2', 'fc10', 'out'), None),
    (('encoder', 'middle', 'decoder', 'out'), 'decoder and encoder and middle both fit one'),
  ],
)
def test_the_order_of_safetensors_is_that_of_numbers(names, message, tmp_path):
  """The format sorts names, so that only numbers in them tell an order."""
  library = pytest.importorskip('safetensors.numpy')
  made = two_dense()
  listed = list(as_torch(made).values())
  named = {}
  for name, weight, bias in zip(names, listed[::2], listed[1::2], strict=True):
    named |= {f'{name}.weight': np.ascontiguousarray(weight), f'{name}.bias': bias}
  file = tmp_path / 'weights.safetensors'
  library.save_file(named, file)
  source = weights.read(file)
  if message is None:
    same(weights.fill(made, source).variables, made.variables)
    return
  with pytest.raises(ValueError, match=f'does not record the order of its layers, and {message}'):
    weights.fill(made, source)
  same(weights.fill(made, source, order=names).variables, made.variables)
  with pytest.raises(ValueError, match='names other layers than .*: give all of'):
    weights.fill(made, source, order=['encoder'])


def changed(named, **others):
  return {**named, **others}


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      {'conv1.weight': np.zeros((3, 2, 5, 2))},
      r'the layer conv1 needs weight \[3, 2, 3, 2\], bias \[3\], but the file has '
      r'conv1: weight \[3, 2, 5, 2\], bias \[3\]',
    ),
    ({'conv1.scale': np.zeros(3)}, r'conv1: weight \[3, 2, 3, 2\], bias \[3\], scale \[3\]'),
    (
      {'fc9.weight': np.zeros((2, 3))},
      r'the config, which has no layer for fc9: weight \[2, 3\]: add it to the config',
    ),
    ({'logits.weight': np.full((3, 84), np.inf)}, 'logits.weight has values that are not finite'),
    ({'logits.weight': np.array(['a'])}, 'logits.weight is of type <U1'),
  ],
)
def test_the_first_mismatch_is_named(change, message, tmp_path):
  made = of_layers(dict(kind='conv', features=3, kernel=(3, 2)), dict(kind='flatten'), DENSE)
  named = {**as_torch(made), **change}
  with pytest.raises(ValueError, match=message):
    weights.fill(made, save(tmp_path, **named))


def test_missing_layers_are_named(tmp_path):
  made = two_dense()
  named = {name: array for name, array in as_torch(made).items() if 'logits' not in name}
  with pytest.raises(ValueError, match=r'the layer logits needs .* has no further weights'):
    weights.fill(made, save(tmp_path, **named))
  with pytest.raises(ValueError, match=r'the layer two needs .* the file has arr_2: 0 \[5\]'):
    weights.fill(made, save(tmp_path, *[*named.values()][:2], np.zeros(5)), layout='torch')


def test_the_epsilon_that_a_state_dict_lacks_is_a_warning(tmp_path):
  made = of_layers(dict(kind='batch_norm'), dict(kind='flatten'), DENSE)
  found = weights.fill(made, save(tmp_path, **as_torch(made)))
  (line,) = found.warnings
  assert line.startswith('batch_norm1 has epsilon=0.001, as the config says, but the default of Py')
  plain = of_layers(dict(kind='batch_norm', epsilon=1e-5), dict(kind='flatten'), DENSE)
  assert weights.fill(plain, save(tmp_path, **as_torch(plain))).warnings == []


def h5_bytes(groups):
  """A file of Keras 3: path of a layer → its arrays."""
  h5py = pytest.importorskip('h5py')
  buffer = io.BytesIO()
  with h5py.File(buffer, 'w') as file:
    for path, arrays in groups.items():
      for number, array in enumerate(arrays):
        file[f'{path}/vars/{number}'] = array
  return buffer.getvalue()


def of_keras(made, kinds):
  """The groups of a file of Keras 3 from the layers of a network."""
  listed = [layer for layer in layers.layers_of(made, 'keras') if layer.weights]
  return {
    f'layers/{path}': list(layouts.to_keras(layer).values())
    for path, layer in zip(kinds, listed, strict=True)
  }


def test_weights_h5_of_keras(tmp_path):
  made = of_layers(
    dict(kind='conv', features=3, kernel=1),
    dict(kind='batch_norm'),
    dict(kind='conv', features=3, kernel=2),
    dict(kind='flatten'),
    DENSE,
  )
  groups = of_keras(made, ('conv2d', 'batch_normalization', 'conv2d_1', 'dense'))
  others = {
    'optimizer': [np.float32(3)],
    'layers/dropout/seed_generator': [np.zeros(2, np.uint32)],
  }
  file = tmp_path / 'model.weights.h5'
  file.write_bytes(h5_bytes({**groups, **others}))
  found = weights.fill(made, weights.read(file))
  same(found.variables, made.variables)
  assert found.warnings == []
  assert found.rows[0]['file'] == ['layers/conv2d/vars/0']


def test_a_gru_that_resets_before_the_product_is_refused(tmp_path):
  made = recurrent('gru')
  groups = of_keras(made, ('gru/cell', 'dense'))
  file = tmp_path / 'model.weights.h5'
  file.write_bytes(h5_bytes(groups))
  same(weights.fill(made, weights.read(file)).variables, made.variables)
  groups['layers/gru/cell'][2] = np.zeros(12)
  file.write_bytes(h5_bytes({'layers/gru/cell': groups['layers/gru/cell']}))
  with pytest.raises(ValueError, match=r'bias \[2, 12\].*a GRU with reset_after=False'):
    weights.fill(made, weights.read(file))


def keras_archive(file, made, **changes):
  """Writes a .keras file of a batch normalisation, a convolution and a dense layer."""
  conv = {'name': 'first', 'strides': [1, 1], 'padding': 'same', 'activation': 'relu'}
  norm = {'name': 'norm', 'epsilon': 0.001, 'momentum': 0.99}
  listed = [
    {'class_name': 'InputLayer', 'config': {'name': 'input'}},
    {'class_name': 'Conv2D', 'config': {**conv, **changes}},
    {'class_name': 'BatchNormalization', 'config': {**norm, **changes}},
    {'class_name': 'Lambda', 'config': {'name': 'code', 'function': 'raise SystemExit'}},
    {'class_name': 'Dense', 'config': {'name': 'last', 'activation': 'linear'}},
  ]
  groups = of_keras(made, ('conv2d', 'batch_normalization', 'dense'))
  with zipfile.ZipFile(file, 'w') as archive:
    archive.writestr('config.json', json.dumps({'config': {'layers': listed}}))
    archive.writestr('model.weights.h5', h5_bytes(groups))


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({}, None),
    ({'momentum': 0.9}, None),
    ({'epsilon': 1e-5}, 'norm has epsilon=1e-05, but the layer batch_norm1 of the config has 0.00'),
    ({'activation': 'tanh'}, "first has activation='tanh', but the layer conv1 .* has 'relu'"),
    ({'strides': [2, 2]}, r'first has strides=\(2, 2\), but the layer conv1 .* has \(1, 1\)'),
    ({'dilation_rate': [2, 1]}, r'first has dilation_rate=\(2, 1\)'),
  ],
)
def test_settings_of_a_keras_file_are_compared(change, message, tmp_path):
  """Nothing of the file is executed, such as the function of a Lambda layer."""
  made = of_layers(
    dict(kind='conv', features=3, kernel=3), dict(kind='batch_norm'), dict(kind='flatten'), DENSE
  )
  file = tmp_path / 'model.keras'
  keras_archive(file, made, **change)
  if message is not None:
    with pytest.raises(ValueError, match=message):
      weights.fill(made, weights.read(file))
    return
  found = weights.fill(made, weights.read(file))
  same(found.variables, made.variables)
  assert [line.partition(' in the file')[0] for line in found.warnings] == [
    'batch_norm1 has momentum=0.99 in the config and 0.9' for _ in change
  ]


@pytest.mark.parametrize(
  ('name', 'content', 'message'),
  [
    ('a.bin', b'', r'is of an unknown kind: give a file of \.safetensors, \.pt'),
    ('a.npz', b'no zip', r'is not a \.npz file|holds code'),
    ('a.h5', b'no hdf5', 'is not an HDF5 file'),
    ('a.keras', b'no zip', r'is not a \.keras file'),
    ('a.safetensors', b'x' * 40, 'is not a file of safetensors'),
  ],
)
def test_files_that_cannot_be_read_are_one_line(name, content, message, tmp_path):
  (tmp_path / name).write_bytes(content)
  with pytest.raises(ValueError, match=message) as error:
    weights.read(tmp_path / name)
  assert '\n' not in str(error.value)


def test_a_file_with_objects_or_without_weights_is_refused(tmp_path):
  with pytest.raises(ValueError, match='holds code or objects: save arrays with numpy.savez'):
    save(tmp_path, np.array([{}], object))
  with pytest.raises(ValueError, match='has no weights'):
    save(tmp_path)
  with pytest.raises(FileNotFoundError, match='does not exist: give a file of weights'):
    weights.read(tmp_path / 'none.pt')


@pytest.mark.parametrize(
  ('name', 'extra'), [('a.pt', 'torch'), ('a.h5', 'keras'), ('a.safetensors', 'export')]
)
def test_a_missing_library_names_its_extra(name, extra, tmp_path, monkeypatch):
  (tmp_path / name).write_bytes(b'')
  monkeypatch.setattr(weights.reading.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ImportError, match=rf"not installed: pip install 'jaxdl\[{extra}\]'"):
    weights.read(tmp_path / name)


def test_every_kind_of_layer_with_weights_has_its_layouts():
  made = of_layers(*LAYERS)
  for listed in (layers.layers_of(made, 'any'), layers.layers_of(text('gru', 2), 'any')):
    for layer in (layer for layer in listed if layer.weights):
      for layout in ('torch', 'keras'):
        given = matching.LAYOUTS[layout].write(layer)
        same(matching.LAYOUTS[layout].read(layer, given), layer.weights)


@pytest.mark.slow
def test_outputs_depend_on_every_weight():
  """The networks above would show an error in any weight."""
  made = of_layers(*LAYERS)
  _, before = outputs(made, made.variables)
  for path, leaf in jax.tree_util.tree_leaves_with_path(made.variables):
    other = jax.tree_util.tree_map_with_path(
      lambda place, one, path=path: one + 0.5 if place == path else one, made.variables
    )
    assert np.abs(outputs(made, other)[1] - before).max() > 1e-4, (path, leaf.shape)


def test_readers_are_documented():
  page = (pathlib.Path(__file__).parents[2] / 'docs/importing.md').read_text()
  assert all(f'`{ending}`' in page for ending in weights.READERS)
