"""Time, completeness error and share of the first step of the attribution methods for sequences.

    python -m launch.benchmarks.sequence_methods RUN [RUN …] [--images=1000]

RUN is the folder of a run of a recurrent classifier or a character model, or a packed run. The
times include the compilation. The explained class or character is the predicted one. Of a text, the
examples are parts of the test split.
"""

import argparse
import time
import warnings

import jax
import numpy as np

from jaxdl.analysis import methods
from jaxdl.analysis.grading import completeness
from jaxdl.analysis.maps import last_character, recurrent_lrp
from jaxdl.views import step_attributions, subject

BACKGROUND = 64


def main() -> None:
  """Prints a table for each run."""
  parser = argparse.ArgumentParser(description='Measures the attribution methods for sequences.')
  parser.add_argument('runs', nargs='+', metavar='RUN')
  parser.add_argument('--images', type=int, default=1000)
  chosen = parser.parse_args()
  warnings.simplefilter('ignore')  # maps of zeros
  for run in chosen.runs:
    _measure(run, chosen.images)


def _measure(run: str, images: int) -> None:
  is_text = subject.read(run, examples=False).kind == 'language_model'
  seen = subject.read(run, count=None if is_text else images)
  model, variables, inputs = seen.model, seen.variables, seen.inputs
  if is_text:
    inputs, _ = step_attributions.texts_of(seen, images)
    known = step_attributions.methods_of_texts(seen)
    first_filled = 0
  else:
    known = methods.of_sequences(model, inputs[:BACKGROUND])
    first_filled = inputs.any(-1).argmax(1)
  explained, given = last_character.differentiable(model, variables, inputs)
  logits = np.asarray(jax.jit(explained.apply)(variables, given))
  predicted = logits.argmax(-1)
  print(f'{run}: {len(inputs):,} examples of {inputs.shape[1]} steps')
  print('| method | seconds | error | first step | first filled step |\n|---|---|---|---|---|')
  for name, method in known.items():
    began = time.perf_counter()
    maps = method.function(model, variables, inputs, predicted)
    seconds = time.perf_counter() - began
    flat = methods.without_channels(maps, method, axes=2)
    first = completeness.first_step_share(flat).mean()
    filled = completeness.first_step_share(flat, first_filled).mean()
    error = '–'
    if method.baseline_score is not None:
      wanted = completeness.difference(method.baseline_score, model, variables, inputs, predicted)
      missed = np.abs(completeness.totals(maps) - wanted).mean()
      error = f'{100 * missed / np.abs(wanted).mean():,.2f} %'
    print(
      f'| {name} | {seconds:.1f} | {error} | {100 * first:.1f} % | {100 * filled:.1f} % |',
      flush=True,
    )
  found = recurrent_lrp.recurrent_lrp(explained, variables, given, predicted)
  print(
    f'LRP: mean score {np.abs(logits.max(-1)).mean():.2f}, biases '
    f'{np.abs(found.biases).mean():.2f}, ε {np.abs(found.stabiliser).mean():.2f}'
  )


if __name__ == '__main__':
  main()
