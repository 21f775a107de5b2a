"""Tests of text generation: against a reference without a loop, and from the command line."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import generate, models
from jaxdl.models import sampling
from jaxdl.terminal import command
from jaxdl.training import experiment, loop

MODEL = models.build(dict(name='language_model', cell='gru', features=16, classes=7))
VARIABLES = jax.tree.map(
  lambda leaf: 3 * leaf, MODEL.init(jax.random.PRNGKey(0), jnp.zeros((1, 3), int))
)
PRIMES = [np.array([1, 2, 3]), np.array([4]), np.array([5, 0, 6, 2, 2])]


apply_model = jax.jit(lambda text: MODEL.apply(VARIABLES, text))


def greedy_continuation(prime, length):
  """Applies the model to the complete text for each new character; the model is causal."""
  text = np.zeros(len(prime) + length, int)
  text[: len(prime)] = prime
  for place in range(len(prime), len(text)):
    text[place] = apply_model(text[None])[0, place - 1].argmax()
  return text[len(prime) :].tolist()


def test_generate_greedy_text_equals_the_reference():
  found = sampling.generate(MODEL, VARIABLES, PRIMES, length=12, temperature=0)
  assert found.tolist() == [greedy_continuation(prime, 12) for prime in PRIMES]
  top = sampling.generate(MODEL, VARIABLES, PRIMES, length=12, temperature=5.0, top_k=1)
  np.testing.assert_array_equal(top, found)


def test_generate_feeds_the_prime_character_by_character():
  """Carries the state explicitly.

  Report 004 instead feeds back blocks of characters that are as long as the prime.
  """

  def read(text, carry, *, reset):
    logits, updated = MODEL.apply(
      {**VARIABLES, 'carry': carry}, jnp.array([text]), mutable=['carry'], reset=jnp.array([reset])
    )
    return logits[0].argmax(-1).tolist(), updated['carry']

  prime, empty = [5, 0, 6, 2, 2], {'gru1': {'state': (jnp.zeros((1, 16)),)}}
  text, carry = list(prime), empty
  for position in range(len(prime) + 11):
    chosen, carry = read(text[position : position + 1], carry, reset=position == 0)
    text += chosen if position >= len(prime) - 1 else []
  found = sampling.generate(MODEL, VARIABLES, [np.array(prime)], length=12, temperature=0)[
    0
  ].tolist()
  assert found == text[len(prime) :]
  blocks, carry = [prime], empty
  for number in range(3):
    block, carry = read(blocks[-1], carry, reset=number == 0)
    blocks.append(block)
  assert found != sum(blocks[1:], [])[:12], 'feeding blocks must give another text'


@pytest.mark.slow
def test_generate_depends_on_the_seed_not_on_other_primes():
  sampled = sampling.generate(MODEL, VARIABLES, PRIMES, length=20, temperature=1.5, seed=3)
  np.testing.assert_array_equal(
    sampling.generate(MODEL, VARIABLES, PRIMES[:2], length=20, temperature=1.5, seed=3), sampled[:2]
  )
  np.testing.assert_array_equal(
    sampling.generate(MODEL, VARIABLES, PRIMES, length=9, temperature=1.5, seed=3), sampled[:, :9]
  )
  assert (
    sampling.generate(MODEL, VARIABLES, PRIMES, length=20, temperature=1.5, seed=4) != sampled
  ).any()


def test_generate_samples_from_the_softmax():
  """Samples the first character after 4,000 copies of a prime, with temperature 2 and top_k=4."""
  copies = [np.array([2])] * 4000
  found = sampling.generate(MODEL, VARIABLES, copies, length=1, temperature=2.0, top_k=4)[:, 0]
  logits = np.asarray(MODEL.apply(VARIABLES, jnp.array([[2]]))[0, 0], np.float64)
  kept = np.argsort(logits)[-4:]
  expected = np.zeros(7)
  expected[kept] = np.exp(logits[kept] / 2) / np.exp(logits[kept] / 2).sum()
  share = np.bincount(found, minlength=7) / 4000
  assert (np.abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / 4000)).all()


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (dict(length=0), '^length=0 is out of range: use 1 to 1,000,000'),
    (dict(temperature=-1.0), '^temperature=-1.0 is out of range'),
    (dict(top_k=8), '^top_k=8 is out of range: use 0 to 7, the size of the vocabulary'),
    (dict(primes=[[]]), 'a prime is empty'),
  ],
)
def test_generate_error_names_the_invalid_argument(options, message):
  with pytest.raises(ValueError, match=message):
    sampling.generate(MODEL, VARIABLES, options.pop('primes', PRIMES), **{'length': 5, **options})


def test_generate_command_error_names_the_flag(capsys):
  def main(arguments):
    return sampling.generate(MODEL, VARIABLES, PRIMES, length=0)

  assert command.run(main, ['jaxdl']) == 1
  assert capsys.readouterr().err == 'jaxdl: --length=0 is out of range: use 1 to 1,000,000\n'


def test_generate_from_a_checkpoint(small_text, small, tmp_path, capsys):
  loop.train(experiment.build({**small_text, 'train_for': '2 steps'}, 'text'), tmp_path / 'text')
  capsys.readouterr()
  arguments = [
    'generate',
    f'--workdir={tmp_path / "text"}',
    '--prime=ROMEO',
    '--prime=O, ',
    '--length=30',
  ]
  assert generate.main(arguments) == 0
  shown = capsys.readouterr().out
  assert command.run(generate.main, [*arguments, '--quiet']) == 0
  (line,) = capsys.readouterr().out.splitlines()
  found = json.loads(line)
  assert found['workdir'] == str(tmp_path / 'text')
  assert ''.join(f'{text}\n' for text in found['texts']) == shown
  first, second = shown.rstrip('\n').split('O, ', 1)
  assert first.startswith('ROMEO')
  assert len(second) == 30 or len(first) >= 35
  with pytest.raises(ValueError, match="characters '€' are not in the vocabulary of 84"):
    generate.main([*arguments, '--prime=€'])
  with pytest.raises(FileNotFoundError, match=r'no checkpoint 7: it has \[2\]'):
    generate.main([*arguments, '--step=7'])
  with pytest.raises(
    ValueError, match=r'unrecognized arguments: --lenght=3: did you mean --length\?$'
  ):
    generate.main([*arguments, '--lenght=3'])
  loop.train(experiment.build({**small, 'train_for': '1 steps'}, 'small'), tmp_path / 'digits')
  with pytest.raises(
    ValueError, match="holds a run of the model 'recurrent': give one of a language_model"
  ):
    generate.main(['generate', str(tmp_path / 'digits')])
  with pytest.raises(ValueError, match='^unrecognized arguments: b: give the folder of one run$'):
    generate.main(['generate', 'a', 'b'])
  for folders, given in (([], ''), (['a', '--workdir=b'], ', not a and b')):
    with pytest.raises(
      ValueError, match=f'^give the folder of one run, DIR or --workdir=DIR{given}: see '
    ):
      generate.main(['generate', *folders])
