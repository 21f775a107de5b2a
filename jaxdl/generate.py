"""Generates text with a language model, using only its checkpoint.

Usage:

    python -m jaxdl.generate D --prime=ROMEO --length=500
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import sys
from typing import cast

from jaxdl import stores
from jaxdl.data import characters
from jaxdl.models import TEXT_MODELS, sampling
from jaxdl.models.language_model import LanguageModel
from jaxdl.models.transformer import Transformer
from jaxdl.runs import checkpoint, format
from jaxdl.terminal import command, progress

LESS_MEMORY = 'use a smaller --length, or fewer --prime'


EXAMPLES = """\
  python -m jaxdl.generate runs/char_lstm_shakespeare --prime=ROMEO: --length=300
  python -m jaxdl.generate runs/char_lstm_shakespeare --temperature=0 --prime=To --prime=Be"""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  parser = command.Parser(
    name='generate',
    called=arguments[0],
    description='Generate text with a trained language model.',
    examples=EXAMPLES,
    run='folder of a run of a language model',
  )
  add = parser.add_argument
  add(
    '--prime',
    action='append',
    metavar='TEXT',
    help='text to continue; repeatable',
  )
  add(
    '--length', type=int, default=500, metavar='N', help='characters to add to each (default 500)'
  )
  add(
    '--temperature',
    type=float,
    default=0.8,
    metavar='T',
    help='sampling temperature; 0 takes the most probable character (default 0.8)',
  )
  add(
    '--top-k',
    type=int,
    default=0,
    metavar='N',
    help='sample from the N most probable characters; 0 for all (default)',
  )
  add(
    '--seed',
    type=command.seed,
    default=0,
    metavar='N',
    help='random seed of the text (default 0)',
  )
  parser.add_step()
  parser.add_trust_code()
  chosen = parser.parse_args(arguments[1:])
  with stores.reading(chosen.workdir) as chosen.workdir:
    return _generate(chosen)


def _generate(chosen):
  """Generates and prints the texts; returns the exit code."""
  model, variables, config = checkpoint.load_model(
    chosen.workdir, chosen.step, trust_code=chosen.trust_code
  )
  if config['model']['name'] not in TEXT_MODELS:
    raise ValueError(
      f'{chosen.workdir} holds a run of the model {config["model"]["name"]!r}: give one of a '
      f'{" or ".join(TEXT_MODELS)}'
    )
  vocabulary = format.dataset(config, chosen.workdir)['classes']
  primes = [characters.encode(prime, vocabulary) for prime in chosen.prime or ['\n']]
  with progress.waiting('writing'):
    added = sampling.generate(
      cast(LanguageModel | Transformer, model),
      variables,
      primes,
      length=chosen.length,
      temperature=chosen.temperature,
      top_k=chosen.top_k,
      seed=chosen.seed,
    )
  texts = [
    prime + characters.decode(positions, vocabulary)
    for prime, positions in zip(chosen.prime or [''], added, strict=True)
  ]
  for text in texts:
    print(text)
  command.print_quietly({'workdir': str(chosen.workdir), 'texts': texts}, quiet=chosen.quiet)
  return 0


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv, less_memory=LESS_MEMORY))
