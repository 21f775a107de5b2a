"""RISE: the scores of randomly masked images."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jaxdl.analysis import batches, units
from jaxdl.analysis.maps.gradients import check, labels_of, program, say_silent
from jaxdl.analysis.units import BATCH, AnyArray, ArrayLike, Number, Target, Variables

TOGETHER = 256  # masked images in one step of the compiled program


def rise(
  model: nn.Module,
  variables: Variables,
  images: Shaped[AnyArray, 'B ...'],
  target: Target,
  *,
  masks: int = 1000,
  cells: int = 7,
  share: Number = 0.5,
  fill: ArrayLike = 0.0,
  seed: int = 0,
  batch_size: int = BATCH,
) -> Float[np.ndarray, 'B H W']:
  """Mean score of the masked images in which a pixel is visible, minus the mean score of all.

  A mask is a grid of cells, each visible with the given probability, enlarged to one cell more
  than the image and shifted at random. All images get the same masks. The paper does not subtract
  the mean score, which adds a constant and noise to the map.

  Args:
    model: linen module.
    variables: its variables.
    images: [B, H, W, C] floating point.
    target: classes [B] int, or Neuron. The paper uses the probability of the class; this is the
      logit.
    masks: number of masks.
    cells: cells of a mask along each axis.
    share: probability that a cell is visible.
    fill: what is seen where the mask is 0: a number, or one for each channel [C], on the scale of
      the images.
    seed: seed of the masks. Mask i depends on it and on i alone.
    batch_size: images in one compiled call.

  Returns:
    maps, in units of the target: positive is evidence for it.

  Raises:
    ValueError: images or a target that do not fit; fewer than two masks or one cell, a share
      outside of 0..1, or a fill of another number of channels.

  Source: Petsiuk et al. 2018, RISE: randomized input sampling for explanation of black-box models,
  section 3.
  """
  images = check(model, variables, images, target)
  if images.ndim != 4:
    raise ValueError(f'images of shape {images.shape} cannot be masked: give [B, H, W, C]')
  if masks < 2 or cells < 1 or not 0 < share < 1:
    raise ValueError(
      f'masks={masks}, cells={cells} and share={share}: use at least two masks and one cell, and a '
      'share between 0 and 1'
    )
  try:
    fill = np.broadcast_to(np.asarray(fill, images.dtype), images.shape[-1:])
  except ValueError:
    raise ValueError(
      f'fill of shape {np.shape(fill)} does not fit images of {images.shape[-1]} channels: give a '
      'number or one a channel'
    ) from None
  compiled = program(
    _rise, model, variables, target, masks=masks, cells=cells, share=float(share), seed=seed
  )
  parts = batches.in_batches(
    lambda images, labels: compiled(images, labels, fill),
    images,
    labels_of(images, target),
    batch_size=min(batch_size, TOGETHER),
  )
  return say_silent(np.concatenate([part for _, part in parts]), target)


def mask(
  number: int | jax.Array, size: tuple[int, int], *, cells: int, share: float, seed: int
) -> Float[jax.Array, 'H W']:
  """One mask of `rise`, from 0 to 1 (a pure function).

  Args:
    number: number of the mask.
    size: rows and columns of the image.
    cells, share, seed: as in `rise`.
  """
  key = jax.random.fold_in(jax.random.PRNGKey(seed), number)
  of_cells, of_shift = jax.random.split(key)
  grid = jax.random.bernoulli(of_cells, share, (cells, cells)).astype(jnp.float32)
  sides = [-(-side // cells) for side in size]  # pixels of a cell
  large = jax.image.resize(grid, tuple((cells + 1) * side for side in sides), 'bilinear')
  shift = jax.random.randint(of_shift, (2,), 0, jnp.asarray(sides))
  return jax.lax.dynamic_slice(large, tuple(shift), size)


def _rise(model, variables, images, target, fill, *, masks, cells, share, seed):
  count = len(images)
  together = max(1, min(TOGETHER // count, masks))
  steps = -(-masks // together)
  size = images.shape[1:3]

  def add(total, step):
    numbers = step * together + jnp.arange(together)
    real = (numbers < masks).astype(images.dtype)
    drawn = jax.vmap(lambda number: mask(number, size, cells=cells, share=share, seed=seed))(
      numbers
    )
    drawn = drawn.astype(images.dtype)  # [k, H, W]
    seen = drawn[:, None, ..., None] * (images - fill) + fill  # [k, B, H, W, C]
    seen = seen.reshape(-1, *images.shape[1:])
    scores = units.scores(model, variables, seen, units.tiled(target, together))
    scores = scores.reshape(together, count) * real[:, None]
    visible = jnp.einsum('kb,khw->bhw', scores, drawn)
    drawn = drawn * real[:, None, None]
    return (total[0] + visible, total[1] + scores.sum(0), total[2] + drawn.sum(0)), None

  zeros = jnp.zeros((count, *size), images.dtype)
  start = zeros, jnp.zeros(count, images.dtype), zeros[0]
  (visible, scores, drawn), _ = jax.lax.scan(add, start, jnp.arange(steps))
  mean = (scores / masks)[:, None, None]
  return (visible - mean * drawn) / (share * masks)
