"""Runs with random weights for the tests of the report's section "Try it"."""

import json

import jax
import numpy as np

from jaxdl.config import reading
from jaxdl.data import recorded
from jaxdl.data.tfds_arrays import downloads
from jaxdl.runs.record import Run
from jaxdl.training import experiment

SHARPER, SHARPER_TEXT = 4, 30  # factors of the weights of the last layer
LARGE, FEW = 128, 2  # pixels of a side; images of so many take seconds each
READY = "document.querySelector('section.try').dataset.ready === 'true'"
SHOWN = """JSON.stringify([...document.querySelectorAll('.bars .bar')].map(bar =>
  [Number(bar.dataset.class), Number(bar.querySelector('.bar-value').title)]))"""


def run_of(config, folder, *, name='small', count=50, data=None):
  """Builds a run with random weights, whose outputs differ clearly, and random examples.

  Args:
    config: the config, or the name of one in the package.
    folder: empty folder of the run.
    name: name of the run.
    count: number of images or vectors.
    data: arrays for a config with data.name='arrays'.

  Returns:
    (Run, the arrays of its `examples.npz`).
  """
  if isinstance(config, str):
    name, config = config, reading.read_config(config)
  with downloads(False):  # stands in for data that are not prepared
    built = experiment.build(config, name, data=data)
  draw = np.random.default_rng(0)
  inputs = np.zeros((1, *built.data.input_shape()), built.data.inputs.dtype)
  variables = built.recipe.model.init({'params': jax.random.key(0)}, inputs)
  variables = {'batch_stats': {}, **jax.tree.map(np.asarray, variables)}
  last = variables['params'].get('logits', {})
  for name in {'kernel', 'scale'} & last.keys():  # batch normalisation has a scale
    last[name] = (SHARPER_TEXT if inputs.dtype == np.int32 else SHARPER) * last[name]
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
  elif inputs.ndim == 2:
    kept = {
      'index': np.arange(count),
      'label': draw.integers(0, len(run.classes), count),
      'inputs': np.float32(draw.normal(size=(count, inputs.shape[1]))),
    }
  else:
    shape = recorded.image_shape(run.config)
    count = count if shape[0] <= LARGE else FEW
    kept = {
      'index': np.arange(count),
      'label': draw.integers(0, len(run.classes), count),
      'image': _blobs(draw, (count, *shape)),
    }
  np.savez_compressed(folder / 'examples.npz', split='test', **kept)
  return run, kept


def _blobs(draw, shape):
  """Random images with coarse and fine structure."""
  count, height, width, channels = shape
  side = max(1, height // 7)
  coarse = draw.random((count, -(-height // side), -(-width // side), channels))
  blobs = coarse.repeat(side, 1).repeat(side, 2)[:, :height, :width]
  fine = draw.random(shape) * draw.random((count, 1, 1, 1))
  return np.uint8(255 * np.clip(0.7 * blobs + 0.3 * fine, 0, 1))


def focus(tab, selector):
  """Moves the focus to an element with the Tab key alone."""
  tab.evaluate('document.activeElement.blur()')
  for _ in range(120):
    tab.press('Tab')
    if tab.evaluate(f'document.activeElement.matches({json.dumps(selector)})'):
      return
  raise AssertionError(f'{selector} cannot be reached by Tab')


def visit(tab, file, *, seconds=60, **window):
  """Opens a page in a window and waits until its network runs; returns the tab."""
  tab.console.clear()
  tab.emulate(**window)
  tab.visit(file.as_uri())
  tab.wait_until(READY, seconds=seconds)
  return tab


def probabilities(tab):
  """The probabilities that the page shows: class → number."""
  return dict(json.loads(tab.evaluate(SHOWN)))


def show_example(tab, index):
  """Loads an example by its index; returns its probabilities."""
  tab.evaluate(
    "(async () => { document.dispatchEvent(new CustomEvent('jaxdl:example', "
    f'{{detail: {{index: {index}}}}})); await new Promise(setTimeout); }})()'
  )
  return probabilities(tab)


def canvas_pixels(tab, selector, channels):
  """The pixels of a canvas: [H, W, C] uint8."""
  found = json.loads(
    tab.evaluate(f"""(() => {{
      const canvas = document.querySelector({json.dumps(selector)});
      const {{width, height}} = canvas;
      const {{data}} = canvas.getContext('2d').getImageData(0, 0, width, height);
      return JSON.stringify([height, width, ...data]);
    }})()""")
  )
  height, width, *values = found
  return np.array(values, np.uint8).reshape(height, width, 4)[..., :channels]


def type_text(tab, text):
  """Replaces the text that is typed, and waits until the network has read it."""
  tab.evaluate(f"""(() => {{
    const box = document.querySelector('#try-text');
    box.value = {json.dumps(text)};
    box.dispatchEvent(new Event('input'));
  }})()""")
