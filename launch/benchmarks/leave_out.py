"""How well TracIn predicts training without some of the examples, by training without them.

    python -m launch.benchmarks.leave_out [--network=cnn|lstm] [--optimizer=sgd|adam] [--subsets=64]

A small network is trained by `jaxdl.train` on bundled MNIST. Leaving an example out sets its mask
to 0 in every batch: it has no part in the loss, as padding has none, and the order of the other
examples, the initial parameters and the number of steps stay the same. The loss is the mean over
the remaining examples of the batch. Training again with nothing left out must give the parameters
of `jaxdl.train` to the bit, so that every difference is an effect of the examples.

Prints a line of JSON after the lines of the training: the linear datamodelling score on random
halves of the examples, the effect of leaving out the most helpful and the most harmful examples of
single test images, and how many of the planted wrong labels are found.
"""

import argparse
import functools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Bool, Float, Int

import jaxdl
from jaxdl.analysis import influence
from jaxdl.devices import parallel
from jaxdl.runs import checkpoint
from jaxdl.training import chunks, experiment

NETWORKS = {
  'cnn': dict(
    name='cnn',
    activation='relu',
    initializer='he_normal',
    layers=(
      dict(kind='conv', features=8, kernel=5, strides=2),
      dict(kind='conv', features=16, kernel=3, strides=2),
      dict(kind='flatten'),
      dict(kind='dense', features=10, activate=False, name='logits'),
    ),
  ),
  'lstm': dict(name='recurrent', cell='lstm', features=32, classes=10),
}
RATES = {'sgd': 0.1, 'adam': 2e-3}
BATCH = 50
LEFT_OUT = 0.02  # share of the training examples that is left out for a single test image
FLIPPED = 0.05  # share of the labels that are made wrong


def config_of(
  network: str, optimizer: str, *, examples: int, epochs: int, tests: int
) -> dict[str, Any]:
  """The config of the network.

  Args:
    network: a key of NETWORKS.
    optimizer: a key of RATES.
    examples, tests: number of training and test images.
    epochs: epochs of training; a checkpoint is kept after each fifth of them.
  """
  steps = -(-examples // BATCH) * epochs
  return dict(
    seed=0,
    task='classify',
    train_for=f'{steps} steps',
    log_every=f'{steps} steps',
    evaluate_every=f'{steps} steps',
    checkpoint_every=f'{max(1, steps // 5)} steps',
    keep_every=f'{max(1, steps // 5)} steps',
    data=dict(
      name='mnist',
      source='bundled',
      layout='image' if network == 'cnn' else 'rows',
      batch_size=BATCH,
      splits=dict(train=f'train[:{examples}]', test=f'test[:{tests}]'),
    ),
    model=NETWORKS[network],
    optimizer=dict(name=optimizer, learning_rate=RATES[optimizer]),
  )


class Trainer:
  """Trains a config again and again, without some examples or with other labels.

  One compiled program serves all trainings, because the mask of the examples is an argument.
  """

  def __init__(self, config: dict[str, Any]) -> None:
    """Builds the experiment and compiles its steps; nothing is trained yet."""
    self.built = experiment.build(config, 'leave_out')
    self.split = self.built.data.splits['train']
    self.kept = self.built.keep_every
    self._run = chunks.compile_steps(self.built)
    self._start = jax.device_get(self.built.initial_state())

  def train(
    self,
    left_out: Sequence[int] | Int[np.ndarray, ' _'] = (),
    labels: Int[np.ndarray, ' N'] | None = None,
  ) -> list[dict[str, Any]]:
    """The variables at each kept step.

    Args:
      left_out: places of the examples to leave out.
      labels: labels instead of those of the data; None for those.

    Raises:
      ValueError: a batch has no other examples.
    """
    arrays = dict(self.split.arrays)
    if labels is not None:
      arrays['label'] = labels
    arrays, state, found = parallel.replicate(arrays), parallel.replicate(self._start), []
    for first in range(0, self.built.steps, self.kept):
      count = min(self.kept, self.built.steps - first)
      feed = without(self.split.feed(first, count), left_out)
      state, _ = self._run(state, arrays, parallel.split_feed(feed, self.kept), np.int32(count))
      found.append(jax.device_get(state.variables()))
    return found

  def examples(self, name: str) -> tuple[np.ndarray, Int[np.ndarray, ' N']]:
    """(inputs, labels) of a split, in its own order and without augmentation."""
    split = self.built.data.splits[name]
    every = {'index': np.arange(split.count, dtype=np.int32), 'mask': np.ones(split.count)}
    batch = jax.device_get(self.built.data.prepare(split.fetch(split.arrays, every)))
    return np.asarray(batch['inputs']), np.asarray(batch['label'], np.int32)


def without(
  feed: dict[str, np.ndarray], left_out: Sequence[int] | Int[np.ndarray, ' _']
) -> dict[str, np.ndarray]:
  """A feed [S, B] in which some examples have the mask 0; the order stays the same.

  Args:
    feed: as from `Split.feed`.
    left_out: places of the examples to leave out.

  Raises:
    ValueError: a batch has no other examples.
  """
  mask = np.where(np.isin(feed['index'], left_out), 0, feed['mask']).astype(np.float32)
  if not mask.any(1).all():
    raise ValueError(f'{len(left_out)} examples are too many to leave out: a batch has no others')
  return {**feed, 'mask': mask}


def losses_of(model: Any) -> Callable:
  """A compiled function (variables, inputs, labels) → cross-entropy of each example."""

  @jax.jit
  def losses(variables, inputs, labels):
    logits = model.apply(variables, inputs)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)

  return losses


def same_bits(first: Any, second: Any) -> bool:
  """Whether two trees of arrays are equal to the bit."""
  leaves = [jax.tree.leaves(tree) for tree in (first, second)]
  return len(leaves[0]) == len(leaves[1]) and all(
    np.array_equal(np.asarray(a).view(np.uint32), np.asarray(b).view(np.uint32))
    for a, b in zip(*leaves, strict=True)
  )


def subsets_of(count: int, number: int, seed: int = 0) -> Bool[np.ndarray, 'S N']:
  """Random halves of the examples: for each subset, which examples are kept.

  Args:
    count: number of examples.
    number: number of subsets.
    seed: seed of the draws.
  """
  found = np.zeros((number, count), bool)
  for row in found:
    row[: count // 2] = True
  return np.random.default_rng(seed).permuted(found, axis=1)


def measure(config: dict[str, Any], *, subsets: int, single: int) -> dict[str, Any]:
  """Trains with and without examples and compares the losses with TracIn.

  Args:
    config: as from `config_of`.
    subsets: number of random halves for the linear datamodelling score.
    single: number of test images whose most helpful and harmful examples are left out.

  Returns:
    Plain JSON data.
  """
  began = time.monotonic()
  with tempfile.TemporaryDirectory() as workdir:
    summary = jaxdl.train(config, workdir)
    steps = checkpoint.kept_steps(workdir)
    kept = [checkpoint.read_step(workdir, step)[1] for step in steps]
  trainer = Trainer(config)
  again = trainer.train()
  repeated = trainer.train(range(3)), trainer.train(range(3))
  model, rate = trainer.built.recipe.model, config['optimizer']['learning_rate']
  tests, training = trainer.examples('test'), trainer.examples('train')
  compare = functools.partial(influence.tracin, model, tests=tests, training=training)
  checkpoints = [(variables, rate) for variables in kept]
  last = list(kept[-1]['params'])[-1]
  found = {
    'all layers': compare(checkpoints),
    'last layer': compare(checkpoints, layers=(last,)),
    'all layers, last checkpoint only': compare(checkpoints[-1:]),
  }
  losses = losses_of(model)
  intact = np.asarray(losses(kept[-1], *tests))
  halves = subsets_of(len(training[0]), subsets)
  actual = np.stack(
    [np.asarray(losses(trainer.train(np.flatnonzero(~half))[-1], *tests)) for half in halves]
  )
  return {
    'test_accuracy': summary['test_accuracy'],
    'checkpoints': steps,
    'same_bits_as_jaxdl_train': all(
      same_bits(one['params'], other['params']) for one, other in zip(kept, again, strict=True)
    ),
    'same_bits_without_3_examples': same_bits(*repeated),
    'subsets': subsets,
    'datamodelling_score': {
      name: _summary(influence.datamodelling_score(one.scores, halves, actual))
      for name, one in found.items()
    },
    'left_out_for_single_images': _single(
      trainer, losses, tests, intact, found['all layers'].scores, single
    ),
    'wrong_labels': wrong_labels(trainer, rate, tests),
    'minutes': round((time.monotonic() - began) / 60, 1),
  }


def _summary(scores: Float[np.ndarray, ' M']) -> dict[str, float]:
  """Mean, standard error over the test images, and median of rank correlations."""
  scores = scores[np.isfinite(scores)]
  return {
    'mean': round(float(scores.mean()), 3),
    'standard_error': round(float(scores.std(ddof=1) / len(scores) ** 0.5), 3),
    'median': round(float(np.median(scores)), 3),
  }


def _single(trainer, losses, tests, intact, scores, single):
  """Mean change of a test image's loss without its most helpful, harmful and random examples.

  The images are those with the highest losses, on which leaving out examples has visible effects.
  """
  count = max(1, round(LEFT_OUT * scores.shape[1]))
  draw = np.random.default_rng(1)
  changes, pairs = {'helpful': [], 'harmful': [], 'random': []}, []
  for place in influence.most(intact, single):
    chosen = {
      'helpful': influence.most(scores[place], count),
      'harmful': influence.most(-scores[place], count),
      'random': draw.choice(scores.shape[1], count, replace=False),
    }
    for name, left_out in chosen.items():
      after = np.asarray(losses(trainer.train(left_out)[-1], *tests))[place]
      changes[name].append(float(after - intact[place]))
      pairs.append((scores[place][left_out].sum(), after - intact[place]))
  predicted, actual = np.array(pairs).T
  return {
    'examples_left_out': count,
    'test_images': single,
    'mean_change_of_the_loss': {
      name: round(float(np.mean(one)), 4) for name, one in changes.items()
    },
    'share_with_higher_loss': {
      name: round(float(np.mean(np.array(one) > 0)), 2) for name, one in changes.items()
    },
    'rank_correlation_predicted_actual': round(influence.spearman(predicted, actual), 3),
  }


def wrong_labels(
  trainer: Trainer, rate: float, tests: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
  """Trains with planted wrong labels and searches them.

  Args:
    trainer: the trainer.
    rate: learning rate.
    tests: (inputs, labels) of test examples.

  Returns:
    Plain JSON data: for each way to rank the training examples, the share of wrong labels among
    the first k, where k is the number of wrong labels.
  """
  inputs, true = trainer.examples('train')
  draw = np.random.default_rng(2)
  count = max(1, round(FLIPPED * len(true)))
  wrong = np.zeros(len(true), bool)
  wrong[draw.choice(len(true), count, replace=False)] = True
  labels = np.where(wrong, (true + draw.integers(1, 10, len(true))) % 10, true).astype(np.int32)
  states = trainer.train(labels=labels)
  model = trainer.built.recipe.model
  found = influence.tracin(
    model, [(state, rate) for state in states], (tests[0][:1], tests[1][:1]), (inputs, labels)
  )
  events = influence.forgetting(found.correct)
  last = np.asarray(losses_of(model)(states[-1], inputs, labels))
  forgotten = np.where(events.learned, events.events, len(states))  # never learned: most
  rankings = {'self-influence': found.own, 'loss at the end': last, 'forgetting': forgotten}
  return {
    'planted': count,
    'k': count,
    'precision_at_k': {
      name: round(influence.precision_at(values, wrong, count), 3)
      for name, values in rankings.items()
    },
    'by_chance': round(count / len(true), 3),
  }


def main(arguments: Sequence[str]) -> int:
  """Prints the figures; returns the exit code."""
  parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
  parser.add_argument('--network', choices=NETWORKS, default='cnn')
  parser.add_argument('--optimizer', choices=RATES, default='sgd')
  parser.add_argument('--examples', type=int, default=1000, help='training images')
  parser.add_argument('--tests', type=int, default=200, help='test images')
  parser.add_argument('--epochs', type=int, default=10)
  parser.add_argument('--subsets', type=int, default=64, help='random halves of the examples')
  parser.add_argument('--single', type=int, default=10, help='test images studied one by one')
  given = parser.parse_args(arguments)
  config = config_of(
    given.network,
    given.optimizer,
    examples=given.examples,
    epochs=given.epochs,
    tests=given.tests,
  )
  found = measure(config, subsets=given.subsets, single=given.single)
  print(json.dumps({**vars(given), **found}))
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
