"""The square crop of a photograph, checked pixel by pixel."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from jaxdl.data import fits, preprocess
from jaxdl.data.photographs import decode

RANDOM = np.random.default_rng(0)


def png(pixels, mode=None, **options):
  file = io.BytesIO()
  PIL.Image.fromarray(pixels, mode).save(file, 'PNG', **options)
  return file.getvalue()


def noise(*shape):
  return RANDOM.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
  ('height', 'width', 'top', 'left'),
  [(8, 8, 0, 0), (12, 10, 2, 1), (11, 13, 1, 2), (8, 9, 0, 0), (9, 8, 0, 0)],
)
def test_crop_takes_the_centre(height, width, top, left):
  """An odd margin leaves its extra pixel at the right and the bottom."""
  pixels = noise(height, width, 3)
  np.testing.assert_array_equal(
    decode.square(png(pixels), 8), pixels[top : top + 8, left : left + 8]
  )


def test_area_averages_the_largest_central_square():
  """Each output pixel is the mean of the pixels that it covers. Smaller images are enlarged as in
  the default mode.
  """
  pixels = noise(24, 27, 3)
  blocks = pixels[:, 1:25].astype(float).reshape(8, 3, 8, 3, 3).mean((1, 3))
  np.testing.assert_allclose(decode.square(png(pixels), 8, 'area'), blocks, atol=1)
  np.testing.assert_array_equal(
    decode.square(png(pixels), 40, 'area'), decode.square(png(pixels), 40)
  )


GREEN = (0, 255, 0)


def test_pad_shows_the_complete_image_between_margins():
  """24 × 9 pixels in a square of 8: 8 × 3 area means; the spare row of 5 is at the bottom."""
  pixels = noise(9, 24, 3)
  found = decode.square(png(pixels), 8, 'pad', GREEN)
  means = pixels.astype(float).reshape(3, 3, 8, 3, 3).mean((1, 3))
  np.testing.assert_allclose(found[2:5], means, atol=1)
  assert (found[:2] == GREEN).all()
  assert (found[5:] == GREEN).all()
  tall = decode.square(png(pixels.swapaxes(0, 1)), 8, 'pad', GREEN)
  np.testing.assert_array_equal(tall, found.swapaxes(0, 1))


@pytest.mark.parametrize(
  ('height', 'width', 'rows', 'columns'),
  [
    (1, 1, slice(0, 7), slice(0, 7)),  # enlarged
    (1, 100, slice(3, 4), slice(0, 7)),  # 0.07 pixels become one
    (100, 1, slice(0, 7), slice(3, 4)),
    (2, 3, slice(1, 6), slice(0, 7)),  # 14 / 3 pixels become 5
    (7, 7, slice(0, 7), slice(0, 7)),
    (7, 4, slice(0, 7), slice(1, 5)),  # an odd margin
  ],
)
@pytest.mark.parametrize('memory', [False, True])
def test_pad_places_images_of_any_shape(height, width, rows, columns, memory):
  pixels = np.full((height, width, 3), 77, np.uint8)
  if memory:
    found = preprocess.fit(pixels[None], 7, 'pad', GREEN)[0]
  else:
    found = decode.square(png(pixels), 7, 'pad', GREEN)
  assert (found[rows, columns] == 77).all()
  found = found.copy()
  found[rows, columns] = GREEN
  assert (found == GREEN).all()


def test_stretch_scales_both_sides():
  pixels = noise(24, 16, 3)
  means = pixels.astype(float).reshape(8, 3, 8, 2, 3).mean((1, 3))
  np.testing.assert_allclose(decode.square(png(pixels), 8, 'stretch'), means, atol=1)
  rows = np.repeat(np.array([[0], [90]], np.uint8), 12, axis=1)  # 2 × 12 → 6 × 6
  found = decode.square(png(rows), 6, 'stretch', color='gray')[..., 0]
  np.testing.assert_array_equal(found, np.repeat(found[:, :1], 6, axis=1))
  assert found[:, 0].tolist() == [0, 0, 30, 60, 90, 90]  # interpolated between the pixels' centres
  np.testing.assert_array_equal(
    decode.square(png(pixels[:1, :1]), 5, 'stretch')[4, 4], pixels[0, 0]
  )


@pytest.mark.parametrize('fit', fits.FITS)
def test_gray_is_the_luma_of_the_photograph(fit):
  """Of a gray file, its own values; transparency and margins show the luma of the background."""
  pixels = noise(12, 12, 3)
  luma = np.asarray(PIL.Image.fromarray(pixels).convert('L'))
  found = decode.square(png(pixels), 12, fit, color='gray')
  assert found.shape == (12, 12, 1)
  np.testing.assert_array_equal(found[..., 0], luma)
  np.testing.assert_array_equal(found, preprocess.gray(pixels[None])[0])
  np.testing.assert_array_equal(decode.square(png(luma), 12, fit, color='gray')[..., 0], luma)
  clear = encoded(PIL.Image.fromarray(DRAWING[:, :5]))
  shown = decode.square(clear, 8, 'pad', GREEN, 'gray')[..., 0]
  assert set(np.unique(shown)) == {0, 150}  # 0.587 · 255
  assert (shown[:, [0, 6, 7]] == 150).all()


@pytest.mark.parametrize(
  ('mode', 'pixels', 'expected'),
  [
    ('gray', noise(8, 8), lambda p: np.stack([p] * 3, -1)),
    ('16 bits', noise(8, 8).astype(np.uint16) * 256 + 77, lambda p: np.stack([p >> 8] * 3, -1)),
    ('black and white', noise(8, 8) > 127, lambda p: np.stack([p * 255] * 3, -1)),
  ],
)
def test_all_pixel_modes_are_converted_to_rgb(mode, pixels, expected):
  np.testing.assert_array_equal(decode.square(png(pixels), 8), expected(pixels))


def encoded(image, kind='PNG', **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


OPAQUE = (np.arange(64).reshape(8, 8) % 3 == 0) * np.uint8(255)
DRAWING = np.dstack([np.zeros((8, 8, 3), np.uint8), OPAQUE])  # black on a transparent background


@pytest.mark.parametrize(
  ('image', 'options'),
  [
    (PIL.Image.fromarray(DRAWING), {}),
    (PIL.Image.fromarray(DRAWING), {'kind': 'WEBP', 'lossless': True}),
    (PIL.Image.fromarray(DRAWING), {'kind': 'TIFF'}),
    (PIL.Image.fromarray(DRAWING[..., 2:]), {}),
    (PIL.Image.fromarray(255 - OPAQUE), {'transparency': 255}),
    (PIL.Image.fromarray(np.stack([255 - OPAQUE] * 3, -1)), {'transparency': (255, 255, 255)}),
    (PIL.Image.fromarray((255 - OPAQUE).astype(np.uint16) << 8), {'transparency': 65280}),
    (PIL.Image.fromarray(255 - OPAQUE).convert('P'), {'transparency': 255}),
    (PIL.Image.fromarray(255 - OPAQUE).convert('P'), {'kind': 'GIF', 'transparency': 255}),
  ],
  ids=['RGBA', 'WebP', 'TIFF', 'LA', 'L', 'RGB', '16 bits', 'palette', 'GIF'],
)
@pytest.mark.parametrize(
  ('background', 'colour'),
  [('white', (255, 255, 255)), ('black', (0, 0, 0)), ([10, 20, 30], (10, 20, 30))],
)
def test_transparent_pixels_show_the_background(image, options, background, colour):
  found = decode.square(encoded(image, **options), 8, background=background)
  assert (found[OPAQUE == 255] == 0).all()
  assert (found[OPAQUE == 0] == colour).all()


def png_chunk(name, content):
  checksum = struct.pack('>I', zlib.crc32(name + content))
  return struct.pack('>I', len(content)) + name + content + checksum


@pytest.mark.parametrize(('bits', 'channels'), [(1, 1), (2, 1), (4, 1), (8, 1), (8, 3), (16, 3)])
@pytest.mark.parametrize('color', ['original', 'gray'])
def test_transparent_colour_of_any_depth_shows_the_background(bits, channels, color):
  """PNGs of all depths, whose second-lowest value (of 16 bits: 0x0123) is transparent."""
  key = 0x0123 if bits == 16 else 1
  values = np.where(OPAQUE == 255, 0, key).repeat(channels, axis=1)
  if bits == 16:
    rows = [row.astype('>u2').tobytes() for row in values]
  else:
    digits = [''.join(f'{value:0{bits}b}' for value in row) for row in values]
    rows = [int(row, 2).to_bytes(len(row) // 8, 'big') for row in digits]
  header = struct.pack('>IIBBBBB', 8, 8, bits, 2 if channels == 3 else 0, 0, 0, 0)
  file = decode.PNG + png_chunk(b'IHDR', header)
  file += png_chunk(b'tRNS', struct.pack('>H', key) * channels)
  file += png_chunk(b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows)))
  found = decode.square(file + png_chunk(b'IEND', b''), 8, color=color)
  np.testing.assert_array_equal(found, np.where(OPAQUE == 255, 0, 255)[..., None] + 0 * found)


def test_partial_transparency_blends_with_the_background():
  pixel = np.zeros((8, 8, 4), np.uint8) + np.array(
    [255, 0, 0, 51], np.uint8
  )  # opacity of one fifth
  np.testing.assert_allclose(decode.square(png(pixel), 8)[0, 0], [255, 204, 204], atol=1)
  image = PIL.Image.fromarray(noise(8, 8, 3)).quantize(16)
  opacity = np.arange(16) * 17
  found = decode.square(encoded(image, transparency=bytes(opacity.astype(np.uint8))), 8).astype(
    float
  )
  share = opacity[np.asarray(image)][..., None] / 255
  np.testing.assert_allclose(
    found, share * np.asarray(image.convert('RGB')) + (1 - share) * 255, atol=1
  )


@pytest.mark.parametrize(
  'background', ['green', [0, 0], [0, 0, 256], [0, 0, 0.5], [True, 0, 0], 7, None]
)
def test_invalid_background_is_named_in_the_error(background):
  with pytest.raises(
    ValueError, match=r'config\.data\.background=.* is not a colour: use .white., .black. or \[red'
  ):
    fits.background_colour(background)


PICTURE = np.kron(noise(4, 4, 3), np.ones((4, 4, 1), np.uint8))


@pytest.mark.parametrize(
  'kind',
  [
    'BMP',
    'GIF',
    'TIFF',
    'WEBP',
    'PPM',
    'JPEG2000',
    'PCX',
    'TGA',
    'ICO',
    'AVIF',
    'SGI',
    'QOI',
    'DDS',
    'MPO',
    'JPEG',
  ],
)
def test_image_format_is_detected_from_content(kind, tmp_path):
  options = {
    'WEBP': {'lossless': True},
    'GIF': {},
    'AVIF': {'quality': 100, 'subsampling': '4:4:4'},
    'MPO': {'quality': 100, 'subsampling': 0},
    'JPEG': {'quality': 100, 'subsampling': 0},
  }.get(kind, {})
  content = encoded(PIL.Image.fromarray(PICTURE), kind, **options)
  np.testing.assert_allclose(
    decode.square(content, 16).astype(int),
    PICTURE,
    atol=6 if kind in ('MPO', 'JPEG', 'AVIF') else 0,
  )
  (tmp_path / 'name.txt').write_bytes(content)
  assert decode.is_photograph(tmp_path / 'name.txt') == (kind != 'TGA')


def test_formats_that_need_external_programs_are_rejected(tmp_path):
  content = encoded(PIL.Image.fromarray(PICTURE), 'EPS')
  with pytest.raises(PIL.UnidentifiedImageError):
    decode.square(content, 16)
  (tmp_path / 'a').write_bytes(content)
  assert not decode.is_photograph(tmp_path / 'a')
  assert not decode.is_photograph(tmp_path / 'nowhere')


@pytest.mark.parametrize('kind', ['GIF', 'WEBP', 'TIFF', 'PNG'])
def test_first_frame_is_read_and_frames_are_counted(kind):
  frames = [PIL.Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (10, 200, 90)]
  image, count = decode.with_frames(
    encoded(frames[0], kind, save_all=True, append_images=frames[1:]), 8
  )
  assert count == 3
  assert (image == 10).all()
  assert decode.with_frames(encoded(frames[0], kind), 8)[1] == 1


DEEP = np.arange(64, dtype=np.uint16).reshape(8, 8)


@pytest.mark.parametrize(
  ('pixels', 'kind', 'options', 'expected'),
  [
    (DEEP * 1040, 'TIFF', {}, (DEEP * 1040) >> 8),
    (DEEP * 1040, 'PPM', {}, (DEEP * 1040) >> 8),
    (DEEP * 1040, 'JPEG2000', {}, (DEEP * 1040) >> 8),
    (DEEP * 65, 'TIFF', {'tiffinfo': {281: 4095}}, (DEEP * 65) >> 4),
    (DEEP * 15, 'TIFF', {'tiffinfo': {281: 1000}}, DEEP * 15 * 0.255),
    ((DEEP / 63).astype(np.float32), 'TIFF', {}, DEEP / 63 * 255),
  ],
  ids=['TIFF', 'PGM', 'JPEG 2000', '12 bits', 'to 1000', 'float'],
)
def test_deep_pixel_range_comes_from_the_file(pixels, kind, options, expected):
  found = decode.square(encoded(PIL.Image.fromarray(pixels), kind, **options), 8)
  np.testing.assert_allclose(found[..., 0], expected, atol=0.5)
  assert (found == found[..., :1]).all()


def test_deep_tiff_with_white_as_zero_is_inverted():
  content = bytearray(encoded(PIL.Image.fromarray(DEEP * 1040), 'TIFF'))
  entry = content.index(
    bytes([6, 1, 3, 0, 1, 0, 0, 0])
  )  # PhotometricInterpretation, one short integer
  assert content[entry + 8] == 1
  content[entry + 8] = 0
  np.testing.assert_array_equal(
    decode.square(bytes(content), 8)[..., 0], 255 - ((DEEP * 1040) >> 8)
  )


@pytest.mark.parametrize(
  ('pixels', 'message'),
  [
    (
      DEEP.astype(np.int32),
      'the range of its 32-bit pixels is not known: save it with 8 or 16 bits',
    ),
    (
      DEEP.astype(np.float32),
      r'its pixels go from 0.0 to 63.0, but its range is 0 to 1.0: save it with 8',
    ),
    (np.full((8, 8), np.nan, np.float32), 'its pixels go from nan to nan'),
  ],
)
def test_deep_pixels_of_unknown_range_are_rejected(pixels, message):
  with pytest.raises(ValueError, match=message):
    decode.square(encoded(PIL.Image.fromarray(pixels), 'TIFF'), 8)


def test_cmyk_conversion_equals_pillow():
  image = PIL.Image.fromarray(PICTURE).convert('CMYK')
  np.testing.assert_array_equal(
    decode.square(encoded(image, 'TIFF'), 16), np.asarray(image.convert('RGB'))
  )


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'TIFF', 'WEBP'])
def test_exif_orientation_is_applied(orientation, kind):
  """EXIF gives the side on which the stored row 0 and column 0 belong."""
  stored = np.kron(noise(3, 2, 1), np.ones((8, 8, 3), np.uint8))  # uniform gray blocks survive JPEG
  upright = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p[::-1].swapaxes(0, 1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: p[:, ::-1].swapaxes(0, 1),
  }[orientation](stored)
  exif = PIL.Image.Exif()
  exif[274] = orientation
  file = io.BytesIO()
  PIL.Image.fromarray(stored).save(
    file, kind, exif=exif, **{'JPEG': {'quality': 100}, 'WEBP': {'lossless': True}}.get(kind, {})
  )
  top, left = (upright.shape[0] - 16) // 2, (upright.shape[1] - 16) // 2
  np.testing.assert_allclose(
    decode.square(file.getvalue(), 16).astype(int),
    upright[top : top + 16, left : left + 16],
    atol=2 if kind == 'JPEG' else 0,
  )


def test_small_photograph_is_enlarged_then_cropped():
  """8 × 6 to 12: enlarged to 16 × 12, then 2 columns are removed on each side."""
  pixels = noise(6, 8, 3)
  enlarged = np.asarray(PIL.Image.fromarray(pixels).resize((16, 12), PIL.Image.Resampling.BILINEAR))
  np.testing.assert_array_equal(decode.square(png(pixels), 12), enlarged[:, 2:14])


def test_scaling_is_linear_between_pixel_centres():
  pixels = np.array([[0, 100], [0, 100]], np.uint8)
  expected = [
    0,
    25,
    75,
    100,
  ]  # output centres at 1/4, 3/4, 5/4, 7/4; input centres at 1/2 and 3/2
  np.testing.assert_array_equal(decode.square(png(pixels), 4)[:, :, 0], [expected] * 4)


def test_single_pixel_fills_the_square():
  assert (decode.square(png(np.full((1, 1, 3), 9, np.uint8)), 5) == 9).all()
