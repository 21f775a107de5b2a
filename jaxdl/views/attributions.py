"""Attribution analyses: the pixels on which a prediction depends."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxdl import figures
from jaxdl.analysis import attribution
from jaxdl.models import table
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
  without_convolution,
)

IMAGES = 6
PLACES = 4  # fewest places on a side of the layer of Grad-CAM, if the network has such a layer
THRESHOLD = 0.5  # rank correlation above which a method is flagged
WHY = {  # kind of Subject → what is asked
  'classifier': 'the predicted class',
  'multi_label': 'the most probable label',
  'regressor': 'this value of the first target',
}
EXPLAINED = {
  'classifier': 'the logit of the predicted class',
  'multi_label': 'the logit of the most probable label',
  'regressor': 'the first target, standardised',
}
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
  """Applies nine methods to six images: for the predicted class, a label or a target.

  The images are one from each of six classes, or the first ones. The output that is explained is
  the logit of the predicted class, that of the most probable label, or the first target.
  """
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
  labels = [_label(subject, *pair) for pair in zip(places, predicted, strict=True)]
  silent = {name: places[attribution.silent(maps)] for name, maps in found.items()}
  what = subject.kind if subject.kind in WHY else 'classifier'
  heading = (
    f'Why {WHY[what]}? Each map on its own scale, from dark to bright;\n'
    f'{", ".join(SIGNED[:-1])} and {SIGNED[-1]}: red is evidence for it, blue against it;\n'
    f'occlusion covers with the mean colour, Grad-CAM shows {layer}'
  )
  figure = figures.picture_rows(
    rows,
    [name.replace(' ', '\n', 1) for name in columns],
    labels=labels,
    signed=[columns.index(name) for name in SIGNED],
    empty='nothing\npositive',
    heading=heading,
  )
  yield Result(
    'attributions',
    figure,
    {**found, 'images': places, 'targets': predicted},
    {
      'target': EXPLAINED[what],
      'layer': layer,
      'images': places,
      'signed': list(SIGNED),
      'columns': columns,
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
    heading='Similarity of the maps when weights are re-initialised',
  )
  yield Result(
    'sanity', figure, {name: np.asarray(fact['correlation']) for name, fact in facts.items()}, facts
  )


@once
def _examples(subject, choice):
  """(places, inputs, explained outputs, layer) of the images that are explained.

  They are the first image of each of the first classes; without classes, the first images.
  """
  names = layers_of(subject, 'Conv')
  layer = chosen_layer(choice, names, _last_with_places(subject, names))
  places = np.arange(min(IMAGES, len(subject.inputs)))
  if subject.kind == 'cnn':
    _, first = np.unique(subject.labels, return_index=True)
    places = first[:IMAGES]
  inputs = subject.inputs[places]
  logits = jax.jit(lambda inputs: subject.model.apply(subject.variables, inputs))(inputs)
  explained = np.asarray(logits).argmax(-1)
  return places, inputs, 0 * explained if subject.kind == 'regressor' else explained, layer


def _last_with_places(subject, names):
  """The last convolution of at least PLACES × PLACES places, or else the one with the most.

  Grad-CAM of fewer places shows only in which quarter of the image the evidence is.
  """
  shape, dtype = subject.inputs.shape[1:], subject.inputs.dtype
  sides = {
    row['name']: min(row['output'][:2])
    for row in table.layers(subject.model, shape, dtype)
    if row['name'] in names
  }
  fitting = [name for name in names if sides[name] >= PLACES]
  return fitting[-1] if fitting else max(names, key=lambda name: sides[name])


def flat(values: np.ndarray, name: str) -> np.ndarray:
  """Reduces the channels of a map [H, W, C] or [H, W] of a method to [H, W].

  The channels of signed maps are added; of the others, the greatest magnitude is taken.
  """
  if values.ndim == 2:
    return values
  return values.sum(-1) if name in SIGNED else np.abs(values).max(-1)


def _label(subject, place, explained):
  """The truth of an image and, if it differs, what is explained."""
  true = subject.caption(int(place))
  if subject.kind == 'regressor' or true == subject.classes[explained]:
    return true
  return f'{true}\n→ {subject.classes[explained]}'


VIEWS = {
  'attributions': View(
    'nine attributions side by side',
    ('cnn', 'regressor', 'multi_label'),
    attributions,
    pictures=True,
    section='Why these classes',
    lacking=without_convolution,
    displays={
      'attributions': Display(
        'Nine attributions',
        'A reason that several methods share is safer; a flagged one shows the image more than '
        'what was learned',
        entry='attribution',
      )
    },
    uses=('layer',),
    slow_part='occlusion',
  ),
  'sanity': View(
    'which attributions depend on what was learned',
    ('cnn', 'regressor', 'multi_label'),
    sanity,
    pictures=True,
    section='Why these classes',
    lacking=without_convolution,
    displays={
      'sanity': Display(
        'Sanity check of the attributions',
        f'A good map falls to 0; flagged: it stays above {THRESHOLD} when all layers, or all but '
        'the first, are re-initialised',
        entry='sanity',
      )
    },
    uses=('layer',),
  ),
}
