"""From the bytes of an image file to a square of pixels."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

MOST_PIXELS = 1 << 26  # 200 MB when decoded; checked before memory is allocated for a file's claim
# EXIF's tag 274 (orientation) in either byte order, and XMP's name for it.
TURNED = (b'\x01\x12', b'\x12\x01', b'Orientation')
FITS = ('crop', 'area')
# Pillow's raster formats, but for EPS, which Pillow passes to Ghostscript, and for those that it
# only identifies.
# fmt: off
FORMATS = ('JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'DIB', 'TIFF', 'JPEG2000', 'AVIF', 'PPM', 'PCX',
           'SGI', 'QOI', 'DDS', 'PSD', 'ICO', 'ICNS', 'TGA')
# fmt: on
BACKGROUNDS = {'white': (255, 255, 255), 'black': (0, 0, 0)}
BITS_PER_SAMPLE, PHOTOMETRIC, MAX_SAMPLE_VALUE, SAMPLE_FORMAT = 258, 262, 281, 339  # tags of TIFF

Colour = tuple[int, int, int]  # red, green and blue, 0 to 255 each
Square = UInt8[np.ndarray, 'size size 3']


def square(
  encoded: bytes, size: int, fit: str = 'crop', background: str | Sequence[int] = 'white'
) -> Square:
  """The middle of a photograph, upright and in colour.

  If the photograph is smaller than the square, its shorter side is scaled up to fit. This equals
  scaling the largest square in its middle, so that nothing outside of it is computed.

  Args:
    encoded: content of a file in one of FORMATS, whatever its name; only the first of several
      frames or pages is decoded.
    size: pixels of the square's side.
    fit: 'crop' cuts `size` × `size` pixels out of the middle; 'area' scales the largest square in
      the middle down, each pixel being the mean of those that it covers.
    background: colour under transparent pixels: 'white' | 'black' | [red, green, blue], 0 to 255
      each.

  Returns:
    [size, size, 3] uint8; an odd margin leaves its spare pixel at the right and the bottom.

  Raises:
    Exception: any exception of Pillow if the bytes are not a valid photograph; ValueError if they
      claim to be huge, or if the range of their pixels is not known.
  """
  return with_frames(encoded, size, fit, background)[0]


def with_frames(
  encoded: bytes, size: int, fit: str = 'crop', background: str | Sequence[int] = 'white'
) -> tuple[Square, int]:
  """As `square`, with the number of frames or pages of the file: ([size, size, 3] uint8, int)."""
  import PIL.Image

  image, frames = _upright(encoded, background)
  side = min(image.size) if fit == 'area' else min(size, *image.size)
  left, top = (image.width - side) // 2, (image.height - side) // 2
  box = (left, top, left + side, top + side)
  if side != size:
    way = PIL.Image.Resampling.BILINEAR if side < size else PIL.Image.Resampling.BOX
    image = image.resize((size, size), way, box=box)
  elif image.size != (size, size):
    image = image.crop(box)
  return np.asarray(image), frames


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
  pixels = np.asarray(_upright(encoded, background, keep_gray=True)[0])
  return pixels[..., None] if pixels.ndim == 2 else pixels


def _upright(encoded: bytes, background: str | Sequence[int], *, keep_gray: bool = False) -> Any:
  """The upright PIL.Image of a file on its background, and the number of its frames.

  It is RGB, or with `keep_gray` grey if the file is a grey image without transparency.
  """
  import PIL.ImageOps

  image = _opened(io.BytesIO(encoded))
  if image.width * image.height > MOST_PIXELS:
    raise ValueError(f'{image.width:,} × {image.height:,} pixels are more than {MOST_PIXELS:,}')
  kind, frames, highest = image.format, _frames(image), _highest(image)
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
      # TGA has no fixed first bytes, so that other files may look like it.
      return _opened(file).format != 'TGA'
  except Exception:  # decoders raise exceptions of many types
    return False


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


def _opened(file: Any) -> Any:
  """The PIL.Image of an open binary file, not yet decoded."""
  import PIL.Image

  try:
    return PIL.Image.open(file, formats=FORMATS[:2])
  except PIL.UnidentifiedImageError:
    PIL.Image.init()  # loads the other formats, which takes a moment
    file.seek(0)
    return PIL.Image.open(file, formats=[name for name in FORMATS[2:] if name in PIL.Image.OPEN])


def _frames(image: Any) -> int:
  """Frames or pages of a file; the other pictures of a camera's MPO do not count as frames."""
  if image.format in ('JPEG', 'MPO', 'ICO', 'ICNS', 'PSD'):
    return 1
  return getattr(image, 'n_frames', 1)


def _may_be_turned(info: dict[Any, Any]) -> bool:
  """Whether metadata may hold an orientation; parsing them takes a fifth of the decoding time."""
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
