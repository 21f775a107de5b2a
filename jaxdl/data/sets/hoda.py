"""Hoda, handwritten Farsi digits."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8

from jaxdl.data import licences, tfds_arrays
from jaxdl.data.raw import cdb, hoda_mat
from jaxdl.data.source import Source, choose

SIZE = 32  # pixels
BOX = 24  # pixels of the digit's longest side: the margin is 4, or 2 after a centre crop to 28
FILES = {  # split → file, its reader, number of digits
  'train': ('Data_hoda_full.mat', hoda_mat.read, 60000),
  'test': ('Test 20000.cdb', cdb.read, 20000),
  'remaining': ('RemainingSamples.cdb', cdb.read, 22352),
}
CITATION = """@article{khosravi2007introducing,
  title={Introducing a very large dataset of handwritten {Farsi} digits and a study on their
    varieties},
  author={Khosravi, Hossein and Kabir, Ehsanollah},
  journal={Pattern Recognition Letters}, volume={28}, number={10}, pages={1133--1141},
  year={2007}}"""


def hoda(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """The 60,000 + 20,000 + 22,352 handwritten Farsi digits of Khosravi and Kabir 2007.

  Args:
    source: 'auto' | 'tfds'.
    data_dir: TFDS's folder, None for its default.

  Returns:
    Source with image [N, 32, 32, 1] uint8, light ink on black, and label [N] int32, for the splits
    'train', 'test' and 'remaining'; size=28 with fit='crop' gives MNIST's format.
  """

  def from_tfds(required: bool) -> Source | None:
    return tfds_arrays.read(
      'hoda', data_dir=data_dir, required=required, download=False, decode=tfds_arrays.images
    )

  return choose('hoda', source, {'tfds': from_tfds})


def read(folder: Path) -> dict[str, tuple[list[UInt8[np.ndarray, '_ _']], Int32[np.ndarray, ' _']]]:
  """Reads and checks the raw files.

  Args:
    folder: folder with the three files of FILES.

  Returns:
    split name → (list of [H, W] uint8 images, labels [N] int32).

  Raises:
    FileNotFoundError: a file is missing.
    ValueError: a file is not Hoda's.
  """
  require(folder)
  found = {}
  for split, (name, reader, count) in FILES.items():
    images, labels = found[split] = reader(folder / name)
    if len(images) != count:
      raise ValueError(
        f'{folder / name} holds {len(images):,} digits, expected {count:,}: use the full file'
      )
    present = sorted(set(labels.tolist()))
    if present != list(range(10)):
      raise ValueError(f'{folder / name} has the labels {present}, expected 0 to 9: it is not Hoda')
  return found


def require(folder: Path) -> None:
  """Raises FileNotFoundError if one of the three files is missing."""
  names = [name for name, _, _ in FILES.values()]
  for name in names:
    if not (folder / name).is_file():
      raise FileNotFoundError(f'{folder / name} is missing: hoda needs {", ".join(names)} there')


def centre(image: UInt8[np.ndarray, 'H W']) -> UInt8[np.ndarray, '32 32 1']:
  """Scales a digit of any size into the middle of a square.

  Args:
    image: [H, W] uint8, ink 255 on 0.

  Returns:
    [32, 32, 1] uint8. The digit's longest side is 24 pixels; each pixel is the mean of those that
    it covers.
  """
  import PIL.Image

  height, width = image.shape
  scale = BOX / max(height, width)
  height, width = max(1, round(height * scale)), max(1, round(width * scale))
  scaled = np.asarray(PIL.Image.fromarray(image).resize((width, height), PIL.Image.Resampling.BOX))
  square = np.zeros((SIZE, SIZE, 1), np.uint8)
  top, left = (SIZE - height) // 2, (SIZE - width) // 2
  square[top : top + height, left : left + width, 0] = scaled
  return square


@functools.cache
def builder() -> Any:
  """The TFDS builder class, which reads the raw files from the folder given to `prepare`."""
  import tensorflow_datasets as tfds

  class Hoda(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Handwritten Farsi digits."""

    VERSION = tfds.core.Version('1.0.0')
    MANUAL_DOWNLOAD_INSTRUCTIONS = 'python -m jaxdl.data prepare hoda --from=DIR'

    def _info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        description='Handwritten Farsi digits from 12,000 forms, scaled into 32×32.',
        citation=CITATION,
        homepage='http://farsiocr.ir',
        license=licences.of('hoda').name,
        supervised_keys=('image', 'label'),
        features=tfds.features.FeaturesDict(
          {
            'image': tfds.features.Image(shape=(SIZE, SIZE, 1)),
            'label': tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
          }
        ),
      )

    def _split_generators(self, dl_manager):
      return {
        split: self._generate_examples(*part)
        for split, part in read(Path(dl_manager.manual_dir)).items()
      }

    def _generate_examples(self, images, labels):
      for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield index, {'image': centre(image), 'label': int(label)}

  return Hoda
