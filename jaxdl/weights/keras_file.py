"""Keras's files of weights and of models, read as HDF5 and JSON: no code of a model is executed."""

# The library is optional.
# pyright: reportMissingImports=false

import contextlib
import dataclasses
import io
import json
import pathlib
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxdl.config import memory
from jaxdl.weights import source
from jaxdl.weights.source import Group, Source

WEIGHTS, CONFIG = 'model.weights.h5', 'config.json'
LAYERS = re.compile(r'(?:_layer_checkpoint_dependencies|layers)/')
OTHERS = ('optimizer', 'metrics')  # values that are no weights of layers
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)  # of a config
MODELS = ('Sequential', 'Functional', 'Model')


def read(file: pathlib.Path) -> Source:
  """Reads a .weights.h5 file of Keras 3, or an .h5 file of Keras 2.

  Args:
    file: the file. One of Keras 3 does not record the order of layers of different kinds.

  Raises:
    ValueError: the file is not HDF5.
  """
  with _opened(file, file) as opened:
    if (names := _of_keras_2(opened, file)) is not None:
      settings = _settings_of_keras_2(opened)
      groups = [
        dataclasses.replace(group, settings=settings[part])
        if (part := next(filter(settings.get, group.name.split('/')), None))
        else group
        for group in names
      ]
      return Source(file, groups, layout='keras')
    groups = sorted(_groups(opened, file), key=lambda group: source.natural(group.name))
    return Source(file, groups, layout='keras', ordered=False)


def read_archive(file: pathlib.Path) -> Source:
  """Reads a .keras file; its config gives names, order and settings of the layers.

  Args:
    file: a zip file with the weights and the config.

  Raises:
    ValueError: the file was not written by Keras 3.
  """
  if zipfile.is_zipfile(file):
    memory.check_zip(file)
  try:
    with memory.reading_zip(), zipfile.ZipFile(file) as archive:
      layers = list(_layers(json.loads(archive.read(CONFIG))))
      weights = archive.read(WEIGHTS)
  except (*MALFORMED, zipfile.BadZipFile) as error:
    raise ValueError(
      f'{file} is not a .keras file ({error}): save it with model.save(FILE), or its weights with '
      'model.save_weights(FILE)'
    ) from error
  with _opened(io.BytesIO(weights), file) as opened:
    groups = {group.name: group for group in _groups(opened, file)}
  ordered = []
  for path, settings in layers:
    for name in [name for name in groups if name == path or name.startswith(f'{path}/')]:
      group = groups.pop(name)
      shown = f'{settings.get("name", path)}{name.removeprefix(path).removesuffix("/cell")}'
      ordered.append(dataclasses.replace(group, name=shown, settings=settings))
  rest = sorted(groups.values(), key=lambda group: source.natural(group.name))
  return Source(file, [*ordered, *rest], layout='keras')


@contextlib.contextmanager
def _opened(place, file):
  """Yields an open HDF5 file; any error of the block is a ValueError that names the file."""
  import h5py  # pyright: ignore[reportMissingImports]

  try:
    with h5py.File(place, 'r') as opened:
      yield opened
  except (OSError, LookupError, TypeError, AttributeError, RuntimeError, ValueError) as error:
    if str(error).startswith(str(file)):
      raise
    reason = str(error).partition('\n')[0]
    raise ValueError(f'{file} is not an HDF5 file of Keras ({reason}): save it again') from error


def _groups(opened, file) -> Iterator[Group]:
  """The layers of a file of Keras 3: layers/NAME/…/vars/0, 1, …"""
  import h5py  # pyright: ignore[reportMissingImports]

  found: dict[str, dict[str, np.ndarray]] = {}

  def visit(name, node):  # follows no links to other files
    place, _, number = name.rpartition('/vars/')
    of_layer = not name.startswith(OTHERS) and not place.endswith('seed_generator')
    if isinstance(node, h5py.Dataset) and place and of_layer:
      found.setdefault(place, {})[number] = _values(node, file)

  opened.visititems(visit)
  for place, arrays in found.items():
    numbers = sorted(arrays, key=int)
    yield Group(
      LAYERS.sub('', place),
      {number: arrays[number] for number in numbers},
      {number: f'{place}/vars/{number}' for number in numbers},
    )


def _inside(group, name, file):
  """A dataset below a group; ValueError if a link leads to another file."""
  found = group[name]
  if found.file.id != group.file.id:
    raise ValueError(f'{file}: {name} is stored in another file: save it again with Keras')
  return found


def _values(node, file):
  """The array of an HDF5 dataset that is in this file and fits into memory."""
  if node.external or node.is_virtual:
    raise ValueError(f'{file}: {node.name} is stored in another file: save it again with Keras')
  memory.check_file(node.nbytes, f'{file}: {node.name}')
  values = np.asarray(node)
  if node.attrs.get('dtype') == 'bfloat16':  # stored as its bytes
    values = (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
  return values


def _layers(config, before='') -> Iterator[tuple[str, dict[str, Any]]]:
  """(path in the weights, config) of the layers of a model, in order."""
  counts: dict[str, int] = {}
  for layer in config.get('config', {}).get('layers', ()):
    kind, settings = layer.get('class_name', ''), layer.get('config', {})
    name = _snake_case(kind)
    number = counts[name] = counts.get(name, -1) + 1
    path = f'{before}{name}_{number}' if number else f'{before}{name}'
    if kind in MODELS:
      yield from _layers(layer, f'{path}/')
    else:
      yield path, settings


def _snake_case(name):
  """The name of a class as in Keras's files: Conv2DTranspose → conv2d_transpose."""
  name = re.sub(r'(.)([A-Z][a-z]+)', r'\1_\2', re.sub(r'\W+', '', name))
  return re.sub(r'([a-z])([A-Z])', r'\1_\2', name).lower()


def _of_keras_2(opened, file):
  """The layers of an .h5 file of Keras 2 in their order; None for another file."""
  top = opened.get('model_weights', opened)
  if 'layer_names' not in top.attrs:
    return None
  named = []
  for layer in map(_text, top.attrs['layer_names']):
    for weight in map(_text, top[layer].attrs.get('weight_names', ())):
      named.append((weight, _values(_inside(top, f'{layer}/{weight}', file), file)))
  return source.grouped(named)


def _settings_of_keras_2(opened):
  """Layer → its config, of an .h5 file of a complete model; otherwise {}."""
  try:
    config = json.loads(opened.attrs['model_config'])
    return {settings['name']: settings for _, settings in _layers(config)}
  except MALFORMED:
    return {}


def _text(value):
  return value.decode() if isinstance(value, bytes) else str(value)
