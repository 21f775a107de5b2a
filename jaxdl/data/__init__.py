"""Data sets: read as arrays or streams, split, ordered, preprocessed and augmented.

`DATA_SETS` maps a name to a loader, whose keyword arguments are the keys of a config's data section
and which returns `Data`. A config may also name own code, such as 'digits.py:digits'
(docs/adding.md).
"""

import functools

from jaxdl.data import (
  arrays,
  characters,
  hugging_face,
  image_folder,
  images,
  table,
  text,
  tfds_images,
)
from jaxdl.data.dataset import Data, Split
from jaxdl.data.sets import cifar10, fashion_mnist, hoda, mnist, planted, shakespeare
from jaxdl.data.source import Source

__all__ = ['DATA_SETS', 'Data', 'Source', 'Split']

DATA_SETS = {
  'mnist': functools.partial(images.load, mnist.mnist),
  'fashion_mnist': functools.partial(images.load, fashion_mnist.fashion_mnist),
  'cifar10': functools.partial(images.load, cifar10.cifar10),
  'hoda': functools.partial(images.load, hoda.hoda),
  'image_folder': image_folder.load,
  'arrays': arrays.load,
  'table': table.load,
  'text': text.load,
  'tfds': tfds_images.load,
  'huggingface': hugging_face.load,
  'tiny_shakespeare': functools.partial(characters.load, shakespeare.tiny_shakespeare),
  'shakespeare': functools.partial(characters.load, shakespeare.shakespeare),
  'planted_mark': functools.partial(images.load, planted.planted_mark),
  'planted_cues': functools.partial(images.load, planted.planted_cues),
  'planted_row': functools.partial(images.load, planted.planted_row),
  'planted_character': functools.partial(characters.load, planted.planted_character),
}
