"""Integrated gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.analysis import units
from jaxdl.analysis.gradients import batched, check, gradient, say_silent
from jaxdl.analysis.units import BATCH


class Integrated(NamedTuple):
  """Integrated gradients.

  Attributes:
    maps: [B, H, W, C].
    gap: [B], the sum of the map minus the difference of the target between image and baseline: what
      the sum over `steps` points misses of the integral.
  """

  maps: np.ndarray
  gap: np.ndarray


def integrated_gradients(
  model, variables, images, target, *, baseline=0.0, steps=64, batch_size=BATCH
):
  """The image minus a baseline, times the gradient's mean over the straight line between them, by
  Gauss–Legendre.

  A Neuron without a position is taken at its strongest place at each point of the line. More steps
  need more time, never more memory.

  Args:
    model, variables: linen module and its variables.
    images: [B, H, W, C] floating.
    target: [B] int or Neuron.
    baseline: number or array that fits [B, H, W, C], on the scale of the images: black is −1 where
      they run from −1 to 1.
    steps: int, points of the quadrature; the network is piecewise linear, so that the gap shrinks
      without a rule.
    batch_size: int, images of one compiled call.

  Returns:
    Integrated(maps, gap).

  Raises:
    ValueError: images or a target that do not fit, a baseline of another shape, fewer than one
      step.

  Source: Sundararajan et al. 2017, Axiomatic attribution for deep networks, section 3.
  """
  images = check(model, variables, images, target)
  if steps < 1:
    raise ValueError(f'steps={steps} is no number of points: use at least 1')
  try:
    begins = np.broadcast_to(np.asarray(baseline, images.dtype), images.shape)
  except ValueError:
    raise ValueError(
      f'baseline of shape {np.shape(baseline)} does not fit images of shape {images.shape}: give a '
      'number, one a channel, or an image'
    ) from None
  maps, change = batched(
    _integrate, model, variables, images, target, begins, batch_size=batch_size, steps=steps
  )
  total = maps.reshape(len(maps), -1).sum(1, dtype=np.float64)
  return Integrated(say_silent(maps, target), total - change)


def _integrate(model, variables, images, target, begins, *, steps):
  points, weights = np.polynomial.legendre.leggauss(steps)  # on −1..1

  def add(total, point):
    place, weight = point
    here = begins + (images - begins) * place
    return total + weight * gradient(model, variables, here, target), None

  path = jnp.asarray((points + 1) / 2, images.dtype), jnp.asarray(weights / 2, images.dtype)
  mean, _ = jax.lax.scan(add, jnp.zeros_like(images), path)
  ends = [units.scores(model, variables, end, target) for end in (images, begins)]
  return (images - begins) * mean, ends[0] - ends[1]
