"""Compares attributions of the steps of recurrent networks with Captum's; in float64.

Used by `parity`. LRP, DeepLIFT and expected gradients are not compared: neither Captum nor Zennit
has a rule for recurrent layers, and Captum's expected gradients draw their own samples.
"""

from collections.abc import Iterator

import captum.attr
import jax
import numpy as np
import torch
from torch import nn

from jaxdl import models
from jaxdl.analysis import attribution
from jaxdl.analysis.maps.last_character import LastCharacter
from jaxdl.analysis.maps.step_occlusion import step_occlusion
from jaxdl.config import reading
from jaxdl.models.language_model import LanguageModel
from launch.benchmarks import torch_network

NETWORKS = {  # config → sequences [B, T, I]
  'rnn_mnist': (2, 28, 28),
  'gru_mnist': (2, 28, 28),
  'lstm_mnist': (2, 28, 28),
  'char_rnn_shakespeare': (2, 48, 65),
  'char_gru_shakespeare': (2, 48, 65),
  'char_lstm_shakespeare': (2, 48, 65),
}
GOALS = {  # largest difference as a share of the largest value
  'logits': 1e-9,
  'saliency': 1e-9,
  'gradient × input': 1e-9,
  'integrated gradients': 1e-7,  # Captum's weights of the steps are float32
  'occlusion of steps': 1e-6,  # Captum's result is float32
}
STEPS = 32
FILL = 0.3


def random_network(name: str) -> tuple:
  """(linen module, variables, sequences, classes) of a config, with random weights; float64.

  The sequences are random numbers, or one-hot vectors of random characters.
  """
  shape = NETWORKS[name]
  section = reading.read_file(name).to_dict()['model']
  model = models.build(models.with_classes(section, shape[-1]))
  draw = np.random.default_rng(0)
  sequences = draw.random(shape)
  if isinstance(model, LanguageModel):
    model = LastCharacter(model)
    sequences = np.eye(shape[-1])[draw.integers(0, shape[-1], shape[:2])]
  variables = jax.eval_shape(
    model.init, jax.random.PRNGKey(0), jax.ShapeDtypeStruct(shape, np.float32)
  )

  def drawn(leaf):
    scale = np.sqrt(1 / leaf.shape[0]) if len(leaf.shape) > 1 else 0.1
    return draw.normal(size=leaf.shape) * scale

  return model, jax.tree.map(drawn, variables), sequences, draw.integers(0, 10, shape[0])


def in_torch(model: nn.Module, variables: dict) -> nn.Sequential:
  """The same network in PyTorch."""
  params = dict(variables['params'])
  network = model.network if isinstance(model, LastCharacter) else model
  logits = params.pop('logits')
  parts = []
  for number, weights in enumerate(params.values(), 1):
    features = len(weights['recurrent_kernel'])
    part = torch_network.Recurrent(
      network.cell, len(weights['input_kernel']), features, number == len(params), stateful=False
    ).double()
    with torch.no_grad():
      torch_network.loading_cell(network.cell, part.cell, weights)()
    parts.append(part)
  dense = nn.Linear(*logits['kernel'].shape).double()
  with torch.no_grad():
    torch_network.loading(dense, logits['kernel'].T, logits['bias'])()
  return nn.Sequential(*parts, dense)


def compare(name: str) -> Iterator[tuple[str, float]]:
  """Yields (method, largest difference as a share of the largest value) of a network."""
  with jax.enable_x64(True):
    model, variables, sequences, classes = given = random_network(name)
    twin = in_torch(model, variables)
    inputs = torch.from_numpy(sequences).requires_grad_()
    target = torch.from_numpy(classes)
    found = captum.attr
    pairs = {
      'logits': (model.apply(variables, sequences), twin(inputs)),
      'saliency': (
        attribution.saliency(*given),
        found.Saliency(twin).attribute(inputs, target, abs=False),
      ),
      'gradient × input': (
        attribution.input_x_gradient(*given),
        found.InputXGradient(twin).attribute(inputs, target),
      ),
      'integrated gradients': (
        attribution.integrated_gradients(*given, steps=STEPS).maps,
        found.IntegratedGradients(twin).attribute(
          inputs, target=target, n_steps=STEPS, method='gausslegendre'
        ),
      ),
      'occlusion of steps': (
        step_occlusion(*given, fill=FILL),
        found.Occlusion(twin).attribute(
          inputs, (1, sequences.shape[2]), baselines=FILL, target=target
        )[..., 0],  # the same in every channel
      ),
    }
    for method, (ours, theirs) in pairs.items():
      theirs = theirs.detach().numpy()
      yield method, float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())
