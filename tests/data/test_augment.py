"""Augmentation: hand-computed cases, probabilities, and independence of the batch (of devices:
tests/devices/test_parallel.py).
"""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data import augment

IMAGE = jnp.arange(1, 10, dtype=jnp.float32).reshape(3, 3, 1) / 10
KEYS = jax.random.split(jax.random.key(0), 400)


def apply_under_all_keys(change, /, image=IMAGE, **arguments):
  """Applies an augmentation to one image under 400 keys; returns [400, H, W]."""
  return np.asarray(jax.vmap(lambda key: change(key, image, **arguments))(KEYS)[..., 0])


def distinct(images):
  """Maps each distinct image to its count."""
  found, counts = np.unique(images.reshape(len(images), -1), axis=0, return_counts=True)
  return {as_tuple(row): count for row, count in zip(found, counts, strict=True)}


def as_tuple(image):
  """Returns the rounded pixels as a hashable tuple."""
  return tuple(np.round(np.asarray(image, np.float64).ravel(), 6).tolist())


def assert_even(counts, kinds):
  """Checks the number of distinct images and that each is equally frequent (six deviations)."""
  assert len(counts) == kinds
  share = 1 / kinds
  for count in counts.values():
    assert abs(count / 400 - share) < 6 * np.sqrt(share * (1 - share) / 400)


def test_flip_mirrors_half_of_the_images():
  counts = distinct(apply_under_all_keys(augment.flip))
  mirrored = IMAGE[:, ::-1]
  assert set(counts) == {as_tuple(IMAGE), as_tuple(mirrored)}
  assert_even(counts, 2)
  assert len(distinct(apply_under_all_keys(augment.flip, probability=0.0))) == 1


@pytest.mark.parametrize(
  ('fill', 'above'), [('zero', [0, 0, 0]), ('edge', [1, 2, 3]), ('reflect', [4, 5, 6])]
)
def test_shift_by_one_pixel_gives_nine_images(fill, above):
  counts = distinct(apply_under_all_keys(augment.shift, pixels=1, fill=fill))
  assert_even(counts, 9)
  down = np.array([above, [1, 2, 3], [4, 5, 6]]) / 10  # the padding enters at the top
  assert as_tuple(down) in counts


@pytest.mark.parametrize('degrees', [0, 90, 180, -90])
@pytest.mark.parametrize('size', [3, 4])
def test_rotation_by_right_angles_is_exact(degrees, size):
  image = jax.random.uniform(jax.random.key(3), (size, size, 2))
  np.testing.assert_allclose(
    augment.rotated(image, degrees), np.rot90(image, degrees // 90), atol=1e-6
  )


def test_rotation_by_45_degrees_matches_hand_computation():
  """A bright pixel right of the centre moves up and right; its centre is then at (-√½, √½)."""
  image = jnp.zeros((3, 3, 1)).at[1, 2, 0].set(1)
  rotated = augment.rotated(image, 45.0)[..., 0]
  half = np.sqrt(0.5)
  expected = np.zeros((3, 3))
  for row in range(3):
    for column in range(3):
      y, x = row - 1, column - 1
      source_y, source_x = (
        half * y + half * x,
        half * x - half * y,
      )  # position of this pixel before the rotation
      expected[row, column] = max(0, 1 - abs(source_y)) * max(0, 1 - abs(source_x - 1))
  np.testing.assert_allclose(rotated, expected, atol=1e-6)
  assert rotated[0, 2] == rotated.max()


def test_rotation_angles_are_symmetric_and_bounded():
  rotated = apply_under_all_keys(
    augment.rotate, image=jnp.zeros((3, 3, 1)).at[1, 2, 0].set(1), degrees=30
  )
  top, bottom = rotated[:, 0, 2], rotated[:, 2, 2]
  assert abs((top > bottom).mean() - 0.5) < 6 * 0.5 / 20
  limit = augment.rotated(jnp.zeros((3, 3, 1)).at[1, 2, 0].set(1), 30.0)[0, 2, 0]
  assert top.max() <= limit + 1e-6


def test_cutout_zeroes_a_square_clipped_at_the_edge():
  images = apply_under_all_keys(augment.cutout, image=jnp.ones((3, 3, 1)), size=2)
  assert_even(distinct(images), 9)
  assert sorted(set((images == 0).sum((1, 2)).tolist())) == [1, 2, 4]
  corner = np.ones((3, 3))
  corner[0, 0] = 0
  assert as_tuple(corner) in distinct(images)


def test_brightness_shifts_and_contrast_scales_about_the_mean():
  bright = apply_under_all_keys(augment.brightness, image=jnp.full((2, 2, 1), 0.5), change=0.2)
  assert (bright == bright[:, :1, :1]).all()
  assert 0.3 <= bright.min() < 0.31
  assert 0.69 < bright.max() <= 0.7
  assert (
    apply_under_all_keys(augment.brightness, image=jnp.ones((2, 2, 1)), change=0.2).max() == 1
  )  # clipped
  image = jnp.array([[0.4, 0.6], [0.5, 0.5]])[..., None]
  stretched = apply_under_all_keys(augment.contrast, image=image, change=0.5)
  np.testing.assert_allclose(stretched.mean((1, 2)), 0.5, atol=1e-6)
  factors = (stretched[:, 0, 1] - 0.5) / 0.1
  assert 0.5 <= factors.min() < 0.52
  assert 1.48 < factors.max() <= 1.5


def test_alternating_flip_shows_both_sides_in_two_epochs():
  """The side depends on the example and the epoch alone: not on the key, the position or the run."""
  change = augment.build([dict(kind='flip', alternating=True)], 'config.data.augment')
  images, index = jnp.stack([IMAGE] * 64), jnp.arange(64)
  epochs = [change(jax.random.key(epoch), images, index, epoch) for epoch in range(4)]
  np.testing.assert_array_equal(epochs[0], epochs[2])
  np.testing.assert_array_equal(epochs[1], epochs[3])
  np.testing.assert_array_equal(epochs[0], epochs[1][:, :, ::-1])
  np.testing.assert_array_equal(
    change(jax.random.key(9), images[::-1], index[::-1], 0), epochs[0][::-1]
  )
  mirrored = int((np.asarray(epochs[0]) != np.asarray(images)).any((1, 2, 3)).sum())
  assert abs(mirrored - 32) < 6 * np.sqrt(64) / 2


def test_random_resized_crop_of_the_complete_image_is_the_image():
  image = jax.random.uniform(jax.random.key(1), (5, 7, 2))
  found = augment.random_resized_crop(KEYS[0], image, area=(1, 1), ratio=(7 / 5, 7 / 5))
  np.testing.assert_allclose(found, image, atol=1e-5)


def test_random_resized_crop_equals_a_hand_computation(monkeypatch):
  """The rectangle of rows 1 to 3 and columns 0 to 4 of a 4 × 4 image is enlarged to 4 × 4."""
  image = jnp.arange(16, dtype=jnp.float32).reshape(4, 4, 1) / 16
  monkeypatch.setattr(augment, '_rectangle', lambda *_: (1.0, 0.0, 2.0, 4.0))
  found = augment.random_resized_crop(KEYS[0], image)[..., 0]
  rows = [0.75, 1.25, 1.75, 2.25]  # 1 + (i + ½) · 2 / 4 − ½
  expected = [[(4 * row + column) / 16 for column in range(4)] for row in rows]
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rectangles_have_the_drawn_area_and_ratio_and_stay_inside():
  draw = jax.vmap(lambda key: jnp.stack(augment._rectangle(key, (20, 30), (0.1, 0.5), (0.5, 1.5))))
  top, left, height, width = np.asarray(draw(KEYS)).T
  area, ratio = height * width / 600, width / height
  assert 0.1 - 1e-5 <= area.min() < 0.11
  assert 0.47 < area.max() <= 0.5 + 1e-5
  assert 0.5 - 1e-5 <= ratio.min() < 0.52
  assert 1.4 < ratio.max() <= 1.5 + 1e-5
  assert min(top.min(), left.min()) >= 0
  assert (top + height).max() <= 20 + 1e-4
  assert (left + width).max() <= 30 + 1e-4
  assert abs(np.mean(np.log(ratio) > np.log([0.5, 1.5]).mean()) - 0.5) < 6 * 0.5 / 20


def test_color_jitter_of_brightness_and_contrast_equals_a_hand_computation():
  image = jnp.array([[0.2, 0.4]])[..., None]
  bright = apply_under_all_keys(augment.color_jitter, image=image, brightness=0.5)
  np.testing.assert_allclose(bright[:, 0, 1], 2 * bright[:, 0, 0], rtol=1e-5)
  assert 0.1 <= bright[:, 0, 0].min() < 0.11
  assert 0.29 < bright[:, 0, 0].max() <= 0.3 + 1e-6
  stretched = apply_under_all_keys(augment.color_jitter, image=image, contrast=0.5)
  np.testing.assert_allclose(stretched.mean((1, 2)), 0.3, atol=1e-6)
  assert 0.14 < stretched[:, 0, 1].max() - 0.3 <= 0.15 + 1e-6


def test_color_jitter_of_saturation_keeps_gray_pixels_and_the_luma():
  image = jnp.array([[[0.5, 0.5, 0.5], [0.6, 0.4, 0.3]]])
  change = jax.vmap(lambda key: augment.color_jitter(key, image, saturation=0.5))
  found = np.asarray(change(KEYS))
  np.testing.assert_allclose(found[:, 0, 0], 0.5, atol=1e-6)
  luma = [0.299, 0.587, 0.114]
  np.testing.assert_allclose(found[:, 0, 1] @ luma, np.dot([0.6, 0.4, 0.3], luma), atol=1e-5)
  assert np.ptp(found[:, 0, 1, 0]) > 0.1


@pytest.mark.parametrize('shift', [0.0, 1 / 3, -0.25, 0.5, 0.1])
def test_hue_equals_that_of_the_standard_library(shift):
  pixels = np.random.default_rng(0).uniform(size=(6, 6, 3)).astype(np.float32)
  pixels[0, :3] = [[0.5, 0.5, 0.5], [1, 0, 0], [0, 0, 0]]
  expected = [
    [
      colorsys.hsv_to_rgb((h + shift) % 1, s, v)
      for h, s, v in (colorsys.rgb_to_hsv(*p) for p in row)
    ]
    for row in pixels.tolist()
  ]
  np.testing.assert_allclose(augment._hue_shifted(jnp.asarray(pixels), shift), expected, atol=1e-5)


@pytest.mark.parametrize('fill', ['zero', 'mean', 'noise'])
def test_random_erasing_replaces_a_rectangle_of_some_images(fill):
  image = jnp.full((10, 10, 1), 0.4).at[0, 0].set(0.9)
  found = apply_under_all_keys(
    augment.random_erasing, image=image, probability=0.25, area=(0.2, 0.3), fill=fill
  )
  erased = np.abs(found - np.asarray(image[..., 0])) > 1e-4
  changed = erased.any((1, 2))
  assert abs(changed.mean() - 0.25) < 6 * np.sqrt(0.25 * 0.75 / 400)
  assert erased[changed].sum((1, 2)).min() >= 8
  assert erased.sum((1, 2)).max() <= 42  # the centres of pixels inside 30 % of the area
  rows, columns = erased.any(2).sum(1), erased.any(1).sum(1)
  if fill != 'mean':  # the bright pixel is close to the mean
    np.testing.assert_array_equal(erased.sum((1, 2)), rows * columns)
  values = found[erased]
  if fill == 'zero':
    assert (values == 0).all()
  elif fill == 'mean':
    np.testing.assert_allclose(values, 0.405, atol=1e-6)
  else:
    assert values.min() < 0.02 < 0.98 < values.max()


ALL_CHANGES = [
  dict(kind='flip'),
  dict(kind='shift', pixels=2, fill='reflect'),
  dict(kind='rotate', degrees=20),
  dict(kind='cutout', size=3),
  dict(kind='brightness', change=0.2),
  dict(kind='contrast', change=0.2),
  dict(kind='flip', alternating=True),
  dict(kind='random_resized_crop'),
  dict(kind='color_jitter', brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1),
  dict(kind='random_erasing', fill='noise'),
]


@pytest.mark.parametrize(
  'changes',
  [*([change] for change in ALL_CHANGES), ALL_CHANGES],
  ids=[change['kind'] for change in ALL_CHANGES] + ['all'],
)
@pytest.mark.slow
def test_augmentation_depends_on_the_example_not_its_position(changes):
  change = jax.jit(augment.build(changes, 'config.data.augment'))
  key, index = jax.random.key(5), jnp.array([3, 9, 0, 7, 4, 1, 8, 2])
  images = jax.random.uniform(jax.random.key(6), (8, 6, 6, 3))
  full = change(key, images, index)
  np.testing.assert_array_equal(change(key, images[3:5], index[3:5]), full[3:5])
  np.testing.assert_array_equal(change(key, images[::-1], index[::-1]), full[::-1])
  other = change(jax.random.key(7), images, index)
  assert (other != full).any() or changes[0].get('alternating')
  assert full.min() >= 0
  assert full.max() <= 1


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (dict(kind='mirror'), r"augment\[1\]\.kind='mirror' is unknown: use one of flip, shift"),
    (
      dict(kind='shift', pixel=4),
      r'augment\[1\]\.pixel is not a key of shift: its keys are pixels, fill, kind; did you mean pixels',
    ),
    (dict(kind='shift'), r'augment\[1\]\.pixels is missing'),
    (dict(kind='shift', pixels=0), r'augment\[1\]\.pixels=0 is not an integer from 1 to 512'),
    (
      dict(kind='shift', pixels=4, fill='wrap'),
      r"augment\[1\]\.fill='wrap' is unknown: use one of zero, edge, reflect",
    ),
    (dict(kind='rotate', degrees=200), r'augment\[1\]\.degrees=200 is not a number from 0 to 180'),
    (
      dict(kind='flip', probability='often'),
      r"augment\[1\]\.probability='often' is not a number from 0 to 1",
    ),
    (dict(kind='flip', alternating=1), r'augment\[1\]\.alternating=1 is not a boolean'),
    (
      dict(kind='random_resized_crop', area=(0.5, 0.2)),
      r'augment\[1\]\.area=\(0\.5, 0\.2\) is not a pair of ascending numbers from 0\.001 to 1',
    ),
    (
      dict(kind='random_resized_crop', ratio=3),
      r'augment\[1\]\.ratio=3 is not a pair of ascending numbers',
    ),
    (
      dict(kind='random_erasing', fill='edge'),
      r"augment\[1\]\.fill='edge' is unknown: use one of zero, mean, noise",
    ),
    (dict(kind='color_jitter', hue=0.6), r'augment\[1\]\.hue=0\.6 is not a number from 0 to 0\.5'),
    (
      dict(kind='color_jitter', hue=0.1),
      r'augment\[1\]\.hue=0\.1 needs images of 3 channels, but these have 1: leave hue out',
    ),
  ],
)
def test_invalid_augmentation_is_named_in_the_error(change, message):
  with pytest.raises(ValueError, match=message):
    augment.build([dict(kind='flip'), change], 'config.data.augment', channels=1)
