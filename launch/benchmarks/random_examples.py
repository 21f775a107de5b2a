"""Experiments of the configs on random examples, and the time of their steps."""

import functools
import pathlib
import statistics
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxdl.config.reading import read_file, to_dict
from jaxdl.data import DATA_SETS, characters, images, stand_ins
from jaxdl.data.dataset import SPLITS
from jaxdl.data.source import Source
from jaxdl.devices import parallel
from jaxdl.training import chunks, experiment

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
RANDOM = 'random_examples'  # the data set that takes the place of a config's

DENSE = dict(  # many rows of few numbers, with a penalty and a bound on the gradient
  task='classify',
  train_for='2 steps',
  l2=1e-3,
  data=dict(name='arrays', batch_size=1),
  model=dict(
    name='cnn',
    layers=(
      dict(kind='dense', features=13),
      dict(kind='dense', features='classes', activate=False),
    ),
  ),
  optimizer=dict(name='adam', learning_rate=1e-3, clip_norm=1.0),
)


def read(name: str) -> dict[str, Any]:
  """The config of a name."""
  return to_dict(read_file(CONFIGS / f'{name}.py'))


def all_names() -> list[str]:
  """The names of all configs."""
  return sorted(file.stem for file in CONFIGS.glob('*.py'))


def build(name: str, size: str, **changes: Any) -> experiment.Experiment:
  """The Experiment of a config on random examples; the last batches are partly padding.

  Args:
    name: name of a config, or 'dense'.
    size: examples of a batch; of a text streams, or streams x characters.
    **changes: other keys of the config.
  """
  batch, _, length = size.partition('x')
  batch = int(batch)
  if name == 'dense':
    count = batch + batch // 2 + 2
    inputs = np.random.default_rng(0).normal(size=(count, 7)).astype(np.float32)
    part = inputs, np.arange(count) % 3
    config = {**DENSE, **changes, 'data': {**DENSE['data'], 'batch_size': batch}}
    config['data']['evaluation_batch_size'] = batch
    return experiment.build(config, name, data=dict.fromkeys(SPLITS, part))
  config = read(name)
  section = config['data']
  known = stand_ins.SETS.get(section['name'])
  for key in ('folder', 'class_names', 'source'):
    section.pop(key, None)
  if length:
    section['time_step'] = int(length)
  section.update(batch_size=batch, evaluation_batch_size=batch, name=RANDOM)
  section['splits'] = dict(train='train', validation='test')
  if known and not known.shape:
    count = batch * (section['time_step'] + section['time_step'] // 2 + 2)
    load, draw = characters.load, functools.partial(_text, known.classes, count)
  else:
    shape = known.shape if known else (section['size'], section['size'], 3)
    classes = known.classes if known else tuple(map(str, range(11)))
    load, draw = images.load, functools.partial(_images, classes, batch + batch // 2 + 1, shape)
  draw.__name__ = RANDOM
  DATA_SETS[RANDOM] = functools.partial(load, draw)
  for key in ('reported', 'test_augment'):  # there is no test split
    config.pop(key, None)
  return experiment.build({**config, 'cpu_devices': 1, **changes}, name)


def _images(classes, count, shape, *, source, data_dir):
  del source, data_dir
  draw = np.random.default_rng(0)
  columns = {
    'image': draw.integers(0, 256, (count, *shape), np.uint8),
    'label': np.arange(count, dtype=np.int32) % len(classes),
  }
  return Source(origin='random', classes=classes, columns={'train': columns, 'test': columns})


def _text(classes, count, *, source, data_dir):
  del source, data_dir
  text = {'character': np.random.default_rng(0).integers(0, len(classes), count, np.uint8)}
  return Source(origin='random', classes=classes, columns={'train': text, 'test': text})


def seconds_of_steps(
  experiments: Sequence[experiment.Experiment], steps: int, calls: int
) -> list[float]:
  """Median seconds of a training step of each experiment; their calls are interleaved.

  Args:
    experiments: experiments for the devices of this process.
    steps: steps of a call.
    calls: calls of each experiment, after one that compiles.
  """
  ready = []
  for built in experiments:
    split, run = built.data.splits['train'], chunks.compile_steps(built)
    feed = parallel.split_feed(split.feed(0, steps), steps)
    ready.append([run, parallel.replicate(built.initial_state()), split.arrays, feed])
  seconds = [[] for _ in ready]
  for call in range(calls + 1):
    for number, (run, state, arrays, feed) in enumerate(ready):
      started = time.perf_counter()
      ready[number][1] = jax.block_until_ready(run(state, arrays, feed, np.int32(steps))[0])
      if call:  # the first one compiles
        seconds[number].append((time.perf_counter() - started) / steps)
  return [statistics.median(times) for times in seconds]
