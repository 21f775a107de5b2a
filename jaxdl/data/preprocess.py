"""From stored bytes to what the network sees, on the device and inside the step."""

import jax.numpy as jnp

SCALES = {
    'unit': lambda pixels: pixels / 255,  # 0..1
    'symmetric': lambda pixels: pixels / 127.5 - 1,  # -1..1, the (x - 0.5) / 0.5 of PyTorch's examples
}
LAYOUTS = {
    'image': lambda pixels: pixels,  # [B, H, W, C]
    'rows': lambda pixels: pixels.reshape(pixels.shape[0], pixels.shape[1], -1),  # [B, H, W * C], a row a time step
}


def images(*, scale='unit', layout='image'):
  """Returns a pure function (batch, step key or None) → batch: 'inputs' float32 from 'image' uint8 [B, H, W, C].

  Args:
    scale: 'unit' (0..1) | 'symmetric' (-1..1).
    layout: 'image' [B, H, W, C] | 'rows' [B, H, W * C].

  Raises:
    ValueError: an unknown scale or layout.
  """
  for key, value, known in (('scale', scale, SCALES), ('layout', layout, LAYOUTS)):
    if value not in known:
      raise ValueError(f'config.data.{key}={value!r} is unknown: use one of {", ".join(known)}')

  def prepare(batch, key=None):
    del key  # nothing random yet
    pixels = SCALES[scale](batch['image'].astype(jnp.float32))
    return {**batch, 'inputs': LAYOUTS[layout](pixels)}

  return prepare
