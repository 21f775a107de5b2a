"""Runs on own arrays: training, resuming, and everything after training."""

import json
import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import SMALL

import jaxdl
from jaxdl import analyze, models, predict
from jaxdl.exports.network import Network
from jaxdl.runs import identity
from jaxdl.step import steps
from jaxdl.training import experiment
from jaxdl.views import subject

DRAW = np.random.default_rng(0)
Y = np.array(['cat', 'dog', 'fox'])[np.arange(90) % 3]
PLACES = np.arange(90) % 3
VECTORS = (DRAW.normal(0, 1, (90, 4)) + 3 * PLACES[:, None]).astype(np.float32)
LENGTHS = DRAW.integers(1, 8, 90)
SEQUENCES = (DRAW.normal(0, 1, (90, 7, 2)) + 3 * PLACES[:, None, None]).astype(np.float32)
IMAGES = np.clip(DRAW.integers(0, 90, (90, 8, 8)) + 60 * PLACES[:, None, None], 0, 255)


class Mean(nn.Module):
  """The mean of the real steps of a sequence, or a vector, and two dense layers."""

  classes: int
  features: int = 8
  masked: bool = False

  @nn.compact
  def __call__(self, inputs):
    if self.masked:
      values, real = inputs[..., :-1], jax.lax.stop_gradient(inputs[..., -1:])
      inputs = (values * real).sum(1) / real.sum(1)
    hidden = jnp.tanh(nn.Dense(self.features, name='hidden')(inputs))
    return nn.Dense(self.classes, name='logits')(hidden)


class Plain(nn.Module):
  """A model that does not know of padding."""

  @nn.compact
  def __call__(self, inputs):
    return nn.Dense(3)(inputs.mean(1))


@pytest.fixture(autouse=True)
def own_model(monkeypatch):
  monkeypatch.setitem(models.MODELS, 'mean', Mean)


def config_of(task='classify', model='mean', **data):
  if model == 'mean':
    model = dict(name='mean', classes='classes')
  data = dict(name='arrays', batch_size=16, evaluation_batch_size=16, **data)
  return {**SMALL, 'task': task, 'data': data, 'model': model}


CNN = dict(
  name='cnn',
  layers=[
    dict(kind='conv', features=3, kernel=3),
    dict(kind='flatten'),
    dict(kind='dense', features='classes', activate=False),
  ],
)


def result(capsys):
  """The JSON line at the end of a command's output."""
  return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def padded(steps_more):
  """The sequences with more padding, which is not a number."""
  more = np.full((90, steps_more, 2), np.nan, np.float32)
  return np.concatenate([SEQUENCES, more], 1)


def gradients_and_sums(x):
  """Gradients and sums of the first training batch of a new run on sequences with lengths."""
  built = experiment.build(config_of(), data=(x, Y, LENGTHS))
  state = built.initial_state()
  split = built.data.splits['train']
  feed = {name: values[0] for name, values in split.feed(0, 1).items()}
  batch = built.data.prepare(split.fetch(split.arrays, feed))

  def of_devices(state, batch):
    found, sums, _ = steps.mean_gradients(state, batch, built.recipe)
    return found, sums

  run = jax.vmap(of_devices, axis_name='devices', in_axes=(None, 0))
  return jax.tree.map(
    lambda values: np.asarray(values)[0], run(state, jax.tree.map(lambda part: part[None], batch))
  )


def test_more_padding_changes_neither_loss_nor_metrics_nor_gradient():
  (gradients, sums), (others, same) = gradients_and_sums(SEQUENCES), gradients_and_sums(padded(5))
  assert float(np.abs(gradients['hidden']['kernel']).max()) > 1e-3
  for one, other in ((gradients, others), (sums, same)):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), one, other)


@pytest.mark.slow
def test_padding_of_a_trained_run_has_no_attribution(tmp_path):
  jaxdl.train(config_of(), tmp_path / 'run', data=(SEQUENCES, Y, LENGTHS))
  run = jaxdl.load(tmp_path / 'run')
  assert run.config['model']['masked'] is True
  assert run.config['dataset']['masked'] is True
  found = run.evaluate((SEQUENCES, Y, LENGTHS))
  assert found['examples'] == 90
  assert run.evaluate((padded(3)[:, :7], Y, LENGTHS)) == found
  with pytest.raises(
    ValueError,
    match='format=onnx cannot express the model Mean, which is not part of jaxdl',
  ):
    run.export('onnx')
  one = run.predict(SEQUENCES[:2, :3], lengths=[3, 3])  # shorter arrays are padded
  np.testing.assert_array_equal(one.logits, run.predict(SEQUENCES[:2], lengths=[3, 3]).logits)
  x = experiment.build(config_of(), data=(SEQUENCES, Y, LENGTHS)).data
  inputs = x.prepare({'input': x.splits['test'].arrays['input']})['inputs']
  slopes = jax.grad(lambda inputs: run.model.apply(run.variables, inputs)[:, 0].sum())(inputs)
  real = np.asarray(inputs[..., 2:])
  assert np.abs(slopes[..., :2] * real).min(initial=1, where=real > 0) > 0
  assert (np.asarray(slopes[..., :2]) * (1 - real) == 0).all()
  assert (np.asarray(slopes[..., 2]) == 0).all()


def test_a_model_without_the_field_is_refused(monkeypatch):
  monkeypatch.setitem(models.MODELS, 'plain', Plain)
  with pytest.raises(
    ValueError, match=r"name='plain' does not take sequences of different lengths"
  ):
    experiment.build(config_of(model=dict(name='plain')), data=(SEQUENCES, Y, LENGTHS))
  with pytest.raises(ValueError, match="task='reconstruct' does not take sequences of different"):
    experiment.build(config_of('reconstruct'), data=(SEQUENCES, None, LENGTHS))


def test_a_run_on_a_file_resumes_and_is_evaluated_to_the_bit(tmp_path):
  np.savez(tmp_path / 'a.npz', x=VECTORS, y=Y)
  config = config_of(file=str(tmp_path / 'a.npz'))
  summary = jaxdl.train(config, tmp_path / 'whole')
  jaxdl.train({**config, 'train_for': '4 steps'}, tmp_path / 'parts')
  np.savez(tmp_path / 'moved.npz', x=VECTORS, y=Y)
  moved = config_of(file=str(tmp_path / 'moved.npz'))  # the same examples from another file
  assert jaxdl.train(moved, tmp_path / 'parts')['test_loss'] == summary['test_loss']
  run = jaxdl.load(tmp_path / 'whole')
  for split in ('validation', 'test'):
    found = run.evaluate(split)
    assert round(found['loss'], 6) == summary[f'{split}_loss']
    assert round(found['accuracy'], 6) == summary[f'{split}_accuracy']
  np.savez(tmp_path / 'a.npz', x=VECTORS + 1, y=Y)
  with pytest.raises(
    ValueError, match=r'other examples than .*whole was trained on .* split\): give'
  ):
    run.evaluate('test')
  with pytest.raises(ValueError, match='a run that was trained on other data'):
    jaxdl.train(config, tmp_path / 'whole')
  found = subject.read(tmp_path / 'whole', folder=tmp_path / 'moved.npz')
  assert (found.split, len(found.inputs), found.images) == ('test', 9, None)


@pytest.mark.slow
def test_arrays_in_python_are_not_stored(tmp_path, capsys):
  """Their checksum is; analyses of examples refuse in one line, or get the arrays in a file."""
  folder, config = tmp_path / 'run', config_of(splits='60/20/20')
  summary = jaxdl.train(config, folder, data=(VECTORS, Y))
  assert not (folder / 'command.txt').exists()
  assert (folder / 'report.html').exists()
  assert jaxdl.train(config, folder, data=(VECTORS, Y))['test_loss'] == summary['test_loss']
  run = jaxdl.load(folder)
  assert run.config['dataset']['origin'] == 'Python'
  with pytest.raises(
    FileNotFoundError, match=r'were given in Python and are not stored: give fold'
  ):
    run.evaluate('test')
  assert run.evaluate((VECTORS, Y))['examples'] == 90
  with pytest.raises(FileNotFoundError, match='are not stored'):
    analyze.main(['analyze', str(folder)])
  assert analyze.main(['analyze', str(folder), '--only=weights']) == 0
  np.savez(tmp_path / 'same.npz', x=VECTORS, y=Y)
  arguments = ['--only=errors,statistics,embedding', f'--folder={tmp_path / "same.npz"}']
  assert analyze.main(['analyze', str(folder), *arguments]) == 0
  made = {file.name for file in (folder / 'analysis').iterdir()}
  assert {'confusion.png', 'calibration.png', 'statistics.png', 'embedding_pca.png'} <= made
  assert result(capsys)['failed'] == {}


@pytest.mark.slow
def test_every_analysis_of_vectors_is_made_or_left_out(tmp_path, capsys):
  np.savez(tmp_path / 'a.npz', x=SEQUENCES, y=Y, lengths=LENGTHS)
  jaxdl.train(config_of(file=str(tmp_path / 'a.npz')), tmp_path / 'run')
  assert analyze.main(['analyze', str(tmp_path / 'run')]) == 0
  found = result(capsys)
  assert found['failed'] == {}
  assert {'errors', 'statistics', 'weights'} <= found['analyses'].keys()


@pytest.mark.slow
def test_predictions_of_a_file_are_those_of_the_run(tmp_path, capsys):
  labels = PLACES * 2 + 1  # with gaps
  np.savez(tmp_path / 'a.npz', x=IMAGES, y=labels, class_names=['low', 'middle', 'high'])
  config = config_of(model=CNN, file=str(tmp_path / 'a.npz'), inputs='images')
  every = dict.fromkeys(
    ('train_for', 'log_every', 'evaluate_every', 'checkpoint_every'), '60 steps'
  )
  jaxdl.train({**config, **every}, tmp_path / 'run')
  run = jaxdl.load(tmp_path / 'run')
  assert (run.classes, run.config['dataset']['labels']) == (
    ('low', 'middle', 'high'),
    ['1', '3', '5'],
  )
  np.savez(tmp_path / 'new.npz', x=IMAGES[:6], y=labels[:6])
  capsys.readouterr()
  assert predict.main(['predict', str(tmp_path / 'run'), str(tmp_path / 'new.npz'), '--json']) == 0
  found = result(capsys)
  assert (found['labelled'], found['metrics']['accuracy']) == (6, 1.0)
  assert [row['class'] for row in found['rows']] == ['low', 'middle', 'high'] * 2
  assert run.evaluate((IMAGES[:6], labels[:6]))['accuracy'] == 1
  assert run.evaluate((IMAGES[:3], ['low', 'middle', 'high']))['accuracy'] == 1
  with pytest.raises(ValueError, match=r"has the label '2', which is not one of the 3 classes"):
    run.evaluate((IMAGES[:3], [1, 2, 3]))
  with pytest.raises(ValueError, match='lengths. of the arrays are given, but the run was trained'):
    run.predict(IMAGES[:2], lengths=[1, 2])


def test_vectors_cannot_be_explained_or_inverted(tmp_path):
  jaxdl.train(config_of(), tmp_path / 'run', data=(VECTORS, Y))
  np.savez(tmp_path / 'new.npz', x=VECTORS[:3])
  for flag in ('--page', '--explain', '--invert'):
    with pytest.raises(ValueError, match='images, but the run takes vectors'):
      predict.main(['predict', str(tmp_path / 'run'), str(tmp_path / 'new.npz'), flag])
  with pytest.raises(ValueError, match=r'examples of \[3\], but the network takes \[4\]'):
    jaxdl.load(tmp_path / 'run').predict(VECTORS[:, :3])


@pytest.mark.slow
def test_a_regression_is_evaluated_to_the_bit(tmp_path):
  values = np.stack([VECTORS[:, 0] * 100, VECTORS[:, 1] ** 2], 1)
  np.savez(tmp_path / 'a.npz', x=VECTORS, y=values)
  config = config_of('regress', file=str(tmp_path / 'a.npz'), class_names=['mass', 'area'])
  summary = jaxdl.train(config, tmp_path / 'run')
  run = jaxdl.load(tmp_path / 'run')
  assert run.config['model']['classes'] == 2
  found = run.evaluate('test')
  for name, value in found.items():
    assert round(value, 6) == summary[f'test_{name}']
  assert run.evaluate((VECTORS, values))['examples'] == 90
  assert run.export('stablehlo').is_file()  # compared with jaxdl on the vectors of the test split
  with pytest.raises(ValueError, match='raw applies to networks of uint8 images'):
    run.export('stablehlo', raw=True)
  with pytest.raises(ValueError, match="'y' of the arrays has 1 columns, but the run has 2"):
    run.evaluate((VECTORS, values[:, 0]))


@pytest.mark.slow
def test_an_autoencoder_of_images_without_labels(tmp_path):
  model = dict(
    name='cnn',
    layers=[
      dict(kind='flatten'),
      dict(kind='dense', features=64, activate=False),
      dict(kind='reshape', shape=[8, 8, 1]),
    ],
  )
  config = config_of('reconstruct', model=model, inputs='images')
  summary = jaxdl.train(config, tmp_path / 'run', data=IMAGES)
  assert summary['test_examples'] == 9
  assert len(jaxdl.load(tmp_path / 'run').predict(IMAGES[:4]).errors) == 4


def test_an_autoencoder_of_vectors_returns_them_in_their_own_unit(tmp_path):
  model = dict(name='cnn', layers=[dict(kind='dense', features=4, activate=False)])
  jaxdl.train(config_of('reconstruct', model=model), tmp_path / 'run', data=100 * VECTORS)
  run = jaxdl.load(tmp_path / 'run')
  found = run.predict(100 * VECTORS[:5])
  kept = run.config['dataset']
  outputs = run.features(100 * VECTORS[:5], 'dense1')
  np.testing.assert_allclose(
    found.images, outputs * np.array(kept['deviation']) + np.array(kept['mean']), rtol=1e-5
  )
  assert np.abs(found.images).max() > 10


@pytest.mark.parametrize(
  ('x', 'lengths', 'noun'), [(VECTORS, None, 'vectors'), (SEQUENCES, LENGTHS, 'sequences')]
)
def test_a_numpy_reader_of_the_written_preprocessing_gets_the_same_outputs(
  x, lengths, noun, tmp_path, capsys
):
  given = {'x': x, 'y': Y, **({} if lengths is None else {'lengths': lengths})}
  np.savez(tmp_path / 'a.npz', **given)
  config = config_of(file=str(tmp_path / 'a.npz'))
  jaxdl.train({**config, 'train_for': '2 steps'}, tmp_path / 'run')
  run = jaxdl.load(tmp_path / 'run')
  network = Network('run', 0, run.model, run.variables, run.config)
  written = json.loads(network.metadata()['preprocessing'])
  assert (written['inputs'], written['in_the_graph']) == (noun, False)
  values = np.asarray(x, np.float32)
  if written['last_channel_marks_real_steps']:
    real = np.arange(x.shape[1])[None, :] < lengths[:, None]
    values = np.concatenate([values, real[..., None]], axis=-1)
  values = (values - np.array(written['subtract'])) / np.array(written['then_divide_by'])
  if written['last_channel_marks_real_steps']:
    values = values * real[..., None]
  (logits,) = network.call(values.astype(np.float32))
  expected = run.predict(x) if lengths is None else run.predict(x, lengths=lengths)
  np.testing.assert_allclose(logits, expected.logits, rtol=1e-4, atol=1e-5)
  capsys.readouterr()
  assert predict.main(['predict', str(tmp_path / 'run'), str(tmp_path / 'a.npz')]) == 0
  assert f'\n90 {noun} by predicted class: ' in capsys.readouterr().out


def test_the_word_for_the_number_of_outputs_and_masks_do_not_make_another_run(tmp_path):
  config = config_of()
  jaxdl.train(config, tmp_path / 'run', data=(SEQUENCES, Y, LENGTHS))
  before = json.loads((tmp_path / 'run/config.json').read_text())
  assert identity.keys_of_another_run(before, config) == []


def test_data_is_refused_where_it_cannot_be_used(tmp_path):
  built = experiment.build(config_of(), data=(VECTORS, Y))
  with pytest.raises(ValueError, match='the experiment has its own: give data to jaxdl.build'):
    jaxdl.train(built, tmp_path / 'run', data=(VECTORS, Y))
  assert not (tmp_path / 'run').exists()
  shutil.rmtree(tmp_path)
