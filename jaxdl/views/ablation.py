"""Ablation: which channels the network needs, and how many can be removed."""

from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import ablation, neurons
from jaxdl.analysis.grading.sanity import spearman
from jaxdl.views.subject import Subject
from jaxdl.views.view import (
  Choice,
  Display,
  Result,
  View,
  chosen_layer,
  layers_of,
  once,
  separately,
)

IMAGES = 1000  # most examples that are used
ROWS = 24  # most channels of the table
MARKED = 5  # channels that are named in the picture of selectivity
DRAWS = 5  # random orders of removal
RECURRENT = ('SimpleRNN', 'LSTM', 'GRU')
CHANNELS = ('Conv', 'DepthwiseConv', 'Dense', *RECURRENT)  # types of layers that have weights


def channels(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows how the accuracy of each class changes without each of the most needed channels."""
  layer, found = _chosen(subject, choice)
  zero, mean = found['zero'], found['mean']
  order = np.argsort(-zero.loss, kind='stable')[:ROWS]
  count = len(zero.loss)
  unused = int((zero.losses == 0).all(1).sum())
  figure = figures.signed_table(
    100 * zero.accuracy[order],
    [f'{channel}: {zero.loss[channel]:+.1g}, {mean.loss[channel]:+.1g}' for channel in order],
    subject.classes,
    xlabel='class',
    ylabel='channel: change of the loss (nats), set to 0 and to its mean',
    unit='change of the accuracy (points)',
    heading=(
      f'{layer}: each channel set to 0, {_examples(subject)}\n'
      f'{_the_most(len(order), count)}; {unused:,} of {count:,} change nothing'
    ),
  )
  yield Result(
    'ablation',
    figure,
    {
      'loss_to_zero': zero.loss,
      'loss_to_mean': mean.loss,
      'accuracy_to_zero': zero.accuracy,
      'accuracy_to_mean': mean.accuracy,
      'mean': mean.fill,
    },
    {
      'layer': layer,
      'examples': len(zero.losses[0]),
      'split': subject.split,
      'intact_loss': zero.intact_loss,
      'intact_accuracy': zero.intact_accuracy,
      'channels': order,
      'loss_to_zero': zero.loss[order],
      'loss_to_mean': mean.loss[order],
      'unused': unused,
      'rank_correlation_of_zero_and_mean': spearman(zero.loss, mean.loss),
    },
  )


def selectivity(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Plots the selectivity of each channel against the loss without it."""
  layer, found = _chosen(subject, choice)
  inputs, labels = _given(subject)
  loss = found['zero'].loss
  selective = neurons.interesting(
    subject.model, subject.variables, inputs, labels, layer, n=len(loss)
  )
  if not len(selective.channels):
    raise ValueError(f'no example excites a channel of {layer}: choose another with --layer')
  order = np.argsort(selective.channels)
  alive, scores, classes = (
    part[order] for part in (selective.channels, selective.scores, selective.classes)
  )
  points = np.stack([100 * scores, loss[alive]], axis=1)
  needed = np.argsort(-loss[alive], kind='stable')[:MARKED]
  correlation = spearman(scores, loss[alive])
  figure = figures.relation(
    points,
    classes,
    subject.classes,
    xlabel='selectivity: share of the best class (%)',
    ylabel='change of the loss without the channel (nats)',
    heading=(
      f'{layer}: are selective channels needed? Rank correlation {correlation:.2f}\n'
      f'({len(alive):,} living channels, {_examples(subject)}; colour: the best class)'
    ),
    marked=[(int(place), str(alive[place])) for place in needed],
  )
  yield Result(
    'ablation_selectivity',
    figure,
    {'channels': alive, 'selectivity': scores, 'classes': classes, 'loss': loss[alive]},
    {'layer': layer, 'rank_correlation': correlation, 'channels': len(alive)},
  )


def pruning(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Draws the accuracy by the share of removed channels, for several rankings."""
  layer, found = _chosen(subject, choice)
  inputs, labels = _given(subject)
  if len(labels) < 2:
    raise ValueError('two examples are needed, to rank channels and to measure: give more --images')
  given = (subject.model, subject.variables)
  count = len(found['zero'].loss)
  draws = [np.random.default_rng((choice.seed, draw)).permutation(count) for draw in range(DRAWS)]
  importance = {
    'ablation': found['zero'].losses[:, ::2].mean(1),
    'weight norm': ablation.weight_norms(subject.variables, layer),
    'mean activation': ablation.means(*given, inputs[::2], layer).magnitude,
    **{f'random {number}': draw for number, draw in enumerate(draws)},
  }
  accuracy = ablation.pruning(*given, inputs[1::2], labels[1::2], layer, importance)
  random = np.stack([accuracy.pop(f'random {number}') for number in range(DRAWS)])
  removed = 100 * np.array(ablation.SHARES)
  curves = {f'by {name}': values for name, values in accuracy.items()}
  curves |= {
    f'random, mean of {DRAWS}': random.mean(0),
    'random, worst': random.min(0),
    'random, best': random.max(0),
  }
  figure = figures.lines(
    {name: (removed, 100 * values) for name, values in curves.items()},
    xlabel=f'removed channels of {layer} (%)',
    ylabel='accuracy (%)',
    heading=(
      f'{layer}: accuracy without the least important channels\n'
      f'(ranked on {len(labels[::2]):,} examples, measured on {len(labels[1::2]):,} others)'
    ),
  )
  yield Result(
    'ablation_pruning',
    figure,
    {'removed': ablation.SHARES, 'random': random, **accuracy},
    {
      'layer': layer,
      'removed': ablation.SHARES,
      'accuracy': {**accuracy, 'random': random.mean(0)},
      'measured_on': len(labels[1::2]),
    },
  )


def _chosen(subject, choice):
  """(layer, 'zero' | 'mean' → its Effects), shared by the pictures.

  The layer is the requested one; or else the last convolution, the last recurrent layer, or the
  last hidden dense layer.
  """
  names = _layers(subject)
  convolutions, recurrent = layers_of(subject, 'Conv'), layers_of(subject, *RECURRENT)
  preferred = [name for name in convolutions or recurrent if name in names] or names
  return _effects(subject, chosen_layer(choice, names, preferred[-1]))


@once
def _effects(subject, layer):
  given = (subject.model, subject.variables, *_given(subject), layer)
  return layer, {to: ablation.effects(*given, to=to) for to in ablation.TO}


def _given(subject):
  """The inputs and labels that are used."""
  return subject.inputs[:IMAGES], np.asarray(subject.labels[:IMAGES], np.int32)


def _layers(subject):
  """The layers whose channels can be ablated: those with weights, except the outputs."""
  last = layers_of(subject)[-1]
  return [name for name in layers_of(subject, *CHANNELS) if name != last]


def _without_hidden_layer(subject):
  return '' if _layers(subject) else 'the network has no hidden layer with weights'


def _examples(subject):
  return f'{min(IMAGES, len(subject.inputs)):,} {subject.split} examples'


def _the_most(shown, count):
  return f'the {shown} most needed' if shown < count else 'the most needed first'


VIEWS = {
  'ablation': View(
    'the channels that the network needs',
    ('cnn', 'recurrent', 'classifier'),
    separately(channels, selectivity, pruning),
    section='Ablation',
    lacking=_without_hidden_layer,
    displays={
      'ablation': Display(
        'Accuracy without single channels',
        'Blue: the class needs the channel; red: the class is recognised better without it',
        entry='ablation',
      ),
      'ablation_selectivity': Display(
        'Selective and needed channels',
        'A selective channel on the right that is near 0 is correlated with its class, but the '
        'network does not need it',
        entry='ablation',
      ),
      'ablation_pruning': Display(
        'Accuracy by the share of removed channels',
        'A curve that stays high finds the channels that can be removed; nothing is trained '
        'afterwards',
        entry='pruning',
      ),
    },
    uses=('layer',),
  ),
}
