"""Data sets by name: a config's data section → Data. docs/adding.md says how to add one."""

import functools

from jaxdl.data import characters, image_folder, images
from jaxdl.data.sets import hoda, mnist, shakespeare

DATA_SETS = {
  'mnist': functools.partial(images.load, mnist.mnist),
  'fashion_mnist': functools.partial(images.load, images.fashion_mnist),
  'cifar10': functools.partial(images.load, images.cifar10),
  'hoda': functools.partial(images.load, hoda.hoda),
  'image_folder': image_folder.load,
  'tiny_shakespeare': functools.partial(characters.load, shakespeare.tiny_shakespeare),
  'shakespeare': functools.partial(characters.load, shakespeare.shakespeare),
}
