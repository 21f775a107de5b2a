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
    ValueError: an unknown layer (the message lists the names), or images of a shape that the model does not take.
  """
  known = units.check_layers(model, variables, images, layers or ())
  wanted = [name for name in known if layers is None or name in layers]
  found = {name: np.empty((len(images), *known[name]), np.float32) for name in wanted}
  compiled = jax.jit(lambda variables, images: units.outputs(model, variables, images, wanted)[1])
  for where, part in units.in_batches(functools.partial(compiled, variables), images, batch_size=batch_size):
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
    table: list of dicts, a row a layer: 'layer', 'images', 'units', 'channels', 'mean', 'std', 'min', 'max', 'zeros'
      (the share that is exactly 0), 'dead_units', 'dead_channels' (how many are never above 0); plain numbers.
    channels: layer name → Channels.
  """

  table: list
  channels: dict


def statistics(model, variables, images, layers=None, batch_size=units.BATCH):
  """Mean, deviation, range, exact zeros and dead units of layers, in one pass and the memory of two batches.

  Deviations are sums of squares about a mean of each row, merged in float64: E[x²] − E[x]² would lose all digits where
  the mean is large. A layer that may well be negative (logits, tanh) has dead units by the same rule: never above 0.

  Args:
    model: linen module.
    variables: its variables.
    images: [N, …] inputs, scaled as in training, or an iterable of such arrays of any lengths, read once.
    layers: names; None for every layer.
    batch_size: int, images of one compiled call.

  Returns:
    Statistics.

  Raises:
    ValueError: an unknown layer (the message lists the names), no images, or images that the model does not take.

  Source: Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance.
  """
  first, images = batches.first_of(images)
  known = units.check_layers(model, variables, first, layers or ())
  wanted = [name for name in known if layers is None or name in layers]

  @jax.jit
  def summarise(variables, images, real):
    found = units.outputs(model, variables, images, wanted)[1]
    return {name: _summary(outputs, jnp.arange(len(images)) < real) for name, outputs in found.items()}

  totals, count = {}, 0
  for batch, real in batches.rebatched(images, batch_size):
    count += real
    for name, part in jax.device_get(summarise(variables, batch, real)).items():
      part = _moments(part, real)
      totals[name] = _merged(totals[name], part) if name in totals else part
  channels = {name: _channels(totals[name]) for name in wanted}
  return Statistics([_row(name, totals[name], channels[name], count) for name in wanted], channels)


def _summary(outputs, real):
  """Sums over the columns of each row, and what is exact over all of a batch: [B, …, C], [B] bool → dict."""
  shape = outputs.shape
  rows = outputs.reshape(shape[0], -1, shape[-2] if len(shape) > 2 else 1, shape[-1])  # [B, R, W, C]
  middle = rows.mean(2)  # [B, R, C], rounded, which is no matter: any number near the mean would do
  apart = rows - middle[:, :, None]
  units_here, everywhere = real.reshape(-1, *[1] * (len(shape) - 1)), tuple(range(len(shape) - 1))
  return {'middle': middle, 'apart': apart.sum(2), 'squares': jnp.square(apart).sum(2), 'columns': rows.shape[2],
          'min': jnp.where(units_here, outputs, jnp.inf).min(everywhere),
          'unit_max': jnp.where(units_here, outputs, -jnp.inf).max(0),
          'zeros': (units_here & (outputs == 0)).sum(everywhere)}


def _moments(part, real):
  """The sums of the rows of real images, merged: adds 'count', 'mean' and 'squares' about it, float64 [C]."""
  middle, apart, squares = (part[key][:real].astype(np.float64).reshape(-1, part['min'].size)
                            for key in ('middle', 'apart', 'squares'))  # [real · R, C]
  columns = int(part['columns'])
  means = middle + apart / columns
  mean = means.mean(0)
  about = (squares - np.square(apart) / columns).sum(0) + columns * np.square(means - mean).sum(0)
  kept = {key: part[key] for key in ('min', 'unit_max', 'zeros')}
  return {'count': columns * len(means), 'mean': mean, 'squares': about, **kept}


def _merged(one, other):
  """The moments of both together."""
  count, difference = one['count'] + other['count'], other['mean'] - one['mean']
  share = other['count'] / count
  return {'count': count, 'mean': one['mean'] + difference * share,
          'squares': one['squares'] + other['squares'] + np.square(difference) * one['count'] * share,
          'min': np.minimum(one['min'], other['min']), 'unit_max': np.maximum(one['unit_max'], other['unit_max']),
          'zeros': one['zeros'].astype(np.int64) + other['zeros']}


def _channels(total):
  highest = total['unit_max'].max(tuple(range(total['unit_max'].ndim - 1))).astype(np.float64)  # [C]
  return Channels(mean=total['mean'], std=np.sqrt(total['squares'] / total['count']),
                  min=total['min'].astype(np.float64), max=highest, zeros=total['zeros'] / total['count'],
                  dead=~(highest > 0), dead_units=~(total['unit_max'] > 0))


def _row(name, total, channels, count):
  """A layer's row: all channels have as many numbers, so that their mean is the mean of means."""
  mean = total['mean'].mean()
  squares = total['squares'].sum() + total['count'] * np.square(total['mean'] - mean).sum()
  return {'layer': name, 'images': count, 'units': channels.dead_units.size, 'channels': channels.mean.size,
          'mean': float(mean), 'std': float(np.sqrt(squares / (total['count'] * channels.mean.size))),
          'min': float(channels.min.min()), 'max': float(channels.max.max()), 'zeros': float(channels.zeros.mean()),
          'dead_units': int(channels.dead_units.sum()), 'dead_channels': int(channels.dead.sum())}
