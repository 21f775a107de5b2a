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
from jaxdl.analysis.maps.gradients import labels_of, program
from jaxdl.analysis.units import AnyArray, ArrayLike, Neuron, Number, Target, Variables

EDGE = 0.02  # least distance of a start from the bounds, as a share of the range


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
  turn: Number = 0.0,
  zoom: Number = 0.0,
  total_variation: ArrayLike = 0.0,
  blur: ArrayLike = 0.0,
  diversity: Number = 0.0,
  start: ArrayLike | None = None,
  inside: ArrayLike | None = None,
  seed: int = 0,
) -> Float32[np.ndarray, 'n H W C']:
  """Gradient ascent on images for a logit or a unit, all images at once.

  In the first half of the steps, the network sees the images shifted, rotated and scaled at random,
  another way in each step. The second half fits them to the position of the unit. Each image is the
  best one of the second half by its score less the regularisation, measured without
  transformations. The score of an image that starts from a given picture is never below that of
  the picture.

  Where no gradient passes through the ReLUs of a network at all, as for a unit that is off, the
  ReLUs pass the gradient that would switch units on. A unit that stays off leaves an image with
  little in it: check its output with `activations`.

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
    jitter: most pixels of a shift; 0 for none.
    turn: greatest rotation about the middle of the image, in degrees; 0 for none.
    zoom: greatest change of the size about the middle of the image, as a share; 0 for none.
    total_variation: weight of the sum of absolute differences between neighbouring pixels, a number
      or one for each image.
    blur: weight of half the squared distance to the blurred image, whose gradient moves the image
      towards the blurred one, a number or one for each image.
    diversity: in the first half, images of the same unit are moved apart. The weight is the share
      of an image's score that it would give up for features that differ from those of the other
      images: the cosine similarity between the Gram matrices of the unit's layer.
    start: [n, H, W, C] pictures from which images start; NaN in those that start from noise. None
      for noise.
    inside: [n, H, W] bool, the pixels that change; others are in the middle of the range. None
      for all.
    seed: seed of the noise and the transformations.

  Returns:
    images.

  Raises:
    ValueError: a target that does not exist, a shape that the model does not accept, an unknown
      parametrisation, an empty range, negative steps, jitter or weights, a zoom of 1 or more,
      diversity of classes, or `start` or `inside` of another shape.

  Source: Erhan et al. 2009, Visualizing higher-layer features of a deep network, section 3; Olah et
  al. 2017, Feature visualization.
  """
  weights = {'total_variation': total_variation, 'blur': blur, 'diversity': diversity}
  _check(shape, n, steps, low, high, jitter=jitter, turn=turn, zoom=zoom, **weights)
  if zoom >= 1:
    raise ValueError(f'zoom={zoom} is too great: use less than 1')
  form = parametrisation.named(parametrised_by, shape)
  if isinstance(target, Neuron):
    explained, labels = target, labels_of(range(n), target)
  elif diversity:
    raise ValueError(f'diversity={diversity} compares the images of a unit: give a Neuron')
  else:
    explained = labels = np.array(np.broadcast_to(target, n))
  units.check_target(model, variables, np.empty((n, *shape), np.float32), explained)
  if getattr(model, 'activation', None) is nn.relu:
    model = model.clone(activation=redirected_relu)
  bounds = bounds_of(low, high, shape[-1])
  given = _given('start', start, (n, *shape), np.full((n, *shape), np.nan), np.float32)
  changing = _given('inside', inside, (n, *shape[:2]), np.ones((n, *shape[:2])), bool)
  starts = [_parameters(form, number, seed, given[number], bounds) for number in range(n)]
  compiled = program(
    _ascend,
    model,
    variables,
    target,
    decode=form.decode,
    steps=steps,
    moves=(jitter, float(turn), float(zoom)),
    diverse=diversity > 0,
  )
  keys = units.keys_of(jax.random.PRNGKey(seed), n)
  numbers = np.stack(
    [np.broadcast_to(np.asarray(weight, np.float32), n) for weight in weights.values()], -1
  )
  return np.asarray(
    compiled(np.stack(starts), labels, keys, given, changing, bounds, numbers, np.float32(rate))
  )


def bounds_of(low: ArrayLike, high: ArrayLike, channels: int) -> Float32[np.ndarray, '2 C']:
  """The lower and upper bound of each channel.

  Args:
    low, high: as in `maximize`.
    channels: number C of channels.
  """
  return np.stack(
    [np.broadcast_to(np.asarray(bound, np.float32), channels) for bound in (low, high)]
  )


def _given(name, value, shape, default, dtype):
  """An optional array of a shape."""
  found = default if value is None else np.asarray(value)
  if found.shape != shape:
    raise ValueError(f'{name} has the shape {found.shape}: give {shape}')
  return found.astype(dtype)


def _parameters(form, number, seed, picture, bounds):
  """Parameters of the first image: noise, or a picture [H, W, C] without NaN."""
  if np.isnan(picture).any():
    return form.initialise(np.random.default_rng((seed, number)))
  share = np.clip((picture - bounds[0]) / (bounds[1] - bounds[0]), EDGE, 1 - EDGE)
  return form.encode(np.log(share / (1 - share)))


def _ascend(
  model,
  variables,
  parameters,
  target,
  keys,
  start,
  inside,
  bounds,
  weights,
  rate,
  *,
  decode,
  steps,
  moves,
  diverse,
):
  optimizer, middle = optax.scale_by_adam(), bounds.mean(0)
  from_picture = jnp.isfinite(start).all((1, 2, 3))

  def images_of(parameters):
    share = jax.nn.sigmoid(jax.vmap(decode)(parameters))
    images = bounds[0] + (bounds[1] - bounds[0]) * share
    return jnp.where(inside[..., None], images, middle)  # [n, H, W, C]

  def score(images):
    """Scores without diversity [n], and the outputs of the unit's layer."""
    if not isinstance(target, Neuron):
      return units.scores(model, variables, images, target), None
    output = units.outputs(model, variables, images, [target.layer])[1][target.layer]
    return units.selected(output, target), output

  def loss(parameters, step):
    images = images_of(parameters)
    seen = jax.lax.cond(
      step < steps // 2, lambda: _moved(images, keys, step, moves), lambda: images
    )
    values, output = score(seen)
    objective = values - (_roughness(images) * weights[:, :2]).sum(-1)
    total = -objective.sum()
    if diverse and output is not None:
      price = weights[:, 2] * jax.lax.stop_gradient(jnp.abs(values)) * _likeness(output, target)
      total += jnp.where(step < steps // 2, price.sum(), 0)
    return total, (images, values, objective)

  def ascend(state, step):
    parameters, moments, best, most = state
    updates, (images, values, objective) = jax.grad(loss, has_aux=True)(parameters, step)
    better = (values >= least) & (objective >= most) & (step >= steps // 2)
    best = jnp.where(better[:, None, None, None], images, best)
    most = jnp.where(better, objective, most)
    updates, moments = optimizer.update(updates, moments)
    return (parameters - rate * updates, moments, best, most), None

  first = jnp.where(from_picture[:, None, None, None], start, middle)
  first = jnp.where(inside[..., None], jnp.clip(first, *bounds), middle)
  least = jnp.where(from_picture, score(first)[0], -jnp.inf)
  # A picture is kept only if no image reaches its score.
  start = (parameters, optimizer.init(parameters), first, jnp.full_like(least, -jnp.inf))
  (_, _, best, _), _ = jax.lax.scan(ascend, start, jnp.arange(steps + 1))
  return best


def _moved(images, keys, step, moves):
  """The images as a step sees them: shifted, and rotated and scaled about the middle."""
  jitter, turn, zoom = moves
  keys = jax.vmap(jax.random.fold_in, (0, None))(keys, step)
  images = jax.vmap(functools.partial(_rolled, reach=jitter))(images, keys)
  if not (turn or zoom):
    return images
  return jax.vmap(functools.partial(_turned, turn=turn, zoom=zoom))(images, keys)


def _rolled(image, key, *, reach):
  return jnp.roll(image, jax.random.randint(key, (2,), -reach, reach + 1), (0, 1))


def _turned(image, key, *, turn, zoom):
  """An image [H, W, C] rotated and scaled at random, interpolated linearly."""
  share = jax.random.uniform(jax.random.fold_in(key, 1), (2,), minval=-1, maxval=1)
  angle, size = jnp.deg2rad(turn) * share[0], 1 + zoom * share[1]
  middle = [(length - 1) / 2 for length in image.shape[:2]]
  rows, columns = jnp.meshgrid(
    *(jnp.arange(length) - at for length, at in zip(image.shape, middle, strict=False)),
    indexing='ij',
  )
  places = [
    (jnp.cos(angle) * rows - jnp.sin(angle) * columns) / size + middle[0],
    (jnp.sin(angle) * rows + jnp.cos(angle) * columns) / size + middle[1],
  ]
  sample = functools.partial(
    jax.scipy.ndimage.map_coordinates, coordinates=places, order=1, mode='nearest'
  )
  return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)


def _likeness(output: Float[AnyArray, 'n *places F'], target: Neuron) -> Float[Array, 'n']:
  """Mean cosine similarity between the Gram matrix of each image and those of the same unit."""
  features = output.reshape(len(output), -1, output.shape[-1])
  gram = jnp.einsum('npf,npg->nfg', features, features).reshape(len(output), -1)
  gram /= jnp.sqrt(jnp.square(gram).sum(-1, keepdims=True) + 1e-12)
  channels = jnp.asarray(target.channel)
  same = channels[:, None] == channels
  if target.position is not None:
    positions = jnp.asarray(target.position)
    same &= (positions[:, None] == positions).all(-1)
  same &= ~jnp.eye(len(output), dtype=bool)
  return (gram @ gram.T * same).sum(-1) / jnp.maximum(same.sum(-1), 1)


def _roughness(images: Float[Array, 'n H W C']) -> Float[Array, 'n 2']:
  """Total variation of each image, and half its squared distance to the blurred image."""
  variation = sum(jnp.abs(jnp.diff(images, axis=axis)).sum((1, 2, 3)) for axis in (1, 2))
  blurred = images
  for axis in (1, 2):
    ends = [(1, 1) if axis == dimension else (0, 0) for dimension in range(4)]
    wide, size = jnp.pad(blurred, ends, mode='edge'), images.shape[axis]
    parts = [jax.lax.slice_in_dim(wide, begin, begin + size, axis=axis) for begin in range(3)]
    blurred = parts[0] / 4 + parts[1] / 2 + parts[2] / 4  # binomial
  distance = jnp.square(images - jax.lax.stop_gradient(blurred)).sum((1, 2, 3)) / 2
  return jnp.stack([variation, distance], -1)


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
    if np.min(weight) < 0:
      raise ValueError(f'{name}={weight} is negative: use 0 or more')
