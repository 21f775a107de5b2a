"""Speed of training against a plain Keras `fit` of the same network: interleaved in one run, medians and their ratio.

    python launch/benchmark.py [--rounds=5] [--steps=60] [--only=lstm_mnist,…]
    python launch/benchmark.py --together=8 --only=lstm_mnist

Keras comes with TensorFlow. Also times a process from its start to its first finished step, without and with compiled
programs in the cache. With `--together` it compares runs of several seeds trained by one program with the same runs one after
another, which needs no Keras. Prints one JSON object a line.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from jaxdl.config import read_file

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
ROOT = pathlib.Path(__file__).parents[1]
WORKLOADS = ('rnn_mnist', 'lstm_mnist', 'gru_mnist', 'cnn_mnist')


def ours(name, steps):
  """(function that trains `steps` steps, parameters)."""
  import jax
  import numpy as np

  from jaxdl import experiment, parallel
  from jaxdl import train as loop
  built = experiment.build(read_file(ROOT / f'configs/{name}.py'), name)
  split = built.data.splits['train']
  run = loop.many_steps(built)
  start = built.initial_state()
  current = [parallel.replicate(start)]
  arrays = parallel.replicate(split.arrays)

  def train():
    feed = parallel.split_feed(split.feed(int(current[0].step), steps), steps)
    current[0], history = run(current[0], arrays, feed, np.int32(steps))
    jax.block_until_ready(history)

  return train, sum(row['parameters'] for row in built.layers)


def keras(name, steps):
  """The same network, batch, optimizer and images in Keras's own loop."""
  import numpy as np
  from tensorflow import keras

  from jaxdl.data import mnist
  train = mnist.mnist(source='auto', data_dir=None).columns['train']
  images = (train['image'] / np.float32(255))[..., 0] if name != 'cnn_mnist' else train['image'] / np.float32(255)
  layers = keras.layers
  cells = {'rnn_mnist': layers.SimpleRNN, 'lstm_mnist': layers.LSTM, 'gru_mnist': layers.GRU}
  if name in cells:
    body = [keras.Input((28, 28)), cells[name](128)]
  else:
    body = [keras.Input((28, 28, 1)), layers.Conv2D(32, 5, padding='same', activation='relu'), layers.MaxPool2D(2),
            layers.Conv2D(64, 5, padding='same', activation='relu'), layers.MaxPool2D(2), layers.Flatten(),
            layers.Dense(1024, activation='relu')]
  model = keras.Sequential([*body, layers.Dense(10)])
  loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
  model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=['accuracy'])
  count = steps * 128
  images, labels = images[:count], train['label'][:count]
  return lambda: model.fit(images, labels, batch_size=128, verbose=0), model.count_params()


def compare(name, rounds, steps):
  """Interleaved A B A B …; milliseconds a step."""
  contenders = {'jaxdl': ours(name, steps), 'keras': keras(name, steps)}
  assert len({parameters for _, parameters in contenders.values()}) == 1, 'both have the same parameters'
  times = interleaved({contender: train for contender, (train, _) in contenders.items()}, rounds, steps)
  medians = {contender: statistics.median(values) for contender, values in times.items()}
  ratios = [b / a for a, b in zip(times['jaxdl'], times['keras'], strict=True)]
  return {'workload': name, **{f'{contender}_ms': round(value, 1) for contender, value in medians.items()},
          'times_as_fast': round(statistics.median(ratios), 2),
          'spread': [round(min(ratios), 2), round(max(ratios), 2)]}


def together(name, seeds, rounds, steps):
  """Several seeds by one program against one after another, interleaved; ms of a step of all of them."""
  import jax
  import numpy as np

  from jaxdl import experiment, parallel
  from jaxdl import together as group
  from jaxdl import train as loop
  built = [experiment.build({**read_file(ROOT / f'configs/{name}.py').to_dict(), 'seed': seed}, name) for seed in range(seeds)]
  arrays = parallel.replicate(built[0].data.splits['train'].arrays)
  states = [one.initial_state() for one in built]
  stacked = [parallel.replicate(jax.tree.map(lambda *leaves: np.stack(leaves), *states))]
  alone = [[parallel.replicate(state)] for state in states]
  all_feeds = parallel.split_feed(group.feeds(built)(0, steps), steps)
  feeds = [parallel.split_feed(one.data.splits['train'].feed(0, steps), steps) for one in built]
  run_all, run_one = group.many_steps(built), loop.many_steps(built[0])

  def at_once():
    stacked[0], history = run_all(stacked[0], arrays, all_feeds, np.int32(steps))
    jax.block_until_ready(history)

  def in_turn():
    for state, feed in zip(alone, feeds, strict=True):
      state[0], history = run_one(state[0], arrays, feed, np.int32(steps))
      jax.block_until_ready(history)

  times = interleaved({'together': at_once, 'in_turn': in_turn}, rounds, steps)
  ratios = [b / a for a, b in zip(times['together'], times['in_turn'], strict=True)]
  return {'workload': name, 'seeds': seeds, **{f'{way}_ms': round(statistics.median(ms), 1) for way, ms in times.items()},
          'times_as_fast': round(statistics.median(ratios), 2), 'spread': [round(min(ratios), 2), round(max(ratios), 2)]}


def interleaved(contenders, rounds, steps):
  """name → milliseconds a step in each round; A B A B …, the first turn, which compiles, left out."""
  times = {contender: [] for contender in contenders}
  for turn in range(rounds + 1):
    for contender, train in contenders.items():
      began = time.perf_counter()
      train()
      if turn:
        times[contender].append((time.perf_counter() - began) / steps * 1e3)
  return times


def first_step(cache):
  """Seconds from the start of a process to its first finished step of lstm_mnist."""
  with tempfile.TemporaryDirectory() as folder:
    config = read_file(ROOT / 'configs/lstm_mnist.py').to_dict() | {'train_for': '1 steps', 'log_every': '1 steps'}
    config['data']['splits'] = {'train': 'train'}  # nothing to evaluate before the line is printed
    file = pathlib.Path(folder) / 'first_step.py'
    file.write_text(f'import ml_collections\n\ndef get_config():\n  return ml_collections.ConfigDict({config!r})\n')
    began = time.perf_counter()
    command = [sys.executable, '-u', '-m', 'jaxdl.main', f'--config={file}', f'--workdir={folder}/run']
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, 'XDG_CACHE_HOME': cache}) as run:
      for line in run.stdout:
        if line.startswith('step 1 of 1'):
          seconds = time.perf_counter() - began
    return seconds


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--steps', type=int, default=60)
  parser.add_argument('--only', default=','.join(WORKLOADS))
  parser.add_argument('--together', type=int, default=0, help='how many seeds one program trains')
  options = parser.parse_args()
  if options.together:
    for name in options.only.split(','):
      print(json.dumps(together(name, options.together, options.rounds, options.steps)), flush=True)
    return
  with tempfile.TemporaryDirectory() as cache:
    cold, warm = first_step(cache), statistics.median(first_step(cache) for _ in range(3))
  print(json.dumps({'workload': 'start to first step', 'cold_s': round(cold, 1), 'warm_s': round(warm, 1)}), flush=True)
  for name in options.only.split(','):
    print(json.dumps(compare(name, options.rounds, options.steps)), flush=True)


if __name__ == '__main__':
  main()
