"""Grayscale, size, scale and layout, compared with Pillow and hand-computed cases."""

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from jaxdl.data import DATA_SETS, appearance, checksum, images, preprocess
from jaxdl.data.source import Source

PIXELS = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), np.uint8)


def test_gray_equals_pillow_luma():
  expected = [np.asarray(PIL.Image.fromarray(image).convert('L')) for image in PIXELS]
  np.testing.assert_array_equal(preprocess.gray(PIXELS)[..., 0], expected)
  assert preprocess.gray(PIXELS[..., :1]) is not None
  np.testing.assert_array_equal(preprocess.gray(PIXELS[..., :1]), PIXELS[..., :1])


def test_crop_takes_the_centre():
  np.testing.assert_array_equal(preprocess.fit(PIXELS, 4, 'crop'), PIXELS[:, 2:6, 2:6])
  np.testing.assert_array_equal(
    preprocess.fit(PIXELS, 5, 'crop'), PIXELS[:, 1:6, 1:6]
  )  # the extra pixel is removed at the bottom and right
  with pytest.raises(
    ValueError, match=r"config\.data\.size=9 is larger than the images \(8×8\): use fit='area'"
  ):
    preprocess.fit(PIXELS, 9, 'crop')


def test_area_averages_the_covered_pixels():
  """4 → 3 pixels: each output pixel covers 4/3 input pixels, 3/4 of it one pixel and 1/4
  the next.
  """
  row = np.array([0, 100, 200, 40], np.uint8)
  image = np.broadcast_to(row[None, None, :, None], (1, 4, 4, 1))
  expected = [0.75 * 0 + 0.25 * 100, 0.5 * 100 + 0.5 * 200, 0.25 * 200 + 0.75 * 40]
  np.testing.assert_array_equal(
    preprocess.fit(image, 3, 'area')[0, :, :, 0], np.rint([expected] * 3)
  )
  halves = PIXELS.reshape(7, 4, 2, 4, 2, 3).mean((2, 4))
  np.testing.assert_array_equal(preprocess.fit(PIXELS, 4, 'area'), np.rint(halves))
  np.testing.assert_array_equal(
    preprocess.fit(PIXELS, 16, 'area')[:, ::2, ::2], PIXELS
  )  # enlarging repeats pixels
  np.testing.assert_allclose(preprocess.shares(32, 28).sum(1), 1, rtol=1e-6)
  np.testing.assert_allclose(
    preprocess.shares(32, 28).sum(0), 28 / 32, rtol=1e-6
  )  # all input pixels have the same weight


def test_fits_of_oblong_images():
  """6 × 4 pixels to 3 × 3: the middle square, the complete image with margins, or both sides."""
  image = np.arange(24, dtype=np.uint8).reshape(1, 6, 4, 1)
  square, whole = image[:, 1:5], np.array([[2.5, 4.5], [10.5, 12.5], [18.5, 20.5]])
  np.testing.assert_array_equal(preprocess.fit(image, 3, 'area'), preprocess.fit(square, 3, 'area'))
  padded = preprocess.fit(image, 3, 'pad', 'black')[0, ..., 0]
  np.testing.assert_array_equal(padded, np.rint(np.pad(whole, ((0, 0), (0, 1)))))
  weights = np.array([[3, 1, 0, 0], [0, 2, 2, 0], [0, 0, 1, 3]]) / 4
  pairs = image[0, ..., 0].reshape(3, 2, 4).mean(1)
  np.testing.assert_array_equal(
    preprocess.fit(image, 3, 'stretch')[0, ..., 0], np.rint(pairs @ weights.T)
  )
  in_unit = (image / 255).astype(np.float32)
  np.testing.assert_allclose(
    preprocess.fit(in_unit, 3, 'pad', [51, 51, 51])[0, ..., 0],
    np.pad(whole / 255, ((0, 0), (0, 1)), constant_values=0.2),
    rtol=1e-6,
  )
  colour = np.repeat(image, 3, axis=-1)
  assert (preprocess.fit(colour, 3, 'pad', [9, 8, 7])[0, :, 2] == [9, 8, 7]).all()
  with pytest.raises(ValueError, match=r'background=\[9, 8, 7\] is a colour, but .* 2 channels'):
    preprocess.fit(colour[..., :2], 3, 'pad', [9, 8, 7])


@pytest.mark.parametrize(('scale', 'low', 'high'), [('unit', 0, 1), ('symmetric', -1, 1)])
def test_scale_sets_the_input_range(scale, low, high):
  mean, deviation = preprocess.scaling(scale, PIXELS)
  prepare = preprocess.inputs(mean=mean, deviation=deviation)
  ends = np.stack([np.zeros((2, 2, 3)), np.full((2, 2, 3), 255)]).astype(np.uint8)
  inputs = prepare({'image': jnp.asarray(ends), 'index': jnp.arange(2)})['inputs']
  assert inputs.dtype == jnp.float32
  np.testing.assert_allclose(inputs[0], low)
  np.testing.assert_allclose(inputs[1], high)


def test_moments_of_many_pixels_are_those_of_numpy():
  """More pixels than are counted at a time, the last part smaller."""
  images = np.random.default_rng(1).integers(0, 200, (3, 150, 151, 2), np.uint8)
  assert images[..., 0].size % preprocess.PIXELS > 0
  pixels = images.reshape(-1, 2) / 255
  for found, expected in zip(
    preprocess.moments(images), (pixels.mean(0), pixels.std(0)), strict=True
  ):
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_standardized_inputs_have_zero_mean_and_unit_deviation():
  mean, deviation = preprocess.scaling('standardized', PIXELS)
  np.testing.assert_allclose(mean, (PIXELS / 255).mean((0, 1, 2)), rtol=1e-12)
  np.testing.assert_allclose(deviation, (PIXELS / 255).std((0, 1, 2)), rtol=1e-12)
  inputs = preprocess.inputs(mean=mean, deviation=deviation)(
    {'image': jnp.asarray(PIXELS), 'index': jnp.arange(7)}
  )['inputs']
  np.testing.assert_allclose(inputs.mean((0, 1, 2)), 0, atol=1e-5)
  np.testing.assert_allclose(inputs.std((0, 1, 2)), 1, atol=1e-5)
  with pytest.raises(ValueError, match="scale='standardized' divides by 0"):
    preprocess.scaling('standardized', PIXELS * 0)


@pytest.mark.parametrize(
  ('choice', 'value', 'message'),
  [
    (
      'scale',
      'half',
      r"config\.data\.scale='half' is unknown: use one of 'unit', 'symmetric', 'standardized'",
    ),
    ('layout', 'columns', r"config\.data\.layout='columns' is unknown: use one of image, rows"),
    ('color', 'grey', r"config\.data\.color='grey' is unknown: use one of 'original', 'gray'"),
    (
      'fit',
      'zoom',
      r"config\.data\.fit='zoom' is unknown: use crop .*, area .*, pad .* or stretch",
    ),
    ('size', 0, r'config\.data\.size=0 is not a size'),
    ('batch_size', 'many', r"config\.data\.batch_size='many' is not a size"),
    ('splits', {'test': 'test'}, r'config\.data\.splits has no train split'),
    (
      'splits',
      {'train': 'train', 'dev': 'test'},
      r'config\.data\.splits\.dev is unknown: use train, validation, test',
    ),
  ],
)
def test_invalid_choices_are_named_in_the_error(choice, value, message):
  choices = dict(seed=0, splits={'train': 'train'}, batch_size=2, size=4) | {choice: value}
  with pytest.raises(ValueError, match=message):
    images.load(colours, **choices)


def colours(*, source, data_dir):
  """A data set of seven colour images."""
  return Source(
    origin='memory',
    classes=('a', 'b'),
    columns={
      'train': {'image': PIXELS, 'label': np.arange(7, dtype=np.int32) % 2},
      'test': {'image': PIXELS[:3], 'label': np.zeros(3, np.int32)},
    },
  )


def first_batch(data, split='train', key=None):
  part = data.splits[split]
  feed = {name: values[0] for name, values in part.feed(0, 1).items()}
  return data.prepare(part.fetch(part.arrays, feed), key)


def test_standardization_uses_statistics_of_the_training_split():
  """Images are first converted to grayscale and reduced in size."""
  data = images.load(
    colours,
    seed=0,
    splits={'train': 'train[:4]', 'validation': 'train[4:]', 'test': 'test'},
    batch_size=4,
    evaluation_batch_size=3,
    color='gray',
    size=4,
    fit='area',
    scale='standardized',
  )
  gray = preprocess.fit(preprocess.gray(PIXELS), 4, 'area')
  mean, deviation = (gray[:4] / 255).mean(), (gray[:4] / 255).std()
  batch = first_batch(data, 'test')
  np.testing.assert_allclose(
    batch['inputs'], (gray[:3] / 255 - mean) / deviation, rtol=1e-4, atol=1e-5
  )
  facts = data.facts()
  assert facts.pop('appearance') == appearance.of_split(gray[:4])
  assert facts.pop('checksums') == {
    split: checksum.of_columns(part)
    for split, part in colours(source=None, data_dir=None).columns.items()
  }
  assert facts.pop('examples') == {'train': 4, 'validation': 3, 'test': 3}
  assert facts.pop('examples_per_class') == {'train': [2, 2], 'validation': [2, 1], 'test': [3, 0]}
  assert facts == {
    'name': 'colours',
    'origin': 'memory',
    'classes': ['a', 'b'],
    'input_shape': [4, 4, 1],
    'steps_per_epoch': 1,
    'mean': pytest.approx([mean]),
    'deviation': pytest.approx([deviation]),
  }


def test_overlapping_splits_are_rejected_unless_allowed():
  choices = dict(seed=0, splits={'train': 'train[:5]', 'validation': 'train[3:]'}, batch_size=2)
  with pytest.raises(
    ValueError,
    match=r"config\.data\.splits\.validation='train\[3:\]' shares 2 examples with train='train\[:5\]'",
  ):
    images.load(colours, **choices)
  assert images.load(colours, **choices, overlap=True).splits['validation'].count == 4


def test_rows_layout_gives_the_image_rows(small):
  section = {key: value for key, value in small['data'].items() if key != 'name'}
  data = DATA_SETS['mnist'](seed=0, **section)
  batch = first_batch(data, 'test')
  assert batch['inputs'].shape == (48, 28, 28)
  np.testing.assert_allclose(batch['inputs'], batch['image'][..., 0] / 255, rtol=1e-6)
  assert data.input_shape() == (28, 28)


def test_distortion_changes_inputs_but_not_targets():
  data = images.load(
    colours,
    seed=0,
    splits={'train': 'train'},
    batch_size=7,
    distort=({'kind': 'rotate', 'degrees': 90},),
    augment=({'kind': 'flip', 'probability': 1.0},),
  )
  batch = first_batch(data, key=jax.random.key(1))
  np.testing.assert_allclose(
    batch['target'], batch['image'][:, :, ::-1] / 255, rtol=1e-6
  )  # augmented but not distorted
  assert (np.abs(batch['inputs'] - batch['target']).max((1, 2, 3)) > 0.1).all()
  evaluated = first_batch(data)
  np.testing.assert_allclose(
    evaluated['target'], evaluated['image'] / 255, rtol=1e-6
  )  # evaluation does not augment
  again = first_batch(data)
  np.testing.assert_array_equal(
    evaluated['inputs'], again['inputs']
  )  # the same distortion in every evaluation
  assert (np.abs(evaluated['inputs'] - evaluated['target']).max((1, 2, 3)) > 0.1).all()
