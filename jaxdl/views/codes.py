"""Views of what a network makes of whole examples: features in the plane, reconstructions and walks
between codes.
"""

from jaxdl import figures
from jaxdl.analysis import autoencoder, embeddings
from jaxdl.views.view import Result, View, once, separately

POINTS, FEWEST = 1500, 11  # examples of a t-SNE, and the fewest with neighbours to look at
SHOWN = 10


def principal_components(subject, choice):
  """The first two principal components of the penultimate features or codes."""
  found = embeddings.pca(_features(subject, choice.layer)[:POINTS])
  axes = [
    f'{place} component, {100 * part:.1f} % of the variance'
    for place, part in zip(('first', 'second'), found.explained, strict=True)
  ]
  yield _in_plane('embedding_pca', 'Principal components', found.points, subject, choice, axes=axes)


def tsne(subject, choice):
  """t-SNE of the same."""
  features = _features(subject, choice.layer)[:POINTS]
  points = embeddings.tsne(features, perplexity=min(30, (len(features) - 1) // 3), seed=choice.seed)
  yield _in_plane('embedding_tsne', 't-SNE', points, subject, choice)


def projector(subject, choice):
  """Files for TensorBoard's projector, no result of the analysis."""
  features = _features(subject, choice.layer)[:POINTS]
  embeddings.projector(
    subject.workdir / 'tensorboard',
    features,
    subject.labels[:POINTS],
    subject.classes,
    subject.images[:POINTS],
  )
  return ()


def _in_plane(name, title, points, subject, choice, axes=('', '')):
  """A Result: examples in the plane, with what the picture keeps of their features."""
  every, labels = _features(subject, choice.layer), subject.labels[:POINTS]
  found = embeddings.quality(every[:POINTS], points, labels, seed=choice.seed)
  linear = _linear(subject, choice.layer, choice.seed)
  what = choice.layer or ('code' if subject.kind == 'autoencoder' else 'penultimate features')
  note = (
    f'trustworthiness {found.trustworthiness:.3f}; class of the nearest neighbour right for '
    f'{100 * found.accuracy:.1f} % ({100 * found.shuffled:.1f} % with shuffled labels)'
  )
  facts = {'what': what, 'dimensions': every.shape[1], **found._asdict(), 'linear_classifier': None}
  if linear is not None:
    note += (
      f'; a linear classifier of the features ({linear.method}) for {100 * linear.held_out:.1f} %'
    )
    facts['linear_classifier'] = {**linear._asdict(), 'examples': len(every)}
  figure = figures.scatter(
    points,
    labels,
    subject.classes,
    axes=axes,
    note=note,
    heading=f'{title}: {what} of {len(labels):,} {subject.split} examples',
  )
  return Result(
    name, figure, {'points': points, 'labels': labels, 'features': every[:POINTS]}, facts
  )


@once
def _features(subject, layer):
  """The features of every example, for several pictures."""
  if (count := len(subject.inputs)) < FEWEST:
    raise ValueError(
      f'{count} {subject.split} examples are too few for a picture of their features: give {FEWEST} or more'
    )
  return embeddings.features(subject.model, subject.variables, subject.inputs, layer)


@once
def _linear(subject, layer, seed):
  """What a linear classifier gets right; None where all examples are of one class."""
  if len(set(subject.labels.tolist())) < 2:
    return None
  return embeddings.linear_accuracy(_features(subject, layer), subject.labels, seed=seed)


plane = separately(principal_components, tsne, projector)


def reconstructions(subject, choice):
  """Originals, inputs and reconstructions; the error of each class."""
  model, variables = subject.model, subject.variables
  found = autoencoder.reconstructions(
    model, variables, subject.inputs, subject.scaled(subject.targets)
  )
  rows = [
    list(subject.targets[:SHOWN]),
    list(subject.images[:SHOWN]),
    list(subject.seen(found.images[:SHOWN])),
  ]
  titles = [subject.classes[label] for label in subject.labels[:SHOWN]]
  error, of_inputs, of_mean = (
    float(part.mean()) for part in (found.mse, found.of_inputs, found.of_mean)
  )
  figure = figures.picture_rows(
    rows,
    titles,
    labels=['original', 'input', 'reconstruction'],
    size=0.9,
    heading=(
      f'Mean squared error over {len(found.mse):,} {subject.split} examples: {error:.4f}\n(the input itself {of_inputs:.4f}, '
      f'the mean image {of_mean:.4f})'
    ),
  )
  classes = autoencoder.by_class(found.mse, subject.labels, subject.classes)
  yield Result(
    'reconstructions',
    figure,
    {'images': found.images[:1000], 'mse': found.mse, 'by_class': classes},
    {
      'mse': error,
      'of_inputs': of_inputs,
      'of_mean': of_mean,
      'examples': len(found.mse),
      'by_class': dict(zip(subject.classes, classes.tolist(), strict=True)),
    },
  )


def walks(subject, choice):
  """Walks between the codes of two examples."""
  model, variables = subject.model, subject.variables
  count = min(5, len(subject.inputs) // 2)
  if count:
    pictures = autoencoder.traverse(
      model, variables, subject.inputs[:count], subject.inputs[count : 2 * count]
    )
    ends = [
      f'{subject.classes[one]} → {subject.classes[other]}'
      for one, other in zip(subject.labels[:count], subject.labels[count : 2 * count], strict=True)
    ]
    rows = [list(subject.seen(walk)) for walk in pictures]
    figure = figures.picture_rows(
      rows,
      [''] * pictures.shape[1],
      labels=ends,
      size=0.9,
      heading='Walks between the codes of two examples, decoded',
    )
    yield Result('walks', figure, {'images': pictures}, {'steps': pictures.shape[1]})


VIEWS = {
  'embedding': View(
    'features in the plane, and for the projector',
    ('cnn', 'recurrent', 'classifier', 'autoencoder'),
    plane,
    heeds=('layer',),
    load=embeddings.load_libraries,
  ),
  'reconstructions': View(
    'originals, inputs and reconstructions; walks between codes',
    ('autoencoder',),
    separately(reconstructions, walks),
  ),
}
