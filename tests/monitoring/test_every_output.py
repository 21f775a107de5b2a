"""Every output of a run is found and replaced by one that fails, hangs or is slow.

Nothing is listed by hand: the outputs are those that an undisturbed run gives to SideOutputs, and the
functions of the packages that draw, write and print which it calls. Checkpoints and journal must
equal those of the undisturbed run bit for bit.
"""

import ast
import contextlib
import errno
import functools
import importlib
import inspect
import json
import pkgutil
import sys
import threading
import time
import types

import jax
import numpy as np
import pytest
from helpers import ROOT, slow_after, state_of

from jaxdl import main
from jaxdl.monitoring import side_outputs
from jaxdl.report import live
from jaxdl.runs import checkpoint
from jaxdl.training import experiment, profiling

pytestmark = pytest.mark.usefixtures('drawn_at_every_evaluation')

PACKAGE = str(ROOT / 'jaxdl')
# Packages whose functions only show something.
SHOWING = ('figures', 'lint', 'monitoring', 'report', 'terminal.progress', 'models.table')
NEEDED = {  # called by what shows, but training needs them
  'jaxdl.monitoring.writers.open_writers': 'opens metrics.jsonl',
  'jaxdl.monitoring.writers._keep_until': 'removes later lines of metrics.jsonl',
  'jaxdl.monitoring.writers._thread': 'surrounds metrics.jsonl',
  'jaxdl.monitoring.writers._boards': 'surrounds metrics.jsonl',
  'jaxdl.monitoring.side_outputs._within': 'runs the outputs',
  'jaxdl.monitoring.side_outputs.SideOutputs.__init__': 'runs the outputs',
  'jaxdl.monitoring.side_outputs.SideOutputs.attempt': 'runs the outputs',
  'jaxdl.monitoring.side_outputs.SideOutputs._warn': 'prints the warning',
  'jaxdl.monitoring.side_outputs.reason': 'prints the warning',
  'jaxdl.report.live.Writer.__init__': 'surrounds the training',
  'jaxdl.report.live.Writer.__enter__': 'surrounds the training',
  'jaxdl.report.live.Writer.__exit__': 'surrounds the training',
  'jaxdl.report.live.Pace.__init__': 'surrounds the training',
  'jaxdl.models.table.layers': 'the layers of the experiment',
  'jaxdl.models.table.totals': 'parameters in summary.json',
  'jaxdl.terminal.progress.show': 'surrounds the training',
  'jaxdl.terminal.progress.Progress.evaluating': 'surrounds the evaluation',
  'jaxdl.terminal.progress.Progress.log': 'calls functions that may fail',
}


@pytest.fixture
def drawn_at_every_evaluation(monkeypatch):
  """The report is written at every evaluation; TensorFlow is installed."""
  pytest.importorskip('tensorflow')
  monkeypatch.setattr(live.Pace, 'is_due', lambda self, now, seconds_left: True)
  yield
  jax.clear_caches()


@pytest.fixture
def configs(small, small_cnn, small_text, small_autoencoder):
  """Configs that have all outputs among them."""
  short = dict(
    train_for='6 steps', log_every='2 steps', evaluate_every='2 steps', checkpoint_every='2 steps'
  )
  return {
    'cnn': {**small_cnn, **short, 'profile': '2 steps'},
    'text': {**small_text, **short},
    'autoencoder': {**small_autoencoder, **short},
  }


class Runs:
  """Trains with some outputs replaced, and compares with an undisturbed run.

  Args:
    config_file, tmp_path, capsys, monkeypatch: fixtures.
    configs: name → config.
  """

  def __init__(self, config_file, tmp_path, capsys, monkeypatch, configs):
    self._folder, self._capsys, self._count = tmp_path, capsys, 0
    self._patch = monkeypatch
    self._files = {name: config_file(config, name) for name, config in configs.items()}
    self._built = {name: experiment.build(config, name) for name, config in configs.items()}
    self.expected = {}

  def train(self, name):
    """Trains a config to its end; returns (its state and journal, lines of standard error)."""
    self._count += 1
    folder = self._folder / f'run{self._count}'
    self._capsys.readouterr()
    assert main.main(['jaxdl.main', f'--config={self._files[name]}', f'--workdir={folder}']) == 0
    errors = self._capsys.readouterr().err.splitlines()
    built = self._built[name]
    states = {
      step: [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state_of(built, folder, step))]
      for step in checkpoint.kept_steps(folder)
    }
    rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    for row in rows:
      row.pop('examples_per_second', None)
    summary = json.loads((folder / 'summary.json').read_text())
    summary.pop('seconds')
    return (states, rows, summary), [line for line in errors if ' left out: ' in line]

  def undisturbed(self, name):
    """What a config trains to; nothing was left out."""
    if name not in self.expected:
      self.expected[name], left_out = self.train(name)
      assert left_out == []
    return self.expected[name]

  @contextlib.contextmanager
  def replaced(self, change):
    """Inside the block, change(name, function) replaces what SideOutputs calls."""
    real = side_outputs.SideOutputs.attempt

    def attempt(self, name, function, *arguments):
      return real(self, name, change(name, function), *arguments)

    with self._patch.context() as patch:
      patch.setattr(side_outputs.SideOutputs, 'attempt', attempt)
      yield

  def outputs(self, configs=('cnn', 'text', 'autoencoder')):
    """Name of every output → (the config that has it, whether another thread writes it)."""
    found = {}
    for config in configs:

      def note(name, function, config=config):
        in_pool = threading.current_thread().name.startswith('ThreadPoolExecutor')
        found.setdefault(name, (config, in_pool))
        return function

      with self.replaced(note):
        self.expected[config], left_out = self.train(config)
      assert left_out == []
    return found


@pytest.fixture
def training(config_file, tmp_path, capsys, monkeypatch, configs):
  """Runs."""
  return Runs(config_file, tmp_path, capsys, monkeypatch, configs)


def raising(error):
  def fail(*anything, **more):
    raise error

  return lambda function: fail


def literal_names():
  """The names that the source gives to `attempt`, where they are literals."""
  found = set()
  files = [
    ROOT / 'jaxdl/main.py',
    *ROOT.glob('jaxdl/monitoring/*.py'),
    *ROOT.glob('jaxdl/report/live.py'),
  ]
  for file in files:
    for node in ast.walk(ast.parse(file.read_text())):
      is_call = isinstance(node, ast.Call) and getattr(node.func, 'attr', '').endswith('attempt')
      if is_call and node.args and isinstance(node.args[0], ast.Constant):
        found.add(node.args[0].value)
  return found


@pytest.mark.slow
def test_outputs_are_found_by_their_use(training):
  """Each name in the source is an output of one of the configs, and the tests below replace it."""
  found = training.outputs()
  assert literal_names() - set(found) == {'report.html'} - set(found)
  assert {profiling.NAME, 'the progress display', 'the report while training'} <= set(found)
  assert {f"TensorBoard's {kind}" for kind in ('scalars', 'images', 'histograms', 'texts')} <= set(
    found
  )
  assert len(found) > 20


FAULTS = {
  'disk full': raising(OSError(errno.ENOSPC, 'No space left on device')),
  'error': raising(RuntimeError('broken')),
  'memory': raising(MemoryError()),
}


def replace_in_rounds(training, config, waiting, replaced):
  """Trains with all outputs replaced, then with those inside them that were not called, and so on.

  Args:
    training: Runs.
    config: name of the config.
    waiting: the names of its outputs.
    replaced: function (function) → the function that takes its place.

  Yields:
    (names that were replaced and called, lines of the warnings) of each round.
  """
  expected = training.undisturbed(config)
  waiting = set(waiting)
  while waiting:
    called = set()

    def change(name, function, waiting=waiting, called=called):
      if name not in waiting:
        return function
      called.add(name)
      return replaced(function)

    with training.replaced(change):
      found, left_out = training.train(config)
    assert found == expected, called
    assert called, f'{waiting} were not called'
    yield called, left_out
    waiting = waiting - called


def outputs_of(training, config):
  """The names of a config's outputs."""
  return [name for name, (first, _) in training.outputs([config]).items() if first == config]


@pytest.mark.parametrize(
  ('config', 'fault'),
  slow_after(
    1, [(c, f) for c in ('cnn', 'text', 'autoencoder') for f in ('error', 'disk full', 'memory')]
  ),
)
def test_outputs_that_raise_are_left_out_with_one_warning(config, fault, training):
  names, rounds = outputs_of(training, config), 0
  for called, left_out in replace_in_rounds(training, config, names, FAULTS[fault]):
    warned = [line.removeprefix('warning: ').partition(' left out: ')[0] for line in left_out]
    assert sorted(warned) == sorted(called)
    rounds += 1
  assert rounds > 1


@pytest.mark.slow
@pytest.mark.parametrize('config', ['cnn', 'text', 'autoencoder'])
def test_outputs_that_hang_are_left_out_with_one_warning(config, training, monkeypatch):
  """Each would take ten minutes; other outputs may also exceed the short limit."""
  names, released = outputs_of(training, config), threading.Event()
  training.undisturbed(config)
  monkeypatch.setattr(side_outputs, 'LIMIT', 1.0)
  rounds = replace_in_rounds(
    training, config, names, lambda function: lambda *anything: released.wait(600)
  )
  began = time.monotonic()
  try:
    for called, left_out in rounds:
      hanging = [line for line in left_out if 'it did not finish within' in line]
      warned = [line.removeprefix('warning: ').partition(' left out: ')[0] for line in hanging]
      assert called <= set(warned)
      assert len(set(warned)) == len(warned)
      assert time.monotonic() - began < 30 + 20 * len(called)
      began = time.monotonic()
  finally:
    released.set()


@pytest.mark.slow
def test_output_that_hangs_for_a_minute_is_left_out(training):
  """The limit of users."""
  expected, released = training.undisturbed('cnn'), threading.Event()
  name = 'the picture of training images'
  change = lambda other, function: (  # noqa: E731
    (lambda *anything: released.wait(600)) if other == name else function
  )
  began = time.monotonic()
  with training.replaced(change):
    try:
      found, left_out = training.train('cnn')
    finally:
      released.set()
  assert 60 < time.monotonic() - began < 240
  assert found == expected
  assert left_out == [f'warning: {name} left out: it did not finish within 60 seconds']


@pytest.mark.slow
def test_slow_outputs_change_nothing(training):
  """Each call of each output takes 0.2 seconds more."""

  def slower(name, function):
    def slow(*arguments):
      time.sleep(0.2)
      return function(*arguments)

    return slow

  for config in ('cnn', 'text', 'autoencoder'):
    expected = training.undisturbed(config)
    with training.replaced(slower):
      assert training.train(config) == (expected, [])


@pytest.mark.slow
def test_keyboard_interrupt_in_an_output_ends_the_run(training):
  """Python raises it in the main thread, so not in the outputs that another thread writes."""
  for name, (config, in_pool) in training.outputs().items():
    if in_pool:
      continue
    change = lambda other, function, name=name: (  # noqa: E731
      raising(KeyboardInterrupt())(function) if other == name else function
    )
    with training.replaced(change), pytest.raises(KeyboardInterrupt):
      training.train(config)


def functions():
  """Full name → function or method of the packages SHOWING."""
  found = {}
  for package in SHOWING:
    module = importlib.import_module(f'jaxdl.{package}')
    below = pkgutil.walk_packages(getattr(module, '__path__', []), f'{module.__name__}.')
    for name in [module.__name__, *(info.name for info in below)]:
      if not name.endswith('__main__'):
        _add(found, importlib.import_module(name), name)
  return found


def _add(found, owner, module):
  for value in list(vars(owner).values()):
    if inspect.isclass(value) and value.__module__ == module:
      _add(found, value, module)
    elif isinstance(value, types.FunctionType) and value.__module__ == module:
      found[f'{module}.{value.__qualname__}'] = value


def replace(patch, replacements):
  """Replaces functions, id → function, in the modules that define or import them."""
  for module in list(sys.modules.values()):
    if getattr(module, '__name__', '').startswith('jaxdl'):
      classes = [value for value in vars(module).values() if inspect.isclass(value)]
      for owner in (module, *(one for one in classes if one.__module__ == module.__name__)):
        for name, value in list(vars(owner).items()):
          if id(value) in replacements:
            patch.setattr(owner, name, replacements[id(value)])


@contextlib.contextmanager
def entered(patch, known):
  """Yields the names of functions that are called from code which does not only show something.

  An exception of a function inside reaches such a function, or is caught before.

  Args:
    patch: a MonkeyPatch.
    known: full name → function.
  """
  showing = {inspect.getsourcefile(inspect.unwrap(value)) for value in known.values()}
  showing.remove(side_outputs.__file__)
  found = set()

  def noting(name, function):
    @functools.wraps(function)
    def call(*arguments, **keywords):
      caller = sys._getframe(1)
      while caller and PACKAGE not in caller.f_code.co_filename:  # such as threads
        caller = caller.f_back
      if not caller or caller.f_code.co_filename not in showing:
        found.add(name)
      return function(*arguments, **keywords)

    return call

  with patch.context() as inside:
    replace(inside, {id(value): noting(name, value) for name, value in known.items()})
    yield found


@pytest.mark.slow
@pytest.mark.parametrize('config', ['cnn', 'text', 'autoencoder'])
def test_function_that_shows_may_fail(config, training, monkeypatch):
  """Each function of the packages that only show something raises an exception at every call."""
  known = functions()
  with entered(monkeypatch, known) as found:
    training.undisturbed(config)
  assert set(NEEDED) - set(known) == set()
  assert len(found - set(NEEDED)) > 10
  waiting = found - set(NEEDED)
  while waiting:
    with monkeypatch.context() as patch:
      replace(
        patch, {id(known[name]): raising(RuntimeError(f'<{name}>'))(None) for name in waiting}
      )
      result, left_out = training.train(config)
    failed = {name for name in waiting if any(f'<{name}>' in line for line in left_out)}
    assert result == training.expected[config], failed
    assert len(set(left_out)) == len(left_out)
    assert failed, f'{waiting} were not called'
    waiting -= failed
