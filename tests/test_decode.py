"""The square that is cut from a photograph, pixel by pixel."""

import io

import numpy as np
import PIL.Image
import pytest

from jaxdl.data.photographs import decode

RANDOM = np.random.default_rng(0)


def png(pixels, mode=None, **options):
  file = io.BytesIO()
  PIL.Image.fromarray(pixels, mode).save(file, 'PNG', **options)
  return file.getvalue()


def noise(*shape):
  return RANDOM.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(('height', 'width', 'top', 'left'), [
    (8, 8, 0, 0), (12, 10, 2, 1), (11, 13, 1, 2), (8, 9, 0, 0), (9, 8, 0, 0)])
def test_the_middle_is_cut_out(height, width, top, left):
  """An odd margin leaves its spare pixel at the right and the bottom."""
  pixels = noise(height, width, 3)
  np.testing.assert_array_equal(decode.square(png(pixels), 8), pixels[top:top + 8, left:left + 8])


def test_area_scales_the_largest_square_in_the_middle_down():
  """Each pixel is the mean of what it covers; what is smaller is scaled up as ever."""
  pixels = noise(24, 27, 3)
  blocks = pixels[:, 1:25].astype(float).reshape(8, 3, 8, 3, 3).mean((1, 3))
  np.testing.assert_allclose(decode.square(png(pixels), 8, 'area'), blocks, atol=1)
  np.testing.assert_array_equal(decode.square(png(pixels), 40, 'area'), decode.square(png(pixels), 40))


@pytest.mark.parametrize(('mode', 'pixels', 'expected'), [
    ('gray', noise(8, 8), lambda p: np.stack([p] * 3, -1)),
    ('RGBA', noise(8, 8, 4), lambda p: p[..., :3]),
    ('gray with alpha', noise(8, 8, 2), lambda p: np.stack([p[..., 0]] * 3, -1)),
    ('16 bits', noise(8, 8).astype(np.uint16) * 256 + 77, lambda p: np.stack([p >> 8] * 3, -1)),
    ('black and white', noise(8, 8) > 127, lambda p: np.stack([p * 255] * 3, -1))])
def test_every_kind_of_pixel_becomes_colour(mode, pixels, expected):
  np.testing.assert_array_equal(decode.square(png(pixels), 8), expected(pixels))


def test_a_palette_with_transparency_keeps_its_colours():
  image = PIL.Image.fromarray(noise(8, 8, 3)).quantize(16)
  file = io.BytesIO()
  image.save(file, 'PNG', transparency=bytes(range(16)))
  np.testing.assert_array_equal(decode.square(file.getvalue(), 8), np.asarray(image.convert('RGB')))


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('kind', ['PNG', 'JPEG'])
def test_a_photograph_is_turned_upright(orientation, kind):
  """EXIF says where the stored row 0 and column 0 belong."""
  stored = np.kron(noise(3, 2, 1), np.ones((8, 8, 3), np.uint8))  # blocks of one gray each survive JPEG
  upright = {1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
             5: lambda p: p.swapaxes(0, 1), 6: lambda p: p[::-1].swapaxes(0, 1),
             7: lambda p: p[::-1, ::-1].swapaxes(0, 1), 8: lambda p: p[:, ::-1].swapaxes(0, 1)}[orientation](stored)
  exif = PIL.Image.Exif()
  exif[274] = orientation
  file = io.BytesIO()
  PIL.Image.fromarray(stored).save(file, kind, exif=exif, **({'quality': 100} if kind == 'JPEG' else {}))
  top, left = (upright.shape[0] - 16) // 2, (upright.shape[1] - 16) // 2
  np.testing.assert_allclose(decode.square(file.getvalue(), 16).astype(int),
                             upright[top:top + 16, left:left + 16], atol=0 if kind == 'PNG' else 2)


def test_a_smaller_photograph_is_scaled_up_then_cut():
  """8 by 6 to 12: twice as large, then 2 of the 16 columns are left out on each side."""
  pixels = noise(6, 8, 3)
  whole = np.asarray(PIL.Image.fromarray(pixels).resize((16, 12), PIL.Image.Resampling.BILINEAR))
  np.testing.assert_array_equal(decode.square(png(pixels), 12), whole[:, 2:14])


def test_scaling_is_linear_between_pixel_centres():
  pixels = np.array([[0, 100], [0, 100]], np.uint8)
  expected = [0, 25, 75, 100]  # centres at 1/4, 3/4, 5/4, 7/4 of pixels whose own are at 1/2 and 3/2
  np.testing.assert_array_equal(decode.square(png(pixels), 4)[:, :, 0], [expected] * 4)


def test_a_single_pixel_fills_the_square():
  assert (decode.square(png(np.full((1, 1, 3), 9, np.uint8)), 5) == 9).all()
