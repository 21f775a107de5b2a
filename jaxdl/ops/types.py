"""Types of the arguments that several operations share."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array

AnyArray = Array | np.ndarray
Size = tuple[int, int]  # (rows, columns)
Pads = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right)); negative crops
Padding = str | Sequence[Sequence[int]]  # 'SAME', 'VALID' or ((top, bottom), (left, right))
