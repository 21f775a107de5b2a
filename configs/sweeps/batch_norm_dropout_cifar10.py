"""Batch normalisation × dropout on augmented CIFAR-10: report 001's four learning curves.

    python -m jaxdl.sweep --config=configs/sweeps/batch_norm_dropout_cifar10.py

Report 001 prints only plots, no numbers. The table gives our accuracies, seed 0, at the lowest
validation loss, on 2 cores of an AMD EPYC, 2026-11-22. CIFAR-10's test images are a JPEG copy here.

    network                   test    held out    training
    BN                       76.80 %    79.78 %     77.3 %
    BN without dropout       80.89 %    82.88 %     83.9 %
    no BN                    65.42 %    67.62 %     64.6 %
    no BN without dropout    71.42 %    73.26 %     73.1 %

In these few epochs batch normalisation gains about ten points, and dropout costs about five. The
networks with dropout learn more slowly, and no network overfits yet.

The report's layer table has one batch normalisation, on the logits. Its text has one after every
convolution and pooling. The networks with batch normalisation use both here. The report does not
specify the length of training (here 5 epochs). The runs had an earlier recipe of
`deep_cnn_cifar10`: Adam, cosine decay, dropout of 0.2 and 0.5.
"""

import pathlib

import ml_collections

from jaxdl.config import reading

BASE = '../deep_cnn_cifar10.py'


def get_config():
  config = ml_collections.ConfigDict()
  config.base = BASE
  config.seeds = (0,)
  config.common = dict(train_for='5 epochs')
  config.axes = (
    dict(
      name='network',
      choices=[
        dict(name=name, model=dict(layers=layers(batch_norm=batch_norm, dropout=dropout)))
        for name, batch_norm, dropout in (
          ('BN', True, True),
          ('BN without dropout', True, False),
          ('no BN', False, True),
          ('no BN without dropout', False, False),
        )
      ],
    ),
  )
  return config


def layers(*, batch_norm, dropout):
  """Layers of `deep_cnn_cifar10`, with or without batch normalisation and dropout."""
  found = []
  for layer in reading.read_file(pathlib.Path(__file__).parent / BASE).model.layers:
    if layer['kind'] == 'batch_norm' or (layer['kind'] == 'dropout' and not dropout):
      continue
    found.append(dict(layer))
    if layer['kind'] == 'max_pool' and batch_norm:
      found.append(dict(kind='batch_norm'))
  if batch_norm:
    return [*found, dict(kind='batch_norm', name='logits')]
  return [*found[:-1], {**found[-1], 'name': 'logits'}]
