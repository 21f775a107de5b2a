"""Writers of metrics: `metrics.jsonl`, `weights.jsonl` and TensorBoard files.

`metrics.jsonl` is the record of a run; an error in writing it ends the run. The other files are
side outputs.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import importlib.util
import json
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from jaxdl.monitoring import graph
from jaxdl.monitoring.side_outputs import SideOutputs
from jaxdl.runs import certificate, disk, files

# The TensorBoard run in the parent folder of the splits, for which HParams shows their scalars.
PARENT_RUN = '.'


@dataclasses.dataclass(frozen=True)
class Writers:
  """The functions that write the output of a run.

  Attributes:
    scalars: (step, split, name → number); writes a line of metrics.jsonl and TensorBoard's Scalars,
      one chart for all splits.
    journal: (); the checksum of metrics.jsonl, as `runs.certificate.JournalSum.facts`, or None if
      it is not written.
    weights: (step, tensor → [9] numbers of `analysis.weights.quantiles`); writes a line of
      weights.jsonl.
    images: (step, name → [H, W, 3] uint8); writes TensorBoard's Images.
    histograms: (step, name → array); writes TensorBoard's Histograms and Distributions.
    texts: (step, name → str); writes TensorBoard's Text, line by line.
    graph: (layer table); writes TensorBoard's Graphs.
    hyperparameters: (name → number or str); writes TensorBoard's HParams, which are shown with the
      scalars of all splits.
    final: (step, name → number); writes metrics of the best checkpoint, which HParams also shows.
    record: whether metrics.jsonl and weights.jsonl are written; if False, their values need not be
      computed.
    board: whether TensorBoard files are written; if False, their values need not be computed.
  """

  scalars: Callable[..., Any]
  journal: Callable[..., Any]
  weights: Callable[..., Any]
  images: Callable[..., Any]
  histograms: Callable[..., Any]
  texts: Callable[..., Any]
  graph: Callable[..., Any]
  hyperparameters: Callable[..., Any]
  final: Callable[..., Any]
  record: bool
  board: bool


SILENT = Writers(  # its functions do nothing
  record=False,
  board=False,
  **{
    field.name: lambda *anything: None
    for field in dataclasses.fields(Writers)
    if field.name not in ('record', 'board')
  },
)


@contextlib.contextmanager
def open_writers(
  workdir: str | pathlib.Path, splits: Iterable[str], *, first_step: int
) -> Iterator[Writers]:
  """Opens a run's writers and closes them at the end of the `with` block.

  Args:
    workdir: the run's folder.
    splits: names of the splits; each one is a TensorBoard run.
    first_step: step at which the run resumes; lines of later steps, from an interrupted session,
      are removed.

  Yields:
    The writers.

  Raises:
    OSError: the folder cannot be written, or the disk is full.
  """
  metrics = pathlib.Path(workdir) / 'metrics.jsonl'
  spread = pathlib.Path(workdir) / 'weights.jsonl'
  outputs = SideOutputs()
  journal_sum = certificate.JournalSum(_keep_until(metrics, first_step))
  outputs.attempt(spread.name, _keep_until, spread, first_step)
  folder = pathlib.Path(workdir) / 'tensorboard'
  # This finds TensorFlow without importing it, which would take seconds.
  written = importlib.util.find_spec('tensorflow') is not None
  if not written:
    print(
      'TensorFlow is not installed: no TensorBoard files, metrics.jsonl has every figure',
      file=sys.stderr,
    )
  with (
    metrics.open('a', buffering=1, encoding='utf-8') as journal,
    _thread(written) as later,
    _boards(folder, splits, later, outputs) as board,
  ):

    def scalars(step, split, values):
      line = json.dumps({'step': step, 'split': split, **values}) + '\n'
      try:
        journal.write(line)
      except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
          f'{metrics} cannot be written ({reason}): check the disk and rerun the command'
        ) from error
      journal_sum.add(line)
      board(split, 'write_scalars', step, values)

    def weights(step, tensors):
      values = {
        name: [float(f'{value:.6g}') for value in numbers] for name, numbers in tensors.items()
      }
      outputs.attempt(spread.name, _append, spread, json.dumps({'step': step, **values}))

    yield Writers(
      scalars=scalars,
      journal=journal_sum.facts,
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
      hyperparameters=lambda values: board(PARENT_RUN, 'write_hparams', values),
      final=lambda step, values: board(
        PARENT_RUN, 'write_scalars', step, {f'best/{name}': value for name, value in values.items()}
      ),
      record=True,
      board=written,
    )


def _append(file, line):
  """Appends a line and closes the file, so that nothing is unwritten when the run ends."""
  with file.open('a', encoding='utf-8') as opened:
    opened.write(f'{line}\n')


def _as_block(text):
  """Converts a text to Markdown that keeps its line breaks."""
  return '\n'.join(f'    {line}' for line in text.split('\n'))


def _on_host(arrays):
  """Copies arrays, because the device reuses their memory before the other thread writes them."""
  return jax.tree.map(np.array, jax.device_get(arrays))


def _keep_until(file, step):
  """Removes later steps and incomplete lines; returns the rest, which has every step once."""
  if not file.exists():
    return ''
  text = file.read_text(errors='replace', encoding='utf-8')
  kept = ''.join(files.lines_until(text, step))
  disk.write_atomic(file, kept)
  return kept


@contextlib.contextmanager
def _thread(written):
  """Yields a function (function, *arguments) → None that calls another function in one thread.

  It returns at once, so that training does not wait while TensorFlow is imported. If nothing is
  written, it does nothing.
  """
  if not written:
    yield lambda function, *arguments: None
    return
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    yield pool.submit  # the functions are side outputs, which do not raise exceptions


@contextlib.contextmanager
def _boards(folder, splits, later, outputs):
  """Yields a function that calls a method of a CLU writer in the other thread.

  The function is (name of a TensorBoard run, name of the method, *arguments) → None.
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

  opened = functools.cache(open_all)  # opened at the first write, when training is already running
  try:
    yield lambda *arguments: later(write, *arguments)
  finally:
    later(close)


def _clu_writers(folder, splits):
  from clu import metric_writers

  return {name: metric_writers.SummaryWriter(str(folder / name)) for name in (PARENT_RUN, *splits)}
