"""Analyses of the layers' outputs for real images."""

from collections.abc import Iterator

import numpy as np

from jaxdl import analysis, figures
from jaxdl.figures import statistics as statistics_table
from jaxdl.views.subject import Subject
from jaxdl.views.view import (
  Choice,
  Display,
  Result,
  View,
  chosen_layer,
  layers_of,
  without_convolution,
)

PHOTOGRAPHS, CHANNELS = 8, 12  # limits of a picture of feature maps
SMALL = 5  # places on a side of a feature map that is worth a look
PLACES = ('Conv', 'DepthwiseConv', 'ConvTranspose')


def activations(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the strongest channels of every convolution for the first images."""
  names = layers_of(subject, *PLACES)
  wanted = names if choice.layer is None else [chosen_layer(choice, names, names[0])]
  inputs, images = subject.inputs[:PHOTOGRAPHS], subject.images[:PHOTOGRAPHS]
  found = analysis.activations.activations(subject.model, subject.variables, inputs, wanted)
  for layer, outputs in found.items():  # [8, H, W, C]
    strongest = np.argsort(-outputs.mean((0, 1, 2)), kind='stable')[:CHANNELS]
    rows = [
      [image, *np.moveaxis(maps[..., strongest], -1, 0)]
      for image, maps in zip(images, outputs, strict=True)
    ]
    height, width, count = outputs.shape[1:]
    shown = f'the {len(strongest)} strongest of {count} channels' if count > 1 else 'its channel'
    figure = figures.picture_rows(
      rows,
      ['image', *map(str, strongest)],
      labels=_names(subject, len(rows)),
      size=0.85,
      heading=f'{layer}: {shown}, {height} × {width} places, each on its own scale',
    )
    yield Result(
      f'feature_maps_{layer}',
      figure,
      {'activations': outputs, 'strongest': strongest},
      {'layer': layer, 'shape': [height, width, count], 'images': len(rows)},
    )


def statistics(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Computes a table of statistics of each layer's outputs over all examples."""
  names = layers_of(subject, *PLACES, 'Dense', 'BatchNorm', 'SimpleRNN', 'LSTM', 'GRU')
  wanted = names if choice.layer is None else [chosen_layer(choice, names, names[0])]
  found = analysis.activations.statistics(subject.model, subject.variables, subject.inputs, wanted)
  heading = (
    f'Activations over {len(subject.inputs):,} {subject.split} examples\n'
    'a unit is a channel at one place; after a ReLU, one that is never above 0 is dead'
  )
  figure = figures.table(
    statistics_table.rows(found.table), statistics_table.COLUMNS, heading=heading
  )
  arrays = {
    f'{layer}.{name}': values
    for layer, channels in found.channels.items()
    for name, values in channels._asdict().items()
  }
  yield Result(
    'statistics', figure, arrays, {'examples': len(subject.inputs), 'layers': found.table}
  )


def _table(facts: dict) -> dict:
  return {
    'columns': statistics_table.COLUMNS,
    'rows': statistics_table.rows(facts['layers']),
    'numbers': range(1, len(statistics_table.COLUMNS)),
  }


def _note(facts: dict) -> str:
  return (
    f'Over {facts.get("examples", 0):,} examples. A unit is a channel at one place; after a ReLU, '
    'one that none of them brings above 0 is dead.'
  )


def _folded(facts):
  """Small maps show little: they are folded."""
  height, width, _ = facts.get('shape', (SMALL, SMALL, 0))
  if min(height, width) >= SMALL:
    return ''
  return f'Feature maps of {facts["layer"]}: {height} × {width} places'


def _names(subject, count):
  return [subject.caption(place) for place in range(count)]


VIEWS = {
  'activations': View(
    'feature maps of every convolution for eight images',
    ('cnn', 'autoencoder', 'regressor', 'multi_label'),
    activations,
    pictures=True,
    section='Feature maps',
    lacking=without_convolution,
    displays={
      'feature_maps_*': Display(
        'Feature maps of {0}',
        'Bright: the filter of the channel finds its pattern there',
        entry='feature_maps',
        folded=_folded,
      )
    },
    uses=('layer',),
  ),
  'statistics': View(
    'table of activation statistics and dead units',
    ('cnn', 'recurrent', 'classifier', 'autoencoder', 'regressor', 'multi_label'),
    statistics,
    section='Activations',
    displays={'statistics': Display(table=_table, note=_note, entry='statistics')},
    uses=('layer',),
  ),
}
