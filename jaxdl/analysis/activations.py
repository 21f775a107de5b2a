"""Outputs of a network's layers and their statistics."""

import functools
from collections.abc import Collection
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Float64, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.batches import Examples
from jaxdl.analysis.units import AnyArray, Variables

LARGEST_BATCH = 2048  # most examples that `statistics` sums in float32


def activations(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'N ...'],
  layers: Collection[str] | None = None,
  batch_size: int = units.BATCH,
) -> dict[str, Float[np.ndarray, 'N ...']]:
  """Outputs of named layers after their activation, in evaluation mode, computed in batches.

  Args:
    model: linen module.
    variables: its variables.
    images: inputs, scaled as in training.
    layers: names; None selects every layer.
    batch_size: images in one compiled call.

  Returns:
    layer name → outputs, in the order of the layers.

  Raises:
    ValueError: an unknown layer (the message lists the names), or images of a shape that the model
      does not accept.
  """
  known = units.check_layers(model, variables, images, layers or ())
  wanted = [name for name in known if layers is None or name in layers]
  found = {name: np.empty((len(images), *known[name]), np.float32) for name in wanted}
  function = functools.partial(units.compiled_outputs, units.Fixed(model), tuple(wanted), variables)
  for where, part in batches.in_batches(function, np.asarray(images), batch_size=batch_size):
    for name in wanted:
      found[name][where] = part[name]
  return found


class Channels(NamedTuple):
  """Statistics of each channel of a layer, over all images and positions.

  Attributes:
    mean: mean output.
    std: standard deviation of the population.
    min: least output.
    max: greatest output.
    zeros: fraction of outputs that are exactly 0.
    dead: whether the channel is never above 0.
    dead_units: whether the unit is never above 0.
  """

  mean: Float64[np.ndarray, 'C']
  std: Float64[np.ndarray, 'C']
  min: Float64[np.ndarray, 'C']
  max: Float64[np.ndarray, 'C']
  zeros: Float64[np.ndarray, 'C']
  dead: Bool[np.ndarray, 'C']
  dead_units: Bool[np.ndarray, '*positions C']


class Statistics(NamedTuple):
  """Statistics of layers.

  Attributes:
    table: a row for each layer, of plain numbers: 'layer', 'images', 'units', 'channels', 'mean',
      'std', 'min', 'max', 'zeros' (fraction that is exactly 0), 'dead_units' and 'dead_channels'
      (numbers of those that are never above 0).
    channels: layer name → Channels.
  """

  table: list[dict[str, Any]]
  channels: dict[str, Channels]


def statistics(
  model: nn.Module,
  variables: Variables,
  images: Examples,
  layers: Collection[str] | None = None,
  batch_size: int = units.BATCH,
) -> Statistics:
  """Mean, standard deviation, range, exact zeros and dead units of layers, in one pass.

  At most two batches are in memory. Standard deviations come from sums of squares about a mean of
  each batch: E[x²] − E[x]² would lose all digits where the mean is large. Sums within a batch are
  float32, and batches are merged in float64. A unit is dead if it is never above 0, also in a layer
  that may be negative (logits, tanh).

  Args:
    model: linen module.
    variables: its variables.
    images: [N, …] inputs, scaled as in training, or an iterable of such arrays of any lengths,
      which is read once.
    layers: names; None selects every layer.
    batch_size: images in one compiled call, at most 2048: larger batches are cut. Rounding adds a
      relative error of less than 1e-5 to standard deviations at 256 images, and 1e-4 at 2048.

  Returns:
    Statistics.

  Raises:
    ValueError: an unknown layer (the message lists the names), no images, or images that the model
      does not accept.

  Source: Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance.
  """
  first, images = batches.first_of(images)
  known = units.check_layers(model, variables, first, layers or ())
  wanted = [name for name in known if layers is None or name in layers]

  @jax.jit
  def summarise(variables, images, count):
    found = units.outputs(model, variables, images, wanted)[1]
    real = jnp.arange(len(images)) < count
    return {name: _sums(outputs, real) for name, outputs in found.items()}

  totals = {}
  for batch, count in batches.rebatched(images, min(batch_size, LARGEST_BATCH)):
    for name, sums in jax.device_get(summarise(variables, batch, count)).items():
      part = _moments(sums, count)
      totals[name] = _merged(totals[name], part) if name in totals else part
  channels = {name: _channels(totals[name]) for name in wanted}
  return Statistics([_row(name, totals[name], channels[name]) for name in wanted], channels)


def _sums(
  outputs: Shaped[Array, 'B *unit'], real: Bool[Array, 'B']
) -> dict[str, Shaped[Array, '*unit']]:
  """Sums of each unit over the real examples of a batch.

  The examples are added one after another, which keeps the sums in the processor's cache: on a CPU
  this is seven times as fast as reducing all examples at once.
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
    difference = jnp.where(real, example - middle, 0)
    return (carry[0] + difference, carry[1] + jnp.square(difference)), None

  nothing = jnp.zeros_like(outputs[0])
  initial = (
    nothing,
    jnp.full_like(nothing, jnp.inf),
    jnp.full_like(nothing, -jnp.inf),
    nothing.astype(jnp.int32),
  )
  (total, low, high, zeros), _ = jax.lax.scan(extend, initial, (outputs, real))
  # The middle need not be the exact mean: `_moments` corrects for the difference.
  middle = total / real.sum()
  (differences, squares), _ = jax.lax.scan(deviate, (nothing, nothing), (outputs, real))
  return {
    'middle': middle,
    'differences': differences,
    'squares': squares,
    'min': low,
    'max': high,
    'zeros': zeros,
  }


def _moments(sums: dict[str, np.ndarray], count: int) -> dict[str, Any]:
  """Float64 moments of a batch from its sums.

  They are 'count', 'mean', 'squares' (sum of squares about the mean), 'min', 'max' and 'zeros'.
  """
  sums = {name: values.astype(np.float64) for name, values in sums.items()}
  return {
    'count': count,
    'mean': sums['middle'] + sums['differences'] / count,
    'squares': sums['squares'] - np.square(sums['differences']) / count,
    'min': sums['min'],
    'max': sums['max'],
    'zeros': sums['zeros'],
  }


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
  """The moments of two sets of examples together."""
  count = one['count'] + other['count']
  difference = other['mean'] - one['mean']
  share = other['count'] / count
  return {
    'count': count,
    'mean': one['mean'] + difference * share,
    'squares': one['squares'] + other['squares'] + np.square(difference) * one['count'] * share,
    'min': np.minimum(one['min'], other['min']),
    'max': np.maximum(one['max'], other['max']),
    'zeros': one['zeros'] + other['zeros'],
  }


def _channels(total: dict[str, Any]) -> Channels:
  positions = tuple(range(total['mean'].ndim - 1))
  highest = total['max'].max(positions)  # [C]
  mean = total['mean'].mean(positions)  # a mean of means: all units have equally many outputs
  variance = (total['squares'] / total['count'] + np.square(total['mean'] - mean)).mean(positions)
  zeros = total['zeros'].mean(positions) / total['count']
  return Channels(
    mean=mean,
    std=np.sqrt(variance),
    min=total['min'].min(positions),
    max=highest,
    zeros=zeros,
    dead=~(highest > 0),
    dead_units=~(total['max'] > 0),
  )


def _row(name: str, total: dict[str, Any], channels: Channels) -> dict[str, Any]:
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
