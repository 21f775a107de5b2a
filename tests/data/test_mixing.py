"""Mixup and cutmix: weights, labels, padding, and independence of the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data import mixing, preprocess

COUNT = 400
KEY = jax.random.key(3)


def batch_of(count, **columns):
  return {
    'index': jnp.arange(count),
    'label': jnp.arange(count) % 7,
    'mask': jnp.ones(count),
    **columns,
  }


def mix(images, *changes, batch=None):
  apply = jax.jit(mixing.build([dict(change) for change in changes], 'config.data.augment'))
  mixed, added = apply(KEY, images, batch_of(len(images)) if batch is None else batch)
  return np.asarray(mixed), jax.tree.map(np.asarray, added)


def test_mixup_is_the_weighted_mean_of_neighbours():
  images = jax.random.uniform(jax.random.key(1), (COUNT, 4, 5, 2))
  mixed, added = mix(images, dict(kind='mixup', alpha=0.5))
  labels, images = np.arange(COUNT) % 7, np.asarray(images)
  partner = np.arange(COUNT) ^ 1  # 0 and 1, 2 and 3, …
  np.testing.assert_array_equal(added['label_b'], labels[partner])
  share = added['mix'][:, None, None, None]
  np.testing.assert_allclose(mixed, share * images + (1 - share) * images[partner], atol=1e-6)
  # Beta(a, a) has the mean ½ and the variance 1 / (4 (2a + 1)).
  assert abs(added['mix'].mean() - 0.5) < 6 * np.sqrt(0.125 / COUNT)
  assert added['mix'].var() == pytest.approx(0.125, abs=0.02)


def test_cutmix_shows_a_rectangle_of_the_partner_and_weighs_its_area():
  images = jnp.broadcast_to((jnp.arange(COUNT) % 2.0)[:, None, None, None], (COUNT, 8, 10, 1))
  mixed, added = mix(images, dict(kind='cutmix'))
  from_partner = (mixed != np.asarray(images))[..., 0]
  np.testing.assert_allclose(1 - from_partner.mean((1, 2)), added['mix'], atol=1e-6)
  rows, columns = from_partner.any(2).sum(1), from_partner.any(1).sum(1)
  np.testing.assert_array_equal(rows * columns, from_partner.sum((1, 2)))
  assert added['mix'].min() < 0.3
  assert added['mix'].max() == 1
  # A side s, of which what is outside is cut off, has the mean length s − s² / 4; s² is uniform.
  assert abs(added['mix'].mean() - (1 - (1 / 2 - 1 / 5 + 1 / 48))) < 6 * 0.25 / 20


def test_one_of_two_kinds_is_drawn_for_each_example():
  images = jnp.broadcast_to((jnp.arange(COUNT) % 2.0)[:, None, None, None], (COUNT, 8, 8, 1))
  mixed, _ = mix(images, dict(kind='mixup', alpha=2.0), dict(kind='cutmix', alpha=2.0))
  is_mixup = ((mixed > 0.001) & (mixed < 0.999)).all((1, 2, 3))
  assert abs(is_mixup.mean() - 0.5) < 6 * 0.5 / 20


def test_probability_leaves_images_unmixed():
  images = jax.random.uniform(jax.random.key(1), (COUNT, 2, 2, 1))
  mixed, added = mix(images, dict(kind='mixup', alpha=2.0, probability=0.25))
  unmixed = added['mix'] == 1
  assert abs(unmixed.mean() - 0.75) < 6 * np.sqrt(0.75 * 0.25 / COUNT)
  np.testing.assert_allclose(mixed[unmixed], np.asarray(images)[unmixed], atol=1e-6)


def test_padding_is_not_mixed_into_real_examples():
  images = jax.random.uniform(jax.random.key(1), (8, 2, 2, 1))
  batch = batch_of(8, mask=jnp.array([1.0, 1, 1, 1, 1, 0, 0, 0]))
  mixed, added = mix(images, dict(kind='mixup', alpha=2.0), batch=batch)
  assert added['mix'][4] == 1
  np.testing.assert_allclose(mixed[4], images[4], atol=1e-6)
  assert (added['mix'][:4] < 1).all()


def test_mixing_depends_on_the_pair_not_on_its_place_in_the_batch():
  images = jax.random.uniform(jax.random.key(1), (8, 4, 4, 1))
  apply = jax.jit(mixing.build([dict(kind='cutmix')], 'config.data.augment'))
  complete, _ = apply(KEY, images, batch_of(8))
  order = np.array([6, 7, 0, 1, 4, 5, 2, 3])
  moved = {name: values[order] for name, values in batch_of(8).items()}
  np.testing.assert_array_equal(apply(KEY, images[order], moved)[0], complete[order])


@pytest.mark.slow
def test_evaluation_is_not_mixed():
  prepare = preprocess.inputs(mean=[0.0], deviation=[1.0], augment=(dict(kind='cutmix'),))
  batch = batch_of(4, image=jnp.full((4, 3, 3, 1), 51, jnp.uint8))
  assert {'label_b', 'mix'} <= set(prepare(batch, KEY))
  evaluated = prepare(batch)
  assert not {'label_b', 'mix'} & set(evaluated)
  np.testing.assert_allclose(evaluated['inputs'], 0.2, rtol=1e-6)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      [dict(kind='mixup'), dict(kind='flip')],
      r"augment\[0\]\.kind='mixup' mixes images that are changed later: move it to the end",
    ),
    ([dict(kind='mixup'), dict(kind='mixup')], r"augment has kind='mixup' twice: give it once"),
    ([dict(kind='mixup', alpha=0)], r'augment \(mixup\)\.alpha=0 is out of range: use a number'),
    (
      [dict(kind='cutmix', beta=1)],
      r'augment \(cutmix\)\.beta is not a key of cutmix: its keys are alpha, kind, probability',
    ),
    ([dict(kind='cutmix', probability=2)], r'\.probability=2 is not a number from 0 to 1'),
    ([dict(kind='mixip')], r"augment\[0\]\.kind='mixip' is unknown: .*; did you mean .*mixup"),
  ],
)
def test_invalid_mixing_is_named_in_the_error(changes, message):
  with pytest.raises(ValueError, match=message):
    preprocess.inputs(mean=[0.0], deviation=[1.0], augment=changes)


def test_a_distortion_cannot_mix():
  with pytest.raises(ValueError, match=r"distort\[0\]\.kind='mixup' is unknown"):
    preprocess.inputs(mean=[0.0], deviation=[1.0], distort=[dict(kind='mixup')])
