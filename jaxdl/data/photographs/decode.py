"""From the bytes of an image file to a square of pixels."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxdl.data import fits
from jaxdl.data.fits import Colour, background_colour

MOST_PIXELS = 1 << 26  # 200 MB when decoded; checked before memory is allocated for a file's claim
MOST_FRAMES = 1000  # frames or pages that are counted: each page of a TIFF takes Pillow a moment
PNG = b'\x89PNG\r\n\x1a\n'  # first bytes of a PNG
# EXIF's tag 274 (orientation) in either byte order, and XMP's name for it.
TURNED = (b'\x01\x12', b'\x12\x01', b'Orientation')
# Pillow's raster formats, but for EPS, which Pillow passes to Ghostscript, and for those that it
# only identifies.
# fmt: off
FORMATS = ('JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'DIB', 'TIFF', 'JPEG2000', 'AVIF', 'PPM', 'PCX',
           'SGI', 'QOI', 'DDS', 'PSD', 'ICO', 'ICNS', 'TGA')
# fmt: on
BITS_PER_SAMPLE, PHOTOMETRIC, MAX_SAMPLE_VALUE, SAMPLE_FORMAT = 258, 262, 281, 339  # tags of TIFF

Square = UInt8[np.ndarray, 'size size C']


def square(
  encoded: bytes,
  size: int,
  fit: str = 'crop',
  background: str | Sequence[int] = 'white',
  color: str = 'original',
) -> Square:
  """A photograph as a square, upright.

  With 'crop' and 'area', a photograph that is smaller than the square is scaled up until its
  shorter side fits. This equals scaling the largest square in its middle, so that nothing outside
  of it is computed.

  Args:
    encoded: content of a file in one of FORMATS, whatever its name; only the first of several
      frames or pages is decoded.
    size: pixels of the square's side.
    fit: 'crop' cuts `size` × `size` pixels out of the middle; 'area' scales the largest square in
      the middle down, each pixel being the mean of those that it covers; 'pad' scales the complete
      photograph in the same way until its longer side fits, and fills the margins with the
      background; 'stretch' scales both sides to `size`, which changes the aspect ratio.
    background: colour under transparent pixels and in margins: 'white' | 'black' |
      [red, green, blue], 0 to 255 each.
    color: 'original' (red, green and blue) | 'gray' (luma, one channel).

  Returns:
    [size, size, 3] uint8, or [size, size, 1] if gray. Where a margin is odd, its spare pixel is at
    the right and the bottom.

  Raises:
    Exception: any exception of Pillow if the bytes are not a valid photograph; ValueError if they
      claim to be huge, or if the range of their pixels is not known.
  """
  return with_frames(encoded, size, fit, background, color)[0]


def with_frames(
  encoded: bytes,
  size: int,
  fit: str = 'crop',
  background: str | Sequence[int] = 'white',
  color: str = 'original',
) -> tuple[Square, int]:
  """As `square`, with the number of frames or pages: ([size, size, C] uint8, int).

  At most MOST_FRAMES are counted.
  """
  is_gray = color == 'gray'
  image, frames = _upright(encoded, background, keep_gray=is_gray)
  if is_gray and image.mode != 'L':
    image = image.convert('L')
  if fit == 'pad':
    image = _padded(image, size, background)
  elif fit == 'stretch':
    image = _scaled(image, size, size)
  else:
    image = _middle(image, size, fit)
  pixels = np.asarray(image)
  return pixels[..., None] if is_gray else pixels, frames


def _middle(image: Any, size: int, fit: str) -> Any:
  """The middle of a PIL.Image as a square, for 'crop' and 'area'."""
  import PIL.Image

  side = min(image.size) if fit == 'area' else min(size, *image.size)
  left, top = fits.middle(image.width, side), fits.middle(image.height, side)
  box = (left, top, left + side, top + side)
  if side != size:
    way = PIL.Image.Resampling.BILINEAR if side < size else PIL.Image.Resampling.BOX
    return image.resize((size, size), way, box=box)
  return image if image.size == (size, size) else image.crop(box)


def _padded(image: Any, size: int, background: str | Sequence[int]) -> Any:
  """The complete PIL.Image in the middle of a square of the background."""
  import PIL.Image

  height, width = fits.inside(image.height, image.width, size)
  pixel = tuple(fits.background_pixel(background, len(image.getbands())))
  square = PIL.Image.new(image.mode, (size, size), pixel)
  place = fits.middle(size, width), fits.middle(size, height)
  square.paste(_scaled(image, width, height), place)
  return square


def _scaled(image: Any, width: int, height: int) -> Any:
  """A PIL.Image of another size: area means along a side that shrinks, else interpolated."""
  import PIL.Image

  smaller = min(width, image.width), min(height, image.height)
  if smaller != image.size:
    image = image.resize(smaller, PIL.Image.Resampling.BOX)
  if smaller != (width, height):
    image = image.resize((width, height), PIL.Image.Resampling.BILINEAR)
  return image


def upright(
  encoded: bytes, background: str | Sequence[int] = 'white'
) -> UInt8[np.ndarray, 'H W C']:
  """A complete image, upright, in its own size.

  Args:
    encoded, background: as in `square`.

  Returns:
    [H, W, 3] uint8; [H, W, 1] for a grey image of 8 bits without transparency.

  Raises:
    Exception: as `square`.
  """
  image, _ = _upright(encoded, background, keep_gray=True)
  channels = 1 if image.mode == 'L' else 3
  # faster than np.asarray(image) for small images
  return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, channels)


def _upright(encoded: bytes, background: str | Sequence[int], *, keep_gray: bool = False) -> Any:
  """The upright PIL.Image of a file on its background, and the number of its frames.

  It is RGB, or with `keep_gray` grey if the file is a grey image without transparency.
  """
  import PIL.ImageOps

  image = _opened(io.BytesIO(encoded))
  if image.width * image.height > MOST_PIXELS:
    raise ValueError(f'{image.width:,} × {image.height:,} pixels are more than {MOST_PIXELS:,}')
  kind, frames, highest = image.format, _frames(image), _highest(image)
  if kind == 'PNG' and 'transparency' in image.info:
    image.info['transparency'] = _transparent_colour(image)
  # In a negative the highest value is black.
  is_negative = highest is not None and kind == 'TIFF' and image.tag_v2.get(PHOTOMETRIC) == 0
  image.load()
  if kind not in ('JPEG', 'PNG') or _may_be_turned(image.info):
    image = PIL.ImageOps.exif_transpose(image)
  if keep_gray and image.mode == 'L' and 'transparency' not in image.info:
    return image, frames
  if highest is None:
    image = _colour(image, background_colour(background))
  else:
    image = _from_more_bits(image, highest, is_negative, background_colour(background))
  return image, frames


def _transparent_colour(image: Any) -> Any:
  """The transparent colour of a PNG for Pillow's pixels of 8 bits; Pillow keeps the file's bits."""
  colour, stored = image.info['transparency'], image.tile[0][3]
  if stored in ('L;2', 'L;4'):
    return colour * (255 // (2 ** int(stored[-1]) - 1))
  return tuple(value >> 8 for value in colour) if stored == 'RGB;16B' else colour


def load_library() -> None:
  """Imports Pillow and its readers of JPEG and PNG, before threads decode files."""
  import PIL.Image
  import PIL.ImageOps  # noqa: F401

  PIL.Image.preinit()


def is_photograph(path: Path) -> bool:
  """Whether a file begins as an image does; nothing is decoded."""
  if not path.is_file():  # reading a pipe would wait for its writer
    return False
  try:
    with path.open('rb') as file:
      return _is_opened(file)
  except OSError:
    return False


def begins_as_photograph(content: bytes) -> bool:
  """Whether the content of a file begins as an image does; nothing is decoded."""
  return _is_opened(io.BytesIO(content))


def _is_opened(file):
  try:
    # TGA has no fixed first bytes, so that other files may look like it.
    return _opened(file).format != 'TGA'
  except Exception:  # decoders raise exceptions of many types
    return False


def _opened(file: Any) -> Any:
  """The PIL.Image of an open binary file, not yet decoded."""
  import PIL.Image
  import PIL.PngImagePlugin

  is_png = file.read(len(PNG)) == PNG
  file.seek(0)
  if is_png:  # PIL.Image.open takes a sixth of the time of a small PNG
    try:
      return PIL.PngImagePlugin.PngImageFile(file)
    except Exception:  # PIL.Image.open below raises its own exception
      file.seek(0)
  try:
    return PIL.Image.open(file, formats=FORMATS[:2])
  except PIL.UnidentifiedImageError:
    PIL.Image.init()  # loads the other formats, which takes a moment
    file.seek(0)
    return PIL.Image.open(file, formats=[name for name in FORMATS[2:] if name in PIL.Image.OPEN])


def _frames(image: Any) -> int:
  """Frames or pages of a file, at most MOST_FRAMES; a camera's MPO counts as one."""
  if image.format in ('JPEG', 'MPO', 'ICO', 'ICNS', 'PSD'):
    return 1
  if image.format != 'TIFF':
    return min(getattr(image, 'n_frames', 1), MOST_FRAMES)
  count = 1
  with contextlib.suppress(EOFError):
    while count < MOST_FRAMES:
      image.seek(count)
      count += 1
  image.seek(0)
  return count


def _may_be_turned(info: dict[Any, Any]) -> bool:
  """Whether metadata may hold an orientation; parsing them takes a fifth of the decoding time."""
  if not info:
    return False
  notes = (info.get(key, b'') for key in ('exif', 'xmp', 'Raw profile type exif'))
  return any(isinstance(note, str) or any(mark in note for mark in TURNED) for note in notes)


def _highest(image: Any) -> int | float | None:
  """The value of a white pixel for modes of more than 8 bits, None for other modes.

  It follows from the format; in a TIFF from the number of bits or the declared largest value.
  """
  if image.mode == 'F':
    return 1.0
  if not image.mode.startswith('I'):
    return None
  if image.format != 'TIFF':
    return 65535  # PNG, PPM and JPEG 2000 scale to this range, or are read with it
  declared = image.tag_v2.get(MAX_SAMPLE_VALUE)
  if isinstance(declared, tuple):
    declared = declared[0]
  if declared:
    return declared
  bits = image.tag_v2.get(BITS_PER_SAMPLE, (16,))[0]
  if bits > 16:
    raise ValueError(f'the range of its {bits}-bit pixels is not known: save it with 8 or 16 bits')
  if image.tag_v2.get(SAMPLE_FORMAT, (1,))[0] == 2:  # signed
    bits -= 1
  return 2**bits - 1


def _colour(image: Any, background: Colour) -> Any:
  """The image as RGB; transparent pixels are laid on the background."""
  import PIL.Image

  if image.mode == 'RGB' and 'transparency' not in image.info:
    return image  # convert would copy it
  if image.has_transparency_data:
    image = image.convert('RGBA')
    below = PIL.Image.new('RGBA', image.size, (*background, 255))
    return PIL.Image.alpha_composite(below, image).convert('RGB')
  return image.convert('RGB')


def _from_more_bits(image: Any, highest: int | float, is_negative: bool, background: Colour) -> Any:
  """RGB of a grey image with values from 0 to `highest`; of n bits the highest 8 are kept."""
  import PIL.Image

  values = np.asarray(image)
  if values.size and (not np.isfinite(values).all() or values.min() < 0 or values.max() > highest):
    raise ValueError(
      f'its pixels go from {values.min()} to {values.max()}, but its range is 0 to {highest}: '
      'save it with 8 or 16 bits'
    )
  if isinstance(highest, int) and highest >= 255 and (highest & (highest + 1)) == 0:
    grey = values.astype(np.int64) >> (highest.bit_length() - 8)
  else:
    grey = np.round(values.astype(np.float64) * (255 / highest))
  grey = 255 - grey if is_negative else grey
  colour = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)
  transparent = image.info.get('transparency')
  if isinstance(transparent, int):
    colour[values == transparent] = background
  return PIL.Image.fromarray(colour)
