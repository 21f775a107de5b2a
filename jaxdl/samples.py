"""What a new run shows of its data and its config before the first step."""

import json
import pathlib

from jaxdl import config, figures

COUNT = 32


def write(experiment, workdir, writers):
  """Writes a grid of training images, where the data are images, and the hyper-parameters.

  Args:
    experiment: Experiment.
    workdir: the run's folder; the picture is analysis/samples.png in it.
    writers: Writers.
  """
  split = experiment.data.splits['train']
  columns = split.arrays or split.fetch({}, {name: values[0] for name, values in split.feed(0, 1).items()})
  if 'image' in columns:
    names = [experiment.data.classes[label] for label in columns['label'][:COUNT]]
    heading = f'{experiment.data.name}: training images and their classes'
    figure = figures.image_grid(columns['image'][:COUNT], names, heading=heading)
    folder = pathlib.Path(workdir) / 'analysis'
    folder.mkdir(parents=True, exist_ok=True)
    figures.save(figure, folder / 'samples.png')
    writers.images(0, {'samples': figures.pixels(figure)})
  writers.texts(0, {'config': '\n'.join(f'    {line}' for line in json.dumps(experiment.config, indent=2).splitlines())})
  writers.hyperparameters({key: value if isinstance(value, (int, float, str, bool)) else str(value)
                           for key, value in config.flat(experiment.config).items() if not key.startswith('dataset.')})
