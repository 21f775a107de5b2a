"""Confidence intervals of measured shares."""

import math

Z = 1.96  # 95 % of a normal distribution lie within 1.96 deviations of its mean


def wilson(share: float, count: int) -> tuple[float, float]:
  """Wilson's 95 % interval of a share of `count` examples.

  The share may be a mean over runs, which SciPy's `binomtest` does not accept: it takes whole
  numbers of successes.

  Args:
    share: the share, 0..1.
    count: number of examples on which it was counted, at least 1.

  Returns:
    (low, high).

  Source:
    Wilson 1927, 'Probable inference, the law of succession, and statistical inference'.
  """
  centre = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
  half = (
    Z * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count)) / (1 + Z * Z / count)
  )
  return max(0.0, centre - half), min(1.0, centre + half)
