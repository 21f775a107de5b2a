"""Exports a network, and keeps the files only if the outputs equal those of jaxdl."""

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
from jaxdl.config.markdown import escaped
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
LIMIT = 1e-4  # maximum difference, relative to the largest output if that is above 1
BATCH, BYTES = 64, 32 << 20  # maximum number of examples, and of their bytes, per batch


@dataclasses.dataclass(frozen=True)
class Exported:
  """Result of an export.

  Attributes:
    files: the written files, the main one first.
    difference: maximum absolute difference between the outputs of the format's runtime and of
      jaxdl.
    largest: maximum absolute output of jaxdl.
    examples: number of compared images or characters.
  """

  files: list[pathlib.Path]
  difference: float
  largest: float
  examples: int


def export(
  network: Network, format: str, folder: str | os.PathLike, examples: Shaped[np.ndarray, 'B ...']
) -> Exported:
  """Exports a network after comparing its outputs with those of jaxdl.

  The files are written to a temporary folder, loaded by the runtime of the format, compared on the
  examples, and moved to `folder`. After an error, no files are left.

  Args:
    network: the network.
    format: a key of FORMATS.
    folder: folder for the files, which is created if necessary. Its parent must exist.
    examples: images or texts, an array for the first of `network.inputs()`.

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
        f'the outputs of {chosen.files[0]} differ from those of jaxdl by {difference:.2g}, but '
        f'{LIMIT * max(1, largest):.2g} is allowed: nothing was written'
      )
    before = folder / README
    text = before.read_text(encoding='utf-8', errors='replace') if before.is_file() else ''
    (aside / README).write_text(_readme(network, format, text, difference, count), encoding='utf-8')
    folder.mkdir(exist_ok=True)
    for file in (*chosen.files, README):
      (aside / file).replace(folder / file)
  return Exported([folder / file for file in chosen.files], difference, largest, count)


def check(network: Network, format: str) -> None:
  """Checks that a format and its libraries are available for a network.

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
      f'format={format} contains only weights, without preprocessing: leave raw out'
    )
    raise about(error, 'format')
  if network.raw and network.is_text:
    raise ValueError(
      'raw applies to networks of images, but this network reads texts: leave it out'
    )
  if network.raw and recorded.example(network.config).dtype != np.uint8:
    raise ValueError(
      'raw applies to networks of uint8 images, but this network takes floating-point numbers: '
      'leave it out'
    )
  for library in chosen.libraries:
    if importlib.util.find_spec(library) is None:
      raise ImportError(
        f"{format} needs {library}, which is not installed: pip install 'jaxdl[{chosen.extra}]'"
      )


def compare(
  network: Network, call: Call, examples: Shaped[np.ndarray, 'B ...']
) -> tuple[float, float]:
  """Compares the outputs of an exported network with those of jaxdl.

  `call` computes images in batches of different sizes, and texts in two parts, so that the states
  are also compared.

  Args:
    network: the network.
    call: the exported network, a function from inputs to outputs.
    examples: as in `export`.

  Returns:
    (maximum absolute difference, maximum absolute output of jaxdl); NaN if an output is NaN.

  Raises:
    ValueError: the shape of an output differs.
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
        f'{port.name} has the shape {one.shape} instead of {other.shape}: nothing was written'
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
  """Returns the README with the section of a format added or replaced."""
  sections = {}
  for part in re.split(r'(?m)^## ', before)[1:]:
    title, _, body = part.partition('\n')
    sections[title.strip()] = body.strip()
  sections[format] = _section(network, format, difference, count)
  wanted = {'Inputs': _about_inputs(network), **{name: sections.get(name) for name in FORMATS}}
  parts = [f'## {title}\n{body}\n' for title, body in wanted.items() if body]
  task = network.config['task']['name']
  intro = f'A network trained with jaxdl (task `{task}`), in the formats below.\n'
  return '\n'.join([f'# {escaped(network.name)}\n{intro}', *parts])


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
  """Describes how to prepare the inputs of a network of vectors or sequences."""
  shape = ' × '.join(map(str, network.input_shape))
  lines = [
    f'The inputs are {facts["inputs"]} of {shape}, float32.',
    '',
    f'1. Subtract {facts["subtract"]} and divide by {facts["then_divide_by"]}, per feature.',
  ]
  if facts['last_channel_marks_real_steps']:
    lines.append('2. The last feature is 1 for real steps; in padding, all features are 0.')
  if names:
    lines += ['', f'Classes, in the order of the logits: {names}']
  return '\n'.join(lines)


def _about_inputs(network):
  facts, names = network.preprocessing(), escaped(', '.join(map(repr, network.classes)))
  if network.is_text:
    return (
      'A character is given as its position in this vocabulary. The initial states are zeros. To '
      'continue a text, give the states that the previous call returned.\n\n'
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
    f'2. Subtract {facts["subtract"]} and divide by {facts["then_divide_by"]}, per channel.',
  ]
  if facts['layout'] == 'rows':
    lines.append(f'3. Reshape to [batch, {height}, {width * channels}]: each row is a step.')
  lines += [
    '',
    'A network with the input `images` (uint8) includes these steps. A network with the input '
    '`inputs` (float32) does not.',
    '',
    f'Classes, in the order of the logits: {names}',
  ]
  return '\n'.join(lines)
