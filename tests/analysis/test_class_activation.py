"""Tests of class activation maps and RISE: hand-worked networks and loops in NumPy."""

import itertools

import jax
import numpy as np
import pytest
from analysis_networks import network

from jaxdl import models
from jaxdl.analysis import attribution, methods, units
from jaxdl.analysis.maps import rise

SLOW_AND_FAST = (
  attribution.hires_cam,
  attribution.layer_cam,
  attribution.score_cam,
  attribution.ablation_cam,
)


@pytest.fixture(autouse=True)
def in_float64():
  with jax.enable_x64(True):
    yield


def two_channels(bias=0.0):
  """Two channels, x and 2 x, of the image (1, 2; 3, 4), and a logit with a weight for each place."""
  model = models.build(
    dict(
      name='cnn',
      layers=(
        dict(kind='conv', features=2, kernel=1),
        dict(kind='flatten'),
        dict(kind='dense', features=1, activate=False, name='logits'),
      ),
    )
  )
  weights = np.array([[1.0, -1.0], [-1.0, 1.0], [0.0, 1.0], [2.0, 0.0]])
  params = {
    'conv1': {'kernel': np.array([1.0, 2.0]).reshape(1, 1, 1, 2), 'bias': np.zeros(2)},
    'logits': {'kernel': weights.reshape(8, 1), 'bias': np.full(1, bias)},
  }
  return model, {'params': params}, np.arange(1.0, 5).reshape(1, 2, 2, 1), np.array([0])


def test_maps_equal_numbers_worked_by_hand():
  """The products of outputs and gradients are (1, −2, 0, 8) and (−2, 4, 6, 0)."""
  given = two_channels()
  hires = attribution.hires_cam(*given, 'conv1', relu=False)
  np.testing.assert_allclose(hires.maps.ravel(), [-1, 2, 6, 8])
  np.testing.assert_allclose(hires.maps.sum(), given[0].apply(*given[1:3])[0, 0])
  np.testing.assert_allclose(attribution.hires_cam(*given, 'conv1').upsampled.ravel(), [0, 2, 6, 8])
  np.testing.assert_allclose(attribution.layer_cam(*given, 'conv1').maps.ravel(), [1, 4, 6, 8])
  # Without a channel, the logit of 15 falls by 7 and by 8.
  np.testing.assert_allclose(
    attribution.ablation_cam(*given, 'conv1').maps.ravel(), (7 + 2 * 8) / 15 * np.arange(1, 5)
  )
  # Both channels mask the image alike, so that each has the weight 1 / 2.
  np.testing.assert_allclose(
    attribution.score_cam(*given, 'conv1').maps.ravel(), 1.5 * np.arange(1, 5)
  )


def test_ablation_keeps_its_sign_where_the_logit_is_negative():
  """With a bias of −20 the logit is −5; both channels still speak for the class."""
  found = attribution.ablation_cam(*two_channels(bias=-20.0), 'conv1')
  np.testing.assert_allclose(found.maps.ravel(), (7 + 2 * 8) / 5 * np.arange(1, 5))
  # A logit of 0 leaves the drops as they are.
  found = attribution.ablation_cam(*two_channels(bias=-15.0), 'conv1')
  np.testing.assert_allclose(found.maps.ravel(), (7 + 2 * 8) * np.arange(1, 5))


def test_hires_cam_is_grad_cam_where_a_mean_follows():
  layers = (
    dict(kind='conv', features=4, kernel=3),
    dict(kind='global_average_pool'),
    dict(kind='dense', features=3, activate=False),
  )
  given = network(layers)
  for relu in (True, False):
    np.testing.assert_allclose(
      attribution.hires_cam(*given, 'conv1', relu=relu).maps,
      attribution.grad_cam(*given, 'conv1', relu=relu).maps,
    )


def test_score_cam_equals_a_loop_over_the_channels():
  model, variables, images, labels = network()
  outputs = np.asarray(units.outputs(model, variables, images, ['max_pool1'])[1]['max_pool1'])
  found = attribution.score_cam(model, variables, images, labels, 'max_pool1', batch_size=2)
  scores = np.zeros((4, 3))
  for channel in range(4):
    for number in range(3):
      mask = np.asarray(jax.image.resize(outputs[number, ..., channel], (7, 6), 'bilinear'))
      span = mask.max() - mask.min()
      mask = (mask - mask.min()) / span if span else np.ones_like(mask)
      both = np.stack([images[number] * mask[..., None], 0 * images[number]])
      ends = np.asarray(units.scores(model, variables, both, labels[[number] * 2]))
      scores[channel, number] = ends[0] - ends[1]
  weights = np.exp(scores) / np.exp(scores).sum(0)
  expected = np.maximum(np.einsum('cb,bhwc->bhw', weights, outputs), 0)
  np.testing.assert_allclose(found.maps, expected, atol=1e-10)


def test_ablation_cam_equals_a_loop_over_the_channels():
  model, variables, images, labels = network()
  outputs = np.asarray(units.outputs(model, variables, images, ['conv1'])[1]['conv1'])
  before = np.asarray(units.scores(model, variables, images, labels))
  total = np.zeros(outputs.shape[:3])
  for channel in range(4):
    logits = units.outputs_with(
      model, variables, images, 'conv1', lambda maps, channel=channel: maps.at[..., channel].set(0)
    )
    drop = before - np.asarray(logits)[np.arange(3), labels]
    total += (drop / np.abs(before))[:, None, None] * outputs[..., channel]
  found = attribution.ablation_cam(model, variables, images, labels, 'conv1', batch_size=2)
  np.testing.assert_allclose(found.maps, np.maximum(total, 0), atol=1e-10)


@pytest.mark.parametrize('function', SLOW_AND_FAST)
def test_the_size_of_batches_changes_no_map(function):
  given = network()
  np.testing.assert_allclose(
    function(*given, 'conv1', batch_size=2).upsampled,
    function(*given, 'conv1').upsampled,
    atol=1e-12,
  )


@pytest.mark.parametrize('function', SLOW_AND_FAST)
def test_a_layer_without_positions_is_an_error(function):
  with pytest.raises(ValueError, match=r"layer 'dense1' has no spatial positions"):
    function(*network(), 'dense1')


def test_rise_equals_a_loop_over_its_masks():
  model, variables, images, labels = network()
  given = dict(masks=20, cells=3, share=0.4, fill=(0.2, 0.5), seed=1)
  found = attribution.rise(model, variables, images, labels, **given)
  masks = np.stack(
    [np.asarray(rise.mask(n, (7, 6), cells=3, share=0.4, seed=1), np.float64) for n in range(20)]
  )
  assert masks.min() >= 0
  assert masks.max() <= 1
  fill = np.array([0.2, 0.5])
  for number in range(3):
    seen = masks[..., None] * images[number] + (1 - masks[..., None]) * fill
    scores = np.asarray(units.scores(model, variables, seen, np.repeat(labels[number], 20)))
    expected = np.einsum('k,khw->hw', scores - scores.mean(), masks) / (0.4 * 20)
    np.testing.assert_allclose(found[number], expected, atol=1e-9)
  again = attribution.rise(model, variables, images, labels, **given, batch_size=2)
  np.testing.assert_allclose(again, found, atol=1e-12)


def test_masks_of_rise_are_enlarged_by_one_cell_and_shifted():
  """Two cells a, b become six pixels a, a, (2a + b) / 3, (a + 2b) / 3, b, b; four of them are seen.

  The image has 4 × 4 pixels, so that a cell has 2 and the shift is 0 or 1.
  """
  draw = jax.jit(lambda number: rise.mask(number, (4, 4), cells=2, share=0.3, seed=0))
  masks = np.asarray(jax.vmap(draw)(np.arange(4000)), np.float64)
  ends = np.array([[1, 1, 2 / 3, 1 / 3, 0, 0], [0, 0, 1 / 3, 2 / 3, 1, 1]])
  possible = set()
  for cells in itertools.product((0, 1), repeat=4):
    large = ends.T @ np.reshape(cells, (2, 2)) @ ends
    for row, column in itertools.product((0, 1), repeat=2):
      possible.add(tuple((large[row : row + 4, column : column + 4] * 9).round().ravel()))
  found = {tuple(one) for one in (masks * 9).round().reshape(-1, 16)}
  np.testing.assert_allclose(masks * 9, (masks * 9).round(), atol=1e-5)
  assert found == possible
  # 4 standard deviations of the mean of 4000 draws
  np.testing.assert_allclose(masks.mean(0), 0.3, atol=4 * np.sqrt(0.3 * 0.7 / 4000))


def test_rise_finds_the_pixel_that_decides():
  weights = np.zeros((14, 14, 1))
  weights[4, 9] = 3
  layers = (dict(kind='flatten'), dict(kind='dense', features=1, activate=False, name='logits'))
  model = models.build(dict(name='cnn', layers=layers))
  variables = {'params': {'logits': {'kernel': weights.reshape(-1, 1), 'bias': np.full(1, 9.0)}}}
  found = attribution.rise(model, variables, np.ones((1, 14, 14, 1)), np.array([0]), masks=2000)[0]
  row, column = np.unravel_index(found.argmax(), found.shape)
  assert abs(row - 4) <= 1
  assert abs(column - 9) <= 1
  assert abs(found[12, 1]) < 0.1 * found.max()  # far away: the bias leaves no trace


def test_errors_of_rise_name_the_argument():
  given = network()
  for arguments, message in (
    (dict(masks=1), 'masks=1, cells=7 and share=0.5: use at least two masks'),
    (dict(cells=0), 'cells=0'),
    (dict(share=1), 'share=1: use'),
    (dict(fill=(0.1, 0.2, 0.3)), r'fill of shape \(3,\) does not fit images of 2 channels'),
  ):
    with pytest.raises(ValueError, match=message):
      attribution.rise(*given, **arguments)


def test_the_table_keeps_the_first_nine_first():
  known = methods.of_images('conv1', {})
  assert tuple(known)[:9] == methods.FIRST
  assert [name for name, method in known.items() if method.slow] == [
    'Score-CAM',
    'Ablation-CAM',
    'RISE',
  ]
