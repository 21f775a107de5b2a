"""Several processes train one run: the same curve as with one process, a single writer, and no
process waits for a killed one.
"""

import functools
import json
import re
import signal
import time

import jax
import numpy as np
import pytest
from helpers import state_of, with_steady_adam
from process_helpers import LONG, main_command, started, wait_for_all

from jaxdl.devices import processes
from jaxdl.training import experiment, loop

TRAIN = """
import json, sys
import numpy as np
from jaxdl.devices import processes as group
from jaxdl.training import experiment, loop
coordinator, processes, process, runs = sys.argv[1:]
with group.joined(coordinator, int(processes), int(process)):
  values = dict(bits=np.array([-0.0, np.nan, 1e-40], np.float32), exact=np.float64(1 / 3), none=np.zeros((0, 2)))
  received = group.broadcast_from_first(lambda: values, like={name: np.zeros_like(value) for name, value in values.items()})
  for name, value in values.items():
    assert np.asarray(received[name]).tobytes() == value.tobytes(), name
  for workdir, config in json.loads(runs):
    loop.train(experiment.build(config, 'small'), workdir)
"""


NETS = """
import flax.linen as nn

class Logits(nn.Module):
  @nn.compact
  def __call__(self, inputs):
    return nn.Dense(10, name='logits')(inputs.reshape(inputs.shape[0], -1))
"""


def check_equal_to_one_process(count, configs, folder):
  """Trains with several processes and with only this one; compares parameters and journals."""
  runs = json.dumps([(str(folder / f'{name}_many'), config) for name, config in configs.items()])
  with started(
    count, lambda address, process: ('-c', TRAIN, address, count, process, runs)
  ) as children:
    for code, _, errors in wait_for_all(children):
      assert code == 0, errors
  for name, config in configs.items():
    built = experiment.build(config, 'small')
    loop.train(built, folder / f'{name}_one')
    many, one = (state_of(built, folder / f'{name}_{number}') for number in ('many', 'one'))
    assert many.step == one.step == built.steps
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-5), many, one)
    many, one = (journal(folder / f'{name}_{number}') for number in ('many', 'one'))
    assert [event for event, _ in many] == [event for event, _ in one]
    for (event, ours), (_, theirs) in zip(many, one, strict=True):
      assert ours == pytest.approx(theirs, rel=1e-5), event


def journal(workdir):
  """[((step, split), name → number)] without the speed, which varies."""
  lines = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
  return [
    (
      (line.pop('step'), line.pop('split')),
      {key: value for key, value in line.items() if key != 'examples_per_second'},
    )
    for line in lines
  ]


def check_resumed_equals_uninterrupted(count, config, file, interrupted):
  """Resumes an interrupted run, and compares it bit for bit with an uninterrupted one of as many
  processes.
  """
  built, uninterrupted = experiment.build(config, 'small'), interrupted.parent / 'uninterrupted'
  for folder in (interrupted, uninterrupted):
    with started(count, main_command(file, folder, count)) as children:
      (code, output, errors), *_ = wait_for_all(children)
      assert code == 0, errors
      assert ('resuming ' in output) == (folder == interrupted)
  jax.tree.map(
    np.testing.assert_array_equal,
    *(state_of(built, folder) for folder in (interrupted, uninterrupted)),
  )


@pytest.mark.slow
def test_hosts_2_processes_equal_1(small_cnn, tmp_path):
  """Batch normalisation, dropout, augmentation and padding. The test with four processes covers
  text and its carried state. Each process imports own code by itself; the first one copies it.
  """
  (tmp_path / 'nets.py').write_text(NETS)
  own = {**small_cnn, 'model': {'name': f'{tmp_path / "nets.py"}:Logits'}, 'train_for': '2 steps'}
  configs = {'cnn': with_steady_adam(small_cnn), 'own': own}
  check_equal_to_one_process(2, configs, tmp_path)
  assert (tmp_path / 'own_many/code/nets.py').read_text() == NETS


@pytest.mark.slow
def test_hosts_4_processes_equal_1(small, small_cnn, small_text, tmp_path, reliability):
  configs = {'lstm': small, 'cnn': small_cnn, 'text': small_text}
  check_equal_to_one_process(
    4, {name: with_steady_adam(config) for name, config in configs.items()}, tmp_path
  )
  reliability(
    'networks trained by 4 processes: same curve and parameters as with one',
    len(configs),
    len(configs),
  )


@pytest.mark.slow
@pytest.mark.parametrize('count', [2, 4])
def test_hosts_signal_to_one_stops_all_and_they_resume(
  count, small, config_file, tmp_path, reliability
):
  """The final state equals that of an uninterrupted run, bit for bit."""
  small.update(LONG)
  file = config_file(small)
  with started(count, main_command(file, tmp_path / 'stopped', count)) as children:
    assert any(line.startswith('step 50 ') for line in children[0].stdout)
    children[-1].send_signal(signal.SIGTERM)
    for process, (code, output, errors) in enumerate(wait_for_all(children)):
      assert code == 75, errors
      assert bool(re.search(r'stopped at step \d+, resume with: ', output)) == (process == 0)
  check_resumed_equals_uninterrupted(count, small, file, tmp_path / 'stopped')
  reliability(
    'SIGTERM to one of 2 or 4 processes: all stop after the same step; the resumed run equals an uninterrupted one bit for bit',
    1,
    1,
  )


@pytest.mark.slow
@pytest.mark.parametrize('victim', [0, 1])
def test_hosts_end_and_resume_after_one_is_killed(
  victim, small, config_file, tmp_path, reliability
):
  small.update(
    train_for='800 steps',
    log_every='50 steps',
    evaluate_every='50 steps',
    checkpoint_every='50 steps',
  )
  file = config_file(small)
  with started(2, main_command(file, tmp_path / 'killed', 2)) as children:
    assert any(line.startswith('step 150 ') for line in children[0].stdout)
    children[victim].kill()
    start = time.monotonic()
    code, _, errors = wait_for_all(children)[1 - victim]
    assert code != 0, errors
    assert time.monotonic() - start < 60
  check_resumed_equals_uninterrupted(2, small, file, tmp_path / 'killed')
  reliability(
    'SIGKILL to one of 2 processes: the other ends within a minute; the resumed run equals an uninterrupted one bit for bit',
    1,
    1,
  )


@pytest.mark.slow
def test_hosts_end_with_one_line_if_first_refuses(small, config_file, tmp_path):
  loop.train(experiment.build(small, 'small'), tmp_path / 'run')
  other = config_file({**small, 'seed': 1})
  with started(2, main_command(other, tmp_path / 'run', 2)) as children:
    start = time.monotonic()
    (first, _, first_errors), (second, _, second_errors) = wait_for_all(children)
    assert (first, second) == (1, 1)
    assert time.monotonic() - start < 60
  assert 'holds a run of another config (differing in seed)' in first_errors.splitlines()[-1]
  assert second_errors.splitlines()[-1] == 'jaxdl: the first process failed: see its own message'


@pytest.mark.slow
def test_hosts_all_end_or_start_over_after_damage(small, config_file, tmp_path):
  built, workdir, file = experiment.build(small, 'small'), tmp_path / 'run', config_file(small)
  loop.train(built, workdir)
  for text in workdir.glob('checkpoints/*/config/metadata'):
    text.write_text('')
  with started(2, main_command(file, workdir, 2)) as children:
    (first, _, first_errors), (second, _, second_errors) = wait_for_all(children)
    assert (first, second) == (1, 1)
  assert f'jaxdl: every checkpoint of {workdir} is damaged: 2 in ' in first_errors.splitlines()[-1]
  assert second_errors.splitlines()[-1] == 'jaxdl: the first process failed: see its own message'
  assert not (workdir / 'damaged').exists()
  command = main_command(file, workdir, 2)
  with started(
    2, lambda address, process: (*command(address, process), '--start-over')
  ) as children:
    for code, _, errors in wait_for_all(children):
      assert code == 0, errors
  assert len(list((workdir / 'damaged').iterdir())) == 2
  assert int(state_of(built, workdir).step) == 8


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('host:1', None, None), '--coordinator=HOST:PORT needs --processes=N and --process=I'),
    (('host:1', 2, 2), '--process=2 is not one of --processes=2: use 0 to 1'),
    (('host', 2, 0), '--coordinator=host is not an address'),
    (('host:99999', 2, 0), '--coordinator=host:99999 is not an address'),
    (('auto', 2, 0), '--processes and --process belong to --coordinator=HOST:PORT'),
    ((None, 2, 0), '--processes and --process belong to --coordinator=HOST:PORT'),
  ],
)
def test_hosts_invalid_flags_are_named_in_the_error(arguments, message):
  with pytest.raises(ValueError, match=re.escape(message)), processes.joined(*arguments):
    raise AssertionError('invalid flags were accepted')


def test_hosts_single_process_needs_no_communication():
  with processes.joined(None):
    assert processes.is_first()
    assert processes.min_over_processes(7) == 7
    assert processes.on_first_process(lambda: 'found') == 'found'
    assert processes.broadcast_from_first(
      lambda: {'step': np.int32(3)}, like={'step': np.int32(0)}
    ) == {'step': 3}
