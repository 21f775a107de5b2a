"""CIFAR-10, from TFDS."""

from jaxdl.data import tfds_arrays
from jaxdl.data.source import choose


def cifar10(*, source, data_dir):
  """The 50,000 + 10,000 colour photographs of Krizhevsky 2009.

  Args:
    source: 'auto' | 'tfds'.
    data_dir: TFDS's folder, None for its default.

  Returns:
    Source with image [N, 32, 32, 3] uint8 and label [N] int32.
  """
  return choose('cifar10', source, {
      'tfds': lambda required: tfds_arrays.read('cifar10', data_dir=data_dir, required=required,
                                                decode=tfds_arrays.images),
  })
