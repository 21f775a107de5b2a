"""Views of what a network makes of whole examples: features in the plane, reconstructions and walks between codes."""

from jaxdl import figures
from jaxdl.analysis import autoencoder, embeddings
from jaxdl.views.view import Result, View

POINTS, FEWEST = 1500, 11  # examples of a t-SNE, and the fewest with neighbours to look at
SHOWN = 10


def plane(subject, choice):
  """t-SNE and principal components of the penultimate features or codes, and the projector's files."""
  if (count := len(subject.inputs)) < FEWEST:
    raise ValueError(f'{count} {subject.split} examples are too few for a picture of their features: give {FEWEST} or more')
  every = embeddings.features(subject.model, subject.variables, subject.inputs, choice.layer)
  linear = embeddings.linear_accuracy(every, subject.labels, seed=choice.seed)
  features, labels = every[:POINTS], subject.labels[:POINTS]
  what = choice.layer or ('code' if subject.kind == 'autoencoder' else 'penultimate features')
  embeddings.projector(subject.workdir / 'tensorboard', features, labels, subject.classes,
                       subject.images[:POINTS])
  linear_map = embeddings.pca(features)
  nonlinear = embeddings.tsne(features, perplexity=min(30, (len(labels) - 1) // 3), seed=choice.seed)
  for name, points in {'pca': linear_map.points, 'tsne': nonlinear}.items():
    found = embeddings.quality(features, points, labels, seed=choice.seed)
    title = {'pca': 'Principal components', 'tsne': 't-SNE'}[name]
    heading = f'{title}: {what} of {len(labels):,} {subject.split} examples'
    axes = [f'{place} component, {100 * part:.1f} % of the variance'
            for place, part in zip(('first', 'second'), linear_map.explained, strict=True)] if name == 'pca' else ('', '')
    figure = figures.scatter(points, labels, subject.classes, heading=heading, axes=axes, note=(
        f'trustworthiness {found.trustworthiness:.3f}; class of the nearest neighbour right for '
        f'{100 * found.accuracy:.1f} % ({100 * found.shuffled:.1f} % with shuffled labels); '
        f'a linear classifier of the features for {100 * linear.held_out:.1f} %'))
    yield Result(f'embedding_{name}', figure, {'points': points, 'labels': labels, 'features': features}, {
        'what': what, 'dimensions': features.shape[1], **found._asdict(),
        'linear_classifier': {**linear._asdict(), 'examples': len(every)}})


def reconstructed(subject, choice):
  """Originals, inputs and reconstructions; the error of each class; a walk between two codes."""
  model, variables = subject.model, subject.variables
  found = autoencoder.reconstructions(model, variables, subject.inputs, subject.scaled(subject.targets))
  rows = [list(subject.targets[:SHOWN]), list(subject.images[:SHOWN]), list(subject.seen(found.images[:SHOWN]))]
  titles = [subject.classes[label] for label in subject.labels[:SHOWN]]
  error, of_inputs, of_mean = (float(part.mean()) for part in (found.mse, found.of_inputs, found.of_mean))
  figure = figures.picture_rows(rows, titles, labels=['original', 'input', 'reconstruction'], size=0.9, heading=(
      f'Mean squared error over {len(found.mse):,} {subject.split} examples: {error:.4f}\n(the input itself {of_inputs:.4f}, '
      f'the mean image {of_mean:.4f})'))
  classes = autoencoder.by_class(found.mse, subject.labels, subject.classes)
  yield Result('reconstructions', figure, {'images': found.images[:1000], 'mse': found.mse, 'by_class': classes}, {
      'mse': error, 'of_inputs': of_inputs, 'of_mean': of_mean, 'examples': len(found.mse),
      'by_class': dict(zip(subject.classes, classes.tolist(), strict=True))})
  count = min(5, len(subject.inputs) // 2)
  if count:
    walks = autoencoder.traverse(model, variables, subject.inputs[:count], subject.inputs[count:2 * count])
    ends = [f'{subject.classes[one]} → {subject.classes[other]}'
            for one, other in zip(subject.labels[:count], subject.labels[count:2 * count], strict=True)]
    figure = figures.picture_rows([list(subject.seen(walk)) for walk in walks], [''] * walks.shape[1], labels=ends, size=0.9,
                                  heading='Walks between the codes of two examples, decoded')
    yield Result('walks', figure, {'images': walks}, {'steps': walks.shape[1]})


VIEWS = {
    'embedding': View('features in the plane, and for the projector', ('cnn', 'recurrent', 'classifier', 'autoencoder'), plane,
                      heeds=('layer',)),
    'reconstructions': View('originals, inputs and reconstructions; walks between codes', ('autoencoder',), reconstructed)}
