"""Learning-rate finder: evaluates the losses of a run with a rising learning rate."""

import numpy as np
from jaxtyping import Float

DIVERGED = 4.0  # times the lowest loss, at which a run has diverged
WINDOW = 20  # the loss is smoothed over a twentieth of the steps to each side


def usable(losses: Float[np.ndarray, ' S']) -> int:
  """Counts the steps before a run diverged.

  Args:
    losses: loss of each step.

  Returns:
    The number of steps before the first loss that is not finite or more than 4 times the lowest one
    so far (the rule of fastai).
  """
  with np.errstate(invalid='ignore'):
    bad = ~np.isfinite(losses) | (losses > DIVERGED * np.fmin.accumulate(losses))
  return int(bad.argmax()) if bad.any() else len(losses)


def smoothed(losses: Float[np.ndarray, ' S']) -> Float[np.ndarray, ' S']:
  """Centred moving average of the losses, over fewer steps at the ends.

  It does not lag behind the losses, as an exponential average would.

  Args:
    losses: loss of each step.
  """
  reach = max(1, len(losses) // WINDOW)
  return np.array(
    [losses[max(0, step - reach) : step + reach + 1].mean() for step in range(len(losses))]
  )


def steepest(rates: Float[np.ndarray, ' S'], losses: Float[np.ndarray, ' S']) -> float | None:
  """Returns the learning rate at which the loss decreases fastest per logarithm of the rate.

  Only the steps up to the lowest loss are considered.

  Args:
    rates: ascending learning rates.
    losses: smoothed loss of each rate.

  Returns:
    One of the rates; None if the loss does not fall.

  Source: Smith 2017, 'Cyclical learning rates for training neural networks', section 3.3, with the
    rule 'steep' of fastai.
  """
  lowest = int(losses.argmin())
  if lowest == 0:
    return None
  slopes = np.gradient(losses, np.log(rates))[: lowest + 1]
  return float(rates[slopes.argmin()])
