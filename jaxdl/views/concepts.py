"""The view `concepts`: whether classes depend on concepts given by folders of images (TCAV)."""

import pathlib
from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import concepts, embeddings
from jaxdl.config.arguments import about
from jaxdl.data import own_images, recorded
from jaxdl.data.photographs import decode
from jaxdl.views.subject import Subject, training_examples
from jaxdl.views.view import (
  Choice,
  Display,
  Result,
  View,
  chosen_layer,
  layers_of,
  without_pictures,
)

FEWEST, MOST = concepts.FEWEST * concepts.PART, concepts.SETS * concepts.PART  # images of a concept
OF_CLASS = 50  # most images of a class whose logits are differentiated
CLASSES = 10  # most classes
RANDOM = 3 * concepts.SETS * concepts.PART  # random training images


def significance(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Computes TCAV scores of every concept and class, with their significance."""
  if choice.concepts is None:
    raise ValueError('it needs images of concepts: give --concepts=DIR with a folder for each')
  names = layers_of(subject, 'Conv', 'DepthwiseConv') or layers_of(subject)[:-1]
  if not names:
    raise ValueError('the network has one layer: its logits are linear in the inputs')
  layer = chosen_layer(choice, layers_of(subject)[:-1], names[-1])
  given = read(choice.concepts, subject.config)
  features = {name: _features(subject, each, layer) for name, each in given.items()}
  random = _features(subject, _random_images(subject, choice.seed), layer)
  classes = _classes(subject)
  gradients = [
    concepts.gradients_at(
      subject.model,
      subject.variables,
      subject.inputs[np.flatnonzero(subject.labels == label)[:OF_CLASS]],
      layer,
      label,
    )
    for label in classes
  ]
  found = concepts.tcav(features, random, gradients)
  yield _result(subject, layer, given, classes, found)


def _result(subject, layer, given, classes, found):
  """The picture and the numbers."""
  scores = np.stack([one.scores for one in found.values()])
  significant = np.stack([one.significant for one in found.values()])
  figure = figures.heatmap(
    np.where(significant, scores, np.nan),
    [f'{name}\n{100 * one.accuracy:.0f} %' for name, one in found.items()],
    [subject.classes[label] for label in classes],
    label='TCAV score',
    axes=('class', 'concept'),
    heading=(
      f'{layer}: share of the images of a class whose logit rises with the concept\n'
      '(–: not significant against random images, t-test, Holm, 5 %;\n'
      'left: held-out accuracy of the vector, 50 % is chance)'
    ),
  )
  facts = {
    'layer': layer,
    'random_vectors': concepts.SETS,
    'classes': [subject.classes[label] for label in classes],
    'concepts': [
      {
        'concept': name,
        'images': len(given[name]),
        'accuracy': one.accuracy,
        'scores': one.scores,
        'p_values': one.p_values,
        'significant': one.significant,
      }
      for name, one in found.items()
    ],
  }
  p_values = np.stack([one.p_values for one in found.values()])
  return Result('concepts', figure, {'scores': scores, 'p_values': p_values}, facts)


def read(folder: str | pathlib.Path, config: dict) -> dict[str, np.ndarray]:
  """Reads the images of concepts as inputs of a network.

  Args:
    folder: folder with one folder of images for each concept; the first 200 images of each, by
      name, are used.
    config: the config of the run.

  Returns:
    name of the concept → inputs [N, …].

  Raises:
    ValueError: the folder has no folders, one has fewer than 30 images, or a file is not an image.
    OSError: the folder does not exist.
  """
  root = pathlib.Path(folder).expanduser()
  if not root.is_dir():
    raise about(
      FileNotFoundError(
        f'concepts={folder} is not a folder: give one with a folder of each concept'
      ),
      'concepts',
    )
  folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != '.')
  if not folders:
    raise about(
      ValueError(f'concepts={folder} has no folders: put the images of each concept into one'),
      'concepts',
    )
  return {path.name: _inputs(path, config) for path in folders}


def _inputs(folder, config):
  """The images of a folder as inputs of a network."""
  preparation = own_images.preparation(config)
  files = sorted(path for path in folder.iterdir() if decode.is_photograph(path))[:MOST]
  if len(files) < FEWEST:
    error = ValueError(f'{folder} has {len(files)} images: give at least {FEWEST} for a concept')
    raise about(error, 'concepts')
  images = []
  for path in files:
    try:
      images.append(preparation.of_file(path.read_bytes()))
    except Exception as error:  # Pillow raises exceptions of many types
      raise about(ValueError(f'{path} cannot be read as an image: {error}'), 'concepts') from error
  return np.asarray(recorded.image_inputs(config)(np.concatenate(images)))


def _features(subject, inputs, layer):
  return embeddings.features(subject.model, subject.variables, inputs, layer)


def _random_images(subject, seed):
  """Random training images; they are the first ones of the first epoch, in another order."""
  inputs = training_examples(subject, RANDOM)['inputs']
  return inputs[np.random.default_rng(seed).permutation(len(inputs))]


def _classes(subject):
  """The first classes that the examples have."""
  return np.unique(subject.labels)[:CLASSES].tolist()


VIEWS = {
  'concepts': View(
    'whether classes depend on concepts of your own (TCAV)',
    ('cnn', 'recurrent', 'classifier'),
    significance,
    section='Layers compared',
    displays={
      'concepts': Display(
        'Concept vectors',
        'Near 1: the concept raises the logit of the class; near 0: it lowers it. A vector of low '
        'accuracy does not represent its concept',
        entry='concepts',
      )
    },
    uses=('layer', 'concepts'),
    lacking=without_pictures,
    named_only=True,
    load=embeddings.load_libraries,
  ),
}
