"""`jaxdl.load`: predictions, features and evaluation from Python."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from helpers import compiled_programs

import jaxdl
from jaxdl.analysis import activations
from jaxdl.training import experiment, loop


@pytest.fixture
def loaded(small_cnn, tmp_path):
  built = experiment.build({**small_cnn, 'train_for': '4 steps'}, 'small')
  loop.train(built, tmp_path / 'run')
  return jaxdl.load(tmp_path / 'run'), built.data.splits['test'].arrays


@pytest.mark.usefixtures('unchecked_types')
def test_equal_images_of_all_types_have_equal_predictions(loaded):
  run, arrays = loaded
  images = arrays['image']
  found = run.predict(images)
  assert isinstance(run, jaxdl.Run)
  assert len(found) == len(images)
  assert found.labels is None
  np.testing.assert_allclose(found.probabilities.sum(-1), 1)
  first = next(iter(found))
  assert (first.predicted, first.class_name) == (found.probabilities[0].argmax(), first.class_name)
  for other in (
    images[..., 0],
    images.astype(np.float32) / 255,
    images.astype(np.float64) / 255,
    jax.numpy.asarray(images),
    list(images),
  ):
    np.testing.assert_array_equal(run.predict(other).logits, found.logits)
  with pytest.raises(dataclasses.FrozenInstanceError):
    found.logits = None
  one_by_one = run.predict(images[:5], batch_size=1).logits
  np.testing.assert_allclose(one_by_one, found.logits[:5], rtol=1e-4, atol=1e-5)
  for wrong, message in (
    (images.astype(np.int32), 'has the type int32: give uint8'),
    (images[:0], 'is empty'),
    (images[0, ..., 0], 'give'),
    (images[..., None], 'has the shape'),
    (np.full((1, 28, 28), np.nan), 'has values from nan to nan'),
    ([images[0], images[0, :5]], 'different shapes'),
  ):
    with pytest.raises(ValueError, match=message):
      run.predict(wrong)


def test_programs_are_compiled_once(loaded):
  run, arrays = loaded
  run.predict(arrays['image'])
  run.features(arrays['image'], 'conv1')
  with compiled_programs() as programs:
    for count in (1, 7, 50):
      run.predict(arrays['image'][:count])
      run.features(arrays['image'][:count], 'conv1')
      run.evaluate((arrays['image'][:count], arrays['label'][:count]))
  assert programs == []


def test_features_equal_the_activations_of_a_layer(loaded):
  run, arrays = loaded
  pixels = np.float32(arrays['image']) / 255
  expected = activations.activations(run.model, run.variables, pixels, ['conv1'])['conv1']
  np.testing.assert_allclose(run.features(arrays['image'], 'conv1'), expected, rtol=1e-5, atol=1e-6)
  with pytest.raises(ValueError, match="layer 'conv9' is unknown: use one of conv1"):
    run.features(arrays['image'], 'conv9')


def test_evaluation_requires_labels(loaded, tmp_path):
  run, arrays = loaded
  names = np.array(run.classes)[arrays['label']]
  assert run.evaluate((arrays['image'], names)) == run.evaluate((arrays['image'], arrays['label']))
  np.save(tmp_path / 'x.npy', arrays['image'])
  with pytest.raises(ValueError, match='the data have no labels'):
    run.evaluate(tmp_path / 'x.npy')
  with pytest.raises(ValueError, match='has labels of shape'):
    run.evaluate((arrays['image'], arrays['label'][:3]))


def test_missing_checkpoint_error_names_the_run(loaded, tmp_path):
  run, arrays = loaded
  shutil.rmtree(tmp_path / 'run/checkpoints')
  with pytest.raises(FileNotFoundError, match='has no checkpoints: give the folder of a run'):
    jaxdl.load(run.folder).predict(arrays['image'])
