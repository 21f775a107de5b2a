"""Large images as a batch of bands of rows, for convolutions whose patches of a whole image leave
the cache.
"""

import jax.numpy as jnp

from jaxdl.ops.patches import pad


def count(rows, window, stride, most):
  """Into how many bands of equally many outputs an image goes.

  Args:
    rows: int, of outputs.
    window, stride: int, of the convolution, along the rows.
    most: int, rows of outputs that a band should have at most.

  Returns:
    int, the fewest that will do; the most that there can be where none do, for a band needs at
    least the rows that its last window reaches into the next.
  """
  possible = [
    bands
    for bands in range(1, rows + 1)
    if rows % bands == 0 and (bands == 1 or rows // bands * stride >= window - stride)
  ]
  return next((bands for bands in possible if rows // bands <= most), possible[-1])


def cut(images, *, bands, rows, window, stride, pads):
  """Cuts images into overlapping bands: a convolution of a band without padding of rows makes its
  share of the outputs.

  Args:
    images: [B, H, W, C].
    bands: int, a divisor of `rows` as `count` gives it.
    rows: int, of outputs of an image.
    window, stride: as in `count`.
    pads: (top, bottom) of the image, negative to cut off.

  Returns:
    [B · bands, (rows / bands − 1) · stride + window, W, C].
  """
  batch, height, width, channels = images.shape
  step = rows // bands * stride  # from band to band
  padded = pad(images, ((pads[0], (bands + 1) * step - height - pads[0]), (0, 0)))
  steps = padded.reshape(batch, bands + 1, step, width, channels)
  reaching = jnp.concatenate([steps[:, :-1], steps[:, 1:]], axis=2)[:, :, : step - stride + window]
  return reaching.reshape(batch * bands, -1, width, channels)  # [B · bands, h, W, C]
