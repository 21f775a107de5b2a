"""What the reports state about more than one run, or beyond `config.reported`: each claim with how it is tested."""

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
    test: function (list of Record, one argument for each of `of`) → Verdict; None where no test is possible.
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
  return [Claim(source, f'{split} {figure} after each of {len(values)} epochs, {values[0]:g} … {values[-1]:g}', (name,),
                curves.epochs(split, figure, values)) for (split, figure), values in figures.items()]


CIFAR10_LOG = {
    ('train', 'accuracy'): (.4218, .5857, .6441, .6816, .7088, .7278, .7460, .7564, .7688, .7797, .7929, .7997, .8093,
                            .8159, .8248, .8292, .8330, .8430, .8491, .8520),
    ('train', 'loss'): (1.5691, 1.1513, .9959, .9017, .8309, .7753, .7257, .6899, .6605, .6247, .5920, .5678, .5452,
                        .5225, .4964, .4845, .4662, .4442, .4305, .4175),
    ('validation', 'accuracy'): (.4574, .5570, .6276, .6612, .6562, .6994, .7330, .6220, .7384, .7256, .7446, .7148,
                                 .7000, .7470, .7486, .7440, .7806, .7844, .7776, .7754),
    ('validation', 'loss'): (1.5734, 1.2997, 1.0566, .9517, .9985, .8774, .7731, 1.2613, .7696, .7959, .7652, .8496,
                             .9319, .7971, .7914, .8022, .6946, .6604, .7359, .6954)}
FASHION_LOG = {
    ('train', 'accuracy'): (.8236, .8788, .8917, .9041, .9123, .9181, .9254, .9316, .9334, .9374),
    ('train', 'loss'): (.4893, .3381, .2919, .2618, .2371, .2200, .2020, .1858, .1760, .1667),
    ('validation', 'accuracy'): (.8868, .9018, .9110, .9154, .9264, .9254, .9274, .9240, .9324, .9354),
    ('validation', 'loss'): (.3166, .2740, .2527, .2305, .2038, .1970, .1991, .2028, .1918, .1876)}

CLAIMS = (
    *_logged('000', 'cnn_cifar10', CIFAR10_LOG),
    Claim('000', 'lowest validation loss 0.6604, at epoch 18', ('cnn_cifar10',),
          comparisons.lowest_validation_loss(0.6604)),
    Claim('000', 'the autoencoder\'s training loss falls in each of 5 epochs', ('rotated_autoencoder_hoda',),
          curves.falls(5)),
    Claim('000', 'an epoch takes 21 s (460 to 480 µs an image)', reason='the machine is not stated'),
    Claim('001', 'convolutions have 960,896 parameters, dense layers and batch normalisation 5,255,218',
          ('deep_cnn_cifar10',), curves.layer_sums(conv_parameters=960_896, dense_parameters=5_255_218)),
    Claim('001', '131,072 neurons in convolutions, 2,058 in dense layers', ('deep_cnn_cifar10',),
          curves.layer_sums(conv_neurons=131_072, dense_neurons=2_058)),
    Claim('001', 'validation and test loss are lower than the training loss', ('deep_cnn_cifar10',),
          comparisons.split_lower('loss', ('validation', 'test'), 'train')),
    Claim('001', 'with batch normalisation training is more efficient',
          reason='the curves are lost and the text has no figure'),
    Claim('001', 'filters 3, 11, 16, 28 of the first layer are smooth vertically, 7, 13, 19 and others horizontally',
          reason='which filter learns what depends on the seed, and the weights are not published'),
    Claim('002', 'LeNet5 on gray CIFAR-10 overfits after about 1,000 iterations', ('lenet5_gray_cifar10',),
          comparisons.overfits(500, 1_500)),
    Claim('002', 'LeNet5 does better on training than on test images', ('lenet5_gray_cifar10',),
          comparisons.split_lower('accuracy', ('test',), 'train')),
    Claim('002', 'the CNN with batch normalisation is better than LeNet5',
          ('bn_cnn_gray_cifar10', 'lenet5_gray_cifar10'), comparisons.higher('test_accuracy')),
    Claim('002', 'the LSTM is better than the RNN', ('lstm_mnist', 'rnn_mnist'), comparisons.higher('test_accuracy')),
    Claim('002', 'the LSTM is faster than the RNN (iterations to 97.27 %)', ('rnn_mnist', 'lstm_mnist'),
          comparisons.in_order_of_need(0.9727)),
    Claim('002', 'the GRU is better than the RNN', ('gru_mnist', 'rnn_mnist'), comparisons.higher('test_accuracy')),
    Claim('002', 'the GRU is better than the LSTM', ('gru_mnist', 'lstm_mnist'), comparisons.higher('test_accuracy')),
    Claim('002', 'the GRU is faster than the LSTM (iterations to 97.27 %)', ('lstm_mnist', 'gru_mnist'),
          comparisons.in_order_of_need(0.9727)),
    *(Claim('002', f'fewer units of the {cell} need more iterations (32, 64, 128 units to 95 %)',
            tuple(_units(cell, units) for units in (32, 64, 128)), comparisons.in_order_of_need(0.95))
      for cell in ('RNN', 'LSTM', 'GRU')),
    Claim('002', 'the CNN is better than the RNN on MNIST', ('cnn_mnist', 'rnn_mnist'),
          comparisons.higher('test_accuracy')),
    Claim('002', 'the CNN converges faster than the RNN (iterations to 97.27 %)', ('rnn_mnist', 'cnn_mnist'),
          comparisons.in_order_of_need(0.9727)),
    Claim('002', 'the CNN passes 97.27 % after around 1,000 iterations', ('cnn_mnist',),
          comparisons.near_step(0.9727, 500, 1_500)),
    Claim('002', 'statistics of the activations, two tables', reason='their values are lost'),
    *_logged('003', 'cnn_fashion_mnist', FASHION_LOG),
    Claim('003', 'the forward pass in NumPy gives the 10 probabilities of test image 998, similarity 100 %',
          reason='the network that gave them is not published'),
    Claim('003', 'the data set', reason='it is never named; 28×28 pixels, 10 classes and 92.8 % suggest Fashion-MNIST'),
    Claim('003', 'an epoch takes 29 s (part 1) and 2 s (part 2)', reason='the machine is not stated'),
    Claim('004', 'the learning curves with and without the L2 penalty do not differ significantly',
          ('cnn_food11', 'cnn_food11_l2'), comparisons.no_difference('validation_accuracy')),
    Claim('004', 'weights lie between −0.10 and 0.10; peaks of 16, 200 and 450 in the histograms of three layers',
          reason='the number of bins, the optimizer and the length of training are not stated'),
    Claim('004', 'the LSTM\'s training loss is lower than the RNN\'s',
          ('char_lstm_shakespeare', 'char_rnn_shakespeare'), comparisons.lower('train_loss')),
    Claim('004', 'the LSTM\'s validation loss is lower than the RNN\'s',
          ('char_lstm_shakespeare', 'char_rnn_shakespeare'), comparisons.lower('validation_loss')),
    Claim('004', 'the text has 67 kinds of characters',
          reason='the file is not named: the texts at hand have 65 and 84'),
    Claim('004', 'bits per character of the RNN and the LSTM', reason='the figures are lost with the pictures'),
)
