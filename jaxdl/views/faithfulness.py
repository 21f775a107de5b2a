"""Which attribution to trust: methods graded by metrics that need no known evidence."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from jaxtyping import Bool, Float, Integer

from jaxdl import figures
from jaxdl.analysis import methods
from jaxdl.analysis.grading import map_metrics
from jaxdl.analysis.maps import last_character
from jaxdl.analysis.methods import Method
from jaxdl.analysis.units import Variables
from jaxdl.views.attributions import last_with_places, methods_of
from jaxdl.views.outputs import program
from jaxdl.views.subject import Subject
from jaxdl.views.view import (
  Choice,
  Display,
  Result,
  View,
  chosen_layer,
  layers_of,
  without_convolution,
)

EXAMPLES = 24  # that are graded
REPEATED = 8  # of these, for metrics that apply a method several times
STEPS = 16  # of the curves of deletion, insertion and pixel flipping
THREADS = 2  # methods that are graded at the same time
BACKGROUND = 24  # of the examples, for expected gradients of sequences
WINDOW = 32  # characters before the one that is explained, read from a state of zeros


class Explained(NamedTuple):
  """Correctly predicted examples, and the methods that explain their classes.

  Attributes:
    model: network from inputs to logits [B, classes].
    variables: its variables.
    inputs: images [B, H, W, C] or sequences [B, T, I].
    target: the predicted classes, which are the true ones.
    evidence: [B, H, W] or [B, T], the places that decide; None if not known.
    known: name → Method.
    accuracy: share of the examined examples that are predicted correctly.
  """

  model: nn.Module
  variables: Variables
  inputs: Float[np.ndarray, 'B ...']
  target: Integer[np.ndarray, 'B']
  evidence: Bool[np.ndarray, 'B ...'] | None
  known: dict[str, Method]
  accuracy: float


def explained(subject: Subject, count: int, layer: str | None = None) -> Explained:
  """Chooses the first correctly predicted examples of a run, and the methods that fit.

  Args:
    subject: a network with classes, and examples. Of a text, the examples are the characters before
      those that are predicted.
    count: maximum number of examples.
    layer: layer of Grad-CAM; None for the default of the analysis `attributions`.

  Returns:
    Explained.

  Raises:
    ValueError: the network has no method of attribution, or predicts no example correctly.
  """
  if lacking := _lacking(subject):
    raise ValueError(lacking)
  read = _of_text if subject.kind == 'language_model' else _of_classes
  model, variables, inputs, labels, evidence = read(subject)
  correct = program(model, variables)(inputs).argmax(-1) == labels
  if not correct.any():
    raise ValueError(f'{subject.workdir} predicts no example correctly: train it longer')
  places = np.flatnonzero(correct)[:count]
  inputs = inputs[places]
  if inputs.ndim == 4:
    names = layers_of(subject, 'Conv')
    layer = chosen_layer(Choice(layer=layer), names, last_with_places(subject, names))
    known = methods_of(subject, layer)
  else:
    known = methods.of_sequences(model, inputs[:BACKGROUND])
  return Explained(
    model,
    variables,
    inputs,
    labels[places],
    None if evidence is None else evidence[places],
    known,
    float(correct.mean()),
  )


def _of_classes(subject):
  """(model, variables, inputs, labels, evidence) of a network of images or steps."""
  evidence = subject.evidence
  if evidence is not None:
    if evidence.shape[1:3] != subject.inputs.shape[1:3]:
      raise ValueError(
        f'the evidence of {subject.name} has {evidence.shape[1:]} places, but the inputs are '
        f'{subject.inputs.shape[1:]}: leave out the keys of config.data that change their size'
      )
    if subject.inputs.ndim == 3:  # the rows of images
      evidence = evidence.any(-1)
  return subject.model, subject.variables, subject.inputs, subject.labels, evidence


def _of_text(subject):
  """(model, variables, vectors, next characters, evidence) of windows of a text."""
  characters, following = subject.inputs[0], subject.labels[0]
  variables, window, evidence = subject.variables, WINDOW, None
  ends = np.arange(window - 1, len(characters), window)
  if subject.evidence is not None:
    window = max(WINDOW, int(subject.evidence.max()))
    ends = np.flatnonzero(subject.evidence)
    ends = ends[ends >= window - 1]
    evidence = np.arange(window) == window - subject.evidence[ends, None]
    variables = _centred(variables, np.unique(following[ends]))
  windows = characters[ends[:, None] + np.arange(1 - window, 1)]
  vectors = last_character.vectors(subject.model, subject.variables, windows)
  return last_character.LastCharacter(subject.model), variables, vectors, following[ends], evidence


def _centred(variables, classes):
  """Variables of the same network whose logits have the mean 0 over some classes.

  No probability changes. What raises the logits of all these classes alike, such as the character
  that asks for one of them, is then no evidence for one of them.
  """
  last = {
    name: array - np.asarray(array)[..., classes].mean(-1, keepdims=True)
    for name, array in variables['params']['logits'].items()
  }
  return {**variables, 'params': {**variables['params'], 'logits': last}}


def faithfulness(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Grades the attribution methods on correctly predicted test examples."""
  found = explained(subject, EXAMPLES, choice.layer)
  graded = map_metrics.grade(
    found.model,
    found.variables,
    found.inputs,
    found.target,
    found.known,
    repeated=REPEATED,
    steps=STEPS,
    seed=choice.seed,
    threads=THREADS,
  )
  means = {
    method: {name: map_metrics.METRICS[name].of(values) for name, values in metrics.items()}
    for method, metrics in graded.values.items()
  }
  metrics = [
    name
    for name in map_metrics.METRICS
    if any(means[method].get(name) is not None for method in means)
  ]
  heading = (
    f'{len(found.target)} correctly predicted {subject.split} examples; the darker, the better in '
    'its column.\nWithout known evidence, these metrics cannot say which method is right.'
  )
  figure = figures.score_table(
    np.array([[_number(means[method].get(name)) for name in metrics] for method in means]),
    None,
    list(means),
    metrics,
    [map_metrics.METRICS[name].better for name in metrics],
    heading=heading,
  )
  yield Result(
    'faithfulness',
    figure,
    {
      f'{method}/{name}': values
      for method in means
      for name, values in graded.values[method].items()
    },
    {
      'examples': len(found.target),
      'scores': means,
      'not_computed': {method: why for method, why in graded.reasons.items() if why},
      'seconds': graded.seconds,
    },
  )


def _number(value: float | None) -> float:
  return float('nan') if value is None else value


def _lacking(subject: Subject) -> str:
  if getattr(subject.model, 'masked', False):
    return 'its sequences have different lengths, and removed steps would be padding'
  if subject.kind == 'cnn':
    images = len(subject.inputs.shape) == 4
    return without_convolution(subject) if images else 'its inputs are not images'
  return ''


VIEWS: dict[str, Any] = {
  'faithfulness': View(
    'which attribution to trust, without known evidence',
    ('cnn', 'recurrent', 'language_model'),
    faithfulness,
    section='Which attribution to trust',
    lacking=_lacking,
    displays={
      'faithfulness': Display(
        'Attribution methods graded without known evidence',
        'Reject a method that fails here, because it ignores the class or the weights. One that '
        'passes is not thereby right: removed places are unusual inputs, and nobody knows here '
        'what the network uses',
        entry='faithfulness',
      )
    },
    uses=('layer',),
    named_only=True,
    slow_part='every method is applied many times',
  )
}
