"""Tests of the views of the section 'Layers compared', and of `maximised`, on small runs."""

import copy
import dataclasses

import numpy as np
import pytest
from helpers import BN_CNN, SMALL
from optax import softmax_cross_entropy_with_integer_labels as cross_entropy
from PIL import Image

from jaxdl import analyze
from jaxdl.analysis import layer_features, probes, similarity
from jaxdl.terminal import command
from jaxdl.training import experiment, loop
from jaxdl.views import VIEWS, adversarial, concepts, subject
from jaxdl.views.view import Choice, Failure, computing_layers

CNN = {
  **SMALL,
  'data': {
    **SMALL['data'],
    'layout': 'image',
    'splits': dict(train='train[:300]', validation='train[300:350]', test='test[:80]'),
  },
  'model': copy.deepcopy(BN_CNN),
  'train_for': '24 steps',
  'evaluate_every': '8 steps',
  'checkpoint_every': '8 steps',
  'keep_every': '8 steps',
}


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """Folders of two runs with different seeds."""
  folders = [tmp_path_factory.mktemp(name) for name in ('first', 'second')]
  for seed, folder in enumerate(folders):
    loop.train(experiment.build({**copy.deepcopy(CNN), 'seed': seed}, 'small'), folder)
  return folders


@pytest.fixture(scope='module')
def seen(runs):
  return subject.read(runs[0])


def made(name, seen, **choice):
  """Name → Result of a view."""
  results = list(VIEWS[name].make(seen, Choice(**choice)))
  for result in results:
    assert not isinstance(result, Failure), result
  return {result.name: result for result in results}


def test_probes_view_probes_the_input_and_every_computing_layer(seen):
  facts = made('probes', seen)['probes'].facts
  assert [row['layer'] for row in facts['layers']] == ['input', *computing_layers(seen)]
  assert 'flatten1' not in computing_layers(seen)
  assert 'dropout1' not in computing_layers(seen)
  expected = probes.probe(seen.inputs.reshape(80, -1), seen.labels)
  assert facts['layers'][0]['held_out'] == expected.accuracy.held_out
  assert facts['layers'][0]['components'] == 59


def test_similarity_view_compares_layers_runs_and_checkpoints(seen, runs):
  found = made('similarity', seen, against=(str(runs[1]),))
  assert list(found) == ['similarity', 'similarity_against_1', 'similarity_checkpoints']
  own = found['similarity'].arrays['cka']
  np.testing.assert_allclose(own.diagonal(), 1)
  np.testing.assert_allclose(own, own.T)
  across = found['similarity_against_1']
  assert across.facts['same_layer']['input'] == pytest.approx(1)
  assert across.facts['same_layer']['conv1'] < 0.999
  over_training = found['similarity_checkpoints']
  assert over_training.facts['steps'] == [8, 16, 24]
  at = over_training.facts['steps'].index(seen.step)
  np.testing.assert_allclose(over_training.arrays['cka'][at], 1)
  features = dict(
    layer_features.layer_features(seen.model, seen.variables, seen.inputs, ['conv1', 'logits'])
  )
  kernels = {name: similarity.kernel(each) for name, each in features.items()}
  names = found['similarity'].facts['layers']
  assert own[names.index('conv1'), names.index('logits')] == pytest.approx(
    similarity.cka(kernels, kernels)[1, 2]
  )


def test_loss_line_ends_at_the_losses_of_the_runs(seen, runs):
  found = made('loss_line', seen, against=(str(runs[1]),))['loss_line']
  other = subject.read(runs[1])
  for place, each in ((0, seen), (-1, other)):
    logits = each.model.apply(each.variables, seen.inputs)
    loss = float(np.mean(cross_entropy(logits, seen.labels), dtype=np.float64))
    assert found.arrays['values_1'][place, 0] == pytest.approx(loss, rel=1e-5)
    accuracy = np.mean(logits.argmax(-1) == seen.labels)
    assert found.arrays['values_1'][place, 1] == pytest.approx(accuracy)
  same = made('loss_line', seen, against=(str(runs[0]),))['loss_line']
  assert same.facts['runs'][0]['barrier'] == pytest.approx(0, abs=1e-5)


def test_loss_plane_has_the_network_in_the_middle(seen):
  found = made('loss_plane', seen)['loss_plane']
  logits = seen.model.apply(seen.variables, seen.inputs)
  expected = float(np.mean(cross_entropy(logits, seen.labels), dtype=np.float64))
  assert found.facts['loss'] == pytest.approx(expected, rel=1e-5)
  assert found.arrays['loss'].shape == (11, 11)
  assert np.ptp(found.arrays['loss']) > 0


def test_nearest_view_finds_a_training_example_itself(seen):
  training = subject.training_examples(seen, 50)
  assert len(training['inputs']) == 50
  among = dataclasses.replace(
    seen, inputs=training['inputs'], labels=training['labels'], images=training['images']
  )
  found = made('nearest', among)['nearest']
  np.testing.assert_allclose(found.arrays['similarity'][:, 0], 1)
  places = found.arrays['training_index'][found.arrays['examples'][:, 0]]
  assert (places == training['index']).mean() > 0.9  # others may have the same features
  assert found.facts['training_examples'] == 300


@pytest.mark.slow
def test_adversarial_view_changes_pixels_by_epsilon_at_most(seen, monkeypatch):
  monkeypatch.setattr(adversarial, 'STEPS', 3)
  found = made('adversarial', seen)
  facts = found['adversarial'].facts
  assert facts['fgsm'][0] == facts['pgd'][0]
  assert (facts['pgd'] <= facts['fgsm']).all()
  assert (np.diff(facts['pgd']) <= 0).all()
  changed = found['adversarial_examples']
  distance = changed.facts['distance']
  change = np.abs(changed.arrays['changed'] - seen.images[changed.arrays['index']])
  assert (change.max((1, 2, 3)) <= distance + 1e-5).all()
  assert (changed.arrays['predicted'] != seen.labels[changed.arrays['index']]).all()


def write_concepts(folder, seen):
  """Writes images of two concepts: bright images, and random test images."""
  for name in ('bright', 'any'):
    (folder / name).mkdir(parents=True)
    for number in range(40):
      pixels = seen.images[number, ..., 0]
      if name == 'bright':
        pixels = 1 - pixels
      Image.fromarray(np.uint8(255 * pixels)).save(folder / name / f'{number:02}.png')


def test_concepts_view_reads_folders_of_images(seen, tmp_path):
  write_concepts(tmp_path, seen)
  given = concepts.read(tmp_path, seen.config)
  np.testing.assert_allclose(given['any'], seen.inputs[:40], atol=1e-6)
  found = made('concepts', seen, concepts=str(tmp_path))['concepts']
  by_name = {each['concept']: each for each in found.facts['concepts']}
  assert found.facts['layer'] == 'conv1'
  assert by_name['bright']['accuracy'] > 0.9 > by_name['any']['accuracy']
  assert by_name['bright']['significant'].any()
  assert not by_name['any']['significant'].any()


@pytest.mark.slow
def test_maximised_view_exceeds_the_test_images(seen):
  found = made('maximised', seen)['maximised']
  assert found.facts['above_data'] == len(found.facts['channels']) > 0
  for channel in found.facts['channels']:
    assert channel['reached'] > channel['best_image'] > 0


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--only=loss_line'], '--only=loss_line: it compares runs: give another run of the same '),
    (['--only=concepts'], '--only=concepts: it needs images of concepts: give --concepts=DIR'),
    (
      ['--only=concepts', '--concepts=nowhere'],
      '--only=concepts: --concepts=nowhere is not a folder: give one with a folder of each',
    ),
    (['--only=concepts', '--concepts={empty}'], 'has no folders: put the images of each concept'),
    (['--only=concepts', '--concepts={few}'], 'few/one has 1 images: give at least 30'),
    (['--only=probes', '--concepts=x'], '--concepts changes nothing in probes: leave it out, or'),
    (
      ['--only=concepts', '--concepts={few}', '--layer=logits'],
      '--layer=logits does not fit: use one of conv1',
    ),
  ],
)
def test_layers_compared_errors_name_the_fix(arguments, message, runs, seen, tmp_path, capsys):
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'few/one').mkdir(parents=True)
  Image.new('L', (28, 28)).save(tmp_path / 'few/one/image.png')
  folders = {name: tmp_path / name for name in ('empty', 'few')}
  given = [argument.format(**folders) for argument in arguments]
  assert command.run(analyze.main, ['analyze', str(runs[0]), '--images=20', *given]) == 1
  assert message in capsys.readouterr().err


def test_another_kind_of_run_is_an_error(seen, tmp_path):
  loop.train(experiment.build({**copy.deepcopy(SMALL), 'train_for': '4 steps'}, 'small'), tmp_path)
  results = list(VIEWS['similarity'].make(seen, Choice(against=(str(tmp_path),))))
  errors = [str(result.error) for result in results if isinstance(result, Failure)]
  assert len(errors) == 1
  assert 'has another kind of network (recurrent) than' in errors[0]
  assert errors[0].endswith('give a run on the same data')
