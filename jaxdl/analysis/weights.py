"""Distributions of the weights and biases of networks."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float64, Int64

from jaxdl.analysis.units import Number, Variables

BINS = 30
# Least, mean ± 1.5, 1, 0.5 and 0 standard deviations of a normal distribution, greatest.
QUANTILES = (0, 0.0668, 0.1587, 0.3085, 0.5, 0.6915, 0.8413, 0.9332, 1)
# Approximate number of entries of a tensor from which the quantiles between its extremes are taken.
SAMPLE = 100_000


class Histogram(NamedTuple):
  """Histogram of a tensor.

  Attributes:
    counts: number of entries in each bin.
    edges: bounds of the bins; the last bin includes its upper bound.
  """

  counts: Int64[np.ndarray, 'bins']
  edges: Float64[np.ndarray, 'bins+1']


class Comparison(NamedTuple):
  """Histograms of the same tensor of several runs.

  Attributes:
    counts: label → number of entries in each bin ([bins] int64), of the runs that have this tensor.
    edges: bounds of the bins, common to all runs.
  """

  counts: dict[str, np.ndarray]
  edges: Float64[np.ndarray, 'bins+1']


def histograms(variables: Variables, bins: int = BINS) -> dict[str, Histogram]:
  """Histogram of every weight and bias tensor, from its least to its greatest entry.

  Args:
    variables: variables of a model; the running averages of batch normalisation, which are not
      trained, are left out.
    bins: number of bins.

  Returns:
    'layer/tensor' → Histogram, in the order of the layers in the variables; the counts sum to the
    tensor's size. A constant tensor is in one of the bins around its value.

  Raises:
    ValueError: fewer than one bin, or entries that are not finite.
  """
  found = compare({'the model': variables}, bins)
  return {
    name: Histogram(tensor.counts['the model'], tensor.edges) for name, tensor in found.items()
  }


def quantiles(variables: Variables) -> dict[str, Float64[np.ndarray, '9']]:
  """Nine quantiles of every weight and bias tensor, few enough to keep at every evaluation.

  Args:
    variables: variables of a model.

  Returns:
    'layer/tensor' → the least entry, the QUANTILES between, the greatest entry. For a tensor of
    more than SAMPLE entries the quantiles between are those of every n-th entry, n odd.
  """
  leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(variables['params']))
  found = {}
  for path, leaf in leaves:
    values = np.ravel(leaf)
    # An odd step meets every column of a kernel of 2 ** k columns.
    step = -(-values.size // SAMPLE) | 1
    between = np.quantile(values[::step].astype(np.float64), QUANTILES[1:-1])
    found[_name(path)] = np.array([values.min(), *between, values.max()], np.float64)
  return found


def compare(runs: Mapping[str, Variables], bins: int = BINS) -> dict[str, Comparison]:
  """Histograms of the tensors of several runs on common edges, such as with and without L2.

  Args:
    runs: label → variables, at least one; the networks may differ in layers and sizes.
    bins: number of bins.

  Returns:
    'layer/tensor' → Comparison.

  Raises:
    ValueError: no runs, fewer than one bin, or entries that are not finite.
  """
  if not runs or bins < 1:
    raise ValueError(f'{len(runs)} runs and {bins} bins: give at least one of each')
  tensors = {label: _tensors(variables) for label, variables in runs.items()}
  found = {}
  names = dict.fromkeys(name for named in tensors.values() for name in named)
  for name in names:
    here = {label: named[name] for label, named in tensors.items() if name in named}
    for label, values in here.items():
      if not np.isfinite(values).all():
        raise ValueError(
          f'{name} of {label} has numbers that are not finite: give an earlier checkpoint'
        )
    edges = _edges(min(map(np.min, here.values())), max(map(np.max, here.values())), bins)
    counts = {label: np.histogram(values, edges)[0] for label, values in here.items()}
    found[name] = Comparison(counts, edges)
  return found


def _tensors(variables: Variables) -> dict[str, Float64[np.ndarray, 'size']]:
  """'layer/tensor' → its entries."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(variables['params'])
  return {_name(path): np.asarray(leaf, np.float64).ravel() for path, leaf in leaves}


def _name(path: Sequence[Any]) -> str:
  return '/'.join(str(key.key) for key in path)


def _edges(low: Number, high: Number, bins: int) -> Float64[np.ndarray, 'edges']:
  if low == high:  # bins of width 0 have no counts
    margin = max(abs(low), 1.0) / 2
    low, high = low - margin, high + margin
  return np.linspace(low, high, bins + 1)
