"""Attribution analyses: the pixels on which a prediction depends."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from jaxdl import figures
from jaxdl.analysis import attribution, methods
from jaxdl.models import table
from jaxdl.views.subject import Subject, limits
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
SIDE = 64  # pixels of an image, above which slow methods are left out
BACKGROUND = 1000  # images for expected gradients
# slow methods, and one that is the product of two others
UNTESTED = ('SmoothGrad', 'occlusion', 'guided Grad-CAM', 'expected gradients')
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


def attributions(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Applies nine methods to six images: for the predicted class, a label or a target.

  The images are one from each of six classes, or the first ones. The output that is explained is
  the logit of the predicted class, that of the most probable label, or the first target.
  """
  layer = _examples(subject, choice).layer
  note = f'occlusion covers with the mean colour, Grad-CAM shows {layer}'
  known = methods_of(subject, layer)
  first = {name: known[name] for name in methods.FIRST}
  yield _side_by_side(subject, choice, 'attributions', first, note)


def relevance(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Applies the other methods to the same images.

  A method that does not apply to the network is left out. So are the slow ones, if the images have
  more than 64 pixels on a side.
  """
  _, inputs, _, layer = _examples(subject, choice)
  large = max(inputs.shape[1:3]) > SIDE
  further = {
    name: method
    for name, method in methods_of(subject, layer).items()
    if name not in methods.FIRST and not (method.slow and large)
  }
  note = f'CAM: class activation maps of {layer}; RISE masks with the mean colour'
  yield _side_by_side(subject, choice, 'relevance', further, note)


def methods_of(subject: Subject, layer: str) -> dict[str, methods.Method]:
  """All methods for convolutional networks, with the range and a background of the images."""
  return methods.of_images(
    layer,
    occlusion_of(subject.inputs),
    limits=limits(subject.config, subject.inputs),
    background=subject.inputs[:BACKGROUND],
  )


def _side_by_side(subject, choice, result, known, note):
  """The Result with the maps of some methods, name → Method, one column each."""
  places, inputs, predicted, layer = _examples(subject, choice)
  found, left_out = {}, {}
  for name, method in known.items():
    try:
      found[name] = method.function(subject.model, subject.variables, inputs, predicted)
    except ValueError as error:
      if name in methods.FIRST:
        raise
      left_out[name] = str(error)
  flat = {name: methods.without_channels(maps, known[name]) for name, maps in found.items()}
  rows = [
    [subject.images[place], *(maps[number] for maps in flat.values())]
    for number, place in enumerate(places)
  ]
  columns = ['image', *found]
  signed = [name for name in found if known[name].signed]
  labels = [_label(subject, *pair) for pair in zip(places, predicted, strict=True)]
  silent = {name: places[attribution.silent(maps)] for name, maps in found.items()}
  what = subject.kind if subject.kind in WHY else 'classifier'
  heading = (
    f'Why {WHY[what]}? Each map on its own scale, from dark to bright;\n'
    f'{", ".join(signed[:-1])} and {signed[-1]}: red is evidence for it, blue against it;\n'
    f'{note}'
  )
  figure = figures.picture_rows(
    rows,
    [name.replace(' ', '\n', 1) for name in columns],
    labels=labels,
    signed=[columns.index(name) for name in signed],
    empty='nothing\npositive',
    heading=heading,
  )
  facts = {
    'target': EXPLAINED[what],
    'layer': layer,
    'images': places,
    'signed': signed,
    'columns': columns,
    'silent': silent,
  }
  if left_out:
    facts['left_out'] = left_out
  return Result(result, figure, {**found, 'images': places, 'targets': predicted}, facts)


def sanity(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Tests which maps hardly change when the weights are re-initialised.

  One result is for the methods of `attributions`, one for those of `relevance`.
  """
  yield _tested(subject, choice, 'sanity', further=False)
  yield _tested(subject, choice, 'sanity_relevance', further=True)


def _tested(subject, choice, result, *, further):
  """The Result of the sanity check of the first or of the further methods."""
  _, inputs, predicted, layer = _examples(subject, choice)
  lines, facts = {}, {}
  for name, method in methods_of(subject, layer).items():
    if method.slow or name in UNTESTED or (name not in methods.FIRST) != further:
      continue
    try:
      found = attribution.sanity(
        method.function,
        subject.model,
        subject.variables,
        inputs,
        predicted,
        threshold=THRESHOLD,
        seed=choice.seed,
      )
    except ValueError:
      if not further:
        raise
      continue  # the method does not apply to the network
    mean = np.nanmean(found.correlations, 1)
    lines[f'{name} (flagged)' if found.flagged else name] = (np.arange(len(mean)), mean)
    facts[name] = {'layers': found.layers, 'correlation': mean, 'flagged': bool(found.flagged)}
  figure = figures.lines(
    lines,
    xlabel='re-initialised layers, counted from the last one',
    markers=True,
    ylabel='rank correlation',
    heading='Similarity of the maps when weights are re-initialised',
  )
  arrays = {name: np.asarray(fact['correlation']) for name, fact in facts.items()}
  return Result(result, figure, arrays, facts)


class Explained(NamedTuple):
  """The images that are explained, and of what.

  Attributes:
    places: their indices.
    inputs: of the network.
    predicted: index of the output that is explained, for each image.
    layer: layer of the class activation maps.
  """

  places: np.ndarray
  inputs: np.ndarray
  predicted: np.ndarray
  layer: str


@once
def _examples(subject, choice):
  """The images that are explained, and of what.

  They are the first image of each of the first classes; without classes, the first images.
  """
  names = layers_of(subject, 'Conv')
  layer = chosen_layer(choice, names, last_with_places(subject, names))
  places = np.arange(min(IMAGES, len(subject.inputs)))
  if subject.kind == 'cnn':
    _, first = np.unique(subject.labels, return_index=True)
    places = first[:IMAGES]
  inputs = subject.inputs[places]
  logits = jax.jit(lambda inputs: subject.model.apply(subject.variables, inputs))(inputs)
  explained = np.asarray(logits).argmax(-1)
  explained = 0 * explained if subject.kind == 'regressor' else explained
  return Explained(places, inputs, explained, layer)


def last_with_places(subject: Subject, names: list[str]) -> str:
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


def _label(subject, place, explained):
  """The truth of an image and, if it differs, what is explained."""
  true = subject.caption(int(place))
  if subject.kind == 'regressor' or true == subject.classes[explained]:
    return true
  return f'{true}\n→ {subject.classes[explained]}'


def _without(facts):
  """Which methods were left out of a picture; '' if none."""
  left_out = facts.get('left_out', {})
  return f'Left out: {"; ".join(left_out.values())}' if left_out else ''


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
  'relevance': View(
    'nine further attributions side by side',
    ('cnn', 'regressor', 'multi_label'),
    relevance,
    pictures=True,
    section='Why these classes',
    lacking=without_convolution,
    displays={
      'relevance': Display(
        'Nine further attributions',
        'LRP divides the logit among the pixels, DeepLIFT and expected gradients its difference '
        'from other images; CAM and RISE show places',
        entry='relevance',
        note=_without,
      )
    },
    uses=('layer',),
    slow_part='RISE',
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
      ),
      'sanity_relevance': Display(
        'Sanity check of the further attributions',
        f'Flagged: it stays above {THRESHOLD}. LRP and the products with the image often do, '
        'because they keep the outlines of the image',
        entry='sanity',
      ),
    },
    uses=('layer',),
  ),
}
