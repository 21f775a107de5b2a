"""CIFAR-10, from TFDS."""

from jaxdl.data import tfds_arrays
from jaxdl.data.source import Source, choose


def cifar10(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """The 50,000 + 10,000 colour photographs of Krizhevsky 2009.

  Args:
    source: 'auto' | 'tfds'.
    data_dir: TFDS's folder, None for its default.

  Returns:
    Source with image [N, 32, 32, 3] uint8 and label [N] int32.
  """

  def from_tfds(required: bool) -> Source | None:
    return tfds_arrays.read(
      'cifar10', data_dir=data_dir, required=required, decode=tfds_arrays.images
    )

  return choose('cifar10', source, {'tfds': from_tfds})
