"""What a new run shows of its data and its config before the first step."""

import pathlib

from jaxdl import figures
from jaxdl.config import differences
from jaxdl.runs import disk, identity

COUNT = 32


def write(experiment, workdir, writers):
  """Writes a grid of training images, where the data are images.

  Args:
    experiment: Experiment.
    workdir: the run's folder; the picture is analysis/samples.png in it.
    writers: Writers.
  """
  split = experiment.data.splits['train']
  columns = split.arrays or split.fetch(
    {}, {name: values[0] for name, values in split.feed(0, 1).items()}
  )
  if 'image' in columns:
    names = [experiment.data.classes[label] for label in columns['label'][:COUNT]]
    heading = f'{experiment.data.name}: training images and their classes'
    figure = figures.image_grid(columns['image'][:COUNT], names, heading=heading)
    folder = pathlib.Path(workdir) / 'analysis'
    folder.mkdir(parents=True, exist_ok=True)
    figures.save(figure, folder / 'samples.png')
    writers.images(0, {'samples': figures.pixels(figure)})


def describe(experiment, writers, choices=None):
  """Writes the network as a graph, the config as a text and the hyper-parameters.

  Args:
    experiment: Experiment.
    writers: Writers.
    choices: axis → name of the choice, of a member of a sweep.
  """
  writers.graph(experiment.layers)
  writers.texts(0, {'config': disk.readable_json(experiment.config)})
  chosen = {
    key: value if isinstance(value, (int, float, str, bool)) else str(value)
    for key, value in differences.flat(experiment.config).items()
    if identity.of(key).hyperparameter
  }
  writers.hyperparameters(
    {**chosen, **{f'sweep.{axis}': choice for axis, choice in (choices or {}).items()}}
  )
