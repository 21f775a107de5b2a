"""Tests of training without examples, against a run and steps of SGD."""

import numpy as np
import pytest
from helpers import last_json

from jaxdl.analysis import influence
from jaxdl.runs import checkpoint
from jaxdl.training import experiment, loop
from launch.benchmarks import leave_out


@pytest.fixture(scope='module')
def trainer():
  """A Trainer of 75 examples, two batches in each of two epochs."""
  config = leave_out.config_of('cnn', 'sgd', examples=75, epochs=2, tests=20)
  return leave_out.Trainer({**config, 'keep_every': '2 steps'})


@pytest.mark.slow
def test_training_without_leaving_out_has_the_bits_of_a_run(trainer, tmp_path):
  config = leave_out.config_of('cnn', 'sgd', examples=75, epochs=2, tests=20)
  loop.train(experiment.build(config, 'leave_out'), tmp_path)
  last = checkpoint.read_step(tmp_path, 'last')[1]
  states = trainer.train()
  assert len(states) == 2
  assert leave_out.same_bits(states[-1]['params'], last['params'])
  assert not leave_out.same_bits(trainer.train([3])[-1]['params'], last['params'])


def test_an_example_that_is_left_out_cannot_matter(trainer):
  """Its pixels and its label change nothing, at any step."""
  without = trainer.train([3, 40])
  labels = np.array(trainer.split.arrays['label'])
  labels[[3, 40]] = (labels[[3, 40]] + 1) % 10
  again = trainer.train([3, 40], labels=labels)
  assert leave_out.same_bits(without, again)
  assert not leave_out.same_bits(without, trainer.train([3]))


def test_one_step_of_training_changes_the_loss_as_the_influence_predicts():
  """The first batch of SGD: the change of each test loss is the mean influence of its examples."""
  rate = 1e-3
  config = leave_out.config_of('cnn', 'sgd', examples=50, epochs=1, tests=10)
  config['optimizer']['learning_rate'] = rate
  trainer = leave_out.Trainer(config)
  tests, training = trainer.examples('test'), trainer.examples('train')
  start = trainer.built.initial_state().variables()
  model = trainer.built.recipe.model
  scores = influence.tracin(model, [(start, rate)], tests, training).scores
  losses = leave_out.losses_of(model)
  for left_out in ([], np.arange(20)):
    (after,) = trainer.train(left_out)
    change = np.asarray(losses(start, *tests)) - np.asarray(losses(after, *tests))
    kept = np.setdiff1d(np.arange(50), left_out)
    np.testing.assert_allclose(change, scores[:, kept].mean(1), rtol=0.1, atol=2e-5)


def test_without_keeps_the_order_and_refuses_empty_batches():
  feed = {'index': np.array([[0, 1], [2, 0]]), 'mask': np.array([[1.0, 1], [1, 0]], np.float32)}
  found = leave_out.without(feed, [1])
  assert found['mask'].tolist() == [[1, 0], [1, 0]]
  assert found['index'] is feed['index']
  with pytest.raises(ValueError, match='1 examples are too many to leave out: a batch has no'):
    leave_out.without(feed, [2])


def test_subsets_are_halves():
  found = leave_out.subsets_of(11, 4)
  assert found.sum(1).tolist() == [5] * 4
  assert len(np.unique(found, axis=0)) == 4


@pytest.mark.slow
def test_figures_of_a_small_network(capsys):
  arguments = '--examples=150 --epochs=4 --tests=20 --subsets=6 --single=2'
  assert leave_out.main(arguments.split()) == 0
  found = last_json(capsys.readouterr().out)
  assert found['same_bits_as_jaxdl_train']
  assert found['same_bits_without_3_examples']
  assert all(-1 <= one['mean'] <= 1 for one in found['datamodelling_score'].values())
