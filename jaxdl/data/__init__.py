"""Data sets by name: keyword arguments of a config's data section → Data. To add one, see README."""

import functools

from jaxdl.data import characters, cifar10, fashion_mnist, hoda, image_folder, images, mnist, shakespeare

DATA_SETS = {
    'mnist': functools.partial(images.load, mnist.mnist),
    'fashion_mnist': functools.partial(images.load, fashion_mnist.fashion_mnist),
    'cifar10': functools.partial(images.load, cifar10.cifar10),
    'hoda': functools.partial(images.load, hoda.hoda),
    'image_folder': image_folder.load,
    'tiny_shakespeare': functools.partial(characters.load, shakespeare.tiny_shakespeare),
    'shakespeare': functools.partial(characters.load, shakespeare.shakespeare),
}
