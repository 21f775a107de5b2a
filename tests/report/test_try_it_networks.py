"""Probabilities in the report page, for the networks of all configs, against jaxdl's own."""

import json

import browser
import jax
import numpy as np
import pytest
from training_helpers import CONFIGS

from jaxdl.config import reading
from jaxdl.data import recorded
from jaxdl.data.tfds_arrays import downloads
from jaxdl.report import examples, page
from jaxdl.runs.record import Run
from jaxdl.training import experiment

EXACT, COUNT, CHARACTERS = 1e-4, 50, 500
LARGE, FEW = 128, 2  # pixels of a side; images of so many take seconds each
LARGEST = 16_000_000  # bytes of a page; that of a network below a million parameters has 5 MB
SHOWN = """JSON.stringify([...document.querySelectorAll('.bars .bar')].map(bar =>
  [Number(bar.dataset.class), Number(bar.querySelector('.bar-value').title)]))"""
READY = "document.querySelector('section.try').dataset.ready === 'true'"


@pytest.fixture(scope='module')
def tab(tmp_path_factory):
  with browser.opened(tmp_path_factory.mktemp('profile')) as tab:
    yield tab


def run_of(name, folder):
  """A run of a config with random weights, whose outputs differ clearly, and random examples."""
  with downloads(False):  # stands in for data that are not prepared
    built = experiment.build(reading.read_config(name), name)
  draw = np.random.default_rng(0)
  inputs = np.zeros((1, *built.data.input_shape()), built.data.inputs.dtype)
  variables = built.recipe.model.init({'params': jax.random.key(0)}, inputs)
  variables = {'batch_stats': {}, **jax.tree.map(np.asarray, variables)}
  last = variables['params'].get('logits')
  if last:
    last['kernel'] = 4 * last['kernel']
  (folder / 'checkpoints/0').mkdir(parents=True)
  run = Run(
    folder=folder,
    name=name,
    config=json.loads(json.dumps(built.config)),
    summary={},
    history=[],
    command='',
  )
  run.__dict__['_best'] = built.recipe.model, variables
  if inputs.dtype == np.int32:
    kept = {'character': draw.integers(0, len(run.classes), 2000, np.int32)}
  else:
    shape = recorded.image_shape(run.config)
    count = COUNT if shape[0] <= LARGE else FEW
    kept = {
      'index': np.arange(count),
      'label': draw.integers(0, len(run.classes), count),
      'image': _blobs(draw, (count, *shape)),
    }
  np.savez_compressed(folder / 'examples.npz', split='test', **kept)
  return run, kept


def _blobs(draw, shape):
  """Random images with coarse and fine structure, and different brightness."""
  count, height, width, channels = shape
  side = max(1, height // 7)
  coarse = draw.random((count, -(-height // side), -(-width // side), channels))
  blobs = coarse.repeat(side, 1).repeat(side, 2)[:, :height, :width]
  fine = draw.random(shape) * draw.random((count, 1, 1, 1))
  return np.uint8(255 * np.clip(0.7 * blobs + 0.3 * fine, 0, 1))


def open_page(tab, run, tmp_path):
  file = tmp_path / 'report.html'
  parts = page.one(run)
  described = parts['try_it']['network']
  file.write_text(page.render(parts))
  tab.console.clear()
  tab.emulate()
  tab.visit(file.as_uri())
  tab.wait_until(READY, seconds=200)
  parameters = sum(np.size(leaf) for leaf in jax.tree.leaves(run.variables['params']))
  assert file.stat().st_size < (LARGEST if parameters >= 1e6 else 5e6)
  return described


@pytest.mark.slow
@pytest.mark.parametrize('name', [path.stem for path in CONFIGS])
def test_probabilities_of_every_network(name, tab, tmp_path, monkeypatch):
  monkeypatch.setattr(examples, 'SIDE', 1024)  # exact copies also of large images
  monkeypatch.setattr(examples, 'BYTES', 4_000_000)
  run, kept = run_of(name, tmp_path)
  described = open_page(tab, run, tmp_path)
  tolerance = EXACT + (described['difference'] or 0)
  if 'character' in kept:
    check_text(tab, run, kept['character'][:CHARACTERS], tolerance)
  elif described['task']['name'] == 'reconstruct':
    check_pixels(tab, run, kept, tolerance)
  else:
    check_classes(tab, run, kept, tolerance)
  assert tab.console == []


def outputs(run, inputs):
  return np.asarray(jax.jit(run.model.apply)(run.variables, inputs))


def show(tab, index):
  tab.evaluate(
    "(async () => { document.dispatchEvent(new CustomEvent('jaxdl:example', "
    f'{{detail: {{index: {index}}}}})); await new Promise(setTimeout); }})()'
  )


def check_classes(tab, run, kept, tolerance):
  inputs = recorded.image_inputs(run.config)(kept['image'])
  expected = np.asarray(jax.nn.softmax(outputs(run, inputs)))
  same = []
  for index, ours in enumerate(expected):
    show(tab, index)
    theirs = dict(json.loads(tab.evaluate(SHOWN)))
    theirs = np.array([theirs[place] for place in range(len(ours))])
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance)
    same.append(theirs.argmax() == ours.argmax())
  assert np.mean(same) >= 0.99


def check_pixels(tab, run, kept, tolerance):
  """The canvas has 8 bits: a pixel may differ by one level more."""
  inputs = recorded.image_inputs(run.config)(kept['image'])
  expected = np.clip(outputs(run, inputs), 0, 1)
  for index, ours in enumerate(expected):
    show(tab, index)
    theirs = np.array(
      json.loads(
        tab.evaluate("""(() => {
          const canvas = document.querySelector('.output-picture');
          const {width, height} = canvas;
          return JSON.stringify([...canvas.getContext('2d').getImageData(0, 0, width, height).data]);
        })()""")
      )
    )
    theirs = theirs.reshape(-1, 4)[:, : ours.shape[-1]].reshape(ours.shape) / 255
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance + 0.5 / 255 + 1e-6)


def check_text(tab, run, characters, tolerance):
  text = ''.join(run.classes[place] for place in characters)
  tab.evaluate(f"""(() => {{
    const box = document.querySelector('#try-text');
    box.value = {json.dumps(text)};
    box.dispatchEvent(new Event('input'));
  }})()""")
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
  assert np.mean(same) >= 0.99
