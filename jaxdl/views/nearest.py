"""The view `nearest`: the training examples that are nearest in the features of the network."""

from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import embeddings, errors, nearest
from jaxdl.views.outputs import outputs
from jaxdl.views.subject import Subject, training_examples
from jaxdl.views.view import Choice, Display, Result, View, chosen_layer, layers_of

TRAINING, EXAMPLES = 5000, 1000  # most training examples, and most others
NEIGHBOURS, MISTAKES, RIGHT = 6, 4, 4  # neighbours, and pictured examples of both kinds


def neighbours(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the nearest training examples of four mistakes and of four right predictions."""
  layer = chosen_layer(choice, layers_of(subject), None)
  inputs, labels = subject.inputs[:EXAMPLES], subject.labels[:EXAMPLES]
  training = training_examples(subject, TRAINING)
  features, queries = (
    embeddings.features(subject.model, subject.variables, each, layer)
    for each in (training['inputs'], inputs)
  )
  found = nearest.nearest(features, queries, min(NEIGHBOURS, len(features)))
  logits = outputs(subject, inputs)
  predicted = logits.argmax(-1)
  voted = nearest.votes(training['labels'], found)
  shown = _shown(labels, logits)
  accuracy = float(np.mean(voted == labels))
  where = 'the inputs of the last dense layer' if layer is None else layer
  heading = (
    f'The {found.examples.shape[1]} nearest of {len(features):,} training examples in {where}\n'
    f'(cosine; left: {subject.split} example). Their majority is right for '
    f'{100 * accuracy:.1f} % of {len(labels):,} examples, the network for '
    f'{100 * np.mean(predicted == labels):.1f} %'
  )
  titles = [
    f'true {subject.classes[labels[place]]}\npredicted {subject.classes[predicted[place]]}\n'
    f'{_counted(subject.classes, training["labels"][found.examples[place]])}'
    for place in shown
  ]
  if subject.images is None:
    rows = [[f'{place:,}', *title.split('\n')] for place, title in zip(shown, titles, strict=True)]
    figure = figures.table(rows, ['example', 'true', 'predicted', 'nearest'], heading=heading)
  else:
    rows = [[subject.images[place], *training['images'][found.examples[place]]] for place in shown]
    columns = [subject.split, *(f'{number + 1}' for number in range(found.examples.shape[1]))]
    figure = figures.picture_rows(rows, columns, labels=titles, heading=heading)
  yield Result(
    'nearest',
    figure,
    {**found._asdict(), 'training_index': training['index'], 'shown': shown},
    {
      'layer': layer,
      'training_examples': len(features),
      'examples': len(labels),
      'accuracy_of_neighbours': accuracy,
      'accuracy': float(np.mean(predicted == labels)),
    },
  )


def _shown(labels, logits):
  """The worst mistakes, then the first right predictions."""
  mistakes = errors.mistakes(labels, logits).index[:MISTAKES]
  right = np.flatnonzero(logits.argmax(-1) == labels)[:RIGHT]
  return np.concatenate([mistakes, right]).astype(int)


def _counted(classes, labels):
  """The classes of some examples with their counts, the most frequent first."""
  values, counts = np.unique(labels, return_counts=True)
  order = np.argsort(-counts, kind='stable')
  return ', '.join(f'{counts[place]} × {classes[values[place]]}' for place in order)


VIEWS = {
  'nearest': View(
    'the nearest training examples in the features',
    ('cnn', 'recurrent', 'classifier'),
    neighbours,
    section='Layers compared',
    displays={
      'nearest': Display(
        'Nearest training examples',
        'Neighbours of the predicted class that look like the example explain a mistake; they did '
        'not necessarily cause it',
        entry='nearest',
      )
    },
    uses=('layer',),
  ),
}
