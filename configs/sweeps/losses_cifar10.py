"""Cross entropy against squared error on augmented CIFAR-10.

    python -m jaxdl.sweep --config=configs/sweeps/losses_cifar10.py

Report 001 prints only plots, no numbers. Our results at the lowest validation loss (the last
epoch), seed 0: cross entropy reaches 68.96 % on the test images and 70.56 % on the held-out images;
squared error reaches 66.37 % and 68.24 %. Cross entropy leads after every epoch. CIFAR-10's test
images are a JPEG copy here. Measured on 2 cores of an AMD EPYC, 2026-11-22, with an earlier recipe
of `deep_cnn_cifar10`: Adam, cosine decay, dropout of 0.2 and 0.5.

Compare accuracies, not losses: cross entropy is in nats, while the squared error Σ (p − y)² ranges
from 0 to 2. The report does not specify the length of training (here 5 epochs, before either run
converges).
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
