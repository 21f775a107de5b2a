"""Tests of the files for TensorBoard's projector."""

import numpy as np
import pytest
from PIL import Image

from jaxdl.analysis.embeddings import projector

CLASSES = ['plain', 'tab\tand\nline\r', 'back\\slash', 'next\x85\u2028line', '']


def write_random(folder, count=5, images=None):
  """Writes random features; returns the features, the labels and the paths."""
  features = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32) * [1, 1e-7, 1e9]
  features = features.astype(np.float32)
  labels = np.arange(count) % len(CLASSES)
  return features, labels, projector(folder, features, labels, CLASSES, images)


def test_projector_files_can_be_read_back(tmp_path):
  features, labels, paths = write_random(tmp_path / 'new' / 'folder')
  assert sorted(path.name for path in paths) == [
    'metadata.tsv',
    'projector_config.pbtxt',
    'tensors.tsv',
  ]
  assert all(path.is_file() for path in paths)
  folder = tmp_path / 'new/folder/projector'
  np.testing.assert_array_equal(
    np.loadtxt(folder / 'tensors.tsv', delimiter='\t', dtype=np.float32), features
  )
  # splitlines also splits at \x85 and \u2028.
  head, *rows = (folder / 'metadata.tsv').read_text('utf-8').splitlines()
  assert head == 'index\tclass'
  assert len(rows) == 5
  for index, row in enumerate(rows):
    number, name = row.split('\t')
    assert int(number) == index
    unescaped = name.encode('latin-1', 'backslashreplace').decode('unicode_escape')
    assert unescaped == CLASSES[labels[index]]
  assert 'sprite' not in (tmp_path / 'new/folder/projector_config.pbtxt').read_text()


@pytest.mark.parametrize('channels', [1, 3])
def test_projector_sprite_contains_the_images_in_order(tmp_path, channels):
  images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, channels), np.uint8)
  write_random(tmp_path, images=images)
  # 3 × 3 images of 4 × 6 pixels.
  sprite = np.asarray(Image.open(tmp_path / 'projector/sprite.png')).reshape(12, 18, channels)
  for index, image in enumerate(images):
    row, column = divmod(index, 3)
    np.testing.assert_array_equal(sprite[4 * row : 4 * row + 4, 6 * column : 6 * column + 6], image)
  assert not sprite[4:, 12:].any()
  write_random(tmp_path, images=(images / 255).astype(np.float32))
  np.testing.assert_array_equal(
    np.asarray(Image.open(tmp_path / 'projector/sprite.png')).reshape(sprite.shape), sprite
  )


def test_projector_config_is_valid_for_the_plugin(tmp_path):
  pb2 = pytest.importorskip('tensorboard.plugins.projector.projector_config_pb2')
  from google.protobuf import text_format

  write_random(tmp_path, images=np.zeros((5, 4, 6, 1), np.uint8))
  config = text_format.Parse(
    (tmp_path / 'projector_config.pbtxt').read_text(), pb2.ProjectorConfig()
  )
  (embedding,) = config.embeddings
  assert (tmp_path / embedding.tensor_path).is_file()
  assert (tmp_path / embedding.metadata_path).is_file()
  assert (tmp_path / embedding.sprite.image_path).is_file()
  assert list(embedding.sprite.single_image_dim) == [6, 4]  # width, height


@pytest.mark.slow
def test_projector_is_served_by_tensorboard(tmp_path):
  """Requests the same routes as the frontend. Slow because the plugin imports TensorFlow."""
  projector_plugin = pytest.importorskip('tensorboard.plugins.projector.projector_plugin')
  from tensorboard.plugins.base_plugin import TBContext
  from werkzeug.test import Client

  features, _, _ = write_random(tmp_path, images=np.zeros((5, 4, 6, 1), np.uint8))
  apps = projector_plugin.ProjectorPlugin(TBContext(logdir=str(tmp_path))).get_plugin_apps()

  def get(route):
    response = Client(apps[route]).get('/', query_string=dict(run='.', name='features'))
    assert response.status_code == 200, response.text
    return response

  (embedding,) = get('/info').json['embeddings']
  assert embedding['tensorShape'] == [5, 3]
  assert embedding['sprite']['singleImageDim'] == [6, 4]
  np.testing.assert_array_equal(
    np.frombuffer(get('/tensor').data, np.float32).reshape(5, 3), features
  )
  assert len(get('/metadata').text.removesuffix('\n').split('\n')) == 1 + 5
  assert get('/sprite_image').data == (tmp_path / 'projector/sprite.png').read_bytes()


def test_projector_shrinks_sprites_that_are_too_large(tmp_path, monkeypatch):
  monkeypatch.setattr('jaxdl.analysis.projector.LARGEST', 30)
  write_random(tmp_path, images=np.full((5, 40, 20, 1), 200, np.uint8))
  sprite = Image.open(tmp_path / 'projector/sprite.png')
  assert sprite.size == (15, 30)  # 3 × 3 images, each 5 wide and 10 high
  assert (
    'single_image_dim: 5\n    single_image_dim: 10'
    in (tmp_path / 'projector_config.pbtxt').read_text()
  )


def test_projector_shrinks_every_image_in_its_place(tmp_path, monkeypatch):
  """Two of 4 × 8 pixels each way; the left half of each image is black, the right half grey."""
  monkeypatch.setattr('jaxdl.analysis.projector.LARGEST', 16)
  greys = np.array([40, 80, 120, 160], np.uint8)
  images = np.zeros((4, 12, 24, 1), np.uint8)
  images[:, :, 12:] = greys[:, None, None, None]
  write_random(tmp_path, count=4, images=images)
  sprite = np.asarray(Image.open(tmp_path / 'projector/sprite.png'))
  halves = sprite.reshape(2, 4, 2, 2, 4).mean((1, 4)).reshape(4, 2)  # [image, half]
  np.testing.assert_allclose(halves, np.stack([0 * greys, greys], -1), atol=5)


@pytest.mark.parametrize(('height', 'width'), [(40, 1), (1, 40)])
def test_projector_keeps_a_pixel_of_the_narrowest_images(height, width, tmp_path, monkeypatch):
  """A quarter of one pixel is still one pixel."""
  monkeypatch.setattr('jaxdl.analysis.projector.LARGEST', 30)
  write_random(tmp_path, images=np.full((5, height, width, 1), 200, np.uint8))
  sprite = Image.open(tmp_path / 'projector/sprite.png')
  assert sprite.size == ((3, 30) if width == 1 else (30, 3))


@pytest.mark.parametrize(
  ('features', 'labels', 'images', 'message'),
  [
    (np.ones((2, 3)), [0], None, r'features of shape \(2, 3\) and labels \(1,\): give finite'),
    (np.full((1, 3), np.inf), [0], None, r'features of shape \(1, 3\) and labels'),
    (np.ones((1, 3)), [5], None, 'labels from 5 to 5: use 0 to 4, one for each class'),
    (
      np.ones((1, 3)),
      [0],
      np.ones((2, 4, 4, 1)),
      r'images of shape \(2, 4, 4, 1\) for 1 examples: give \[N, H, W, C\]',
    ),
    (np.ones((1, 3)), [0], np.ones((1, 4, 4)), r'images of shape \(1, 4, 4\) for 1 examples'),
    (
      np.ones((1, 3)),
      [0],
      np.full((1, 4, 4, 1), -1.0),
      'images from -1 to -1: give uint8, or 0 to 1 as before scaling',
    ),
  ],
)
def test_projector_errors_name_the_fix_and_write_nothing(
  tmp_path, features, labels, images, message
):
  with pytest.raises(ValueError, match=f'^{message}'):
    projector(tmp_path / 'x', features, np.array(labels), CLASSES, images)
  assert not (tmp_path / 'x').exists()
