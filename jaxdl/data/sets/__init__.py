"""Data sets that fit in memory, one module for each.

Each module has a function that reads the data set as a `Source`, from TFDS or from the package.
"""

from jaxdl.data.sets import cifar10, fashion_mnist, hoda, mnist, planted, shakespeare

__all__ = ['cifar10', 'fashion_mnist', 'hoda', 'mnist', 'planted', 'shakespeare']
