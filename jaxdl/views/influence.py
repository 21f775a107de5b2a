"""Training examples: which ones made the network predict this, and which ones are suspicious."""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxdl import figures
from jaxdl.analysis import influence
from jaxdl.models import table
from jaxdl.runs import checkpoint, record
from jaxdl.views.outputs import all_outputs, outputs
from jaxdl.views.subject import Subject, training_examples
from jaxdl.views.view import Choice, Display, Result, View, once, separately

TRAINING = 5000  # most training examples that are used
CHECKPOINTS = 10  # most checkpoints that are used
TESTS = 6  # test examples that are explained
SHOWN = 4  # training examples on each side
SUSPICIOUS = 32  # training examples of a grid


def influential(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the most helpful and the most harmful training images of six test images."""
  training, tests, steps, layers, found = _measured(subject)
  predicted = all_outputs(subject).argmax(-1)
  rows, captions, facts = [], [], []
  for scores, test in zip(found.scores, tests, strict=True):
    helpful = [place for place in influence.most(scores, SHOWN) if scores[place] > 0]
    harmful = [place for place in influence.most(-scores, SHOWN) if scores[place] < 0]
    places = [*_padded(helpful), *_padded(harmful)]
    rows.append(
      [subject.images[test], *(None if one is None else training['images'][one] for one in places)]
    )
    captions.append(
      ['', *('' if one is None else subject.classes[training['labels'][one]] for one in places)]
    )
    facts.append(
      {
        'test_example': test,
        'label': subject.classes[subject.labels[test]],
        'predicted': subject.classes[predicted[test]],
        'helpful': training['index'][helpful],
        'helpful_scores': scores[helpful],
        'harmful': training['index'][harmful],
        'harmful_scores': scores[harmful],
      }
    )
  labels = [_label(subject, test, predicted) for test in tests]
  figure = figures.picture_rows(
    rows,
    ['test image', 'most\nhelpful', *[''] * (SHOWN - 1), 'most\nharmful', *[''] * (SHOWN - 1)],
    labels=labels,
    captions=captions,
    heading=(
      'Training images that lower or raise the loss of test images\n'
      f'{_how(training, steps, layers)}'
    ),
  )
  yield Result(
    'influence',
    figure,
    {'scores': found.scores, 'tests': tests, 'training': training['index']},
    {**_facts(training, steps, layers), 'test_examples': facts},
  )


def suspicious(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the training images with the highest self-influence, which may have wrong labels."""
  training, _, steps, layers, found = _measured(subject)
  order = influence.most(found.own, SUSPICIOUS)
  labels = [subject.classes[label] for label in training['labels'][order]]
  guesses = outputs(subject, training['inputs'][order]).argmax(-1)
  predicted = [subject.classes[guess] for guess in guesses]
  figure = figures.image_grid(
    training['images'][order],
    [
      label if label == guess else f'{label} → {guess}'
      for label, guess in zip(labels, predicted, strict=True)
    ],
    heading=(
      'Training images with the highest self-influence\n'
      f'(label → prediction, where it differs)\n{_how(training, steps, layers)}'
    ),
  )
  yield Result(
    'influence_self',
    figure,
    {'own': found.own, 'training': training['index']},
    {
      **_facts(training, steps, layers),
      'most': training['index'][order],
      'labels': labels,
      'predicted': predicted,
      'self_influence': found.own[order],
    },
  )


def forgotten(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the training images that were forgotten most often between the kept checkpoints."""
  training, _, steps, _, found = _measured(subject)
  if len(steps) < 2:  # the note of the first picture names the fix
    return
  events, learned = influence.forgetting(found.correct)
  never = int((~learned).sum())
  counts = np.bincount(events[learned], minlength=1)
  rank = np.where(learned, events, 0) + found.own / (1 + found.own.max(initial=0))
  order = [place for place in influence.most(rank, SUSPICIOUS) if events[place]]
  text = ', '.join(f'{number} ×: {count:,}' for number, count in enumerate(counts))
  heading = (
    f'Training images forgotten between {len(steps)} checkpoints, and their labels\n'
    f'({text}; never learned: {never:,}; of {len(events):,} training images)'
  )
  figure = None
  if order:
    figure = figures.image_grid(
      training['images'][order],
      [f'{subject.classes[training["labels"][place]]}: {events[place]} ×' for place in order],
      heading=heading,
    )
  yield Result(
    'forgetting',
    figure,
    {'events': events, 'learned': learned, 'training': training['index']},
    {
      'steps': steps,
      'training_examples': len(events),
      'events': counts,
      'never_learned': never,
      'forgotten': training['index'][order],
    },
  )


@once
def _measured(subject):
  """(training examples, tests, steps, layers, Influence), shared by the pictures."""
  training = training_examples(subject, TRAINING)
  training['labels'] = np.asarray(training['labels'], np.int32)
  tests = _tests(subject)
  steps = _spread([step for step in checkpoint.kept_steps(subject.workdir) if step <= subject.step])
  shape, dtype = subject.inputs.shape[1:], subject.inputs.dtype
  named = [row['name'] for row in table.layers(subject.model, shape, dtype) if row['trainable']]
  layers = influence.layers_used(subject.variables, named[-1])
  rates = _rates(subject)
  found = influence.tracin(
    subject.model,
    ((checkpoint.read_step(subject.workdir, step)[1], rates(step)) for step in steps),
    (subject.inputs[tests], np.asarray(subject.labels[tests], np.int32)),
    (training['inputs'], training['labels']),
    layers=layers,
  )
  return training, tests, steps, layers, found


def _tests(subject):
  """The places of the explained test examples: half of them the worst mistakes, the rest right."""
  logits = np.asarray(all_outputs(subject), np.float64)
  labels = np.asarray(subject.labels)
  losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]
  right = logits.argmax(1) == labels
  mistakes = [place for place in influence.most(losses, len(losses)) if not right[place]]
  others = np.flatnonzero(right)
  _, first = np.unique(labels[others], return_index=True)
  mistakes = mistakes[: TESTS // 2]
  return np.array([*mistakes, *others[np.sort(first)][: TESTS - len(mistakes)]], int)


def _spread(steps: Sequence[int]) -> list[int]:
  """At most CHECKPOINTS of the steps, spread evenly, with the last one."""
  chosen = np.linspace(0, len(steps) - 1, min(CHECKPOINTS, len(steps))).round().astype(int)
  return [steps[place] for place in chosen]


def _rates(subject):
  """A function step → learning rate that the run logged there; 1 if it logged none."""
  rows = record.load(subject.workdir).of_split('train')
  logged = {row['step']: row['learning_rate'] for row in rows if 'learning_rate' in row}

  def rate(step: int) -> float:
    return logged[min(logged, key=lambda other: abs(other - step))] if logged else 1.0

  return rate


def _padded(places):
  return [*places, *[None] * (SHOWN - len(places))]


def _label(subject, test, predicted):
  """The truth of a test image and, if it differs, the prediction."""
  true = subject.caption(int(test))
  guess = subject.classes[predicted[test]]
  return true if true == guess else f'{true}\n→ {guess}'


def _how(training, steps, layers):
  """What was measured, for headings."""
  used = f'gradients of {layers[0]}' if layers else 'gradients of all layers'
  number = '1 checkpoint' if len(steps) == 1 else f'{len(steps)} checkpoints'
  return f'(TracIn: {used} at {number}, {len(training["index"]):,} training images)'


def _facts(training, steps, layers):
  return {
    'steps': steps,
    'layers': layers or 'all',
    'training_examples': len(training['index']),
  }


def _without_images(subject):
  """What a run lacks; it is asked before the examples are read, too."""
  is_image = subject.config['dataset'].get('form', '') == ''
  return '' if is_image else 'it draws images, but the inputs are numbers'


def _note(facts):
  """A remark on the layers and on the number of checkpoints."""
  used = 'all layers'
  if facts['layers'] != 'all':
    most = f'{influence.PARAMETERS:,} parameters'
    used = f'{facts["layers"][0]} only, because the network has more than {most}'
  few = ''
  if len(facts['steps']) == 1:
    few = (
      ' With only one checkpoint, the few images that are still wrong dominate: train with '
      "--config.keep_every='1 epoch' for more."
    )
  return f'Gradients of {used}, in evaluation mode.{few}'


VIEWS = {
  'influence': View(
    'the training examples behind predictions',
    ('cnn', 'recurrent', 'classifier'),
    separately(influential, suspicious, forgotten),
    section='Training examples',
    lacking=_without_images,
    displays={
      'influence': Display(
        'The most helpful and the most harmful training images',
        'Helpful: training on it lowers the loss of the true class. Below each training image is '
        'its label: harmful images of another class often look like the test image',
        entry='influence',
        note=_note,
      ),
      'influence_self': Display(
        'Training images that may have wrong labels',
        'High self-influence: no other image helps to explain this one. Compare each image with '
        'its label',
        entry='self_influence',
      ),
      'forgetting': Display(
        'Forgotten training images',
        'Right at one kept checkpoint and wrong at the next: difficult images',
        entry='forgetting',
      ),
    },
    named_only=True,
    slow_part='the gradients of the training images',
  ),
}
