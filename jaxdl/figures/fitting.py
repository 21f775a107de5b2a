"""Fits data into a picture: colours of channels, length of names, shape of tiles."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Array, Float, Num

LONGEST = 24  # characters of a name in a picture
ROUNDS = 200  # most rounds in which labels are moved
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


def apart(
  places: Num[np.ndarray, 'N 2'], sizes: Num[np.ndarray, 'N 2']
) -> Float[np.ndarray, 'N 2']:
  """Moves labels vertically until their boxes do not overlap, or for 200 rounds.

  Args:
    places: the centre of each label.
    sizes: width and height of each label, in the units of the places.

  Returns:
    The new centres.
  """
  places = np.array(places, float)
  for _ in range(ROUNDS):
    away = places[:, None] - places[None]
    needed = (sizes[:, None] + sizes[None]) / 2
    overlap = (np.abs(away) < needed).all(-1) & ~np.eye(len(places), dtype=bool)
    if not overlap.any():
      break
    order = np.sign(away[..., 1])
    ties = np.sign(np.arange(len(places))[:, None] - np.arange(len(places))[None])
    direction = np.where(order == 0, ties, order)
    missing = needed[..., 1] - np.abs(away[..., 1])
    places[:, 1] += (overlap * direction * (0.3 * missing + 1e-3 * needed[..., 1])).sum(1)
  return places


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
