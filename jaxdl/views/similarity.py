"""The view `similarity`: CKA between layers, between runs and between checkpoints."""

from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import layer_features, similarity
from jaxdl.config import paths
from jaxdl.runs import checkpoint
from jaxdl.views import other_runs
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Display, Result, View, computing_layers, once, separately

EXAMPLES = 1000  # most examples: a kernel has a number for each pair of them
LABEL = 'similarity (CKA)'


def between_layers(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Compares the layers of the network with each other."""
  own = _own(subject)
  values, names = similarity.cka(own, own), list(own)
  count = len(next(iter(own.values())))
  figure = figures.heatmap(
    values,
    names,
    names,
    label=LABEL,
    heading=f'Similarity of the layers (linear CKA, debiased)\n{count:,} {subject.split} examples',
  )
  facts = {'split': subject.split, 'examples': count, 'layers': names}
  yield Result('similarity', figure, {'cka': values}, facts)


def between_runs(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Compares the layers of the network with those of other runs, such as other seeds."""
  own = _own(subject)
  for number, folder in enumerate(choice.against, 1):
    other = other_runs.read(subject, folder, choice.step)
    kernels = _kernels(other, other.variables)
    values = similarity.cka(own, kernels)
    count = len(next(iter(own.values())))
    figure = figures.heatmap(
      values,
      list(own),
      list(kernels),
      label=LABEL,
      axes=(other.workdir.name, subject.workdir.name),
      heading=(
        f'Similarity of the layers of two runs (linear CKA, debiased)\n'
        f'{count:,} {subject.split} examples'
      ),
    )
    same = [name for name in own if name in kernels]
    facts = {
      'split': subject.split,
      'examples': count,
      'against': paths.shown(folder),
      'layers': list(own),
      'other_layers': list(kernels),
      'same_layer': {
        name: values[list(own).index(name), list(kernels).index(name)] for name in same
      },
    }
    yield Result(f'similarity_against_{number}', figure, {'cka': values}, facts)


def between_checkpoints(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Compares every layer at the kept checkpoints with the same layer of this network."""
  steps = checkpoint.kept_steps(subject.workdir)
  if len(steps) < 2:
    return
  own = _own(subject)
  layers = [name for name in own if name != layer_features.INPUT]
  values = np.array(
    [_to_itself(own, _kernels(subject, _variables(subject, step)), layers) for step in steps]
  )
  figure = figures.lines(
    {name: (np.array(steps), values[:, place]) for place, name in enumerate(layers)},
    xlabel='step',
    ylabel=LABEL,
    heading=(
      f'Similarity of every layer to itself at step {subject.step:,}\n(linear CKA, debiased, '
      f'{len(own[layer_features.INPUT]):,} {subject.split} examples)'
    ),
    markers=True,
  )
  facts = {'split': subject.split, 'steps': steps, 'layers': layers, 'of_step': subject.step}
  yield Result('similarity_checkpoints', figure, {'cka': values}, facts)


def _to_itself(own, kernels, layers):
  """Similarity of each layer to the same layer at another step."""
  return [similarity.cka({name: own[name]}, {name: kernels[name]})[0, 0] for name in layers]


def _variables(subject, step):
  if step == subject.step:
    return subject.variables
  return checkpoint.read_step(subject.workdir, step)[1]


@once
def _own(subject):
  """The kernels of the network, shared by several pictures."""
  return _kernels(subject, subject.variables)


def _kernels(subject, variables):
  """Layer → kernel of its output for the first examples."""
  features = layer_features.layer_features(
    subject.model, variables, subject.inputs[:EXAMPLES], computing_layers(subject)
  )
  return {name: similarity.kernel(each) for name, each in features}


READING = '1: equal up to a rotation and a scale; about 0: unrelated'
VIEWS = {
  'similarity': View(
    'how similar layers, runs and checkpoints are (CKA)',
    ('cnn', 'recurrent', 'classifier'),
    separately(between_layers, between_runs, between_checkpoints),
    section='Layers compared',
    displays={
      'similarity': Display('Similarity of the layers', READING, entry='cka'),
      'similarity_against_*': Display('Similarity to another run', READING, entry='cka'),
      'similarity_checkpoints': Display(
        'Similarity during training',
        'A layer that reaches 1 early has settled early',
        entry='cka',
      ),
    },
    uses=('against',),
  ),
}
