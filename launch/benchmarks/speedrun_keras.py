"""The recipe of `speedrun_cifar10` in Keras on TensorFlow: held-out accuracy by seconds.

    python -m launch.benchmarks.speedrun_keras [--seed=0] [--epochs=12] [--bfloat16] [--jit]

Network, initial weights, batches, augmentation, optimizer, schedule and views are those of
`configs/speedrun_cifar10.py`; Muon is Keras's own. The seconds are those of training and of the
tests, without the start.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np
import optax

os.environ['KERAS_BACKEND'] = 'tensorflow'
import keras  # reads the variable

from jaxdl.training import experiment
from launch.benchmarks import contender, random_examples, with_keras, workloads

NAME = 'speedrun_cifar10'
PIXELS = 2  # of a shift


class FlatConvolution(keras.layers.Layer):
  """A convolution that keeps its kernel as a matrix, because Keras's Muon takes only matrices."""

  def __init__(self, row: dict, weights: dict[str, np.ndarray], **keywords):
    super().__init__(name=row['name'], **keywords)
    self.shape, self.padding = weights['kernel'].shape, row['padding'].lower()
    matrix = weights['kernel'].reshape(-1, self.shape[-1])
    self.matrix = self.add_weight(shape=matrix.shape, name='matrix')
    self.bias = self.add_weight(shape=self.shape[-1:], name='bias')
    self.set_weights([matrix, weights['bias']])

  def call(self, inputs):
    kernel = keras.ops.reshape(self.matrix, self.shape)
    return keras.ops.conv(inputs, kernel, padding=self.padding) + self.bias


def main(arguments: Sequence[str]) -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--seed', type=int, default=0, help='of the order and the shifts')
  parser.add_argument('--epochs', type=int, help='those of the config by default')
  parser.add_argument('--bfloat16', action='store_true', help="train in Keras's mixed_bfloat16")
  parser.add_argument('--jit', action='store_true', help='compile by XLA')
  given = parser.parse_args(arguments)
  if given.bfloat16:
    keras.mixed_precision.set_dtype_policy('mixed_bfloat16')
  config = random_examples.read(NAME)
  epochs, interval = (int(config[key].partition(' ')[0]) for key in ('train_for', 'evaluate_every'))
  epochs = given.epochs or epochs
  task, images, labels, test_images, test_labels = _data()
  network = _network(task)
  rule = _optimizer(network, config['optimizer'])
  network.compile(
    rule,
    loss=keras.losses.CategoricalCrossentropy(
      from_logits=True, label_smoothing=config['task']['label_smoothing']
    ),
    jit_compile=given.jit,
  )
  steps = epochs * (len(images) // task.batch)
  # its defaults are those of jaxdl's one_cycle
  rate = optax.cosine_onecycle_schedule(steps, config['optimizer']['learning_rate'])
  random = np.random.default_rng(given.seed)
  seconds, step = 0.0, 0
  for epoch in range(epochs):
    began = time.monotonic()
    for inputs, targets in _batches(images, labels, task.batch, epoch, random):
      rule.learning_rate = float(rate(step))
      network.train_on_batch(inputs, keras.utils.to_categorical(targets, 10))
      step += 1
    seconds += time.monotonic() - began
    print(f'epoch {epoch + 1}, step {step}, {seconds:.1f} s', flush=True)
    if (epoch + 1) % interval == 0 or epoch + 1 == epochs:
      began = time.monotonic()
      one, six = _accuracies(network, test_images, test_labels)
      seconds += time.monotonic() - began
      print(f'{seconds:.1f} s: {one:.2%}, six views {six:.2%}', flush=True)


def _data():
  """(Task with the initial weights, training images, labels, test images, labels)."""
  with tempfile.TemporaryDirectory() as folder:
    workloads.write(NAME, folder)
    task = contender.read(folder)
  built = experiment.build(workloads.config(NAME), NAME)
  parts = [workloads.examples(built, split, most=1 << 30) for split in ('train', 'test')]
  return task, *parts[0], *parts[1]


def _network(task) -> keras.Sequential:
  layers = [keras.Input(task.inputs.shape[1:])]
  for row in task.layers:
    if row['kind'] == 'conv':
      layers.append(FlatConvolution(row, task.of_layer(row['name'])))
    else:
      layers += with_keras.layers_of(row)
  network = keras.Sequential(layers)
  for layer in network.layers:
    if not isinstance(layer, FlatConvolution):
      with_keras.load(layer, task.of_layer(layer.name))
  network.layers[0].trainable = False  # the whitening layer
  return network


def _optimizer(network, section) -> keras.optimizers.Optimizer:
  """Muon for the kernels of convolutions, AdamW for the rest, without decay of biases."""
  rule = keras.optimizers.Muon(
    section['learning_rate'],
    momentum=section['momentum'],
    weight_decay=section['weight_decay'],
    adam_weight_decay=section['weight_decay'],
    adam_lr_ratio=section['adam_rate'],
    epsilon=1e-8,
    exclude_layers=list(section['adam_layers']),
    rms_rate=None,  # the kernels have at most as many outputs as inputs: no factor
  )
  rule.exclude_from_weight_decay(
    [values for values in network.trainable_variables if len(values.shape) == 1]
  )
  return rule


def _batches(images, labels, batch, epoch, random) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Shuffled batches of one epoch, mirrored in turn and shifted."""
  mirrored = (np.random.default_rng(0).random(len(images)) < 0.5) ^ (epoch % 2 == 1)
  order, size = random.permutation(len(images)), images.shape[1]
  for first in range(0, len(order) - batch + 1, batch):
    chosen = order[first : first + batch]
    inputs = images[chosen]
    inputs = np.where(mirrored[chosen][:, None, None, None], inputs[:, :, ::-1], inputs)
    padded = np.pad(inputs, ((0, 0), (PIXELS, PIXELS), (PIXELS, PIXELS), (0, 0)), mode='reflect')
    tops, lefts = random.integers(0, 2 * PIXELS + 1, (2, batch))
    shifted = [
      image[top : top + size, left : left + size]
      for image, top, left in zip(padded, tops, lefts, strict=True)
    ]
    yield np.stack(shifted), labels[chosen]


def _accuracies(network, images, labels) -> tuple[float, float]:
  """Accuracy of one view and of the mean probability of six."""
  size = images.shape[1]
  padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='edge')
  views = [images, *(padded[:, at : at + size, at : at + size] for at in (2, 0))]
  views += [view[:, :, ::-1] for view in views]
  found = []
  for view in views:
    outputs = network.predict(view, batch_size=1000, verbose=0)
    found.append(keras.ops.convert_to_numpy(keras.ops.softmax(outputs.astype(np.float32))))
  one, six = found[0].argmax(1), sum(found[1:], start=found[0]).argmax(1)
  return float((one == labels).mean()), float((six == labels).mean())


if __name__ == '__main__':
  main(sys.argv[1:])
