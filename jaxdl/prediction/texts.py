"""How well a language model predicts texts: bits per character and perplexity."""

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

STEPS = 64  # steps of one compiled call
FIX = 'replace it, or add --skip to leave such characters out'


@dataclasses.dataclass(frozen=True)
class Measured:
  """How well a language model predicts a text, read as one stream from its first character.

  Attributes:
    name: name of the text.
    characters: number of predicted characters: all but the first.
    bits_per_character: mean of −log2 of the probability of each character.
    perplexity: 2 to the bits per character.
    accuracy: share of the characters that are the most probable ones.
    loss: mean cross-entropy in nats.
    left_out: number of characters that are not in the vocabulary and were left out.
  """

  name: str
  characters: int
  bits_per_character: float
  perplexity: float
  accuracy: float
  loss: float
  left_out: int = 0


class TextPredictor:
  """Measures texts with one compiled program, in steps of as many characters as in training.

  Args:
    config: the config of a run of a language model.
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
      file: its name and bytes, in the encoding of the training text (`config.data.encoding`, or
        UTF-8).
      skip: whether characters that are not in the vocabulary are left out.

    Returns:
      Measured.

    Raises:
      ValueError: the text has another encoding, has fewer than two characters, or has characters
        that are not in the vocabulary; the message names the first one with its line and column.
    """
    text, left_out = self._known(file.name, _decoded(file, self.vocabulary, self._encoding), skip)
    if len(text) < 2:
      raise ValueError(
        f'{file.name} has {len(text)} characters to read: give a text of at least 2, of which all '
        'but the first are predicted'
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
    """Sums over the characters of a split, added as in evaluation.

    Args:
      split: as returned by `characters.streams`.

    Returns:
      Name → sum over all predicted characters; 'count' is their number.
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
    """(sums, carry) after a number of steps."""

    def one(carried, batch):
      sums, carry = carried
      added, carry = self._step({**variables, 'carry': carry}, batch)
      return (jax.tree.map(jnp.add, sums, added), carry), None

    return jax.lax.scan(one, carried, batches)[0]

  def _step(self, variables, batch):
    return steps.eval_step(variables, batch, model=self._model, task=self._task)

  def _zeros(self, batches):
    """(sums, carry) before the first step."""
    first = jax.tree.map(lambda values: values[0], batches)
    shapes = jax.eval_shape(self._step, self._variables, first)
    return jax.tree.map(lambda value: jnp.zeros(value.shape, value.dtype), shapes)

  def _known(self, name: str, text: str, skip: bool) -> tuple[str, int]:
    """The text without unknown characters, and their number."""
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
  """The text of a file; line ends of Windows become \\n unless the vocabulary has them."""
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
  """A feed of STEPS steps; the steps that are added have no character that counts."""
  missing = STEPS - len(feed['length'])
  return {name: np.pad(values, ((0, missing), (0, 0))) for name, values in feed.items()}
