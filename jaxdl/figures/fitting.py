"""What makes data fit into a picture: channels as colours, long names cut, shapes of tiles."""

import numpy as np

LONGEST = 24  # characters of a name in a picture
MOST_ELONGATED = 4  # height / width of a tile, or width / height: a longer image is stretched to it


def visible(pixels):
  """An image of any number of channels as one that can be drawn.

  One channel is drawn grey, two as magenta and green, three as red, green and blue; of more, the
  first three are drawn.

  Args:
    pixels: [..., C], C at least 1.

  Returns:
    [..., 1 or 3], of the same type.
  """
  pixels = np.asarray(pixels)
  if pixels.shape[-1] == 2:
    return pixels[..., [0, 1, 0]]
  return pixels[..., :3] if pixels.shape[-1] > 3 else pixels


def short(name: str, longest: int = LONGEST) -> str:
  """A name, each of whose lines is cut to a number of characters."""
  return '\n'.join(
    line if len(line) <= longest else f'{line[: longest - 1]}…' for line in str(name).split('\n')
  )


def tile_height(shapes):
  """Height / width of the tiles in which images of some shapes [H, W, …] are drawn."""
  tallest = max(shape[0] / shape[1] for shape in shapes)
  return min(max(tallest, 1 / MOST_ELONGATED), MOST_ELONGATED)


def aspect(shape) -> str:
  """imshow's aspect for an image [H, W, …]: 'equal' for square pixels, 'auto' where it is
  stretched.
  """
  return 'equal' if 1 / MOST_ELONGATED <= shape[0] / shape[1] <= MOST_ELONGATED else 'auto'
