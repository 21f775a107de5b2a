"""Cross entropy against squared error on augmented CIFAR-10.

    python -m jaxdl.sweep --config=configs/sweeps/losses_cifar10.py

Report 001 prints figures only, no numbers. Ours, seed 0, at the lowest validation loss, which is
that of the last epoch: 68.96 % of the test images and 70.56 % of those held out by cross entropy,
66.37 % and 68.24 % by squared error, and the first is ahead after every epoch. CIFAR-10's test
images are a JPEG copy here. Measured on 2 cores of an AMD EPYC, 2026-11-22, with dropout of 0.2
after the convolutions, where `deep_cnn_cifar10` has 0.1 now. Compare accuracies: the loss of the
one is in nats, that of the other Σ (p − y)² from 0 to 2. The report leaves open how long each was
trained (here 5 epochs, before either is at its end).
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../deep_cnn_cifar10.py'
  config.seeds = (0,)
  config.common = dict(train_for='5 epochs')
  config.axes = (
    dict(
      name='loss',
      choices=(
        dict(name='cross entropy', task='classify'),
        dict(name='squared error', task='classify_by_squared_error'),
      ),
    ),
  )
  return config
