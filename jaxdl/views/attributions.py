"""Attribution analyses: the pixels on which a prediction depends."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxdl import figures
from jaxdl.analysis import attribution
from jaxdl.views.subject import Subject
from jaxdl.views.view import (
  Choice,
  Display,
  Result,
  View,
  chosen_layer,
  layers_of,
  occlusion_of,
  once,
  without_images,
)

IMAGES = 6
THRESHOLD = 0.5  # rank correlation above which a method is flagged
SIGNED = (
  'gradient × input',
  'integrated gradients',
  'occlusion',
)  # methods whose maps are summed over the channels and keep their sign


def methods(layer: str, occluded: dict[str, Any]) -> dict[str, Callable]:
  """The attribution methods.

  Args:
    layer: name of the layer for Grad-CAM.
    occluded: arguments of `attribution.occlusion`.

  Returns:
    Name → function (model, variables, images, target) → maps.
  """

  def integrated_gradients(model, variables, images, target):
    return attribution.integrated_gradients(model, variables, images, target).maps

  def grad_cam(model, variables, images, target):
    return attribution.grad_cam(model, variables, images, target, layer).upsampled

  return {
    'saliency': attribution.saliency,
    'gradient × input': attribution.input_x_gradient,
    'SmoothGrad': attribution.smooth_grad,
    'guided back-propagation': attribution.guided_backprop,
    'deconvnet': attribution.deconvnet,
    'integrated gradients': integrated_gradients,
    'Grad-CAM': grad_cam,
    'guided Grad-CAM': functools.partial(attribution.guided_grad_cam, layer=layer),
    'occlusion': functools.partial(attribution.occlusion, **occluded),
  }


def attributions(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Applies nine methods to the predicted class of one image from each of six classes."""
  places, inputs, predicted, layer = _examples(subject, choice)
  found = {
    name: method(subject.model, subject.variables, inputs, predicted)
    for name, method in methods(layer, occlusion_of(subject.inputs)).items()
  }
  rows = [
    [subject.images[place], *(flat(maps[number], name) for name, maps in found.items())]
    for number, place in enumerate(places)
  ]
  columns = ['image', *found]
  labels = [_label(subject, *pair) for pair in zip(subject.labels[places], predicted, strict=True)]
  silent = {name: places[attribution.silent(maps)] for name, maps in found.items()}
  blank = ', '.join(name for name, some in silent.items() if some.size)
  heading = (
    'Why the predicted class? Each map on its own scale, from dark to bright;\n'
    f'{", ".join(SIGNED[:-1])} and {SIGNED[-1]}: red is evidence for it, blue against it'
  )
  if blank:
    heading += f'\na map of one colour ({blank}): no evidence for the class'
  figure = figures.picture_rows(
    rows,
    [name.replace(' ', '\n', 1) for name in columns],
    labels=labels,
    signed=[columns.index(name) for name in SIGNED],
    heading=heading,
  )
  yield Result(
    'attributions',
    figure,
    {**found, 'images': places, 'targets': predicted},
    {
      'target': 'the logit of the predicted class',
      'layer': layer,
      'images': places,
      'signed': list(SIGNED),
      'silent': silent,
    },
  )


def sanity(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Tests which maps hardly change when the weights are re-initialised."""
  _, inputs, predicted, layer = _examples(subject, choice)
  lines, facts = {}, {}
  for name, method in methods(layer, occlusion_of(subject.inputs)).items():
    # skips slow methods, and one that is the product of two others
    if name in ('SmoothGrad', 'occlusion', 'guided Grad-CAM'):
      continue
    found = attribution.sanity(
      method,
      subject.model,
      subject.variables,
      inputs,
      predicted,
      threshold=THRESHOLD,
      seed=choice.seed,
    )
    mean = np.nanmean(found.correlations, 1)
    lines[f'{name} (flagged)' if found.flagged else name] = (np.arange(len(mean)), mean)
    facts[name] = {'layers': found.layers, 'correlation': mean, 'flagged': bool(found.flagged)}
  figure = figures.lines(
    lines,
    xlabel='layers whose weights were re-initialised, from the last one downward',
    markers=True,
    ylabel='rank correlation with the trained map',
    heading=('Sanity: a map that hardly changes shows the image more than what was learned'),
  )
  yield Result(
    'sanity', figure, {name: np.asarray(fact['correlation']) for name, fact in facts.items()}, facts
  )


@once
def _examples(subject, choice):
  """(places, inputs, predicted classes, layer) of the first image of each of the first classes."""
  names = layers_of(subject, 'Conv')
  layer = chosen_layer(choice, names, names[-1])
  _, first = np.unique(subject.labels, return_index=True)
  places = first[:IMAGES]
  inputs = subject.inputs[places]
  logits = jax.jit(lambda inputs: subject.model.apply(subject.variables, inputs))(inputs)
  return places, inputs, np.asarray(logits).argmax(-1), layer


def flat(values: np.ndarray, name: str) -> np.ndarray:
  """Reduces the channels of a map [H, W, C] or [H, W] of a method to [H, W].

  The channels of signed maps are added; of the others, the greatest magnitude is taken.
  """
  if values.ndim == 2:
    return values
  return values.sum(-1) if name in SIGNED else np.abs(values).max(-1)


def _label(subject, true, predicted):
  return (
    subject.classes[true]
    if true == predicted
    else f'{subject.classes[true]}\n→ {subject.classes[predicted]}'
  )


VIEWS = {
  'attributions': View(
    'nine attributions side by side',
    ('cnn',),
    attributions,
    section='Why these classes',
    displays={'attributions': Display('Nine attribution methods side by side')},
    uses=('layer',),
    slow_part='occlusion',
    lacking=without_images,
  ),
  'sanity': View(
    'which attributions depend on what was learned',
    ('cnn',),
    sanity,
    section='Why these classes',
    displays={
      'sanity': Display(
        'How similar each map stays when the weights are re-initialised, layer by layer',
        f'Flagged: the mean correlation stays above {THRESHOLD} when all layers, or all but the '
        'first, are re-initialised; such a map shows the image more than what was learned',
      )
    },
    uses=('layer',),
    lacking=without_images,
  ),
}
