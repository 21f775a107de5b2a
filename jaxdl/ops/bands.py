"""Splits large images into bands of rows.

Convolutions use bands when the patches of a complete image do not fit into the cache.
"""

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from jaxdl.ops.patches import pad
from jaxdl.ops.types import AnyArray


def count(rows: int, window: int, stride: int, most: int) -> int:
  """The number of bands that an image is split into; all bands have the same number of output rows.

  Args:
    rows: output rows of the image.
    window: rows of the convolution's window.
    stride: rows from one window to the next.
    most: output rows that a band should have at most.

  Returns:
    The smallest number of bands of at most `most` rows. If there is none, the largest possible
    number: a band must have at least the rows that its last window reaches into the next band.
  """
  possible = [
    bands
    for bands in range(1, rows + 1)
    if rows % bands == 0 and (bands == 1 or rows // bands * stride >= window - stride)
  ]
  return next((bands for bands in possible if rows // bands <= most), possible[-1])


def cut(
  images: Shaped[AnyArray, 'B H W C'],
  *,
  bands: int,
  rows: int,
  window: int,
  stride: int,
  pads: tuple[int, int],
) -> Shaped[Array, 'N h W C']:
  """Cuts images into overlapping bands.

  A convolution of a band, without padding of rows, computes the band's share of the output rows.

  Args:
    images: B images.
    bands: bands of each image, a divisor of `rows` as returned by `count`.
    rows: output rows of an image.
    window: rows of the convolution's window.
    stride: rows from one window to the next.
    pads: rows of padding (top, bottom) of the image; negative values crop.

  Returns:
    N = B · bands bands of h = (rows / bands − 1) · stride + window rows.
  """
  batch, height, width, channels = images.shape
  step = rows // bands * stride  # from band to band
  padded = pad(images, ((pads[0], (bands + 1) * step - height - pads[0]), (0, 0)))
  steps = padded.reshape(batch, bands + 1, step, width, channels)
  joined = jnp.concatenate([steps[:, :-1], steps[:, 1:]], axis=2)[:, :, : step - stride + window]
  return joined.reshape(batch * bands, -1, width, channels)
