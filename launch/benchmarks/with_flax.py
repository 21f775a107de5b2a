"""A plain Flax example: linen's own layers, one jitted step, a Python loop over NumPy batches."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from launch.benchmarks.contender import Contender, Task

CELLS = {'rnn': nn.SimpleCell, 'lstm': nn.OptimizedLSTMCell, 'gru': nn.GRUCell}
# In jaxdl's order; Flax's GRU has fewer biases, so it is another network
GATES = {'rnn': '', 'lstm': 'ifgo'}


class Network(nn.Module):
  """A workload's layers; `unroll` writes recurrences out, so that XLA counts all of their work."""

  rows: tuple
  unroll: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, inputs, carries, train):
    outputs, carried = inputs, {}
    for row in self.rows:
      kind, name = row['kind'], row['name']
      if kind in CELLS:
        length = outputs.shape[1] if self.unroll else 1
        cell = CELLS[kind](row['features'], dtype=self.dtype, name=name)
        layer = nn.RNN(cell, return_carry=True, unroll=length)
        carried[name], outputs = layer(outputs, initial_carry=carries.get(name))
        outputs = outputs[:, -1] if row['last'] else outputs
      else:
        outputs = _layer(row, name, train, self.dtype)(outputs)
      if row.get('activation') and kind != 'activation':
        outputs = getattr(nn, row['activation'])(outputs)
    return outputs, carried


def _layer(row, name, train, dtype):
  return {
    'conv': lambda: nn.Conv(
      row['features'], row['kernel'], row['strides'], row['padding'], dtype=dtype, name=name
    ),
    'conv_transpose': lambda: nn.ConvTranspose(
      row['features'], row['kernel'], row['strides'], row['padding'], dtype=dtype, name=name
    ),
    'dense': lambda: nn.Dense(row['features'], dtype=dtype, name=name),
    'max_pool': lambda: functools.partial(
      nn.max_pool,
      window_shape=tuple(row['window']),
      strides=tuple(row['strides']),
      padding=row['padding'],
    ),
    'batch_norm': lambda: nn.BatchNorm(
      not train, momentum=row['momentum'], epsilon=row['epsilon'], dtype=dtype, name=name
    ),
    'dropout': lambda: nn.Dropout(row['rate'], deterministic=not train),
    'flatten': lambda: lambda inputs: inputs.reshape(len(inputs), -1),
    'reshape': lambda: lambda inputs: inputs.reshape(len(inputs), *row['shape']),
    'activation': lambda: getattr(nn, row['activation']),
    'one_hot': lambda: lambda inputs: jax.nn.one_hot(inputs, row['features']),
  }[row['kind']]()


def start(task: Task) -> Contender:
  """The Contender of a Task."""
  model, optimizer, weights = _network(task), _optimizer(task), _weights(task)
  step = jax.jit(train_step(task, model, optimizer))
  feed, current = task.batches(np.random.default_rng(0)), {}

  def restore():
    current['state'] = jax.device_put(
      (weights, _stats(task), optimizer.init(weights), carries(task))
    )

  def train(steps):
    for number in range(steps):
      current['state'], value = step(current['state'], *next(feed), jax.random.PRNGKey(number))
    value.block_until_ready()

  measure = jax.jit(
    lambda params, stats, inputs, targets: _loss(
      task,
      model.apply({'params': params, 'batch_stats': stats}, inputs, carries(task), False)[0],
      targets,
    )
  )

  restore()
  return Contender(
    parameters=sum(leaf.size for leaf in jax.tree.leaves(current['state'][:2])),
    train=train,
    restore=restore,
    loss=lambda: float(measure(*current['state'][:2], *task.checked)),
    memory=lambda: (jax.local_devices()[0].memory_stats() or {}).get('peak_bytes_in_use', 0),
  )


def work(task: Task) -> float:
  """XLA's count of the floating-point operations of a step with stock operations and unrolled
  recurrences.
  """
  model, optimizer, weights = _network(task, unroll=True), _optimizer(task), _weights(task)
  state = (weights, _stats(task), optimizer.init(weights), carries(task))
  step = jax.jit(train_step(task, model, optimizer)).lower(
    state, *task.checked, jax.random.PRNGKey(0)
  )
  return step.cost_analysis()['flops']


def train_step(task: Task, model: nn.Module, optimizer: optax.GradientTransformation) -> Callable:
  """A step of training, (state, inputs, targets, key) → (state, loss)."""

  def step(state, inputs, targets, key):
    params, stats, moments, carried = state

    def loss_of(params):
      (outputs, after), updated = model.apply(
        {'params': params, 'batch_stats': stats},
        inputs,
        carried,
        True,
        rngs={'dropout': key},
        mutable=['batch_stats'],
      )
      return _loss(task, outputs, targets), (
        updated.get('batch_stats', {}),
        after if task.text else {},
      )

    (value, (updated, after)), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    updates, moments = optimizer.update(gradients, moments, params)
    return (optax.apply_updates(params, updates), updated, moments, after), value

  return step


def carries(task: Task) -> dict:
  """The zero state of every recurrent layer of a text's network."""

  def zeros(row):
    part = jnp.zeros((task.batch, row['features']))
    return (part, part) if row['kind'] == 'lstm' else part

  return (
    {row['name']: zeros(row) for row in task.layers if row['kind'] in CELLS} if task.text else {}
  )


def _network(task, unroll=False):
  if any(row['kind'] == 'gru' for row in task.layers) and not unroll:
    raise SystemExit("Flax's GRUCell has no second bias for its gates: another network")
  return Network(tuple(task.layers), unroll, jnp.bfloat16 if task.bfloat16 else jnp.float32)


def _optimizer(task):
  rule = {
    'adam': lambda: optax.adam(task.learning_rate),
    'nesterov': lambda: optax.sgd(task.learning_rate, momentum=0.9, nesterov=True),
  }[task.optimizer]()
  return optax.chain(optax.clip_by_global_norm(task.clip_norm), rule) if task.clip_norm else rule


def _loss(task, outputs, targets):
  outputs = outputs.astype(jnp.float32)
  if task.task == 'reconstruct':
    return jnp.square(outputs - targets).mean()
  return optax.softmax_cross_entropy_with_integer_labels(outputs, targets).mean()


def _stats(task):
  """Running averages as they begin."""
  sizes = {row['name']: row['given'][-1] for row in task.layers if row['kind'] == 'batch_norm'}
  return {
    name: {'mean': np.zeros(size, np.float32), 'var': np.ones(size, np.float32)}
    for name, size in sizes.items()
  }


def _weights(task):
  """The weights under Flax's names: linen's cells have separate weights for each gate."""
  found = {}
  for row in task.layers:
    weights = task.of_layer(row['name'])
    if row['kind'] in GATES:
      found[row['name']] = _cell(GATES[row['kind']], weights)
    elif row['kind'] == 'gru':
      found[row['name']] = _gru(weights)
    elif weights:
      found[row['name']] = weights
  return found


def _cell(gates, weights):
  if not gates:
    return {
      'i': {'kernel': weights['input_kernel'], 'bias': weights['bias']},
      'h': {'kernel': weights['recurrent_kernel']},
    }
  split = {key: np.split(value, len(gates), axis=-1) for key, value in weights.items()}
  return {
    **{f'i{gate}': {'kernel': split['input_kernel'][place]} for place, gate in enumerate(gates)},
    **{
      f'h{gate}': {'kernel': split['recurrent_kernel'][place], 'bias': split['bias'][place]}
      for place, gate in enumerate(gates)
    },
  }


def _gru(weights):
  """Near enough to count its work: linen's gates are reset, update and candidate, with a second
  bias only in the last.
  """
  split = {
    key: dict(zip('zrn', np.split(value, 3, axis=-1), strict=True))
    for key, value in weights.items()
  }
  return {
    **{
      f'i{gate}': {'kernel': split['input_kernel'][gate], 'bias': split['bias'][gate]}
      for gate in 'rzn'
    },
    **{f'h{gate}': {'kernel': split['recurrent_kernel'][gate]} for gate in 'rz'},
    'hn': {'kernel': split['recurrent_kernel']['n'], 'bias': split['recurrent_bias']['n']},
  }
