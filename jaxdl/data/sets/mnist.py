"""MNIST, from TFDS if it is prepared, else from the copy inside the package."""

import numpy as np

from jaxdl.data import bundle, tfds_arrays
from jaxdl.data.source import Source, choose

CHECKSUMS = {  # of the bundled .xz files
  'train-images-idx3-ubyte': '8f41e9b4abc124dc3d209e86f7ea714a81f80edea40b565a4781dec7bd67c6e2',
  'train-labels-idx1-ubyte': 'dcd3d8184fe1a8be6231f172fb3390116f91c127282fd736ab55752c179963d8',
  't10k-images-idx3-ubyte': 'd815adbb3188b5bafed15d649960a5dbcb0f9138b9a4205b88b175001cb394c9',
  't10k-labels-idx1-ubyte': 'f2edae9ce0307abae4671a37b70e6e3858696b48b16c3cfdfef97388dc9925d5',
}
RAW_CHECKSUMS = {  # of the unpacked original files
  'train-images-idx3-ubyte': 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
  'train-labels-idx1-ubyte': '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
  't10k-images-idx3-ubyte': '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
  't10k-labels-idx1-ubyte': 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
}
CLASSES = tuple('0123456789')


def mnist(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """The 60,000 + 10,000 handwritten digits of LeCun et al. 1998.

  Args:
    source: 'auto' | 'bundled' | 'tfds'.
    data_dir: TFDS's folder, None for its default.

  Returns:
    Source with image [N, 28, 28, 1] uint8 and label [N] int32.
  """

  def from_tfds(required: bool) -> Source | None:
    return tfds_arrays.read(
      'mnist', data_dir=data_dir, required=required, decode=tfds_arrays.images
    )

  def from_package(required: bool) -> Source:
    del required  # it is always there
    return _bundled()

  return choose('mnist', source, {'tfds': from_tfds, 'bundled': from_package})


def _bundled() -> Source:
  files = bundle.read('mnist', CHECKSUMS)
  columns = {}
  for split, part in (('train', 'train'), ('test', 't10k')):
    pixels = np.frombuffer(files[f'{part}-images-idx3-ubyte'], np.uint8, offset=16)
    labels = np.frombuffer(files[f'{part}-labels-idx1-ubyte'], np.uint8, offset=8)
    columns[split] = {'image': pixels.reshape(-1, 28, 28, 1), 'label': labels.astype(np.int32)}
  return Source(origin='bundled', columns=columns, classes=CLASSES)
