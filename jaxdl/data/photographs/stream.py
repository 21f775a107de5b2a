"""Photographs that do not fit on the device, decoded by Grain while the device computes."""

import atexit
import functools
import multiprocessing.connection  # parent_process().join() would import it in a worker's thread
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, no_type_check

import jax

from jaxdl.data import fits, order
from jaxdl.data.dataset import Feed, Split, check_sizes
from jaxdl.data.photographs.decode import load_library
from jaxdl.data.photographs.examples import PhotographSource
from jaxdl.data.photographs.pieces import ENDLESS, Pieces, blank, piece_length

FEED_BYTES = 64 << 20  # of photographs in one feed; up to four feeds are in memory
# Up to this number of cores threads decode faster than processes, which import JAX first and copy
# what they decode.
FEW_CORES = 4
MOST_WORKERS = 1024
SHARED = 1 << 16  # bytes; larger arrays go through shared memory, which takes a file for each

_open = weakref.WeakSet()  # streams


@no_type_check  # a config may hold anything: `check` reports it, and its errors name the key
def streaming(
  source: PhotographSource,
  *,
  batch_size: int,
  size: int = 512,
  fit: str = 'crop',
  background: str | Sequence[int] = 'white',
  color: str = 'original',
  seed: int | None = None,
  workers: int | None = None,
  corrupt: str = 'refuse',
  classes: order.Classes | None = None,
  process_index: int | None = None,
  process_count: int | None = None,
) -> Split:
  """A split whose photographs are decoded when they are needed, in the order of a resident split.

  Args:
    source: random access to (encoded bytes, label, name for messages), picklable.
    batch_size: examples in a batch, over all processes.
    size, fit, background, color: how each photograph becomes a square, as in `decode.square`.
    seed: int for a new permutation in each epoch (training), None for the examples' own order
      (evaluation).
    workers: number of processes that decode, or 0 for threads of this process, one for each core;
      None for 0 on few cores, else the number of cores.
    corrupt: 'refuse' (an error) | 'skip' (a line on stderr; black pixels and mask 0 instead).
    classes: as in `order.shuffled`.
    process_index, process_count: JAX's index of this process and number of processes; None for the
      current ones.

  Returns:
    Split; its feed has this process's part of each batch: image [S, B, size, size, C] uint8, label
    and index [S, B] int32, mask [S, B] float32. The feed raises ValueError if a photograph is
    corrupt and corrupt='refuse', or if all photographs of a batch are corrupt.

  Raises:
    ValueError: an invalid setting.
  """
  process_count = jax.process_count() if process_count is None else process_count
  process_index = jax.process_index() if process_index is None else process_index
  check(size=size, fit=fit, background=background, color=color, workers=workers, corrupt=corrupt)
  if batch_size % process_count:
    raise ValueError(
      f'a batch of {batch_size} does not divide over {process_count} processes: '
      f'use a multiple of {process_count}'
    )
  _import_libraries()
  if workers is None:
    workers = _cores() if _cores() > FEW_CORES else 0
  own = batch_size // process_count
  count, batches = len(source), order.batches_per_epoch(len(source), batch_size)
  indices = functools.partial(
    order.batches_at, seed, count=count, batch_size=batch_size, classes=classes
  )
  pieces = Pieces(
    source=source,
    indices=indices,
    batches=batches if seed is None else ENDLESS,
    size=size,
    fit=fit,
    first=process_index * own,
    own=own,
    length=piece_length(own, size, fits.channels_of(color)),
    background=background,
    color=color,
  )
  return Split(
    arrays={},
    count=count,
    batches=batches,
    feed=_Feeder(pieces, workers, corrupt),
    fetch=_fetch,
    capacity=capacity(own, size, pieces.channels),
  )


def _fetch(arrays, feed):
  return feed


def capacity(own: int, size: int, channels: int = 3) -> int:
  """The number of batches in one feed.

  Args:
    own: photographs of a batch in this process.
    size: pixels of a photograph's side.
    channels: channels of a photograph.
  """
  return max(1, FEED_BYTES // (own * size * size * channels))


def _import_libraries() -> None:
  """Imports Grain and Pillow before a thread is started.

  Grain replaces `builtins.__import__` while it is imported. An import in another thread during that
  time, such as JAX's while it traces a step, would fail.
  """
  import grain  # noqa: F401

  load_library()


def _cores() -> int:
  if sys.platform == 'linux':
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def check(
  *,
  size: Any,
  fit: Any,
  workers: Any,
  corrupt: Any,
  background: Any = 'white',
  color: Any = 'original',
) -> None:
  """Raises ValueError if one of these settings of `streaming` is invalid."""
  check_sizes(size=size)
  fits.check(fit)
  fits.check_color(color)
  fits.background_colour(background)
  if workers is not None and (
    isinstance(workers, bool) or not isinstance(workers, int) or not 0 <= workers <= MOST_WORKERS
  ):
    raise ValueError(
      f'config.data.workers={workers!r} is not a number of processes: use 0 to {MOST_WORKERS}'
    )
  if corrupt not in ('refuse', 'skip'):
    raise ValueError(f'config.data.corrupt={corrupt!r} is unknown: use refuse or skip')


class _Feeder:
  """The feed of a stream: (first step, steps) → name → [S, B, …], this process's part.

  The last feed is kept: steps that are requested again are copied from it instead of decoded.
  """

  def __init__(self, pieces: Pieces, workers: int, corrupt: str) -> None:
    self._pieces = pieces
    self._workers = workers
    self._messages = _Messages(corrupt)
    self._stream: Iterator[dict[str, Any]] = iter(())
    self._next: int | None = None  # the step whose pieces the stream yields next
    self._kept = blank((0, pieces.own), pieces.size, pieces.channels)
    self._kept_first = 0

  def __call__(self, first_step: int, steps: int) -> Feed:
    pieces = self._pieces
    wanted = blank((steps, pieces.own), pieces.size, pieces.channels)  # [S, B]
    copied = self._copy_kept(wanted, first_step, steps)
    for row in range(copied, min(steps, pieces.batches - first_step)):
      self._decode(first_step + row, wanted, row)
    if steps:
      self._kept, self._kept_first = wanted, first_step
    return wanted

  def _copy_kept(self, wanted: Feed, first_step: int, steps: int) -> int:
    """Copies the first steps of a feed from the last feed; returns how many it has."""
    offset = first_step - self._kept_first
    if offset < 0:
      return 0
    count = min(max(0, len(self._kept['mask']) - offset), steps)
    for name, values in wanted.items():
      values[:count] = self._kept[name][offset:][:count]
    return count

  def _decode(self, step: int, feed: Feed, row: int) -> None:
    """Writes the decoded photographs of a step into a row of a feed."""
    pieces = self._pieces
    if self._next != step % pieces.batches:
      self._stream = _stream(pieces, step, self._workers)  # dropping the previous one closes it
      _open.add(self._stream)
    self._next = None  # stays so if an error interrupts the step
    for start in range(0, pieces.own, pieces.length):
      piece = next(self._stream)
      self._messages.report(piece.pop('faults'), piece.pop('several'))
      for name, values in piece.items():
        feed[name][row, start : start + pieces.length] = values
    if self._messages.skipped and not feed['mask'][row].any():
      raise ValueError(
        f'every photograph of batch {step % pieces.batches} is corrupt, '
        f'the last one {max(self._messages.skipped)}: replace them'
      )
    self._next = (step + 1) % pieces.batches


class _Messages:
  """Reports corrupt photographs, and files of several frames, once each.

  Attributes:
    skipped: messages about the photographs that were skipped.
  """

  def __init__(self, corrupt: str) -> None:
    self._corrupt = corrupt
    self._is_animation_reported = False
    self.skipped: set[str] = set()

  def report(self, faults: Sequence[str], several: Sequence[str]) -> None:
    """Reports on a piece; raises ValueError if a photograph is corrupt and that is refused.

    Args:
      faults: messages about corrupt photographs.
      several: messages about files of several frames.
    """
    for fault in faults:
      if self._corrupt == 'refuse':
        raise ValueError(f'{fault}: replace or delete it, or set config.data.corrupt="skip"')
      if fault not in self.skipped:
        print(f'jaxdl: {fault}: skipped', file=sys.stderr, flush=True)
        self.skipped.add(fault)
    if several and not self._is_animation_reported:
      print(
        f'jaxdl: {several[0]}: only the first frame of such files is used',
        file=sys.stderr,
        flush=True,
      )
      self._is_animation_reported = True


def _stream(pieces: Pieces, first_step: int, workers: int) -> Iterator[dict[str, Any]]:
  """Yields one decoded piece after another, beginning at a step; Grain keeps a few ready."""
  import grain
  from absl import flags

  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()  # Grain reads absl flags, which keep their defaults
  first = first_step * (pieces.own // pieces.length)
  threads = 0 if workers else _cores()
  reading = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
  dataset = grain.MapDataset.source(pieces)[first:].to_iter_dataset(reading)
  if workers:
    processes = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
    shared = grain.experimental.DatasetOptions(min_shm_size=SHARED)
    dataset = grain.experimental.WithOptionsIterDataset(dataset, shared)
    dataset = dataset.mp_prefetch(processes, worker_init_fn=_begin_worker)
  iterator = iter(dataset)
  atexit.unregister(_close_all)
  atexit.register(_close_all)  # again, so that it runs before the functions that Grain registered
  try:
    yield from iterator
  finally:
    iterator.close()


def _close_all() -> None:
  """Ends the workers and frees shared memory before the interpreter shuts down."""
  for stream in list(_open):
    stream.close()


def _begin_worker(index: int, workers: int) -> None:
  """Prepares a worker process.

  It ignores signals, since the parent stops its workers itself, and it ends when the parent ends
  for any reason.
  """
  del index, workers
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)
  parent = multiprocessing.parent_process()
  assert parent is not None, 'a worker has a parent'

  def wait() -> None:
    parent.join()
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()
