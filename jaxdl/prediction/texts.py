"""Measures bits per character and perplexity of texts under a language model."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from jaxdl.analysis.units import Variables
from jaxdl.data import characters, text_files
from jaxdl.data.dataset import Split
from jaxdl.prediction.inputs import File
from jaxdl.step import steps, tasks

STEPS = 64  # steps per compiled call
FIX = 'replace it, or add --skip to leave out such characters'


@dataclasses.dataclass(frozen=True)
class Measured:
  """Metrics of a text under a language model, which reads the text as one stream.

  Attributes:
    name: name of the text.
    characters: number of predicted characters, which are all except the first.
    bits_per_character: mean of −log2 p, where p is the predicted probability of a character.
    perplexity: 2 ** bits_per_character.
    accuracy: fraction of characters with the highest predicted probability.
    loss: mean cross-entropy in nats.
    left_out: number of characters that were left out because they are not in the vocabulary.
  """

  name: str
  characters: int
  bits_per_character: float
  perplexity: float
  accuracy: float
  loss: float
  left_out: int = 0


class TextPredictor:
  """Measures texts with one compiled program.

  Args:
    config: the config of a language model's run.
    model: linen module.
    variables: its variables.
  """

  def __init__(self, config: Mapping[str, Any], model: nn.Module, variables: Variables):
    self.vocabulary = tuple(config['dataset']['classes'])
    self._encoding = config['data'].get('encoding', text_files.UTF_8)
    self._time_step = config['data']['time_step']
    self._model = model
    self._variables = jax.device_put(variables)
    self._task = tasks.build(config['task'])[1]
    self._run = jax.jit(self._sums_of_steps)

  def measure(self, file: File, *, skip: bool = False) -> Measured:
    """Measures a text.

    Args:
      file: the text, in the encoding of the training text (`config.data.encoding`, or UTF-8).
      skip: whether to leave out characters that are not in the vocabulary.

    Returns:
      Measured.

    Raises:
      ValueError: the text has another encoding, has fewer than two characters, or contains a
        character that is not in the vocabulary; the message gives its line and column.
    """
    text, left_out = self._known(file.name, _decoded(file, self.vocabulary, self._encoding), skip)
    if len(text) < 2:
      raise ValueError(
        f'{file.name} has {len(text)} known characters: give a text of at least 2, because the '
        'first is not predicted'
      )
    split = characters.streams(
      characters.encode(text, self.vocabulary), batch_size=1, time_step=self._time_step
    )
    found = tasks.metrics(self.sums(split))
    bits = found['bits_per_character']
    perplexity = 2**bits if bits < 1000 else math.inf
    return Measured(
      file.name, split.count, bits, perplexity, found['accuracy'], found['loss'], left_out
    )

  def sums(self, split: Split) -> dict[str, np.ndarray]:
    """Returns sums over the characters of a split, computed as in evaluation.

    Args:
      split: as returned by `characters.streams`.

    Returns:
      Name → sum over all predicted characters. 'count' is the number of characters.
    """
    arrays = {'character': jnp.asarray(split.arrays['character'])}
    carried = None
    for first in range(0, split.batches, STEPS):
      feed = _padded(split.feed(first, min(STEPS, split.batches - first)))
      batches = jax.vmap(lambda feed: split.fetch(arrays, feed))(feed)
      batches = characters.prepare(batches)
      carried = self._run(self._variables, carried or self._zeros(batches), batches)
    assert carried is not None, 'a split has at least one batch'
    return jax.device_get(carried[0])

  def _sums_of_steps(self, variables, carried, batches):
    """Returns (sums, carry) after several steps."""

    def one(carried, batch):
      sums, carry = carried
      added, carry = self._step({**variables, 'carry': carry}, batch)
      return (jax.tree.map(jnp.add, sums, added), carry), None

    return jax.lax.scan(one, carried, batches)[0]

  def _step(self, variables, batch):
    return steps.eval_step(variables, batch, model=self._model, task=self._task)

  def _zeros(self, batches):
    """Returns (sums, carry) before the first step."""
    first = jax.tree.map(lambda values: values[0], batches)
    shapes = jax.eval_shape(self._step, self._variables, first)
    return jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), shapes)

  def _known(self, name: str, text: str, skip: bool) -> tuple[str, int]:
    """Returns the text without unknown characters, and the number of these."""
    unknown = set(text) - set(self.vocabulary)
    if not unknown:
      return text, 0
    if skip:
      kept = ''.join(character for character in text if character not in unknown)
      return kept, len(text) - len(kept)
    place = min(text.index(character) for character in unknown)
    line = text.count('\n', 0, place) + 1
    column = place - (text.rfind('\n', 0, place) + 1) + 1
    raise ValueError(
      f'{name} has {text[place]!r} in line {line}, column {column}, which is not in the vocabulary '
      f'of {len(self.vocabulary)} characters: {FIX}'
    )


def _decoded(file: File, vocabulary: tuple[str, ...], encoding: str) -> str:
  """Returns the text of a file. Converts Windows line ends unless the vocabulary has them."""
  content = file.read()
  if not content:
    raise ValueError(f'{file.name} is empty: give a text of at least 2 characters')
  try:
    text = text_files.decoded(content, encoding, file.name)
  except ValueError as error:
    raise ValueError(
      f'{str(error).partition(": ")[0]}: save it as {text_files.shown(encoding)}'
    ) from error
  return text if '\r' in vocabulary else text.replace('\r\n', '\n')


def _padded(feed: Mapping[str, np.ndarray]) -> dict[str, Int32[np.ndarray, 'S B'] | np.ndarray]:
  """Pads a feed to STEPS steps. The added steps have length 0."""
  missing = STEPS - len(feed['length'])
  return {name: np.pad(values, ((0, missing), (0, 0))) for name, values in feed.items()}
