"""Analysis of trained networks: pure functions of a model, its variables and a batch of inputs.

The public names are one module for each question and `Neuron`, which names the unit to explain:

    from jaxdl.analysis import Neuron, attribution

    maps = attribution.saliency(model, variables, images, Neuron('conv1', channel=3))
"""

from jaxdl.analysis import (
  ablation,
  activations,
  adversarial,
  attribution,
  autoencoder,
  concepts,
  embeddings,
  errors,
  evolution,
  filters,
  influence,
  loss_landscape,
  maximization,
  nearest,
  neurons,
  probes,
  recurrent,
  reference,
  similarity,
  visualization,
  weights,
)
from jaxdl.analysis.units import Neuron

__all__ = [
  'Neuron',
  'ablation',
  'activations',
  'adversarial',
  'attribution',
  'autoencoder',
  'concepts',
  'embeddings',
  'errors',
  'evolution',
  'filters',
  'influence',
  'loss_landscape',
  'maximization',
  'nearest',
  'neurons',
  'probes',
  'recurrent',
  'reference',
  'similarity',
  'visualization',
  'weights',
]
