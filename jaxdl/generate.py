"""python -m jaxdl.generate D --prime=ROMEO --length=500: text from a language model, from its checkpoint alone."""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import checkpoint, command, progress
from jaxdl.data import characters

LESS_MEMORY = 'use a smaller --length, or fewer --prime'
EXAMPLES = """\
  python -m jaxdl.generate runs/char_lstm_shakespeare --prime=ROMEO: --length=300
  python -m jaxdl.generate runs/char_lstm_shakespeare --temperature=0 --prime=First --prime=Second"""


def main(arguments):
  """Runs the command; returns the exit code."""
  parser = command.Parser(prog='python -m jaxdl.generate', description='Let a language model write, from its checkpoint alone.',
                          examples=EXAMPLES, run='folder of a run of a language model')
  add = parser.add_argument
  add('--prime', action='append', metavar='TEXT', help='text to go on from; may be given several times')
  add('--length', type=int, default=500, metavar='N', help='characters to add to each (default 500)')
  add('--temperature', type=float, default=0.8, metavar='T', help='0 always takes the likeliest (default 0.8)')
  add('--top-k', '--top_k', type=int, default=0, metavar='N', help='choose among so many likeliest characters; 0 for all')
  add('--seed', type=command.seed, default=0, metavar='N', help='another one writes another text (default 0)')
  add('--step', default='best', type=command.step, metavar='N', help='checkpoint: best, last or a number (default best)')
  chosen = parser.parse_args(arguments[1:])
  model, variables, config = checkpoint.load_model(chosen.workdir, chosen.step)
  if config['model']['name'] != 'language_model':
    raise ValueError(f'{chosen.workdir} holds a run of the model {config["model"]["name"]!r}: give one of a language_model')
  if 'dataset' not in config:
    raise ValueError(f'{chosen.workdir} was trained by an older version, which kept nothing of its data: train it again')
  vocabulary = config['dataset']['classes']
  primes = [characters.encode(prime, vocabulary) for prime in chosen.prime or ['\n']]
  with progress.waiting('writing'):
    added = generate(model, variables, primes, length=chosen.length, temperature=chosen.temperature, top_k=chosen.top_k,
                     seed=chosen.seed)
  for prime, positions in zip(chosen.prime or [''], added, strict=True):
    print(prime + characters.decode(positions, vocabulary))
  return 0


def generate(model, variables, primes, *, length, temperature=0.8, top_k=0, seed=0):
  """Continues texts, one character after another, in one compiled loop.

  A text depends on its prime and its place in the list, not on the other primes.

  Args:
    model: LanguageModel.
    variables: its parameters.
    primes: list of [P] int, positions in the vocabulary, each with at least one; their lengths may differ.
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
  for name, value, good in (('length', length, 1 <= length <= LONGEST), ('temperature', temperature, 0 <= temperature < np.inf),
                            ('top_k', top_k, 0 <= top_k <= model.classes)):
    if not good:
      raise ValueError(f'--{name}={value} is out of range: use {LIMITS[name].format(model.classes)}')
  lengths = np.array([len(prime) for prime in primes], np.int32)
  given = np.zeros((len(primes), lengths.max()), np.int32)
  for row, prime in enumerate(primes):
    given[row, :len(prime)] = prime
  every = _loop(model, int(lengths.max()) + length - 1, temperature, top_k)(variables, given, lengths, seed)  # [T, N]
  return np.stack([every[size - 1:size - 1 + length, row] for row, size in enumerate(lengths)])


LONGEST = 1_000_000  # characters
LIMITS = {'length': '1 to 1,000,000', 'temperature': '0 or more', 'top_k': '0 to {}, the size of the vocabulary'}


@functools.lru_cache
def _loop(model, steps, temperature, top_k):
  """Compiles (variables, primes [N, P], their lengths [N], seed) → the character chosen after each one read, [T, N]."""
  @jax.jit
  def run(variables, given, lengths, seed):
    rows = jnp.arange(len(given))

    def one(carried, position):
      carry, last = carried
      read = jnp.where(position < lengths, given[:, jnp.minimum(position, given.shape[1] - 1)], last)  # [N]
      logits, updated = model.apply({**variables, 'carry': carry}, read[:, None], mutable=['carry'],
                                    reset=jnp.full(len(rows), position == 0))
      keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), row), position))(rows)
      last = _choose(keys, logits[:, 0], temperature, top_k)
      return (updated['carry'], last), last

    empty = jax.eval_shape(lambda: model.apply(variables, given[:, :1], mutable=['carry'], reset=jnp.ones(len(rows), bool)))
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


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=LESS_MEMORY))
