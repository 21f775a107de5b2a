"""Compares LRP with Zennit's and Captum's, and DeepLIFT and HiResCAM with Captum's; in float64.

Used by `parity`.
"""

import captum.attr
import captum.attr._utils.lrp_rules as captum_rules
import numpy as np
import torch
import zennit.attribution
import zennit.canonizers
import zennit.composites
import zennit.core
import zennit.rules
import zennit.types
from torch import nn

from jaxdl.analysis import attribution
from jaxdl.analysis.maps import relevance
from jaxdl.analysis.maps.relevance_rules import Epsilon, Gamma, Rules, ZPlus

# modules of networks on which Captum's LRP is compared
PLAIN = ('Conv2d', 'Linear', 'MaxPool2d', 'ReLU', 'Flatten', 'Channels')
GOALS = {  # largest difference as a share of the largest value, in float64
  'LRP-ε (Zennit)': 1e-4,  # ε is 0.25 of the root mean square there, and 1e-6 more here
  'LRP-0 (Zennit)': 1e-7,
  'LRP ε, z⁺ (Zennit)': 1e-7,
  'LRP ε, z⁺, flat (Zennit)': 1e-7,
  'LRP ε, γ, z^B (Zennit)': 1e-7,
  'LRP γ (Zennit)': 1e-7,
  'LRP-0 (Captum)': 1e-3,  # its ε also applies to max-pooling
  'DeepLIFT (Captum)': 1e-7,
  'HiResCAM (Captum)': 1e-7,
}


def compare(given, torch_model, named, layer):
  """Yields (method, ours [B, H, W, C] or [B, h, w], Captum's or Zennit's as NumPy).

  Args:
    given: (linen module, variables, images in 0..1, labels), float64.
    torch_model: the same network, a module for each operation.
    named: layer → module that puts out what it does.
    layer: the last convolution.
  """
  images, labels = given[2:]
  inputs = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).requires_grad_()
  target = torch.from_numpy(np.asarray(labels, np.int64))
  low, high = torch.zeros_like(inputs[:1]), torch.ones_like(inputs[:1])
  plain = Rules(*[Epsilon()] * 3)
  share = zennit.core.Stabilizer(epsilon=0.25, norm_scale=True)
  composites = {
    'LRP-ε (Zennit)': (relevance.EPSILON, _uniform(zennit.rules.Epsilon(share))),
    'LRP-0 (Zennit)': (plain, _uniform(zennit.rules.Epsilon())),
    'LRP γ (Zennit)': (Rules(*[Gamma()] * 3), _uniform(zennit.rules.Gamma())),
    'LRP ε, z⁺ (Zennit)': (
      Rules(ZPlus(), ZPlus(), Epsilon()),
      zennit.composites.EpsilonPlus(canonizers=_merged()),
    ),
    'LRP ε, z⁺, flat (Zennit)': (
      relevance.EPSILON_PLUS_FLAT,
      zennit.composites.EpsilonPlusFlat(canonizers=_merged()),
    ),
    'LRP ε, γ, z^B (Zennit)': (
      relevance.epsilon_gamma_box(0.0, 1.0),
      zennit.composites.EpsilonGammaBox(low, high, canonizers=_merged()),
    ),
  }
  for method, (rules, composite) in composites.items():
    ours = attribution.lrp(*given, rules, batch_size=len(images)).maps
    yield method, ours, _by_zennit(torch_model, composite, inputs, target)
  if all(type(module).__name__ in PLAIN for module in torch_model):
    ours = attribution.lrp(*given, plain).maps
    yield 'LRP-0 (Captum)', ours, _by_captum(torch_model, inputs, target)
  if not any(_overlaps(module) for module in torch_model):
    # The baseline is random, because a constant one makes the values of a window equal.
    baseline = np.random.default_rng(1).random(images.shape)
    ours = attribution.deep_lift(*given, baseline=baseline).maps
    yield 'DeepLIFT (Captum)', ours, _deep_lift(torch_model, inputs, target, baseline)
  theirs = captum.attr.LayerGradientXActivation(torch_model, named[layer]).attribute(inputs, target)
  ours = attribution.hires_cam(*given, layer, relu=False).maps
  yield 'HiResCAM (Captum)', ours, theirs.sum(1).detach().numpy()


class Copy(nn.Module):
  """Separates the tensors of two modules.

  Without it, Captum 0.9 ignores the multipliers of max-pooling that reads a ReLU.
  """

  def forward(self, inputs):
    return inputs * 1.0


def _overlaps(module):
  """Whether windows of max-pooling overlap, where Captum loses contributions."""
  return isinstance(module, nn.MaxPool2d) and module.stride < module.kernel_size


def _deep_lift(torch_model, inputs, target, baseline):
  """Captum's DeepLIFT, one image at a time: in a batch, images depend on the first one."""
  parts = [(module, Copy()) if isinstance(module, nn.ReLU) else (module,) for module in torch_model]
  method = captum.attr.DeepLift(nn.Sequential(*sum(parts, ())))
  baselines = torch.from_numpy(np.ascontiguousarray(baseline.transpose(0, 3, 1, 2)))
  found = [
    method.attribute(inputs[n : n + 1], baselines=baselines[n : n + 1], target=target[n : n + 1])
    for n in range(len(inputs))
  ]
  return _channels_last(torch.cat(found))


def _merged():
  return [zennit.canonizers.SequentialMergeBatchNorm()]


def _uniform(rule):
  """Zennit's composite of one rule for all linear layers."""
  layers = [*zennit.composites.layer_map_base(), (zennit.types.Linear, rule)]
  return zennit.composites.LayerMapComposite(layers, canonizers=_merged())


def _by_zennit(torch_model, composite, inputs, target):
  # The logits of the network itself: Zennit's merged batch normalisation still divides by √(1 + ε).
  logits = torch_model(inputs).detach()
  start = logits * nn.functional.one_hot(target, logits.shape[-1])
  with zennit.attribution.Gradient(torch_model, composite) as attributor:
    _, found = attributor(inputs, start)
  return _channels_last(found)


def _by_captum(torch_model, inputs, target):
  for module in torch_model:
    if not isinstance(module, nn.ReLU):
      module.rule = captum_rules.EpsilonRule(1e-6)
  return _channels_last(captum.attr.LRP(torch_model).attribute(inputs, target))


def _channels_last(tensor):
  return tensor.detach().numpy().transpose(0, 2, 3, 1)
