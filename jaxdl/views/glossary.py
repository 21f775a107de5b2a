"""Glossary: what each picture of a page shows and how to read it.

`docs/glossary.md` is written from these entries by `python -m jaxdl.views.glossary`.
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Entry:
  """An entry of the glossary.

  Attributes:
    title: the term.
    text: what it is and how to read its picture, in plain text.
    source: the paper; '' for common knowledge.
  """

  title: str
  text: str
  source: str = ''


ENTRIES = {
  'curves': Entry(
    'Learning curves',
    'The loss and the metrics during training, on the training, validation and test examples. A '
    'training point is the mean since the previous point, while the network was still learning; '
    'the other points are measured on a whole split. Training curves that keep falling while '
    'the validation loss rises are a sign of overfitting.',
  ),
  'search': Entry(
    'Hyperparameter search',
    'Trials with other values of some keys of the config, such as the learning rate. The sampler '
    'chooses the values of a trial from the results of those before; the pruner ends trials that '
    'are worse than others were at the same evaluation. All trials are compared on the validation '
    'examples. The best of many trials looks better on these than it is: judge it by its test '
    'examples.',
    'Akiba et al. 2019',
  ),
  'importances': Entry(
    'Parameter importances',
    'The share of the differences between trials that a parameter explains alone or with others '
    '(fANOVA): a random forest predicts the metric from the parameters, and its variance is '
    'divided among them. The shares depend on the ranges of the search and are uncertain for few '
    'trials. Pruned trials are left out.',
    'Hutter et al. 2014',
  ),
  'parallel_coordinates': Entry(
    'Parallel coordinates',
    'An axis for each parameter and one for the metric; a line is a trial. Lines of the same '
    'choice are spread a little. Dashed lines are pruned trials, which have no final result.',
    'Inselberg 1985',
  ),
  'interval': Entry(
    '95 % interval',
    'The Wilson score interval of a share, such as an accuracy: the true share lies in 95 % of '
    'such intervals. It accounts for the choice of the examples, but not for the seed of the '
    'training. Two runs whose intervals overlap widely cannot be told apart by one evaluation.',
    'Wilson 1927',
  ),
  'filters': Entry(
    'Filters',
    'The weights of the first convolution as small pictures. Each filter responds to the parts '
    'of an image that look like it: edges, spots and colours. With one scale, grey is 0 and '
    'faint filters are weak; scaled one by one, their shapes are visible. Noisy filters are a '
    'sign of a short training or of too many filters.',
  ),
  'feature_maps': Entry(
    'Feature maps',
    'The output of single channels of a layer for an image, one brightness for each place. '
    'Bright places are where the filter of the channel finds its pattern. Deeper layers have '
    'smaller maps of larger patterns.',
  ),
  'statistics': Entry(
    'Activation statistics',
    'The distribution of the outputs of a layer over the examples. A unit is one channel at one '
    'place. After a ReLU, a unit that is never above 0 is dead: it has no gradient and cannot '
    'learn. Where no ReLU follows, negative outputs are normal and the count is left blank.',
  ),
  'weights': Entry(
    'Distribution of the weights',
    'A histogram of the numbers of each tensor, and how their distribution changed during '
    'training. Of a normal distribution, the bands hold the numbers up to 1.5, 1 and 0.5 '
    'standard deviations (σ) from the mean. Tensors that do not move do not learn; a steadily '
    'widening band is a sign of a missing weight decay or of divergence.',
  ),
  'selective': Entry(
    'Selective channels',
    'Channels whose strongest images are mostly of one class, and the patches of images that '
    'excite them most. A patch is the part of the image that the unit sees, its receptive '
    'field. Patches that look alike show what the channel detects.',
    'Zeiler & Fergus 2014',
  ),
  'deconvnet': Entry(
    'Guided back-propagation and deconvnet',
    'Two ways to map the output of a unit back to pixels. Both go backward through the network '
    'and keep only positive signals at each ReLU, guided back-propagation also only where the '
    'ReLU was active. Grey is 0. A regular checkerboard is an artefact of strides and pooling, '
    'not a pattern of the image. Both show the image more than the class: see the sanity check.',
    'Zeiler & Fergus 2014; Springenberg et al. 2015',
  ),
  'maximised': Entry(
    'Maximised activation',
    'Pictures that are changed step by step, starting from noise and from the real patch that '
    'excites a unit most, so that the unit responds as strongly as possible. In the first half of '
    'the steps, the network sees them slightly shifted, rotated and scaled, and pictures of one '
    'unit are moved apart. The outputs are measured without that, within the range of the data. '
    'They show what the unit prefers, in several variants. They are no natural images; an output '
    'far above that of every real patch means that real images never use most of its range.',
    'Erhan et al. 2009; Olah et al. 2017',
  ),
  'evolution': Entry(
    'A channel during training',
    'The image that excites a channel most at each kept checkpoint, mapped back to pixels. '
    'Early layers settle within the first epochs; deeper ones later. Maps that still change at '
    'the end are a sign that training was short.',
    'Zeiler & Fergus 2014',
  ),
  'attribution': Entry(
    'Attribution',
    'A map of the pixels on which one output depends, by nine methods. Saliency: how much the '
    'output changes with a pixel. Gradient × input: that change times the pixel. SmoothGrad: '
    'the mean saliency of noisy copies. Integrated gradients: the sum of the gradients from a '
    'plain image to this one. Guided back-propagation and deconvnet: only positive signals. '
    'Grad-CAM: the places of a convolution that favour the class. Occlusion: how much the '
    'output falls when a small square is covered with the mean colour. Methods disagree; a '
    'reason that several of them share is safer.',
    'Simonyan et al. 2014; Smilkov et al. 2017; Sundararajan et al. 2017; Selvaraju et al. '
    '2017; Zeiler & Fergus 2014',
  ),
  'sequence_attribution': Entry(
    'Attribution of steps and characters',
    'A map of the rows, steps or characters on which one output depends, by several methods. '
    'Saliency, SmoothGrad, gradient × input, integrated gradients and occlusion are as for '
    'images; expected gradients are integrated gradients from real examples instead of one '
    'baseline. LRP divides the output among the terms of each sum, from the last step back to '
    'the first; a gate takes nothing. The completeness error is the difference between the sum '
    'of a map and what it should sum to: the output minus that of the baseline, or for LRP the '
    'output itself. The share of the first step is a known failure: in some networks, gradients '
    'grow on their way back and end there. A step of zeros gets 0 from every method that '
    'multiplies by the input.',
    'Arras et al. 2017; Erion et al. 2021; Sundararajan et al. 2017',
  ),
  'relevance': Entry(
    'Relevance',
    'A map of the pixels on which one output depends, by nine further methods. LRP divides the '
    'output among the units of each layer, from the last one down to the pixels: LRP-ε in '
    'proportion to what each contributes, LRP composite with a rule for each kind of layer. '
    'DeepLIFT divides the difference from a black image, expected gradients the mean difference '
    'from other images. HiResCAM, LayerCAM, Score-CAM and Ablation-CAM weight the channels of a '
    'convolution at each place, by their gradients, by the output for an image that they mask, or '
    'by its fall without them. RISE compares the outputs of randomly masked images.',
    'Bach et al. 2015; Montavon et al. 2019; Shrikumar et al. 2017; Erion et al. 2021; Draelos & '
    'Carin 2020; Jiang et al. 2021; Wang et al. 2020; Desai & Ramaswamy 2020; Petsiuk et al. 2018',
  ),
  'sanity': Entry(
    'Sanity check of attributions',
    'The weights are re-initialised from the last layer downward, and each map is compared with '
    'that of the trained network by rank correlation. 1 is the same order of pixels, 0 is no '
    'relation. A map that stays similar without the learned weights does not show what the '
    'network learned, only the image.',
    'Adebayo et al. 2018',
  ),
  'probes': Entry(
    'Linear probes',
    'A linear classifier (logistic regression) is fitted to the output of each layer for some '
    'examples and measured on others, which neither it nor the network was trained on. Accuracy '
    'that grows with depth shows how the layers separate the classes. A probe shows what is '
    'present in a layer, not what the network uses. Wide layers are reduced to principal '
    'components first, which may hide what a larger probe would find.',
    'Alain & Bengio 2017',
  ),
  'cka': Entry(
    'Similarity of layers (CKA)',
    'Linear centred kernel alignment compares two layers by the pairs of examples that they '
    'place near to each other: 1 if the outputs are equal up to a rotation and a scale, about 0 '
    'if they are unrelated. The debiased estimate does not grow with the width of a layer. A few '
    'strong directions, or a few unusual examples, may dominate it: similar layers may still '
    'compute different things.',
    'Kornblith et al. 2019; Nguyen et al. 2021',
  ),
  'nearest': Entry(
    'Nearest training examples',
    'The training examples whose features have the smallest angle to those of an example. They '
    'show what the network holds to be alike. That an example is near does not mean that it '
    'caused the prediction.',
    'Papernot & McDaniel 2018',
  ),
  'loss_landscape': Entry(
    'Loss between and around networks',
    'The loss of networks whose weights lie on the straight line between two runs, or on a plane '
    'of two random directions through one. In the plane, each filter of a direction has the norm '
    'of the same filter of the network, so that networks of different scales can be compared. A '
    'line or a plane shows little of a space of thousands of dimensions. A barrier between two '
    'seeds may vanish if the channels of one are reordered.',
    'Goodfellow et al. 2015; Li et al. 2018',
  ),
  'adversarial': Entry(
    'Adversarial distance',
    'The greatest change ε of any pixel, from 0 to 1, that is allowed to an attack. FGSM moves '
    'every pixel by ε in the direction that increases the loss; PGD takes many small steps '
    'within ε. The accuracy under an attack is an upper bound: stronger attacks may find more '
    'mistakes. Change that people do not see and that makes a network wrong is normal for '
    'networks that were not trained against it.',
    'Goodfellow et al. 2015; Madry et al. 2018',
  ),
  'concepts': Entry(
    'Concept vectors (TCAV)',
    'Images of a concept, such as stripes, are separated from random training images by a plane '
    'in the output of a layer. The score of a class is the share of its images whose logit rises '
    'in the direction of the concept. A t-test compares vectors of ten images of the concept '
    'each with vectors of random images, and is corrected for the number of tests. The score '
    'does not say how much the logit rises. Images that differ from the data in other ways than '
    'the concept, such as brightness, give a vector of that difference.',
    'Kim et al. 2018',
  ),
  'confusion': Entry(
    'Confusion matrix',
    'Counts of the examples of each true class (rows) by predicted class (columns). The '
    'diagonal is right. A bright cell beside it is a frequent confusion. Colours are shares of '
    'the row.',
  ),
  'per_class': Entry(
    'Precision, recall, F1',
    'Precision: the share of the predictions of a class that are right. Recall: the share of '
    'the examples of a class that are found. F1: their harmonic mean. A class of low recall and '
    'high precision is predicted too rarely.',
  ),
  'mistakes': Entry(
    'Worst mistakes',
    'The misclassified examples with the lowest probability of the true class. Some are wrong '
    'labels or unreadable images; the others show what the network does not know.',
  ),
  'calibration': Entry(
    'Calibration',
    'Predictions are grouped by their confidence; a bar shows the share of them that is right. '
    'On the diagonal, confidence can be taken literally. Bars below it: the network is '
    'overconfident; above it: underconfident. The expected calibration error is the mean '
    'distance from the diagonal, weighted by the number of predictions.',
    'Guo et al. 2017',
  ),
  'residuals': Entry(
    'Residuals',
    'The predicted minus the true value of each example. Points on the diagonal are right. A '
    'trend of the residuals means that the network misses a relation; a funnel means that its '
    'error grows with the value.',
  ),
  'importance': Entry(
    'Permutation importance',
    'How much the loss rises when one column is shuffled among the examples, so that it carries '
    'no information. Columns with the same information can replace each other: each of them '
    'then has a low bar.',
    'Breiman 2001',
  ),
  'tsne': Entry(
    't-SNE',
    'A map in which examples with similar features are near each other. Clusters are '
    'meaningful; their sizes and the distances between them are not. Trustworthiness (0 to 1) '
    'is the share of neighbours in the map that are neighbours in the features.',
    'van der Maaten & Hinton 2008',
  ),
  'pca': Entry(
    'Principal components',
    'The two directions along which the features vary most. Distances are faithful within these '
    'two directions, and the axes say how much of the variance they hold; what lies in the '
    'others is not visible.',
  ),
  'reconstructions': Entry(
    'Reconstructions',
    'The original, what the autoencoder is given, and what it returns after its code. Details '
    'that are missing do not fit into the code. Compare the error with that of the mean image, '
    'which needs no code.',
  ),
  'walks': Entry(
    'Walks between codes',
    'Points on a straight line between the codes of two examples, decoded. Smooth changes '
    'through plausible images mean that the codes in between are used; abrupt or blurred ones, '
    'that they are empty.',
  ),
  'by_step': Entry(
    'Accuracy by rows read',
    'A recurrent network reads an image row by row. The curve is the accuracy if it had to '
    'answer after each row. A steep rise marks the rows that decide.',
  ),
  'states': Entry(
    'Hidden states',
    'The last hidden state of each example, in the plane of the two main directions. Separate '
    'groups mean that the state holds the class.',
  ),
  'gates': Entry(
    'Saturated gates',
    'The share of the time in which a gate of a unit is nearly shut (below 0.1) or nearly open '
    '(above 0.9). A forget gate that is always open remembers everything; an input gate that is '
    'always shut makes the unit useless.',
    'Karpathy et al. 2016',
  ),
  'dynamic_evaluation': Entry(
    'Dynamic evaluation',
    'The network predicts 20 characters, learns from them with one step of gradient descent, and '
    'goes on. The steps are divided by the size of the gradients in training, and the parameters '
    'are drawn back to the trained ones. No character is predicted after it has been learned. A '
    'text that repeats names and phrases gets fewer bits than from the fixed network.',
    'Krause et al. 2018',
  ),
  'surprise': Entry(
    'Surprise',
    'The negative binary logarithm of the probability that the network gave to a character '
    'before it read it: 1 bit means even odds, 0 bits certainty. The first letters of words are '
    'usually the most surprising. The mean is the length of the text in bits per character, '
    'compressed with this network.',
  ),
  'unit': Entry(
    'What a unit follows',
    'The value of one unit after each character of a text, as the colour behind it. The unit is '
    'the one whose values correlate best with a property of the text, such as the distance from '
    'the start of the line.',
    'Karpathy et al. 2016',
  ),
  'attention': Entry(
    'Attention',
    'For each character (row), how much a head reads from each earlier character (column). A '
    'bright diagonal reads the previous character, a bright column one fixed character.',
    'Vaswani et al. 2017',
  ),
  'numpy': Entry(
    'The forward pass in NumPy',
    'The outputs are computed a second time by a short program without JAX. Equal numbers show '
    'that the definition of the network in this library is what it claims to be.',
  ),
  'generated': Entry(
    'Generated text',
    'The network continues a prompt, one character at a time, drawn by its probabilities. A low '
    'temperature favours the most probable characters: fewer errors, more repetition.',
  ),
  'ablation': Entry(
    'Ablation',
    'A channel is set to 0 in all examples, and the loss and the accuracy of each class are '
    'measured again. The change is an effect of the channel, whereas the selectivity of a channel '
    'is only a correlation with a class. Several channels may carry the same information: each of '
    'them can then be removed alone without a change. After batch normalisation, 0 may be an '
    'unusual value; the file also has the ablation to the mean.',
    'Morcos et al. 2018',
  ),
  'pruning': Entry(
    'Pruning curve',
    'The accuracy when more and more channels of a layer are set to 0, the least important first. '
    'Importance is the increase of the loss without the channel, the norm of its weights, its mean '
    'absolute output, or random. A ranking is useful if its curve is above the random ones. The '
    'channels are ranked on one half of the examples and the accuracy is measured on the other.',
    'Li et al. 2017',
  ),
  'influence': Entry(
    'Influential training images',
    'The training images whose gradients, at the kept checkpoints, point in the same direction as '
    'that of a test image (helpful: a step on them lowers its loss) or in the opposite one '
    '(harmful), by TracIn. It is a first-order estimate of what training on an image did, not of '
    'a training without it. Images of the same class are usually helpful, similar images of '
    'another class harmful.',
    'Pruthi et al. 2020',
  ),
  'self_influence': Entry(
    'Self-influence',
    'How much a step on a training image lowers its own loss. It is high for images that the '
    'network cannot explain by others: wrong labels, rare forms and damaged images. It is no proof '
    'of a wrong label: compare the images with their labels.',
    'Pruthi et al. 2020',
  ),
  'forgetting': Entry(
    'Forgetting events',
    'How often a training image was right at one kept checkpoint and wrong at the next. Images '
    'that are never forgotten are easy; those that are often forgotten or never learned are '
    'difficult or have wrong labels. Between checkpoints, events are not seen, so that the counts '
    'are lower bounds.',
    'Toneva et al. 2019',
  ),
  'samples': Entry(
    'Training images',
    'The first training images as they are stored, before augmentation, with their labels. Look '
    'for wrong labels, wrong colours and rotated images before looking at any metric.',
  ),
  'faithfulness': Entry(
    'Faithfulness of attributions',
    'Attribution methods graded on correctly predicted examples whose evidence is not known. '
    'Deletion and insertion AUC, pixel flipping and ROAD: how fast the class is lost or found '
    'when places are removed or inserted in the order of the map. Infidelity and sensitivity-n: '
    'whether the sums of a map predict these losses. Completeness error: whether a map sums to '
    'the change of the logit. Max-sensitivity: how much a map changes under small noise. Input '
    'invariance: whether it changes if inputs are shifted and the network shifts them back. '
    'Random logit and randomised weights: similarity with the map of another class, and of random '
    'weights; maps that multiply by the input share its zeros, which raises both. Sparseness: the '
    'Gini index. A method that fails can be rejected; one that passes is not thereby right, '
    'because removed places are unusual inputs. Only planted evidence (`jaxdl exam`) tells '
    'whether a method finds the truth.',
    'Petsiuk et al. 2018; Samek et al. 2017; Rong et al. 2022; Yeh et al. 2019; Ancona et al. '
    '2018; Kindermans et al. 2019; Sixt et al. 2020; Adebayo et al. 2018',
  ),
  'layers': Entry(
    'Layer table',
    'The layers in the order of their computation, the shape of one example before and after '
    'each, and the numbers that are trained in it.',
  ),
}


def found(key: str) -> dict[str, str] | None:
  """An entry as plain data for a page: 'title', 'text' and 'source'; None if there is none.

  Args:
    key: key of ENTRIES, or ''.
  """
  return dataclasses.asdict(ENTRIES[key]) if key in ENTRIES else None


def markdown() -> str:
  """The glossary as Markdown, the content of `docs/glossary.md`."""
  parts = ['# Glossary', 'The pictures of a report, and how to read them.']
  for entry in sorted(ENTRIES.values(), key=lambda entry: re.sub(r'\W', '', entry.title).lower()):
    source = f' ({entry.source})' if entry.source else ''
    parts += [f'## {entry.title}', f'{entry.text}{source}']
  return '\n\n'.join(parts) + '\n'


if __name__ == '__main__':
  print(markdown(), end='')
