"""The image that excites a unit most, by gradient ascent."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl.analysis import parametrisation, units
from jaxdl.analysis.gradients import labels_of, program
from jaxdl.analysis.units import Neuron


def maximize(
  model,
  variables,
  target,
  *,
  shape,
  n=1,
  steps=256,
  rate=0.05,
  parametrised_by='fourier',
  low=0.0,
  high=1.0,
  jitter=1,
  total_variation=0.0,
  blur=0.0,
  seed=0,
):
  """Gradient ascent on images for a logit or a unit, all images at once.

  Each step sees the images rolled by up to `jitter` pixels, but for the second half, which fits
  them to where the unit stands. Where a ReLU network lets no gradient through at all, as from a
  unit that is off, it lets through what would switch units on. A unit that stays off leaves an
  image with little in it: look at what `activations` says of it.

  Args:
    model, variables: linen module and its variables.
    target: int, [n] int, the class of each image, or Neuron.
    shape: (H, W, C) of an image.
    n: int, images, each from a noise of its own.
    steps: int, of Adam.
    rate: Adam's learning rate, on the scale of the logistic function's input.
    parametrised_by: 'fourier' | 'pixels'.
    low, high: numbers or [C] between which the images lie, the range of the data.
    jitter: int, pixels; 0 for none.
    total_variation: weight of the sum of absolute differences between neighbours.
    blur: weight of half the squared distance to the blurred image: its gradient moves the image
      towards that.
    seed: int.

  Returns:
    [n, H, W, C] float32.

  Raises:
    ValueError: a target that there is not, a shape that the model does not take, an unknown
      parametrisation, a range that is none, negative steps, jitter or weights.

  Source: Erhan et al. 2009, Visualizing higher-layer features of a deep network, section 3; Olah et
  al. 2017, Feature visualization.
  """
  _check(shape, n, steps, low, high, jitter=jitter, total_variation=total_variation, blur=blur)
  decode, begin = parametrisation.named(parametrised_by, shape)
  labels = (
    labels_of(range(n), target)
    if isinstance(target, Neuron)
    else np.array(np.broadcast_to(target, n))
  )
  explained = target if isinstance(target, Neuron) else labels
  units.check_target(model, variables, np.empty((n, *shape), np.float32), explained)
  if getattr(model, 'activation', None) is nn.relu:
    model = model.clone(activation=redirected_relu)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.PRNGKey(seed), np.arange(n))
  start = np.stack([begin(np.random.default_rng((seed, number))) for number in range(n)])
  compiled = program(_ascend, model, variables, target, decode=decode, steps=steps, jitter=jitter)
  weights = jnp.asarray([total_variation, blur], jnp.float32)
  bounds = jnp.stack(
    [jnp.broadcast_to(jnp.asarray(bound, jnp.float32), shape[-1]) for bound in (low, high)]
  )
  return np.asarray(compiled(start, labels, keys, bounds, weights, rate))


def _ascend(model, variables, start, target, keys, bounds, weights, rate, *, decode, steps, jitter):
  optimizer = optax.scale_by_adam()

  def images_of(parameters):
    return bounds[0] + (bounds[1] - bounds[0]) * jax.nn.sigmoid(
      jax.vmap(decode)(parameters)
    )  # [n, H, W, C]

  def loss(parameters, step):
    images = images_of(parameters)
    seen = jax.vmap(functools.partial(_rolled, reach=jitter, step=step))(images, keys)
    images_seen = jnp.where(step < steps // 2, seen, images)
    return -units.scores(model, variables, images_seen, target).sum() + weights @ _roughness(images)

  def ascend(state, step):
    parameters, moments = state
    updates, moments = optimizer.update(jax.grad(loss)(parameters, step), moments)
    return (
      jax.tree.map(lambda value, change: value - rate * change, parameters, updates),
      moments,
    ), None

  (parameters, _), _ = jax.lax.scan(ascend, (start, optimizer.init(start)), jnp.arange(steps))
  return images_of(parameters)


def _rolled(image, key, *, reach, step):
  shift = jax.random.randint(jax.random.fold_in(key, step), (2,), -reach, reach + 1)
  return jnp.roll(image, shift, (0, 1))


def _roughness(images):
  """Total variation, and half the squared distance to the blurred images, of all images together:
  [2].
  """
  variation = sum(jnp.abs(jnp.diff(images, axis=axis)).sum() for axis in (1, 2))
  blurred = images
  for axis in (1, 2):
    ends = [(1, 1) if axis == dimension else (0, 0) for dimension in range(4)]
    wide, size = jnp.pad(blurred, ends, mode='edge'), images.shape[axis]
    parts = [jax.lax.slice_in_dim(wide, begin, begin + size, axis=axis) for begin in range(3)]
    blurred = parts[0] / 4 + parts[1] / 2 + parts[2] / 4  # binomial
  return jnp.stack([variation, jnp.square(images - jax.lax.stop_gradient(blurred)).sum() / 2])


@jax.custom_vjp
def redirected_relu(inputs):
  """ReLU whose gradient, where none of an image would go back, is what switches inputs on that are
  off.

  It is made for a loss that falls where the score grows: a negative gradient is one that asks for
    more.

  Source: Olah et al. 2017's library Lucid, redirected_relu_grad.
  """
  return nn.relu(inputs)


def _redirect(inputs, signal):
  ordinary = jnp.where(inputs > 0, signal, 0)
  axes = tuple(range(1, inputs.ndim))
  blocked = (ordinary == 0).all(axes, keepdims=True)  # of an image
  return (jnp.where(blocked, jnp.where((inputs > 0) | (signal < 0), signal, 0), ordinary),)


redirected_relu.defvjp(lambda inputs: (nn.relu(inputs), inputs), _redirect)


def _check(shape, n, steps, low, high, **weights):
  if len(shape) != 3:
    raise ValueError(f'shape={shape} is not that of an image: give (H, W, C)')
  if n < 1 or steps < 1:
    raise ValueError(f'n={n} and steps={steps}: use at least one image and one step')
  if not np.all(np.less(low, high)):
    raise ValueError(f'low={low} is not below high={high}: give the range of the data')
  for name, weight in weights.items():
    if weight < 0:
      raise ValueError(f'{name}={weight} is negative: use 0 or more')
