"""Analyses of the parameters (filters and weights), which need no examples."""

import itertools
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from flax import traverse_util

from jaxdl import analysis, figures
from jaxdl.config import paths
from jaxdl.runs import checkpoint, files, packed
from jaxdl.views.subject import Subject
from jaxdl.views.view import (
  Choice,
  Display,
  Result,
  View,
  chosen_layer,
  layers_of,
  separately,
  without_convolution,
)

SHOWN = 64  # most filters, and most inputs of each, in a picture with a tile for each input
PARTS = (
  'minimum to maximum',
  '±1.5 σ of a normal distribution',
  '±1 σ',
  '±0.5 σ',
)  # ranges of analysis.weights.QUANTILES, from the outermost to the innermost
FEW_PANELS = 8  # tensors whose panels the report shows at once
SCALES = {
  'raw': 'one scale for all filters: grey is 0, bright positive, dark negative',
  'normalised': 'each filter from its smallest (dark) to its largest weight (bright)',
}


def filters(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the kernels of the first convolution, raw and normalised."""
  names = layers_of(subject, 'Conv')
  layer = chosen_layer(choice, names, names[0])
  kernels = analysis.filters.filters(subject.variables, layer)
  height, width, inputs, count = kernels.shape
  norms = np.sqrt(np.square(kernels).sum((0, 1, 2)))
  for scaling, note in SCALES.items():
    low, high = analysis.filters.limits(kernels, scaling)
    drawn, part = kernels, ''
    if inputs not in (1, 3) and max(inputs, count) > SHOWN:
      drawn, part = (
        kernels[:, :, :SHOWN, :SHOWN],
        f'\nthe first {min(inputs, SHOWN)} inputs of the first {min(count, SHOWN)}',
      )
    figure = figures.tiles(
      analysis.filters.grid(drawn, scaling, gap=np.nan),
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


def weights(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Plots a histogram of every tensor; several runs share their bin edges."""
  folders = list(dict.fromkeys(map(str, (subject.workdir, *choice.against))))
  short = [pathlib.Path(folder).name for folder in folders]
  labels = short if len(set(short)) == len(folders) else folders
  runs = {labels[0]: subject.variables}
  runs |= {
    label: checkpoint.read_step(folder, choice.step)[1]
    for label, folder in zip(labels[1:], folders[1:], strict=True)
  }
  found = analysis.weights.compare(runs)
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
      'runs': [paths.shown(folder) for folder in folders],
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


def weights_over_training(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows how the distribution of every tensor changed during training."""
  names = [
    f'{layer}/{"/".join(path)}'
    for layer, part in subject.variables['params'].items()
    for path in traverse_util.flatten_dict(part)
  ]
  yield from over_training(subject.workdir, _in_order(names, layers_of(subject)))


def _in_order(names, layers):
  """Sorts names 'layer/tensor' by the order of the network's layers; other names come last."""
  of_layer = [
    [name for name in names if name == layer or name.startswith(f'{layer}/')] for layer in layers
  ]
  return list(dict.fromkeys([*itertools.chain(*of_layer), *names]))


def over_training(workdir: str | pathlib.Path, order: Sequence[str] = ()) -> Iterator[Result]:
  """Shows how the distribution of every tensor changed between a run's evaluations.

  Args:
    workdir: the run's folder.
    order: names of the tensors that come first.

  Yields:
    One Result; none if the run recorded fewer than two evaluations.
  """
  lines = files.weights(packed.opened(workdir))
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
    {'steps': steps, 'quantiles': np.array(analysis.weights.QUANTILES), **spread},
    {
      'quantiles': analysis.weights.QUANTILES,
      'steps': steps.tolist(),
      'tensors': {
        name: {'first': values[0].tolist(), 'last': values[-1].tolist()}
        for name, values in spread.items()
      },
    },
  )


def _folded(facts):
  """More than a few panels are folded."""
  count = len(facts.get('tensors', ()))
  return f'The weights of {count} tensors' if count > FEW_PANELS else ''


VIEWS = {
  'filters': View(
    'filters of the first convolution, raw and normalised',
    ('cnn', 'autoencoder', 'regressor', 'multi_label'),
    filters,
    pictures=True,
    section='Filters',
    lacking=without_convolution,
    displays={
      'filters_raw': Display(
        'Filters on one scale',
        'Grey is 0: a faint filter has small weights',
        entry='filters',
      ),
      'filters_normalised': Display(
        'Filters, each on its own scale',
        'Shows the shape of each filter, but not its strength; grey is no longer 0',
        entry='filters',
      ),
    },
    uses=('layer',),
    examples=False,
  ),
  'weights': View(
    'distribution of weights and biases, and during training',
    (
      'cnn',
      'recurrent',
      'classifier',
      'language_model',
      'autoencoder',
      'regressor',
      'multi_label',
    ),
    separately(weights, weights_over_training),
    section='Weights',
    displays={
      'weights': Display(
        'Distribution of the weights',
        'Each histogram counts the numbers of one tensor',
        entry='weights',
        folded=_folded,
      ),
      'weights_over_training': Display(
        'The weights during training',
        'The line is the median; bands that do not move belong to tensors that do not learn',
        entry='weights',
        folded=_folded,
      ),
    },
    uses=('against',),
    examples=False,
  ),
}
