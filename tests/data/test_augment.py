"""Augmentation: hand-computed cases, probabilities, and independence of the batch (of devices:
tests/devices/test_parallel.py).
"""

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


ALL_CHANGES = [
  dict(kind='flip'),
  dict(kind='shift', pixels=2, fill='reflect'),
  dict(kind='rotate', degrees=20),
  dict(kind='cutout', size=3),
  dict(kind='brightness', change=0.2),
  dict(kind='contrast', change=0.2),
]


@pytest.mark.parametrize(
  'changes',
  [*(pytest.param([change], marks=pytest.mark.slow) for change in ALL_CHANGES), ALL_CHANGES],
  ids=[change['kind'] for change in ALL_CHANGES] + ['all'],
)
def test_augmentation_depends_on_the_example_not_its_position(changes):
  change = jax.jit(augment.build(changes, 'config.data.augment'))
  key, index = jax.random.key(5), jnp.array([3, 9, 0, 7, 4, 1, 8, 2])
  images = jax.random.uniform(jax.random.key(6), (8, 6, 6, 3))
  full = change(key, images, index)
  np.testing.assert_array_equal(change(key, images[3:5], index[3:5]), full[3:5])
  np.testing.assert_array_equal(change(key, images[::-1], index[::-1]), full[::-1])
  other = change(jax.random.key(7), images, index)
  assert (other != full).any()
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
  ],
)
def test_invalid_augmentation_is_named_in_the_error(change, message):
  with pytest.raises(ValueError, match=message):
    augment.build([dict(kind='flip'), change], 'config.data.augment')
