"""Tests of `jaxdl.analyze`, from a trained run to the files of the analyses."""

import copy
import dataclasses
import itertools
import json
import pathlib
import re
import shutil

import numpy as np
import PIL.Image
import pytest
from helpers import SMALL, last_json, run_child, slow_after

import jaxdl
from jaxdl import analyze, predict
from jaxdl.data import prepare, tfds_arrays
from jaxdl.data.dataset import Data
from jaxdl.data.sets import mnist
from jaxdl.data.source import Source
from jaxdl.report import page
from jaxdl.runs import record
from jaxdl.terminal import command
from jaxdl.training import experiment, loop
from jaxdl.views import VIEWS, codes, network, subject
from jaxdl.views.view import Choice, occlusion_of

KINDS = {  # fixture → kind of its model
  'small': 'recurrent',
  'small_cnn': 'cnn',
  'small_text': 'language_model',
  'small_autoencoder': 'autoencoder',
}


@pytest.fixture(params=slow_after(1, ['small', 'small_text', 'small_autoencoder']))
def run(request, tmp_path):
  """(folder of a trained run, kind of its model)."""
  config = request.getfixturevalue(request.param)
  loop.train(experiment.build({**config, 'train_for': '2 steps'}, 'small'), tmp_path / 'run')
  return tmp_path / 'run', KINDS[request.param]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """(folder of an evaluated recurrent run, its summary)."""
  workdir = tmp_path_factory.mktemp('trained')
  return workdir, loop.train(
    experiment.build({**copy.deepcopy(SMALL), 'train_for': '4 steps'}, 'small'), workdir
  )


def test_analyze_writes_every_applicable_analysis(run):
  workdir, kind = run
  done = run_child('-m', 'jaxdl.analyze', f'--workdir={workdir}', '--images=40')
  assert done.returncode == 0, done.stderr
  made = last_json(done.stdout)['analyses']
  seen = subject.read(workdir, examples=False)
  fitting = [
    name
    for name, view in VIEWS.items()
    if kind in view.kinds and not view.named_only and not view.left_out(seen)
  ]
  assert set(made) == set(fitting)
  for file in (file for files in made.values() for file in files):
    path = workdir / 'analysis' / file
    if file.endswith('.png'):
      assert path.read_bytes().startswith(b'\x89PNG')
    elif file.endswith('.svg'):
      assert path.read_text(encoding='utf-8').startswith('<svg')
    elif file.endswith('.npz'):
      with np.load(path) as arrays:
        assert arrays.files
    else:
      json.loads(path.read_text())
  shown = {
    section['heading']: section['drawn_by']
    for section in page.one(record.load(workdir))['sections']
  }
  assert 'Other analyses' not in shown, 'every picture is in a section'
  named = [flags.removesuffix(' --images=40') for commands in shown.values() for flags in commands]
  assert sorted(','.join(named).replace('--only=', '').split(',')) == sorted(made)
  if kind == 'recurrent':
    facts = json.loads((workdir / 'analysis/confusion.json').read_text())
    by_step = json.loads((workdir / 'analysis/by_step.json').read_text())
    assert facts['examples'] == 40
    assert facts['accuracy'] == pytest.approx(by_step['accuracy_at_the_end'])
  if kind != 'language_model':
    assert (
      json.loads((workdir / 'analysis/numpy.json').read_text())['greatest_relative_difference']
      < 1e-5
    )


@pytest.mark.slow
def test_analyze_removes_the_units_of_a_previous_layer(small_text, tmp_path):
  loop.train(experiment.build({**small_text, 'train_for': '2 steps'}, 'small'), tmp_path)
  folder = tmp_path / 'analysis'
  for layer in ('lstm1', 'lstm2'):
    assert (
      analyze.main(
        ['analyze', str(tmp_path), '--images=60', '--only=characters', f'--layer={layer}']
      )
      == 0
    )
    kept = {file.stem: json.loads(file.read_text()) for file in folder.glob('unit_*.json')}
    assert {unit['layer'] for unit in kept.values()} == {layer}
    assert {file.stem for file in folder.glob('unit_*.png')} == set(kept)
  assert (folder / 'surprise.png').exists()
  (section,) = (
    one for one in page.one(record.load(tmp_path))['sections'] if one['heading'] == 'Characters'
  )
  assert section['drawn_by'] == ['--only=characters --images=60 --layer=lstm2']


ROWS = dict(name='cnn', layers=[dict(kind='conv', features=28, kernel=3, activate=False)])


def test_reconstructions_of_rows_are_predicted_but_not_drawn_by_analyze(small, tmp_path):
  config = {**small, 'task': 'reconstruct', 'model': ROWS, 'train_for': '2 steps'}
  loop.train(experiment.build(config, 'small'), tmp_path / 'run')
  reason = '--only=reconstructions: it draws images, but the inputs are the rows of images'
  with pytest.raises(ValueError, match=f'^{reason}$'):
    analyze.main(['analyze', str(tmp_path / 'run'), '--only=weights,reconstructions'])
  assert (tmp_path / 'run/analysis/weights.png').exists()
  images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
  run = jaxdl.load(tmp_path / 'run')
  found, logits = run.predict(images), run.features(images, 'conv1')
  assert found.images.shape == (2, 28, 28, 1)
  np.testing.assert_allclose(found.images[..., 0], logits.clip(0, 1), atol=1e-6)
  PIL.Image.fromarray(images[0]).save(tmp_path / 'digit.png')
  assert (
    predict.main(['predict', str(tmp_path / 'run'), str(tmp_path / 'digit.png'), '--page']) == 0
  )
  assert (tmp_path / 'run/predictions/page.html').exists()


@pytest.mark.parametrize('name', [name for name, view in VIEWS.items() if view.pictures])
def test_analyses_of_images_are_left_out_for_other_inputs(name, trained):
  seen = subject.read(trained[0], examples=False)
  for form, shape, words in (
    ('', (28, 28), 'the rows of images'),
    ('vectors', (4,), 'vectors'),
    ('sequences', (7, 3), 'sequences'),
  ):
    config = {**seen.config, 'dataset': {**seen.config['dataset'], 'form': form}}
    other = dataclasses.replace(seen, config=config, inputs=np.zeros((0, *shape), np.float32))
    assert VIEWS[name].left_out(other) == f'it draws images, but the inputs are {words}'


def test_analyze_runs_only_the_selected_analyses(small_cnn, tmp_path, capsys):
  loop.train(experiment.build({**small_cnn, 'train_for': '2 steps'}, 'small'), tmp_path)
  assert (
    analyze.main(
      ['analyze', f'--workdir={tmp_path}', '--images=30', '--only=filters,errors', '--step=last']
    )
    == 0
  )
  assert list(last_json(capsys.readouterr().out)['analyses']) == ['filters', 'errors']
  with np.load(tmp_path / 'analysis/filters_raw.npz') as arrays:
    assert arrays['kernels'].shape == (5, 5, 1, 4)


@pytest.mark.slow
def test_analyze_announces_the_slow_part(small_cnn, tmp_path, capsys):
  loop.train(experiment.build({**small_cnn, 'train_for': '2 steps'}, 'small'), tmp_path)
  capsys.readouterr()
  arguments = [f'--workdir={tmp_path}', '--images=8', '--only=filters,attributions']
  assert analyze.main(['analyze', *arguments]) == 0
  lines = capsys.readouterr().out.splitlines()
  notice = lines.index('  attributions: occlusion takes most of the time')
  assert notice < next(n for n, line in enumerate(lines) if ': nine attributions' in line)


@pytest.mark.parametrize(('side', 'window', 'stride'), [(28, 5, 1), (32, 5, 1), (64, 8, 4)])
@pytest.mark.usefixtures('unchecked_types')
def test_analyze_limits_the_number_of_occlusion_windows(side, window, stride):
  found = occlusion_of(np.zeros((2, side, side, 1)))
  assert (found['window'], found['stride']) == (window, stride)
  assert ((side - window) // stride + 1) ** 2 <= 28**2


def test_analyze_shows_the_recorded_weights_over_training(tmp_path):
  lines = [
    {'step': step, 'conv1/kernel': [-step, -3, -2, -1, 0, 1, 2, 3, step], 'conv1/bias': [0] * 9}
    for step in (4, 8, 12)
  ]
  (tmp_path / 'weights.jsonl').write_text(json.dumps(lines[0]))
  assert list(network.over_training(tmp_path)) == [], 'a single evaluation shows no change'
  (tmp_path / 'weights.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
  (result,) = network.over_training(tmp_path)
  assert result.arrays['steps'].tolist() == [4, 8, 12]
  assert result.arrays['conv1/kernel'].tolist() == [line['conv1/kernel'] for line in lines]
  assert result.facts['tensors']['conv1/kernel'] == {
    'first': lines[0]['conv1/kernel'],
    'last': lines[2]['conv1/kernel'],
  }
  kernel, bias = result.figure.axes
  assert (kernel.get_title(), bias.get_title()) == ('conv1 kernel', 'conv1 bias')
  assert kernel.get_ylim() == pytest.approx((-13.2, 13.2)), 'the minimum and the maximum are drawn'
  assert kernel.lines[0].get_xydata().tolist() == [[4, 0], [8, 0], [12, 0]], 'the median'
  (result,) = network.over_training(tmp_path, ['conv1/bias', 'conv2/bias'])
  assert list(result.arrays) == ['steps', 'quantiles', 'conv1/bias', 'conv1/kernel']
  (tmp_path / 'weights.jsonl').write_text(
    json.dumps(lines[0]) + '\n' + json.dumps({'step': 8, 'other/bias': [0] * 9})
  )
  assert list(network.over_training(tmp_path)) == [], 'both evaluations must be of one network'


@pytest.mark.slow
def test_analyze_compares_weights_with_another_run(trained, tmp_path):
  workdir, _ = trained
  other = tmp_path / 'stronger'
  loop.train(
    experiment.build({**copy.deepcopy(SMALL), 'train_for': '2 steps', 'l2': 1.0}, 'small'), other
  )
  assert (
    analyze.main(
      ['analyze', f'--workdir={workdir}', '--only=weights', f'--against={other}', '--images=5']
    )
    == 0
  )
  facts = json.loads((workdir / 'analysis/weights.json').read_text())
  assert facts['runs'] == [str(workdir), str(other)]
  kernel = facts['tensors']['logits/kernel']
  with np.load(workdir / 'analysis/weights.npz') as arrays:
    counts, edges = arrays['logits.kernel.counts'], arrays['logits.kernel.edges']
  assert counts.sum(1).tolist() == kernel['sizes'] == [80, 80]
  for row, folder in zip(counts, facts['runs'], strict=True):
    values = np.asarray(
      subject.read(folder, count=1).variables['params']['logits']['kernel'], np.float64
    )
    assert row.tolist() == np.histogram(values, edges)[0].tolist()
  with pytest.raises(FileNotFoundError, match='nowhere does not exist'):
    analyze.main(
      ['analyze', f'--workdir={workdir}', '--only=weights', '--against=nowhere', '--images=5']
    )


@pytest.mark.slow
def test_analyze_writes_every_analysis_of_a_cnn(small_cnn, tmp_path):
  loop.train(
    experiment.build({**small_cnn, 'train_for': '8 steps', 'keep_every': '2 steps'}, 'small'),
    tmp_path,
  )
  done = run_child('-m', 'jaxdl.analyze', f'--workdir={tmp_path}', '--images=30')
  assert done.returncode == 0, done.stderr
  made = last_json(done.stdout)['analyses']
  fitting = {name for name, view in VIEWS.items() if 'cnn' in view.kinds and not view.named_only}
  assert set(made) == fitting - {'importance'}  # the inputs have no named columns
  facts = json.loads((tmp_path / 'analysis/neurons.json').read_text())
  with np.load(tmp_path / 'analysis/neurons.npz') as arrays:
    assert arrays['images'].shape == (len(facts['channels']), 9)
  sought = json.loads((tmp_path / 'analysis/maximised.json').read_text())['channels']
  assert sought
  assert all(found['reached'] > found['best_image'] for found in sought)


def test_analyze_reads_the_test_examples_of_training(trained):
  workdir, summary = trained
  found = subject.read(workdir)
  logits = np.asarray(found.model.apply(found.variables, found.inputs))
  assert len(found.labels) == summary['test_examples'] == found.available
  assert (logits.argmax(-1) == found.labels).mean() == pytest.approx(summary['test_accuracy'])
  np.testing.assert_allclose(found.images[..., 0], found.inputs, atol=1e-6)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (
      ['--only=error'],
      r'--only=error is not an analysis; did you mean errors\?; use some of statistics, weights, sequence_attributions, ',
    ),
    (['--only=x'], r'--only=x is not an analysis; use some of statistics, '),
    (
      ['--only=errors,weights', '--layer=lstm'],
      r'--layer changes nothing in errors, weights: leave it out, or use some of '
      r'statistics, faithfulness, ablation, concepts, nearest, states, embedding$',
    ),
    (['--channel=0'], r'--channel changes nothing in statistics, .*: leave it out$'),
    (
      ['--only=errors', '--against=x'],
      r'--against changes nothing in errors: leave it out, or use some of weights, loss_line, similarity$',
    ),
    (
      ['--only=filters'],
      r"--only=filters does not apply to a model of kind 'recurrent': use some of statistics, ",
    ),
    (['--step=7'], r'.* has no checkpoint 7: it has \[4\]'),
    (['--images=many'], r"--images='many' is not an integer: see "),
    (['--only'], r'--only has no value: see '),
    (['--images=0'], r'--images=0 is too few: use at least 1'),
    (
      ['--only=states', '--layer=gru'],
      r'--layer=gru is not a layer of the network: use one of lstm, logits',
    ),
    (
      ['--only=states', '--layer=logits'],
      r'--only=states: --layer=logits does not fit: use one of lstm',
    ),
  ],
)
def test_analyze_error_names_the_wrong_flag_and_the_fix(arguments, message, trained, capsys):
  assert command.run(analyze.main, ['analyze', f'--workdir={trained[0]}', *arguments]) == 1
  lines = capsys.readouterr().err.strip().splitlines()
  assert re.match(f'jaxdl: {message}', lines[-1]), lines


@pytest.mark.parametrize(
  'name', ['statistics', 'embedding', 'states', 'errors', 'by_step', 'weights']
)
def test_analyze_declares_the_flags_that_it_uses(name, trained):
  """Records which fields of the choice an analysis reads."""
  read = set()

  class RecordingChoice(Choice):
    def __getattribute__(self, field):
      read.add(field)
      return super().__getattribute__(field)

  assert list(VIEWS[name].make(subject.read(trained[0], count=60), RecordingChoice()))
  assert read & {'layer', 'channel', 'against', 'concepts'} == set(VIEWS[name].uses)


def test_analyze_error_names_a_folder_without_a_run(tmp_path, capsys):
  assert command.run(analyze.main, ['analyze', f'--workdir={tmp_path}']) == 1
  assert 'has no checkpoints: give the folder of a run' in capsys.readouterr().err
  (tmp_path / 'cnn_mnist').mkdir()
  (tmp_path / 'report.html').touch()
  (tmp_path / 'cnn_mnist/config.json').touch()
  for name, expected in (
    ('', f'holds runs: give one of them, such as {tmp_path / "cnn_mnist"}'),
    ('cnn_minst', f'does not exist: did you mean {tmp_path / "cnn_mnist"}?'),
    ('report.html', 'is a file: give the'),
    ('x/y', 'does not exist: give the folder of a run that was trained'),
  ):
    assert command.run(analyze.main, ['analyze', str(tmp_path / name)]) == 1
    assert expected in capsys.readouterr().err
  (tmp_path / 'sweep/lstm/seed0').mkdir(parents=True)
  (tmp_path / 'sweep/lstm/seed0/config.json').touch()
  assert command.run(analyze.main, ['analyze', str(tmp_path / 'sweep')]) == 1
  assert (
    f'holds runs: give one of them, such as {tmp_path / "sweep/lstm/seed0"}'
    in capsys.readouterr().err
  )


@pytest.fixture
def other_digits(monkeypatch):
  """Returns a function that simulates MNIST prepared by TFDS: the same digits in another order.

  source='auto' prefers these digits to those in the package.
  """
  packed = mnist.mnist(source='bundled', data_dir=None)
  columns = {
    split: {name: values[::-1] for name, values in part.items()}
    for split, part in packed.columns.items()
  }

  def read(name, *, data_dir, required, decode, download=True):
    return Source('tfds', columns, packed.classes, data_dir='/somewhere')

  return lambda: monkeypatch.setattr(tfds_arrays, 'read', read)


def test_analyze_reads_the_data_source_of_training(small, tmp_path, other_digits):
  small['data']['source'] = 'auto'
  small['data']['splits'] = {'train': 'train[:61]', 'validation': 'train[100:150]'}
  small['data']['data_dir'] = str(tmp_path / 'empty')
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path / 'run')
  before = subject.read(tmp_path / 'run')
  other_digits()
  assert experiment.build(small, 'small').data.origin == 'tfds'
  after = subject.read(tmp_path / 'run')
  np.testing.assert_array_equal(after.inputs, before.inputs)
  np.testing.assert_array_equal(after.labels, before.labels)
  with pytest.raises(
    ValueError,
    match='^data_dir=x changes nothing: .* was trained on the copy in the package: leave it out',
  ):
    subject.read(tmp_path / 'run', data_dir='x')
  with pytest.raises(
    ValueError,
    match='^folder=x is for photographs and own files, but .* was trained on mnist: leave it out',
  ):
    subject.read(tmp_path / 'run', folder='x')


def test_analyze_rejects_other_examples_than_in_training(
  small, tmp_path, monkeypatch, other_digits
):
  """The prepared copy was replaced by one with the same classes and sizes."""
  other_digits()
  small['data']['source'] = 'tfds'
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path)
  assert subject.read(tmp_path, count=3).labels.shape == (3,)
  packed = mnist.mnist(source='bundled', data_dir=None)
  monkeypatch.setattr(
    tfds_arrays,
    'read',
    lambda *_, **__: Source('tfds', packed.columns, packed.classes, data_dir='/there'),
  )
  with pytest.raises(
    ValueError,
    match=r'^mnist in /there has other examples than .* was trained on \(in the test, train split\): give '
    r'the folder that has it prepared, data_dir=DIR$',
  ):
    subject.read(tmp_path, count=3)

  def raise_not_prepared(*_, **__):
    raise FileNotFoundError('mnist is not prepared in /there: run python -m jaxdl.data prepare')

  monkeypatch.setattr(tfds_arrays, 'read', raise_not_prepared)
  with pytest.raises(
    OSError,
    match=r'^mnist is not prepared in /there, but .* was trained on it: give the folder that has it prepared, '
    r'data_dir=DIR$',
  ):
    subject.read(tmp_path, count=3)


def test_analyze_without_checksums_reads_the_recorded_source(
  small, tmp_path, other_digits, monkeypatch
):
  """In runs of older versions, the config has only the source of the data."""
  facts = Data.facts
  monkeypatch.setattr(
    Data,
    'facts',
    lambda self: {
      key: value
      for key, value in facts(self).items()
      if key not in ('checksums', 'examples', 'examples_per_class', 'data_dir')
    },
  )
  small['data'] |= {'source': 'auto', 'data_dir': str(tmp_path / 'empty')}
  loop.train(experiment.build({**small, 'train_for': '2 steps'}, 'small'), tmp_path / 'run')
  before = subject.read(tmp_path / 'run')
  other_digits()
  np.testing.assert_array_equal(subject.read(tmp_path / 'run').labels, before.labels)
  assert facts(experiment.build(small, 'small').data)['checksums']


@pytest.fixture
def photograph_config(small_cnn, tmp_path, monkeypatch):
  """Trains a run in the folder 'run' on the relative folder 'photos'; returns its config."""
  monkeypatch.chdir(tmp_path)
  for split, kind, number in itertools.product(('train', 'test'), 'ab', range(4)):
    pathlib.Path(f'photos/{split}/{kind}').mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([number, ord(kind)]).integers(0, 256, (28, 28, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(f'photos/{split}/{kind}/{number}.png')
  config = {
    **small_cnn,
    'data': dict(
      name='image_folder',
      folder='photos',
      size=28,
      workers=0,
      batch_size=4,
      evaluation_batch_size=4,
      data_dir='tfds',
      splits=dict(train='train', test='test'),
    ),
    'train_for': '2 steps',
  }
  config['model']['layers'][-2]['features'] = 2
  loop.train(experiment.build(config, 'photos'), 'run')
  return config


@pytest.mark.slow
def test_analyze_finds_moved_photographs(photograph_config, tmp_path, monkeypatch, capsys):
  before = subject.read('run')
  (tmp_path / 'elsewhere').mkdir()
  monkeypatch.chdir(tmp_path / 'elsewhere')
  run = tmp_path / 'run'
  np.testing.assert_array_equal(subject.read(run).inputs, before.inputs)
  (tmp_path / 'photos').rename(tmp_path / 'moved')
  assert command.run(analyze.main, ['analyze', str(run), '--only=statistics']) == 1
  assert capsys.readouterr().err == (
    f'jaxdl: the photographs of {run} are not in {tmp_path}/photos: give the folder of the photographs, --folder=DIR, or that of '
    'the prepared copy, --data_dir=DIR; or use only analyses that need none, such as --only=weights\n'
  )
  assert command.run(analyze.main, ['analyze', str(run), '--only=filters,weights']) == 0
  printed = capsys.readouterr().out
  assert f'{run} at step 2: 2 analyses into {run}/analysis' in printed
  assert command.run(analyze.main, ['analyze', str(run), '--only=filters', '--layer=conv1']) == 0
  assert (
    command.run(
      analyze.main, ['analyze', str(run), '--only=statistics', f'--folder={tmp_path}/moved']
    )
    == 0
  )
  assert (
    json.loads((run / 'analysis/statistics.json').read_text())['flags']
    == f'--folder={tmp_path}/moved'
  )
  np.testing.assert_array_equal(subject.read(run, folder=tmp_path / 'moved').inputs, before.inputs)
  (tmp_path / 'moved/test/a/1.png').unlink()
  capsys.readouterr()
  assert (
    command.run(
      analyze.main, ['analyze', str(run), '--only=statistics', f'--folder={tmp_path}/moved']
    )
    == 1
  )
  assert capsys.readouterr().err.startswith(
    f'jaxdl: {tmp_path}/moved has other examples than {run} was trained on (in the test split): give the folder of'
  )


@pytest.mark.slow
def test_analyze_reads_prepared_photographs(photograph_config, tmp_path, monkeypatch):
  pytest.importorskip('tensorflow')
  version, _ = prepare.prepare('image_folder', raw='photos', data_dir='tfds')
  loop.train(experiment.build(photograph_config, 'photos'), 'of_copy')
  kept = json.loads(pathlib.Path('of_copy/config.json').read_text())['dataset']
  assert (kept['origin'], kept['copy'], kept['data_dir']) == ('tfds', 'photos', f'{tmp_path}/tfds')
  before = subject.read('of_copy')
  shutil.rmtree('photos')
  monkeypatch.chdir('/')
  for run, place in (('of_copy', {}), ('run', {'data_dir': str(tmp_path / 'tfds')})):
    np.testing.assert_array_equal(subject.read(tmp_path / run, **place).inputs, before.inputs)
  shutil.rmtree(tmp_path / version)
  with pytest.raises(
    OSError,
    match=r'^image_folder/photos is not prepared in .*/tfds, but .*/of_copy was trained on it: give the folder '
    r'of the photographs, folder=DIR, or',
  ):
    subject.read(tmp_path / 'of_copy')


def test_analyze_labels_the_axes_of_principal_components(trained):
  workdir, _ = trained
  result = next(codes.principal_components(subject.read(workdir), Choice()))
  features = result.arrays['features'] - result.arrays['features'].mean(0)
  share = np.sort(np.linalg.eigvalsh(features.T @ features))[::-1]
  first, second = 100 * share[:2] / share.sum()
  axis = result.figure.axes[0]
  assert axis.get_xlabel() == f'first component, {first:.1f} % of the variance'
  assert axis.get_ylabel() == f'second component, {second:.1f} % of the variance'


def test_analyze_sorts_weights_by_layer():
  names = ['a/bias', 'a/kernel', 'b2/kernel', 'b/cell/kernel', 'b/bias', 'unknown']
  assert network._in_order(names, ['b', 'b2', 'a']) == [
    'b/cell/kernel',
    'b/bias',
    'b2/kernel',
    'a/bias',
    'a/kernel',
    'unknown',
  ]
