"""Time of `run.predict` on a folder of small PNG files, beside a loop of Pillow that only reads.

    python -m launch.benchmarks.predict_files RUN [RUN …] [--rounds=25]

RUN is the folder of a run on MNIST, or a packed run. The files are the first 1,000 test images. The
three times are taken in turn; the output has their medians and the median ratio of the rounds.
"""

import argparse
import glob
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
import PIL.Image

import jaxdl
from jaxdl.data.sets import mnist

COUNT = 1000


def main() -> None:
  """Prints a line for each run."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('runs', nargs='+', metavar='RUN')
  parser.add_argument('--rounds', type=int, default=25)
  chosen = parser.parse_args()
  digits = mnist.mnist(source='bundled', data_dir=None).columns['test']['image'][:COUNT]
  with tempfile.TemporaryDirectory() as folder:
    for number, digit in enumerate(digits):
      PIL.Image.fromarray(digit.squeeze()).save(f'{folder}/{number:04}.png')
    print(f'{len(digits):,} PNG files; medians of {chosen.rounds} rounds, seconds')
    for name in chosen.runs:
      _measure(name, folder, digits, chosen.rounds)


def _measure(name: str, folder: str, digits: np.ndarray, rounds: int) -> None:
  run = jaxdl.load(name)
  times = {'Pillow alone': [], 'folder': [], 'array': []}
  run.predict(folder)  # compiles
  for _ in range(rounds):
    times['Pillow alone'].append(_seconds(lambda: _read(folder)))
    times['folder'].append(_seconds(lambda: run.predict(folder)))
    times['array'].append(_seconds(lambda: run.predict(digits)))
  found = ', '.join(f'{what} {statistics.median(part):.3f}' for what, part in times.items())
  pairs = zip(times['folder'], times['Pillow alone'], strict=True)
  ratio = statistics.median(whole / reading for whole, reading in pairs)
  print(f'{name}: {found}; folder / Pillow alone {ratio:.2f}')


def _read(folder: str) -> np.ndarray:
  files = sorted(glob.glob(f'{folder}/*.png'))
  return np.stack([np.asarray(PIL.Image.open(file)) for file in files])


def _seconds(function: Callable[[], object]) -> float:
  began = time.perf_counter()
  function()
  return time.perf_counter() - began


if __name__ == '__main__':
  main()
