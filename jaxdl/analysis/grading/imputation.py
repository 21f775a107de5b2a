"""Noisy linear imputation: removed pixels become weighted means of their neighbours."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Integer

from jaxdl.analysis import units
from jaxdl.analysis.grading import removal
from jaxdl.analysis.units import AnyArray, Variables

TOLERANCE = 1e-4  # residual of the linear system, relative to its right side
ITERATIONS = 200  # of conjugate gradients, at most


def impute(
  images: Float[AnyArray, 'B H W C'], removed: Bool[AnyArray, 'B H W']
) -> Float[Array, 'B H W C']:
  """Each removed pixel as the weighted mean of its up to eight neighbours (a pure function).

  The weights are 1/6 for the four direct neighbours and 1/12 for the diagonal ones, divided by
  their sum at an edge of the image. Neighbours may be removed too: the result solves a system of
  linear equations, here by conjugate gradients.

  Args:
    images: [B, H, W, C].
    removed: [B, H, W]; at least one pixel of each image is not removed.

  Returns:
    images; pixels that are not removed are unchanged.

  Source: Rong et al. 2022, A consistent and efficient evaluation strategy for attribution methods,
    section 4.3.
  """
  images = jnp.asarray(images)
  return jax.vmap(_imputed)(images, jnp.asarray(removed))


def _imputed(image, removed):
  removed = removed[..., None]
  rows, columns = (jnp.asarray(_smoothing(size), image.dtype) for size in image.shape[:2])

  def around(values):
    """Weighted sum of the neighbours: (1, 2, 1) × (1, 2, 1) / 12 without the middle, 4 / 12."""
    return (jnp.einsum('rh,hwc,sw->rsc', rows, values, columns) - 4 * values) / 12

  total = around(jnp.ones_like(image))

  def system(values):
    return jnp.where(removed, total * values - around(values), values)

  known = jnp.where(removed, 0, image)
  right = jnp.where(removed, around(known), 0)
  found, _ = jax.scipy.sparse.linalg.cg(system, right, tol=TOLERANCE, maxiter=ITERATIONS)
  return jnp.where(removed, found, image)


def _smoothing(size):
  """Matrix [size, size] of the sums with the weights 1, 2, 1."""
  return 2 * np.eye(size) + np.eye(size, k=1) + np.eye(size, k=-1)


def normal(images: Float[np.ndarray, 'B ...'], seed: int) -> Float[np.ndarray, 'B ...']:
  """Normal numbers of the shape of the images; those of an image depend on seed and index only."""
  keys = units.keys_of(jax.random.PRNGKey(seed), len(images))
  return np.asarray(
    jax.vmap(lambda key: jax.random.normal(key, images.shape[1:], images.dtype))(keys)
  )


def probabilities_without(
  model: nn.Module,
  variables: Variables,
  images: Float[AnyArray, 'B H W C'],
  target: Integer[AnyArray, 'B'],
  ranks: Integer[AnyArray, 'B H W'],
  noise: Float[AnyArray, 'B H W C'],
  *,
  counts: tuple[int, ...],
) -> Float[Array, 'B S']:
  """Probability of the class without the first pixels, imputed with noise (a pure function).

  Args:
    model: linen module.
    variables: its variables.
    images: [B, H, W, C].
    target: classes [B] int.
    ranks: order of the pixels, from 0.
    noise: added to removed pixels.
    counts: numbers of removed pixels.

  Returns:
    probabilities.
  """
  removed = ranks < jnp.asarray(counts).reshape(-1, 1, 1, 1)  # [S, B, H, W]
  changed = jax.vmap(impute, (None, 0))(images, removed)
  changed = jnp.where(removed[..., None], changed + noise, changed)
  flat = changed.reshape(-1, *images.shape[1:])
  targets = units.tiled(target, len(counts))
  found = removal.probabilities(model, variables, flat, jnp.asarray(targets))
  return found.reshape(len(counts), -1).T
