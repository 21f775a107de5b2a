"""Three convolutions and one dense layer on photographs of food, 512×512.

    python -m jaxdl.main --config=configs/cnn_food11.py --config.data.folder=DIR

DIR is Food-11 as downloaded: training/, validation/ and evaluation/, with files named
<class>_<id>.jpg. Any other photographs in class folders are also accepted, with or without folders
train/, validation/ and test/ above them. Splits without a folder are held out of the training
photographs, 10 % each; --config.data.splits=80/10/10 gives other parts. The size of the last layer
is taken from the data.

Report 004 gives 96 % on the training photographs of Food-11 and 46 % on the test photographs.
Food-11 itself has not been measured yet. On 400 photographs of ten dishes (255 for training, 45 for
validation, 100 for the test; splits train[:85%], train[85%:] and test), this config reaches 97 % on
the training and 28 % on the test photographs after 10 epochs, seed 0. With so few photographs it
overfits early: the first epoch has the lowest validation loss (13 % on the test). Measured on 2
cores of an AMD EPYC, 2026-11-22.

The report does not specify the optimizer, the learning rate, the batch size, the length of training
(here 10 epochs) or the initialisation (here He normal). The report flips test photographs at random
too; this config flips only training photographs.
"""

import ml_collections


def get_config():
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.cpu_devices = 2
  config.task = 'classify'
  config.train_for = '10 epochs'
  config.log_every = '10 steps'
  config.evaluate_every = '1 epoch'
  config.checkpoint_every = '1 epoch'
  config.data = dict(
    name='image_folder',
    folder='food-11',
    source='auto',
    batch_size=16,
    size=512,
    scale='symmetric',
    class_names='food11',
    augment=(dict(kind='flip'),),
    splits=dict(train='train', validation='validation', test='test'),
  )
  config.model = dict(
    name='cnn',
    activation='relu',
    initializer='he_normal',
    layers=(
      dict(kind='conv', features=16, kernel=5, padding='SAME'),
      dict(kind='max_pool', window=2),
      dict(kind='conv', features=32, kernel=5, padding='SAME'),
      dict(kind='max_pool', window=2),
      dict(kind='conv', features=32, kernel=5, padding='SAME'),
      dict(kind='max_pool', window=4),
      dict(kind='flatten'),
      dict(kind='dense', features='classes', activate=False, name='logits'),
    ),
  )
  config.optimizer = dict(name='adam', learning_rate=1e-3)
  config.schedule = dict(name='constant')
  config.reported = dict(source='004', test_accuracy=0.46, train_accuracy=0.96)
  return config
