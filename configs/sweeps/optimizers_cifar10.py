"""Six optimizers on augmented CIFAR-10.

    python -m jaxdl.sweep --config=configs/sweeps/optimizers_cifar10.py

Report 001 prints figures only, no numbers. Ours, seed 0, at the lowest validation loss, which is
that of the last epoch, of the test images and of those held out:

    RMSProp   69.29 %  71.32 %
    Adam      68.96 %  70.56 %
    SGD       54.24 %  55.18 %
    Nesterov  51.15 %  53.70 %
    momentum  50.33 %  52.22 %
    AdaGrad   43.61 %  45.72 %

RMSProp and Adam lie on each other from the first epoch on; the others are 15 points or more below,
whatever their order, which the rates decide. CIFAR-10's test images are a JPEG copy here. Measured
on 2 cores of an AMD EPYC, 2026-11-22, with dropout of 0.2 after the convolutions, where
`deep_cnn_cifar10` has 0.1 now. The report leaves open the learning rates (here each rule's usual
one, which falls along a cosine) and how long each was trained (here 5 epochs).
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
