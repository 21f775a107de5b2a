"""Errors of a regression: residuals, and metrics of each target."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Integer

from jaxdl.analysis.units import ArrayLike


class Residuals(NamedTuple):
  """Residuals of D targets, predicted minus true value.

  Attributes:
    residuals: of each example, in the unit of the targets.
    rmse: root mean squared error of each target.
    mae: mean absolute error of each target.
    bias: mean residual of each target.
    r2: 1 − Σ residual² / Σ (true − mean)²; NaN for a target that is constant.
    worst: indices of all examples, the largest standardised error first (mean square over the
      targets); ties are ordered by index.
  """

  residuals: Float64[np.ndarray, 'N D']
  rmse: Float64[np.ndarray, 'D']
  mae: Float64[np.ndarray, 'D']
  bias: Float64[np.ndarray, 'D']
  r2: Float64[np.ndarray, 'D']
  worst: Integer[np.ndarray, 'N']


def residuals(values: ArrayLike, predicted: ArrayLike, deviation: ArrayLike = 1.0) -> Residuals:
  """Residuals of a regression.

  Args:
    values: [N, D] true values.
    predicted: [N, D] predicted values, in the same unit.
    deviation: [D] unit in which errors of different targets are compared, such as the deviations of
      the training split.

  Returns:
    Residuals.

  Raises:
    ValueError: arrays of another shape, no example, or predictions that are NaN or infinite.
  """
  values, predicted = np.asarray(values, np.float64), np.asarray(predicted, np.float64)
  if values.ndim != 2 or values.shape != predicted.shape or not len(values):
    raise ValueError(
      f'values of shape {values.shape} and predictions of shape {predicted.shape}: give both as '
      '[N, D], with at least one example'
    )
  if not np.isfinite(predicted).all():
    raise ValueError(
      f'{(~np.isfinite(predicted)).any(-1).sum()} of {len(predicted)} examples have predictions '
      'that are not finite: train with a lower learning rate'
    )
  found = predicted - values
  squares = np.square(found).sum(0)  # [D]
  variation = np.square(values - values.mean(0)).sum(0)
  varies = np.ptp(values, axis=0) > 0
  return Residuals(
    residuals=found,
    rmse=np.sqrt(squares / len(found)),
    mae=np.abs(found).mean(0),
    bias=found.mean(0),
    r2=np.where(varies, 1 - squares / np.where(varies, variation, 1), np.nan),
    worst=np.argsort(-np.square(found / np.asarray(deviation)).mean(-1), kind='stable'),
  )
