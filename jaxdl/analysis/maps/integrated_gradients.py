"""Integrated gradients."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64, Shaped

from jaxdl.analysis import units
from jaxdl.analysis.maps.gradients import baselines_of, batched, check, gradient, say_silent
from jaxdl.analysis.units import BATCH, AnyArray, ArrayLike, Target, Variables


class Integrated(NamedTuple):
  """Integrated gradients.

  Attributes:
    maps: maps of the shape of the images.
    gap: sum of each map minus the difference of the target between image and baseline: the error
      of the quadrature over `steps` points.
  """

  maps: Float[np.ndarray, 'B *pixels']
  gap: Float64[np.ndarray, 'B']


def integrated_gradients(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  *,
  baseline: ArrayLike = 0.0,
  steps: int = 64,
  batch_size: int = BATCH,
) -> Integrated:
  """Image minus baseline, times the mean gradient on the straight line between them.

  The mean is a Gauss–Legendre quadrature. A Neuron without a position is taken at its strongest
  position at each point of the line. More steps need more time, but no more memory.

  Args:
    model: linen module.
    variables: its variables.
    images: [B, H, W, C] floating point.
    target: classes [B] int, or Neuron.
    baseline: number or array that broadcasts to the images, on their scale: black is −1 where they
      run from −1 to 1.
    steps: points of the quadrature. The network is piecewise linear, so the gap does not shrink at
      a fixed rate.
    batch_size: images in one compiled call.

  Returns:
    Integrated(maps, gap).

  Raises:
    ValueError: images or a target that do not fit, a baseline of another shape, or fewer than one
      step.

  Source: Sundararajan et al. 2017, Axiomatic attribution for deep networks, section 3.
  """
  images = check(model, variables, images, target)
  if steps < 1:
    raise ValueError(f'steps={steps} is not a number of points: use at least 1')
  baselines = baselines_of(baseline, images)
  maps, change = batched(
    _integrate, model, variables, images, target, baselines, batch_size=batch_size, steps=steps
  )
  total = maps.reshape(len(maps), -1).sum(1, dtype=np.float64)
  return Integrated(say_silent(maps, target), total - change)


def _integrate(model, variables, images, target, baselines, *, steps):
  points, weights = np.polynomial.legendre.leggauss(steps)  # on −1..1

  def add(total, point):
    place, weight = point
    here = baselines + (images - baselines) * place
    return total + weight * gradient(model, variables, here, target), None

  path = jnp.asarray((points + 1) / 2, images.dtype), jnp.asarray(weights / 2, images.dtype)
  mean, _ = jax.lax.scan(add, jnp.zeros_like(images), path)
  ends = [units.scores(model, variables, end, target) for end in (images, baselines)]
  return (images - baselines) * mean, ends[0] - ends[1]
