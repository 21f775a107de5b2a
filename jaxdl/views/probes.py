"""The view `probes`: what a linear classifier reads from the output of each layer."""

from collections.abc import Iterator

from jaxdl import figures
from jaxdl.analysis import embeddings, layer_features, probes
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Display, Result, View, computing_layers

EXAMPLES = 1000  # most examples of the probes


def by_layer(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Fits a linear classifier of every layer's output and measures it on held-out examples."""
  inputs, labels = subject.inputs[:EXAMPLES], subject.labels[:EXAMPLES]
  features = layer_features.layer_features(
    subject.model, subject.variables, inputs, computing_layers(subject)
  )
  found = {name: probes.probe(each, labels, seed=choice.seed) for name, each in features}
  held_out = len(inputs) - round(0.75 * len(inputs))
  majority = next(iter(found.values())).accuracy.majority
  figure = figures.bars(
    {
      f'on {held_out:,} held-out examples': [
        100 * probe.accuracy.held_out for probe in found.values()
      ],
      f'on the {len(inputs) - held_out:,} examples of the fit': [
        100 * probe.accuracy.train for probe in found.values()
      ],
    },
    list(found),
    xlabel='layer',
    ylabel='accuracy (%)',
    heading=(
      f'Linear probes of {len(inputs):,} {subject.split} examples\n'
      f'(layers of more than {probes.COMPONENTS} numbers are reduced to {probes.COMPONENTS} '
      f'principal components;\nwithout any features: {100 * majority:.1f} %)'
    ),
  )
  rows = [
    {
      'layer': name,
      'held_out': probe.accuracy.held_out,
      'train': probe.accuracy.train,
      'features': probe.features,
      'components': probe.components,
      'explained': probe.explained,
      'method': probe.accuracy.method,
    }
    for name, probe in found.items()
  ]
  facts = {'split': subject.split, 'examples': len(inputs), 'majority': majority, 'layers': rows}
  yield Result('probes', figure, {}, facts)


VIEWS = {
  'probes': View(
    'what a linear classifier reads from each layer',
    ('cnn', 'recurrent', 'classifier'),
    by_layer,
    section='Layers compared',
    displays={
      'probes': Display(
        'Linear probes: accuracy by depth',
        'High bars: the classes can be separated by planes in the output of the layer. It does not '
        'mean that the network uses this',
        entry='probes',
      )
    },
    load=embeddings.load_libraries,
  ),
}
