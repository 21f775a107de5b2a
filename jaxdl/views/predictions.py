"""Analyses of predictions: errors, calibration, and the forward pass in NumPy."""

from collections.abc import Iterator

import jax
import numpy as np

from jaxdl import figures
from jaxdl.analysis import errors, reference
from jaxdl.views import labels, regressions
from jaxdl.views.outputs import all_outputs, outputs
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Display, Result, View, separately

WORST = 32
PROBABLE, MANY = 30, 100  # most classes of a bar chart if there are more than MANY
GROUPED = 20  # most rows of a confusion matrix whose counts are readable
PICTURED, PIXELS = 300, 1 << 24  # most mistakes whose images are kept, and most bytes of them
CHECKED, CHECKED_STEPS = 8, 100  # examples, and characters of a text, recomputed in NumPy


def confusion(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the confusion matrix and the most frequent confusions."""
  logits = all_outputs(subject)
  counts = errors.confusion(subject.labels, logits, subject.classes)
  share = np.trace(counts) / counts.sum()
  confused = errors.most_confused(counts)
  figure = figures.confusion_matrix(
    counts,
    subject.classes,
    confused=confused,
    heading=(f'{counts.sum():,} {subject.split} examples, {100 * share:.2f} % right'),
  )
  recall, precision = (_shares(counts.diagonal(), counts.sum(axis)) for axis in (1, 0))
  yield Result(
    'confusion',
    figure,
    {'counts': counts, 'logits': logits},
    {
      'split': subject.split,
      'examples': int(counts.sum()),
      'accuracy': share,
      'recall': recall,
      'precision': precision,
      'classes': subject.classes,
      'confused': [
        {'true': subject.classes[true], 'predicted': subject.classes[predicted], 'count': count}
        for true, predicted, count in confused
      ],
    },
  )
  f1 = _shares(2 * counts.diagonal(), counts.sum(0) + counts.sum(1))
  columns = zip(subject.classes, precision, recall, f1, counts.sum(1).tolist(), strict=True)
  keys = ('class', 'precision', 'recall', 'f1', 'examples')
  facts = {
    'split': subject.split,
    'classes': [dict(zip(keys, row, strict=True)) for row in columns],
  }
  yield Result('per_class', None, {}, facts)
  if len(subject.classes) > GROUPED:
    yield _most_confused(subject, counts)


def _most_confused(subject, counts):
  """The confusion matrix of the classes of the most frequent confusions."""
  chosen, grouped = errors.busiest(counts, GROUPED - 1)
  names = [subject.classes[label] for label in chosen]
  figure = figures.confusion_matrix(
    grouped,
    [*names, 'all others'],
    heading=(
      f'The {len(names)} classes of the most frequent confusions, out of {len(counts):,}\n'
      f'{counts.sum():,} {subject.split} examples'
    ),
  )
  facts = {'split': subject.split, 'classes': names}
  return Result('confusion_most', figure, {'classes': chosen, 'counts': grouped}, facts)


def mistakes(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the worst mistakes."""
  found = errors.mistakes(subject.labels, all_outputs(subject))
  if len(found.index):
    worst = found.index[:WORST]
    pairs = [
      (subject.classes[true], subject.classes[predicted], f'{100 * probability:.0f} %')
      for true, predicted, probability in zip(
        found.label[:WORST], found.predicted[:WORST], found.probability[:WORST], strict=True
      )
    ]
    heading = (
      f'{len(worst)} of {len(found.index):,} mistakes, the lowest probability of the true class '
      'first: true → predicted class, its probability'
    )
    if subject.images is None:
      rows = [[f'{place:,}', *pair] for place, pair in zip(worst.tolist(), pairs, strict=True)]
      columns = ['example', 'true', 'predicted', 'probability']
      figure = figures.table(rows, columns, heading=heading)
    else:
      titles = [f'{true}\n→ {predicted} ({share})' for true, predicted, share in pairs]
      figure = figures.image_grid(subject.images[worst], titles, columns=8, heading=heading)
    yield Result(
      'mistakes', figure, found._asdict(), {'mistakes': len(found.index), 'shown': worst}
    )


def calibration(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Measures how often predictions of each confidence are correct."""
  curve = errors.calibration(subject.labels, all_outputs(subject))
  figure = figures.reliability(
    curve.confidence,
    curve.accuracy,
    curve.count,
    heading=(
      f'Calibration over {curve.count.sum():,} {subject.split} examples:\n'
      f'expected calibration error {100 * curve.error:.2f} %'
    ),
  )
  yield Result(
    'calibration',
    figure,
    {key: np.asarray(value) for key, value in curve._asdict().items()},
    {'expected_calibration_error': curve.error, 'bins': len(curve.count)},
  )


def per_example(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Records the prediction of each example, and the images of the worst mistakes."""
  logits = all_outputs(subject)
  predicted = logits.argmax(-1)
  probabilities = np.asarray(jax.nn.softmax(np.asarray(logits, np.float64)))
  arrays = {
    'index': np.arange(len(predicted), dtype=np.int32),
    'label': np.asarray(subject.labels, np.int32),
    'predicted': predicted.astype(np.int32),
    'confidence': probabilities.max(-1).astype(np.float32),
  }
  if subject.images is not None:
    most = max(1, min(PICTURED, PIXELS // subject.images[0].size))
    worst = errors.mistakes(subject.labels, logits).index[:most]
    pixels = np.rint(255 * subject.images[worst]).astype(np.uint8)
    arrays |= {'image_index': worst.astype(np.int32), 'image': pixels}
  yield Result('predictions', None, arrays, {'split': subject.split, 'examples': len(predicted)})


def numpy(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Compares the forward pass in pure NumPy with the compiled one."""
  inputs = (
    subject.inputs[:CHECKED, :CHECKED_STEPS]
    if subject.kind == 'language_model'
    else subject.inputs[:CHECKED]
  )
  compiled = outputs(subject, inputs)
  plain, _ = reference.forward(subject.config, subject.variables, inputs)
  difference = float(np.abs(plain - compiled).max() / np.abs(compiled).max())
  if subject.kind in ('autoencoder', 'regressor', 'multi_label'):
    yield Result(
      'numpy', None, {'jax': compiled, 'numpy': plain}, {'greatest_relative_difference': difference}
    )
    return
  jaxs, numpys = (
    np.asarray(jax.nn.softmax(np.asarray(values, np.float64).reshape(-1, values.shape[-1])[0]))
    for values in (compiled, plain)
  )
  names = (
    [repr(name)[1:-1] for name in subject.classes]
    if subject.kind == 'language_model'
    else subject.classes
  )
  shown, which = np.arange(len(names)), ''
  if len(names) > MANY:
    shown = np.sort(np.argsort(-np.maximum(jaxs, numpys), kind='stable')[:PROBABLE])
    which = f', the {PROBABLE} most probable of {len(names):,} classes'
  bars = {'compiled by JAX': jaxs[shown], 'plain NumPy': numpys[shown]}
  examples = '1 example' if len(inputs) == 1 else f'{len(inputs)} examples'
  figure = figures.bars(
    bars,
    [names[place] for place in shown],
    xlabel='class',
    ylabel='probability',
    heading=(
      f'Probabilities of one example, computed twice{which}\n'
      f'logits of {examples} differ by at most {difference:.1e} of the greatest'
    ),
  )
  yield Result(
    'numpy',
    figure,
    {'jax': compiled, 'numpy': plain},
    {
      'greatest_relative_difference': difference,
      'examples': len(inputs),
      'jax': jaxs,
      'numpy': numpys,
    },
  )


def _shares(right, all_of_class):
  return [
    float(one) / int(every) if every else None
    for one, every in zip(right, all_of_class, strict=True)
  ]


def _per_class(facts: dict) -> dict:
  """The table of the classes for the report; of more than 100, those of the lowest F1."""
  rows = facts['classes']
  if len(rows) > MANY:
    rows = sorted(rows, key=lambda row: row['f1'] or 0)[:MANY]
  cells = [
    [
      row['class'],
      *('–' if row[key] is None else f'{row[key]:.4f}' for key in ('precision', 'recall', 'f1')),
      f'{row["examples"]:,}',
    ]
    for row in rows
  ]
  columns = ['class', 'precision', 'recall', 'F1', 'examples']
  return {'columns': columns, 'rows': cells, 'numbers': range(1, 5)}


def _errors(subject: Subject, choice: Choice) -> Iterator[Result]:
  """The parts of the analysis that the kind of the network has."""
  if subject.kind == 'regressor':
    parts = regressions.residuals, regressions.worst
  elif subject.kind == 'multi_label':
    parts = labels.table, labels.mistakes, labels.calibration
  else:
    parts = confusion, mistakes, calibration, per_example
  yield from separately(*parts)(subject, choice)


def _without_reference(subject: Subject) -> str:
  if subject.config['model']['name'] in reference.MODELS:
    return ''
  return f'the model {subject.config["model"]["name"]!r} has no forward pass in plain NumPy'


def _difference(facts: dict) -> str:
  return (
    'The outputs of the network, computed again in plain NumPy, differ by at most '
    f'{facts["greatest_relative_difference"]:.1e} of the greatest output.'
  )


VIEWS = {
  'errors': View(
    'confusion matrix or residuals, worst mistakes and calibration',
    ('cnn', 'recurrent', 'classifier', 'regressor', 'multi_label'),
    _errors,
    section='Errors',
    displays={
      'confusion': Display(
        'Confusion matrix',
        'The diagonal is right; a bright cell beside it is a frequent confusion',
        entry='confusion',
      ),
      'confusion_most': Display(
        'The classes of the most frequent confusions',
        'The diagonal is right; a bright cell beside it is a frequent confusion',
        entry='confusion',
      ),
      'per_class': Display(table=_per_class, entry='per_class'),
      'residuals': Display(
        'Residuals',
        'Points on the grey line are right; a trend of the residuals is a relation that was missed',
        entry='residuals',
      ),
      'per_target': Display(table=regressions.per_target, entry='residuals'),
      'worst': Display(
        'The largest errors', 'Above each example: true → predicted value', entry='residuals'
      ),
      'per_label': Display(table=labels.per_label, entry='per_class'),
      'mistakes': Display(
        'The worst mistakes',
        'The network was most certain of a wrong class for the first ones',
        entry='mistakes',
      ),
      'calibration': Display(
        'Calibration',
        'Bars below the grey line: the network is overconfident; above it: underconfident',
        entry='calibration',
      ),
    },
  ),
  'numpy': View(
    'the forward pass again, in plain NumPy',
    ('cnn', 'recurrent', 'language_model', 'autoencoder', 'regressor', 'multi_label'),
    numpy,
    section='The forward pass in NumPy',
    lacking=_without_reference,
    displays={'numpy': Display(note=_difference, entry='numpy')},
  ),
}
