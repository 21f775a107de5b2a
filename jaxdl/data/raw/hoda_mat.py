"""The .mat file of Hoda's 60,000 training digits."""

from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8


def read(path: Path) -> tuple[list[UInt8[np.ndarray, '_ _']], Int32[np.ndarray, ' N']]:
  """Reads `Data_hoda_full.mat`.

  Args:
    path: a file whose checksum was verified: SciPy's parser can crash the process on a damaged one.

  Returns:
    (list of [H, W] uint8 images of varying size, ink 255 on 0; labels [N] int32).

  Raises:
    ValueError: not a .mat file, truncated, or one that holds something else.
  """
  import scipy.io  # MATLAB's format holds no pickles: nothing in the file is executed

  try:
    content = scipy.io.loadmat(path, variable_names=('Data', 'labels'))
  except Exception as error:  # SciPy's parser raises exceptions of many types
    reason = str(error).partition('\n')[0][:100]
    raise ValueError(f'{path} is not a valid MATLAB file ({reason}): fetch it again') from error
  images, labels = content.get('Data'), content.get('labels')
  if images is None or labels is None:
    raise ValueError(
      f'{path} is not Hoda: it has no variables Data and labels; use Data_hoda_full.mat'
    )
  images, labels = list(images.ravel()), labels.ravel()
  are_images = all(
    isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 2 and image.size
    for image in images
  )
  if labels.dtype.kind not in 'iu' or len(images) != len(labels) or not are_images:
    raise ValueError(
      f'{path} is not Hoda: Data must be an object array of [H, W] uint8 images, one for each label'
    )
  return images, labels.astype(np.int32)
