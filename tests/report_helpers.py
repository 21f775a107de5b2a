"""Runs on disk for the tests of the report: one that trains, and one with an analysis of errors."""

import json
import pathlib
from unittest import mock

import numpy as np
from helpers import SMALL

from jaxdl.views import predictions, subject
from jaxdl.views.view import Choice, write

CLASSES = ('cat', '</script><b>dog', 'eel')
LOGITS = np.log(
  [[0.82, 0.09, 0.09], [0.2, 0.7, 0.1], [0.09, 0.82, 0.09], [0.19, 0.19, 0.62], [0.9, 0.05, 0.05]]
)


LABELS = np.array([0, 0, 1, 2, 2], np.int32)


def pixels(count):
  """Images [count, 4, 4, 1], each of one grey level: its number."""
  return np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1).repeat(4, 1).repeat(4, 2)


def seen(config):
  """A Subject with five examples: 0, 2 and 3 are right, 1 and 4 are mistakes."""
  images = pixels(5).astype(np.float32) / 255
  return subject.Subject(
    workdir=pathlib.Path(),
    name='mnist',
    split='test',
    step=8,
    kind='cnn',
    model=None,
    variables={},
    config=config,
    classes=CLASSES,
    inputs=images,
    labels=LABELS,
    images=images,
    targets=None,
    available=5,
  )


SUMMARY = {  # of any task
  'config': 'small',
  'step': 8,
  'steps': 12,
  'test_loss': 0.25,
  'test_examples': 16,
  'parameters': 34,
  'seed': 3,
  'seconds': 61.0,
  'device': '1 x cpu',
  'data': 'bundled',
  'versions': {'jax': '1.2'},
}


def finished_run(folder, config, /, **summary):
  """Writes the files of a finished run: a config, and SUMMARY with changes; returns the folder."""
  (folder / 'analysis').mkdir(parents=True)
  (folder / 'config.json').write_text(json.dumps(config))
  (folder / 'summary.json').write_text(json.dumps({**SUMMARY, **summary}))
  return folder


def training_run(folder):
  """Writes a run that has been evaluated twice."""
  folder.mkdir()
  config = {
    'seed': 3,
    'task': 'classify',
    'train_for': '1200 steps',
    'evaluate_every': '50 steps',
    'data': {'name': 'mnist', 'batch_size': 4},
    'model': {'name': 'cnn', 'layers': [{'kind': 'flatten'}, {'kind': 'dense', 'features': 2}]},
    'dataset': {'classes': ['cat', 'dog'], 'input_shape': [4, 4, 1], 'steps_per_epoch': 1024},
  }
  (folder / 'config.json').write_text(json.dumps(config))
  lines = [
    {'step': step, 'split': split, 'loss': loss, 'accuracy': step / 10, **more}
    for step, losses in ((4, (0.5, 0.25)), (8, (0.4, 0.3)))
    for split, loss, more in (
      ('train', losses[0], {'examples_per_second': 16.0}),
      ('validation', losses[1], {}),
    )
  ]
  (folder / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)) + '\n')
  weights = [{'step': step, 'd/kernel': [*range(-4, 5)], 'd/bias': [0] * 9} for step in (4, 8)]
  (folder / 'weights.jsonl').write_text('\n'.join(map(json.dumps, weights)) + '\n')
  return folder


def analysed_run(folder, *, errors=True):
  """Writes a run with three examples and, with `errors`, the analysis of errors."""
  folder.mkdir()
  config = {
    **SMALL,
    'task': {'name': 'classify'},
    'data': {**SMALL['data'], 'layout': 'image'},
    'model': {
      'name': 'cnn',
      'layers': [{'kind': 'flatten'}, {'kind': 'dense', 'features': 3, 'activate': False}],
    },
    'dataset': {'classes': CLASSES, 'input_shape': [4, 4, 1], 'mean': [0.0], 'deviation': [1.0]},
  }
  (folder / 'config.json').write_text(json.dumps(config))
  with mock.patch.object(predictions, 'all_outputs', return_value=LOGITS):
    for result in predictions._errors(seen(config), Choice()) if errors else ():
      write(result, folder / 'analysis', step=8, analysis='errors', flags='')
  np.savez(
    folder / 'examples.npz',
    split=np.array('test'),
    index=np.arange(3, dtype=np.int32),
    image=pixels(3),
    label=LABELS[:3],
  )
  return folder
