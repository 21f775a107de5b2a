"""Tests of the metrics of faithfulness on networks of 1 × 3 pixels, whose optimum is enumerated."""

import itertools

import numpy as np
import pytest

from jaxdl.analysis import methods
from jaxdl.analysis.grading import faithfulness, imputation, removal
from jaxdl.models import CNN

IMAGE = np.array([1.0, 0.8, 0.5], np.float32)
FIRST = np.array([[2.0, -1.0], [1.5, 0.5], [0.0, 1.0]], np.float32)  # [3 pixels, 2 hidden]
BIAS = np.array([-1.0, 0.1], np.float32)
LAST = np.array([[1.5, -1.0], [0.5, 0.4]], np.float32)  # [2 hidden, 2 classes]
ORDERS = np.array(list(itertools.permutations(range(3))))  # every order of the pixels
SUBSETS = np.array([row for row in itertools.product((False, True), repeat=3) if any(row)])
CLASSES = np.zeros(6, int)


def logits(pixels):
  """The network in NumPy, [N, 3] → [N, 2]."""
  return np.maximum(np.asarray(pixels, np.float64) @ FIRST + BIAS, 0) @ LAST


def probability(pixels):
  values = np.exp(logits(pixels))
  return values[:, 0] / values.sum(1)


@pytest.fixture(scope='module')
def network():
  """(model, variables) of the network with ReLUs."""
  dense = dict(kind='dense', features=2)
  model = CNN(layers=(dict(kind='flatten'), dense, {**dense, 'activate': False, 'name': 'logits'}))
  params = {
    'dense1': {'kernel': FIRST, 'bias': BIAS},
    'logits': {'kernel': LAST, 'bias': np.zeros(2, np.float32)},
  }
  return model, {'params': params}


@pytest.fixture(scope='module')
def linear():
  """(model, variables) of a linear network whose class 0 has the weights 1, −0.5 and 2."""
  model = CNN(layers=(dict(kind='flatten'), dict(kind='dense', features=2, activate=False)))
  kernel = np.array([[1.0, 0.0], [-0.5, 0.0], [2.0, 0.0]], np.float32)
  return model, {'params': {'dense1': {'kernel': kernel, 'bias': np.zeros(2, np.float32)}}}


def images(count=6):
  return np.broadcast_to(IMAGE.reshape(1, 1, 3, 1), (count, 1, 3, 1)).copy()


def maps_of_orders():
  """A map [6, 1, 3] for each order: its first pixel has the greatest number."""
  maps = np.zeros((6, 3), np.float32)
  np.put_along_axis(maps, ORDERS, np.array([[3.0, 2.0, 1.0]], np.float32), axis=1)
  return maps[:, None]


def without(order, fill=0.2):
  """The image without the first 0, 1, 2 and 3 pixels of an order."""
  rows = np.tile(IMAGE, (4, 1)).astype(np.float64)
  for count in range(4):
    rows[count, order[:count]] = fill
  return rows


def area(values):
  return (values[0] / 2 + values[1] + values[2] + values[3] / 2) / 3


def test_deletion_of_every_order(network):
  found = faithfulness.deletion(*network, images(), CLASSES, maps_of_orders(), fill=0.2, steps=3)
  expected = np.array([area(probability(without(order))) for order in ORDERS])
  np.testing.assert_allclose(found.shares, [0, 1 / 3, 2 / 3, 1])
  np.testing.assert_allclose(found.area(), expected, rtol=1e-5)
  assert len(np.unique(expected.round(6))) > 3, 'the orders differ'
  # Pixel 0 excites the class most and pixel 2 least: the best order by enumeration.
  assert ORDERS[found.area().argmin()].tolist() == [0, 1, 2] == ORDERS[expected.argmin()].tolist()


def test_insertion_of_every_order(network):
  found = faithfulness.insertion(*network, images(), CLASSES, maps_of_orders(), fill=0.2, steps=3)
  expected = []
  for order in ORDERS:
    rows = without(order[::-1])[::-1]  # inserted: the last pixels are still removed
    expected.append(area(probability(rows)))
  np.testing.assert_allclose(found.area(), expected, rtol=1e-5)
  assert found.area().argmax() == np.argmax(expected)


def test_pixel_flipping_of_every_order(network):
  found = faithfulness.pixel_flipping(
    *network, images(), CLASSES, maps_of_orders(), fill=0.2, share=1, steps=3
  )
  expected = [(logits(IMAGE[None])[0, 0] - logits(without(order))[:, 0]).mean() for order in ORDERS]
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert found.argmax() == np.argmax(expected)
  half = faithfulness.pixel_flipping(
    *network, images(), CLASSES, maps_of_orders(), fill=0.2, share=1 / 3, steps=1
  )
  one = [(logits(IMAGE[None])[0, 0] - logits(without(order))[1, 0]) / 2 for order in ORDERS]
  np.testing.assert_allclose(half, one, atol=1e-5)


def filled(removed):
  """The image with removed pixels imputed from their neighbours on the left and the right."""
  system, right = np.eye(3), IMAGE.astype(np.float64).copy()
  for place in removed:
    beside = [other for other in (place - 1, place + 1) if 0 <= other < 3]
    system[place] = 0
    system[place, place], right[place] = len(beside), 0
    system[place, beside] = -1
  return np.linalg.solve(system, right)


def test_road_of_every_order(network):
  found = faithfulness.road(
    *network, images(), CLASSES, maps_of_orders(), shares=(1 / 3, 2 / 3), noise=0
  )
  greatest, least = (
    np.array(
      [
        [probability(filled(some[:count])[None])[0] for count in (1, 2)]
        for some in (ORDERS if first else ORDERS[:, ::-1])
      ]
    )
    for first in (True, False)
  )
  np.testing.assert_allclose(found.greatest, greatest, rtol=1e-3)
  np.testing.assert_allclose(found.least, least, rtol=1e-3)
  assert found.gap().argmax() == (least - greatest).mean(1).argmax()


def test_road_adds_noise_that_does_not_depend_on_the_batch(network, monkeypatch):
  def gap(count):
    maps = maps_of_orders()[:count]
    return faithfulness.road(*network, images(count), CLASSES[:count], maps, noise=0.5).greatest

  first = gap(6)
  np.testing.assert_array_equal(first, gap(6))
  np.testing.assert_allclose(first[:2], gap(2), rtol=1e-5)
  monkeypatch.setattr(removal, 'FORWARD', 10)
  np.testing.assert_allclose(first, gap(6), rtol=1e-5)
  assert np.abs(first[0] - first[1]).max() > 0


def test_imputation_solves_the_linear_system():
  draw = np.random.default_rng(0)
  pictures, removed = draw.random((2, 5, 6, 2)).astype(np.float32), draw.random((2, 5, 6)) < 0.6
  found = np.asarray(imputation.impute(pictures, removed))
  np.testing.assert_array_equal(found[~removed], pictures[~removed])
  for picture, gone, result in zip(pictures, removed, found, strict=True):
    system, right = np.eye(30), picture.reshape(30, 2).astype(np.float64)
    for row, column in zip(*np.nonzero(gone), strict=True):
      place, total = row * 6 + column, 0.0
      right[place], system[place] = 0, 0
      for down, across in itertools.product((-1, 0, 1), repeat=2):
        other = row + down, column + across
        if (down, across) == (0, 0) or not (0 <= other[0] < 5 and 0 <= other[1] < 6):
          continue
        weight = 1 / 12 if down and across else 1 / 6
        system[place, other[0] * 6 + other[1]] = -weight
        total += weight
      system[place, place] = total
    solved = np.linalg.solve(system, right).reshape(5, 6, 2)
    np.testing.assert_allclose(result, solved, atol=2e-3)


def contributions():
  """Contributions of the linear network over a fill of 0."""
  return np.array([1.0, -0.5, 2.0]) * IMAGE


def grid():
  """Maps [729, 3] that include the contributions 1, −0.4 and 1."""
  return np.array(list(itertools.product(np.arange(-4, 5) * 0.2 + 0.2, repeat=3)))


def test_infidelity_is_least_for_the_contributions(linear):
  maps = grid()
  pictures = images(1)
  drops = removal.remove(*linear, pictures, np.zeros(1, int), SUBSETS, fill=0)
  np.testing.assert_allclose(drops.drops[0], SUBSETS @ contributions(), rtol=1e-5)
  every = removal.Removed(SUBSETS, np.repeat(drops.drops, len(maps), axis=0))
  found = faithfulness.infidelity(maps, every, scaled=False)
  np.testing.assert_allclose(maps[found.argmin()], contributions(), atol=1e-6)
  assert found.min() < 1e-10
  assert (found < 1e-6).sum() == 1, 'no other map of the grid explains the drops'
  # By hand, of the map (1, 0, 0): it predicts 1 for every subset with pixel 0.
  error = np.square(SUBSETS[:, 0] - SUBSETS @ contributions()).sum()
  expected = error / np.square(SUBSETS @ contributions()).sum()
  first = np.array([[1.0, 0.0, 0.0]])
  np.testing.assert_allclose(faithfulness.infidelity(first, drops, scaled=False), expected, 1e-5)


def test_scaled_infidelity_does_not_depend_on_the_unit(linear):
  drops = removal.remove(*linear, images(1), np.zeros(1, int), SUBSETS, fill=0)
  for factor in (1e-3, 1.0, -7.0):
    found = faithfulness.infidelity(factor * contributions()[None], drops)
    np.testing.assert_allclose(found, 0, atol=1e-9)
  flat = faithfulness.infidelity(np.zeros((1, 3)), drops)
  np.testing.assert_allclose(flat, 1)  # explains nothing
  constant = removal.Removed(SUBSETS, np.zeros((1, len(SUBSETS)), np.float32))
  assert np.isnan(faithfulness.infidelity(np.ones((1, 3)), constant)).all()


def test_infidelity_of_a_network_with_relus_is_least_for_the_regression(network):
  drops = removal.remove(*network, images(1), np.zeros(1, int), SUBSETS, fill=0.2)
  whole = logits(IMAGE[None])[0, 0]
  expected = [whole - logits(np.where(row, 0.2, IMAGE)[None])[0, 0] for row in SUBSETS]
  np.testing.assert_allclose(drops.drops[0], expected, atol=1e-5)
  best, *_ = np.linalg.lstsq(SUBSETS.astype(float), np.array(expected), rcond=None)
  least = faithfulness.infidelity(best[None], drops, scaled=False)[0]
  others = best + np.array(list(itertools.product((-0.1, 0, 0.1), repeat=3)))
  found = [faithfulness.infidelity(one[None], drops, scaled=False)[0] for one in others]
  assert least > 1e-4, 'ReLUs: no sum explains the drops'
  assert min(found) == pytest.approx(least)
  assert np.argmin(found) == 13  # the map itself


@pytest.mark.parametrize('size', [1, 2])
def test_sensitivity_n_is_one_for_the_contributions(linear, size):
  chosen = SUBSETS[SUBSETS.sum(1) == size]
  maps = grid()
  drops = removal.remove(*linear, images(1), np.zeros(1, int), chosen, fill=0)
  every = removal.Removed(chosen, np.repeat(drops.drops, len(maps), axis=0))
  found = faithfulness.sensitivity_n(maps, every)
  expected = [
    np.corrcoef(chosen @ one, chosen @ contributions())[0, 1] if np.ptp(one) > 1e-9 else 0.0
    for one in maps
  ]
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert found.max() == pytest.approx(found[np.abs(maps - contributions()).sum(1).argmin()])


def test_sensitivity_n_is_the_mean_over_the_sizes(linear):
  drops = removal.remove(*linear, images(1), np.zeros(1, int), SUBSETS[:-1], fill=0)
  one = np.array([[0.3, 0.9, 0.1]])
  sizes = SUBSETS[:-1].sum(1)
  parts = [
    faithfulness.sensitivity_n(
      one, removal.Removed(drops.subsets[sizes == size], drops.drops[:, sizes == size])
    )
    for size in (1, 2)
  ]
  np.testing.assert_allclose(faithfulness.sensitivity_n(one, drops), np.mean(parts, 0))


def test_completeness_error_by_hand():
  maps = np.array([[[1.0, 2.0, -0.5]], [[0.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]]])
  found = faithfulness.completeness_error(maps, np.array([2.0, -4.0, 0.0]))
  np.testing.assert_allclose(found, [0.25, 1.0, np.nan])


def test_methods_that_are_complete_have_no_error(linear):
  maps = methods.of_images('none', {})['integrated gradients'].function(*linear, images(2), [0, 0])
  change = np.full(2, contributions().sum())
  np.testing.assert_allclose(faithfulness.completeness_error(maps, change), 0, atol=1e-6)


def test_equal_numbers_have_a_random_order_that_is_repeatable():
  maps = np.zeros((2, 4, 5))
  maps[:, 3, 4] = 1
  found = removal.ranks(maps)
  assert (found[:, 3, 4] == 0).all()
  assert sorted(found[0].ravel()) == list(range(20))
  np.testing.assert_array_equal(found[0], found[1])
  np.testing.assert_array_equal(found, removal.ranks(maps))
  assert (found != removal.ranks(maps, seed=1)).any()
  assert not (np.diff(found[0].ravel()) > 0).all(), 'not in the order of the places'


def test_curve_does_not_depend_on_the_batch(network, monkeypatch):
  arguments = *network, images(), CLASSES, maps_of_orders()
  found = faithfulness.deletion(*arguments, fill=0.2, steps=3).scores
  monkeypatch.setattr(removal, 'FORWARD', 4)
  np.testing.assert_allclose(faithfulness.deletion(*arguments, fill=0.2, steps=3).scores, found)
  drops = removal.remove(*network, images(3), np.zeros(3, int), SUBSETS)
  np.testing.assert_allclose(drops.drops[0], drops.drops[2], rtol=1e-6)


def test_curve_of_a_column_equals_that_of_a_row(network):
  """The curve does not depend on the shape of the image, nor of equal numbers on their places."""
  flat = np.zeros((2, 3), np.float32)
  row = removal.curve(*network, images(2), CLASSES[:2], flat[:, None], (1, 2), fill=0.2, seed=0)
  pictures = images(2).reshape(2, 3, 1, 1)
  column = removal.curve(*network, pictures, CLASSES[:2], flat[..., None], (1, 2), fill=0.2)
  np.testing.assert_allclose(column.scores, row.scores, rtol=1e-6)
  (order,) = [order for order in ORDERS if (removal.ranks(flat)[0, order] == range(3)).all()]
  np.testing.assert_allclose(row.scores[0], probability(without(order)[1:3]), rtol=1e-5)


def test_windows_and_subsets():
  windows = removal.windows_of((4, 6), 50)
  assert windows.shape == (50, 24)
  for window in windows.reshape(50, 4, 6):
    rows, columns = window.any(1), window.any(0)
    assert 1 <= rows.sum() <= 2
    assert 1 <= columns.sum() <= 2
    assert (window == np.outer(rows, columns)).all()
  subsets = removal.subsets_of(10, (2, 5), 3)
  assert subsets.sum(1).tolist() == [2, 2, 2, 5, 5, 5]
  np.testing.assert_array_equal(subsets, removal.subsets_of(10, (2, 5), 3))
  with pytest.raises(
    ValueError, match=r'sizes=\[3\] and each=1 of 3 places: use sizes from 1 to 2'
  ):
    removal.subsets_of(3, (3,), 1)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (dict(maps=np.zeros((6, 3, 1))), r'maps of shape \(6, 3, 1\) do not fit inputs of shape'),
    (dict(maps=np.zeros(6)), r'maps of shape \(6,\) do not fit inputs of shape'),
    (dict(maps=np.full((6, 1, 3), np.nan)), 'maps have numbers that are not finite'),
    (dict(fill=np.zeros(2)), r'fill of shape \(2,\) does not fit'),
  ],
)
def test_wrong_arguments(network, change, message):
  arguments = {'maps': maps_of_orders(), 'fill': 0.0, **change}
  with pytest.raises(ValueError, match=message):
    faithfulness.deletion(*network, images(), CLASSES, **arguments)


def test_wrong_shares(network):
  with pytest.raises(ValueError, match='share=2 is not a share'):
    faithfulness.pixel_flipping(*network, images(), CLASSES, maps_of_orders(), share=2)
  with pytest.raises(ValueError, match=r'shares=\(1.0,\) are not shares'):
    faithfulness.road(*network, images(), CLASSES, maps_of_orders(), shares=(1.0,))


@pytest.mark.parametrize(
  ('values', 'expected'),
  [
    ([2, 4, 6], 1),
    ([6, 4, 2], -1),
    ([2e-12, 4e-12, 6e-12], 1),  # small, but not constant
    ([1e12, 1e12 + 1, 1e12 + 2], 0),  # constant up to rounding
    ([5, 5, 5], 0),
    ([0, 3, 0], 0),  # 3 is at the mean of 1, 2, 3
    ([0, 0, 3], np.sqrt(3) / 2),  # (−1·−1 + 0·−1 + 1·2) / √(2 · 6)
  ],
)
def test_correlation_equals_numbers_worked_by_hand(values, expected):
  ranks = np.array([[1.0, 2.0, 3.0]])
  found = faithfulness._correlation(np.array([values], np.float64), ranks)
  np.testing.assert_allclose(found, [expected], atol=1e-12)
