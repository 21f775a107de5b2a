"""Sampling of text from a language model."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.config.arguments import about


def generate(model, variables, primes, *, length, temperature=0.8, top_k=0, seed=0):
  """Continues texts, one character after another, in one compiled loop.

  A text depends on its prime and its place in the list, not on the other primes.

  Args:
    model: LanguageModel.
    variables: its parameters.
    primes: list of [P] int, positions in the vocabulary, each with at least one; their lengths may
      differ.
    length: int, characters to add.
    temperature: float that divides the logits before sampling; 0 takes the likeliest character.
    top_k: int, the number of likeliest characters to choose from; 0 for all.
    seed: int.

  Returns:
    [N, length] int32.

  Raises:
    ValueError: an empty prime, or a number out of range.
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
  every = _loop(model, int(lengths.max()) + length - 1, temperature, top_k)(
    variables, given, lengths, seed
  )  # [T, N]
  return np.stack([every[size - 1 : size - 1 + length, row] for row, size in enumerate(lengths)])


LONGEST = 1_000_000  # characters


LIMITS = {
  'length': '1 to 1,000,000',
  'temperature': '0 or more',
  'top_k': '0 to {}, the size of the vocabulary',
}


@functools.lru_cache
def _loop(model, steps, temperature, top_k):
  """Compiles (variables, primes [N, P], their lengths [N], seed) → the character chosen after each
  one read, [T, N].
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
  """A character of each row of logits [N, V]: [N] int32."""
  if temperature == 0:
    return logits.argmax(-1).astype(jnp.int32)
  if top_k:
    least = jax.lax.top_k(logits, top_k)[0][:, -1:]
    logits = jnp.where(logits >= least, logits, -jnp.inf)
  return jax.vmap(jax.random.categorical)(keys, logits / temperature).astype(jnp.int32)
