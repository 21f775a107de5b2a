"""Analyses of examples: two-dimensional maps of features, reconstructions, walks between codes."""

from collections.abc import Iterator

from jaxdl import figures
from jaxdl.analysis import autoencoder, embeddings
from jaxdl.runs import packed
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Display, Result, View, once, separately

POINTS, FEWEST = 1500, 11  # most examples of a t-SNE, and fewest that have enough neighbours
SHOWN = 10


def principal_components(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Plots the first two principal components of the penultimate features or codes."""
  found = embeddings.pca(_features(subject, choice.layer)[:POINTS])
  axes = [
    f'{place} component, {100 * part:.1f} % of the variance'
    for place, part in zip(('first', 'second'), found.explained, strict=True)
  ]
  yield _in_plane('embedding_pca', 'Principal components', found.points, subject, choice, axes=axes)


def tsne(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Plots a t-SNE of the penultimate features or codes."""
  features = _features(subject, choice.layer)[:POINTS]
  points = embeddings.tsne(features, perplexity=min(30, (len(features) - 1) // 3), seed=choice.seed)
  yield _in_plane('embedding_tsne', 't-SNE', points, subject, choice)


def projector(subject: Subject, choice: Choice) -> tuple[()]:
  """Writes files for TensorBoard's projector; returns no Result."""
  features = _features(subject, choice.layer)[:POINTS]
  embeddings.projector(
    packed.results_of(subject.workdir) / 'tensorboard',
    features,
    subject.labels[:POINTS],
    subject.classes,
    None if subject.images is None else subject.images[:POINTS],
  )
  return ()


def _in_plane(name, title, points, subject, choice, axes=('', '')):
  """A Result with a 2-D map of examples, and measures of how well it preserves their features."""
  every, labels = _features(subject, choice.layer), subject.labels[:POINTS]
  found = embeddings.quality(every[:POINTS], points, labels, seed=choice.seed)
  linear = _linear(subject, choice.layer, choice.seed)
  what = choice.layer or ('code' if subject.kind == 'autoencoder' else 'penultimate features')
  note = (
    f'trustworthiness {found.trustworthiness:.3f}; class of the nearest neighbour right for '
    f'{100 * found.accuracy:.1f} % ({100 * found.shuffled:.1f} % with shuffled labels)'
  )
  facts = {'what': what, 'dimensions': every.shape[1], **found._asdict(), 'linear_classifier': None}
  if any(axes):
    facts['axes'] = list(axes)
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
  """The features of every example, shared by several pictures."""
  count = len(subject.inputs)
  if count < FEWEST:
    raise ValueError(
      f'{count} {subject.split} examples are too few for a picture of their features: '
      f'give {FEWEST} or more'
    )
  return embeddings.features(subject.model, subject.variables, subject.inputs, layer)


@once
def _linear(subject, layer, seed):
  """The accuracy of a linear classifier; None if all examples are of one class."""
  if len(set(subject.labels.tolist())) < 2:
    return None
  return embeddings.linear_accuracy(_features(subject, layer), subject.labels, seed=seed)


def reconstructions(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows originals, inputs and reconstructions, and the error of each class."""
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
      f'Mean squared error over {len(found.mse):,} {subject.split} examples: {error:.4f}\n'
      f'(the input itself {of_inputs:.4f}, the mean image {of_mean:.4f})'
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


def walks(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Decodes points on walks between the codes of two examples."""
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
      heading='Equal steps between the codes of two examples, decoded',
    )
    yield Result('walks', figure, {'images': pictures}, {'steps': pictures.shape[1]})


def _map_caption(facts: dict, count: int, method: str = 't-SNE') -> str:
  return (
    f'{method} of the {facts["what"]} of {count:,} examples: '
    f'trustworthiness {facts["trustworthiness"]:.3f}, '
    f'class of the nearest neighbour right for {100 * facts["accuracy"]:.1f} %'
  )


def _components_caption(facts: dict, count: int) -> str:
  axes = f' ({", ".join(facts["axes"])})' if 'axes' in facts else ''
  return _map_caption(facts, count, f'Principal components{axes}')


VIEWS = {
  'embedding': View(
    'features in the plane, and for the projector',
    ('cnn', 'recurrent', 'classifier', 'autoencoder'),
    separately(principal_components, tsne, projector),
    section='Features in the plane',
    slow_part='t-SNE',
    displays={
      'embedding_tsne': Display(
        't-SNE of the features',
        'Clusters are meaningful; their sizes and the distances between them are not',
        entry='tsne',
        map_caption=_map_caption,
      ),
      'embedding_pca': Display(
        'Principal components of the features',
        'The axes say how much of the variance is visible',
        entry='pca',
        map_caption=_components_caption,
      ),
    },
    uses=('layer',),
    load=embeddings.load_libraries,
  ),
  'reconstructions': View(
    'originals, inputs and reconstructions; walks between codes',
    ('autoencoder',),
    separately(reconstructions, walks),
    pictures=True,
    section='Reconstructions',
    displays={
      'reconstructions': Display(
        'Reconstructions',
        'What is missing in the last row did not fit the code',
        entry='reconstructions',
      ),
      'walks': Display(
        'Walks between codes',
        'Smooth changes through plausible images: the codes in between are used',
        entry='walks',
      ),
    },
  ),
}
