"""Similarity of layers: linear centred kernel alignment (CKA)."""

import numpy as np
from jaxtyping import Float, Float64

from jaxdl.analysis.embedding_quality import checked
from jaxdl.analysis.units import ArrayLike

FEWEST = 4  # examples; the unbiased estimate divides by N − 3


def kernel(features: ArrayLike) -> Float64[np.ndarray, 'N N']:
  """Inner products of the centred features of all pairs of examples, with a diagonal of 0.

  Args:
    features: [N, D].

  Returns:
    kernel of a layer, for `cka`.

  Raises:
    ValueError: features that are not a finite matrix, or fewer than four examples.
  """
  checked_features = checked(features)
  if len(checked_features) < FEWEST:
    raise ValueError(
      f'{len(checked_features)} examples are too few to compare layers: use at least 4'
    )
  centred = checked_features - checked_features.mean(0)
  largest = float(np.abs(centred).max()) or 1.0
  centred = centred / largest  # CKA does not depend on the scale
  found = np.asarray(centred @ centred.T)
  np.fill_diagonal(found, 0)
  return found


def hsic(first: Float[np.ndarray, 'N N'], second: Float[np.ndarray, 'N N']) -> float:
  """Unbiased estimate of the Hilbert-Schmidt independence criterion.

  Its expectation does not depend on the number of examples. It may be negative.

  Args:
    first, second: kernels of the same examples, with a diagonal of 0.

  Returns:
    The estimate.

  Source: Song et al. 2012, Feature selection via dependence maximization, equation 5.
  """
  count = len(first)
  rows, columns = first.sum(1), second.sum(1)
  total = (first * second).sum() + rows.sum() * columns.sum() / ((count - 1) * (count - 2))
  return float((total - 2 * rows @ columns / (count - 2)) / (count * (count - 3)))


def cka(
  first: dict[str, Float64[np.ndarray, 'N N']], second: dict[str, Float64[np.ndarray, 'M M']]
) -> Float64[np.ndarray, 'F S']:
  """Similarity of every layer of one network to every layer of another, or of the same one.

  1 for features that are equal up to a rotation and a scale; about 0 for independent features. The
  numbers are computed from all pairs of examples at once, so that no batch size matters, and are
  debiased, so that wide layers of few examples are not similar by chance.

  Args:
    first, second: layer → kernel, as from `kernel`, of the same examples.

  Returns:
    similarities; NaN where a layer does not depend on the example.

  Raises:
    ValueError: kernels of different numbers of examples.

  Source: Kornblith et al. 2019, Similarity of neural network representations revisited; debiased
    as in Nguyen et al. 2021, Do wide and deep networks learn the same things?
  """
  sizes = {len(one) for one in (*first.values(), *second.values())}
  if len(sizes) != 1:
    raise ValueError(
      f'kernels of {sorted(sizes)} examples: give the same examples to both networks'
    )
  own = [{name: hsic(one, one) for name, one in part.items()} for part in (first, second)]
  found = np.full((len(first), len(second)), np.nan)
  for row, (name, one) in enumerate(first.items()):
    for column, (other, two) in enumerate(second.items()):
      scale = own[0][name] * own[1][other]
      if own[0][name] > 0 and own[1][other] > 0:
        found[row, column] = hsic(one, two) / np.sqrt(scale)
  return found
