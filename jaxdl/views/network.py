"""Views of what was learned, without looking at an example: filters and weights."""

import itertools
import pathlib

import numpy as np
from flax import traverse_util

from jaxdl import figures
from jaxdl.analysis import filters, weights
from jaxdl.runs import checkpoint, files
from jaxdl.views.view import Result, View, chosen_layer, layers_of, separately

SHOWN = 64  # filters, and inputs of each, of a picture in which each input of each filter is a tile
PARTS = (
  'least to greatest',
  'middle 87 %',
  'middle 68 %',
  'middle 38 %',
)  # of weights.QUANTILES, from outside
SCALES = {
  'raw': 'one scale for all filters, grey is 0',
  'normalised': 'each filter from its least to its greatest weight',
}


def first_filters(subject, choice):
  """The kernels of the first convolution, raw and normalised."""
  names = layers_of(subject, 'Conv')
  layer = chosen_layer(choice, names, names[0])
  kernels = filters.filters(subject.variables, layer)
  height, width, inputs, count = kernels.shape
  norms = np.sqrt(np.square(kernels).sum((0, 1, 2)))
  for scaling, note in SCALES.items():
    low, high = filters.limits(kernels, scaling)
    drawn, part = kernels, ''
    if inputs not in (1, 3) and max(inputs, count) > SHOWN:
      drawn, part = (
        kernels[:, :, :SHOWN, :SHOWN],
        f'\nthe first {min(inputs, SHOWN)} inputs of the first {min(count, SHOWN)}',
      )
    figure = figures.tiles(
      filters.grid(drawn, scaling, gap=np.nan),
      note=note,
      heading=f'{layer}: {count} filters of {height}×{width}×{inputs}, {scaling}{part}',
    )
    yield Result(
      f'filters_{scaling}',
      figure,
      {'kernels': kernels, 'low': low, 'high': high, 'norms': norms},
      {
        'layer': layer,
        'scaling': note,
        'filters': count,
        'shape': [height, width, inputs],
        'largest_norm': float(norms.max()),
        'median_norm': float(np.median(norms)),
      },
    )


def weight_histograms(subject, choice):
  """The distribution of every tensor, of several runs on common edges."""
  folders = list(dict.fromkeys(map(str, (subject.workdir, *choice.against))))
  short = [pathlib.Path(folder).name for folder in folders]
  labels = short if len(set(short)) == len(folders) else folders
  runs = {labels[0]: subject.variables}
  runs |= {
    label: checkpoint.load_model(folder, choice.step)[1]
    for label, folder in zip(labels[1:], folders[1:], strict=True)
  }
  found = weights.compare(runs)
  order = _in_order(found, layers_of(subject))
  panels = {
    name.replace('/', ' '): {
      label: (counts, found[name].edges) for label, counts in found[name].counts.items()
    }
    for name in order
  }
  figure = figures.distributions(
    panels, heading='Weights and biases of every layer', xlabel='value'
  )
  arrays = {f'{name}.edges': tensor.edges for name, tensor in found.items()}
  arrays |= {
    f'{name}.counts': np.stack(list(tensor.counts.values())) for name, tensor in found.items()
  }
  yield Result(
    'weights',
    figure,
    arrays,
    {
      'runs': folders,
      'tensors': {
        name: {
          'runs': list(tensor.counts),
          'sizes': [int(counts.sum()) for counts in tensor.counts.values()],
          'least': tensor.edges[0],
          'greatest': tensor.edges[-1],
        }
        for name, tensor in found.items()
      },
    },
  )


def weights_over_training(subject, choice):
  """How the spread of every tensor moved; nothing where the run kept less than two evaluations."""
  names = [
    f'{layer}/{"/".join(path)}'
    for layer, part in subject.variables['params'].items()
    for path in traverse_util.flatten_dict(part)
  ]
  yield from over_training(subject.workdir, _in_order(names, layers_of(subject)))


def _in_order(names, layers):
  """'layer/tensor' in the order of the network's layers, what is of none of them at the end."""
  of_layer = [
    [name for name in names if name == layer or name.startswith(f'{layer}/')] for layer in layers
  ]
  return list(dict.fromkeys([*itertools.chain(*of_layer), *names]))


def over_training(workdir, order=()):
  """How the spread of every tensor moved, from what the run kept at its evaluations; nothing where
  it kept less than two.

  Args:
    workdir: the run's folder.
    order: names of tensors, those that come first.
  """
  lines = files.weights(workdir)
  if len(lines) < 2 or any(line.keys() != lines[0].keys() for line in lines):
    return
  steps = np.array([line['step'] for line in lines])
  names = [
    name for name in dict.fromkeys([*order, *lines[0]]) if name in lines[0] and name != 'step'
  ]
  spread = {name: np.array([line[name] for line in lines], np.float64) for name in names}
  figure = figures.bands(
    {name.replace('/', ' '): (steps, values) for name, values in spread.items()},
    xlabel='step',
    ylabel='value',
    parts=PARTS,
    heading='Weights and biases of every layer during training',
  )
  yield Result(
    'weights_over_training',
    figure,
    {'steps': steps, 'quantiles': np.array(weights.QUANTILES), **spread},
    {
      'quantiles': weights.QUANTILES,
      'steps': steps.tolist(),
      'tensors': {
        name: {'first': values[0].tolist(), 'last': values[-1].tolist()}
        for name, values in spread.items()
      },
    },
  )


VIEWS = {
  'filters': View(
    'filters of the first convolution, raw and normalised',
    ('cnn', 'autoencoder'),
    first_filters,
    heeds=('layer',),
    examples=False,
  ),
  'weights': View(
    'distribution of weights and biases, and during training',
    ('cnn', 'recurrent', 'classifier', 'language_model', 'autoencoder'),
    separately(weight_histograms, weights_over_training),
    heeds=('against',),
    examples=False,
  ),
}
