"""Which pictures of a run's analyses stand where in its report, and what is said of them."""

import base64
import fnmatch

SECTIONS = (  # heading, ((pattern of a picture's name, what it shows), …)
  ('Data', (('samples', 'Training images and their classes'),)),
  (
    'Filters',
    (
      ('filters_raw', 'Filters of the first convolution on one scale'),
      ('filters_normalised', 'The same, each filter from its least to its greatest weight'),
    ),
  ),
  ('Feature maps', (('feature_maps_*', 'Feature maps of {0} for eight images'),)),
  (
    'Weights',
    (
      ('weights', 'Distribution of the weights and biases of every layer'),
      (
        'weights_over_training',
        'How they moved during training: the least and the greatest, the middle 87, 68 and '
        '38 % and the median at each evaluation',
      ),
    ),
  ),
  (
    'Neurons',
    (
      (
        'neurons',
        'Ten selective channels and the patches that excite them most: channel, class, and the share of that class '
        'in the outputs of the images, at most 50, that excite it most; its strongest output',
      ),
      ('neurons_pixels', 'The pixels of the strongest image that excite each channel'),
      (
        'maximised',
        'Patches that excite a channel most, and how much: the strongest of real images, and one sought from '
        'noise for the same unit',
      ),
      (
        'evolution',
        'A channel mapped back to pixels at each checkpoint of the run; keep_every keeps more',
      ),
    ),
  ),
  (
    'Why these classes',
    (
      ('attributions', 'Nine attribution methods side by side'),
      (
        'sanity',
        'How far each map stays as it was when the weights are drawn anew, layer by layer; flagged where it hardly '
        'changes',
      ),
    ),
  ),
  (
    'Errors',
    (
      ('confusion', 'Confusion matrix: true classes in rows, predicted ones in columns'),
      ('mistakes', 'The worst mistakes: true and predicted class'),
      ('calibration', 'How often a confidence is right'),
    ),
  ),
  (
    'Reconstructions',
    (
      ('reconstructions', 'Originals, inputs and reconstructions'),
      ('walks', 'Walks between the codes of two examples'),
    ),
  ),
  (
    'Step by step',
    (
      ('by_step', 'Accuracy after each row read'),
      ('states', 'Where the hidden states end'),
      ('gates', 'Share of saturated gates'),
    ),
  ),
  (
    'Characters',
    (
      ('surprise', 'Surprise at each character, in bits'),
      ('unit_*', 'What unit {0} follows in the text'),
    ),
  ),
  ('Features in the plane', (('embedding_pca', 'Principal components of the features'),)),
  (
    'The forward pass in NumPy',
    (('numpy', 'Probabilities of the network and of its forward pass in NumPy alone'),),
  ),
)
ELSEWHERE = (
  'statistics',
  'embedding_tsne',
)  # pictures of what the page has as a table and as a map


def of_run(folder):
  """The sections of a run that have a picture.

  Args:
    folder: of its analyses, pathlib.Path.

  Returns:
    list of {'heading': str, 'pictures': list of {'name', 'caption', 'data': a data URI}}.
  """
  names = sorted(file.stem for file in folder.glob('*.png'))
  known = [pattern for _, wanted in SECTIONS for pattern, _ in wanted]
  others = [
    name
    for name in names
    if name not in ELSEWHERE and not any(fnmatch.fnmatch(name, one) for one in known)
  ]
  found = [
    {
      'heading': heading,
      'pictures': [
        {
          'name': name,
          'caption': caption.format(name[len(pattern) - 1 :]),
          'data': data_uri(folder / f'{name}.png'),
        }
        for pattern, caption in wanted
        for name in fnmatch.filter(names, pattern)
      ],
    }
    for heading, wanted in (
      *SECTIONS,
      ('Other analyses', [(name, name.replace('_', ' ')) for name in others]),
    )
  ]
  return [section for section in found if section['pictures']]


def drawn_by(results):
  """How some results were asked for.

  Args:
    results: name → what its .json says, dict.

  Returns:
    list of str, flags of `jaxdl.analyze` that make them as they are, such as '--only=errors,numpy
    --images=300'.
  """
  made = {}  # flags → analyses, in order
  for found in results.values():
    if 'analysis' in found:
      made.setdefault(str(found.get('flags', '')), {})[str(found['analysis'])] = None
  return [f'--only={",".join(analyses)} {flags}'.strip() for flags, analyses in made.items()]


def data_uri(file):
  """A picture's file as the address of itself."""
  return f'data:image/{file.suffix[1:]};base64,{base64.b64encode(file.read_bytes()).decode()}'
