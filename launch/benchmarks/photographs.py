"""Speed of reading photographs with jaxdl, Grain alone and tf.data, interleaved, medians.

    python -m launch.benchmarks.photographs [--folder=../shared/data/food] [--rounds=5]
    [--photographs=2000]

Each runs in its own process and yields batches of 32 squares of 512 pixels on the host, from the
same files, repeated. Prints a table; memory is the peak of the process and its workers in total,
with shared pages counted once.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil

ROOT = pathlib.Path(__file__).parents[2]
SIZE, BATCH = 512, 32
Examples = list[tuple[pathlib.Path, int]]
COLUMNS = ('examples_per_second', 'seconds_to_first_batch', 'peak_megabytes')


def photographs_of(folder: str, count: int) -> Examples:
  """`count` (path, label) pairs, the files repeated."""
  from jaxdl.data.photographs import folders

  examples = [example for split in folders.find(folder).splits.values() for example in split]
  return (examples * -(-count // len(examples)))[:count]


def ours(files: Examples, workers: int) -> Iterator[dict]:
  """Batches of jaxdl."""
  from jaxdl.data.photographs import examples as photograph_examples
  from jaxdl.data.photographs import stream

  split = stream.streaming(
    photograph_examples.Files(files), batch_size=BATCH, size=SIZE, seed=0, workers=workers
  )
  steps = len(files) // BATCH
  yield split.feed(0, 1)
  for step in range(1, steps, split.capacity):
    yield split.feed(step, min(split.capacity, steps - step))


def decoded(example: tuple[pathlib.Path, int]) -> dict:
  """The same decoding as in jaxdl, for Grain alone."""
  from jaxdl.data.photographs import decode

  path, label = example
  return {'image': decode.square(path.read_bytes(), SIZE), 'label': label}


def grain_alone(files: Examples, workers: int) -> Iterator[dict]:
  """Batches of a plain Grain pipeline."""
  import grain
  from absl import flags

  flags.FLAGS.mark_as_parsed()
  dataset = grain.MapDataset.source(files).shuffle(seed=0).map(decoded).batch(BATCH)
  dataset = dataset.to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
  yield from dataset.mp_prefetch(
    grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
  )


def tf_data(files: Examples, workers: None) -> Iterator[dict]:
  """Batches of a plain tf.data pipeline, which chooses its number of threads."""
  import tensorflow as tf

  def read(path, label):
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    side = tf.minimum(SIZE, tf.reduce_min(tf.shape(image)[:2]))
    top, left = (tf.shape(image)[0] - side) // 2, (tf.shape(image)[1] - side) // 2
    image = image[top : top + side, left : left + side]
    image = tf.cond(
      side < SIZE, lambda: tf.cast(tf.image.resize(image, (SIZE, SIZE)), tf.uint8), lambda: image
    )
    return {'image': tf.ensure_shape(image, (SIZE, SIZE, 3)), 'label': label}

  paths, labels = zip(*files, strict=True)
  dataset = tf.data.Dataset.from_tensor_slices((list(map(str, paths)), list(labels))).shuffle(
    len(files), seed=0
  )
  dataset = (
    dataset.map(read, tf.data.AUTOTUNE).batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
  )
  yield from dataset.as_numpy_iterator()


CONTENDERS = {
  'jaxdl, threads': (ours, 0),
  'jaxdl, processes': (ours, os.cpu_count()),
  'grain alone': (grain_alone, os.cpu_count()),
  'tf.data': (tf_data, None),
}


def measure(name: str, files: Examples) -> None:
  """Measures a contender in this process; prints one JSON object."""
  began = time.perf_counter()
  reader, workers = CONTENDERS[name]
  batches = reader(files, workers)
  next(batches)
  first = time.perf_counter()
  count = sum(batch['image'].size for batch in batches) // (SIZE * SIZE * 3)
  seconds = time.perf_counter() - first
  print(
    json.dumps({'examples_per_second': count / seconds, 'seconds_to_first_batch': first - began})
  )


def run(name: str, options: argparse.Namespace) -> dict[str, float]:
  """One turn of a contender in a child process, whose memory is watched."""
  with subprocess.Popen(
    [
      sys.executable,
      '-m',
      'launch.benchmarks.photographs',
      f'--folder={options.folder}',
      f'--photographs={options.photographs}',
      f'--contender={name}',
    ],
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '3'},
  ) as child:
    peak = 0
    while child.poll() is None:
      peak = max(peak, sum(map(own_memory, family(child.pid))))
      time.sleep(0.2)
    return json.loads(child.stdout.read().splitlines()[-1]) | {'peak_megabytes': peak / 2**20}


def family(pid: int) -> list[psutil.Process]:
  """A process and all its descendants."""
  try:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
  except psutil.Error:
    return []


def own_memory(process: psutil.Process) -> int:
  """Bytes of a process.

  On Linux, a page that several processes share is divided among them; elsewhere it is not counted.
  """
  try:
    memory = process.memory_full_info()
  except psutil.Error:
    return 0
  return getattr(memory, 'pss', memory.uss)


def main() -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--folder', default=str(ROOT.parent / 'shared/data/food'))
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--photographs', type=int, default=2000)
  parser.add_argument('--contender')
  options = parser.parse_args()
  if options.contender:
    measure(options.contender, photographs_of(options.folder, options.photographs))
    return
  found = {name: [] for name in CONTENDERS}
  for _ in range(options.rounds):
    for name in CONTENDERS:
      found[name].append(run(name, options))
  print(f'{"":20}' + ''.join(f'{column:>26}' for column in COLUMNS))
  for name, rounds in found.items():
    values = ([turn[column] for turn in rounds] for column in COLUMNS)
    cells = (
      f'{statistics.median(value):.1f} ({min(value):.1f}-{max(value):.1f})' for value in values
    )
    print(f'{name:20}' + ''.join(f'{cell:>26}' for cell in cells))


if __name__ == '__main__':
  main()
