"""Looking inside a network: pure functions of a model, its variables and images or text.

    from jaxdl.analysis import Neuron, attribution, neurons

The public names are these modules, each with the functions of one question, and `Neuron`, which
names a unit to explain.
"""

from jaxdl.analysis import (
  activations,
  attribution,
  autoencoder,
  embeddings,
  errors,
  evolution,
  filters,
  maximization,
  neurons,
  recurrent,
  reference,
  weights,
)
from jaxdl.analysis.units import Neuron

__all__ = [
  'Neuron',
  'activations',
  'attribution',
  'autoencoder',
  'embeddings',
  'errors',
  'evolution',
  'filters',
  'neurons',
  'maximization',
  'recurrent',
  'reference',
  'weights',
]
