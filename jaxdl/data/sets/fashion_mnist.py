"""Fashion-MNIST, from TFDS."""

from jaxdl.data import tfds_arrays
from jaxdl.data.source import Source, choose


def fashion_mnist(*, source: str, data_dir: tfds_arrays.DataDir) -> Source:
  """The 60,000 + 10,000 pictures of clothes of Xiao et al. 2017.

  Args:
    source: 'auto' | 'tfds'.
    data_dir: TFDS's folder, None for its default.

  Returns:
    Source with image [N, 28, 28, 1] uint8 and label [N] int32.
  """

  def from_tfds(required: bool) -> Source | None:
    return tfds_arrays.read(
      'fashion_mnist', data_dir=data_dir, required=required, decode=tfds_arrays.images
    )

  return choose('fashion_mnist', source, {'tfds': from_tfds})
