"""Reproduction of all experiments: runs that are resumed and stopped, and the table built from
their files.
"""

import json
import os
import pathlib
import re
import shutil
import time

import pytest
from helpers import ROOT

from jaxdl.terminal import command
from launch.reproduction import kept, reproduce, results_table, run_folders

CONFIG = {
  'task': 'classify',
  'train_for': '100 steps',
  'data': {'name': 'mnist', 'batch_size': 10},
  'model': {'name': 'recurrent', 'features': 'classes'},
  'reported': {'source': '002', 'test_accuracy': 0.97},
}
PIXELS = {**CONFIG, 'task': 'reconstruct', 'train_for': '3 epochs', 'reported': {'source': '000'}}
TEXT = {**PIXELS, 'task': {'name': 'next_char'}}


def write_run(folder, config=CONFIG, *, seed=0, logged=100, **summary):
  """Writes a synthetic run; without figures it has no summary.json, like a run in training."""
  folder.mkdir(parents=True)
  (folder / 'config.json').write_text(
    json.dumps(
      {
        **config,
        'seed': seed,
        'model': {**CONFIG['model'], 'features': 3},
        'dataset': {
          'name': 'mnist',
          'classes': ['a', 'b', 'c'],
          'examples_per_class': {'test': [3, 6, 1]},
        },
      }
    )
  )
  (folder / 'metrics.jsonl').write_text(
    json.dumps({'step': logged, 'split': 'train', 'loss': 0.5}) + '\n{"step": 1'
  )
  if summary:
    defaults = {
      'step': logged,
      'steps': 100,
      'parameters': 1234,
      'test_examples': 10000,
      'seconds': 60.0,
      'data': 'tfds',
      'device': '1 x cpu',
      'stopped': None,
      'stopped_early': None,
      'config': folder.parent.name,
      'seed': seed,
    }
    (folder / 'summary.json').write_text(json.dumps(defaults | summary))


def row(runs, name='a', config=CONFIG):
  """The cells of a config's row, and the text below the table."""
  groups = run_folders.read_groups(runs, {name: config})
  rows, _, below = results_table.table(groups, {name: config}).partition('\n\n')
  return [cell.strip() for cell in rows.splitlines()[2].split('|')[1:-1]], below


def test_reproduce_table_has_mean_and_deviation_over_seeds(tmp_path):
  """(0.970 + 0.974 + 0.978) / 3 = 0.974; the deviation is √((0.004² + 0 + 0.004²) / 2) = 0.004."""
  for seed, accuracy in enumerate((0.970, 0.974, 0.978)):
    write_run(
      tmp_path / f'a/seed{seed}',
      seed=seed,
      test_accuracy=accuracy,
      validation_accuracy=0.98,
      seconds=60.0 + 30 * seed,
    )
  cells, below = row(tmp_path)
  assert cells == [
    '`a`',
    '97 %',
    '97.40 ± 0.40 % (3 seeds)',
    '60.00 %',
    '98.00 %',
    '10,000',
    '1,234',
    '90',
    '1 x cpu',
  ]
  assert 'python -m launch.reproduction.reproduce' in below
  assert '¹' not in below


def test_reproduce_table_with_one_seed_or_none(tmp_path):
  assert row(tmp_path)[0] == ['`a`', '97 %', 'not run', *['–'] * 6]
  write_run(tmp_path / 'a/seed7', seed=7, test_accuracy=0.9712)
  assert row(tmp_path)[0][2] == '97.12 % (1 seed)'


@pytest.mark.parametrize(
  ('config', 'figures', 'expected'),
  [
    (
      TEXT,
      {'test_bits_per_character': 2.1, 'test_accuracy': 0.5, 'validation_bits_per_character': 2.2},
      ('2.1000 bits (1 seed)', '–', '2.2000 bits'),
    ),
    (
      PIXELS,
      {'test_mse': 0.0123, 'validation_mse': 0.02},
      ('0.0123 mse (1 seed)', '–', '0.0200 mse'),
    ),
  ],
  ids=['text', 'pixels'],
)
def test_reproduce_table_uses_the_metric_of_the_task(config, figures, expected, tmp_path):
  write_run(tmp_path / 'a/seed0', config, **figures)
  assert tuple(row(tmp_path, config=config)[0][2:5]) == expected


def test_reproduce_table_shows_progress_of_unfinished_runs(tmp_path):
  config = {**CONFIG, 'train_for': '27000 steps'}
  figures = {'test_accuracy': 0.97, 'steps': 27000}
  write_run(tmp_path / 'a/seed0', config, logged=27000, **figures)
  write_run(tmp_path / 'a/seed1', config, seed=1, logged=40)
  write_run(tmp_path / 'a/seed2', config, seed=2, logged=8000, stopped=8000, **figures)
  assert (
    row(tmp_path, config=config)[0][2]
    == '97.00 % (1 seed); seed 1 at step 40 of 27,000; seed 2 at step 8,000 of 27,000'
  )
  write_run(tmp_path / 'b/seed0', PIXELS, logged=40)
  assert row(tmp_path, 'b', PIXELS)[0][2] == 'seed 0 at step 40 of 3 epochs'


def test_reproduce_table_labels_data_other_than_the_original(tmp_path):
  for name, origin in (
    ('a', 'tfds, test split is not the original (JPEG test copy)'),
    ('b', 'tfds'),
  ):
    write_run(tmp_path / f'{name}/seed0', test_accuracy=0.97, data=origin)
  cells, below = row(tmp_path)
  assert cells[2] == '97.00 % (1 seed) ¹'
  assert below.startswith('¹ the data: test split is not the original (JPEG test copy).')
  assert row(tmp_path, 'b')[0][2] == '97.00 % (1 seed)'


def test_reproduce_table_labels_data_that_are_not_the_reported_ones(tmp_path):
  """Such as other photographs than Food-11: the config of such a run has no reported figures."""
  write_run(tmp_path / 'a/seed0', {**CONFIG, 'reported': {}}, test_accuracy=0.2)
  cells, below = row(tmp_path)
  assert cells[2] == '20.00 % (1 seed) ¹'
  assert below.startswith("¹ measured on other data than the report's.")


def test_reproduce_table_labels_runs_of_another_config(tmp_path):
  write_run(tmp_path / 'a/seed0', {**CONFIG, 'l2': 0.1, 'log_every': '9 steps'}, test_accuracy=0.97)
  cells, below = row(tmp_path)
  assert cells[2].endswith('¹')
  assert 'measured with an earlier config, which differs in l2.' in below


def test_reproduce_table_labels_contradictory_reported_figures(tmp_path):
  cells, below = row(
    tmp_path, 'gru_mnist', {**CONFIG, 'reported': {'source': '002', 'test_accuracy': 0.998}}
  )
  assert cells[1] == '99.8 % ¹'
  assert 'above the training accuracy of 99.21 %' in below


def test_reproduce_rewrites_only_text_between_the_markers(tmp_path):
  file = tmp_path / 'README.md'
  file.write_text('before\n<!-- results -->\nold 12 %\n<!-- /results -->\nafter\n')
  results_table.write(file, run_folders.read_groups(tmp_path, {'a': CONFIG}), {'a': CONFIG})
  text = file.read_text()
  assert text.startswith('before\n<!-- results -->\n| config |')
  assert text.endswith('\n<!-- /results -->\nafter\n')
  assert 'old' not in text


def test_reproduce_table_keeps_rows_without_finished_runs(tmp_path):
  """The footnotes of these rows are kept and renumbered. Configs that were not run are not
  mentioned.
  """
  configs = dict.fromkeys('abcd', CONFIG)
  write_run(tmp_path / 'there/a/seed0', test_accuracy=0.9)
  write_run(
    tmp_path / 'there/b/seed0', {**CONFIG, 'l2': 0.1}, test_accuracy=0.91, data='tfds, a sample'
  )
  write_run(tmp_path / 'there/c/seed0', test_accuracy=0.92, data='tfds, a sample')
  del configs['d']
  before = results_table.table(run_folders.read_groups(tmp_path / 'there', configs), configs)
  assert results_table.table({}, configs, before) == before
  configs['d'] = CONFIG
  write_run(tmp_path / 'here/a/seed0', {**CONFIG, 'l2': 0.2}, test_accuracy=0.93)
  write_run(tmp_path / 'here/b/seed0', logged=40)
  write_run(tmp_path / 'here/d/seed0', logged=40)
  groups = run_folders.read_groups(tmp_path / 'here', configs)
  lines = results_table.table(groups, configs, before).splitlines()
  assert [line.split(' | ')[2] for line in lines[2:5]] == [
    '93.00 % (1 seed) ¹',
    '91.00 % (1 seed) ² ¹',
    '92.00 % (1 seed) ²',
  ]
  assert lines[6] == '¹ measured with an earlier config, which differs in l2; ² the data: a sample.'
  assert results_table.table({'d': groups['d']}, configs, before) == before, (
    'rows that were not requested are kept'
  )


def test_reproduce_table_keeps_the_rows_of_a_table_with_other_columns(tmp_path):
  write_run(tmp_path / 'a/seed0', test_accuracy=0.9)
  now = results_table.table(run_folders.read_groups(tmp_path, {'a': CONFIG}), {'a': CONFIG})
  before = now.replace(' | chance level', '').replace(' | 60.00 %', '')
  assert results_table.table({}, {'a': CONFIG}, before) == now.replace('60.00 %', '–')


def test_reproduce_readme_has_the_table():
  text = (ROOT / 'README.md').read_text()
  table = text[text.index(results_table.BEGIN) : text.index(results_table.END)]
  names = re.findall(r'^\| `(\w+)` \|', table, re.MULTILINE)
  assert 'lstm_mnist' in names
  assert all((ROOT / f'configs/{name}.py').is_file() for name in names)


@pytest.mark.parametrize(
  ('summary', 'logged', 'finished'),
  [
    ({'test_accuracy': 0.9}, 100, True),
    ({'test_accuracy': 0.9, 'step': 30}, 100, True),  # the best checkpoint is earlier
    ({'test_accuracy': 0.9, 'stopped_early': 60}, 60, True),
    ({'test_accuracy': 0.9, 'stopped': 60}, 60, False),
    (
      {'test_accuracy': 0.9, 'steps': 50},
      80,
      False,
    ),  # finished, then extended and killed
    ({}, 80, False),
  ],
  ids=['end', 'best earlier', 'early stopping', 'stopped', 'extended', 'killed'],
)
def test_reproduce_recognises_a_finished_run(summary, logged, finished, tmp_path):
  write_run(tmp_path / 'seed0', logged=logged, **summary)
  assert reproduce.is_finished(tmp_path / 'seed0', CONFIG) is finished
  assert not reproduce.is_finished(tmp_path / 'seed0', {**CONFIG, 'l2': 0.1})


def test_reproduce_skips_a_finished_run(tmp_path, monkeypatch, capsys):
  write_run(tmp_path / 'a/seed0', test_accuracy=0.97)
  write_run(tmp_path / 'a/seed1', seed=1, logged=40, test_accuracy=0.97, stopped=40)
  started = []

  def record_child(arguments, seconds):
    started.append(arguments)
    return 0, ''

  monkeypatch.setattr(reproduce, 'run_child', record_child)
  assert not reproduce.run_all(reproduce.plan(['a'], [0, 1, 2], tmp_path), {'a': CONFIG}, 60.0)
  assert started == [
    [
      '-m',
      'jaxdl.main',
      '--config=configs/a.py',
      f'--config.seed={seed}',
      f'--workdir={tmp_path}/a/seed{seed}',
    ]
    for seed in (1, 2)
  ]
  assert 'a, seed 0: finished already' in capsys.readouterr().out


def test_reproduce_runs_all_experiments_before_further_seeds():
  runs = pathlib.Path('runs')
  assert [part[:2] for part in reproduce.plan(['a', 'sweeps/b'], [0, 1], runs)] == [
    ('a', 0),
    ('sweeps/b', None),
    ('a', 1),
  ]
  assert reproduce.module_and_flags('sweeps/b', None, runs / 'sweeps/b') == [
    '-m',
    'jaxdl.sweep',
    '--config=configs/sweeps/b.py',
    '--workdir=runs/sweeps/b',
  ]


def test_reproduce_continues_after_a_failed_experiment(tmp_path, monkeypatch, capsys):
  program = 'import sys; sys.exit("jaxdl: no such folder" if "bad" in sys.argv[-1] else 0)'
  monkeypatch.setattr(
    reproduce, 'module_and_flags', lambda name, seed, folder: ['-c', program, str(folder)]
  )
  todo = reproduce.plan(['bad', 'good'], [0], tmp_path)
  assert reproduce.run_all(todo, {'bad': CONFIG, 'good': CONFIG}, 60.0)
  shown = capsys.readouterr()
  assert 'bad, seed 0: failed with exit code 1: jaxdl: no such folder\n' in shown.out
  assert 'good, seed 0: runs into' in shown.out
  assert shown.err == ''


def test_reproduce_budget_stops_a_child_by_sigterm(tmp_path, monkeypatch, capsys):
  """The remaining runs are named."""
  program = """
import pathlib, signal, sys, time
def save(number, frame):
  pathlib.Path(sys.argv[1], "saved").write_text(str(number))
  sys.exit(0)
signal.signal(signal.SIGTERM, save)
time.sleep(60)
"""
  monkeypatch.setattr(
    reproduce, 'module_and_flags', lambda name, seed, folder: ['-c', program, str(folder)]
  )
  for name in 'ab':
    write_run(tmp_path / f'{name}/seed0', logged=40)
  start = time.monotonic()
  assert not reproduce.run_all(
    reproduce.plan(['a', 'b'], [0], tmp_path), {'a': CONFIG, 'b': CONFIG}, 1.0
  )
  assert time.monotonic() - start < 30
  assert (tmp_path / 'a/seed0/saved').read_text() == '15'
  assert not (tmp_path / 'b/seed0/saved').exists()
  out = capsys.readouterr().out
  assert 'a, seed 0: stopped at step 40 of 100\n' in out
  assert 'b, seed 0: not run, the budget is spent\n' in out


def test_reproduce_interruption_skips_the_remaining_runs(tmp_path, monkeypatch, capsys):
  def interrupted(arguments, seconds):
    raise KeyboardInterrupt

  monkeypatch.setattr(reproduce, 'run_child', interrupted)
  assert not reproduce.run_all(reproduce.plan(['a'], [0, 1], tmp_path), {'a': CONFIG}, 60.0)
  assert 'a, seed 1: not run, it was interrupted\n' in capsys.readouterr().out


def test_reproduce_sweep_is_finished_with_all_its_runs(tmp_path):
  folder = tmp_path / 'sweeps/x'
  assert not reproduce.is_finished(folder, None)
  write_run(folder / 'lstm_64/seed0', test_accuracy=0.98)
  rows = [{'label': 'LSTM, 64', 'seeds': [0], 'runs': ['lstm_64/seed0']}]
  (folder / 'sweep.json').write_text(json.dumps({'config': 'x', 'rows': rows}))
  assert reproduce.is_finished(folder, None)
  rows.append({'label': 'LSTM, 32', 'seeds': [0], 'runs': ['lstm_32/seed0']})
  (folder / 'sweep.json').write_text(json.dumps({'config': 'x', 'rows': rows}))
  assert not reproduce.is_finished(folder, None)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--only=lstm_mnst'], '--only=lstm_mnst is not an experiment: use some of '),
    (['--seeds=0,one'], "argument --seeds: '0,one' are not seeds: use integers such as 0,1,2"),
    (['--budget-minutes=-1'], "argument --budget-minutes: '-1' is not a number of minutes above 0"),
    (['--tabel-only'], '--tabel-only is unknown: see '),
    (
      ['--table-only', '--runs=nowhere'],
      '--runs=nowhere is not a folder: give the folder that contains ',
    ),
    (
      ['--table-only', '--runs=.', '--readme=LICENSE'],
      'LICENSE has no place for the table: add the lines <!-- results -->',
    ),
    (['--table-only', '--runs=.', '--readme=READNE.md'], '.*READNE.md'),
  ],
  ids=lambda value: ' '.join(value) if isinstance(value, list) else '',
)
def test_reproduce_input_error_names_the_fix_in_one_line(arguments, message, monkeypatch, capsys):
  monkeypatch.chdir(ROOT)
  assert command.run(reproduce.main, ['reproduce.py', *arguments]) == 1
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == 1, lines
  assert message.removeprefix('.*') in lines[0]


def test_reproduce_broken_file_error_names_the_fix(tmp_path):
  write_run(tmp_path / 'a/seed0', test_accuracy=0.97)
  (tmp_path / 'a/seed0/summary.json').write_text('{"step": ')
  with pytest.raises(ValueError, match=r'a/seed0/summary\.json is not JSON .*: delete it'):
    run_folders.read_groups(tmp_path, {'a': CONFIG})


@pytest.mark.slow
def test_reproduce_command_trains_and_writes_the_table(
  tmp_path, small, config_file, monkeypatch, capsys
):
  """A real experiment of a few steps: the first call trains it, the second finds it finished."""
  (tmp_path / 'configs').mkdir()
  config_file(small).rename(tmp_path / 'configs/small.py')
  (tmp_path / 'README.md').write_text('<!-- results -->\n<!-- /results -->\n')
  monkeypatch.setattr(reproduce, 'CONFIGS', tmp_path / 'configs')
  monkeypatch.setattr(
    reproduce,
    'module_and_flags',
    lambda name, seed, folder: [
      '-m',
      'jaxdl.main',
      f'--config={tmp_path}/configs/{name}.py',
      f'--config.seed={seed}',
      f'--workdir={folder}',
    ],
  )
  arguments = [
    'reproduce.py',
    '--seeds=3',
    f'--runs={tmp_path}/runs',
    f'--kept={tmp_path}/figures',
    f'--readme={tmp_path}/README.md',
  ]
  assert reproduce.main(arguments) == 0
  assert 'small, seed 3: finished\n' in capsys.readouterr().out
  assert '| `small` | – | ' in (tmp_path / 'README.md').read_text()
  assert '| 50 | ' in (tmp_path / 'README.md').read_text()  # every test image, once
  assert reproduce.main(arguments) == 0
  assert 'small, seed 3: finished already\n' in capsys.readouterr().out
  shutil.rmtree(tmp_path / 'runs/small/seed3')  # the kept figures count as a finished run
  table = (tmp_path / 'README.md').read_text()
  assert reproduce.main(arguments) == 0
  assert 'small, seed 3: finished already\n' in capsys.readouterr().out
  assert (tmp_path / 'README.md').read_text() == table


def test_kept_figures_have_no_path_of_the_machine_and_their_own_day(tmp_path):
  write_run(tmp_path / 'runs/a/seed0', test_accuracy=0.97)
  config = tmp_path / 'runs/a/seed0/config.json'
  found = json.loads(config.read_text())
  found['dataset']['data_dir'] = '/home/somebody/data'
  config.write_text(json.dumps(found))
  os.utime(tmp_path / 'runs/a/seed0/summary.json', (0, 0))
  write_run(tmp_path / 'runs/a/seed1', seed=1, logged=40)  # not finished
  write_run(
    tmp_path / 'runs/b/seed0', {**CONFIG, 'l2': 0.1}, test_accuracy=0.5
  )  # of another config
  groups = run_folders.read_groups(tmp_path / 'runs', {'a': CONFIG, 'b': CONFIG})
  kept.keep(groups, tmp_path / 'runs', tmp_path / 'figures')
  assert [path.name for path in sorted((tmp_path / 'figures').glob('*/*'))] == ['seed0']
  place = tmp_path / 'figures/a/seed0'
  assert sorted(path.name for path in place.iterdir()) == [
    'config.json',
    'date.txt',
    'metrics.jsonl',
    'summary.json',
  ]
  assert 'somebody' not in (place / 'config.json').read_text()
  (tmp_path / 'none').mkdir()
  groups = run_folders.read_groups(tmp_path / 'none', {'a': CONFIG}, tmp_path / 'figures')
  assert 'the newest run is of 1970-01-01' in results_table.table(groups, {'a': CONFIG})
  assert [run.summary['test_accuracy'] for run in groups['a'].finished] == [0.97]


def test_kept_figures_are_not_copied_onto_themselves(tmp_path):
  write_run(tmp_path / 'a/seed0', test_accuracy=0.97)
  before = {file.name: file.read_bytes() for file in (tmp_path / 'a/seed0').iterdir()}
  kept.keep(run_folders.read_groups(tmp_path, {'a': CONFIG}), tmp_path, tmp_path)
  assert {file.name: file.read_bytes() for file in (tmp_path / 'a/seed0').iterdir()} == before


def test_kept_figures_are_added_to_new_seeds_of_the_same_config(tmp_path):
  for seed, accuracy in enumerate((0.5, 0.9)):
    write_run(tmp_path / f'figures/a/seed{seed}', seed=seed, test_accuracy=accuracy)
  write_run(tmp_path / 'runs/a/seed1', seed=1, test_accuracy=0.7)  # newer than the kept one
  write_run(tmp_path / 'runs/a/seed2', seed=2, test_accuracy=0.6)

  def accuracies(config):
    groups = run_folders.read_groups(tmp_path / 'runs', {'a': config}, tmp_path / 'figures')
    return [run.summary['test_accuracy'] for run in groups['a'].runs.values()]

  assert accuracies(CONFIG) == [0.5, 0.7, 0.6]
  assert accuracies({**CONFIG, 'l2': 0.1}) == [0.7, 0.6]


def test_kept_sweeps_are_read_without_their_runs(tmp_path):
  for seed, accuracy in enumerate((0.5, 0.7)):
    write_run(tmp_path / f'runs/sweeps/s/fast/seed{seed}', seed=seed, test_accuracy=accuracy)
  write_run(tmp_path / 'runs/sweeps/unfinished/slow/seed0', logged=40)
  for name, label, runs in (('s', 'fast', 2), ('unfinished', 'slow', 1)):
    row = {
      'label': label,
      'seeds': list(range(runs)),
      'runs': [f'{label}/seed{seed}' for seed in range(runs)],
    }
    (tmp_path / f'runs/sweeps/{name}/sweep.json').write_text(json.dumps({'rows': [row]}))
  groups = run_folders.read_groups(tmp_path / 'runs', {})
  kept.keep(groups, tmp_path / 'runs', tmp_path / 'figures')
  groups = run_folders.read_groups(tmp_path / 'none', {}, tmp_path / 'figures')
  assert list(groups) == ['sweeps/s/fast']
  assert [run.summary['test_accuracy'] for run in groups['sweeps/s/fast'].finished] == [0.5, 0.7]
