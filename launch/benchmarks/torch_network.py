"""A workload as PyTorch's modules, and its weights in PyTorch's order."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from launch.benchmarks.contender import Task

# jaxdl's GELU is the approximation by tanh
ACTIVATIONS = {'relu': nn.ReLU, 'gelu': lambda: nn.GELU(approximate='tanh')}


class Recurrent(nn.Module):
  """A recurrent layer that returns all states or the last; `stateful` carries the state over to the
  next batch.
  """

  def __init__(self, kind, inputs, features, last, stateful):
    super().__init__()
    self.cell = {'rnn': nn.RNN, 'lstm': nn.LSTM, 'gru': nn.GRU}[kind](
      inputs, features, batch_first=True
    )
    self.last, self.stateful, self.state = last, stateful, None

  def forward(self, inputs):
    outputs, state = self.cell(inputs, self.state)
    if self.stateful:
      self.state = (
        tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
      )
    return outputs[:, -1] if self.last else outputs


class OneHot(nn.Module):
  """[B, T] → [B, T, features]."""

  def __init__(self, features):
    super().__init__()
    self.features = features

  def forward(self, inputs):
    return nn.functional.one_hot(inputs, self.features).float()


class Image(nn.Module):
  """[B, H · W · C] → [B, C, H, W]."""

  def __init__(self, shape):
    super().__init__()
    self.shape = shape

  def forward(self, inputs):
    return inputs.reshape(-1, *self.shape).permute(0, 3, 1, 2)


class Cut(nn.Module):
  """Leaves out the last rows and columns."""

  def forward(self, inputs):
    return inputs[:, :, :-1, :-1]


def network(task: Task) -> tuple[list[nn.Module], list[Callable[[], None]]]:
  """(modules in order, functions that load the initial weights into them)."""
  parts, loads = [], []
  flat = None  # [H, W, C] of what was flattened, until a dense layer reads it
  for row in task.layers:
    kind, weights = row['kind'], task.of_layer(row['name'])
    if kind in ('conv', 'conv_transpose'):
      parts += _convolution(row)
      loads.append(
        loading(
          next(part for part in reversed(parts) if hasattr(part, 'weight')),
          _kernel(kind, weights['kernel']),
          weights['bias'],
        )
      )
    elif kind == 'dense':
      kernel = weights['kernel']
      if flat:  # PyTorch flattens channels first
        kernel = kernel.reshape(*flat, -1).transpose(2, 0, 1, 3).reshape(len(kernel), -1)
      flat = None
      parts.append(nn.Linear(*kernel.shape))
      loads.append(loading(parts[-1], kernel.T, weights['bias']))
    elif kind in ('rnn', 'lstm', 'gru'):
      parts.append(
        Recurrent(kind, len(weights['input_kernel']), row['features'], row['last'], task.text)
      )
      loads.append(loading_cell(kind, parts[-1].cell, weights))
    elif kind == 'batch_norm':
      flatly = len(row['given']) == 1
      parts.append(
        (nn.BatchNorm1d if flatly else nn.BatchNorm2d)(
          row['given'][-1], eps=row['epsilon'], momentum=1 - row['momentum']
        )
      )
      loads += [
        loading(parts[-1], weights['scale'], weights['bias']),
        parts[-1].reset_running_stats,
      ]
    elif kind == 'max_pool':
      assert row['padding'] == 'VALID'
      parts.append(nn.MaxPool2d(row['window'], row['strides']))
    elif kind == 'flatten':
      flat = row['given']
      parts.append(nn.Flatten())
    else:
      parts.append(
        {
          'dropout': lambda row=row: nn.Dropout(row['rate']),
          'activation': lambda row=row: ACTIVATIONS[row['activation']](),
          'reshape': lambda row=row: Image(row['shape']),
          'one_hot': lambda row=row: OneHot(row['features']),
        }[kind]()
      )
    if row.get('activation') and kind != 'activation':
      parts.append(ACTIVATIONS[row['activation']]())
  return parts, loads


def _convolution(row):
  kernel, strides = row['kernel'], row['strides']
  if row['kind'] == 'conv_transpose':
    assert [*kernel, *strides] == [3, 3, 2, 2], 'written for this one'
    return [nn.ConvTranspose2d(row['given'][-1], row['features'], kernel, strides), Cut()]
  channels = (row['given'][-1], row['features'])
  if row['padding'] == 'VALID' or tuple(strides) == (1, 1):
    return [
      nn.Conv2d(*channels, kernel, strides, padding='same' if row['padding'] == 'SAME' else 'valid')
    ]
  rows, columns = row['pads']
  return [nn.ZeroPad2d([*columns, *rows]), nn.Conv2d(*channels, kernel, strides)]


def _kernel(kind, kernel):
  """PyTorch's order of a kernel [kh, kw, C, F]; a transposed one is turned."""
  return (
    kernel.transpose(3, 2, 0, 1) if kind == 'conv' else kernel[::-1, ::-1].transpose(2, 3, 0, 1)
  )


def loading(part, weight, bias):
  """A function that loads a weight and a bias, in PyTorch's order, into a module."""

  def load():
    part.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
    part.bias.copy_(torch.from_numpy(bias))

  return load


def loading_cell(kind, cell, weights):
  """A function that loads the weights of a recurrent layer into PyTorch's.

  PyTorch adds a second bias to each gate; where the network has one, the second stays 0 and is not
  trained.
  """
  if kind == 'gru':  # PyTorch's gates: reset, update, candidate
    parts = {key: np.split(value, 3, axis=-1) for key, value in weights.items()}
    weights = {
      key: np.concatenate([gates[1], gates[0], gates[2]], axis=-1) for key, gates in parts.items()
    }
  second = weights.get('recurrent_bias')
  cell.bias_hh_l0.requires_grad_(second is not None)

  def load():
    for target, array in (
      (cell.weight_ih_l0, weights['input_kernel'].T),
      (cell.weight_hh_l0, weights['recurrent_kernel'].T),
      (cell.bias_ih_l0, weights['bias']),
      (cell.bias_hh_l0, second if second is not None else np.zeros_like(weights['bias'])),
    ):
      target.copy_(torch.from_numpy(np.ascontiguousarray(array)))

  return load
