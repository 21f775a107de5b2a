"""Optimizers by name, combined from optax's transformations.

All of them share these arguments:

- `schedule`: function (step) → factor of the learning rate.
- `learning_rate`: the learning rate, above 0.
- `clip_norm`: the largest global norm of the gradients; 0 for no clipping.
- `weight_decay`: decoupled weight decay (Loshchilov & Hutter 2019). Every step subtracts learning
  rate · weight_decay · parameter. It leaves out parameters of fewer than two axes, which are biases
  and batch normalisation.
- `decay_all`: whether weight decay includes these parameters.

They return an optax.GradientTransformation, and raise ValueError if a number is out of its range.
`build` adds what applies to every optimizer: groups of layers, frozen layers and Lookahead.
"""

import inspect
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from jaxdl.config import binding, checks, named
from jaxdl.step import layer_groups

Setting = Any  # a value of a config, which each function checks


def adam(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  b1: Setting = 0.9,
  b2: Setting = 0.999,
  eps: Setting = 1e-8,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Adam (Kingma & Ba 2015).

  Args:
    schedule, learning_rate, clip_norm: as above.
    b1: decay of the mean of the gradients.
    b2: decay of the mean of the squared gradients.
    eps: number that is added to the divisor.
  """
  return _rule(_adam(b1, b2, eps), schedule, learning_rate, clip_norm)


def adamw(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  b1: Setting = 0.9,
  b2: Setting = 0.999,
  eps: Setting = 1e-8,
  weight_decay: Setting = 1e-2,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Adam with decoupled weight decay (Loshchilov & Hutter 2019); the default decay is PyTorch's."""
  return _rule(_adam(b1, b2, eps), schedule, learning_rate, clip_norm, weight_decay, decay_all)


def sgd(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  weight_decay: Setting = 0.0,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Gradient descent: w ← w − learning rate · g."""
  return _rule(optax.identity(), schedule, learning_rate, clip_norm, weight_decay, decay_all)


def momentum(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  momentum: Setting = 0.9,
  weight_decay: Setting = 0.0,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Heavy ball: v ← momentum · v + g, w ← w − learning rate · v (Polyak 1964)."""
  checks.check_range(momentum, 'config.optimizer.momentum', 0, 1)
  return _rule(optax.trace(momentum), schedule, learning_rate, clip_norm, weight_decay, decay_all)


def nesterov(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  momentum: Setting = 0.9,
  weight_decay: Setting = 0.0,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Nesterov's momentum (Sutskever et al. 2013).

  v ← momentum · v + g, w ← w − learning rate · (g + momentum · v).
  """
  checks.check_range(momentum, 'config.optimizer.momentum', 0, 1)
  return _rule(
    optax.trace(momentum, nesterov=True),
    schedule,
    learning_rate,
    clip_norm,
    weight_decay,
    decay_all,
  )


def adagrad(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  initial: Setting = 0.1,
  eps: Setting = 1e-7,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """AdaGrad: s ← s + g², w ← w − learning rate · g / √(s + eps) (Duchi et al. 2011).

  The first s is `initial`.
  """
  checks.check_range(initial, 'config.optimizer.initial', 0)
  checks.check_range(eps, 'config.optimizer.eps', 0)
  return _rule(optax.scale_by_rss(initial, eps), schedule, learning_rate, clip_norm)


def rmsprop(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  decay: Setting = 0.9,
  eps: Setting = 1e-7,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """RMSProp (Hinton 2012, lecture 6e).

  s ← decay · s + (1 − decay) · g², w ← w − learning rate · g / √(s + eps).
  """
  checks.check_range(decay, 'config.optimizer.decay', 0, 1)
  checks.check_range(eps, 'config.optimizer.eps', 0)
  return _rule(optax.scale_by_rms(decay, eps), schedule, learning_rate, clip_norm)


def lion(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  b1: Setting = 0.9,
  b2: Setting = 0.99,
  weight_decay: Setting = 1e-3,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Lion (Chen et al. 2023): every parameter changes by the learning rate.

  w ← w − learning rate · (sign(b1 · m + (1 − b1) · g) + weight_decay · w), then
  m ← b2 · m + (1 − b2) · g.
  The paper recommends a third to a tenth of the learning rate of AdamW.
  """
  checks.check_range(b1, 'config.optimizer.b1', 0, 1)
  checks.check_range(b2, 'config.optimizer.b2', 0, 1)
  rule = optax.scale_by_lion(b1, b2)
  return _rule(rule, schedule, learning_rate, clip_norm, weight_decay, decay_all)


def muon(
  schedule: optax.Schedule,
  *,
  learning_rate: Setting,
  momentum: Setting = 0.95,
  iterations: Setting = 5,
  adam_layers: Setting = (),
  adam_rate: Setting = 1.0,
  b1: Setting = 0.9,
  b2: Setting = 0.999,
  eps: Setting = 1e-8,
  weight_decay: Setting = 0.0,
  decay_all: Setting = False,
  clip_norm: Setting = 0.0,
) -> optax.GradientTransformation:
  """Muon (Jordan et al. 2024): Nesterov's momentum, made orthogonal by Newton-Schulz iterations.

  It updates parameters with two or more axes, treated as a matrix: the last axis, the outputs, by
  all others. The update is scaled by √max(1, outputs / inputs). Biases and batch normalisation are
  updated by Adam with Nesterov's momentum, as in optax.

  Args:
    schedule, learning_rate, weight_decay, decay_all, clip_norm: as above.
    momentum: decay of the mean of the gradients.
    iterations: number of Newton-Schulz iterations.
    adam_layers: patterns of the names of layers that Adam changes as well, such as the last one.
    adam_rate: factor of the learning rate of the parameters that Adam changes.
    b1, b2: of Adam.
    eps: number that is added to divisors.
  """
  checks.check_range(momentum, 'config.optimizer.momentum', 0, 1)
  checks.check_integer(iterations, 'config.optimizer.iterations', 1, 100)
  checks.check_range(adam_rate, 'config.optimizer.adam_rate', 0, above=True)
  patterns = layer_groups.read_patterns(adam_layers, 'config.optimizer.adam_layers')
  adam_rule = optax.chain(_adam(b1, b2, eps, nesterov=True), optax.scale(adam_rate))
  matrix_rule = optax.chain(
    contrib.scale_by_muon(
      ns_steps=iterations, beta=momentum, eps=eps, weight_dimension_numbers=_as_matrices
    ),
    optax.stateless(lambda updates, params: jax.tree.map(_scaled_by_shape, updates)),
  )

  def rule_of(layer, values):
    is_matrix = values.ndim >= 2 and not layer_groups.matches(layer, patterns)
    return 'muon' if is_matrix else 'adam'

  direction = optax.partition(
    {'muon': matrix_rule, 'adam': adam_rule}, lambda params: layer_groups.labels(params, rule_of)
  )
  return _rule(direction, schedule, learning_rate, clip_norm, weight_decay, decay_all)


def _as_matrices(params):
  """The axes by which Muon takes each parameter as a matrix: the last one against all others."""
  return jax.tree.map(
    lambda values: contrib.MuonDimensionNumbers(tuple(range(values.ndim - 1)), values.ndim - 1),
    params,
  )


def _scaled_by_shape(update):
  """An update of Muon times √max(1, outputs / inputs) of its matrix."""
  outputs = update.shape[-1]
  return update * math.sqrt(max(1, outputs * outputs / update.size))


def _adam(b1, b2, eps, *, nesterov=False):
  checks.check_range(b1, 'config.optimizer.b1', 0, 1)
  checks.check_range(b2, 'config.optimizer.b2', 0, 1)
  checks.check_range(eps, 'config.optimizer.eps', 0)
  return optax.scale_by_adam(b1=b1, b2=b2, eps=eps, nesterov=nesterov)


def _rule(direction, schedule, learning_rate, clip_norm, weight_decay=0.0, decay_all=False):
  """Chains clipping, the direction, weight decay and the learning rate."""
  checks.check_range(learning_rate, 'config.optimizer.learning_rate', 0, above=True)
  checks.check_range(clip_norm, 'config.optimizer.clip_norm', 0)
  checks.check_range(weight_decay, 'config.optimizer.weight_decay', 0)
  checks.check_flag(decay_all, 'config.optimizer.decay_all')
  parts = []
  if clip_norm > 0:
    parts.append(optax.clip_by_global_norm(clip_norm))
  parts.append(direction)
  if weight_decay > 0:
    parts.append(optax.add_decayed_weights(weight_decay, mask=None if decay_all else _kernels))
  parts.append(optax.scale_by_learning_rate(lambda step: learning_rate * schedule(step)))
  return optax.chain(*parts)


def _kernels(params):
  """True for every parameter of two or more axes, which are not biases or batch normalisation."""
  return jax.tree.map(lambda values: values.ndim >= 2, params)


def own(reference: named.Reference) -> Callable[..., optax.GradientTransformation]:
  """An optimizer of own code, or one of optax, such as 'optax:lion'.

  Args:
    reference: function with the argument `schedule`, as described above; or one whose learning rate
      may be a function of the step, as those of optax.

  Returns:
    Function with the argument `schedule` and all others as keyword arguments.
  """
  function = named.guarded(reference)
  parameters = dict(inspect.signature(function).parameters)
  if 'schedule' in parameters:
    return function

  def made(schedule, *, learning_rate, **others):
    checks.check_range(learning_rate, 'config.optimizer.learning_rate', 0, above=True)
    return function(learning_rate=lambda step: learning_rate * schedule(step), **others)

  keywords = [
    one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
    for one in parameters.values()
    if one.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
  ]
  schedule = inspect.Parameter('schedule', inspect.Parameter.POSITIONAL_OR_KEYWORD)
  made.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
    [schedule, *keywords]
  )
  return made


OPTIMIZERS = {
  'adam': adam,
  'adamw': adamw,
  'sgd': sgd,
  'momentum': momentum,
  'nesterov': nesterov,
  'adagrad': adagrad,
  'rmsprop': rmsprop,
  'lion': lion,
  'muon': muon,
}


class LookaheadState(NamedTuple):
  """State of `with_lookahead`.

  Attributes:
    rule: state of the optimizer.
    slow: slow weights, a tree like the parameters.
    since: [] int32, number of steps since the slow weights changed.
  """

  rule: Any
  slow: Any
  since: jax.Array


def with_lookahead(
  rule: optax.GradientTransformation, *, every: Setting = 5, rate: Setting = 0.5
) -> optax.GradientTransformation:
  """Lookahead (Zhang et al. 2019): moves the parameters back towards slow weights every few steps.

  After `every` steps of `rule`, slow ← slow + rate · (parameters − slow), and the parameters are
  set to these slow weights. It computes the same numbers as optax.lookahead, which would need a
  pair of parameters instead of one.

  Args:
    rule: the optimizer.
    every: number of steps.
    rate: fraction of the difference that is added to the slow weights.

  Returns:
    The optimizer, whose state has the slow weights. Its updates must be added without a change.

  Raises:
    ValueError: a value is out of its range.
  """
  checks.check_integer(every, 'config.optimizer.lookahead.every', 1, 1_000_000)
  checks.check_range(rate, 'config.optimizer.lookahead.rate', 0, above=True)
  if rate > 1:
    raise ValueError(
      f'config.optimizer.lookahead.rate={rate!r} is out of range: use a number above 0, at most 1'
    )

  def init(params):
    return LookaheadState(rule.init(params), jax.tree.map(jnp.array, params), jnp.int32(0))

  def update(updates, state, params=None):
    updates, rule_state = rule.update(updates, state.rule, params)
    is_due = state.since == every - 1
    slow = jax.tree.map(
      lambda slow, param, change: jnp.where(is_due, slow + rate * (param + change - slow), slow),
      state.slow,
      params,
      updates,
    )
    updates = jax.tree.map(
      lambda change, slow, param: jnp.where(is_due, slow - param, change), updates, slow, params
    )
    return updates, LookaheadState(rule_state, slow, (state.since + 1) % every)

  return optax.GradientTransformation(init, update)


OF_EVERY = ('groups', 'frozen', 'lookahead')  # keys of the section that every optimizer accepts


def build(section: Any, schedule: optax.Schedule) -> optax.GradientTransformation:
  """Builds the optimizer of a config.

  Args:
    section: the section `config.optimizer`: 'name', the arguments of that optimizer, 'groups' as in
      `layer_groups.read` (the first one that matches a layer applies to it), 'frozen', patterns of
      the names of layers that do not change, and 'lookahead', the arguments of `with_lookahead`.
    schedule: function (step) → factor of the learning rate.

  Returns:
    The optimizer. The global norm for `clip_norm` is that of all layers that are not frozen.

  Raises:
    ValueError: a name or key is unknown, or a value is out of its range.
  """
  checks.check_section(section, 'config.optimizer')
  keys = {key: value for key, value in section.items() if key not in OF_EVERY}
  bound = binding.bind(
    OPTIMIZERS, keys, 'config.optimizer', also=OF_EVERY, own=own, schedule=schedule
  )
  if 'learning_rate' not in keys:
    raise ValueError('config.optimizer.learning_rate is missing: add it to the section')
  rule = bound()
  groups = layer_groups.read(section.get('groups', ()), 'config.optimizer.groups')
  frozen = frozen_layers(section)
  if groups or frozen:
    rule = _grouped(bound, groups, frozen)
  if (given := section.get('lookahead')) is not None:
    where = 'config.optimizer.lookahead'
    checks.check_section(given, where)
    rule = binding.bind_one(with_lookahead, given, where, rule=rule)()
  return rule


def _grouped(bound, groups, frozen):
  """One optimizer for each group, none for frozen layers; gradients are clipped before."""
  accepted = inspect.signature(bound.func).parameters
  unclipped = {'clip_norm': 0.0} if 'clip_norm' in accepted else {}  # an own one may have none
  rules: dict[Hashable, Any] = {'frozen': optax.set_to_zero(), 'others': bound(**unclipped)}
  for number, group in enumerate(groups):
    where = f'config.optimizer.groups[{number}].weight_decay'
    changes = {'learning_rate': group.rate * bound.keywords['learning_rate']}
    if group.weight_decay is not None:
      if 'weight_decay' not in accepted:
        raise ValueError(
          f'{where} is set, but {bound.func.__name__} has no weight decay: use adamw'
        )
      changes['weight_decay'] = group.weight_decay
    rules[f'group_{number}'] = bound(**changes, **unclipped)

  def rule_of(layer, values):
    del values
    if layer_groups.matches(layer, frozen):
      return 'frozen'
    found = [
      number for number, group in enumerate(groups) if layer_groups.matches(layer, group.patterns)
    ]
    return f'group_{found[0]}' if found else 'others'

  def labels(params):
    return layer_groups.labels(params, rule_of)

  def is_frozen(params):
    return jax.tree.map(lambda label: label == 'frozen', labels(params))

  clip_norm = bound.keywords.get('clip_norm', 0.0)
  return optax.chain(
    optax.masked(optax.set_to_zero(), is_frozen),  # not part of the global norm
    optax.clip_by_global_norm(clip_norm) if clip_norm > 0 else optax.identity(),
    optax.partition(rules, labels),
  )


def frozen_layers(section: Mapping[str, Any]) -> tuple[str, ...]:
  """The patterns of the names of frozen layers in a section `config.optimizer`."""
  return layer_groups.read_patterns(section.get('frozen', ()), 'config.optimizer.frozen')


def check_layers(section: Mapping[str, Any], layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
  """Checks that every pattern of a section matches a layer, and counts what is trained.

  Args:
    section: the section `config.optimizer`, which `build` has checked.
    layers: rows of the layer table.

  Returns:
    The rows; frozen layers have no trainable parameters.

  Raises:
    ValueError: a pattern matches no layer that has parameters, or all of them are frozen.
  """
  where, names = 'config.optimizer', [row['name'] for row in layers if row['trainable']]
  for number, group in enumerate(layer_groups.read(section.get('groups', ()), f'{where}.groups')):
    layer_groups.check_layers(group.patterns, f'{where}.groups[{number}].layers', names)
  by_adam = layer_groups.read_patterns(section.get('adam_layers', ()), f'{where}.adam_layers')
  layer_groups.check_layers(by_adam, f'{where}.adam_layers', names)
  frozen = frozen_layers(section)
  layer_groups.check_layers(frozen, f'{where}.frozen', names)
  if names and all(layer_groups.matches(name, frozen) for name in names):
    raise ValueError(f'{where}.frozen={list(frozen)!r} freezes every layer: leave one out')
  return [
    {**row, 'trainable': 0} if layer_groups.matches(row['name'], frozen) else row for row in layers
  ]
