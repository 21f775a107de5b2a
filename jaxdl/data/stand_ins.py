"""Known sizes of common data sets, to describe configs whose data are not prepared."""

import dataclasses
import string
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from jaxdl.data.dataset import Data
from jaxdl.data.source import Source

ABSENT = 'not prepared'  # origin of a data set that is not prepared


@dataclasses.dataclass(frozen=True)
class Known:
  """Sizes of a data set.

  Attributes:
    shape: [H, W, C] of an image; () for a text.
    classes: class names in the order of the labels, or the vocabulary.
    counts: split name → number of examples or characters.
  """

  shape: tuple[int, ...]
  classes: tuple[str, ...]
  counts: dict[str, int]


DIGITS = tuple(string.digits)
SETS = {
  'mnist': Known((28, 28, 1), DIGITS, {'train': 60_000, 'test': 10_000}),
  'fashion_mnist': Known(
    (28, 28, 1),
    (
      'T-shirt/top',
      'Trouser',
      'Pullover',
      'Dress',
      'Coat',
      'Sandal',
      'Shirt',
      'Sneaker',
      'Bag',
      'Ankle boot',
    ),
    {'train': 60_000, 'test': 10_000},
  ),
  'cifar10': Known(
    (32, 32, 3),
    (
      'airplane',
      'automobile',
      'bird',
      'cat',
      'deer',
      'dog',
      'frog',
      'horse',
      'ship',
      'truck',
    ),
    {'train': 50_000, 'test': 10_000},
  ),
  'hoda': Known((32, 32, 1), DIGITS, {'train': 60_000, 'test': 20_000, 'remaining': 22_352}),
  'tiny_shakespeare': Known(
    (),
    tuple(sorted("\n !$&',-.3:;?" + string.ascii_letters)),
    {'train': 1_003_854, 'validation': 55_770, 'test': 55_770},
  ),
}
FOOD11 = {'train': 9_866, 'validation': 3_430, 'test': 3_347}  # photographs of the folder


def stand_in(name: str) -> Source:
  """A Source with the sizes of a data set in SETS; its values are arbitrary, in little memory."""
  found = SETS[name]
  columns = {}
  for split, count in found.counts.items():
    numbers = np.arange(count) % len(found.classes)
    if found.shape:
      image = np.broadcast_to(np.uint8(0), (count, *found.shape))
      columns[split] = {'image': image, 'label': numbers.astype(np.int32)}
    else:
      columns[split] = {'character': numbers.astype(np.uint8)}
  return Source(origin=ABSENT, classes=found.classes, columns=columns)


@dataclasses.dataclass(frozen=True)
class Unread:
  """Placeholder for the photographs of a split: it has their number, but none can be read."""

  count: int

  def __len__(self) -> int:
    return self.count

  def __getitem__(self, position: int):
    raise FileNotFoundError('the photographs are not prepared')


def convert_one(
  convert: Callable[[np.ndarray], np.ndarray], images: UInt8[np.ndarray, 'N H W C']
) -> UInt8[np.ndarray, 'N h w c']:
  """Converts only the first image and repeats the result for each image."""
  first = convert(images[:1])
  return np.broadcast_to(first, (len(images), *first.shape[1:]))


def note(data: Data) -> str | None:
  """A line stating that a data set is not prepared; None if it is prepared."""
  if data.origin != ABSENT:
    return None
  if data.name == 'image_folder':
    return (
      'the folder of Food-11 does not exist: using the shapes, classes and counts of the full '
      'data set (give the folder, --config.data.folder=DIR)'
    )
  return (
    f'{data.name} is not prepared here: using the shapes, classes and counts of the full data '
    'set (python -m jaxdl.data list shows how to get it)'
  )
