"""The view `adversarial`: how small a change of the pixels makes the network wrong."""

from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import adversarial
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Display, Result, View, shown, without_pictures

EXAMPLES = 128  # attacked examples
EPSILONS = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3)  # pixels are from 0 to 1
STEPS, PICTURED = 20, 6


def attacks(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Measures the accuracy under FGSM and PGD, and shows the changed images."""
  inputs, labels = subject.inputs[:EXAMPLES], subject.labels[:EXAMPLES]
  found = adversarial.robustness(
    subject.model,
    subject.variables,
    inputs,
    labels,
    EPSILONS,
    range_of(subject),
    steps=STEPS,
    seed=choice.seed,
  )
  flipped = np.isfinite(found.distance)
  median = float(np.median(found.distance))
  at = f'{median:g}' if np.isfinite(median) else f'above {EPSILONS[-1]:g}'
  figure = figures.lines(
    {
      'FGSM': (found.epsilons, 100 * found.fgsm),
      f'PGD, {STEPS} steps': (found.epsilons, 100 * found.pgd),
    },
    xlabel='ε: greatest change of a pixel (pixels are from 0 to 1)',
    ylabel='accuracy (%)',
    heading=(
      f'Accuracy of {len(labels):,} {subject.split} images under attacks\n'
      f'(half of them are wrong at ε = {at} or less)'
    ),
    markers=True,
  )
  facts = {
    'split': subject.split,
    'examples': len(labels),
    'epsilons': found.epsilons,
    'fgsm': found.fgsm,
    'pgd': found.pgd,
    'steps': STEPS,
    'median_distance': median if np.isfinite(median) else None,
  }
  yield Result('adversarial', figure, {'distance': found.distance}, facts)
  some = np.flatnonzero(flipped & (found.distance > 0))[:PICTURED]
  if len(some):
    yield _pictures(subject, found, some)


def _pictures(subject, found, some):
  """Images before and after the smallest change that makes the network wrong."""
  shape = subject.images.shape[1:]
  changed = subject.seen(found.examples[some].reshape(-1, *shape))
  before = subject.images[some]
  predicted = np.asarray(subject.model.apply(subject.variables, found.examples[some])).argmax(-1)
  columns = [
    f'{subject.classes[subject.labels[place]]}\n→ {subject.classes[label]}\n'
    f'ε {found.distance[place]:g}'
    for place, label in zip(some, predicted, strict=True)
  ]
  figure = figures.picture_rows(
    [list(before), list(changed), [shown(each) for each in changed - before]],
    columns,
    labels=['image', 'changed', 'change'],
    heading=(
      'The smallest tested changes that make the network wrong\n(true → predicted class; the '
      'change on its own scale: grey is 0)'
    ),
  )
  return Result(
    'adversarial_examples',
    figure,
    {'index': some, 'changed': changed, 'predicted': predicted},
    {'index': some, 'distance': found.distance[some]},
  )


def range_of(subject: Subject) -> adversarial.Range:
  """The range of the inputs of a network for pixels from 0 to 1."""
  shape = subject.inputs.shape[1:]
  black, white = (
    subject.scaled(np.full(subject.images.shape[1:], value, np.float32)).reshape(shape)
    for value in (0, 1)
  )
  return adversarial.Range(black, white, white - black)


VIEWS = {
  'adversarial': View(
    'accuracy under attacks: FGSM and PGD',
    ('cnn', 'recurrent', 'classifier'),
    attacks,
    section='Layers compared',
    displays={
      'adversarial': Display(
        'Adversarial distance',
        'An upper bound of the accuracy: stronger attacks may find more. PGD above FGSM would be a '
        'sign of useless gradients',
        entry='adversarial',
      ),
      'adversarial_examples': Display(
        'Adversarial examples',
        'The changed image looks the same to us where ε is small',
        entry='adversarial',
      ),
    },
    lacking=without_pictures,
    named_only=True,
    slow_part=f'PGD with {STEPS} steps',
  ),
}
