"""Where the five reports contradict themselves.

Such a figure cannot be reproduced, only shown next to ours.
"""

REPORTS = {
  '000': 'CIFAR-10 in Keras, and rotated Farsi digits (homework 3, 2019)',
  '001': 'CIFAR-10 with batch normalisation and dropout (CS7011, assignment 2, 2017)',
  '002': 'Gray CIFAR-10, and MNIST read row by row (ELEC/COMP 576, assignment 2, 2020)',
  '003': 'Two CNNs, one of them also in NumPy (CS/DS 541, homework 5)',
  '004': 'Photographs of food, and Shakespeare by characters (homework 2, 2018)',
}

_GRU = (
  'the test accuracy of 99.8 % lies above the training accuracy of 99.21 %, '
  'so the two may be swapped'
)
_WARM = (
  'its first epoch already has 98.75 % training accuracy and the validation loss only rises, '
  'so the network had been trained before'
)
DOUBTFUL = {  # (config, key of config.reported) → what contradicts it
  ('gru_mnist', 'test_accuracy'): _GRU,
  ('gru_mnist', 'train_accuracy'): _GRU,
  ('gru_mnist', 'step'): _GRU,
  ('wide_cnn_fashion_mnist', 'train_accuracy'): _WARM,
  ('wide_cnn_fashion_mnist', 'train_loss'): _WARM,
  ('wide_cnn_fashion_mnist', 'validation_accuracy'): _WARM,
  ('wide_cnn_fashion_mnist', 'validation_loss'): _WARM,
}

CONTRADICTIONS = (  # (report, what it states, what contradicts that)
  (
    '001',
    'Dropout after every block of convolution and pooling (task I)',
    'the layer table of task IV has no dropout layer',
  ),
  (
    '001',
    'Batch normalisation after every block of convolution and pooling (task V)',
    'the layer table and task II have one, on the 10 logits; '
    'after each convolution they would add 2,816 parameters',
  ),
  (
    '001',
    'Interesting neurons and guided back-propagation of CONV5 (task VII)',
    'the last convolution of the layer table is CONV4',
  ),
  (
    '001',
    'The output is SOFTMAX_Activation(ReLU-Activation)',
    'the row names two activations, and the sentence on the output function breaks off',
  ),
  (
    '002',
    'LeNet5 overfits after around 1000 epochs',
    'it iterates 5,500 times in all, so iterations must be meant',
  ),
  (
    '002',
    'RNN with 32 units: 98 % test accuracy, more iterations needed',
    'that is above 64 units (96.38 %) and 128 units (97.27 %), '
    'and 98 % and 99.2 % are printed again for the GRU',
  ),
  (
    '002',
    'RNN with 64 units: 99.21 % training accuracy',
    'the RNN with 128 units has 97.65 %, and 99.21 % is also printed for the GRU with 128 units',
  ),
  (
    '003',
    'Test accuracy obtained: 92.79 % (part 1)',
    'the cell prints 0.92799997, which is 92.80 %',
  ),
  (
    '003',
    'Convolutions with stride 1 and without padding (part 1)',
    'the layer table keeps 28×28 and 27×27, so they are padded; its pools have stride 1',
  ),
  (
    '003',
    'The model with the best validation accuracy is loaded (part 1)',
    'the checkpoint is that of the lowest validation loss',
  ),
  ('003', 'Trained for 5 epochs (part 2)', _WARM),
  (
    '004',
    'Photographs are cropped and resized to 512×512',
    'the printed code crops and does not resize',
  ),
  (
    '004',
    'One test accuracy: 46 %',
    'the same preprocessing is for both sets, so test photographs are flipped at random',
  ),
  (
    '004',
    '500 characters generated from ROMEO',
    'all five outputs are fed back at once, and the loop calls exit(); '
    'the author cannot read the text',
  ),
)
