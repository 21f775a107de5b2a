"""Trains the convolutional network of Keras's MNIST example and writes its weights.

    python keras_mnist.py

Keras's example (keras.io, 'Simple MNIST convnet') with three epochs instead of fifteen, and the
digits that jaxdl contains, so that nothing is downloaded.
"""

import os

os.environ.setdefault('KERAS_BACKEND', 'jax')

import keras
import numpy as np

from jaxdl.data.sets import mnist

found = mnist.mnist(source='bundled', data_dir=None)
train, test = found.columns['train'], found.columns['test']

keras.utils.set_random_seed(0)
model = keras.Sequential(
  [
    keras.Input((28, 28, 1)),
    keras.layers.Conv2D(32, 3, activation='relu'),
    keras.layers.MaxPooling2D(2),
    keras.layers.Conv2D(64, 3, activation='relu'),
    keras.layers.MaxPooling2D(2),
    keras.layers.Flatten(),
    keras.layers.Dropout(0.5),
    keras.layers.Dense(10),
  ]
)
model.compile(
  loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
  optimizer='adam',
  metrics=['accuracy'],
)
model.fit(train['image'] / np.float32(255), train['label'], batch_size=128, epochs=3)
loss, accuracy = model.evaluate(test['image'] / np.float32(255), test['label'], batch_size=1000)
print(f'test loss {loss:.4f}, test accuracy {100 * accuracy:.2f} %')
model.save('keras_mnist.keras', include_optimizer=False)
