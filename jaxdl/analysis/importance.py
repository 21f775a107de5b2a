"""Permutation importance of features."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Shaped

ROUNDS = 10  # permutations of a feature


def permuted(
  losses: Callable[[np.ndarray], Float[np.ndarray, ' N']],
  inputs: Shaped[np.ndarray, 'N F'],
  groups: Mapping[str, Sequence[int]],
  *,
  seed: int,
  rounds: int = ROUNDS,
) -> tuple[dict[str, Float[np.ndarray, ' R']], float]:
  """Computes the increase of the loss when a feature is permuted among the examples.

  A permuted feature keeps its distribution but has no relation to the target, nor to the other
  features (Breiman, Random Forests, 2001). Features that carry the same information can replace
  each other: each of them then has a low importance.

  Args:
    losses: function (inputs [N, F]) → the loss of each example.
    inputs: the inputs of the network.
    groups: feature → its columns of the inputs, which are permuted together.
    seed: seed of the permutations.
    rounds: number R of permutations of each feature.

  Returns:
    (feature → increase of the mean loss in each round [R], mean loss without permutation).
  """
  draw = np.random.default_rng(seed)
  orders = [draw.permutation(len(inputs)) for _ in range(rounds)]
  mean = float(losses(inputs).mean())
  found = {}
  for name, places in groups.items():
    changes = []
    for order in orders:
      changed = np.array(inputs)
      changed[:, list(places)] = inputs[order][:, list(places)]
      changes.append(float(losses(changed).mean()) - mean)
    found[name] = np.array(changes)
  return found, mean
