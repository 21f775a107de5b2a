"""Parametrisations of optimised images: pixels, or the amplitudes of waves."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxdl.analysis.units import AnyArray

# Standard deviation of the initial noise, on the scale of the logistic function's input.
DEVIATION = 0.01


class Parametrisation(NamedTuple):
  """Functions of a parametrisation. Equal arguments of `named` give the same functions.

  Attributes:
    decode: parameters → image [H, W, C] before it is brought into its range.
    initialise: NumPy generator → parameters of noise.
    encode: image [H, W, C] before it is brought into its range → parameters (NumPy).
  """

  decode: Callable[[AnyArray], Array]
  initialise: Callable[[np.random.Generator], np.ndarray]
  encode: Callable[[np.ndarray], np.ndarray]


def named(name: str, shape: Sequence[int]) -> Parametrisation:
  """Functions of a parametrisation.

  Args:
    name: 'fourier' | 'pixels'.
    shape: (H, W, C).

  Returns:
    Parametrisation.

  Raises:
    ValueError: an unknown name.
  """
  if name not in KINDS:
    raise ValueError(f'parametrised_by={name!r} is unknown: use one of {", ".join(KINDS)}')
  return _functions(name, tuple(map(int, shape)))


# Cached, so that a program that takes the functions as static arguments is compiled only once.
@functools.cache
def _functions(name, shape):
  decode, encode, size = KINDS[name]
  return Parametrisation(
    functools.partial(decode, shape), functools.partial(_noise, size(shape)), encode
  )


def _noise(shape, generator):
  # NumPy's generator: JAX's would take seconds to compile.
  return DEVIATION * generator.standard_normal(shape, np.float32)


def pixels(
  shape: tuple[int, int, int], parameters: Float[AnyArray, '...']
) -> Float[AnyArray, 'H W C']:
  """Independent pixels."""
  return parameters.reshape(shape)


def waves(
  shape: tuple[int, int, int], parameters: Float[AnyArray, '2 H half C']
) -> Float[Array, 'H W C']:
  """Sum of waves; long waves weigh more, so that ascent forms shapes before fine texture.

  Args:
    shape: (H, W, C).
    parameters: real and imaginary amplitudes, with half = W // 2 + 1.

  Returns:
    image.

  Source: Olah et al. 2017, Feature visualization, 'Preconditioning and parameterization'.
  """
  height, width, _ = shape
  spectrum = jax.lax.complex(parameters[0], parameters[1]) * _amplitudes(height, width)
  return jnp.fft.irfft2(spectrum, (height, width), axes=(0, 1))


def waves_of(image: Float[np.ndarray, 'H W C']) -> Float[np.ndarray, '2 H half C']:
  """The parameters from which `waves` gives an image."""
  spectrum = np.fft.rfft2(image, axes=(0, 1)) / _amplitudes(*image.shape[:2])
  return np.stack([spectrum.real, spectrum.imag]).astype(np.float32)


def _amplitudes(height, width):
  """Amplitude of each wave for a parameter of 1, [H, W // 2 + 1, 1]."""
  # waves per pixel, [H, W // 2 + 1]
  frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
  scale = np.sqrt(height * width) / np.maximum(frequency, 1 / max(height, width)) / 4
  return scale[..., None].astype(np.float32)


KINDS = {
  'fourier': (waves, waves_of, lambda shape: (2, shape[0], shape[1] // 2 + 1, shape[2])),
  'pixels': (pixels, np.float32, lambda shape: shape),
}
