"""Where metrics go: `metrics.jsonl`, which is the record, `weights.jsonl`, and TensorBoard, which
are views of a run.

Only an error of `metrics.jsonl` ends a run.
"""

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

from jaxdl.monitoring import graph
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.runs import disk

WHOLE = (
  '.'  # the TensorBoard run above those of the splits: HParams takes their scalars for its own
)


@dataclasses.dataclass(frozen=True)
class Writers:
  """The functions that write.

  Attributes:
    scalars: (step, split, name → number); a line of metrics.jsonl and TensorBoard's Scalars, one
      chart for all splits.
    weights: (step, tensor → [9] numbers, as `analysis.weights.quantiles` has them); a line of
      weights.jsonl.
    images: (step, name → [H, W, 3] uint8); TensorBoard's Images.
    histograms: (step, name → array); TensorBoard's Histograms and Distributions.
    texts: (step, name → str); TensorBoard's Text, line by line.
    graph: (rows of the layer table); TensorBoard's Graphs.
    hyperparameters: (name → number or str); TensorBoard's HParams, beside the scalars of all
      splits.
    final: (step, name → number), figures of the best checkpoint, which HParams shows too.
    record, board: bool, whether the two files, and TensorBoard's, are written: where not, nothing
      need be made for them.
  """

  scalars: Callable
  weights: Callable
  images: Callable
  histograms: Callable
  texts: Callable
  graph: Callable
  hyperparameters: Callable
  final: Callable
  record: bool
  board: bool


SILENT = Writers(
  record=False,
  board=False,
  **{
    field.name: lambda *anything: None
    for field in dataclasses.fields(Writers)
    if field.name not in ('record', 'board')
  },
)  # write nothing


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
  metrics, spread = (pathlib.Path(workdir) / name for name in ('metrics.jsonl', 'weights.jsonl'))
  outputs = SideOutputs()
  _keep_until(metrics, first_step)
  outputs.attempt(spread.name, _keep_until, spread, first_step)
  folder = pathlib.Path(workdir) / 'tensorboard'
  written = (
    importlib.util.find_spec('tensorflow') is not None
  )  # which does not import it: that takes seconds
  if not written:
    print(
      'TensorFlow is not installed: no TensorBoard files, metrics.jsonl has every figure',
      file=sys.stderr,
    )
  with (
    metrics.open('a', buffering=1) as journal,
    _thread(written) as later,
    _boards(folder, splits, later, outputs) as board,
  ):

    def scalars(step, split, values):
      journal.write(json.dumps({'step': step, 'split': split, **values}) + '\n')
      board(split, 'write_scalars', step, values)

    def weights(step, tensors):
      values = {
        name: [float(f'{value:.6g}') for value in numbers] for name, numbers in tensors.items()
      }
      outputs.attempt(spread.name, _append, spread, json.dumps({'step': step, **values}))

    yield Writers(
      scalars=scalars,
      weights=weights,
      images=lambda step, pictures: board(
        'train', 'write_images', step, {name: picture[None] for name, picture in pictures.items()}
      ),
      histograms=lambda step, arrays: (
        written and board('train', 'write_histograms', step, _on_host(arrays))
      ),
      texts=lambda step, texts: board(
        'train', 'write_texts', step, {name: _as_block(text) for name, text in texts.items()}
      ),
      graph=lambda rows: later(outputs.attempt, "TensorBoard's graph", graph.write, folder, rows),
      hyperparameters=lambda values: board(WHOLE, 'write_hparams', values),
      final=lambda step, values: board(
        WHOLE, 'write_scalars', step, {f'best/{name}': value for name, value in values.items()}
      ),
      record=True,
      board=written,
    )


def _append(file, line):
  """Appends a line; the file is closed again, so that nothing is left to write when the run ends."""
  with file.open('a') as opened:
    opened.write(f'{line}\n')


def _as_block(text):
  """Markdown that keeps the lines as they are."""
  return '\n'.join(f'    {line}' for line in text.split('\n'))


def _on_host(arrays):
  """Copies, for the device reuses its memory before the other thread writes."""
  return jax.tree.map(np.array, jax.device_get(arrays))


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
  disk.write_atomic(file, ''.join(kept))


@contextlib.contextmanager
def _thread(written):
  """Yields (function, *arguments) → None: it returns at once, one thread imports TensorFlow and
  calls; none if not written.
  """
  if not written:
    yield lambda function, *arguments: None
    return
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    yield pool.submit  # its functions raise nothing: they are side outputs


@contextlib.contextmanager
def _boards(folder, splits, later, outputs):
  """Yields (name of a TensorBoard run, method of a CLU writer, *arguments) → None, called in the
  other thread.
  """

  def open_all():
    return outputs.attempt('TensorBoard files', _clu_writers, folder, splits) or {}

  def write(name, method, *arguments):
    if opened():
      kind = method.removeprefix('write_')
      outputs.attempt(f"TensorBoard's {kind}", lambda: getattr(opened()[name], method)(*arguments))

  def close():
    for name, writer in opened().items():
      outputs.attempt(f'the last TensorBoard files of {name}', writer.close)

  opened = functools.cache(open_all)  # at the first write, when training already runs
  try:
    yield lambda *arguments: later(write, *arguments)
  finally:
    later(close)


def _clu_writers(folder, splits):
  from clu import metric_writers

  return {name: metric_writers.SummaryWriter(str(folder / name)) for name in (WHOLE, *splits)}
