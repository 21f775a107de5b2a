"""Probabilities in the report page, for the networks of all configs, against jaxdl's own."""

import json
import sys

import browser
import jax
import numpy as np
import pytest
from helpers import ROOT
from training_helpers import CONFIGS
from try_helpers import FEW, LARGE, SHOWN, canvas_pixels, run_of, show_example, type_text, visit

import jaxdl
from jaxdl.data import recorded, stand_ins
from jaxdl.data.tfds_arrays import downloads
from jaxdl.report import examples, page
from jaxdl.training import experiment

EXACT, CHARACTERS = 1e-4, 500
SAME = 0.97  # share of equal classes; random networks have more near ties than trained ones
LARGEST = 16_000_000  # bytes of a page; that of a network below a million parameters has 5 MB


@pytest.fixture(scope='module')
def tab(tmp_path_factory):
  with browser.opened(tmp_path_factory.mktemp('profile')) as tab:
    yield tab


def open_page(tab, run, tmp_path):
  file = tmp_path / 'report.html'
  parts = page.one(run)
  described = parts['try_it']['network']
  file.write_text(page.render(parts))
  visit(tab, file, seconds=200)
  return described


@pytest.mark.slow
@pytest.mark.parametrize('name', [path.stem for path in CONFIGS])
def test_probabilities_of_every_network(name, tab, tmp_path, monkeypatch):
  monkeypatch.setattr(examples, 'SIDE', 1024)  # exact copies also of large images
  monkeypatch.setattr(examples, 'BYTES', 4_000_000)
  run, kept = run_of(name, tmp_path)
  described = open_page(tab, run, tmp_path)
  parameters = sum(np.size(leaf) for leaf in jax.tree.leaves(run.variables['params']))
  assert (tmp_path / 'report.html').stat().st_size < (LARGEST if parameters >= 1e6 else 5e6)
  # The difference is measured on other parts of a text.
  tolerance = EXACT + 2 * (described['difference'] or 0)
  if 'character' in kept:
    check_text(tab, run, kept['character'][:CHARACTERS], tolerance)
  elif described['task']['name'] == 'reconstruct':
    check_pixels(tab, run, kept, tolerance)
  else:
    check_classes(tab, run, kept, tolerance)
  assert tab.console == []


def outputs(run, inputs):
  return np.asarray(jax.jit(run.model.apply)(run.variables, inputs))


def check_classes(tab, run, kept, tolerance, places=None):
  inputs = recorded.image_inputs(run.config)(kept['image'])
  expected = np.asarray(jax.nn.softmax(outputs(run, inputs)))
  same = []
  places = range(len(expected)) if places is None else places
  for index, ours in zip(places, expected, strict=True):
    theirs = show_example(tab, int(index))
    theirs = np.array([theirs[place] for place in range(len(ours))])
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance)
    same.append(theirs.argmax() == ours.argmax())
  assert np.mean(same) >= SAME


def check_pixels(tab, run, kept, tolerance, places=None):
  """The canvas has 8 bits: a pixel may differ by one level more."""
  inputs = recorded.image_inputs(run.config)(kept['image'])
  expected = np.clip(outputs(run, inputs), 0, 1)
  places = range(len(expected)) if places is None else places
  for index, ours in zip(places, expected, strict=True):
    show_example(tab, int(index))
    theirs = canvas_pixels(tab, '.output-picture', ours.shape[-1]) / 255
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance + 0.5 / 255 + 1e-6)


def check_text(tab, run, characters, tolerance):
  text = ''.join(run.classes[place] for place in characters)
  type_text(tab, text)
  spans = "document.querySelectorAll('.read-text span')"
  tab.wait_until(f'{spans}.length === {len(characters)}', seconds=200)
  expected = np.asarray(jax.nn.softmax(outputs(run, characters[None])[0]))
  found = json.loads(
    tab.evaluate(f"""JSON.stringify([...{spans}].map(span => {{
      span.dispatchEvent(new PointerEvent('pointermove', {{bubbles: true}}));
      return {SHOWN.replace('JSON.stringify', '')};
    }}))""")
  )
  same = []
  for ours, theirs in zip(expected, found, strict=True):
    for place, probability in theirs:
      assert probability == pytest.approx(ours[place], abs=tolerance)
    same.append(theirs[0][0] == ours.argmax())
  assert np.mean(same) >= SAME


FOOD = ROOT.parent / 'shared/data/food'
STEPS, EXAMPLES, CHARACTERS_READ = 20, 2000, 100_000
SAME_TRAINED = 0.99  # share of equal classes


def short(name):
  """The config of a short training on few examples; skips the test if the data are not prepared."""
  steps = f'{STEPS} steps'
  config = jaxdl.read_config(name, reported=None, train_for=steps, evaluate_every=steps)
  config.schedule = dict(name='constant')  # others are longer than the training
  if name.startswith('char_'):  # the text in the package
    splits = dict(
      train=f'train[:{CHARACTERS_READ}]', validation='validation[:5000]', test='test[:5000]'
    )
    config.data.update(name='shakespeare', source='bundled', splits=splits)
    return config
  if config.data.name == 'image_folder':
    if not FOOD.is_dir():
      pytest.skip('there are no photographs')
    config.data.folder = str(FOOD)
    config.data.splits = dict(train='train', test='test')
    config.train_for = config.evaluate_every = '2 steps'
    return config
  config.data.splits = dict(
    train=f'train[:{EXAMPLES}]', validation='train[-500:]', test=f'test[:{EXAMPLES}]'
  )
  with downloads(False):  # stands in for data that are not prepared
    data = experiment.build(config, name).data
  if data.origin == stand_ins.ABSENT:
    pytest.skip(f'{config.data.name} is not prepared')
  return config


@pytest.mark.slow
@pytest.mark.parametrize('name', [path.stem for path in CONFIGS])
def test_probabilities_of_trained_networks(name, tab, tmp_path, monkeypatch):
  """A short training; the page shows the probabilities of the network for real examples."""
  monkeypatch.setattr(sys.modules[__name__], 'SAME', SAME_TRAINED)
  monkeypatch.setattr(examples, 'SIDE', 1024)  # exact copies also of large images
  monkeypatch.setattr(examples, 'BYTES', 4_000_000)
  jaxdl.train(short(name), tmp_path / 'run')
  run = jaxdl.load(tmp_path / 'run')
  described = open_page(tab, run, tmp_path)
  tolerance = EXACT + 2 * (described['difference'] or 0)
  with np.load(tmp_path / 'run/examples.npz') as file:
    kept = {key: file[key] for key in file.files}
  if 'character' in kept:
    check_text(tab, run, kept['character'][:CHARACTERS].astype(np.int32), tolerance)
  else:
    count = 50 if kept['image'].shape[1] <= LARGE else FEW
    kept = {key: kept[key][:count] for key in ('image', 'index')}
    check = check_pixels if described['task']['name'] == 'reconstruct' else check_classes
    check(tab, run, kept, tolerance, kept['index'])
  assert tab.console == []


@pytest.mark.slow
@pytest.mark.parametrize('name', ['gru_mnist', 'lstm_mnist', 'rnn_mnist'])
def test_probabilities_of_the_gallery(name, tab, tmp_path):
  """Fully trained networks; `run.predict` is the judge."""
  run = jaxdl.load(ROOT / f'docs/gallery/runs/{name}.zip')
  described = open_page(tab, run, tmp_path)
  with np.load(run.folder / 'examples.npz') as file:
    images, index = file['image'][:50], file['index'][:50]
  for place, ours in zip(index, run.predict(images).probabilities, strict=True):
    theirs = show_example(tab, int(place))
    theirs = np.array([theirs[number] for number in range(len(ours))])
    np.testing.assert_allclose(
      theirs, ours, rtol=0, atol=EXACT + 2 * (described['difference'] or 0)
    )
    assert theirs.argmax() == ours.argmax()
  assert tab.console == []
