"""Predictions for files of a user; they equal the evaluation of the same examples."""

import copy
import csv
import io
import json
import re
import types

import jax
import numpy as np
import PIL.Image
import pytest
from helpers import BN_CNN, SMALL, slow_after

import jaxdl
from jaxdl import figures
from jaxdl import predict as module
from jaxdl.data.photographs import decode, reading
from jaxdl.prediction import page, predictor, run, session
from jaxdl.runs import record
from jaxdl.terminal import command
from jaxdl.training import experiment, loop


def write_images(folder, images, labels=None, names=None):
  """Writes PNG files named in order of the images, in class folders if labels are given."""
  for number, image in enumerate(images):
    place = folder if labels is None else folder / names[labels[number]]
    place.mkdir(parents=True, exist_ok=True)
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    PIL.Image.fromarray(pixels).save(place / f'{number:04d}.png')
  return folder


def evaluated_logits(built, loaded):
  """Returns the outputs of `model.apply` for the evaluation batches of the test split."""
  split, found = built.data.splits['test'], []

  @jax.jit
  def apply(variables, arrays, feed):
    batch = built.data.prepare(split.fetch(arrays, feed), None)
    return loaded.model.apply(variables, batch['inputs']), batch['mask']

  for number in range(split.batches):
    feed = {name: values[0] for name, values in split.feed(number, 1).items()}
    outputs, mask = apply(loaded.variables, split.arrays, feed)
    found.append(np.asarray(outputs)[np.asarray(mask) > 0])
  return np.concatenate(found)


def trained(config, folder):
  """Trains a config and returns (Experiment, Run)."""
  built = experiment.build({**config, 'train_for': '4 steps'}, 'small')
  loop.train(built, folder)
  return built, jaxdl.load(folder)


@pytest.fixture(scope='module')
def cnn(tmp_path_factory):
  """The folder of a small CNN on MNIST."""
  config = copy.deepcopy({**SMALL, 'model': BN_CNN})
  config['data']['layout'] = 'image'
  folder = tmp_path_factory.mktemp('runs') / 'cnn'
  trained(config, folder)
  return folder


@pytest.fixture
def digits(cnn, tmp_path):
  """Images and labels of the small CNN's test split, and a folder of image files."""
  arrays = experiment.build(_config(cnn), 'small').data.splits['test'].arrays
  return arrays['image'], arrays['label'], write_images(tmp_path / 'digits', arrays['image'])


def _config(folder):
  kept = record.load(folder).config
  return {key: value for key, value in kept.items() if key not in ('dataset', 'format')}


@pytest.fixture
def predict(capsys):
  """Runs the command; returns (exit code, output, errors, JSON of the last line)."""

  def run_command(*arguments):
    capsys.readouterr()
    code = command.run(module.main, ['jaxdl predict', *map(str, arguments)])
    printed = capsys.readouterr()
    found = json.loads(printed.out.splitlines()[-1]) if code == 0 or '{' in printed.out else None
    return code, printed.out, printed.err, found

  return run_command


@pytest.mark.parametrize('layout', ['rows', 'image'])
def test_predictions_of_files_equal_the_evaluation(layout, small, small_cnn, tmp_path):
  config = small if layout == 'rows' else small_cnn
  built, loaded = trained(config, tmp_path / 'run')
  arrays = built.data.splits['test'].arrays
  files = write_images(tmp_path / 'files', arrays['image'])
  found = loaded.predict(files)
  np.testing.assert_array_equal(found.logits, evaluated_logits(built, loaded))
  np.testing.assert_array_equal(loaded.predict(arrays['image']).logits, found.logits)
  for metrics in (loaded.evaluate((arrays['image'], arrays['label'])), loaded.evaluate('test')):
    for name in ('loss', 'accuracy', 'examples'):
      assert round(metrics[name], 6) == loaded.summary[f'test_{name}']


@pytest.mark.usefixtures('any_data')
def test_colour_images_are_converted_as_in_evaluation(small_cnn, tmp_path):
  small_cnn['data'] = dict(
    name='cifar10',
    color='gray',
    size=20,
    scale='standardized',
    batch_size=16,
    evaluation_batch_size=48,
    splits=dict(train='train[:61]', test='test[:50]'),
  )
  built, loaded = trained(small_cnn, tmp_path / 'run')
  raw = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), np.uint8)[:50]
  found = loaded.predict(write_images(tmp_path / 'files', raw))
  np.testing.assert_array_equal(found.logits, evaluated_logits(built, loaded))


@pytest.mark.parametrize(
  'keys',
  [
    dict(fit='pad', background=[200, 30, 90], color='gray', layout='rows', scale='symmetric'),
    pytest.param(dict(fit='area'), marks=pytest.mark.slow),
    pytest.param(
      dict(fit='stretch', color='gray', augment=[dict(kind='shift', pixels=1)]),
      marks=pytest.mark.slow,
    ),
  ],
  ids=['pad gray rows', 'area', 'stretch gray'],
)
def test_photographs_are_prepared_as_in_evaluation(keys, small, small_cnn, tmp_path):
  folder = tmp_path / 'photographs'
  random = np.random.default_rng(0)
  for split, count in (('train', 8), ('test', 5)):
    pixels = [random.integers(0, 256, (30 + number, 24, 3), np.uint8) for number in range(count)]
    labels = [number % 2 for number in range(count)]
    write_images(folder / split, pixels, labels, ['cat', 'dog'])
  small_cnn['model']['layers'][5]['features'] = 2
  small['model']['classes'] = 2
  config = small if keys.get('layout') == 'rows' else small_cnn
  config['data'] = dict(
    name='image_folder',
    folder=str(folder),
    size=16,
    workers=0,
    batch_size=4,
    evaluation_batch_size=4,
    splits=dict(train='train', test='test'),
    **keys,
  )
  built, loaded = trained(config, tmp_path / 'run')
  channels = 1 if keys.get('color') == 'gray' else 3
  shape = (16, 16) if keys.get('layout') == 'rows' else (16, 16, channels)
  assert built.data.input_shape() == shape
  source = reading.read(folder, source='folder').splits['test']
  in_order = [source[position][2] for position in range(5)]
  np.testing.assert_array_equal(loaded.predict(in_order).logits, evaluated_logits(built, loaded))
  found = loaded.predict(folder / 'test')
  assert found.classes == ('cat', 'dog')
  assert found.labels.tolist() == [0, 0, 0, 1, 1]
  metrics = loaded.evaluate('test')
  assert round(metrics['loss'], 6) == loaded.summary['test_loss']
  assert loaded.evaluate(folder / 'test')['loss'] == pytest.approx(metrics['loss'], rel=1e-5)
  assert 'appearance' not in loaded.config['dataset']
  pixels = np.stack([decode.square(source[place][0], 16, **looks(keys)) for place in range(5)])
  np.testing.assert_array_equal(loaded.predict(pixels).logits, evaluated_logits(built, loaded))


def looks(keys):
  return {key: keys[key] for key in ('fit', 'background', 'color') if key in keys}


@pytest.mark.parametrize('fit', slow_after(1, ['pad', 'crop', 'area', 'stretch']))
def test_arrays_of_other_shapes_are_fitted_as_in_evaluation(fit, small_cnn, tmp_path):
  """Odd margins, in arrays and in files."""
  random = np.random.default_rng(0)
  x = random.integers(0, 256, (40, 21, 14, 1), np.uint8)
  np.savez(tmp_path / 'x.npz', x=x, y=np.arange(40) % 10)
  small_cnn['data'] = dict(
    name='arrays',
    file=str(tmp_path / 'x.npz'),
    size=9,
    fit=fit,
    background='black',
    batch_size=16,
    evaluation_batch_size=16,
    splits=dict(train='train[:30]', test='train[30:]'),
  )
  built, loaded = trained(small_cnn, tmp_path / 'run')
  expected = evaluated_logits(built, loaded)
  np.testing.assert_array_equal(loaded.predict(x[30:]).logits, expected)
  found = loaded.predict(write_images(tmp_path / 'files', x[30:]))
  np.testing.assert_array_equal(found.logits, expected)


@pytest.mark.slow
def test_reconstruction_errors_equal_the_evaluation(small_autoencoder, tmp_path, predict):
  built, loaded = trained(small_autoencoder, tmp_path / 'run')
  files = write_images(tmp_path / 'files', built.data.splits['test'].arrays['image'])
  upright, rotated = loaded.predict(files), loaded.predict(files, distort=True)
  np.testing.assert_array_equal(rotated.images, np.clip(evaluated_logits(built, loaded), 0, 1))
  assert round(float(rotated.errors.mean()), 5) == round(loaded.summary['test_mse'], 5)
  assert (upright.errors != rotated.errors).any()
  assert round(loaded.evaluate('test')['mse'], 6) == loaded.summary['test_mse']
  code, out, _, found = predict(
    tmp_path / 'run', files, '--distort', f'--out={tmp_path}/x.csv', '--explain', '--page'
  )
  assert code == 0
  shown = [row['error'] for row in found['rows']]
  assert shown == sorted(shown, reverse=True)
  assert len(shown) == 20
  rows = list(csv.DictReader((tmp_path / 'x.csv').open()))
  assert [float(row['error']) for row in rows] == pytest.approx(rotated.errors.tolist(), rel=1e-6)
  assert round(found['metrics']['mse'], 6) == loaded.summary['test_mse']
  assert len(list(tmp_path.glob('x-explained-*.png'))) == 3  # 50 inputs
  assert (tmp_path / 'x.html').read_text().count('<figcaption>reconstruction<') == 50


def test_table_and_files_contain_the_probabilities(cnn, digits, tmp_path, predict):
  images, labels, files = digits
  expected = run.load(cnn).predict(images)
  code, out, _, found = predict(cnn, files, f'--out={tmp_path}/x.csv')
  assert code == 0
  assert out.count('.png  ') == 20
  assert '… and 30 more: add --all to print them' in out
  rows = list(csv.reader((tmp_path / 'x.csv').open()))
  assert rows[0] == ['file', 'class', 'probability', *'0123456789']
  assert [row[1] for row in rows[1:]] == [one.class_name for one in expected]
  np.testing.assert_allclose(
    np.array([row[3:] for row in rows[1:]], float), expected.probabilities, rtol=1e-6
  )
  assert sum(found['counts'].values()) == 50
  assert not list(tmp_path.glob('*.new'))
  np.savez(tmp_path / 'some.npz', x_test=images[:7, ..., 0], y_test=labels[:7, None])
  code, out, _, found = predict(cnn, tmp_path / 'some.npz', f'--out={tmp_path}/x.jsonl', '--all')
  lines = [json.loads(line) for line in (tmp_path / 'x.jsonl').read_text().splitlines()]
  assert [line['label'] for line in lines] == [str(label) for label in labels[:7]]
  assert lines[2]['file'] == f'{tmp_path}/some.npz[2]'
  assert lines[2]['probabilities'][lines[2]['class']] == lines[2]['probability']
  share = (expected.probabilities[:7].argmax(-1) == labels[:7]).mean()
  assert found['metrics']['accuracy'] == pytest.approx(share)


def test_class_folders_label_their_images(cnn, digits, tmp_path, predict):
  images, labels, _ = digits
  folder = write_images(tmp_path / 'classes', images, labels, '0123456789')
  code, out, _, found = predict(cnn, folder)
  assert found['metrics']['accuracy'] == pytest.approx(run.load(cnn).summary['test_accuracy'])
  assert f'of {len(labels)} labelled inputs' in out
  metrics = run.load(cnn).evaluate(folder)
  assert metrics['loss'] == pytest.approx(run.load(cnn).summary['test_loss'], abs=1e-5)
  (folder / 'other').mkdir()
  code, out, _, found = predict(cnn, folder)
  assert (code, found['metrics']) == (0, {})


def test_damaged_image_is_rejected_or_left_out(cnn, digits, tmp_path, predict):
  images, _, files = digits
  (files / '0007.png').write_bytes((files / '0007.png').read_bytes()[:60])
  code, out, errors, _ = predict(cnn, files, f'--out={tmp_path}/x.csv', '--explain=saliency')
  assert (code, out) == (1, '')
  assert '0007.png cannot be read as an image' in errors
  assert errors.count('\n') == 1
  assert sorted(path.name for path in tmp_path.iterdir()) == ['digits']
  code, out, errors, found = predict(cnn, files, f'--out={tmp_path}/x.csv', '--skip')
  assert code == 1
  assert found['left_out'] == [str(files / '0007.png')]
  assert len((tmp_path / 'x.csv').read_text().splitlines()) == 50
  # The predictions of the other images are unchanged.
  kept = np.delete(np.arange(50), 7)
  rows = list(csv.DictReader((tmp_path / 'x.csv').open()))
  expected = [one.class_name for one in run.load(cnn).predict(images[kept])]
  assert [row['class'] for row in rows] == expected


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['missing.png'], 'missing.png does not exist: give files or folders that exist'),
    (['digit/a.png'], 'digit/a.png does not exist: give files or folders that exist'),
    (['digits/0000.pn'], 'did you mean digits/000'),
    (['*.jpg'], r'\*.jpg matches nothing: give files, or another pattern'),
    (['empty'], 'empty contains no images: give image files'),
    (['note.txt'], r'note.txt cannot be read as an image \(unknown image format\): replace it'),
    (
      ['digits', '--out=x.txt'],
      '--out=x.txt is not a .csv or .jsonl file: name one, such as predictions.csv',
    ),
    (['digits', '--out=no/x.csv'], '--out=no/x.csv: the folder no does not exist: create it, or'),
    (['digits', '--explain=grad'], '--explain=grad is unknown; did you mean grad_cam'),
    (['digits', '--distort'], '--distort changes nothing'),
    (['digits', '--step=3'], 'has no checkpoint 3'),
    ([], 'INPUT is missing: give images'),
    (['-', '-'], 'given twice'),
    (['colour.npy'], r'colour.npy has images of 3 channels, but the network takes 1'),
    (
      ['one.npy'],
      r'one.npy has the shape \(28, 28, 1\): give \[N, H, W, C\], such as array\[None\]',
    ),
    (['wide.npy'], r'wide.npy has values from 0 to 255: give floating-point images from 0 to 1'),
    (['text.npy'], 'text.npy is not a readable array'),
    (['two.npz'], "two.npz has no array of images, only a, b: name the array of images 'image'"),
    (['labels.npz'], r'labels.npz has labels from 0 to 10: use 0 to 9'),
  ],
)
def test_bad_input_is_a_one_line_error_with_a_fix(
  arguments, message, cnn, digits, tmp_path, monkeypatch, predict
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'empty').mkdir()
  (tmp_path / 'note.txt').write_text('not an image')
  np.save('colour.npy', np.zeros((2, 28, 28, 3), np.uint8))
  np.save('one.npy', np.zeros((28, 28, 1), np.uint8))
  np.save('wide.npy', np.linspace(0, 255, 2 * 28 * 28).reshape(2, 28, 28))
  (tmp_path / 'text.npy').write_text('not an array')
  np.savez('two.npz', a=np.zeros(2), b=np.zeros(2))
  np.savez('labels.npz', x=np.zeros((11, 28, 28), np.uint8), y=np.arange(11))
  before = sorted(map(str, tmp_path.rglob('*')))
  code, out, errors, _ = predict(cnn, *arguments)
  assert code == 1
  assert errors.count('\n') == 1
  assert re.search(message, errors), errors
  assert sorted(map(str, tmp_path.rglob('*'))) == before
  assert not (cnn / 'predictions').exists()


def test_standard_input_is_read_as_an_image(cnn, digits, predict, monkeypatch):
  images, _, files = digits
  content = io.BytesIO((files / '0003.png').read_bytes())
  monkeypatch.setattr('sys.stdin', types.SimpleNamespace(buffer=content))
  _, _, _, found = predict(cnn, '-')
  assert found['rows'][0]['file'] == '-'
  assert found['rows'][0]['class'] == next(iter(run.load(cnn).predict(images[3:4]))).class_name


def test_inverted_digits_cause_a_warning_and_can_be_inverted(cnn, digits, tmp_path, predict):
  images, labels, files = digits
  inverted = write_images(tmp_path / 'inverted', 255 - images)
  assert predict(cnn, files)[2] == ''
  _, _, errors, _ = predict(cnn, inverted)
  assert 'standard deviations brighter than the training images: add --invert' in errors
  code, _, errors, found = predict(cnn, inverted, '--invert', f'--out={tmp_path}/x.csv')
  assert (code, errors) == (0, '')
  rows = list(csv.DictReader((tmp_path / 'x.csv').open()))
  assert [row['class'] for row in rows] == [one.class_name for one in run.load(cnn).predict(images)]
  assert 'leave --invert out' in predict(cnn, files, '--invert')[2]
  for digit in set(labels.tolist()):  # the images of a single class cause no warning
    one = write_images(tmp_path / f'only{digit}', images[labels == digit])
    assert predict(cnn, one)[2] == ''


def test_appearance_warning_depends_on_distance_and_count(cnn):
  recorded = run.load(cnn).config['dataset']['appearance']
  assert recorded['brightness'][0] == pytest.approx(0.13, abs=0.02)
  (mean, deviation), (contrast, _) = recorded['brightness'], recorded['contrast']

  def warning(count, brightness):
    return session.appearance_warning(np.array([brightness, contrast]), count, recorded)

  assert warning(1, mean + 4 * deviation) == ''
  assert 'brighter' in warning(100, mean + 4 * deviation)
  assert 'may be wrong' in warning(10_000, mean + 3 * deviation)
  assert warning(10_000, mean + 2 * deviation) == ''


def test_pictures_and_page_show_the_maps_of_every_input(cnn, digits, tmp_path, predict):
  images, labels, _ = digits
  np.savez(tmp_path / 'x.npz', image=images[:21], label=labels[:21])
  names = '--explain=grad_cam,integrated_gradients'
  code, _, _, found = predict(cnn, tmp_path / 'x.npz', names, '--page', f'--out={tmp_path}/o.csv')
  assert code == 0
  pictures = sorted(tmp_path.glob('o-explained-*.png'))
  assert [path.name for path in pictures] == ['o-explained-01.png', 'o-explained-02.png']
  assert found['files'] == [str(tmp_path / 'o.csv'), *map(str, pictures), str(tmp_path / 'o.html')]
  text = (tmp_path / 'o.html').read_text()
  assert text.count('<figcaption>Grad-CAM<') == 21
  assert text.count('src="data:image/png;base64,') == 3 * 21
  assert '://' not in text
  assert 'prefers-color-scheme: dark' in text
  assert text.count('class="wrong"') == sum(
    row['class'] != row['label'] for row in csv.DictReader((tmp_path / 'o.csv').open())
  )
  predict(cnn, tmp_path / 'x.npz', '--explain=saliency', f'--out={tmp_path}/o.csv', '--step=last')
  assert len(list(tmp_path.glob('o-explained-*.png'))) == 2
  np.savez(tmp_path / 'x.npz', image=images[:2])
  predict(cnn, tmp_path / 'x.npz', '--explain=saliency', f'--out={tmp_path}/o.csv')
  assert len(list(tmp_path.glob('o-explained-*.png'))) == 1, 'older pictures were not deleted'


def test_sums_of_feeds_are_added_as_in_evaluation():
  total = predictor.Total(capacity=2)
  values = np.float32([0.1, 0.2, 0.3])
  for value in values:
    total.add({'loss': np.asarray(value), 'count': np.asarray(1, np.float32)})
  first = np.float32(np.float32(0) + values[0] + values[1])
  assert total.metrics()['loss'] == (np.float64(first) + np.float64(values[2])) / 3


def test_inputs_may_be_mixed_with_flags(cnn, digits, predict):
  _, _, files = digits
  first, second = files / '0001.png', files / '0000.png'
  for arguments in (
    (cnn, first, '--all', second),
    (f'--workdir={cnn}', first, second),
    (first, '--workdir', cnn, second),
    ('--all', cnn, first, second),
  ):
    _, _, _, found = predict(*arguments)
    assert [row['file'] for row in found['rows']] == [str(first), str(second)], arguments


def test_page_escapes_names(tmp_path):
  made = page.Page(tmp_path / 'x.html', '<i>', ['map'], [0])
  image = np.zeros((4, 4, 1), np.float32)
  made.add('<b>&.png', {'class': '<u>'}, image, [image[..., 0]])
  made.write('<s>', [('<em>', 1)], ['<q>'])
  text = (tmp_path / 'x.html').read_text()
  assert not [tag for tag in ('<i>', '<b>', '<u>', '<s>', '<em>', '<q>') if tag in text]
  assert '&lt;b&gt;&amp;.png' in text


def test_colours_of_maps_show_sign_and_size():
  values = np.array([[-1.0, 0.0, 0.5]])
  signed = figures.coloured(values, signed=True)
  assert signed[0, 0, 2] > signed[0, 0, 0], 'a negative value is not blue'
  assert signed[0, 2, 0] > signed[0, 2, 2], 'a positive value is not red'
  assert np.ptp(signed[0, 1].astype(int)) <= 2, 'zero is not grey'
  assert (
    figures.coloured(np.zeros((2, 2)), signed=False)
    == figures.coloured(np.ones((2, 2)), signed=False)
  ).all()
