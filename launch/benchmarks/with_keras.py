"""A plain Keras `fit` on the backend that KERAS_BACKEND names."""

import math

import keras
import numpy as np
from keras import layers as kinds

from launch.benchmarks.contender import Contender, Task

# jaxdl's GELU is the approximation by tanh
ACTIVATIONS = {
  'relu': 'relu',
  'gelu': lambda values: keras.activations.gelu(values, approximate=True),
}
CELLS = {'rnn': kinds.SimpleRNN, 'lstm': kinds.LSTM, 'gru': kinds.GRU}


def start(task: Task) -> Contender:
  """The Contender of a Task."""
  keras.mixed_precision.set_dtype_policy('mixed_bfloat16' if task.bfloat16 else 'float32')
  shape = task.inputs.shape[-1:] if task.text else task.inputs.shape[1:]
  given = (
    keras.Input(batch_shape=(task.batch, *shape), dtype='int32')
    if task.text
    else keras.Input(shape)
  )
  model = keras.Sequential(
    [given, *(part for row in task.layers for part in layers_of(row, task.text))]
  )
  clip_norm = task.clip_norm or None
  rule = {
    'adam': lambda: keras.optimizers.Adam(
      task.learning_rate, epsilon=1e-8, global_clipnorm=clip_norm
    ),
    'nesterov': lambda: keras.optimizers.SGD(
      task.learning_rate, momentum=0.9, nesterov=True, global_clipnorm=clip_norm
    ),
  }[task.optimizer]()
  loss_of = {
    'classify': keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    'reconstruct': 'mean_squared_error',
  }
  model.compile(rule, loss=loss_of[task.task if task.task in loss_of else 'classify'])
  inputs, targets = task.inputs, task.targets
  if task.text:  # [steps, B, T] → [steps · B, T]
    inputs, targets = (array.reshape(-1, array.shape[-1]) for array in (inputs, targets))

  def train(steps):
    while steps:
      here = min(steps, len(inputs) // task.batch)
      count = here * task.batch
      model.fit(
        inputs[:count], targets[:count], batch_size=task.batch, shuffle=not task.text, verbose=0
      )
      steps -= here

  def restore():
    for layer in model.layers:
      load(layer, task.of_layer(layer.name))
    forget()

  def forget():
    for layer in model.layers:
      if task.text and hasattr(layer, 'reset_states'):
        layer.reset_states()

  def loss():
    forget()
    return float(model.evaluate(*task.checked, batch_size=task.batch, verbose=0))

  restore()
  trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
  fixed = sum(
    math.prod(weight.shape)
    for layer in model.layers
    if isinstance(layer, kinds.BatchNormalization)
    for weight in layer.non_trainable_weights
  )
  return Contender(parameters=trained + fixed, train=train, loss=loss, restore=restore)


def layers_of(row, text=False):
  """Keras's layers of a row, named as the row where they have weights."""
  kind, name = row['kind'], row['name']
  activation = ACTIVATIONS.get(row.get('activation'))
  if kind in ('conv', 'conv_transpose'):
    build = kinds.Conv2D if kind == 'conv' else kinds.Conv2DTranspose
    padding = row['padding'].lower()
    return [
      build(
        row['features'],
        row['kernel'],
        strides=row['strides'],
        padding=padding,
        activation=activation,
        name=name,
      )
    ]
  if kind == 'dense':
    return [kinds.Dense(row['features'], activation=activation, name=name)]
  if kind in CELLS:
    return [
      CELLS[kind](row['features'], return_sequences=not row['last'], stateful=text, name=name)
    ]
  return [
    {
      'max_pool': lambda: kinds.MaxPool2D(row['window'], row['strides'], row['padding'].lower()),
      'batch_norm': lambda: kinds.BatchNormalization(
        momentum=row['momentum'], epsilon=row['epsilon'], name=name
      ),
      'dropout': lambda: kinds.Dropout(row['rate']),
      'flatten': lambda: kinds.Flatten(),
      'reshape': lambda: kinds.Reshape(row['shape']),
      'activation': lambda: kinds.Activation(activation),
      'one_hot': lambda: kinds.Lambda(lambda text: keras.ops.one_hot(text, row['features'])),
    }[kind]()
  ]


def load(layer, weights):
  """Copies jaxdl's weights into a Keras layer and resets its running averages."""
  if isinstance(layer, kinds.BatchNormalization):
    size = weights['scale'].shape
    layer.set_weights([weights['scale'], weights['bias'], np.zeros(size), np.ones(size)])
  elif isinstance(layer, kinds.Conv2DTranspose):  # Keras turns the kernel and swaps its channels
    layer.set_weights([weights['kernel'][::-1, ::-1].swapaxes(2, 3), weights['bias']])
  elif 'recurrent_bias' in weights:
    layer.set_weights(
      [
        weights['input_kernel'],
        weights['recurrent_kernel'],
        np.stack([weights['bias'], weights['recurrent_bias']]),
      ]
    )
  elif 'input_kernel' in weights:
    layer.set_weights([weights['input_kernel'], weights['recurrent_kernel'], weights['bias']])
  elif weights:
    layer.set_weights([weights['kernel'], weights['bias']])
