"""Augmentation: cases worked by hand, chances, and equality over batches (over devices:
test_devices.py).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data import augment

IMAGE = jnp.arange(1, 10, dtype=jnp.float32).reshape(3, 3, 1) / 10
KEYS = jax.random.split(jax.random.key(0), 400)


def every(change, /, image=IMAGE, **arguments):
  """[400, H, W]: the change of one image under 400 keys."""
  return np.asarray(jax.vmap(lambda key: change(key, image, **arguments))(KEYS)[..., 0])


def distinct(images):
  """Distinct images and how often each is there."""
  found, counts = np.unique(images.reshape(len(images), -1), axis=0, return_counts=True)
  return {picture(row): count for row, count in zip(found, counts, strict=True)}


def picture(image):
  """An image as something that can be compared and counted."""
  return tuple(np.round(np.asarray(image, np.float64).ravel(), 6).tolist())


def assert_even(counts, kinds):
  """As many kinds as expected, each about equally often (six deviations)."""
  assert len(counts) == kinds
  share = 1 / kinds
  for count in counts.values():
    assert abs(count / 400 - share) < 6 * np.sqrt(share * (1 - share) / 400)


def test_flip_mirrors_left_and_right_half_of_the_time():
  counts = distinct(every(augment.flip))
  mirrored = IMAGE[:, ::-1]
  assert set(counts) == {picture(IMAGE), picture(mirrored)}
  assert_even(counts, 2)
  assert len(distinct(every(augment.flip, probability=0.0))) == 1


@pytest.mark.parametrize(
  ('fill', 'above'), [('zero', [0, 0, 0]), ('edge', [1, 2, 3]), ('reflect', [4, 5, 6])]
)
def test_shift_by_one_pixel_gives_nine_pictures(fill, above):
  counts = distinct(every(augment.shift, pixels=1, fill=fill))
  assert_even(counts, 9)
  down = np.array([above, [1, 2, 3], [4, 5, 6]]) / 10  # the padding came in from above
  assert picture(down) in counts


@pytest.mark.parametrize('degrees', [0, 90, 180, -90])
@pytest.mark.parametrize('size', [3, 4])
def test_rotation_by_right_angles_is_exact(degrees, size):
  image = jax.random.uniform(jax.random.key(3), (size, size, 2))
  np.testing.assert_allclose(
    augment.rotated(image, degrees), np.rot90(image, degrees // 90), atol=1e-6
  )


def test_rotation_by_45_degrees_by_hand():
  """A single bright pixel right of the centre moves up and right: its centre is then at (-√½, √½)."""
  image = jnp.zeros((3, 3, 1)).at[1, 2, 0].set(1)
  turned = augment.rotated(image, 45.0)[..., 0]
  half = np.sqrt(0.5)
  expected = np.zeros((3, 3))
  for row in range(3):
    for column in range(3):
      y, x = row - 1, column - 1
      back_y, back_x = (
        half * y + half * x,
        half * x - half * y,
      )  # where this pixel was before the turn
      expected[row, column] = max(0, 1 - abs(back_y)) * max(0, 1 - abs(back_x - 1))
  np.testing.assert_allclose(turned, expected, atol=1e-6)
  assert turned[0, 2] == turned.max()


def test_rotation_draws_angles_on_both_sides():
  turned = every(augment.rotate, image=jnp.zeros((3, 3, 1)).at[1, 2, 0].set(1), degrees=30)
  top, bottom = turned[:, 0, 2], turned[:, 2, 2]
  assert abs((top > bottom).mean() - 0.5) < 6 * 0.5 / 20
  limit = augment.rotated(jnp.zeros((3, 3, 1)).at[1, 2, 0].set(1), 30.0)[0, 2, 0]
  assert top.max() <= limit + 1e-6


def test_cutout_blackens_a_square_that_may_reach_beyond_the_edge():
  images = every(augment.cutout, image=jnp.ones((3, 3, 1)), size=2)
  assert_even(distinct(images), 9)
  assert sorted(set((images == 0).sum((1, 2)).tolist())) == [1, 2, 4]
  corner = np.ones((3, 3))
  corner[0, 0] = 0
  assert picture(corner) in distinct(images)


def test_brightness_adds_and_contrast_stretches_about_the_mean():
  bright = every(augment.brightness, image=jnp.full((2, 2, 1), 0.5), change=0.2)
  assert (bright == bright[:, :1, :1]).all()
  assert 0.3 <= bright.min() < 0.31
  assert 0.69 < bright.max() <= 0.7
  assert every(augment.brightness, image=jnp.ones((2, 2, 1)), change=0.2).max() == 1  # clipped
  image = jnp.array([[0.4, 0.6], [0.5, 0.5]])[..., None]
  stretched = every(augment.contrast, image=image, change=0.5)
  np.testing.assert_allclose(stretched.mean((1, 2)), 0.5, atol=1e-6)
  factors = (stretched[:, 0, 1] - 0.5) / 0.1
  assert 0.5 <= factors.min() < 0.52
  assert 1.48 < factors.max() <= 1.5


EVERYTHING = [
  dict(kind='flip'),
  dict(kind='shift', pixels=2, fill='reflect'),
  dict(kind='rotate', degrees=20),
  dict(kind='cutout', size=3),
  dict(kind='brightness', change=0.2),
  dict(kind='contrast', change=0.2),
]


@pytest.mark.parametrize(
  'changes',
  [*(pytest.param([change], marks=pytest.mark.slow) for change in EVERYTHING), EVERYTHING],
  ids=[change['kind'] for change in EVERYTHING] + ['everything'],
)
def test_augmentation_follows_the_example_not_its_place(changes):
  change = jax.jit(augment.build(changes, 'config.data.augment'))
  key, index = jax.random.key(5), jnp.array([3, 9, 0, 7, 4, 1, 8, 2])
  images = jax.random.uniform(jax.random.key(6), (8, 6, 6, 3))
  whole = change(key, images, index)
  np.testing.assert_array_equal(change(key, images[3:5], index[3:5]), whole[3:5])
  np.testing.assert_array_equal(change(key, images[::-1], index[::-1]), whole[::-1])
  other = change(jax.random.key(7), images, index)
  assert (other != whole).any()
  assert whole.min() >= 0
  assert whole.max() <= 1


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
def test_wrong_changes_are_named(change, message):
  with pytest.raises(ValueError, match=message):
    augment.build([dict(kind='flip'), change], 'config.data.augment')
