"""How images become square: the names of the fits, and the geometry that they share.

The same words are used for photographs (`photographs.decode`) and for images in memory
(`preprocess.fit`).
"""

from collections.abc import Sequence
from typing import Any

FITS = ('crop', 'area', 'pad', 'stretch')
COLORS = ('original', 'gray')
BACKGROUNDS = {'white': (255, 255, 255), 'black': (0, 0, 0)}
LUMA = (19595, 38470, 7471)  # red, green and blue of ITU-R 601 in 65536ths, as in Pillow and OpenCV

Colour = tuple[int, int, int]  # red, green and blue, 0 to 255 each


def check(fit: Any) -> None:
  """Raises ValueError if a fit is unknown."""
  if fit not in FITS:
    raise ValueError(
      f'config.data.fit={fit!r} is unknown: use crop (the middle pixels), area (the middle square, '
      'scaled), pad (the complete image with margins) or stretch (both sides scaled)'
    )


def check_color(color: Any) -> None:
  """Raises ValueError if a color is unknown."""
  if color not in COLORS:
    raise ValueError(f"config.data.color={color!r} is unknown: use one of 'original', 'gray'")


def middle(length: int, part: int) -> int:
  """Where the middle part of a side begins; an odd margin leaves its spare pixel at the end.

  Args:
    length: pixels of the side.
    part: pixels of the part, at most `length`.
  """
  return (length - part) // 2


def inside(height: int, width: int, size: int) -> tuple[int, int]:
  """(height, width) of an image whose longer side is scaled to `size`; each is at least 1."""
  longest = max(height, width)
  return max(1, round(height * size / longest)), max(1, round(width * size / longest))


def background_colour(background: Any) -> Colour:
  """Red, green and blue of a config's `background`.

  Args:
    background: a name of BACKGROUNDS, or [red, green, blue].

  Raises:
    ValueError: it is neither a name of BACKGROUNDS nor three integers from 0 to 255.
  """
  if isinstance(background, str) and background in BACKGROUNDS:
    return BACKGROUNDS[background]
  is_colour = (
    isinstance(background, (list, tuple))
    and len(background) == 3
    and all(
      isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255
      for value in background
    )
  )
  if not is_colour:
    raise ValueError(
      f"config.data.background={background!r} is not a colour: use 'white', 'black' or "
      '[red, green, blue] with integers from 0 to 255'
    )
  red, green, blue = (int(value) for value in background)
  return red, green, blue


def channels_of(color: str) -> int:
  """Channels of a photograph: 1 of a gray one, else 3."""
  return 1 if color == 'gray' else 3


def background_pixel(background: Any, channels: int) -> Sequence[int]:
  """A pixel of the background, 0 to 255, in images of any number of channels.

  Args:
    background: as in `background_colour`.
    channels: 1 for the luma of the colour, 3 for the colour; others only for shades of gray.

  Raises:
    ValueError: an invalid background, or a colour for images that are neither gray nor RGB.
  """
  colour = background_colour(background)
  luma = (sum(share * value for share, value in zip(LUMA, colour, strict=True)) + 0x8000) >> 16
  if channels == 3:
    return colour
  if channels != 1 and len(set(colour)) > 1:
    raise ValueError(
      f'config.data.background={background!r} is a colour, but the images have {channels} '
      "channels: use 'white' or 'black'"
    )
  return [luma] * channels
