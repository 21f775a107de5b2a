"""Analyses of recurrent networks: accuracy by step, hidden states, gates, units and texts."""

from collections.abc import Iterator

import numpy as np

from jaxdl import figures
from jaxdl.analysis import recurrent
from jaxdl.data import characters as text_data
from jaxdl.models.sampling import generate
from jaxdl.models.transformer import Transformer
from jaxdl.views.subject import Subject
from jaxdl.views.view import Choice, Display, Result, View, chosen_layer, separately

PATHS, TEXT, READ, UNITS = 200, 600, 5000, 3
ATTENDED = 48  # characters whose attention is drawn
PRIME, WRITTEN, TEMPERATURES = 40, 600, (0.5, 0.8)  # characters: prompt, generated


def by_step(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Plots the accuracy after each row that is read."""
  found = recurrent.by_step(subject.model, subject.variables, subject.inputs, subject.labels)
  steps = np.arange(1, len(found.accuracy) + 1)
  figure = figures.lines(
    {'accuracy': (steps, found.accuracy * 100)},
    xlabel='rows read',
    ylabel='accuracy (%)',
    markers=True,
    heading=f'Accuracy if the image ended there, {len(subject.labels):,} {subject.split} examples',
  )
  yield Result(
    'by_step',
    figure,
    found._asdict(),
    {'accuracy_at_the_end': found.accuracy[-1], 'examples': len(subject.labels)},
  )


def states(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows where the paths of the hidden state end."""
  layer, inputs, count = _followed(subject, choice)
  if subject.kind == 'recurrent':
    found = recurrent.states(subject.model, subject.variables, inputs, layer)
    ends = found.points[:, -1]
    figure = figures.scatter(
      ends,
      subject.labels[:count],
      subject.classes,
      heading='Where the hidden state ends',
      note=(
        f'principal components that hold {100 * found.explained.sum():.0f} % of the variance of '
        f'all states; {len(ends)} examples'
      ),
    )
    yield Result(
      'states', figure, found._asdict(), {'explained': found.explained, 'examples': len(ends)}
    )


def gates(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Measures how often the gates of each unit are closed or open."""
  layer, inputs, _ = _followed(subject, choice)
  if subject.model.cell != 'rnn':
    saturated = recurrent.gates(subject.model, subject.variables, inputs, layer)
    panels = {
      f'{gate} gate': {
        'shut (below 0.1)': np.histogram(part.low, 20, (0, 1)),
        'open (above 0.9)': np.histogram(part.high, 20, (0, 1)),
      }
      for gate, part in saturated.items()
    }
    figure = figures.distributions(
      panels,
      heading='How often the gates of each unit are shut or open',
      xlabel='share of the time',
      ylabel='units',
    )
    yield Result(
      'gates',
      figure,
      {
        f'{gate}.{part}': values
        for gate, found in saturated.items()
        for part, values in found._asdict().items()
      },
      {
        gate: {'mean_low': found.low.mean(), 'mean_high': found.high.mean()}
        for gate, found in saturated.items()
      },
    )


def _followed(subject, choice):
  """(name of a layer or None, the inputs whose states are analysed, their number)."""
  count = PATHS if subject.kind == 'recurrent' else 1
  return (
    chosen_layer(choice, recurrent.recurrent_layers(subject.model), None),
    subject.inputs[:count, :TEXT],
    count,
  )


def _without_gates(subject):
  if isinstance(subject.model, Transformer):
    return 'a transformer has no recurrent layer'
  without = subject.kind == 'language_model' and subject.model.cell == 'rnn'
  return 'a simple RNN has no gates, and one text no paths to compare' if without else ''


def characters(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows the surprise at each character, and the units that track a property of the text."""
  layers = recurrent.text_layers(subject.model)
  layer = chosen_layer(choice, layers, layers[-1])
  kept = {'rnn': 'state', 'lstm': 'memory', 'gru': 'memory'}.get(
    getattr(subject.model, 'cell', ''), 'output'
  )
  positions = subject.inputs[0, :READ]
  written = text_data.decode(positions, subject.classes)
  found = recurrent.characters(subject.model, subject.variables, positions, layer)
  bits = found.bits[1:]
  figure = figures.coloured_text(
    written[1:TEXT],
    bits[: TEXT - 1],
    label='bits',
    heading=(
      f'Surprise at each character: {bits.mean():.3f} bits on average over {len(bits):,} characters'
    ),
  )
  yield Result(
    'surprise',
    figure,
    {'bits': found.bits, 'text': positions},
    {'bits_per_character': bits.mean(), 'characters': len(bits)},
  )
  best = {}
  for name, signal in recurrent.signals(written).items():
    units, correlation = recurrent.ranking(found.memory, signal)
    best[name] = (int(units[0]), float(correlation[0]))
  strongest = sorted(best.items(), key=lambda item: -abs(item[1][1]))[:UNITS]
  if choice.channel is not None:
    strongest = [('the chosen unit', (choice.channel, float('nan')))]
  for name, (unit, correlation) in strongest:
    way = 'against' if correlation < 0 else 'with'
    figure = figures.coloured_text(
      written[:TEXT],
      found.memory[:TEXT, unit],
      label=f'{kept} of the unit',
      heading=(
        f'Unit {unit} of {layer} goes {way} {name!r}: correlation {correlation:.2f} over '
        f'{len(positions):,} characters'
      ),
    )
    yield Result(
      f'unit_{unit}',
      figure,
      {'memory': found.memory[:, unit]},
      {
        'unit': unit,
        'layer': layer,
        'follows': name,
        'correlation': correlation,
        'characters': len(positions),
      },
    )


def attention(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Shows which earlier characters each head of each block attends to."""
  positions = subject.inputs[0, : min(ATTENDED, subject.model.context)]
  weights = recurrent.attention(subject.model, subject.variables, positions)
  written = text_data.decode(positions, subject.classes)
  heads = len(next(iter(weights.values())))
  figure = figures.picture_rows(
    [list(of_layer) for of_layer in weights.values()],
    [f'head {number}' for number in range(1, heads + 1)],
    labels=list(weights),
    heading=(
      f'Attention of the first {len(positions)} characters: each row is a character, each column '
      'an earlier one that it sees'
    ),
  )
  facts = {'text': written, 'characters': len(positions)}
  yield Result('attention', figure, weights, facts)


def _without_attention(subject):
  return '' if isinstance(subject.model, Transformer) else 'only a transformer has attention'


def generated(subject: Subject, choice: Choice) -> Iterator[Result]:
  """Generates texts that continue a prompt."""
  words = text_data.decode(subject.inputs[0, :PRIME], subject.classes)
  primes = [prime for prime in ('ROMEO', words) if set(prime) <= set(subject.classes)]
  given = [text_data.encode(prime, subject.classes) for prime in primes]
  texts = []
  for temperature in TEMPERATURES:
    added = generate(
      subject.model,
      subject.variables,
      given,
      length=WRITTEN,
      temperature=temperature,
      seed=choice.seed,
    )
    texts += [
      {
        'prime': prime,
        'temperature': temperature,
        'text': prime + text_data.decode(characters, subject.classes),
      }
      for prime, characters in zip(primes, added, strict=True)
    ]
  yield Result('generated', None, {}, {'texts': texts, 'seed': choice.seed})


def _texts(facts: dict) -> list[dict]:
  return [
    {
      'caption': f'after {text["prime"]!r}, temperature {text["temperature"]}',
      'text': text['text'],
    }
    for text in facts['texts']
  ]


def _both_directions(subject):
  if subject.model.bidirectional:
    return 'a layer that reads backward starts at the last step, so there is no accuracy by step'
  return ''


VIEWS = {
  'by_step': View(
    'accuracy after each row read',
    ('recurrent',),
    by_step,
    section='Step by step',
    displays={
      'by_step': Display(
        'Accuracy by rows read', 'A steep rise marks the rows that decide', entry='by_step'
      )
    },
    lacking=_both_directions,
  ),
  'states': View(
    'hidden states and saturated gates',
    ('recurrent', 'language_model'),
    separately(states, gates),
    section='Step by step',
    displays={
      'states': Display(
        'Hidden states', 'Separate groups: the last state holds the class', entry='states'
      ),
      'gates': Display(
        'Saturated gates',
        'A unit at the right end has a gate that is shut, or open, nearly all the time',
        entry='gates',
      ),
    },
    uses=('layer',),
    lacking=_without_gates,
  ),
  'characters': View(
    'surprise and single units on a text',
    ('language_model',),
    characters,
    section='Characters',
    displays={
      'surprise': Display(
        'Surprise at each character',
        'Bright: the network did not expect the character',
        entry='surprise',
      ),
      'unit_*': Display(
        'What unit {0} follows',
        'Red: the unit is high; blue: it is low',
        entry='unit',
      ),
    },
    uses=('layer', 'channel'),
  ),
  'attention': View(
    'attention of each head to earlier characters',
    ('language_model',),
    attention,
    section='Characters',
    displays={
      'attention': Display(
        'What each head attends to',
        'A bright diagonal reads the previous character; a bright column, one fixed character',
        entry='attention',
      )
    },
    lacking=_without_attention,
  ),
  'generated': View(
    'texts generated by the network',
    ('language_model',),
    generated,
    section='Generated text',
    displays={'generated': Display(texts=_texts, entry='generated')},
  ),
}
