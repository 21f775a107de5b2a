"""`jaxdl.verify`: an unchanged run is repeated to the bit, and every change is found and named."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from helpers import SMALL, last_json, slow_after, state_of
from training_helpers import train_together

from jaxdl import pack, verify
from jaxdl.runs import certificate, checkpoint, verification
from jaxdl.terminal import command
from jaxdl.training import experiment, loop, replay

# Checkpoints at steps 3, 6 and 8 and evaluations between them; 8 is the last step.
CHANGES = dict(
  evaluate_every='2 steps', checkpoint_every='3 steps', keep_every='3 steps', log_every='2 steps'
)
CONFIG = {**SMALL, **CHANGES}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """The folder of a finished run."""
  folder = tmp_path_factory.mktemp('runs') / 'small'
  loop.train(experiment.build(CONFIG, 'small'), folder)
  return folder


@pytest.fixture
def run(trained, tmp_path):
  """A copy of the run that a test may change."""
  return shutil.copytree(trained, tmp_path / 'small')


def verified(capsys, *arguments):
  """(exit code, JSON result, printed lines) of the command."""
  code = command.run(verify.main, ['verify', *map(str, arguments), '--json'])
  shown = capsys.readouterr()
  return code, last_json(shown.out), shown.out.splitlines()


def refused(capsys, *arguments):
  """The one line of error of the command."""
  assert command.run(verify.main, ['verify', *map(str, arguments)]) == 1
  (line,) = capsys.readouterr().err.splitlines()
  return line


def test_unchanged_run_is_verified(run, capsys):
  code, found, _ = verified(capsys, run)
  assert (code, found['verified'], found['faults'], found['software_changed']) == (0, True, [], [])
  (one,) = found['replays']
  steps = checkpoint.kept_steps(run)
  assert (one['first'], one['last']) == (steps[-2], steps[-1])
  journal = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
  assert one['lines'] == sum(steps[-2] < line['step'] <= steps[-1] for line in journal) > 0
  assert one['arrays'] == len(jax.tree.leaves(state_of(experiment.build(CONFIG), run, steps[-1])))


RULES = {
  'batch_norm': {},
  'average and plateau': dict(ema_decay=0.9, plateau=dict(factor=0.5, patience='2 steps')),
  'short calls': dict(log_every='1 steps', evaluate_every='3 steps'),
}


@pytest.mark.parametrize('name', slow_after(1, list(RULES)))
def test_every_interval_of_a_run_is_repeated(name, small_cnn, tmp_path, capsys):
  config = {**small_cnn, **CHANGES, **RULES[name]}
  loop.train(experiment.build(config, 'small'), tmp_path / 'run')
  code, found, _ = verified(capsys, tmp_path / 'run', '--from=0')
  assert (code, found['faults']) == (0, [])
  steps = [0, *checkpoint.kept_steps(tmp_path / 'run')]
  assert [one['first'] for one in found['replays']] == steps[:-1]
  assert [one['last'] for one in found['replays']] == steps[1:]
  assert all(one['arrays'] for one in found['replays'])


def test_stopped_and_extended_run_is_verified(tmp_path, capsys):
  for train_for in ('4 steps', '8 steps'):  # the rate is constant, so the first half is the same
    config = {**CONFIG, 'schedule': None, 'train_for': train_for}
    loop.train(experiment.build(config, 'small'), tmp_path / 'run')
  code, found, _ = verified(capsys, tmp_path / 'run', '--from=0')
  assert (code, found['verified']) == (0, True)


def test_last_step_need_not_be_a_checkpoint(run, capsys):
  code, found, _ = verified(capsys, run, '--from=3', '--to=5')
  (one,) = found['replays']
  assert (code, one['first'], one['last'], one['arrays']) == (0, 3, 5, 0)
  assert one['lines']


def change_journal(folder, number, name, factor):
  """Multiplies a figure of one line of the journal; returns the line's step and split."""
  file = folder / 'metrics.jsonl'
  lines = [json.loads(line) for line in file.read_text().splitlines()]
  lines[number][name] *= factor
  file.write_text(''.join(json.dumps(line) + '\n' for line in lines))
  return lines[number]['step'], lines[number]['split']


def test_changed_journal_is_noticed_without_a_replay(run, capsys):
  step, _ = change_journal(run, -1, 'loss', 1 - 1e-9)
  before = max(kept for kept in checkpoint.kept_steps(run) if kept < step)
  code, found, _ = verified(capsys, run, '--no-replay')
  assert (code, found['verified'], found['replays']) == (1, False, [])
  (fault,) = [fault for fault in found['faults'] if 'journal has' not in fault]
  assert fault == f'metrics.jsonl was changed between step {before:,} and step {step:,}'


@pytest.mark.parametrize('change', [lambda lines: lines[1:], lambda lines: [*lines[:1], *lines]])
def test_removed_or_repeated_line_is_noticed(change, run, capsys):
  file = run / 'metrics.jsonl'
  lines = file.read_text().splitlines(keepends=True)
  file.write_text(''.join(change(lines)))
  code, found, _ = verified(capsys, run, '--no-replay')
  assert code == 1
  assert 'metrics.jsonl was changed between step 0 and step 3' in found['faults'][0]
  assert 'lines were written' in found['faults'][0]


def test_replay_names_the_first_step_and_figure_that_differ(run, capsys):
  lines = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
  number = next(
    number for number, line in enumerate(lines) if line['step'] > 6 and line['split'] == 'train'
  )
  step, split = change_journal(run, number, 'loss', 1.0000001)
  code, found, shown = verified(capsys, run)
  (one,) = found['replays']
  assert code == 1
  (difference,) = one['differences']
  changed = lines[number]['loss'] * 1.0000001
  assert difference == (
    f'step {step:,}, {split}: loss is {changed}, replayed {lines[number]["loss"]}'
  )
  assert any(difference in line for line in shown)


def test_replay_names_the_array_that_differs(run, capsys):
  """One number of the last checkpoint is replaced by its neighbour, and the checksums, too."""
  built = experiment.build(CONFIG, 'small')
  step = checkpoint.last_step(run)
  state = state_of(built, run, step)
  with checkpoint.manager(run) as checkpoints:
    texts = {name: checkpoint.text(checkpoints, step, name) for name in ('config', 'certificate')}
  leaves, tree = jax.tree.flatten(state.params)
  changed = np.array(leaves[0])
  changed.reshape(-1)[0] = np.nextafter(changed.reshape(-1)[0], np.float32(9))
  name = jax.tree_util.keystr(jax.tree_util.tree_leaves_with_path(state.params)[0][0])
  state = dataclasses.replace(state, params=jax.tree.unflatten(tree, [changed, *leaves[1:]]))
  shutil.rmtree(run / 'checkpoints' / str(step))
  with checkpoint.manager(run) as checkpoints:
    checkpoint.save(
      checkpoints, state, texts['config'], certificate=texts['certificate'], score=9.0
    )
  code, found, _ = verified(capsys, run)
  assert (code, found['faults']) == (1, [])
  (one,) = found['replays']
  (difference,) = one['differences']
  assert difference.startswith(
    f'checkpoint {step:,}: .params{name} differs in 1 of {changed.size:,} numbers, by '
  )


def test_changed_figure_of_the_summary_is_noticed(run, capsys):
  file = run / 'summary.json'
  found = json.loads(file.read_text())
  kept = found['test_accuracy']
  file.write_text(json.dumps({**found, 'test_accuracy': 0.99}))
  code, found, _ = verified(capsys, run, '--no-replay')
  assert code == 1
  (fault,) = found['faults']
  assert 'test_accuracy=0.99' in fault
  assert str(kept) in fault


def test_changed_config_is_noticed(run, capsys):
  file = run / 'config.json'
  found = json.loads(file.read_text())
  found['optimizer']['learning_rate'] *= 2
  file.write_text(json.dumps(found))
  code, found, _ = verified(capsys, run, '--no-replay')
  assert code == 1
  assert all('optimizer.learning_rate' in fault for fault in found['faults'])


def test_other_data_are_refused(run, tmp_path, capsys):
  config = json.loads((run / 'config.json').read_text())
  for file in [run / 'config.json', *run.glob('checkpoints/*/config/metadata')]:
    config = json.loads(file.read_text())
    config['dataset']['checksums'] = dict.fromkeys(config['dataset']['checksums'], '0' * 64)
    file.write_text(json.dumps(config))
    sums = file.parent.with_name('checksums') / 'metadata'
    if sums.is_file():
      from jaxdl.runs import integrity

      sums.write_text(
        json.dumps({**json.loads(sums.read_text()), 'config': integrity.of_json(config)})
      )
  assert 'trained on other data' in refused(capsys, run)


def test_damaged_checkpoint_is_named(run, capsys):
  last = run / 'checkpoints' / str(checkpoint.last_step(run))
  (file,) = last.glob('config/metadata')
  file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))
  assert 'is damaged' in refused(capsys, run)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--from=4'], '--from=4 is no checkpoint of the run: use one of 0, 3, 6, 8'),
    (['--from=6', '--to=6'], '--from=6 is not before --to=6'),
    (['--to=0'], '--to=0 is not after step 0'),
  ],
)
def test_bad_interval_is_one_line(arguments, message, run, capsys):
  assert message in refused(capsys, run, *arguments)


def test_intervals_of_hand_worked_cases():
  assert verification.intervals([3, 6, 8], None, None) == [(6, 8)]
  assert verification.intervals([3, 6, 8], 0, None) == [(0, 3), (3, 6), (6, 8)]
  assert verification.intervals([3, 6, 8], 3, 7) == [(3, 6), (6, 7)]
  assert verification.intervals([8], None, None) == [(0, 8)]
  assert verification.intervals([8], 8, 10) == [(8, 10)]


def test_runs_of_one_program_are_not_replayed(small, tmp_path, capsys):
  built = [experiment.build({**small, 'seed': seed}, 'small') for seed in (0, 1)]
  train_together(built, [tmp_path / '0', tmp_path / '1'])
  assert 'in one program with 1 others' in refused(capsys, tmp_path / '0')
  code, found, _ = verified(capsys, tmp_path / '0', '--no-replay')
  assert (code, found['verified']) == (0, True)


def test_packed_run_is_verified(run, capsys):
  pack.pack(run, run.parent / 'small.zip')
  code, found, _ = verified(capsys, run.parent / 'small.zip')
  assert (code, found['verified']) == (0, True)


def test_other_software_is_named(run):
  now = certificate.of_session(None, 1)
  assert certificate.fault(now) is None
  other = {**now, 'software': {**now['software'], 'jaxlib': '0.0.1'}}
  (text,) = certificate.changes(other, now)
  assert text.startswith('jaxlib 0.0.1, now ')


def test_checksum_of_the_package_covers_its_sources():
  name = certificate.software()['jaxdl']
  assert '(sha256 ' in name
  assert '(sha256 ' in certificate.software()['jaxlib']


def test_running_checksum_equals_that_of_the_file(run):
  lines = (run / 'metrics.jsonl').read_text().splitlines(keepends=True)
  running = certificate.JournalSum()
  for line in lines:
    running.add(line)
  assert running.facts() == certificate.of_journal(run, 8)
  assert certificate.of_journal(run, 0)['lines'] == 0


def test_nan_equals_nan_in_a_journal():
  line = {'step': 2, 'split': 'train', 'loss': float('nan'), 'examples_per_second': 1.0}
  again = {**line, 'examples_per_second': 2.0}
  assert replay.journal_differences([line], [again], 0, 2) == ([], 1)
  other = {**line, 'loss': 1.0}
  assert replay.journal_differences([line], [other], 0, 2) == (
    ['step 2, train: loss is nan, replayed 1.0'],
    1,
  )
