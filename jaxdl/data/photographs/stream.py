"""Photographs that do not fit on the device: decoded by Grain's workers while the device works on
the last ones.
"""

import atexit
import functools
import multiprocessing.connection  # which parent_process().join() would import beside the worker
import os
import signal
import sys
import threading
import weakref

import jax

from jaxdl.data import order
from jaxdl.data.dataset import Split, check_sizes
from jaxdl.data.photographs.decode import FITS, background_colour
from jaxdl.data.photographs.pieces import ENDLESS, Pieces, blank, piece_length

FEED_BYTES = 64 << 20  # of photographs in one feed; four such stand in memory at a time
# up to here threads decode faster than processes, which first import jax and copy what they decoded
FEW_CORES = 4
MOST_WORKERS = 1024
SHARED = 1 << 16  # bytes from which an array goes through shared memory, which costs a file each

_open = weakref.WeakSet()  # streams


def streaming(
  source,
  *,
  batch_size,
  size=512,
  fit='crop',
  background='white',
  seed=None,
  workers=None,
  corrupt='refuse',
  process_index=None,
  process_count=None,
):
  """A split whose photographs are decoded as they are needed, in the same order as a resident
  split's.

  Args:
    source: random access to (encoded bytes, label, name for messages), picklable, such as
      image_folder's.
    batch_size: int, examples in a batch, over all hosts.
    size, fit, background: the square of pixels that is made of the middle of each, as in
      `decode.square`.
    seed: int for a new permutation in each epoch (training), None for the examples' own order
      (evaluation).
    workers: int, processes that decode, or 0 for threads of this one, one for each core; None for 0
      on few cores, else the number of cores.
    corrupt: 'refuse' (an error) | 'skip' (a line on stderr, black pixels and mask 0 instead).
    process_index, process_count: this host and how many there are; None for JAX's own.

  Returns:
    Split; its feed has this host's part of each batch: image [S, B, size, size, 3] uint8, label and
    index [S, B] int32, mask [S, B] float32. It raises ValueError where a photograph is corrupt and
    refused.

  Raises:
    ValueError: an impossible setting.
  """
  process_count = jax.process_count() if process_count is None else process_count
  process_index = jax.process_index() if process_index is None else process_index
  check(size=size, fit=fit, background=background, workers=workers, corrupt=corrupt)
  if batch_size % process_count:
    raise ValueError(
      f'a batch of {batch_size} does not divide over {process_count} hosts: use a multiple of {process_count}'
    )
  _import_libraries()
  if workers is None:
    workers = _cores() if _cores() > FEW_CORES else 0
  own = batch_size // process_count
  count, batches = len(source), order.batches_per_epoch(len(source), batch_size)
  indices = functools.partial(order.batches_at, seed, count=count, batch_size=batch_size)
  pieces = Pieces(
    source=source,
    indices=indices,
    batches=batches if seed is None else ENDLESS,
    size=size,
    fit=fit,
    first=process_index * own,
    own=own,
    length=piece_length(own, size),
    background=background,
  )
  return Split(
    arrays={},
    count=count,
    batches=batches,
    feed=_feeder(pieces, workers, corrupt),
    fetch=lambda arrays, feed: feed,
    capacity=max(1, FEED_BYTES // (own * size * size * 3)),
  )


def _import_libraries():
  """Imports Grain and Pillow before a thread is started.

  Grain replaces `builtins.__import__` for a moment while it is imported: an import that another
  thread makes in that moment, such as one of JAX while it traces a step, fails.
  """
  import grain  # noqa: F401
  import PIL.Image
  import PIL.ImageOps  # noqa: F401

  PIL.Image.preinit()  # JPEG and PNG, which Pillow otherwise imports when it opens the first file


def _cores():
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def check(*, size, fit, workers, corrupt, background='white'):
  """Raises ValueError where one of these settings of `streaming` is impossible."""
  check_sizes(size=size)
  if fit not in list(FITS):
    raise ValueError(
      f'config.data.fit={fit!r} is unknown: use crop (the middle pixels) or area (scaled down)'
    )
  background_colour(background)
  if workers is not None and (
    isinstance(workers, bool) or not isinstance(workers, int) or not 0 <= workers <= MOST_WORKERS
  ):
    raise ValueError(
      f'config.data.workers={workers!r} is not a number of processes: use 0 to {MOST_WORKERS}'
    )
  if corrupt not in ('refuse', 'skip'):
    raise ValueError(f'config.data.corrupt={corrupt!r} is unknown: use refuse or skip')


def _feeder(pieces, workers, corrupt):
  """Returns the function (first step, steps) → feed; steps asked for again are copied, not decoded
  again.
  """
  stream, position = None, None  # what decodes ahead, and the step that it gives next
  kept, kept_first = blank((0, pieces.own), pieces.size), 0
  said = set()
  is_animation_said = False

  def take(step, feed, row):
    nonlocal stream, position, is_animation_said
    if position != step % pieces.batches:
      stream = _stream(pieces, step, workers)  # the last one is closed as it is dropped
      _open.add(stream)
    position = None  # until all of this step has come
    for start in range(0, pieces.own, pieces.length):
      piece = next(stream)
      for fault in piece.pop('faults'):
        _report(fault, corrupt, said)
      several = piece.pop('several')
      if several and not is_animation_said:
        print(
          f'jaxdl: {several[0]}: of such files only the first frame is used',
          file=sys.stderr,
          flush=True,
        )
        is_animation_said = True
      for name, values in piece.items():
        feed[name][row, start : start + pieces.length] = values
    if said and not feed['mask'][row].any():
      raise ValueError(
        f'every photograph of batch {step % pieces.batches} is corrupt, the last one {max(said)}: replace them'
      )
    position = (step + 1) % pieces.batches

  def feed(first_step, steps):
    nonlocal kept, kept_first
    wanted = blank((steps, pieces.own), pieces.size)  # [S, B]
    there = kept_first + len(kept['mask']) - first_step if first_step >= kept_first else 0
    there = min(max(0, there), steps)
    for name, values in wanted.items():
      values[:there] = kept[name][first_step - kept_first :][:there]
    for row in range(there, min(steps, pieces.batches - first_step)):
      take(first_step + row, wanted, row)
    if steps:
      kept, kept_first = wanted, first_step
    return wanted

  return feed


def _report(fault, corrupt, said):
  if corrupt == 'refuse':
    raise ValueError(f'{fault}: replace or delete it, or set config.data.corrupt="skip"')
  if fault not in said:
    print(f'jaxdl: {fault}: skipped', file=sys.stderr, flush=True)
    said.add(fault)


def _stream(pieces, first_step, workers):
  """Yields one decoded piece after another, from a step on; Grain keeps a few ready."""
  import grain
  from absl import flags

  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()  # Grain reads flags of its own, which keep their defaults
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
  atexit.register(_close_all)  # anew, so that it runs before what Grain's modules have registered
  try:
    yield from iterator
  finally:
    iterator.close()


def _close_all():
  """Ends workers and frees shared memory while the interpreter is still whole."""
  for stream in list(_open):
    stream.close()


def _begin_worker(index, workers):
  """Leaves signals to the parent, which stops its workers itself, and ends with the parent whatever
  ends that.
  """
  del index, workers
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)

  def wait():
    multiprocessing.parent_process().join()
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()
