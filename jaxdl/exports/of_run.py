"""Exports the network of a run and compares it with jaxdl on test examples of the run."""

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
  trust_code: bool = False,
) -> tuple[Exported, str]:
  """Exports the network of a run to the format of another tool, in the folder `export` of the run.

  The files are loaded by the runtime of the format, and the outputs are compared with those of
  jaxdl on 256 test images (fewer if they are large) or 2,048 characters. If the data of the run are
  not available, the examples are random.

  Args:
    workdir: the run's folder, or the file of a packed run.
    format: 'onnx' | 'stablehlo' | 'safetensors' | 'keras' | 'torch'.
    raw: whether the network takes uint8 images and includes the preprocessing.
    step: checkpoint, 'best' | 'last' | int.
    data_dir: folder of the prepared data sets; None for the folder used in training.
    folder: folder of the photographs; None for the folder used in training.
    trust_code: as in `runs.code.linked`.

  Returns:
    (Exported, description of the compared examples).

  Raises:
    ValueError: the format is unknown or cannot express the network, or the outputs differ from
      those of jaxdl by more than 1e-4.
    ImportError: a library of the format is not installed; the message names the extra.
    OSError: there is no checkpoint, or the files cannot be written.
  """
  seen = subject.read(workdir, step=step, examples=False, trust_code=trust_code)
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
  """Returns (examples, description): test examples, or random ones if there are no data."""
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
