"""Views of what a classifier gets right and wrong, and of what it says in figures."""

import jax
import numpy as np

from jaxdl import figures
from jaxdl.analysis import batches, errors, reference
from jaxdl.views.view import Result, View

WORST = 32
CHECKED, CHECKED_STEPS = 8, 100  # examples, characters of a text, whose forward pass is done again in NumPy


def wrong(subject, choice):
  """Confusion matrix, the worst mistakes and the calibration."""
  logits = _logits(subject, subject.inputs)
  counts = errors.confusion(subject.labels, logits, subject.classes)
  share = np.trace(counts) / counts.sum()
  figure = figures.confusion_matrix(counts, subject.classes, heading=(
      f'{counts.sum():,} {subject.split} examples, {100 * share:.2f} % right'))
  yield Result('confusion', figure, {'counts': counts, 'logits': logits}, {
      'examples': int(counts.sum()), 'accuracy': share, 'recall': _shares(counts.diagonal(), counts.sum(1)),
      'precision': _shares(counts.diagonal(), counts.sum(0)), 'classes': subject.classes})
  found = errors.mistakes(subject.labels, logits)
  if len(found.index):
    worst = found.index[:WORST]
    titles = [f'{subject.classes[true]}\n→ {subject.classes[said]} ({100 * probability:.0f} %)'
              for true, said, probability in zip(found.label[:WORST], found.predicted[:WORST], found.probability[:WORST],
                                                 strict=True)]
    figure = figures.image_grid(subject.images[worst], titles, columns=8, heading=(
        f'{len(worst)} of {len(found.index):,} mistakes, the least probability of the true class first: '
        'true → predicted class, its probability'))
    yield Result('mistakes', figure, found._asdict(), {'mistakes': len(found.index), 'shown': worst})
  curve = errors.calibration(subject.labels, logits)
  figure = figures.reliability(curve.confidence, curve.accuracy, curve.count, heading=(
      f'Calibration over {curve.count.sum():,} {subject.split} examples:\n'
      f'expected calibration error {100 * curve.error:.2f} %'))
  yield Result('calibration', figure, {key: np.asarray(value) for key, value in curve._asdict().items()}, {
      'expected_calibration_error': curve.error, 'bins': len(curve.count)})


def twice(subject, choice):
  """The forward pass in NumPy alone beside the compiled one."""
  inputs = subject.inputs[:CHECKED, :CHECKED_STEPS] if subject.kind == 'language_model' else subject.inputs[:CHECKED]
  compiled = _logits(subject, inputs)
  plain, _ = reference.forward(subject.config, subject.variables, inputs)
  difference = float(np.abs(plain - compiled).max() / np.abs(compiled).max())
  if subject.kind == 'autoencoder':
    yield Result('numpy', None, {'jax': compiled, 'numpy': plain}, {'greatest_relative_difference': difference})
    return
  jaxs, numpys = (np.asarray(jax.nn.softmax(np.asarray(values, np.float64).reshape(-1, values.shape[-1])[0]))
                  for values in (compiled, plain))
  names = [repr(name)[1:-1] for name in subject.classes] if subject.kind == 'language_model' else subject.classes
  figure = figures.bars({'compiled by JAX': jaxs, 'NumPy alone': numpys}, names, xlabel='class', ylabel='probability', heading=(
      'Probabilities of one example, computed twice\n'
      f'logits of {len(inputs)} example{"s" * (len(inputs) > 1)} differ by at most {difference:.1e} of the greatest'))
  yield Result('numpy', figure, {'jax': compiled, 'numpy': plain}, {
      'greatest_relative_difference': difference, 'examples': len(inputs), 'jax': jaxs, 'numpy': numpys})


def _logits(subject, inputs):
  compiled = jax.jit(lambda inputs: subject.model.apply(subject.variables, inputs))
  return np.concatenate([part for _, part in batches.in_batches(compiled, inputs)])


def _shares(right, all_of_class):
  return [float(one) / int(every) if every else None for one, every in zip(right, all_of_class, strict=True)]


VIEWS = {'errors': View('confusion matrix, worst mistakes and calibration', ('cnn', 'recurrent', 'classifier'), wrong),
         'numpy': View('the forward pass again, in NumPy alone', ('cnn', 'recurrent', 'language_model', 'autoencoder'), twice)}
