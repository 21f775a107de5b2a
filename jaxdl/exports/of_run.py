"""Exports the network of a run, compared with jaxdl on the run's own test examples."""

import pathlib

import numpy as np

from jaxdl.data.tfds_arrays import downloads
from jaxdl.exports import examples, write
from jaxdl.exports.network import Network
from jaxdl.exports.write import Exported
from jaxdl.runs import packed
from jaxdl.views import subject

Place = str | pathlib.Path


def export_run(
  workdir: Place,
  format: str,
  *,
  raw: bool = False,
  step: str | int = 'best',
  data_dir: Place | None = None,
  folder: Place | None = None,
) -> tuple[Exported, str]:
  """Writes the network of a run in the format of another tool, into the folder `export` of the run.

  The format's own runtime loads the result and is compared with jaxdl on 256 test images (fewer of
  large ones) or 2,048 characters; on random ones if the data of the run are not at hand.

  Args:
    workdir: the run's folder, or the file of a packed run.
    format: 'onnx' | 'stablehlo' | 'safetensors' | 'keras' | 'torch'.
    raw: whether the network takes images as uint8, so that its preprocessing is included.
    step: checkpoint, 'best' | 'last' | int.
    data_dir: folder of the prepared data sets; None for that of the run.
    folder: folder of the photographs; None for that of the run.

  Returns:
    (Exported, description of the examples on which the outputs were compared).

  Raises:
    ValueError: the format is unknown or cannot express the network, or its outputs differ from
      those of jaxdl by more than 1e-4.
    ImportError: a library of the format is not installed; the message names the extra.
    OSError: there is no checkpoint, or the files cannot be written.
  """
  seen = subject.read(workdir, step=step, examples=False)
  network = Network(
    name=packed.name_of(workdir),
    step=seen.step,
    model=seen.model,
    variables=seen.variables,
    config=seen.config,
    raw=raw,
  )
  write.check(network, format)
  given, description = _examples(network, seen, data_dir, folder)
  target = packed.results_of(workdir) / 'export'
  target.parent.mkdir(exist_ok=True)
  return write.export(network, format, target, given), description


def _examples(network, seen, data_dir, folder) -> tuple[np.ndarray, str]:
  """Returns (examples, their description): test examples, or random ones without data."""
  count = examples.count(network)
  form = network.config['dataset'].get('form')
  what = 'characters' if network.is_text else form or 'images'
  try:
    with downloads(False):
      seen = subject.with_examples(seen, count=count, data_dir=data_dir, folder=folder)
  except (OSError, ValueError) as error:
    if data_dir is not None or folder is not None:
      raise
    reason = str(error).partition(': ')[0]
    return examples.random(network), f'{count:,} random {what}, because {reason}'
  if network.is_text:
    found = examples.of_text(seen.inputs)
    count = found.size
  elif form:
    found = np.asarray(seen.inputs, np.float32)
    count = len(found)
  else:
    found = examples.of_images(network, np.rint(seen.images * 255).astype(np.uint8))
    count = len(found)
  return found, f'{count:,} {seen.split} {what} of {seen.name}'
