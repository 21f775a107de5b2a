"""Writes a network in a format, and only keeps what its own runtime computes equally."""

import dataclasses
import importlib.util
import os
import pathlib
import re
import tempfile
from collections.abc import Iterable, Sequence

import jax
import numpy as np
from jaxtyping import Shaped

from jaxdl.config.arguments import about
from jaxdl.config.spelling import meant
from jaxdl.data import recorded
from jaxdl.exports import (
  keras_model,
  onnx_graph,
  safetensors_weights,
  stablehlo,
  torch_module,
)
from jaxdl.exports.format import Call
from jaxdl.exports.network import Network

FORMATS = {
  one.name: one
  for one in (
    onnx_graph.FORMAT,
    stablehlo.FORMAT,
    safetensors_weights.FORMAT,
    keras_model.FORMAT,
    torch_module.FORMAT,
  )
}
README = 'README.md'
LIMIT = 1e-4  # of the greatest difference, where outputs are up to 1
BATCH, BYTES = 64, 32 << 20  # most examples, and bytes of inputs, that are computed at a time

OF_MASKED = ('stablehlo', 'safetensors')  # formats for sequences of different lengths


@dataclasses.dataclass(frozen=True)
class Exported:
  """What was written.

  Attributes:
    files: the files, the main one first.
    difference: greatest difference between the outputs of the format's runtime and jaxdl's.
    largest: largest absolute output.
    examples: number of images or characters that were compared.
  """

  files: list[pathlib.Path]
  difference: float
  largest: float
  examples: int


def export(
  network: Network, format: str, folder: str | os.PathLike, examples: Shaped[np.ndarray, 'B ...']
) -> Exported:
  """Writes a network in a format, after comparing what was written with jaxdl.

  The files are written to a temporary folder beside `folder`, loaded by the format's own runtime,
  compared on the examples, and moved. After an error nothing is left.

  Args:
    network: the network.
    format: a key of FORMATS.
    folder: folder for the files, created if it is absent; its parent must exist.
    examples: arrays of the first of `network.inputs()`, images or texts.

  Returns:
    Exported.

  Raises:
    ValueError: the format is unknown or cannot express the network, or the outputs differ by more
      than LIMIT, relative to the largest output if that is above 1.
    ImportError: a library of the format is not installed; the message names the extra.
    OSError: the files cannot be written.
  """
  check(network, format)
  chosen, folder = FORMATS[format], pathlib.Path(folder)
  count = examples.size if network.is_text else len(examples)
  with tempfile.TemporaryDirectory(dir=folder.parent, prefix='.export-') as name:
    aside = pathlib.Path(name)
    chosen.write(network, aside)
    difference, largest = compare(network, chosen.load(network, aside), examples)
    if not difference <= LIMIT * max(1, largest):
      raise ValueError(
        f'{chosen.files[0]} differs from jaxdl by {difference:.2g} with outputs up to '
        f'{largest:.3g}, more than {LIMIT:g} of them: nothing was written'
      )
    before = folder / README
    text = before.read_text(encoding='utf-8', errors='replace') if before.is_file() else ''
    (aside / README).write_text(_readme(network, format, text, difference, count), encoding='utf-8')
    folder.mkdir(exist_ok=True)
    for file in (*chosen.files, README):
      (aside / file).replace(folder / file)
  return Exported([folder / file for file in chosen.files], difference, largest, count)


def check(network: Network, format: str) -> None:
  """Checks a format before anything is computed.

  Args:
    network: the network.
    format: its name.

  Raises:
    ValueError, ImportError: as in `export`.
  """
  if format not in FORMATS:
    error = ValueError(
      f'format={format} is unknown: use one of {", ".join(FORMATS)}{meant(format, FORMATS)}'
    )
    raise about(error, 'format')
  chosen = FORMATS[format]
  if network.raw and not chosen.graph:
    error = ValueError(
      f'format={format} has the weights alone, without preprocessing: leave out raw'
    )
    raise about(error, 'format')
  if network.raw and network.is_text:
    raise ValueError('raw is for networks of images, and this one reads texts: leave it out')
  if network.raw and recorded.example(network.config).dtype != np.uint8:
    raise ValueError('raw is for networks of uint8 images, and this one takes floats: leave it out')
  if network.config['model'].get('masked') and format not in OF_MASKED:
    error = ValueError(
      f'format={format} has no layers that leave padding out: use {" or ".join(OF_MASKED)}'
    )
    raise about(error, 'format')
  for library in chosen.libraries:
    if importlib.util.find_spec(library) is None:
      raise ImportError(
        f"{format} needs {library}, which is not installed: pip install 'jaxdl[{chosen.extra}]'"
      )


def compare(
  network: Network, call: Call, examples: Shaped[np.ndarray, 'B ...']
) -> tuple[float, float]:
  """Compares what was written with jaxdl, whose operations have their usual lowering.

  Images are given to `call` in batches of several sizes. A text is given to jaxdl in one piece and
  to `call` in two, so that the states are compared too.

  Args:
    network: the network.
    call: what was written, from inputs to outputs.
    examples: as in `export`.

  Returns:
    (greatest absolute difference of any output, largest absolute output of jaxdl); NaN if an output
    is NaN.
  """
  compiled = jax.jit(lambda *arrays: network.call(*arrays))
  if network.is_text:
    expected = compiled(examples, *network.empty_states(len(examples)))
    half = examples.shape[1] // 2
    first, *states = call([examples[:, :half], *network.empty_states(len(examples))])
    second, *states = call([examples[:, half:], *states])
    found = [np.concatenate([first, second], axis=1), *states]
  else:
    size = max(1, min(BATCH, BYTES // examples[0].nbytes))
    expected = _joined(compiled(part) for part in _parts(examples, range(0, len(examples), size)))
    found = _joined(call([part]) for part in _parts(examples, range(1, len(examples), size)))
  expected = [np.asarray(array) for array in expected]
  for port, one, other in zip(network.outputs(), found, expected, strict=True):
    if one.shape != other.shape:
      raise ValueError(
        f'{port.name} has shape {one.shape} instead of {other.shape}: nothing was written'
      )
  return _greatest(one - other for one, other in zip(found, expected, strict=True)), _greatest(
    expected
  )


def _greatest(arrays):
  return float(np.max([np.abs(array).max(initial=0) for array in arrays]))


def _parts(examples, places):
  return [part for part in np.split(examples, places) if len(part)]


def _joined(results: Iterable[Sequence]) -> list[np.ndarray]:
  return [np.concatenate(arrays) for arrays in zip(*results, strict=True)]


def _readme(network, format, before, difference, count):
  """The README with the section of a format added or replaced."""
  sections = {}
  for part in re.split(r'(?m)^## ', before)[1:]:
    title, _, body = part.partition('\n')
    sections[title.strip()] = body.strip()
  sections[format] = _section(network, format, difference, count)
  wanted = {'Inputs': _about_inputs(network), **{name: sections.get(name) for name in FORMATS}}
  parts = [f'## {title}\n{body}\n' for title, body in wanted.items() if body]
  task = network.config['task']['name']
  intro = f'A network that was trained with jaxdl (task `{task}`), in the formats below.\n'
  return '\n'.join([f'# {network.name}\n{intro}', *parts])


def _section(network, format, difference, count):
  chosen = FORMATS[format]
  what = 'characters' if network.is_text else 'inputs'
  lines = [
    f'{", ".join(f"`{file}`" for file in chosen.files)}, from the checkpoint of step '
    f'{network.step:,}. The outputs differ from those of jaxdl by at most {difference:.2g} '
    f'({count:,} {what}).',
    '',
  ]
  if chosen.graph:
    for kind, ports in (('input', network.inputs()), ('output', network.outputs())):
      texts = [port.text(channels_first=chosen.channels_first) for port in ports]
      lines += [f'- {kind} `{text}`' for text in texts]
    lines.append('')
  return '\n'.join([*lines, chosen.use(network)])


def _about_vectors(network, facts, names):
  """How the inputs of a network of vectors or sequences are made."""
  shape = ' × '.join(map(str, network.input_shape))
  lines = [
    f'The inputs are {facts["inputs"]} of {shape}, float32.',
    '',
    f'1. Subtract {facts["subtract"]} and divide by {facts["then_divide_by"]}, by feature.',
  ]
  if facts['last_channel_marks_real_steps']:
    lines.append('2. The last feature is 1 for real steps; in padding, all features are 0.')
  if names:
    lines += ['', f'Classes, in the order of the logits: {names}']
  return '\n'.join(lines)


def _about_inputs(network):
  facts, names = network.preprocessing(), ', '.join(map(repr, network.classes))
  if network.is_text:
    return (
      'A character is its position in this vocabulary. The states before a text are zeros; to '
      'continue a text, give the states that the step before returned.\n\n'
      f'Vocabulary: {names}'
    )
  if 'image' not in facts:
    return _about_vectors(network, facts, names)
  height, width, channels = facts['image']
  lines = [
    f'An image has {height} × {width} pixels and {channels} '
    f'{"channel" if channels == 1 else "channels"} ({facts["color"]}), from 0 to '
    f'{facts["divide_by"]}.',
    '',
    f'1. Divide by {facts["divide_by"]}.',
    f'2. Subtract {facts["subtract"]} and divide by {facts["then_divide_by"]}, by channel.',
  ]
  if facts['layout'] == 'rows':
    lines.append(f'3. Reshape to [batch, {height}, {width * channels}]: each row is a step.')
  lines += [
    '',
    'A network whose input is `images` (uint8) does this itself. One whose input is `inputs` '
    '(float32) needs it done.',
    '',
    f'Classes, in the order of the logits: {names}',
  ]
  return '\n'.join(lines)
