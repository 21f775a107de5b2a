"""Fits data into a picture: colours of channels, length of names, shape of tiles."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Array, Num

LONGEST = 24  # characters of a name in a picture
MOST_ELONGATED = 4  # height / width of a tile, or width / height: a longer image is stretched to it


def visible(pixels: Num[np.ndarray | Array, '*size C']) -> Num[np.ndarray, '*size c']:
  """Converts an image with any number of channels to one that can be drawn.

  One channel is drawn grey, two channels magenta and green, three channels red, green and blue. Of
  more channels, the first three are drawn.

  Args:
    pixels: C is at least 1.

  Returns:
    An image of the same type; c is 1 or 3.
  """
  pixels = np.asarray(pixels)
  if pixels.shape[-1] == 2:
    return pixels[..., [0, 1, 0]]
  return pixels[..., :3] if pixels.shape[-1] > 3 else pixels


def short(name: str, longest: int = LONGEST) -> str:
  """Cuts each line of a name to a number of characters.

  Args:
    name: one or several lines.
    longest: number of characters, including the ellipsis.
  """
  return '\n'.join(
    line if len(line) <= longest else f'{line[: longest - 1]}…' for line in str(name).split('\n')
  )


def tile_height(shapes: Sequence[Sequence[int]]) -> float:
  """Height / width of the tiles in which images are drawn.

  Args:
    shapes: shapes [H, W, …] of the images.
  """
  tallest = max(shape[0] / shape[1] for shape in shapes)
  return min(max(tallest, 1 / MOST_ELONGATED), MOST_ELONGATED)


def aspect(shape: Sequence[int]) -> Literal['equal', 'auto']:
  """The aspect of `imshow` for an image: 'equal' for square pixels, 'auto' to stretch it.

  Args:
    shape: shape [H, W, …] of the image.
  """
  return 'equal' if 1 / MOST_ELONGATED <= shape[0] / shape[1] <= MOST_ELONGATED else 'auto'
