"""What jaxdl computes, as named arrays, for `compiler_difference`.

The training step and the evaluation of every config, on random data and with batches of unusual
sizes; and every analysis of one small network of each kind.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from jaxdl.analysis import reference
from jaxdl.devices import parallel
from jaxdl.models import TEXT_MODELS
from jaxdl.step import steps
from jaxdl.training import chunks, experiment, loop
from jaxdl.views import VIEWS, concepts, subject
from jaxdl.views.view import Choice, Failure
from launch.benchmarks import random_examples

ULP = 2.0**-23  # relative distance of neighbouring float32 numbers, at most

LARGE = ('32767', '32768', '32769')  # examples
LARGE_TEXTS = ('151x217', '99x331')  # streams x characters: 32,767 and 32,769 rows
SIZES = {  # config → sizes of its batches
  'dense': ('1', '13', '127', *LARGE),
  'rnn_mnist': ('1', '127', '32767', '32769'),
  'gru_mnist': ('1', '127', '32767', '32769'),
  'lstm_mnist': ('1', '127', *LARGE),
  'char_rnn_shakespeare': ('1', '13', *LARGE_TEXTS),
  'char_transformer_shakespeare': ('1', '13x127'),
  'cnn_food11': ('1', '3'),
  'cnn_food11_l2': ('1', '3'),
}
OTHERS = ('1', '13')  # sizes of the other configs


def config_cases() -> list[str]:
  """'config/NAME/SIZE' for every config and size."""
  names = ['dense', *random_examples.all_names()]
  return [f'config/{name}/{size}' for name in names for size in SIZES.get(name, OTHERS)]


def analysis_cases() -> list[str]:
  """'analysis/NETWORK/VIEW' for every network of NETWORKS and the analyses that fit it."""
  return [
    f'analysis/{name}/{view}'
    for name, (kind, _) in NETWORKS.items()
    for view in VIEWS
    if VIEWS[view].fits(kind)
  ]


def arrays_of(case: str, folder: pathlib.Path, control: bool) -> dict[str, np.ndarray]:
  """The arrays of a case.

  Args:
    case: one of `config_cases()` or `analysis_cases()`.
    folder: where the trained networks are, or are written.
    control: whether to compute everything again with changed parameters: each is multiplied by
      1 + ULP or 1 - ULP. The results are named 'control/…'.
  """
  kind, name, what = case.split('/')
  compute = of_config(name, what) if kind == 'config' else of_analysis(name, what, folder)
  found = compute(lambda variables: variables)
  if control:
    found |= {f'control/{key}': values for key, values in compute(_neighbours).items()}
  return found


def _neighbours(variables):
  draw = np.random.default_rng(0)

  def changed(leaf):
    values = np.asarray(leaf)
    factor = 1 + ULP * draw.choice([-1, 1], values.shape)
    return (values * factor).astype(values.dtype)

  return {**variables, 'params': jax.tree.map(changed, variables['params'])}


def of_config(name: str, size: str) -> Callable:
  """Compiles the training step and the evaluation of a config.

  Args:
    name: name of a config, or 'dense'.
    size: examples of a batch; of a text streams, or streams x characters.

  Returns:
    Function (change of the variables) → name → array: the State after a step and its sums, the sums
    of an evaluation, and the outputs for some examples, also those of the NumPy reference.
  """
  built = random_examples.build(name, size)
  split = built.data.splits['validation']
  arrays = parallel.replicate(split.arrays)
  feed = parallel.split_feed(split.feed(0, split.batches), split.batches)
  batch = built.data.prepare(
    split.fetch(split.arrays, {key: values[0] for key, values in split.feed(0, 1).items()}), None
  )
  apply = jax.jit(built.recipe.model.apply)
  drawn, train = jax.device_get(built.initial_state()), chunks.compile_steps(built)
  evaluate = parallel.over_devices(
    steps.many_eval_steps(
      model=built.recipe.model,
      task=built.evaluation_task,
      split=split,
      prepare=built.data.prepare,
    ),
    scalars=1,
  )
  trained = built.data.splits['train']

  def compute(change):
    variables = change(drawn.variables())
    found = _leaves(
      evaluate(parallel.replicate(variables), arrays, feed, np.int32(split.batches)), 'evaluation'
    )
    outputs = np.asarray(apply(variables, batch['inputs']))
    params = variables['params']
    start = dataclasses.replace(drawn, params=params, average=params if drawn.average else {})
    state, sums = train(
      parallel.replicate(start),
      parallel.replicate(trained.arrays),
      parallel.split_feed(trained.feed(0, 1), 1),
      np.int32(1),
    )
    found |= _leaves(state, 'state') | _leaves(sums, 'sums')
    few = 8 if np.prod(batch['inputs'].shape[1:]) < 10_000 else 1
    some = np.unique([*range(few), *range(-few, 0)] % np.int64(len(outputs)))
    found['outputs'] = outputs
    found['some outputs'] = outputs[some]
    found['reference/some outputs'] = _in_numpy(built.config, variables, batch['inputs'][some])
    return found

  return compute


def _in_numpy(config, variables, inputs):
  wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), dict(variables))
  wide = {key: wide[key] for key in ('params', 'batch_stats') if wide.get(key)}
  inputs = np.asarray(inputs)
  if config['model']['name'] not in TEXT_MODELS:
    inputs = inputs.astype(np.float64)
  return reference.forward(config, wide, inputs)[0]


def _leaves(tree, name):
  """Name → array of the leaves of a tree."""
  return {
    f'{name}{jax.tree_util.keystr(path)}': np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(tree))
  }


CONVOLUTIONS = (
  dict(kind='conv', features=4, kernel=3),
  dict(kind='batch_norm'),
  dict(kind='max_pool', window=2),
  dict(kind='conv', features=5, kernel=3),
  dict(kind='flatten'),
  dict(kind='dense', features=7),
  dict(kind='dense', features='classes', activate=False, name='logits'),
)
CNN = dict(name='cnn', layers=CONVOLUTIONS)
AUTOENCODER = dict(
  name='cnn',
  layers=(
    dict(kind='conv', features=4, kernel=3, strides=2),
    dict(kind='flatten'),
    dict(kind='dense', features=6, activate=False, name='code'),
    dict(kind='dense', features=196),
    dict(kind='reshape', shape=(14, 14, 1)),
    dict(kind='conv_transpose', features=4, kernel=3),
    dict(kind='conv', features=1, kernel=3, activate=False, name='image'),
  ),
)
OWN_MODEL = """
import flax.linen as nn


class Network(nn.Module):
  classes: int = 10

  @nn.compact
  def __call__(self, inputs):
    hidden = nn.relu(nn.Dense(13, name='hidden')(inputs.reshape(len(inputs), -1)))
    return nn.Dense(self.classes, name='logits')(hidden)
"""
TRANSFORMER = dict(
  name='transformer', features=12, classes='classes', layers=2, heads=3, context=16, dropout=0.0
)
TEXT_MODEL = dict(
  name='language_model', cell='lstm', features=12, layers=2, embedding=6, classes='classes'
)
RECURRENT = dict(name='recurrent', cell='gru', features=8, classes='classes')
DIGITS = dict(
  name='mnist', source='bundled', splits=dict(train='train[:127]', validation='test[:61]')
)
ROWS = dict(DIGITS, layout='rows')
TEXT = dict(
  name='shakespeare',
  source='bundled',
  time_step=13,
  splits=dict(train='train[:1000]', validation='test[:300]'),
)
ARRAYS = dict(name='arrays', splits=dict(train='train', validation='test'))
CLASSIFY, REGRESS, SEVERAL = 'classify', 'regress', 'multi_label'
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {  # network → (kind, keys of its config)
  'cnn': ('cnn', dict(task=CLASSIFY, data=DIGITS, model=CNN)),
  'recurrent': ('recurrent', dict(task=CLASSIFY, data=ROWS, model=RECURRENT)),
  'own': ('classifier', dict(task=CLASSIFY, data=DIGITS, model=dict(name='own.py:Network'))),
  'lstm of a text': ('language_model', dict(task='next_char', data=TEXT, model=TEXT_MODEL)),
  'transformer': ('language_model', dict(task='next_char', data=TEXT, model=TRANSFORMER)),
  'autoencoder': ('autoencoder', dict(task='reconstruct', data=DIGITS, model=AUTOENCODER)),
  'regressor': ('regressor', dict(task=REGRESS, data=ARRAYS, model=CNN)),
  'multi_label': ('multi_label', dict(task=SEVERAL, data=ARRAYS, model=CNN)),
}
EXAMPLES, LETTERS = 61, 211  # examples of an analysis, and characters of a text; both prime


@functools.lru_cache(1)
def _seen(name, folder):
  """The Subject of a network, which is trained if `folder` does not have it."""
  (kind, keys), name = NETWORKS[name], name.replace(' ', '_')
  workdir, trained = folder / name, folder / f'{name}.trained'
  if not trained.exists():
    folder.mkdir(parents=True, exist_ok=True)
    loop.train(experiment.build(_with_files(keys, folder), name), workdir)
    trained.touch()
  count = LETTERS if kind == 'language_model' else EXAMPLES
  return subject.read(workdir, step='last', count=count, trust_code=True)


def _with_files(keys, folder):
  """The config of a network, with the files that it names."""
  config = dict(
    seed=0,
    train_for='8 steps',
    log_every='2 steps',
    evaluate_every='2 steps',
    checkpoint_every='2 steps',
    keep_every='2 steps',
    optimizer=dict(name='adam', learning_rate=1e-2),
    **keys,
  )
  config['data'] = dict(config['data'], batch_size=16, evaluation_batch_size=16)
  if config['data']['name'] == 'arrays':
    file = folder / f'{config["task"]}.npz'
    _write_arrays(file, config['task'])
    config['data'] = dict(config['data'], file=str(file))
  if config['model']['name'].startswith('own.py'):
    (folder / 'own.py').write_text(OWN_MODEL, encoding='utf-8')
    config['model'] = dict(config['model'], name=f'{folder / "own.py"}:Network')
  return config


def _write_arrays(file, task):
  draw = np.random.default_rng(0)
  found = {}
  for split, count in (('train', 127), ('test', EXAMPLES)):
    pixels = draw.integers(0, 256, (count, 13, 13, 3), np.uint8)
    bright = pixels.mean((1, 2)) / 255
    found[f'x_{split}'] = pixels
    found[f'y_{split}'] = (
      bright.astype(np.float32) if task == REGRESS else (bright > 0.5).astype(np.int32)
    )
  np.savez(file, **found)


def of_analysis(name: str, view: str, folder: pathlib.Path) -> Callable:
  """An analysis of a network, as in `jaxdl.analyze` without its pictures' files.

  Args:
    name: one of NETWORKS.
    view: one of VIEWS.
    folder: where the trained networks are, or are written.

  Returns:
    Function (change of the variables) → name → array: the arrays and the numbers of its results.
  """
  seen, chosen = _seen(name, folder), VIEWS[view]
  chosen.load()
  choice = Choice(step='last', concepts=_concepts(folder) if view == 'concepts' else None)

  def compute(change):
    if chosen.left_out(seen):
      return {'left out': np.array(chosen.left_out(seen))}
    looked_at = dataclasses.replace(seen, variables=change(seen.variables))
    return dict(_numbers(chosen.make(looked_at, choice)))

  return compute


def _concepts(folder):
  """A folder of two concepts, dark and bright noise."""
  import PIL.Image

  draw = np.random.default_rng(0)
  place = folder / 'concepts'
  for name, highest in (('dark', 99), ('bright', 256)):
    (place / name).mkdir(parents=True, exist_ok=True)
    for number in range(concepts.FEWEST):
      pixels = draw.integers(0, highest, (28, 28), np.uint8)
      PIL.Image.fromarray(pixels).save(place / name / f'{number}.png')
  return str(place)


def _numbers(results: Iterable) -> Iterable[tuple[str, np.ndarray]]:
  """Name → array of the results of an analysis; numbers among their facts are arrays, too."""
  try:
    for result in results:
      if isinstance(result, Failure):
        yield f'{result.name} failed', np.array(str(result.error))
        continue
      for path, leaf in jax.tree_util.tree_leaves_with_path((result.arrays, result.facts)):
        values = np.asarray(leaf)
        if values.dtype.kind in 'biuf':
          yield f'{result.name}{jax.tree_util.keystr(path)}', values
  except ValueError as error:  # it does not apply to these examples
    yield 'left out', np.array(str(error))
