"""How well a language model predicts a text while it keeps learning from it."""

from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import dynamic_evaluation
from jaxdl.models.transformer import Transformer
from jaxdl.views.subject import Subject, data_of_run
from jaxdl.views.view import Choice, Display, Result, View

MEASURED = 20_000  # characters of the training text, for the size of the gradients
TUNED = 5_000  # characters of the validation text, for the rates
RATES, DECAYS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3), (0.0, 0.01)
POINTS = 300  # of a curve


def evaluated(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Compares the bits per character with those of the same network that keeps learning."""
  data = data_of_run(
    subject.workdir, subject.config, data_dir=subject.data_dir, folder=subject.folder
  )
  model, variables = subject.model, subject.variables
  segment = dynamic_evaluation.SEGMENT
  if isinstance(model, Transformer):
    segment = min(segment, model.context)
  training = data.splits['train'].arrays['character'][:MEASURED]
  sizes = dynamic_evaluation.gradient_sizes(model, variables, training, segment=segment)

  def bits(text, rate, decay):
    return dynamic_evaluation.dynamic_bits(
      model, variables, text, sizes, rate=rate, decay=decay, segment=segment
    )

  held_out = data.splits['validation'].arrays['character'][:TUNED]
  pairs = [(0.0, 0.0), *((rate, decay) for rate in RATES for decay in DECAYS)]
  tried = {pair: float(np.nanmean(bits(held_out, *pair))) for pair in pairs}
  rate, decay = min(tried, key=lambda pair: tried[pair])
  text = np.append(subject.inputs[0], subject.labels[0][-1])
  found = {'static': bits(text, 0.0, 0.0), 'dynamic': bits(text, rate, decay)}
  means = {name: float(np.nanmean(values)) for name, values in found.items()}
  first = 1 + len(text) // 50  # the mean of few characters would stretch the axis
  places = np.unique(np.linspace(first, len(text) - 1, POINTS).astype(int))
  curves = {
    f'{name}: {means[name]:.3f} bits': (places, _running_mean(values)[places - 1])
    for name, values in found.items()
  }
  figure = figures.lines(
    curves,
    xlabel='characters read',
    ylabel='bits per character so far',
    heading=(
      f'{len(text):,} characters of the {subject.split} text; learning rate {rate:g}, decay '
      f'{decay:g},\nchosen on {len(held_out):,} characters of the validation text'
    ),
  )
  yield Result(
    'dynamic_evaluation',
    figure,
    found,
    {
      'static_bits_per_character': means['static'],
      'dynamic_bits_per_character': means['dynamic'],
      'rate': rate,
      'decay': decay,
      'segment': segment,
      'characters': len(text),
      'tried': [
        {'rate': pair[0], 'decay': pair[1], 'validation_bits_per_character': value}
        for pair, value in tried.items()
      ],
    },
  )


def _running_mean(bits):
  """Mean of the bits up to each character but the first, which has none."""
  return np.cumsum(bits[1:]) / np.arange(1, len(bits))


def _lacking(subject: Subject) -> str:
  splits = subject.config['data'].get('splits') or {}
  return '' if splits.get('validation') else 'there is no validation text to choose the rates on'


VIEWS = {
  'dynamic_evaluation': View(
    'bits per character of a network that keeps learning from the text it reads',
    ('language_model',),
    evaluated,
    section='Characters',
    displays={
      'dynamic_evaluation': Display(
        'Dynamic evaluation',
        'The gap shows what the network learns from the text while it reads it. Compare the '
        'dynamic figure with other dynamic figures only',
        entry='dynamic_evaluation',
      )
    },
    lacking=_lacking,
    named_only=True,
    slow_part='the network takes a step of training after every 20 characters',
  )
}
