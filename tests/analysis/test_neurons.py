"""Tests of top patches and selective channels: equal to plain loops over all images."""

import jax
import numpy as np
import pytest

from jaxdl import models
from jaxdl.analysis import units
from jaxdl.analysis.activations import activations
from jaxdl.analysis.neurons import box, interesting, top_patches

LAYERS = (
  dict(kind='conv', features=4, kernel=3),
  dict(kind='max_pool', window=2, strides=1),
  dict(kind='conv', features=5, kernel=4, strides=2),
  dict(kind='flatten'),
  dict(kind='dense', features=3, activate=False, name='logits'),
)


@pytest.fixture(scope='module')
def net():
  """Returns a CNN with integer weights, its variables, images and outputs.

  With integers, equal values are equal in every batch. Images 4 and 9 are copies of image 1.
  """
  model = models.build(dict(name='cnn', layers=LAYERS))
  generator = np.random.default_rng(1)
  images = generator.integers(0, 3, (11, 9, 8, 2)).astype(np.float32)
  images[4] = images[9] = images[1]
  images[6] = 1  # all positions away from the border are equal
  shapes = jax.eval_shape(model.init, jax.random.PRNGKey(0), images)
  variables = jax.tree.map(
    lambda leaf: generator.integers(-2, 4, leaf.shape).astype(np.float32), shapes
  )
  variables['params']['conv2']['bias'][3] = -1e6
  return model, variables, images, activations(model, variables, images)


def strongest(outputs, channel, k):
  """Returns [(value, image, row, column)] of the k strongest images of a channel, by loops."""
  found = []
  for image, output in enumerate(outputs):
    positions = [
      (-output[row, column, channel], image, row, column)
      for row, column in np.ndindex(output.shape[:2])
    ]
    found.append(min(positions))
  return [(-value, *rest) for value, *rest in sorted(found)[:k]]


@pytest.mark.parametrize(
  ('layer', 'batch_size', 'k'),
  [('conv1', 4, 5), ('max_pool1', 11, 3), ('conv2', 3, 11), ('conv2', 100, 20)],
)
def test_top_patches_equal_brute_force(net, layer, batch_size, k):
  model, variables, images, outputs = net
  found = top_patches(model, variables, images, layer, k=k, batch_size=batch_size)
  for channel in range(outputs[layer].shape[-1]):
    expected = strongest(outputs[layer], channel, k)
    entries = zip(
      found.values[channel], found.images[channel], *found.places[channel].T, strict=True
    )
    assert [tuple(map(float, entry)) for entry in entries] == [
      tuple(map(float, entry)) for entry in expected
    ]
  assert found.dead.tolist() == [
    layer == 'conv2' and channel == 3 for channel in range(len(found.dead))
  ]


@pytest.mark.parametrize('layer', ['conv1', 'max_pool1', 'conv2'])
def test_top_patches_are_receptive_fields_and_mark_outside_pixels(net, layer):
  model, variables, images, _ = net
  found = top_patches(model, variables, images, layer, k=8, batch_size=4)
  assert not found.inside[~found.dead].all()
  for channel, rank in np.ndindex(found.values.shape):
    patch, inside = found.patches[channel, rank], found.inside[channel, rank]
    assert not patch[~inside].any()
    if found.dead[channel]:
      assert not inside.any()
      continue
    top, bottom, left, right = box(
      model, images.shape[1:], layer, found.places[channel, rank].tolist()
    )
    np.testing.assert_array_equal(
      patch[inside], images[found.images[channel, rank], top:bottom, left:right].reshape(-1, 2)
    )


@pytest.mark.parametrize('layer', ['max_pool1', 'conv2'])
def test_top_patches_give_the_same_value_in_other_images(net, layer):
  """The value of a unit depends only on its patch, and the patch is complete."""
  model, variables, images, _ = net
  k = 6
  found = top_patches(model, variables, images, layer, k=k, batch_size=4)
  others = (
    np.random.default_rng(2)
    .integers(0, 9, (len(found.dead), k, *images.shape[1:]))
    .astype(np.float32)
  )
  for channel, rank in np.ndindex(*others.shape[:2]):
    if not found.dead[channel]:
      top, bottom, left, right = box(
        model, images.shape[1:], layer, found.places[channel, rank].tolist()
      )
      patch = found.patches[channel, rank][found.inside[channel, rank]]
      others[channel, rank, top:bottom, left:right] = patch.reshape(bottom - top, right - left, 2)
  outputs = activations(model, variables, others.reshape(-1, *images.shape[1:]), [layer])[layer]
  outputs = outputs.reshape(*others.shape[:2], *outputs.shape[1:])
  for channel, rank in np.ndindex(*others.shape[:2]):
    if not found.dead[channel]:
      assert (
        outputs[(channel, rank, *found.places[channel, rank], channel)]
        == found.values[channel, rank]
      )


def test_top_patches_of_streams_and_selected_channels(net):
  model, variables, images, _ = net
  all_channels = top_patches(model, variables, images, 'conv2', k=4)
  two_channels = top_patches(
    model,
    variables,
    (images[first : first + 2] for first in range(0, 11, 2)),
    'conv2',
    [4, 0],
    k=4,
    batch_size=3,
  )
  one_channel = top_patches(model, variables, images, 'conv2', 4, k=4)
  for expected, two, one in zip(all_channels, two_channels, one_channel, strict=True):
    np.testing.assert_array_equal(two, expected[[4, 0]])
    np.testing.assert_array_equal(one, expected[4])


def test_top_patches_of_a_dense_layer_are_complete_images(net):
  model, variables, images, outputs = net
  found = top_patches(model, variables, images, 'logits', k=3, batch_size=5)
  for channel in range(3):
    order = sorted(range(11), key=lambda image: (-outputs['logits'][image, channel], image))[:3]
    assert found.images[channel].tolist() == order
    np.testing.assert_array_equal(found.patches[channel], images[order])
  assert not found.places.any()


@pytest.mark.parametrize(
  ('layer', 'channels', 'k', 'message'),
  [
    ('conv3', None, 9, "layer 'conv3' is unknown: use one of conv1, max_pool1"),
    ('conv2', [0, 5], 9, "channel 5 of layer 'conv2' is out of range: use 0 to 4"),
    ('conv2', None, 0, 'k=0 is too few: use at least 1'),
  ],
)
def test_top_patches_errors_name_the_fix(net, layer, channels, k, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    top_patches(*net[:3], layer, channels, k)


@pytest.fixture(scope='module')
def hand_set_channels():
  """Returns a dense layer with hand-set channels and 120 images.

  In each image, pixel (0, label) is bright and the other pixels are noise.
  """
  model = models.build(
    dict(name='cnn', layers=[dict(kind='flatten'), dict(kind='dense', features=6)])
  )
  generator = np.random.default_rng(0)
  labels = np.arange(120) % 4
  images = generator.uniform(0, 0.3, (120, 2, 4, 1)).astype(np.float32)
  images[np.arange(120), 0, labels] += generator.uniform(0.5, 1, (120, 1)).astype(np.float32)
  kernel = np.zeros((8, 6), np.float32)
  kernel[:, 0] = 1  # all pixels, no class
  kernel[:, 1] = 1  # dead because of its bias
  kernel[2, 2] = 1  # class 2 and noise
  kernel[[0, 1], 3] = 1  # classes 0 and 1
  kernel[[0, 2], 4] = [2, 1]  # class 0, and class 2 half as much
  kernel[3, 5] = 1  # only class 3: the noise is below its bias
  bias = np.array([0, -99, 0, 0, 0, -0.4], np.float32)
  return model, {'params': {'dense1': {'kernel': kernel, 'bias': bias}}}, images, labels


def test_interesting_ranks_selective_channels_without_dead_ones(hand_set_channels):
  model, variables, images, labels = hand_set_channels
  found = interesting(model, variables, images, labels, 'dense1', batch_size=50)
  outputs = activations(model, variables, images, ['dense1'])['dense1']
  scores = {}
  for channel in range(6):
    order = sorted(
      range(120), key=lambda image, channel=channel: (-outputs[image, channel], image)
    )[:50]
    shares = [
      sum(float(outputs[image, channel]) for image in order if labels[image] == label)
      for label in range(4)
    ]
    if sum(shares):
      scores[channel] = (max(shares) / sum(shares), shares.index(max(shares)))
  expected = sorted(scores, key=lambda channel: -scores[channel][0])
  assert found.channels.tolist() == expected
  assert expected[0] == 5
  assert 1 not in expected
  assert found.classes.tolist() == [scores[channel][1] for channel in expected]
  np.testing.assert_allclose(found.scores, [scores[channel][0] for channel in expected], rtol=1e-6)
  assert found.scores[0] == 1
  two = interesting(model, variables, iter([images[:7], images[7:]]), labels, 'dense1', n=2)
  assert two.channels.tolist() == expected[:2]


def test_interesting_weights_by_activation():
  """Outputs are 6 (class 0), 2 and 2 (class 1).

  The score is the 0.6 of class 0 in the sum, not the 2 / 3 of class 1 in the images.
  """
  model = models.build(dict(name='cnn', layers=[dict(kind='activation')]))
  images = np.array([6, 2, 2], np.float32).reshape(3, 1, 1, 1)
  found = interesting(model, {}, images, np.array([0, 1, 1]), 'activation1')
  assert (found.channels.tolist(), found.classes.tolist(), found.scores.tolist()) == (
    [0],
    [0],
    [0.6],
  )


def test_interesting_excludes_channels_activated_by_few_images(hand_set_channels):
  model, variables, images, labels = hand_set_channels
  kernel = np.array(variables['params']['dense1']['kernel'])
  kernel[:, 5] *= 0
  kernel[4, 5] = 1  # only one image exceeds this bias
  bias = variables['params']['dense1']['bias'].copy()
  bias[5] = -np.sort(images[:, 1, 0, 0])[-2]
  variables = {'params': {'dense1': {'kernel': kernel, 'bias': bias}}}
  assert interesting(model, variables, images, labels, 'dense1').channels[0] == 5
  assert 5 not in interesting(model, variables, images, labels, 'dense1', at_least=2).channels
  with pytest.raises(ValueError, match=r'^at_least=51 is out of range: use 1 to 50$'):
    interesting(model, variables, images, labels, 'dense1', at_least=51)


@pytest.mark.parametrize(
  ('labels', 'n', 'message'),
  [
    (np.arange(119), 3, '119 labels for 120 images: give one each'),
    (
      np.zeros(120),
      3,
      r'labels of shape \(120,\) and type float64 are not classes: give integers from 0 on',
    ),
    (np.arange(120), 0, 'n=0 is too few: use at least 1'),
  ],
)
def test_interesting_errors_name_the_fix(hand_set_channels, labels, n, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    interesting(*hand_set_channels[:3], labels, 'dense1', n)


def test_top_patches_values_equal_scores_of_the_neuron(net):
  model, variables, images, _ = net
  found = top_patches(model, variables, images, 'conv2', 0, k=2)
  scores = jax.jit(lambda images: units.scores(model, variables, images, units.Neuron('conv2', 0)))(
    images[found.images]
  )
  np.testing.assert_array_equal(scores, found.values)
