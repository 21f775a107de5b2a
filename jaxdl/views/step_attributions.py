"""Attributions of networks that read step by step: rows beside an image, and coloured text."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from jaxdl import figures
from jaxdl.analysis import methods
from jaxdl.analysis.grading import completeness
from jaxdl.analysis.maps import recurrent_lrp
from jaxdl.analysis.maps.last_character import differentiable, vectors
from jaxdl.data import characters as text_data
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Display, Result, View

EXAMPLES = 6  # sequences that are shown
MEASURED = 256  # sequences over which completeness and the share of the first step are measured
BACKGROUND = 64  # sequences or texts for expected gradients
BLANK, STRIP = 1, 4  # pixels: between a map and the strip of its rows, and the width of the strip
TEXTS, MEASURED_TEXTS = 3, 6
LENGTH = 48  # characters that are read before the predicted one
COUNTED = 5000  # characters whose mean vector is the baseline


def of_rows(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Applies every method for sequences to six examples, for the predicted class."""
  places = np.unique(subject.labels, return_index=True)[1][:EXAMPLES]
  others = np.setdiff1d(np.arange(min(MEASURED, len(subject.inputs))), places)
  inputs = subject.inputs[np.concatenate([places, others])[:MEASURED]]
  known = methods.of_sequences(subject.model, inputs[:BACKGROUND], seed=choice.seed)
  predicted = _predicted(subject, inputs)
  shown, measured = {}, {}
  for name, method in known.items():
    maps = method.function(subject.model, subject.variables, inputs, predicted)
    shown[name] = maps[: len(places)]
    measured[name] = _figures_of(subject, method, inputs, predicted, maps)
  pictures = {name: _with_strips(subject, known[name], maps) for name, maps in shown.items()}
  rows = [
    [_input_picture(subject, place), *(of_method[number] for of_method in pictures.values())]
    for number, place in enumerate(places)
  ]
  steps = _step_name(subject)
  columns = [_title(name, found, steps) for name, found in measured.items()]
  signed = [number for number, method in enumerate(known.values(), 1) if method.signed]
  figure = figures.picture_rows(
    rows,
    ['input', *columns],
    labels=[_label(subject, *pair) for pair in zip(places, predicted[: len(places)], strict=True)],
    signed=signed,
    heading=(
      'Why the predicted class? Red is evidence for it, blue against it; saliency and SmoothGrad: '
      f'from dark to bright. The strip at the right of a map shows each {steps}. '
      f'Error: of completeness. Both figures are means over {len(inputs)} examples; '
      f'an even map has {100 / inputs.shape[1]:.1f} % on each {steps}.'
    ),
  )
  yield Result(
    'sequence_attributions',
    figure,
    {**shown, 'examples': places, 'targets': predicted[: len(places)]},
    {
      'target': 'the logit of the predicted class',
      'measured': len(inputs),
      'methods': measured,
      'lrp': _taken_by_others(subject, inputs, predicted),
    },
  )


def _predicted(subject, inputs):
  apply = jax.jit(lambda inputs: subject.model.apply(subject.variables, inputs))
  return np.asarray(apply(inputs)).argmax(-1)


def _figures_of(
  subject: Subject,
  method: methods.Method,
  inputs: np.ndarray,
  target: np.ndarray,
  maps: np.ndarray,
) -> dict[str, Any]:
  """The figures of a method, as JSON data; those that a method does not have are None."""
  flat = methods.without_channels(maps, method, axes=2)
  found = {
    'first_step_share': completeness.first_step_share(flat).mean(),
    'completeness_error': None,
    'score_difference': None,
  }
  if inputs.ndim == 3:
    found['first_filled_step_share'] = completeness.first_step_share(flat, _filled(inputs)).mean()
  if method.baseline_score is not None:
    difference = completeness.difference(
      method.baseline_score, subject.model, subject.variables, inputs, target
    )
    found['completeness_error'] = np.abs(completeness.totals(maps) - difference).mean()
    found['score_difference'] = np.abs(difference).mean()
  return found


def _taken_by_others(subject, inputs, target):
  """Mean magnitude of LRP's relevance that the biases and ε take; {} where LRP does not apply."""
  model, given = differentiable(subject.model, subject.variables, inputs)
  if recurrent_lrp.lacking(model):
    return {}
  found = recurrent_lrp.recurrent_lrp(model, subject.variables, given, target)
  return {'biases': np.abs(found.biases).mean(), 'stabiliser': np.abs(found.stabiliser).mean()}


def _filled(inputs):
  """Index of each sequence's first step with a number other than 0; 0 if there is none."""
  return np.asarray(inputs).any(-1).argmax(1)


def _title(name, found, steps):
  """The name of a method, its relative completeness error and the share of the first step."""
  first = f'first {steps} {_percent(found["first_step_share"])}'
  return '\n'.join([name.replace(' ', '\n', 1), _error(found), first])


def _error(found):
  """The completeness error relative to the difference of the scores, as text."""
  error, difference = found['completeness_error'], found['score_difference']
  if error is None:
    return 'no sum'
  return f'error {_percent(error / difference)}' if difference else f'error {error:.2g}'


def _percent(share):
  return f'{100 * share:,.0f} %' if share >= 0.0995 else f'{100 * share:.1f} %'


def _step_name(subject):
  return 'step' if subject.images is None else 'row'


def _with_strips(subject, method, maps):
  """Maps [B, T, W] as pictures, with a strip that shows one number for each step at the right.

  The map and the strip are scaled separately, to a greatest magnitude of 1.
  """
  steps = methods.without_channels(maps, method, axes=2)  # [B, T]
  if np.ndim(maps) == 2:  # one number for each step
    maps = np.repeat(np.asarray(maps)[..., None], _width(subject), axis=-1)
  elif subject.images is not None:
    of_pixels = np.asarray(maps).reshape(len(maps), *subject.images.shape[1:])
    maps = methods.without_channels(of_pixels, method)
  else:
    maps = np.asarray(maps)[..., : _width(subject)]  # without the mask
  return [_joined(*pair) for pair in zip(maps, steps, strict=True)]


def _width(subject):
  """Columns of an example's picture: pixels of a row, or numbers of a step without its mask."""
  if subject.images is not None:
    return subject.images.shape[2]
  return subject.inputs.shape[-1] - getattr(subject.model, 'masked', False)


def _joined(one, steps):
  blank = np.full((len(one), BLANK), np.nan)
  strip = np.repeat(_scaled(steps)[:, None], STRIP, axis=1)
  return np.concatenate([_scaled(one), blank, strip], axis=1)


def _scaled(values):
  return values / (np.abs(values).max() or 1.0)


def _input_picture(subject, place):
  """The image, or the numbers of the steps, in the width of the maps with their strips."""
  if subject.images is not None:
    white = ((0, 0), (0, BLANK + STRIP), (0, 0))
    return np.pad(subject.images[place], white, constant_values=1.0)
  values = subject.inputs[place, :, : _width(subject)]
  return np.pad(values, ((0, 0), (0, BLANK + STRIP)), constant_values=np.nan)


def _label(subject, place, explained):
  """The class of an example and, if it differs, the predicted one."""
  true = subject.caption(int(place))
  return true if true == subject.classes[explained] else f'{true}\n→ {subject.classes[explained]}'


def of_characters(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Applies every method for sequences to texts, for the predicted next character."""
  stream = subject.inputs[0]
  texts, starts = texts_of(subject, MEASURED_TEXTS)
  length = texts.shape[1]
  model, given = differentiable(subject.model, subject.variables, texts)
  known = methods_of_texts(subject, seed=choice.seed)
  logits = np.asarray(jax.jit(model.apply)(subject.variables, given))
  predicted = logits.argmax(-1)
  probability = np.asarray(jax.nn.softmax(logits)).max(-1)
  maps, measured = {}, {}
  for name, method in known.items():
    found = method.function(subject.model, subject.variables, texts, predicted)
    maps[name] = methods.without_channels(found, method, axes=2)
    measured[name] = _figures_of(subject, method, texts, predicted, found)
  blocks = []
  for number in range(0, MEASURED_TEXTS, -(-MEASURED_TEXTS // TEXTS)):
    read = text_data.decode(texts[number], subject.classes)
    follows = subject.classes[stream[starts[number] + length]]
    title = (
      f'predicts {subject.classes[predicted[number]]!r}, probability {probability[number]:.2f}; '
      f'the text has {follows!r}'
    )
    blocks.append((title, read, {name: of_method[number] for name, of_method in maps.items()}))
  figure = figures.text_rows(
    blocks,
    signed=[name for name, method in known.items() if method.signed],
    notes={name: _note(found) for name, found in measured.items()},
    heading=(
      f'Which of the last {length} characters made it predict the next one? '
      'Red is evidence for it, blue against it; saliency and SmoothGrad: from dark to bright.\n'
      f'Error: of completeness. Both figures are means over {MEASURED_TEXTS} texts; an even map '
      f'has {100 / length:.1f} % on each character'
    ),
  )
  yield Result(
    'character_attributions',
    figure,
    {**maps, 'texts': texts, 'targets': predicted},
    {
      'target': 'the logit of the predicted character',
      'measured': MEASURED_TEXTS,
      'methods': measured,
      'lrp': _taken_by_others(subject, texts, predicted),
      'without': {'LRP': recurrent_lrp.lacking(subject.model)} if 'LRP' not in known else {},
    },
  )


def texts_of(
  subject: Subject, count: int, following: int = 1
) -> tuple[Int[np.ndarray, 'N T'], Int[np.ndarray, 'N']]:
  """Parts of a text at equal distances, each read from a state of zeros.

  Args:
    subject: a character model and a text.
    count: number of parts.
    following: characters of the text after each part.

  Returns:
    (parts, index of the first character of each); T is LENGTH, or less if a transformer sees less
    or the text is short.

  Raises:
    ValueError: a text of fewer than two characters.
  """
  stream = subject.inputs[0]
  if len(stream) < 2:
    raise ValueError(f'the text has {len(stream)} characters: use at least 2')
  length = min(LENGTH, getattr(subject.model, 'context', LENGTH), len(stream) // 2)
  starts = np.linspace(0, len(stream) - length - following, count).astype(int)
  return np.stack([stream[start : start + length] for start in starts]), starts


def methods_of_texts(subject: Subject, seed: int = 0) -> dict[str, methods.Method]:
  """The methods for a character model; their baseline is the mean vector of a character.

  Args:
    subject: a character model and a text.
    seed: seed of the random draws.

  Returns:
    Name → Method.
  """
  background, _ = texts_of(subject, BACKGROUND, following=0)
  counted = subject.inputs[0][None, :COUNTED]
  mean = vectors(subject.model, subject.variables, counted)[0].mean(0)
  return methods.of_sequences(subject.model, background, baseline=mean, seed=seed)


def _note(found):
  return f'{_error(found)}, first {_percent(found["first_step_share"])}'


def _remark(facts: dict) -> str:
  """What the biases and ε take in LRP, or why LRP is left out."""
  if not facts.get('lrp'):
    return ' '.join(f'{name} is left out: {why}.' for name, why in facts.get('without', {}).items())
  score = facts['methods']['LRP']['score_difference']
  return (
    f'LRP divides a score of {score:.2f}; the biases take {facts["lrp"]["biases"]:.2f} of it and '
    f'ε {facts["lrp"]["stabiliser"]:.2f} (means of the magnitudes).'
  )


VIEWS = {
  'sequence_attributions': View(
    'attributions of the rows or steps that were read',
    ('recurrent',),
    of_rows,
    section='Why these classes',
    displays={
      'sequence_attributions': Display(
        'Attributions of rows or steps',
        'A reason that several methods share is safer; do not read a map with a large error as a '
        'division of the score',
        entry='sequence_attribution',
        note=_remark,
      )
    },
    slow_part='the mean of gradients over many points',
  ),
  'character_attributions': View(
    'the characters that made it predict the next one',
    ('language_model',),
    of_characters,
    section='Characters',
    displays={
      'character_attributions': Display(
        'Attributions of characters',
        'Red: the character speaks for the prediction; blue: against it',
        entry='sequence_attribution',
        note=_remark,
      )
    },
    slow_part='the mean of gradients over many points',
  ),
}
