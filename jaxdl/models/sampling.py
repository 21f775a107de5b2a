"""Sampling of text from a language model."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from jaxdl.config.arguments import about
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.transformer import Transformer

LONGEST = 1_000_000  # characters
LIMITS = {
  'length': '1 to 1,000,000',
  'temperature': '0 or more',
  'top_k': '0 to {}, the size of the vocabulary',
}


def generate(
  model: LanguageModel | Transformer,
  variables: Mapping[str, Any],
  primes: Sequence[Sequence[int] | np.ndarray],
  *,
  length: int,
  temperature: float | int = 0.8,
  top_k: int = 0,
  seed: int = 0,
) -> Int32[np.ndarray, 'N length']:
  """Continues texts, one character after another, in one compiled loop.

  A text depends on its prime and on its position in the list, not on the other primes.

  Args:
    model: the language model.
    variables: its parameters.
    primes: the N texts to continue, as positions in the vocabulary. Each has at least one
      character; their lengths may differ.
    length: number of characters to add.
    temperature: divisor of the logits before sampling; 0 takes the most likely character.
    top_k: number of most likely characters to choose from; 0 for all.
    seed: seed of the random draws.

  Returns:
    The added characters.

  Raises:
    ValueError: a prime is empty, or a number is out of range.
  """
  if not primes or not all(len(prime) for prime in primes):
    raise ValueError('a prime is empty: give at least one character')
  for name, value, good in (
    ('length', length, 1 <= length <= LONGEST),
    ('temperature', temperature, 0 <= temperature < np.inf),
    ('top_k', top_k, 0 <= top_k <= model.classes),
  ):
    if not good:
      limit = LIMITS[name].format(model.classes)
      raise about(ValueError(f'{name}={value} is out of range: use {limit}'), name)
  lengths = np.array([len(prime) for prime in primes], np.int32)
  given = np.zeros((len(primes), lengths.max()), np.int32)
  for row, prime in enumerate(primes):
    given[row, : len(prime)] = prime
  steps = int(lengths.max()) + length - 1
  run = _loop(model, steps, temperature, top_k)  # pyright: ignore[reportArgumentType]  # hashable
  every = run(variables, given, lengths, seed)  # [T, N]
  return np.stack([every[size - 1 : size - 1 + length, row] for row, size in enumerate(lengths)])


@functools.lru_cache
def _loop(model, steps, temperature, top_k):
  """Compiles the loop that reads and chooses characters.

  Returns:
    (variables, primes [N, P], their lengths [N], seed) → the character chosen at each step, [T, N].
  """

  @jax.jit
  def run(variables, given, lengths, seed):
    rows = jnp.arange(len(given))

    def one(carried, position):
      carry, last = carried
      read = jnp.where(
        position < lengths, given[:, jnp.minimum(position, given.shape[1] - 1)], last
      )  # [N]
      logits, updated = model.apply(
        {**variables, 'carry': carry},
        read[:, None],
        mutable=['carry'],
        reset=jnp.full(len(rows), position == 0),
      )
      keys = jax.vmap(
        lambda row: jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), row), position)
      )(rows)
      last = _choose(keys, logits[:, 0], temperature, top_k)
      return (updated['carry'], last), last

    empty = jax.eval_shape(
      lambda: model.apply(
        variables, given[:, :1], mutable=['carry'], reset=jnp.ones(len(rows), bool)
      )
    )
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), empty[1]['carry'])
    return jax.lax.scan(one, (zeros, given[:, 0]), jnp.arange(steps))[1]

  return run


def _choose(keys, logits, temperature, top_k):
  """Chooses a character for each row of logits [N, V]: [N] int32."""
  if temperature == 0:
    return logits.argmax(-1).astype(jnp.int32)
  if top_k:
    threshold = jax.lax.top_k(logits, top_k)[0][:, -1:]
    logits = jnp.where(logits >= threshold, logits, -jnp.inf)
  return jax.vmap(jax.random.categorical)(keys, logits / temperature).astype(jnp.int32)
