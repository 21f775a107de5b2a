"""Compares LRP with Zennit's and Captum's, and DeepLIFT and HiResCAM with Captum's; in float64.

Used by `parity`.
"""

import copy

import captum.attr
import captum.attr._utils.lrp_rules as captum_rules
import jax
import numpy as np
import torch
import zennit.attribution
import zennit.canonizers
import zennit.composites
import zennit.core
import zennit.rules
import zennit.types
from torch import nn
from torch.nn.utils import fusion

from jaxdl.analysis import attribution
from jaxdl.analysis.maps import relevance
from jaxdl.analysis.maps.relevance_rules import STABILISER, Epsilon, Gamma, Rules, ZPlus

BATCH_NORMS = nn.BatchNorm1d, nn.BatchNorm2d
GOALS = {  # largest difference as a share of the largest value, in float64
  'LRP-ε (Zennit)': 1e-4,  # ε is 0.25 of the root mean square there, and 1e-6 more here
  'LRP-0 (Zennit)': 1e-7,
  'LRP ε, z⁺ (Zennit)': 1e-7,
  'LRP ε, z⁺, flat (Zennit)': 1e-7,
  'LRP ε, γ, z^B (Zennit)': 1e-7,
  'LRP γ (Zennit)': 1e-7,
  'LRP-0 (Captum)': 1e-7,
  'LRP ε, z⁺ without biases (Captum)': 1e-7,
  'LRP ε, γ without biases (Captum)': 1e-7,
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
  merged = _with_folded_batch_norm(torch_model)
  ours = attribution.lrp(*given, plain).maps
  yield (
    'LRP-0 (Captum)',
    ours,
    _by_captum(merged, captum_rules.EpsilonRule(STABILISER), inputs, target),
  )
  if not any(isinstance(module, BATCH_NORMS) for module in torch_model):
    # In Captum, these rules have no term for biases and none for negative inputs.
    unbiased = given[0], _without_biases(given[1]), images, labels
    for module in merged:
      if getattr(module, 'bias', None) is not None:
        nn.init.zeros_(module.bias)
    for name, rule, theirs in (
      ('z⁺', ZPlus(), captum_rules.Alpha1_Beta0_Rule()),
      ('γ', Gamma(), captum_rules.GammaRule()),
    ):
      theirs.STABILITY_FACTOR = STABILISER
      ours = attribution.lrp(*unbiased, Rules(rule, rule, Epsilon())).maps
      found = _by_captum(merged, theirs, inputs, target)
      yield f'LRP ε, {name} without biases (Captum)', ours, found
  # The baseline is random, because a constant one makes the values of a window equal.
  baseline = np.random.default_rng(1).random(images.shape)
  ours = attribution.deep_lift(*given, baseline=baseline).maps
  yield 'DeepLIFT (Captum)', ours, _deep_lift(torch_model, inputs, target, baseline)
  theirs = captum.attr.LayerGradientXActivation(torch_model, named[layer]).attribute(inputs, target)
  ours = attribution.hires_cam(*given, layer, relu=False).maps
  yield 'HiResCAM (Captum)', ours, theirs.sum(1).detach().numpy()


class Copy(nn.Module):
  """Separates the tensors of two modules.

  Without it, Captum 0.9 ignores the multipliers of max-pooling that reads a ReLU, and of a ReLU
  that reads max-pooling.
  """

  def forward(self, inputs):
    return inputs * 1.0


class Apart(nn.Module):
  """[B, C, H, W] → [B, C, N · window, M · window], in which the windows do not overlap.

  Max-pooling of these is the same function. With windows that overlap, Captum 0.9 keeps the
  contributions of one window only.
  """

  def __init__(self, window: int, stride: int):
    super().__init__()
    self.window, self.stride = window, stride

  def forward(self, inputs):
    found = inputs
    for axis in (2, 3):
      found = found.unfold(axis, self.window, self.stride)  # [B, C, N, M, window, window]
    batch, channels, rows, columns = found.shape[:4]
    found = found.permute(0, 1, 2, 4, 3, 5)
    return found.reshape(batch, channels, rows * self.window, columns * self.window)


class Passed(captum_rules.PropagationRule):
  """Relevance goes where the gradient goes, as in Zennit: for max-pooling, reshaping and padding.

  With Captum's ε rule, max-pooling loses the relevance of maxima that are 0.
  """

  def _create_backward_hook_input(self, inputs):
    def passed(grad):
      grad.replace_out = grad.clone()
      return grad

    return passed

  def _create_backward_hook_output(self, outputs):
    return lambda grad: grad

  def _manipulate_weights(self, module, inputs, outputs):
    pass


class Unchanged(captum_rules.IdentityRule):
  """Relevance passes unchanged, also to a ReLU, which Captum 0.9 gives the gradient instead."""

  def _create_backward_hook_input(self, inputs):
    def unchanged(grad):
      grad.replace_out = self.relevance_output[grad.device]
      return grad.replace_out

    return unchanged


def _for_deep_lift(module):
  """Modules that compute the same as a module, in a form in which Captum's rules hold."""
  if isinstance(module, nn.ReLU):
    return [module, Copy()]
  if isinstance(module, nn.MaxPool2d):
    (window, _), (stride, _) = module.kernel_size, module.stride
    if stride < window:
      return [Apart(window, stride), nn.MaxPool2d(window), Copy()]
    return [module, Copy()]
  return [module]


def _deep_lift(torch_model, inputs, target, baseline):
  """Captum's DeepLIFT, one image at a time: in a batch, images depend on the first one."""
  parts = [part for module in torch_model for part in _for_deep_lift(module)]
  method = captum.attr.DeepLift(nn.Sequential(*parts))
  baselines = torch.from_numpy(np.ascontiguousarray(baseline.transpose(0, 3, 1, 2)))
  found = [
    method.attribute(inputs[n : n + 1], baselines=baselines[n : n + 1], target=target[n : n + 1])
    for n in range(len(inputs))
  ]
  return _channels_last(torch.cat(found))


def _with_folded_batch_norm(torch_model):
  """A copy in which batch normalisation right after a linear layer is folded into it."""
  parts = []
  for module in copy.deepcopy(torch_model):
    if isinstance(module, BATCH_NORMS) and isinstance(parts[-1], nn.Conv2d):
      parts[-1] = fusion.fuse_conv_bn_eval(parts[-1], module)
    elif isinstance(module, BATCH_NORMS) and isinstance(parts[-1], nn.Linear):
      parts[-1] = fusion.fuse_linear_bn_eval(parts[-1], module)
    else:
      parts.append(module)
  return nn.Sequential(*parts).eval()


def _without_biases(variables):
  """The variables with biases of 0."""

  def zero(path, leaf):
    return np.zeros_like(leaf) if path[-1].key == 'bias' else leaf

  return jax.tree_util.tree_map_with_path(zero, variables)


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


def _by_captum(torch_model, rule, inputs, target):
  """Captum's LRP: the rule in convolutions, ε in dense layers."""
  for module in torch_model:
    if isinstance(module, nn.Conv2d):
      module.rule = rule
    elif isinstance(module, nn.Linear):
      module.rule = captum_rules.EpsilonRule(STABILISER)
    elif isinstance(module, BATCH_NORMS):
      module.rule = Unchanged()
    elif not isinstance(module, nn.ReLU):
      module.rule = Passed()
  return _channels_last(captum.attr.LRP(torch_model).attribute(inputs, target))


def _channels_last(tensor):
  return tensor.detach().numpy().transpose(0, 2, 3, 1)
