"""Where metrics go: `metrics.jsonl`, which is the record, and TensorBoard, which is a view of it."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import importlib.util
import json
import pathlib
import sys
from collections.abc import Callable

import jax
import numpy as np

from jaxdl import files


@dataclasses.dataclass(frozen=True)
class Writers:
  """The functions that write.

  Attributes:
    scalars: (step, split, name → number); a line of metrics.jsonl and TensorBoard's Scalars, one chart for all splits.
    images: (step, name → [H, W, 3] uint8); TensorBoard's Images.
    histograms: (step, name → array); TensorBoard's Histograms and Distributions.
    texts: (step, name → Markdown); TensorBoard's Text.
    hyperparameters: (name → number or str); TensorBoard's HParams.
  """

  scalars: Callable
  images: Callable
  histograms: Callable
  texts: Callable
  hyperparameters: Callable


@contextlib.contextmanager
def open_writers(workdir, splits, *, first_step):
  """Opens a run's writers and closes them at the end of the `with` block.

  Args:
    workdir: the run's folder.
    splits: names of the splits, one TensorBoard run each.
    first_step: int, where the run goes on; later lines of an interrupted sitting are taken out.

  Yields:
    Writers.

  Raises:
    OSError: the folder cannot be written or the disk is full.
  """
  file = pathlib.Path(workdir) / 'metrics.jsonl'
  _keep_until(file, first_step)
  with file.open('a') as journal, _tensorboard(pathlib.Path(workdir) / 'tensorboard', splits) as board:
    def scalars(step, split, values):
      journal.write(json.dumps({'step': step, 'split': split, **values}) + '\n')
      journal.flush()
      board(split, lambda writer: writer.write_scalars(step, values))

    yield Writers(scalars=scalars,
                  images=lambda step, pictures: board('train', lambda writer: writer.write_images(
                      step, {name: picture[None] for name, picture in pictures.items()})),
                  histograms=lambda step, arrays: _histograms(board, step, jax.device_get(arrays)),
                  texts=lambda step, texts: board('train', lambda writer: writer.write_texts(step, texts)),
                  hyperparameters=lambda values: board('train', lambda writer: writer.write_hparams(values)))


def _histograms(board, step, arrays):
  """Arrays on the host, for the device reuses its memory before the other thread writes."""
  arrays = jax.tree.map(np.array, arrays)
  board('train', lambda writer: writer.write_histograms(step, arrays))


def _keep_until(file, step):
  """Drops the lines after a step, and a line that a crash broke off, so that no step stands twice."""
  if not file.exists():
    return
  kept = []
  for line in file.read_text(errors='replace').splitlines():
    try:
      if json.loads(line)['step'] <= step:
        kept.append(line + '\n')
    except (json.JSONDecodeError, KeyError, TypeError, RecursionError):
      continue  # the broken last line of a killed run
  files.write_whole(file, ''.join(kept))


@contextlib.contextmanager
def _tensorboard(folder, splits):
  """Yields (split, function of a CLU writer) → None: it returns at once, one thread imports TensorFlow and writes."""
  if importlib.util.find_spec('tensorflow') is None:  # which does not import it: that takes seconds
    print('TensorFlow is not installed: no TensorBoard files, metrics.jsonl has every figure', file=sys.stderr)
    yield lambda split, write: None
    return
  opened = functools.cache(lambda: _clu_writers(folder, splits))  # at the first write, when training already runs
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    waiting = []
    yield lambda split, write: waiting.append(pool.submit(lambda: write(opened()[split])))
    waiting.append(pool.submit(lambda: [writer.close() for writer in opened().values()]))
  for written in waiting:
    written.result()  # an error of the writing thread is an error of the run


def _clu_writers(folder, splits):
  from clu import metric_writers
  return {split: metric_writers.SummaryWriter(str(folder / split)) for split in splits}
