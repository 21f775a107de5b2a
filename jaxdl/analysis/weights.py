"""How the weights and biases of a network are distributed, and how that moves."""

from typing import NamedTuple

import jax
import numpy as np

BINS = 30
QUANTILES = (
  0,
  0.0668,
  0.1587,
  0.3085,
  0.5,
  0.6915,
  0.8413,
  0.9332,
  1,
)  # of a normal distribution the mean ± 1.5, 1, 0.5 and 0
# numbers of a tensor, about, from which those between the least and the greatest are taken
SAMPLE = 100_000


class Histogram(NamedTuple):
  """counts [bins] int64; edges [bins + 1] float64, the last one belonging to the last bin."""

  counts: np.ndarray
  edges: np.ndarray


class Comparison(NamedTuple):
  """counts: label → [bins] int64, of the runs that have this tensor; edges [bins + 1] float64,
  common to all.
  """

  counts: dict
  edges: np.ndarray


def histograms(variables, bins=BINS):
  """The distribution of every weight and bias tensor, from its least to its greatest number.

  Args:
    variables: of a model; running averages of batch normalisation, which are not trained, are left
      out.
    bins: int.

  Returns:
    'layer/tensor' → Histogram, layers in the order in which the variables have them; the counts sum
    to the tensor's size. A constant tensor lies in one of bins around its value.

  Raises:
    ValueError: less than one bin, or numbers that are not finite.
  """
  found = compare({'the model': variables}, bins)
  return {
    name: Histogram(tensor.counts['the model'], tensor.edges) for name, tensor in found.items()
  }


def quantiles(variables):
  """How every weight and bias tensor is spread, in nine numbers, so that they can be kept of every
  evaluation.

  Args:
    variables: of a model.

  Returns:
    'layer/tensor' → [9] float64: the least number, the QUANTILES between, the greatest. Of a tensor
    of more than SAMPLE numbers those between are of every n-th, n odd.
  """
  leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(variables['params']))
  found = {}
  for path, leaf in leaves:
    values = np.ravel(leaf)
    some = values[
      :: -(-values.size // SAMPLE) | 1
    ]  # an odd step meets every column of a kernel of 2 ** k columns
    between = np.quantile(some.astype(np.float64), QUANTILES[1:-1])
    found[_name(path)] = np.array([values.min(), *between, values.max()], np.float64)
  return found


def compare(runs, bins=BINS):
  """The distributions of several runs' tensors on common edges, such as with L2 against none.

  Args:
    runs: label → variables, at least one; the networks may differ in layers and sizes.
    bins: int.

  Returns:
    'layer/tensor' → Comparison.

  Raises:
    ValueError: no runs, less than one bin, or numbers that are not finite.
  """
  if not runs or bins < 1:
    raise ValueError(f'{len(runs)} runs and {bins} bins: give at least one of each')
  tensors = {label: _tensors(variables) for label, variables in runs.items()}
  found = {}
  for name in dict.fromkeys(name for tensor in tensors.values() for name in tensor):
    here = {label: named[name] for label, named in tensors.items() if name in named}
    for label, values in here.items():
      if not np.isfinite(values).all():
        raise ValueError(
          f'{name} of {label} has numbers that are not finite: give an earlier checkpoint'
        )
    edges = _edges(min(map(np.min, here.values())), max(map(np.max, here.values())), bins)
    found[name] = Comparison(
      {label: np.histogram(values, edges)[0] for label, values in here.items()}, edges
    )
  return found


def _tensors(variables):
  """'layer/tensor' → [size] float64."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(variables['params'])
  return {_name(path): np.asarray(leaf, np.float64).ravel() for path, leaf in leaves}


def _name(path):
  return '/'.join(str(key.key) for key in path)


def _edges(low, high, bins):
  if low == high:  # bins of no width have no counts
    margin = max(abs(low), 1.0) / 2
    low, high = low - margin, high + margin
  return np.linspace(low, high, bins + 1)
