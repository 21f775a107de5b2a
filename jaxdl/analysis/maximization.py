"""Activation maximization: the image that excites a unit most, by gradient ascent."""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float, Float32

from jaxdl.analysis import parametrisation, units
from jaxdl.analysis.gradients import labels_of, program
from jaxdl.analysis.units import ArrayLike, Neuron, Number, Target, Variables


def maximize(
  model: nn.Module,
  variables: Variables,
  target: Target,
  *,
  shape: Sequence[int],
  n: int = 1,
  steps: int = 256,
  rate: Number = 0.05,
  parametrised_by: str = 'fourier',
  low: ArrayLike = 0.0,
  high: ArrayLike = 1.0,
  jitter: int = 1,
  total_variation: Number = 0.0,
  blur: Number = 0.0,
  seed: int = 0,
) -> Float32[np.ndarray, 'n H W C']:
  """Gradient ascent on images for a logit or a unit, all images at once.

  Each step of the first half sees the images rolled by up to `jitter` pixels; the second half fits
  them to the position of the unit. Where no gradient passes through the ReLUs of a network at all,
  as for a unit that is off, the ReLUs pass the gradient that would switch units on. A unit that
  stays off leaves an image with little in it: check its output with `activations`.

  Args:
    model: linen module.
    variables: its variables.
    target: class of all images (int) or of each ([n] int), or Neuron.
    shape: (H, W, C) of an image.
    n: number of images, each initialised with its own noise.
    steps: steps of Adam.
    rate: learning rate of Adam, on the scale of the logistic function's input.
    parametrised_by: 'fourier' | 'pixels'.
    low: lower bound of the images, a number or [C]; the least number of the data.
    high: upper bound of the images, a number or [C]; the greatest number of the data.
    jitter: pixels; 0 for none.
    total_variation: weight of the sum of absolute differences between neighbouring pixels.
    blur: weight of half the squared distance to the blurred image, whose gradient moves the image
      towards the blurred one.
    seed: seed of the noise and the jitter.

  Returns:
    images.

  Raises:
    ValueError: a target that does not exist, a shape that the model does not accept, an unknown
      parametrisation, an empty range, or negative steps, jitter or weights.

  Source: Erhan et al. 2009, Visualizing higher-layer features of a deep network, section 3; Olah et
  al. 2017, Feature visualization.
  """
  _check(shape, n, steps, low, high, jitter=jitter, total_variation=total_variation, blur=blur)
  decode, begin = parametrisation.named(parametrised_by, shape)
  if isinstance(target, Neuron):
    explained, labels = target, labels_of(range(n), target)
  else:
    explained = labels = np.array(np.broadcast_to(target, n))
  units.check_target(model, variables, np.empty((n, *shape), np.float32), explained)
  if getattr(model, 'activation', None) is nn.relu:
    model = model.clone(activation=redirected_relu)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.PRNGKey(seed), np.arange(n))
  start = np.stack([begin(np.random.default_rng((seed, number))) for number in range(n)])
  compiled = program(_ascend, model, variables, target, decode=decode, steps=steps, jitter=jitter)
  weights = jnp.asarray([total_variation, blur], jnp.float32)
  bounds = [jnp.broadcast_to(jnp.asarray(bound, jnp.float32), shape[-1]) for bound in (low, high)]
  return np.asarray(compiled(start, labels, keys, jnp.stack(bounds), weights, rate))


def _ascend(model, variables, start, target, keys, bounds, weights, rate, *, decode, steps, jitter):
  optimizer = optax.scale_by_adam()

  def images_of(parameters):
    share = jax.nn.sigmoid(jax.vmap(decode)(parameters))
    return bounds[0] + (bounds[1] - bounds[0]) * share  # [n, H, W, C]

  def loss(parameters, step):
    images = images_of(parameters)
    seen = jax.vmap(functools.partial(_rolled, reach=jitter, step=step))(images, keys)
    images_seen = jnp.where(step < steps // 2, seen, images)
    return -units.scores(model, variables, images_seen, target).sum() + weights @ _roughness(images)

  def ascend(state, step):
    parameters, moments = state
    updates, moments = optimizer.update(jax.grad(loss)(parameters, step), moments)
    parameters = jax.tree.map(lambda value, change: value - rate * change, parameters, updates)
    return (parameters, moments), None

  (parameters, _), _ = jax.lax.scan(ascend, (start, optimizer.init(start)), jnp.arange(steps))
  return images_of(parameters)


def _rolled(image, key, *, reach, step):
  shift = jax.random.randint(jax.random.fold_in(key, step), (2,), -reach, reach + 1)
  return jnp.roll(image, shift, (0, 1))


def _roughness(images: Float[Array, 'n H W C']) -> Float[Array, '2']:
  """Total variation, and half the squared distance to the blurred images; sums over all images."""
  variation = sum(jnp.abs(jnp.diff(images, axis=axis)).sum() for axis in (1, 2))
  blurred = images
  for axis in (1, 2):
    ends = [(1, 1) if axis == dimension else (0, 0) for dimension in range(4)]
    wide, size = jnp.pad(blurred, ends, mode='edge'), images.shape[axis]
    parts = [jax.lax.slice_in_dim(wide, begin, begin + size, axis=axis) for begin in range(3)]
    blurred = parts[0] / 4 + parts[1] / 2 + parts[2] / 4  # binomial
  return jnp.stack([variation, jnp.square(images - jax.lax.stop_gradient(blurred)).sum() / 2])


@jax.custom_vjp
def redirected_relu(inputs: Float[Array, '*shape']) -> Float[Array, '*shape']:
  """ReLU that passes gradients to inputs that are off, in images where no other gradient passes.

  Only negative gradients pass to these inputs: the loss is minus the score, so that they switch the
  inputs on.

  Source: Olah et al. 2017's library Lucid, redirected_relu_grad.
  """
  return nn.relu(inputs)


def _redirect(inputs, signal):
  ordinary = jnp.where(inputs > 0, signal, 0)
  axes = tuple(range(1, inputs.ndim))
  blocked = (ordinary == 0).all(axes, keepdims=True)  # for each image
  redirected = jnp.where((inputs > 0) | (signal < 0), signal, 0)
  return (jnp.where(blocked, redirected, ordinary),)


redirected_relu.defvjp(lambda inputs: (nn.relu(inputs), inputs), _redirect)


def _check(shape, n, steps, low, high, **weights):
  if len(shape) != 3:
    raise ValueError(f'shape={shape} is not the shape of an image: give (H, W, C)')
  if n < 1 or steps < 1:
    raise ValueError(f'n={n} and steps={steps}: use at least one image and one step')
  if not np.all(np.less(low, high)):
    raise ValueError(f'low={low} is not below high={high}: give the range of the data')
  for name, weight in weights.items():
    if weight < 0:
      raise ValueError(f'{name}={weight} is negative: use 0 or more')
