"""Where a network puts its examples: features, their projections to the plane, files for
TensorBoard's projector.
"""

import contextlib
import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np

from jaxdl.analysis import batches, units
from jaxdl.analysis.embedding_quality import checked, linear_accuracy, neighbours, quality
from jaxdl.analysis.projector import projector
from jaxdl.models.layers import Dense

__all__ = ['features', 'linear_accuracy', 'neighbours', 'pca', 'projector', 'quality', 'tsne']

CODE = 'code'  # the layer between the halves of an autoencoder


class Components(NamedTuple):
  """Principal components.

  Attributes:
    points: [N, P], the examples in them.
    axes: [P, D], each of length 1, its number of greatest magnitude positive.
    mean: [D].
    explained: [P], share of the variance; 0 where there is none at all.
  """

  points: np.ndarray
  axes: np.ndarray
  mean: np.ndarray
  explained: np.ndarray


def load_libraries():
  """Imports scikit-learn, which t-SNE and linear classifiers need, where it is installed."""
  with contextlib.suppress(ImportError):  # who needs one that is missing names it
    import sklearn.linear_model
    import sklearn.manifold  # noqa: F401
    import threadpoolctl  # noqa: F401


def features(model, variables, images, layer=None, batch_size=units.BATCH):
  """What a layer says of each example.

  Args:
    model: linen module.
    variables: its variables.
    images: [N, …] inputs, scaled as in training.
    layer: name; None for the layer 'code' of an autoencoder, else for what the last dense layer
      reads: the penultimate features, of a recurrent classifier the last state.
    batch_size: int, images of one compiled call.

  Returns:
    [N, D], what has places or steps flattened.

  Raises:
    ValueError: an unknown layer (the message lists the names), a model without a dense layer, or
      images of a shape that it does not take.
  """
  known = units.check_layers(model, variables, images, [] if layer is None else [layer])
  if layer is None and CODE in known:
    layer = CODE

  @jax.jit
  def compiled(variables, images):
    if layer is not None:
      return units.outputs(model, variables, images, [layer])[1][layer]
    return _read_by_last_dense(model, variables, images)

  if layer is None and _is_without_dense(model, variables, images):
    raise ValueError(f'the model has no dense layer: name one of {", ".join(known)}')
  parts = batches.in_batches(
    functools.partial(compiled, variables), np.asarray(images), batch_size=batch_size
  )
  return np.concatenate([part.reshape(len(part), -1) for _, part in parts])  # [N, D]


def _is_without_dense(model, variables, images):
  return jax.eval_shape(lambda: _read_by_last_dense(model, variables, images[:1])) is None


def _read_by_last_dense(model, variables, images):
  """The inputs of the dense layer that is called last; None where there is none."""
  read = []

  def note(following, arguments, keywords, context):
    if context.method_name == '__call__' and isinstance(context.module, (Dense, nn.Dense)):
      read.append(arguments[0])
    return following(*arguments, **keywords)

  with nn.intercept_methods(note):
    model.apply(variables, images)
  return read[-1] if read else None


def pca(features, components=2):
  """Principal components, by the singular values of the centred features, with fixed signs.

  Args:
    features: [N, D].
    components: P, at most N and D.

  Returns:
    Components, those of the greatest variance first.

  Raises:
    ValueError: more components than there can be, or features that are no finite matrix.
  """
  features = checked(features)
  most = min(features.shape)
  if not 1 <= components <= most:
    raise ValueError(
      f'components={components} is out of range for features of shape {features.shape}: use 1 to {most}'
    )
  mean = features.mean(0)
  centred = features - mean
  # The triangle of a QR decomposition has the same singular values and axes, and only D rows.
  _, values, axes = np.linalg.svd(np.linalg.qr(centred, mode='r'), full_matrices=False)
  greatest = np.abs(axes).argmax(1)
  axes = (
    axes[:components] * np.where(axes[np.arange(len(axes)), greatest] < 0, -1, 1)[:components, None]
  )  # [P, D]
  variance = np.square(centred).sum()
  explained = np.square(values[:components]) / variance if variance > 0 else np.zeros(components)
  return Components(points=centred @ axes.T, axes=axes, mean=mean, explained=explained)


def tsne(features, perplexity=30, seed=0):
  """t-SNE in the plane, begun from the principal components; the same picture for the same seed on
  any number of cores.

  Distances between far clusters and sizes of clusters mean nothing: show `quality` beside it.

  Args:
    features: [N, D], D at least 2.
    perplexity: float, how many neighbours each example looks at; at most (N − 1) / 3, for three
      times as many are kept.
    seed: int, of the approximate components that it begins from.

  Returns:
    [N, 2] float32.

  Raises:
    ValueError: a perplexity out of range, or features that do not differ or have one dimension.
    OSError: scikit-learn is missing.

  Source: van der Maaten & Hinton 2008; van der Maaten 2014, Accelerating t-SNE using tree-based
    algorithms.
  """
  features = checked(features)
  most = (len(features) - 1) / 3
  if not 1 <= perplexity <= most:
    raise ValueError(
      f'perplexity={perplexity} is out of range for {len(features)} examples: '
      + (f'use 1 to {int(most)}' if most >= 1 else 'give at least 4')
    )
  if features.shape[1] < 2 or not np.ptp(features, axis=0).any():
    raise ValueError(
      f'features of shape {features.shape} do not differ, or have one dimension: take another layer'
    )
  try:
    import threadpoolctl
    from sklearn.manifold import TSNE
  except ImportError as error:
    raise ImportError(f't-SNE needs scikit-learn ({error}): pip install scikit-learn') from error
  with threadpoolctl.threadpool_limits(
    1
  ):  # several threads add up in any order, and t-SNE magnifies the last digit
    return TSNE(
      perplexity=perplexity, random_state=seed, init='pca', learning_rate='auto'
    ).fit_transform(features)
