"""Images as functions of what is optimised: pixels, or the amplitudes of waves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

DEVIATION = (
  0.01  # of the noise that images begin with, on the scale of the logistic function's input
)


def named(name, shape):
  """How the image of a parametrisation is computed, before it is brought into its range.

  Args:
    name: 'fourier' | 'pixels'.
    shape: (H, W, C).

  Returns:
    (function parameters → image [H, W, C], function NumPy Generator → parameters to begin with);
    equal ones for equal arguments.

  Raises:
    ValueError: an unknown name.
  """
  if name not in KINDS:
    raise ValueError(f'parametrised_by={name!r} is unknown: use one of {", ".join(KINDS)}')
  return _functions(name, tuple(map(int, shape)))


# the same functions again, so that a program which they are part of is not compiled anew
@functools.cache
def _functions(name, shape):
  decode, size = KINDS[name]
  return functools.partial(decode, shape), functools.partial(_noise, size(shape))


def _noise(shape, generator):
  return DEVIATION * generator.standard_normal(
    shape, np.float32
  )  # JAX's own would take seconds to compile


def pixels(shape, parameters):
  """Each pixel by itself: [H, W, C]."""
  return parameters.reshape(shape)


def waves(shape, parameters):
  """The sum of waves, long ones weighted more, so that ascent draws shapes before grain.

  Args:
    shape: (H, W, C).
    parameters: [2, H, W // 2 + 1, C], real and imaginary amplitudes.

  Returns:
    [H, W, C].

  Source: Olah et al. 2017, Feature visualization, 'Preconditioning and parameterization'.
  """
  height, width, _ = shape
  frequency = np.hypot(
    np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
  )  # waves a pixel, [H, W // 2 + 1]
  scale = np.sqrt(height * width) / np.maximum(frequency, 1 / max(height, width))
  spectrum = jax.lax.complex(parameters[0], parameters[1]) * scale[..., None].astype(np.float32)
  return jnp.fft.irfft2(spectrum, (height, width), axes=(0, 1)) / 4


KINDS = {
  'fourier': (waves, lambda shape: (2, shape[0], shape[1] // 2 + 1, shape[2])),
  'pixels': (pixels, lambda shape: shape),
}
