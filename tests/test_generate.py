"""Text from a language model: against one character at a time without a loop, and from the command
line.
"""

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


read_whole = jax.jit(lambda text: MODEL.apply(VARIABLES, text))


def likeliest(prime, length):
  """Reads the whole text anew for each character; what follows it is not read before it."""
  text = np.zeros(len(prime) + length, int)
  text[: len(prime)] = prime
  for place in range(len(prime), len(text)):
    text[place] = read_whole(text[None])[0, place - 1].argmax()
  return text[len(prime) :].tolist()


def test_greedy_text_equals_reading_the_whole_text_anew_for_each_character():
  found = sampling.generate(MODEL, VARIABLES, PRIMES, length=12, temperature=0)
  assert found.tolist() == [likeliest(prime, 12) for prime in PRIMES]
  top = sampling.generate(MODEL, VARIABLES, PRIMES, length=12, temperature=5.0, top_k=1)
  np.testing.assert_array_equal(top, found)


def test_a_prime_is_fed_one_character_after_another_as_training_feeds_them():
  """With the state carried by hand. Report 004 takes and feeds back as many characters at a time as
  the prime has.
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
  assert found != sum(blocks[1:], [])[:12], 'so that this test would notice the mistake'


def test_sampled_text_follows_its_seed_and_not_the_other_primes():
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


def test_sampled_characters_are_as_frequent_as_the_softmax_says():
  """The first character after one prime, from 4,000 copies of it; temperature 2 and the 4
  likeliest.
  """
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
def test_wrong_requests_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    sampling.generate(MODEL, VARIABLES, options.pop('primes', PRIMES), **{'length': 5, **options})


def test_a_wrong_argument_of_the_library_is_a_flag_of_the_command(capsys):
  def main(arguments):
    return sampling.generate(MODEL, VARIABLES, PRIMES, length=0)

  assert command.run(main, ['jaxdl']) == 1
  assert capsys.readouterr().err == 'jaxdl: --length=0 is out of range: use 1 to 1,000,000\n'


def test_generate_from_a_checkpoint_alone(small_text, small, tmp_path, capsys):
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
  for folders, said in (([], ''), (['a', '--workdir=b'], ', not a and b')):
    with pytest.raises(
      ValueError, match=f'^give the folder of one run, DIR or --workdir=DIR{said}: see '
    ):
      generate.main(['generate', *folders])
