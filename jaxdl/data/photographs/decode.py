"""From the bytes of a JPEG or PNG file to a square of pixels."""

import io

import numpy as np

MOST_PIXELS = 1 << 26  # 200 MB when decoded: what a few bytes may claim before any of it is made
TURNED = (b'\x01\x12', b'\x12\x01', b'Orientation')  # EXIF's tag 274 in either byte order, and XMP's name for it
FITS = ('crop', 'area')


def square(encoded, size, fit='crop'):
  """The middle of a photograph, upright and in colour.

  Where the photograph is smaller than the square, its shorter side is scaled up to fit, which is the same as scaling
  the largest square in its middle: nothing outside it is computed.

  Args:
    encoded: bytes of a JPEG or PNG file.
    size: int, pixels of the square's side.
    fit: 'crop' cuts out as many pixels of the middle; 'area' takes the largest square in the middle and makes it smaller,
      each pixel the mean of what it covers.

  Returns:
    [size, size, 3] uint8; an odd margin leaves its spare pixel at the right and the bottom.

  Raises:
    Exception: whatever Pillow raises where the bytes are not a sound photograph; ValueError where they claim to be huge.
  """
  import PIL.Image
  import PIL.ImageOps
  image = PIL.Image.open(io.BytesIO(encoded), formats=('JPEG', 'PNG'))
  if image.width * image.height > MOST_PIXELS:
    raise ValueError(f'{image.width:,} × {image.height:,} pixels are more than {MOST_PIXELS:,}')
  image.load()
  if _may_be_turned(image.info):
    image = PIL.ImageOps.exif_transpose(image)
  image = _colour(image)
  side = min(image.size) if fit == 'area' else min(size, *image.size)
  left, top = (image.width - side) // 2, (image.height - side) // 2
  box = (left, top, left + side, top + side)
  if side != size:
    way = PIL.Image.Resampling.BILINEAR if side < size else PIL.Image.Resampling.BOX
    image = image.resize((size, size), way, box=box)
  elif image.size != (size, size):
    image = image.crop(box)
  return np.asarray(image)


def _may_be_turned(info):
  """Whether a file's notes can hold an orientation at all; parsing them takes as long as a fifth of the decoding."""
  notes = (info.get(key, b'') for key in ('exif', 'xmp', 'Raw profile type exif'))
  return any(isinstance(note, str) or any(mark in note for mark in TURNED) for note in notes)


def _colour(image):
  """RGB; transparency is dropped, 16 bits become 8."""
  import PIL.Image
  if image.mode == 'RGB':
    return image  # convert would copy it
  if image.mode.startswith('I'):
    image = PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
  if image.mode == 'P' and 'transparency' in image.info:
    image = image.convert('RGBA')
  return image.convert('RGB')
