"""Linear probes: what a linear classifier reads from the output of each layer."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from jaxdl.analysis.embedding_quality import LinearAccuracy, checked, divided, fit_linear
from jaxdl.analysis.units import ArrayLike, Number

COMPONENTS = 128  # most features of a probe; wider layers are reduced to principal components
# As in fit_linear: about 40 classes and 750 examples, since every layer has a probe.
WORK = 4_000_000


class Probe(NamedTuple):
  """A linear classifier of the features of a layer.

  Attributes:
    accuracy: accuracies, and the method of the fit.
    features: number of features of the layer.
    components: number of principal components to which they were reduced; 0 for none.
    explained: share of the variance that the components keep; 1 without reduction.
  """

  accuracy: LinearAccuracy
  features: int
  components: int
  explained: float


def probe(
  features: ArrayLike,
  labels: ArrayLike,
  *,
  held_out: Number = 0.25,
  components: int = COMPONENTS,
  seed: int = 0,
) -> Probe:
  """Fits a linear classifier of features and measures it on held-out examples.

  All layers are probed on the same division of the examples, for equal seeds. Features are
  standardised. Principal components are those of the examples to fit, on one scale, so that weak
  components stay weak. With many classes, the classifier is a ridge regression.

  Args:
    features: [N, D], such as the output of a layer.
    labels: [N] int.
    held_out: fraction of the examples, drawn at random.
    components: most features; more are reduced to this number of principal components.
    seed: seed of the draw.

  Returns:
    Probe.

  Raises:
    ValueError: features that are not a finite matrix, no components, unequal lengths, a part
      without examples, or fewer than two classes to fit.
    ImportError: scikit-learn is missing.

  Source: Alain & Bengio 2017, Understanding intermediate layers using linear classifier probes.
  """
  features, labels = checked(features), np.asarray(labels)
  if components < 1:
    raise ValueError(f'components={components} is too few: use at least 1')
  train, test = divided(len(features), labels, held_out, seed)
  size, explained, used = features.shape[1], 1.0, 0
  first, second = features[train], features[test]
  if size > components:
    used = min(components, len(train) - 1)
    first, second, explained = reduced(first, second, used)
  accuracy = fit_linear(first, labels[train], second, labels[test], one_scale=used > 0, work=WORK)
  return Probe(accuracy, size, used, explained)


def reduced(
  train: Float[np.ndarray, 'F D'], test: Float[np.ndarray, 'H D'], components: int
) -> tuple[Float64[np.ndarray, 'F P'], Float64[np.ndarray, 'H P'], float]:
  """Principal components of the first examples, and the coordinates of both.

  They are computed from the inner products of the examples, which are fewer than the features.

  Args:
    train: examples that define the components.
    test: further examples.
    components: P, fewer than F.

  Returns:
    (coordinates, coordinates of the further examples, share of the variance).
  """
  mean = train.mean(0)
  train, test = train - mean, test - mean
  values, vectors = np.linalg.eigh(train @ train.T)  # ascending
  kept = np.maximum(values[::-1][:components], 0)
  scale = np.sqrt(kept)
  vectors = vectors[:, ::-1][:, :components]
  inverse = np.where(scale > 1e-9 * max(scale[0], 1e-300), 1 / np.maximum(scale, 1e-300), 0)
  total = float(np.maximum(values, 0).sum())
  explained = float(kept.sum()) / total if total else 1.0
  return vectors * scale, (test @ train.T) @ vectors * inverse, explained
