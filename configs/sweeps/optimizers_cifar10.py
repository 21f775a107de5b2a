"""Six optimizers on augmented CIFAR-10.

    python -m jaxdl.sweep --config=configs/sweeps/optimizers_cifar10.py

Report 001 prints figures only, no numbers. Ours is not measured yet.
The report leaves open the learning rates (here each rule's usual one, which falls along a cosine) and how long each was
trained (here 5 epochs).
"""

import ml_collections

RATES = {'SGD': ('sgd', 0.1), 'momentum': ('momentum', 0.01), 'Nesterov': ('nesterov', 0.01), 'AdaGrad': ('adagrad', 0.01),
         'RMSProp': ('rmsprop', 1e-3), 'Adam': ('adam', 1e-3)}


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../deep_cnn_cifar10.py'
  config.seeds = (0,)
  config.common = dict(train_for='5 epochs')
  config.axes = (dict(name='optimizer', choices=[dict(name=name, optimizer=dict(name=rule, learning_rate=rate))
                                                 for name, (rule, rate) in RATES.items()]),)
  return config
