"""Statements of the reports that compare runs or are not in `config.reported`, with their tests."""

import dataclasses
from collections.abc import Callable

from launch.reproduction import comparisons, curves


@dataclasses.dataclass(frozen=True)
class Claim:
  """One statement of a report.

  Attributes:
    source: the report, '000' … '004'.
    statement: str.
    of: names of the groups whose finished runs the test takes, in order.
    test: function (list of Run, one argument for each of `of`) → Verdict; None where no test is
      possible.
    reason: str, why it cannot be tested.
  """

  source: str
  statement: str
  of: tuple[str, ...] = ()
  test: Callable | None = None
  reason: str = ''


def _units(cell, units):
  return f'sweeps/hidden_units_mnist/{cell}, {units}'


def _logged(source, name, figures):
  """The claims of a printed training log: figure → one number an epoch."""
  return [
    Claim(
      source,
      f'{split} {figure} after each of {len(values)} epochs, {values[0]:g} … {values[-1]:g}',
      (name,),
      curves.epochs(split, figure, values),
    )
    for (split, figure), values in figures.items()
  ]


CIFAR10_LOG = {
  ('train', 'accuracy'): (
    0.4218,
    0.5857,
    0.6441,
    0.6816,
    0.7088,
    0.7278,
    0.7460,
    0.7564,
    0.7688,
    0.7797,
    0.7929,
    0.7997,
    0.8093,
    0.8159,
    0.8248,
    0.8292,
    0.8330,
    0.8430,
    0.8491,
    0.8520,
  ),
  ('train', 'loss'): (
    1.5691,
    1.1513,
    0.9959,
    0.9017,
    0.8309,
    0.7753,
    0.7257,
    0.6899,
    0.6605,
    0.6247,
    0.5920,
    0.5678,
    0.5452,
    0.5225,
    0.4964,
    0.4845,
    0.4662,
    0.4442,
    0.4305,
    0.4175,
  ),
  ('validation', 'accuracy'): (
    0.4574,
    0.5570,
    0.6276,
    0.6612,
    0.6562,
    0.6994,
    0.7330,
    0.6220,
    0.7384,
    0.7256,
    0.7446,
    0.7148,
    0.7000,
    0.7470,
    0.7486,
    0.7440,
    0.7806,
    0.7844,
    0.7776,
    0.7754,
  ),
  ('validation', 'loss'): (
    1.5734,
    1.2997,
    1.0566,
    0.9517,
    0.9985,
    0.8774,
    0.7731,
    1.2613,
    0.7696,
    0.7959,
    0.7652,
    0.8496,
    0.9319,
    0.7971,
    0.7914,
    0.8022,
    0.6946,
    0.6604,
    0.7359,
    0.6954,
  ),
}
FASHION_LOG = {
  ('train', 'accuracy'): (
    0.8236,
    0.8788,
    0.8917,
    0.9041,
    0.9123,
    0.9181,
    0.9254,
    0.9316,
    0.9334,
    0.9374,
  ),
  ('train', 'loss'): (
    0.4893,
    0.3381,
    0.2919,
    0.2618,
    0.2371,
    0.2200,
    0.2020,
    0.1858,
    0.1760,
    0.1667,
  ),
  ('validation', 'accuracy'): (
    0.8868,
    0.9018,
    0.9110,
    0.9154,
    0.9264,
    0.9254,
    0.9274,
    0.9240,
    0.9324,
    0.9354,
  ),
  ('validation', 'loss'): (
    0.3166,
    0.2740,
    0.2527,
    0.2305,
    0.2038,
    0.1970,
    0.1991,
    0.2028,
    0.1918,
    0.1876,
  ),
}

CLAIMS = (
  *_logged('000', 'cnn_cifar10', CIFAR10_LOG),
  Claim(
    '000',
    'lowest validation loss 0.6604, at epoch 18',
    ('cnn_cifar10',),
    comparisons.lowest_validation_loss(0.6604),
  ),
  Claim(
    '000',
    "the autoencoder's training loss falls in each of 5 epochs",
    ('rotated_autoencoder_hoda',),
    curves.falls(5),
  ),
  Claim('000', 'an epoch takes 21 s (460 to 480 µs an image)', reason='the machine is not stated'),
  Claim(
    '001',
    'convolutions have 960,896 parameters, dense layers and batch normalisation 5,255,218',
    ('deep_cnn_cifar10',),
    curves.layer_sums(conv_parameters=960_896, dense_parameters=5_255_218),
  ),
  Claim(
    '001',
    '131,072 neurons in convolutions, 2,058 in dense layers',
    ('deep_cnn_cifar10',),
    curves.layer_sums(conv_neurons=131_072, dense_neurons=2_058),
  ),
  Claim(
    '001',
    'validation and test loss are lower than the training loss',
    ('deep_cnn_cifar10',),
    comparisons.split_lower('loss', ('validation', 'test'), 'train'),
  ),
  Claim(
    '001',
    'with batch normalisation training is more efficient',
    reason='the curves are lost and the text has no figure',
  ),
  Claim(
    '001',
    'filters 3, 11, 16, 28 of the first layer are smooth vertically, 7, 13, 19 and others '
    'horizontally',
    reason='which filter learns what depends on the seed, and the weights are not published',
  ),
  Claim(
    '002',
    'LeNet5 on gray CIFAR-10 overfits after about 1,000 iterations',
    ('lenet5_gray_cifar10',),
    comparisons.overfits(500, 1_500),
  ),
  Claim(
    '002',
    'LeNet5 does better on training than on test images',
    ('lenet5_gray_cifar10',),
    comparisons.split_lower('accuracy', ('test',), 'train'),
  ),
  Claim(
    '002',
    'the CNN with batch normalisation is better than LeNet5',
    ('bn_cnn_gray_cifar10', 'lenet5_gray_cifar10'),
    comparisons.higher('test_accuracy'),
  ),
  Claim(
    '002',
    'the LSTM is better than the RNN',
    ('lstm_mnist', 'rnn_mnist'),
    comparisons.higher('test_accuracy'),
  ),
  Claim(
    '002',
    'the LSTM is faster than the RNN (iterations to 97.27 %)',
    ('rnn_mnist', 'lstm_mnist'),
    comparisons.in_order_of_need(0.9727),
  ),
  Claim(
    '002',
    'the GRU is better than the RNN',
    ('gru_mnist', 'rnn_mnist'),
    comparisons.higher('test_accuracy'),
  ),
  Claim(
    '002',
    'the GRU is better than the LSTM',
    ('gru_mnist', 'lstm_mnist'),
    comparisons.higher('test_accuracy'),
  ),
  Claim(
    '002',
    'the GRU is faster than the LSTM (iterations to 97.27 %)',
    ('lstm_mnist', 'gru_mnist'),
    comparisons.in_order_of_need(0.9727),
  ),
  *(
    Claim(
      '002',
      f'fewer units of the {cell} need more iterations (32, 64, 128 units to 95 %)',
      tuple(_units(cell, units) for units in (32, 64, 128)),
      comparisons.in_order_of_need(0.95),
    )
    for cell in ('RNN', 'LSTM', 'GRU')
  ),
  Claim(
    '002',
    'the CNN is better than the RNN on MNIST',
    ('cnn_mnist', 'rnn_mnist'),
    comparisons.higher('test_accuracy'),
  ),
  Claim(
    '002',
    'the CNN converges faster than the RNN (iterations to 97.27 %)',
    ('rnn_mnist', 'cnn_mnist'),
    comparisons.in_order_of_need(0.9727),
  ),
  Claim(
    '002',
    'the CNN passes 97.27 % after around 1,000 iterations',
    ('cnn_mnist',),
    comparisons.near_step(0.9727, 500, 1_500),
  ),
  Claim('002', 'statistics of the activations, two tables', reason='their values are lost'),
  *_logged('003', 'cnn_fashion_mnist', FASHION_LOG),
  Claim(
    '003',
    'the forward pass in NumPy gives the 10 probabilities of test image 998, similarity 100 %',
    reason='the network that gave them is not published',
  ),
  Claim(
    '003',
    'the data set',
    reason='it is never named; 28×28 pixels, 10 classes and 92.8 % suggest Fashion-MNIST',
  ),
  Claim('003', 'an epoch takes 29 s (part 1) and 2 s (part 2)', reason='the machine is not stated'),
  Claim(
    '004',
    'the learning curves with and without the L2 penalty do not differ significantly',
    ('cnn_food11', 'cnn_food11_l2'),
    comparisons.no_difference('validation_accuracy'),
  ),
  Claim(
    '004',
    'weights lie between −0.10 and 0.10; peaks of 16, 200 and 450 in the histograms of three '
    'layers',
    reason='the number of bins, the optimizer and the length of training are not stated',
  ),
  Claim(
    '004',
    "the LSTM's training loss is lower than the RNN's",
    ('char_lstm_shakespeare', 'char_rnn_shakespeare'),
    comparisons.lower('train_loss'),
  ),
  Claim(
    '004',
    "the LSTM's validation loss is lower than the RNN's",
    ('char_lstm_shakespeare', 'char_rnn_shakespeare'),
    comparisons.lower('validation_loss'),
  ),
  Claim(
    '004',
    'the text has 67 kinds of characters',
    reason='the file is not named: the available texts have 65 and 84',
  ),
  Claim(
    '004',
    'bits per character of the RNN and the LSTM',
    reason='the figures are lost with the pictures',
  ),
)
