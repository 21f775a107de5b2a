"""Six optimizers on augmented CIFAR-10.

    python -m jaxdl.sweep --config=configs/sweeps/optimizers_cifar10.py

Report 001 prints only plots, no numbers. The table gives our accuracies on the test images and on
the held-out images, seed 0, at the lowest validation loss (the last epoch):

    RMSProp   69.29 %  71.32 %
    Adam      68.96 %  70.56 %
    SGD       54.24 %  55.18 %
    Nesterov  51.15 %  53.70 %
    momentum  50.33 %  52.22 %
    AdaGrad   43.61 %  45.72 %

The curves of RMSProp and Adam coincide from the first epoch on. The other optimizers are 15 points
or more below; their order depends on the learning rates. CIFAR-10's test images are a JPEG copy
here. Measured on 2 cores of an AMD EPYC, 2026-11-22, with an earlier recipe of `deep_cnn_cifar10`:
cosine decay, dropout of 0.2 and 0.5.

The report does not specify the learning rates (here the usual rate of each optimizer, with the
schedule of `deep_cnn_cifar10`) or the length of training (here 5 epochs).
"""

import ml_collections

RATES = {
  'SGD': ('sgd', 0.1),
  'momentum': ('momentum', 0.01),
  'Nesterov': ('nesterov', 0.01),
  'AdaGrad': ('adagrad', 0.01),
  'RMSProp': ('rmsprop', 1e-3),
  'Adam': ('adam', 1e-3),
}


def get_config():
  config = ml_collections.ConfigDict()
  config.base = '../deep_cnn_cifar10.py'
  config.seeds = (0,)
  config.common = dict(train_for='5 epochs')
  config.axes = (
    dict(
      name='optimizer',
      choices=[
        dict(name=name, optimizer=dict(name=rule, learning_rate=rate))
        for name, (rule, rate) in RATES.items()
      ],
    ),
  )
  return config
