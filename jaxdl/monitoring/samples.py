"""Output at the start of a new run: training images, config, layer graph, hyper-parameters."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxdl import figures
from jaxdl.config import differences
from jaxdl.monitoring.writers import Writers
from jaxdl.runs import disk, identity

COUNT = 32


def write(experiment: Any, workdir: str | pathlib.Path, writers: Writers) -> None:
  """Writes a grid of training images if the data are images.

  Args:
    experiment: training.experiment.Experiment.
    workdir: the run's folder; the picture is written to analysis/samples.png and .svg in it.
    writers: the run's writers.
  """
  split = experiment.data.splits['train']
  columns = split.arrays
  if not columns:
    first = {name: values[0] for name, values in split.feed(0, 1).items()}
    columns = split.fetch({}, first)
  if 'image' in columns:
    names, what = _captions(columns, experiment.data)
    heading = f'{experiment.data.name}: training images and their {what}'
    figure = figures.image_grid(columns['image'][:COUNT], names, heading=heading)
    folder = pathlib.Path(workdir) / 'analysis'
    folder.mkdir(parents=True, exist_ok=True)
    figures.save(figure, folder / 'samples.png')
    writers.images(0, {'samples': figures.pixels(figure)})
    figures.save_svg(figure, folder / 'samples.svg')


def _captions(columns, data):
  """(a caption for each of the first images, what the captions are)."""
  if data.targets:
    return [
      ', '.join(f'{value:.4g}' for value in row) for row in columns['value'][:COUNT]
    ], ', '.join(map(figures.short, data.targets['names']))
  if columns['label'].ndim == 2:
    return [
      ', '.join(data.classes[label] for label in np.flatnonzero(row)) or 'none'
      for row in columns['label'][:COUNT]
    ], 'labels'
  return [data.classes[label] for label in columns['label'][:COUNT]], 'classes'


def describe(experiment: Any, writers: Writers, choices: Mapping[str, str] | None = None) -> None:
  """Writes the layer graph, the config as text and the hyper-parameters.

  Args:
    experiment: training.experiment.Experiment.
    writers: the run's writers.
    choices: axis → name of the choice, for a member of a sweep.
  """
  writers.graph(experiment.layers)
  writers.texts(0, {'config': disk.readable_json(experiment.config)})
  chosen = {
    key: value if isinstance(value, (int, float, str, bool)) else str(value)
    for key, value in differences.flat(experiment.config).items()
    if identity.of(key).hyperparameter
  }
  for axis, choice in (choices or {}).items():
    chosen[f'sweep.{axis}'] = choice
  writers.hyperparameters(chosen)
