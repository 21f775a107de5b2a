"""Views of what was learned, without looking at an example: filters and weights."""

import numpy as np

from jaxdl import figures
from jaxdl.analysis import filters, weights
from jaxdl.views.view import Result, View, chosen_layer, layers_of

SCALES = {'raw': 'one scale for all filters, grey is 0', 'normalised': 'each filter from its least to its greatest weight'}


def first_filters(subject, choice):
  """The kernels of the first convolution, raw and normalised."""
  names = layers_of(subject, 'Conv')
  layer = chosen_layer(choice, names, names[0])
  kernels = filters.filters(subject.variables, layer)
  height, width, inputs, count = kernels.shape
  norms = np.sqrt(np.square(kernels).sum((0, 1, 2)))
  for scaling, note in SCALES.items():
    low, high = filters.limits(kernels, scaling)
    figure = figures.tiles(filters.grid(kernels, scaling), note=note,
                           heading=f'{layer}: {count} filters of {height}×{width}×{inputs}, {scaling}')
    yield Result(f'filters_{scaling}', figure, {'kernels': kernels, 'low': low, 'high': high, 'norms': norms}, {
        'layer': layer, 'scaling': note, 'filters': count, 'shape': [height, width, inputs],
        'largest_norm': float(norms.max()), 'median_norm': float(np.median(norms))})


def weight_histograms(subject, choice):
  """The distribution of every tensor."""
  found = weights.histograms(subject.variables)
  panels = {name.replace('/', ' '): {'this run': (histogram.counts, histogram.edges)} for name, histogram in found.items()}
  figure = figures.distributions(panels, heading='Weights and biases of every layer', xlabel='value')
  arrays = {f'{name}.{part}': values for name, histogram in found.items()
            for part, values in histogram._asdict().items()}
  yield Result('weights', figure, arrays, {name: {'size': int(histogram.counts.sum()), 'least': histogram.edges[0],
                                                  'greatest': histogram.edges[-1]} for name, histogram in found.items()})


VIEWS = {
    'filters': View('filters of the first convolution, raw and normalised', ('cnn', 'autoencoder'), first_filters),
    'weights': View('distribution of weights and biases', ('cnn', 'recurrent', 'language_model', 'autoencoder'),
                    weight_histograms)}
