"""Attribution analyses: the pixels on which a prediction depends."""

from collections.abc import Iterator

import jax
import numpy as np

from jaxdl import figures
from jaxdl.analysis import attribution, methods
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


def attributions(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Applies nine methods to six images: for the predicted class, a label or a target.

  The images are one from each of six classes, or the first ones. The output that is explained is
  the logit of the predicted class, that of the most probable label, or the first target.
  """
  places, inputs, predicted, layer = _examples(subject, choice)
  known = methods.of_images(layer, occlusion_of(subject.inputs))
  found = {
    name: method.function(subject.model, subject.variables, inputs, predicted)
    for name, method in known.items()
  }
  flat = {name: methods.without_channels(maps, known[name]) for name, maps in found.items()}
  rows = [
    [subject.images[place], *(maps[number] for maps in flat.values())]
    for number, place in enumerate(places)
  ]
  columns = ['image', *found]
  signed = [name for name, method in known.items() if method.signed]
  labels = [_label(subject, *pair) for pair in zip(places, predicted, strict=True)]
  silent = {name: places[attribution.silent(maps)] for name, maps in found.items()}
  what = subject.kind if subject.kind in WHY else 'classifier'
  heading = (
    f'Why {WHY[what]}? Each map on its own scale, from dark to bright;\n'
    f'{", ".join(signed[:-1])} and {signed[-1]}: red is evidence for it, blue against it;\n'
    f'occlusion covers with the mean colour, Grad-CAM shows {layer}'
  )
  figure = figures.picture_rows(
    rows,
    [name.replace(' ', '\n', 1) for name in columns],
    labels=labels,
    signed=[columns.index(name) for name in signed],
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
      'signed': signed,
      'columns': columns,
      'silent': silent,
    },
  )


def sanity(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Tests which maps hardly change when the weights are re-initialised."""
  _, inputs, predicted, layer = _examples(subject, choice)
  lines, facts = {}, {}
  for name, method in methods.of_images(layer, occlusion_of(subject.inputs)).items():
    # skips slow methods, and one that is the product of two others
    if name in ('SmoothGrad', 'occlusion', 'guided Grad-CAM'):
      continue
    found = attribution.sanity(
      method.function,
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
  layer = chosen_layer(choice, names, last_with_places(subject, names))
  places = np.arange(min(IMAGES, len(subject.inputs)))
  if subject.kind == 'cnn':
    _, first = np.unique(subject.labels, return_index=True)
    places = first[:IMAGES]
  inputs = subject.inputs[places]
  logits = jax.jit(lambda inputs: subject.model.apply(subject.variables, inputs))(inputs)
  explained = np.asarray(logits).argmax(-1)
  return places, inputs, 0 * explained if subject.kind == 'regressor' else explained, layer


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
