"""Networks written in PyTorch and Keras, whose weights give the same outputs in jaxdl.

The libraries are in the extra `bench`.
"""

import importlib.util
import os

import jax
import numpy as np
import pytest
from helpers import ROOT, slow_after
from weights_helpers import of_layers, recurrent, text

from jaxdl import exports, weights
from jaxdl.config import reading
from jaxdl.data.tfds_arrays import downloads
from jaxdl.exports import keras_model, torch_module
from jaxdl.training import experiment

os.environ.setdefault('KERAS_BACKEND', 'jax')  # TensorFlow takes seconds to import
CONFIGS = sorted(
  path.stem for path in ROOT.glob('configs/*.py') if 'transformer' not in path.stem
)  # the formats have no transformer
CNN = (
  dict(kind='conv', features=5, kernel=3, strides=1, padding=((1, 1), (1, 1)), activate=False),
  dict(kind='batch_norm', epsilon=1e-5, momentum=0.9),
  dict(kind='activation'),
  dict(kind='max_pool', window=2),
  dict(kind='conv', features=4, kernel=3, strides=2, padding=((1, 1), (1, 1))),
  dict(kind='flatten'),
  dict(kind='dropout', rate=0.5),
  dict(kind='dense', features=7),
  dict(kind='batch_norm', epsilon=1e-5, momentum=0.9),
  dict(kind='dense', features=3, activate=False),
)
DECODER = (
  dict(kind='flatten'),
  dict(kind='dense', features=5),
  dict(kind='dense', features=2 * 3 * 4),
  dict(kind='reshape', shape=(2, 3, 4)),
  dict(
    kind='conv_transpose', features=2, kernel=3, strides=2, padding=((1, 2), (1, 2)), activate=False
  ),
)


@pytest.fixture
def torch():
  library = pytest.importorskip('torch')
  library.manual_seed(0)
  return library


@pytest.fixture
def keras():
  library = pytest.importorskip('keras')
  library.utils.set_random_seed(0)
  return library


def randomized_torch(torch, module):
  """A module in evaluation mode whose statistics and biases are random too."""
  for name, value in module.state_dict().items():
    if value.is_floating_point():
      value.copy_(
        torch.rand(value.shape) + 0.5 if 'var' in name else torch.randn(value.shape) * 0.4
      )
  return module.eval()


def randomized_keras(model):
  draw = np.random.default_rng(0)
  for variable in model.weights:
    if variable.dtype == 'float32':
      is_variance = 'variance' in variable.path
      shape = variable.shape
      variable.assign(draw.uniform(0.5, 2, shape) if is_variance else draw.normal(0, 0.4, shape))
  return model


def saved(torch, module, folder, ending):
  """A file with the weights of a module."""
  file, state = folder / f'model{ending}', module.state_dict()
  if ending == '.pt':
    torch.save(state, file)
  elif ending == '.safetensors':
    pytest.importorskip('safetensors.torch').save_file(state, file)
  else:
    np.savez(file, **{name: value.numpy() for name, value in state.items()})
  return file


def check(network, file, inputs, expected, **keywords):
  """Imports a file and compares the outputs, relative to the largest one if that is above 1."""
  found = weights.fill(network, weights.read(file), **keywords)
  outputs = np.asarray(network.model.apply(found.variables, inputs))
  assert np.abs(expected).max() > 0.1
  np.testing.assert_allclose(outputs, expected, atol=1e-5 * max(1, np.abs(expected).max()))
  return found


def images(shape, count=5):
  return np.float32(np.random.default_rng(3).normal(0, 1, (count, *shape)))


def torch_cnn(torch):
  nn = torch.nn
  return nn.Sequential(
    nn.Conv2d(2, 5, 3, padding=1, bias=False),
    nn.BatchNorm2d(5),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(5, 4, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Dropout(0.5),
    nn.Linear(4 * 2 * 3, 7),
    nn.ReLU(),
    nn.BatchNorm1d(7),
    nn.Linear(7, 3),
  )


@pytest.mark.parametrize('ending', ['.pt', '.safetensors', '.npz'])
def test_a_cnn_of_pytorch(ending, torch, tmp_path):
  """A convolution without bias; images of 8 × 12 pixels, so that no axis equals another."""
  module, given = randomized_torch(torch, torch_cnn(torch)), images((8, 12, 2))
  with torch.no_grad():
    expected = module(torch.from_numpy(given).permute(0, 3, 1, 2)).numpy()
  network = of_layers(*CNN, shape=(8, 12, 2))
  found = check(network, saved(torch, module, tmp_path, ending), given, expected)
  assert (found.layout, found.warnings) == ('torch', [])


def test_a_decoder_of_pytorch(torch, tmp_path):
  """A vector becomes an image, and a transposed convolution."""
  nn = torch.nn
  module = nn.Sequential(
    nn.Flatten(),
    nn.Linear(4 * 6 * 2, 5),
    nn.ReLU(),
    nn.Linear(5, 24),
    nn.ReLU(),
    nn.Unflatten(1, (4, 2, 3)),
    nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1),
  )
  module, given = randomized_torch(torch, module), images((4, 6, 2))
  with torch.no_grad():
    expected = module(torch.from_numpy(given).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
  network = of_layers(*DECODER, shape=(4, 6, 2), task='reconstruct')
  check(network, saved(torch, module, tmp_path, '.pt'), given, expected)


@pytest.mark.parametrize('cell', ['rnn', 'lstm', 'gru'])
@pytest.mark.parametrize('bias', [True, False])
def test_a_recurrent_classifier_of_pytorch(bias, cell, torch, tmp_path):
  class Network(torch.nn.Module):
    def __init__(self):
      super().__init__()
      kind = {'rnn': 'RNN', 'lstm': 'LSTM', 'gru': 'GRU'}[cell]
      self.recurrent = getattr(torch.nn, kind)(6, 4, batch_first=True, bias=bias)
      self.head = torch.nn.Linear(4, 3)

    def forward(self, x):
      return self.head(self.recurrent(x)[0][:, -1])

  module, given = randomized_torch(torch, Network()), images((5, 6))
  with torch.no_grad():
    expected = module(torch.from_numpy(given)).numpy()
  check(recurrent(cell), saved(torch, module, tmp_path, '.pt'), given, expected)


@pytest.mark.parametrize(
  ('cell', 'embedding', 'tie'), [('lstm', 5, False), ('gru', 5, False), ('lstm', 4, True)]
)
def test_a_language_model_of_pytorch(cell, embedding, tie, torch, tmp_path):
  """One module with two layers; a checkpoint that also has the state of an optimizer."""

  class Network(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.embedding = torch.nn.Embedding(3, embedding)
      self.cells = getattr(torch.nn, cell.upper())(embedding, 4, num_layers=2, batch_first=True)
      self.head = torch.nn.Linear(4, 3)
      if tie:
        self.head.weight = self.embedding.weight

    def forward(self, x):
      return self.head(self.cells(self.embedding(x))[0])

  module = randomized_torch(torch, Network())
  optimizer = torch.optim.Adam(module.parameters())
  given = np.random.default_rng(0).integers(0, 3, (4, 9), np.int32)
  with torch.no_grad():
    expected = module(torch.from_numpy(given)).numpy()
  content = {'epoch': 3, 'model': module.state_dict(), 'optimizer': optimizer.state_dict()}
  torch.save(content, tmp_path / 'model.pt')
  network = text(cell, embedding=embedding, tie=tie)
  check(network, tmp_path / 'model.pt', given, expected)
  if tie:
    content['model']['head.weight'] = content['model']['head.weight'] + 1
    torch.save(content, tmp_path / 'untied.pt')
    with pytest.raises(ValueError, match='kernel of logits is not that of the embedding: set con'):
      check(network, tmp_path / 'untied.pt', given, expected)


def test_a_complete_module_holds_code(torch, tmp_path):
  torch.save(torch_cnn(torch), tmp_path / 'model.pt')
  with pytest.raises(ValueError, match='holds code, such as a complete module: save it with'):
    weights.read(tmp_path / 'model.pt')
  torch.save({'a': torch.zeros(1), 'b': 'text'}, tmp_path / 'model.pt')
  with pytest.raises(ValueError, match='is not a state_dict, and has none inside'):
    weights.read(tmp_path / 'model.pt')
  (tmp_path / 'model.pt').write_bytes(b'no file of torch')
  with pytest.raises(ValueError, match=r'model\.pt (is not a file of torch.save|holds code)'):
    weights.read(tmp_path / 'model.pt')


def test_a_bidirectional_network_is_refused(torch, tmp_path):
  cells = torch.nn.LSTM(6, 4, bidirectional=True)
  file = saved(torch, cells, tmp_path, '.pt')
  with pytest.raises(
    ValueError, match=r'needs weight \[3, 4\], bias \[3\], but the file has l0_re'
  ):
    weights.fill(recurrent('lstm'), weights.read(file))


def keras_layers(keras, shape):
  kinds = keras.layers
  norm = dict(epsilon=1e-5, momentum=0.9)
  return [
    keras.Input(shape),
    kinds.Conv2D(5, 3, padding='same', use_bias=False),
    kinds.BatchNormalization(**norm),
    kinds.ReLU(),
    kinds.MaxPooling2D(2),
    kinds.ZeroPadding2D(1),
    kinds.Conv2D(4, 3, strides=2, activation='relu'),
    kinds.Flatten(),
    kinds.Dropout(0.5),
    kinds.Dense(7, activation='relu'),
    kinds.BatchNormalization(**norm),
    kinds.Dense(3),
  ]


def kept(keras, model, folder, ending):
  """A file with the weights of a Keras model, and how it is imported."""
  file, keywords = folder / f'model{ending}', {}
  if ending == '.npz':
    np.savez(file, *model.get_weights())
    keywords['layout'] = 'keras'
  elif ending == '.weights.h5':
    model.save_weights(file)
  else:
    model.save(file)
  return file, keywords


@pytest.mark.parametrize('ending', slow_after(1, ['.npz', '.keras', '.weights.h5', '.h5']))
def test_a_cnn_of_keras(ending, keras, tmp_path):
  model = keras.Sequential(keras_layers(keras, (8, 12, 2)))
  model.compile('adam', 'mse')
  model, given = randomized_keras(model), images((8, 12, 2))
  file, keywords = kept(keras, model, tmp_path, ending)
  network = of_layers(*CNN, shape=(8, 12, 2))
  found = check(network, file, given, np.asarray(model(given, training=False)), **keywords)
  assert found.layout == 'keras'
  assert len(found.warnings) == (2 if ending in ('.npz', '.weights.h5') else 0) / 2


@pytest.mark.parametrize('cell', ['rnn', 'lstm', 'gru'])
@pytest.mark.parametrize('ending', ['.keras', '.weights.h5'])
def test_a_recurrent_classifier_of_keras(ending, cell, keras, tmp_path):
  kind = {'rnn': 'SimpleRNN', 'lstm': 'LSTM', 'gru': 'GRU'}[cell]
  inputs = keras.Input((5, 6))
  states = getattr(keras.layers, kind)(4)(inputs)
  model = randomized_keras(keras.Model(inputs, keras.layers.Dense(3)(states)))
  given = images((5, 6))
  file, keywords = kept(keras, model, tmp_path, ending)
  check(recurrent(cell), file, given, np.asarray(model(given)), **keywords)


def test_other_settings_of_keras_are_refused(keras, tmp_path):
  inputs = keras.Input((5, 6))
  states = keras.layers.GRU(4, reset_after=False)(inputs)
  keras.Model(inputs, keras.layers.Dense(3)(states)).save(tmp_path / 'model.keras')
  with pytest.raises(ValueError, match='a GRU with reset_after=False resets before the product'):
    weights.fill(recurrent('gru'), weights.read(tmp_path / 'model.keras'))
  states = keras.layers.LSTM(4, activation='relu')(inputs)
  keras.Model(inputs, keras.layers.Dense(3)(states)).save(tmp_path / 'model.keras')
  with pytest.raises(ValueError, match="has activation='relu', but the layer lstm .* 'tanh'"):
    weights.fill(recurrent('lstm'), weights.read(tmp_path / 'model.keras'))


def of_config(name):
  """The network of a config with random weights."""
  with downloads(False):  # stands in for data that are not prepared
    built = experiment.build(reading.read_config(name), name)
  inputs = np.zeros((1, *built.data.input_shape()), built.data.inputs.dtype)
  variables = {
    'batch_stats': {},
    **built.recipe.model.init({'params': jax.random.key(0)}, inputs),
  }
  variables = jax.tree.map(np.asarray, variables)
  return exports.Network(name, 0, built.recipe.model, variables, built.config)


def random_inputs(network):
  draw = np.random.default_rng(0)
  if network.is_text:
    return [draw.integers(0, len(network.classes), (2, 8), np.int32), *network.empty_states(2)]
  return [np.float32(draw.normal(0, 1, (2, *network.input_shape)))]


@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_every_network_of_the_reports_from_pytorch(name, torch, tmp_path):
  """The module that the export writes, with other random weights of its own."""
  network = of_config(name)
  torch_module.write(network, tmp_path)
  specification = importlib.util.spec_from_file_location('a_model', tmp_path / 'model.py')
  source = importlib.util.module_from_spec(specification)
  specification.loader.exec_module(source)
  module = source.load(tmp_path / 'model.pt')
  for key, value in module.state_dict().items():
    if value.is_floating_point() and not key.startswith('one_hot'):
      value.mul_(torch.rand(value.shape) + 0.5).add_(0.1 * torch.rand(value.shape))
  torch.save(module.state_dict(), tmp_path / 'model.pt')
  given = random_inputs(network)
  expected = torch_module.load(network, tmp_path)(given)[0]
  check(network, tmp_path / 'model.pt', given[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_every_network_of_the_reports_from_keras(name, keras, tmp_path):
  network = of_config(name)
  keras_model.write(network, tmp_path)
  model = keras.saving.load_model(tmp_path / 'model.keras')
  draw = np.random.default_rng(0)
  for variable in model.weights:
    if variable.dtype == 'float32' and 'one_hot' not in variable.path:
      values = np.asarray(variable)
      scale, offset = draw.uniform(0.5, 1.5, values.shape), draw.uniform(0, 0.1, values.shape)
      variable.assign(values * scale + offset)
  model.save(tmp_path / 'model.keras')
  model.save_weights(tmp_path / 'model.weights.h5')
  given = random_inputs(network)
  expected = keras_model.load(network, tmp_path)(given)[0]
  for file in ('model.keras', 'model.weights.h5'):
    check(network, tmp_path / file, given[0], expected)
