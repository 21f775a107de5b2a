"""Localisation: whether a map is on evidence whose place is known.

Maps [B, …] have one number for each place: [B, H, W] of images, [B, T] of sequences. The evidence
[B, …] is True at the places that decide. Only a network whose evidence is known, such as one
trained on a planted cue, can be graded so: on a photograph, the outline of an object is not the
truth about what the network uses.
"""

import flax.linen as nn
import numpy as np
from jaxtyping import Bool, Float, Float64, Integer, Shaped

from jaxdl.analysis.maps import gradients
from jaxdl.analysis.units import AnyArray, Variables


def pointing_game(
  maps: Shaped[AnyArray, 'B ...'], evidence: Bool[np.ndarray, 'B ...']
) -> Float64[np.ndarray, 'B']:
  """Whether the greatest number of a map is on the evidence.

  Args:
    maps: [B, …].
    evidence: [B, …] bool.

  Returns:
    1 for a hit and 0 for a miss; where several places have the greatest number, the share of them
    on the evidence, which is the chance of a random choice. A map without positive numbers is a
    miss: it has no evidence for the class.

  Raises:
    ValueError: evidence of another shape, or without a place.

  Source: Zhang et al. 2018, Top-down neural attention by excitation backprop, section 4.1, without
    a margin.
  """
  flat, truth = _flat(maps, evidence)
  greatest = flat.max(1, keepdims=True)
  at_top = (flat == greatest) & (greatest > 0)
  return (at_top & truth).sum(1) / np.maximum(at_top.sum(1), 1)


def relevance_mass(
  maps: Shaped[AnyArray, 'B ...'], evidence: Bool[np.ndarray, 'B ...']
) -> Float64[np.ndarray, 'B']:
  """Share of the positive numbers of a map that is on the evidence.

  Arguments and errors as in `pointing_game`.

  Returns:
    from 0 to 1: more is better; 0 for a map without positive numbers.

  Source: Arras et al. 2022, CLEVR-XAI, section 3.3.
  """
  flat, truth = _flat(maps, evidence)
  positive = np.maximum(flat, 0)
  total = positive.sum(1)
  return np.divide((positive * truth).sum(1), total, out=np.zeros(len(flat)), where=total > 0)


def relevance_rank(
  maps: Shaped[AnyArray, 'B ...'], evidence: Bool[np.ndarray, 'B ...']
) -> Float64[np.ndarray, 'B']:
  """Share of the K greatest numbers of a map that is on the K places of the evidence.

  Arguments and errors as in `pointing_game`.

  Returns:
    from 0 to 1: more is better. Of equal numbers at the limit, the expected value of a random
    choice.

  Source: Arras et al. 2022, CLEVR-XAI, section 3.3.
  """
  flat, truth = _flat(maps, evidence)
  size = truth.sum(1)
  limit = np.take_along_axis(-np.sort(-flat, axis=1), size[:, None] - 1, axis=1)  # Kth greatest
  above, equal = flat > limit, flat == limit
  left = size - above.sum(1)
  chance = (equal & truth).sum(1) / np.maximum(equal.sum(1), 1)
  return ((above & truth).sum(1) + left * chance) / size


def gini(maps: Shaped[AnyArray, 'B ...']) -> Float64[np.ndarray, 'B']:
  """Sparseness of the magnitudes of a map: the Gini index.

  Args:
    maps: [B, …].

  Returns:
    0 if all magnitudes are equal, 1 − 1/P if one of P places has all; NaN for a map of zeros. A
    sparse map is easier to read, but not more faithful.

  Source: Hurley & Rickard 2009, Comparing measures of sparsity; of attributions, Chalasani et al.
    2020, Concise explanations of neural networks using adversarial training.
  """
  flat = np.sort(np.abs(np.asarray(maps, np.float64)).reshape(len(maps), -1), axis=1)
  count = flat.shape[1]
  weights = 2 * np.arange(1, count + 1) - count - 1
  total = flat.sum(1)
  return np.divide(flat @ weights, count * total, out=np.full(len(flat), np.nan), where=total > 0)


def follows_evidence(
  model: nn.Module,
  variables: Variables,
  inputs: Float[np.ndarray, 'B ...'],
  labels: Integer[np.ndarray, 'B'],
  evidence: Bool[np.ndarray, 'B ...'],
) -> Bool[np.ndarray, 'N']:
  """Whether the evidence decides: the predicted class of examples with another one's evidence.

  Each example gets the places of the evidence of the next example of another class that has its
  evidence at the same places.

  Args:
    model: linen module.
    variables: its variables.
    inputs: [B, H, W, C] or [B, T, I], scaled as in training.
    labels: classes [B] int.
    evidence: [B, H, W] or [B, T] bool.

  Returns:
    whether the predicted class is that of the evidence, for the N examples that have such another
    one. If it is True for all, the network uses the evidence alone.
  """
  flat, labels = evidence.reshape(len(evidence), -1), np.asarray(labels)
  pairs = []
  for first in range(len(inputs)):
    following = np.roll(np.arange(len(inputs)), -first - 1)
    fits = (labels[following] != labels[first]) & (flat[following] == flat[first]).all(1)
    if fits.any():
      pairs.append((first, following[fits.argmax()]))
  if not pairs:
    return np.zeros(0, bool)
  own, other = np.array(pairs).T
  changed = np.where(evidence[own][..., None], inputs[other], inputs[own])
  logits = np.asarray(gradients.program(_logits, model, variables, labels)(changed, labels[other]))
  return logits.argmax(-1) == labels[other]


def _logits(model, variables, inputs, labels):
  del labels
  return model.apply(variables, inputs)


def _flat(maps, evidence):
  """Maps and evidence [B, P]."""
  maps, evidence = np.asarray(maps), np.asarray(evidence)
  if evidence.shape != maps.shape or evidence.dtype != bool:
    raise ValueError(
      f'evidence of shape {evidence.shape} and type {evidence.dtype} does not fit maps of shape '
      f'{maps.shape}: give a boolean for each place'
    )
  truth = evidence.reshape(len(maps), -1)
  if not truth.any(1).all():
    raise ValueError(
      f'{(~truth.any(1)).sum()} of {len(maps)} examples have no evidence: leave them out'
    )
  return maps.reshape(len(maps), -1).astype(np.float64), truth
