"""Compares the metrics of attribution maps with those of Quantus, on a network with equal weights.

    pip install '.[parity]'
    python -m launch.benchmarks.parity_quantus

The network has two dense layers with random weights, and reads images of 8 × 8 pixels. Where
Quantus has the same definition, the numbers are compared; docs/parity.md lists where it departs
from the papers. Prints one JSON line for each metric, and a table.
"""

import json
import sys

import jax
import numpy as np
import quantus
import torch
from quantus.functions import perturb_func

from jaxdl.analysis import attribution
from jaxdl.analysis.grading import faithfulness, imputation, localisation, removal, stability
from jaxdl.models import CNN

SIDE, HIDDEN, CLASSES, IMAGES = 8, 16, 4, 6
GOAL = 1e-4
QUIET = dict(disable_warnings=True, display_progressbar=False)


def networks(draw):
  """(model, variables, the same network in PyTorch)."""
  kernels = [
    draw.normal(size=size).astype(np.float32) / 4
    for size in ((SIDE * SIDE, HIDDEN), (HIDDEN, CLASSES))
  ]
  biases = [draw.normal(size=kernel.shape[1]).astype(np.float32) / 4 for kernel in kernels]
  model = CNN(
    layers=(
      dict(kind='flatten'),
      dict(kind='dense', features=HIDDEN),
      dict(kind='dense', features=CLASSES, activate=False, name='logits'),
    )
  )
  names = 'dense1', 'logits'
  params = {
    name: {'kernel': kernel, 'bias': bias}
    for name, kernel, bias in zip(names, kernels, biases, strict=True)
  }
  sizes = [(kernel.shape[0], kernel.shape[1]) for kernel in kernels]
  twin = torch.nn.Sequential(
    torch.nn.Flatten(), torch.nn.Linear(*sizes[0]), torch.nn.ReLU(), torch.nn.Linear(*sizes[1])
  )
  for layer, kernel, bias in zip((twin[1], twin[3]), kernels, biases, strict=True):
    layer.weight.data, layer.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
  return model, {'params': params}, twin.eval()


def of_quantus(metric, twin, images, labels, maps, evidence=None, **others):
  """The scores of a Quantus metric; images [B, H, W, 1] and maps [B, H, W]."""
  return np.asarray(
    metric(
      model=twin,
      x_batch=np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
      y_batch=labels,
      a_batch=np.array(maps)[:, None],
      s_batch=None if evidence is None else evidence[:, None],
      device='cpu',
      **others,
    )
  )


def compared():
  """Yields (metric, numbers of jaxdl, numbers of Quantus)."""
  draw = np.random.default_rng(0)
  model, variables, twin = networks(draw)
  images = draw.random((IMAGES, SIDE, SIDE, 1)).astype(np.float32)
  labels = draw.integers(0, CLASSES, IMAGES)
  network = model, variables, images, labels
  signed = attribution.input_x_gradient(*network)[..., 0]
  positive = np.abs(signed)
  evidence = draw.random((IMAGES, SIDE, SIDE)) < 0.2
  kept = dict(abs=False, normalise=False, **QUIET)
  arguments = twin, images, labels

  metric = quantus.PointingGame(**kept)
  theirs = of_quantus(metric, *arguments, positive, evidence)
  yield 'pointing game', localisation.pointing_game(positive, evidence), theirs
  metric = quantus.RelevanceMassAccuracy(**kept)
  theirs = of_quantus(metric, *arguments, positive, evidence)
  yield 'relevance mass', localisation.relevance_mass(positive, evidence), theirs
  metric = quantus.RelevanceRankAccuracy(**kept)
  theirs = of_quantus(metric, *arguments, positive, evidence)
  yield 'relevance rank', localisation.relevance_rank(positive, evidence), theirs
  metric = quantus.Sparseness(**kept)
  yield 'sparseness (Gini)', localisation.gini(positive), of_quantus(metric, *arguments, positive)

  # Quantus's curve begins after the first pixel; its values are those of `softmax`.
  metric = quantus.PixelFlipping(features_in_step=1, perturb_baseline=0.0, **kept)
  theirs = of_quantus(metric, *arguments, signed, softmax=True)
  ours = faithfulness.deletion(*network, signed, fill=0.0, steps=SIDE * SIDE).scores[:, 1:]
  yield 'deletion curve (pixel flipping)', ours, theirs.reshape(ours.shape)

  removed = draw.random((IMAGES, SIDE, SIDE)) < 0.6
  theirs = [
    perturb_func.noisy_linear_imputation(
      arr=image.transpose(2, 0, 1).astype(np.float64), indices=np.flatnonzero(gone), noise=0.0
    )
    for image, gone in zip(images, removed, strict=True)
  ]
  ours = np.asarray(imputation.impute(images, removed))[..., 0]
  yield 'linear imputation of ROAD', ours, np.reshape(theirs, ours.shape)

  # Blocks of one pixel that accumulate: the same subsets in `removal.remove`.
  metric = quantus.Infidelity(
    perturb_baseline=0.0, perturb_patch_sizes=[1], n_perturb_samples=1, **kept
  )
  gradient = attribution.saliency(*network)[..., 0]
  theirs = of_quantus(metric, *arguments, gradient, softmax=False)
  subsets = np.tril(np.ones((SIDE * SIDE, SIDE * SIDE), bool))
  drops = removal.remove(*network, subsets, fill=0.0)
  ratio = np.square(drops.drops.astype(np.float64)).mean(1)
  ours = faithfulness.infidelity(gradient * images[..., 0], drops, scaled=False) * ratio
  yield 'infidelity', ours, theirs

  def explain(model, inputs, targets, **others):
    pixels = np.asarray(inputs).reshape(-1, SIDE, SIDE, 1)
    return attribution.input_x_gradient(_model, variables, pixels, targets)[..., 0][:, None]

  _model = model
  metric = quantus.MaxSensitivity(nr_samples=200, lower_bound=0.05, **kept)
  theirs = of_quantus(metric, *arguments, signed, explain_func=explain)
  ours = stability.max_sensitivity(
    attribution.input_x_gradient, *network, radius=0.05 / np.ptp(images), samples=200
  )
  yield 'max-sensitivity (random draws)', ours, theirs


def main() -> int:
  """Prints the comparison; returns 1 if a difference is above the goal."""
  rows, failed = [], 0
  for name, ours, theirs in compared():
    scale = max(float(np.nanmax(np.abs(theirs))), 1e-12)
    difference = float(np.nanmax(np.abs(ours - theirs))) / scale
    random = 'random' in name
    failed += difference > GOAL and not random
    print(json.dumps({'metric': name, 'difference': difference, 'random': random}), flush=True)
    rows.append(f'| {name} | {difference:.1e} |')
  print('\n'.join(['| metric | difference |', '|---|--:|', *rows]))
  return 1 if failed else 0


if __name__ == '__main__':
  jax.config.update('jax_platforms', 'cpu')
  sys.exit(main())
