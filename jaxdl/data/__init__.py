"""Data sets: read as arrays or streams, split, ordered, preprocessed and augmented.

`DATA_SETS` maps a name to a loader, whose keyword arguments are the keys of a config's data section
and which returns `Data`. A config may also name own code, such as 'digits.py:digits'
(docs/adding.md).
"""

import functools
from typing import Any

from jaxdl.config import binding
from jaxdl.data import characters, image_folder, images, own
from jaxdl.data.dataset import Data, Split
from jaxdl.data.sets import cifar10, fashion_mnist, hoda, mnist, shakespeare
from jaxdl.data.source import Source

__all__ = ['DATA_SETS', 'Data', 'Source', 'Split', 'bind']

DATA_SETS = {
  'mnist': functools.partial(images.load, mnist.mnist),
  'fashion_mnist': functools.partial(images.load, fashion_mnist.fashion_mnist),
  'cifar10': functools.partial(images.load, cifar10.cifar10),
  'hoda': functools.partial(images.load, hoda.hoda),
  'image_folder': image_folder.load,
  'tiny_shakespeare': functools.partial(characters.load, shakespeare.tiny_shakespeare),
  'shakespeare': functools.partial(characters.load, shakespeare.shakespeare),
}


def bind(section: dict[str, Any], **given: Any) -> functools.partial:
  """Binds a config's data section to the loader that it names, as `binding.bind`.

  Args:
    section: the data section.
    **given: additional arguments, such as the seed.
  """
  return binding.bind(DATA_SETS, section, 'config.data', own=own.loader, **given)
