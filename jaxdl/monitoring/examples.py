"""Examples of a run's data, kept in its folder for the report, whose page runs the network."""

import io
import pathlib
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

from jaxdl.data import stand_ins
from jaxdl.data.dataset import Data, Split
from jaxdl.runs import disk

NAME = 'examples.npz'
IMAGES = 1000  # most images
BYTES = 1 << 24  # most bytes of all images
ROWS = 200  # most vectors or sequences
CHARACTERS = 20_000  # most characters of a text
COLUMNS = ('image', 'label', 'value')  # of a batch of photographs


def write(data: Data, folder: pathlib.Path) -> None:
  """Writes the first examples of the test or validation split to `examples.npz`.

  An existing file is not changed. Nothing is written if there is neither split, or if the examples
  of the data are not available.

  Args:
    data: the run's data.
    folder: folder of the file.

  Raises:
    OSError: the file cannot be written.
  """
  name = next((name for name in ('test', 'validation') if name in data.splits), None)
  file = folder / NAME
  if name is None or data.origin == stand_ins.ABSENT or file.exists():
    return
  packed = io.BytesIO()
  arrays: dict[str, Any] = {'split': np.array(name), **_columns(data, data.splits[name])}
  np.savez_compressed(packed, **arrays)
  disk.write_atomic(file, packed.getvalue())


def _columns(data: Data, split: Split) -> dict[str, Shaped[np.ndarray, 'N ...']]:
  """Returns the arrays of the file.

  Returns:
    For a text, 'character' [N] int. Otherwise 'index' [N], positions in the split; 'image'
    [N, H, W, C], as stored, or 'inputs' [N, ...] float32, prepared as for evaluation; and 'label'
    [N] or [N, K], or 'value' [N, D].
  """
  if 'character' in split.arrays:
    return {'character': np.asarray(split.arrays['character'][:CHARACTERS])}
  found = _first(split, 1)
  wanted = ROWS
  if 'image' in found:
    wanted = max(1, min(IMAGES, BYTES // found['image'].nbytes))
  found = _first(split, wanted)
  kept = {name: found[name] for name in COLUMNS if name in found}
  index = np.arange(len(next(iter(found.values()))), dtype=np.int32)
  if 'image' not in found:
    kept['inputs'] = np.asarray(data.prepare({**found, 'index': index})['inputs'])
  return {'index': index, **kept}


def _first(split, wanted):
  """Returns the first examples of a split: column → array with at most `wanted` rows."""
  if split.arrays:
    return {name: np.asarray(values[:wanted]) for name, values in split.arrays.items()}
  parts, have = [], 0
  for number in range(split.batches):
    feed = {name: values[0] for name, values in split.feed(number, 1).items() if name != 'faults'}
    batch = jax.device_get(split.fetch({}, feed))
    real = np.asarray(batch['mask']) > 0
    parts.append({name: np.asarray(batch[name])[real] for name in COLUMNS if name in batch})
    have += int(real.sum())
    if have >= wanted:
      break
  return {name: np.concatenate([part[name] for part in parts])[:wanted] for name in parts[0]}
