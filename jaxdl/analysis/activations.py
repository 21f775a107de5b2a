"""What the layers of a network put out."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.analysis import batches, units


def activations(model, variables, images, layers=None, batch_size=units.BATCH):
  """Outputs of named layers after their activation, in evaluation mode, computed in batches.

  Args:
    model: linen module.
    variables: its variables.
    images: [N, …] inputs, scaled as in training.
    layers: names; None for every layer.
    batch_size: int, images of one compiled call.

  Returns:
    layer name → [N, …] NumPy array, in the order of the layers.

  Raises:
    ValueError: an unknown layer (the message lists the names), or images of a shape that the model
      does not take.
  """
  known = units.check_layers(model, variables, images, layers or ())
  wanted = [name for name in known if layers is None or name in layers]
  found = {name: np.empty((len(images), *known[name]), np.float32) for name in wanted}
  compiled = jax.jit(lambda variables, images: units.outputs(model, variables, images, wanted)[1])
  for where, part in batches.in_batches(
    functools.partial(compiled, variables), images, batch_size=batch_size
  ):
    for name in wanted:
      found[name][where] = part[name]
  return found


class Channels(NamedTuple):
  """Statistics of each channel of a layer, over all images and places.

  Attributes:
    mean, std, min, max: [C] float64; the deviation is that of the whole population.
    zeros: [C] float64, the share that is exactly 0.
    dead: [C] bool, the channel is never above 0.
    dead_units: [*places, C] bool, the unit is never above 0.
  """

  mean: np.ndarray
  std: np.ndarray
  min: np.ndarray
  max: np.ndarray
  zeros: np.ndarray
  dead: np.ndarray
  dead_units: np.ndarray


class Statistics(NamedTuple):
  """What `statistics` finds.

  Attributes:
    table: list of dicts, a row a layer: 'layer', 'images', 'units', 'channels', 'mean', 'std',
      'min', 'max', 'zeros' (the share that is exactly 0), 'dead_units', 'dead_channels' (how many
      are never above 0); plain numbers.
    channels: layer name → Channels.
  """

  table: list
  channels: dict


def statistics(model, variables, images, layers=None, batch_size=units.BATCH):
  """Mean, deviation, range, exact zeros and dead units of layers, in one pass and the memory of two
  batches.

  Deviations are sums of squares about a mean of each batch, merged in float64: E[x²] − E[x]² would
  lose all digits where the mean is large. A layer that may well be negative (logits, tanh) has dead
  units by the same rule: never above 0.

  Args:
    model: linen module.
    variables: its variables.
    images: [N, …] inputs, scaled as in training, or an iterable of such arrays of any lengths, read
      once.
    layers: names; None for every layer.
    batch_size: int, images of one compiled call.

  Returns:
    Statistics.

  Raises:
    ValueError: an unknown layer (the message lists the names), no images, or images that the model
      does not take.

  Source: Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance.
  """
  first, images = batches.first_of(images)
  known = units.check_layers(model, variables, first, layers or ())
  wanted = [name for name in known if layers is None or name in layers]

  @jax.jit
  def summarise(variables, images, real):
    found = units.outputs(model, variables, images, wanted)[1]
    return {name: _sums(outputs, jnp.arange(len(images)) < real) for name, outputs in found.items()}

  totals = {}
  for batch, real in batches.rebatched(images, batch_size):
    for name, sums in jax.device_get(summarise(variables, batch, real)).items():
      part = _moments(sums, real)
      totals[name] = _merged(totals[name], part) if name in totals else part
  channels = {name: _channels(totals[name]) for name in wanted}
  return Statistics([_row(name, totals[name], channels[name]) for name in wanted], channels)


def _sums(outputs, real):
  """What each unit puts out, over the real examples of a batch: [B, *unit], [B] bool → name →
  [*unit].

  The examples are added one after another, which leaves the sums in the processor's cache: on a CPU
  this is seven times as fast as to reduce the whole batch.
  """

  def extend(carry, following):
    total, low, high, zeros = carry
    example, real = following
    return (
      total + jnp.where(real, example, 0),
      jnp.where(real, jnp.minimum(low, example), low),
      jnp.where(real, jnp.maximum(high, example), high),
      zeros + (real & (example == 0)),
    ), None

  def deviate(carry, following):
    example, real = following
    apart = jnp.where(real, example - middle, 0)
    return (carry[0] + apart, carry[1] + jnp.square(apart)), None

  nothing = jnp.zeros_like(outputs[0])
  beginning = (
    nothing,
    jnp.full_like(nothing, jnp.inf),
    jnp.full_like(nothing, -jnp.inf),
    nothing.astype(jnp.int32),
  )
  (total, low, high, zeros), _ = jax.lax.scan(extend, beginning, (outputs, real))
  middle = (
    total / real.sum()
  )  # rounded, which is no matter: the sums below are exact about any number near the mean
  (apart, squares), _ = jax.lax.scan(deviate, (nothing, nothing), (outputs, real))
  return {
    'middle': middle,
    'apart': apart,
    'squares': squares,
    'min': low,
    'max': high,
    'zeros': zeros,
  }


def _moments(sums, count):
  """The sums of a batch as 'count', 'mean', 'squares' (their sum about the mean), 'min', 'max' and
  'zeros', float64.
  """
  sums = {name: values.astype(np.float64) for name, values in sums.items()}
  return {
    'count': count,
    'mean': sums['middle'] + sums['apart'] / count,
    'squares': sums['squares'] - np.square(sums['apart']) / count,
    'min': sums['min'],
    'max': sums['max'],
    'zeros': sums['zeros'],
  }


def _merged(one, other):
  """The moments of both together."""
  count, difference = one['count'] + other['count'], other['mean'] - one['mean']
  share = other['count'] / count
  return {
    'count': count,
    'mean': one['mean'] + difference * share,
    'squares': one['squares'] + other['squares'] + np.square(difference) * one['count'] * share,
    'min': np.minimum(one['min'], other['min']),
    'max': np.maximum(one['max'], other['max']),
    'zeros': one['zeros'] + other['zeros'],
  }


def _channels(total):
  places = tuple(range(total['mean'].ndim - 1))
  highest = total['max'].max(places)  # [C]
  mean = total['mean'].mean(places)  # of means, for all units have as many numbers
  variance = (total['squares'] / total['count'] + np.square(total['mean'] - mean)).mean(places)
  zeros = total['zeros'].mean(places) / total['count']
  return Channels(
    mean=mean,
    std=np.sqrt(variance),
    min=total['min'].min(places),
    max=highest,
    zeros=zeros,
    dead=~(highest > 0),
    dead_units=~(total['max'] > 0),
  )


def _row(name, total, channels):
  mean = channels.mean.mean()
  variance = (np.square(channels.std) + np.square(channels.mean - mean)).mean()
  return {
    'layer': name,
    'images': total['count'],
    'units': channels.dead_units.size,
    'channels': channels.mean.size,
    'mean': float(mean),
    'std': float(np.sqrt(variance)),
    'min': float(channels.min.min()),
    'max': float(channels.max.max()),
    'zeros': float(channels.zeros.mean()),
    'dead_units': int(channels.dead_units.sum()),
    'dead_channels': int(channels.dead.sum()),
  }
