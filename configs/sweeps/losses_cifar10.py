"""Cross entropy against squared error on augmented CIFAR-10.

    python -m jaxdl.sweep --config=configs/sweeps/losses_cifar10.py

Report 001 prints figures only, no numbers. Ours is not measured yet.
Compare accuracies: the loss of the one is in nats, that of the other Σ (p − y)² from 0 to 2. The report leaves open how
long each was trained (here 5 epochs).
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../deep_cnn_cifar10.py'
  config.seeds = (0,)
  config.common = dict(train_for='5 epochs')
  config.axes = (dict(name='loss', choices=(dict(name='cross entropy', task='classify'),
                                            dict(name='squared error', task='classify_by_squared_error'))),)
  return config
