"""Embeddings: features of examples, projections to the plane, files for TensorBoard's projector."""

import contextlib
import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float, Float32, Float64, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.embedding_quality import checked, linear_accuracy, neighbours, quality
from jaxdl.analysis.projector import projector
from jaxdl.analysis.threads import one_thread
from jaxdl.analysis.units import AnyArray, ArrayLike, Variables
from jaxdl.models.layers import Dense

__all__ = ['features', 'linear_accuracy', 'neighbours', 'pca', 'projector', 'quality', 'tsne']

CODE = 'code'  # the layer between encoder and decoder of an autoencoder


class Components(NamedTuple):
  """Principal components.

  Attributes:
    points: coordinates of the examples along the components.
    axes: components of length 1; the entry of greatest magnitude of each is positive.
    mean: mean of the features.
    explained: fraction of the variance; 0 where the features do not vary.
  """

  points: Float64[np.ndarray, 'N P']
  axes: Float64[np.ndarray, 'P D']
  mean: Float64[np.ndarray, 'D']
  explained: Float64[np.ndarray, 'P']


def load_libraries() -> None:
  """Imports scikit-learn where it is installed; t-SNE and linear classifiers need it."""
  with contextlib.suppress(ImportError):  # a function that needs it reports that it is missing
    import sklearn.linear_model
    import sklearn.manifold  # noqa: F401
    import threadpoolctl  # noqa: F401


def features(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'N ...'],
  layer: str | None = None,
  batch_size: int = units.BATCH,
) -> Float[np.ndarray, 'N D']:
  """Outputs of a layer for each example, with positions and steps flattened.

  Args:
    model: linen module.
    variables: its variables.
    images: inputs, scaled as in training.
    layer: name; None selects the layer 'code' of an autoencoder, otherwise the inputs of the last
      dense layer: the penultimate features, which are the last state of a recurrent classifier.
    batch_size: images in one compiled call.

  Returns:
    features.

  Raises:
    ValueError: an unknown layer (the message lists the names), a model without a dense layer, or
      images of a shape that it does not accept.
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
  return np.concatenate([part.reshape(len(part), -1) for _, part in parts])


def _is_without_dense(model: nn.Module, variables: Variables, images: AnyArray) -> bool:
  return jax.eval_shape(lambda: _read_by_last_dense(model, variables, images[:1])) is None


def _read_by_last_dense(model: nn.Module, variables: Variables, images: AnyArray) -> Any:
  """Inputs of the dense layer that is called last; None for a model without one."""
  read = []

  def note(following, arguments, keywords, context):
    if context.method_name == '__call__' and isinstance(context.module, (Dense, nn.Dense)):
      read.append(arguments[0])
    return following(*arguments, **keywords)

  with nn.intercept_methods(note):
    model.apply(variables, images)
  return read[-1] if read else None


def pca(features: ArrayLike, components: int = 2) -> Components:
  """Principal components from a singular value decomposition, with fixed signs.

  Args:
    features: [N, D].
    components: P, at most N and D.

  Returns:
    Components, those of the greatest variance first.

  Raises:
    ValueError: more components than exist, or features that are not a finite matrix.
  """
  features = checked(features)
  most = min(features.shape)
  if not 1 <= components <= most:
    raise ValueError(
      f'components={components} is out of range for features of shape {features.shape}: '
      f'use 1 to {most}'
    )
  mean = features.mean(0)
  centred = features - mean
  # The triangle of a QR decomposition has the same singular values and axes, and only D rows.
  _, values, axes = np.linalg.svd(np.linalg.qr(centred, mode='r'), full_matrices=False)
  axes = axes[:components]  # [P, D]
  greatest = np.abs(axes).argmax(1)
  signs = np.where(axes[np.arange(components), greatest] < 0, -1, 1)
  axes = axes * signs[:, None]
  variance = np.square(centred).sum()
  explained = np.square(values[:components]) / variance if variance > 0 else np.zeros(components)
  return Components(points=centred @ axes.T, axes=axes, mean=mean, explained=explained)


def tsne(
  features: ArrayLike, perplexity: int | float = 30, seed: int = 0
) -> Float32[np.ndarray, 'N 2']:
  """t-SNE in the plane, initialised by principal components.

  The result depends only on the seed, not on the number of cores. Distances between far clusters
  and sizes of clusters have no meaning: show `quality` next to the picture.

  Args:
    features: [N, D], D at least 2.
    perplexity: effective number of neighbours of each example; at most (N − 1) / 3, since three
      times as many are kept.
    seed: seed of the approximate components of the initialisation.

  Returns:
    points.

  Raises:
    ValueError: a perplexity out of range, or features that are all equal or have one dimension.
    ImportError: scikit-learn is missing.

  Source: van der Maaten & Hinton 2008; van der Maaten 2014, Accelerating t-SNE using tree-based
    algorithms.
  """
  features = checked(features)
  most = (len(features) - 1) / 3
  if not 1 <= perplexity <= most:
    advice = f'use 1 to {int(most)}' if most >= 1 else 'give at least 4'
    raise ValueError(
      f'perplexity={perplexity} is out of range for {len(features)} examples: {advice}'
    )
  if features.shape[1] < 2 or not np.ptp(features, axis=0).any():
    raise ValueError(
      f'features of shape {features.shape} do not differ, or have one dimension: take another layer'
    )
  try:
    from sklearn.manifold import TSNE
  except ImportError as error:
    raise ImportError(f't-SNE needs scikit-learn ({error}): pip install scikit-learn') from error
  method = TSNE(perplexity=perplexity, random_state=seed, init='pca', learning_rate='auto')
  with one_thread():  # t-SNE magnifies the last digit
    return method.fit_transform(features)
