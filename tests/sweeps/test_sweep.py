"""Sweeps: their members, training members compiled together, and output files."""

import copy
import dataclasses
import json
import re
import signal

import jax
import numpy as np
import pytest
from helpers import ROOT, last_json, slow_after
from training_helpers import train_together

from jaxdl import sweep as sweep_command
from jaxdl.config.reading import read_file
from jaxdl.data.sets import mnist
from jaxdl.devices import parallel
from jaxdl.report import live, page
from jaxdl.runs import checkpoint, files
from jaxdl.step import metrics
from jaxdl.sweeps import ensemble, grouping, members, table, training
from jaxdl.terminal import command
from jaxdl.training import chunks, experiment, loop

SWEEPS = sorted(ROOT.glob('configs/sweeps/*.py'))


@pytest.fixture
def sweep(small, config_file):
  """Two cells × two learning rates × two seeds of a small network."""
  config_file(small, 'base')
  return dict(
    base='base.py',
    seeds=[0, 1],
    axes=[
      dict(
        name='cell',
        choices=[
          dict(name='LSTM', model=dict(cell='lstm')),
          dict(name='RNN', model=dict(cell='rnn')),
        ],
      ),
      dict(
        name='rate',
        choices=[dict(name='fast', optimizer=dict(learning_rate=2e-2)), dict(name='slow')],
      ),
    ],
  )


def test_sweep_members_are_the_product_of_all_choices(sweep, tmp_path, small):
  sweep['reported'] = {'RNN, slow': dict(test_accuracy=0.9)}
  found = members.read(sweep, tmp_path / 'sweep.py')
  assert [(member.label, member.seed) for member in found] == [
    (label, seed)
    for label in ('LSTM, fast', 'LSTM, slow', 'RNN, fast', 'RNN, slow')
    for seed in (0, 1)
  ]
  fast = found[4]
  assert fast.config['model'] == {**small['model'], 'cell': 'rnn'}
  assert fast.config['optimizer'] == {'name': 'adam', 'learning_rate': 2e-2}
  assert {**fast.config, 'model': 0, 'optimizer': 0, 'reported': 0} == json.loads(
    json.dumps({**small, 'model': 0, 'optimizer': 0, 'reported': 0})
  )
  assert (fast.folder, fast.choices) == ('rnn_fast/seed0', {'cell': 'RNN', 'rate': 'fast'})
  assert found[-1].config['reported'] == {'source': None, 'test_accuracy': 0.9}


@pytest.fixture
def pages(monkeypatch):
  """The pages of a sweep in the order in which they are written, at as many evaluations as fit."""
  monkeypatch.setattr(live, 'SHARE', 1e9)
  monkeypatch.setattr(live, 'SOONEST', 0)
  written, write = [], page.write_sweep

  def kept(*arguments):
    file = write(*arguments)
    written.append(file.read_text())
    return file

  monkeypatch.setattr(page, 'write_sweep', kept)
  return written


def test_sweep_members_of_any_names_are_in_different_folders_of_the_sweep(sweep, tmp_path):
  names = [
    '漢',
    '字',
    'é',
    'e\u0301',
    '..',
    '/',
    "'",
    '',
    ' ',
    '\n',
    'x' * 300,
    'x' * 301,
    'a/../b',
  ]
  sweep['axes'] = [dict(name='a', choices=[dict(name=name) for name in names])]
  places = [member.folder for member in members.read(sweep, tmp_path / 'sweep.py')]
  assert len(set(places)) == 2 * len(names)
  for place in places:
    folder, seed = place.split('/')
    assert re.fullmatch(r'[a-z0-9][a-z0-9_]{0,208}', folder)
    assert seed in ('seed0', 'seed1')
  assert places[-2:] == ['a_b/seed0', 'a_b/seed1']


@pytest.mark.slow
def test_sweep_stops_after_the_run_that_is_signalled(
  sweep, config_file, tmp_path, capsys, monkeypatch
):
  """The current run finishes, the next one is not started, and the same command trains the rest."""
  sweep['axes'] = sweep['axes'][:1]
  command_line = [
    'sweep',
    f'--config={config_file({**sweep, "seeds": [0]}, "sweep")}',
    f'--workdir={tmp_path / "out"}',
  ]

  def interrupted(built):
    def at_evaluation(writers, state):
      if int(state.step) >= built.steps:
        signal.raise_signal(signal.SIGINT)

    return at_evaluation

  with monkeypatch.context() as patch:
    patch.setattr(training.evaluations, 'over_time', interrupted)
    assert command.run(sweep_command.main, command_line) == command.STOPPED
  shown = capsys.readouterr()
  assert 'stopped, resume with: python -m jaxdl.sweep --config=' in shown.out
  assert '| RNN | not finished | – | – | – | – | – | – |' in shown.out
  found = last_json(shown.out)
  assert (found['finished'], found['stopped'], list(found['mean'])) == (1, True, ['LSTM'])
  assert len(set(shown.err.splitlines())) == len(shown.err.splitlines()), (
    'each warning is printed once'
  )
  assert command.run(sweep_command.main, command_line) == 0
  found = last_json(capsys.readouterr().out)
  assert (found['finished'], found['stopped'], list(found['mean'])) == (2, False, ['LSTM', 'RNN'])


def test_sweep_members_with_different_numbers_share_a_program(sweep, tmp_path, monkeypatch):
  found = members.read(sweep, tmp_path / 'sweep.py')
  groups = grouping.grouped(found, together='always')
  assert [[member.label for member in group] for group in groups] == [
    ['LSTM, fast'] * 2 + ['LSTM, slow'] * 2,
    ['RNN, fast'] * 2 + ['RNN, slow'] * 2,
  ]
  monkeypatch.setattr(grouping.jax, 'device_count', lambda: 1)
  for mode in ('never', 'auto'):  # separate runs were measured to be faster on one CPU
    assert all(len(group) == 1 for group in grouping.grouped(found, together=mode))


@pytest.mark.parametrize(('devices', 'sizes'), [(1, [1] * 6), (2, [2, 1, 2, 1]), (4, [1] * 6)])
def test_sweep_members_share_a_cpu_of_several_devices(devices, sizes, sweep, tmp_path, monkeypatch):
  """Groups have as many members as divide over the devices. The remaining members are faster with
  the complete CPU for each.
  """
  sweep['axes'], sweep['seeds'] = sweep['axes'][:1], [0, 1, 2]
  monkeypatch.setattr(grouping.jax, 'device_count', lambda: devices)
  groups = grouping.grouped(members.read(sweep, tmp_path / 'sweep.py'), together='auto')
  assert [len(group) for group in groups] == sizes


def test_sweep_separates_members_that_cannot_share_a_program(
  sweep, small_cnn, config_file, tmp_path
):
  """Different layers need another program, and a plateau needs its own loop."""
  config_file(small_cnn, 'base')
  sweep['axes'] = [
    dict(
      name='dropout',
      choices=[
        dict(name='0.3'),
        dict(
          name='none',
          model=dict(
            layers=[layer for layer in small_cnn['model']['layers'] if layer['kind'] != 'dropout']
          ),
        ),
      ],
    )
  ]
  found = members.read(sweep, tmp_path / 'sweep.py')
  assert [len(group) for group in grouping.grouped(found, together='always')] == [2, 2]
  sweep['common'] = dict(plateau=dict(patience='1 epoch'))
  assert [
    len(group)
    for group in grouping.grouped(members.read(sweep, tmp_path / 'sweep.py'), together='always')
  ] == [1] * 4


def trained_together(configs, count):
  """States and sums of each step after `count` steps of configs that are compiled together."""
  built = [experiment.build(config, 'small') for config in configs]
  feeds = ensemble.split_feeds(len(built))(ensemble.feeds(built)(0, count), count)
  states = ensemble.placed(ensemble.stacked([member.initial_state() for member in built]))
  arrays = parallel.replicate(built[0].data.splits['train'].arrays)
  return ensemble.compile_steps(built)(states, arrays, feeds, np.int32(count))


def trained_separately(config, count):
  built = experiment.build(config, 'small')
  split = built.data.splits['train']
  feed = parallel.split_feed(split.feed(0, count), count)
  return chunks.compile_steps(built)(
    parallel.replicate(built.initial_state()),
    parallel.replicate(split.arrays),
    feed,
    np.int32(count),
  )


@pytest.mark.parametrize(
  'in_turn', [pytest.param(True, marks=pytest.mark.slow), False]
)  # True: also in tests/devices
@pytest.mark.parametrize(
  'kind',
  [
    'small',
    *(
      pytest.param(kind, marks=pytest.mark.slow)
      for kind in ('small_text', 'random_text', 'small_cnn')
    ),
  ],
)
@pytest.mark.slow
def test_sweep_member_equals_a_separate_run(kind, in_turn, request, monkeypatch):
  """Parameters after 50 steps agree within 1e-4, although seed, learning rate, L2 strength and
  dropout rate differ. The members of a device run one after another, as on a CPU, or at once, as
  on an accelerator.
  """
  monkeypatch.setattr(parallel, 'members_in_turn', lambda: in_turn)
  config = request.getfixturevalue(kind)
  config = {**config, 'l2': 1e-3, 'ema_decay': 0.9}
  if kind == 'small_text':
    config['model']['layers'] = 1
  configs = [copy.deepcopy(config) for _ in range(2)]
  for number, member in enumerate(configs):
    member['seed'] = number
    member['optimizer']['learning_rate'] = (1e-3, 2e-3)[number]
    member['l2'] = (1e-3, 1e-2)[number]
    if kind == 'small_cnn':
      # Adam would amplify rounding errors: biases before batch normalisation have gradient 0
      member['optimizer']['name'] = 'momentum'
      member['model']['layers'][3]['rate'] = (0.3, 0.1)[number]
    elif kind == 'small_text':
      member['model']['dropout'] = (0.2, 0.5)[number]
  states, history = trained_together(configs, 50)
  for number, member in enumerate(configs):
    state, separate = trained_separately(member, 50)
    found = jax.tree.map(lambda leaf, number=number: leaf[number], states)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found.params, state.params
    )
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found.average, state.average
    )
    np.testing.assert_allclose(history['loss'][number], separate['loss'], rtol=2e-3)
  spread = jax.tree.map(lambda leaf: float(np.abs(np.diff(leaf, axis=0)).max()), states.params)
  assert max(jax.tree.leaves(spread)) > 1e-2, 'the members are two different runs'


def test_sweep_writes_runs_a_table_a_figure_and_a_page(
  sweep, small, config_file, tmp_path, capsys, monkeypatch, pages
):
  """The second call has nothing to train and gives the same figures. Each folder is an ordinary
  run.
  """
  opened = []
  monkeypatch.setattr('webbrowser.open_new_tab', lambda address: opened.append(address) or True)
  config_file({**small, 'model': {**small['model'], 'classes': 'classes'}}, 'base')
  sweep['axes'] = sweep['axes'][1:]
  file = config_file(sweep, 'sweep')
  shown = []
  for _ in range(2):
    assert (
      command.run(
        sweep_command.main,
        [
          'sweep',
          f'--config={file}',
          f'--workdir={tmp_path / "out"}',
          '--together=always',
          '--open',
        ],
      )
      == 0
    )
    shown.append(capsys.readouterr().out)
  assert 'together: fast (seed 0); fast (seed 1); slow (seed 0); slow (seed 1)' in shown[0]
  assert ', 4 of them finished already\n' in shown[1]
  rows = json.loads((tmp_path / 'out/sweep.json').read_text())['rows']
  assert (
    last_json(shown[0])
    == last_json(shown[1])
    == {
      'config': 'sweep',
      'workdir': str(tmp_path / 'out'),
      'runs': 4,
      'finished': 4,
      'stopped': False,
      'faults': {},
      'mean': {row['label']: row['mean'] for row in rows},
    }
  )
  for line in (tmp_path / 'out').rglob('command.txt'):
    assert (
      line.read_text()
      == f'python -m jaxdl.sweep --config={file} --workdir={tmp_path / "out"} --together=always --open\n'
    )
  row = rows[0]
  summaries = [
    json.loads((tmp_path / 'out' / folder / 'summary.json').read_text()) for folder in row['runs']
  ]
  assert row['mean']['test_loss'] == pytest.approx(
    np.mean([summary['test_loss'] for summary in summaries])
  )
  assert row['deviation']['test_loss'] == pytest.approx(
    np.std([summary['test_loss'] for summary in summaries], ddof=1)
  )
  assert (tmp_path / 'out/figure.png').read_bytes().startswith(b'\x89PNG')
  written = (tmp_path / 'out/table.md').read_text().splitlines()
  assert [line[:1] for line in written[:4]] == ['|'] * 4
  assert written[4:] == ['', 'Mean ± standard deviation over the seeds.', '', metrics.CHANCE]
  counts = json.loads((tmp_path / 'out' / row['runs'][0] / 'config.json').read_text())['dataset']
  test = counts['examples_per_class']['test']
  assert row['chance']['test_accuracy'] == max(test) / sum(test)
  column = written[0].split(' | ').index('chance level')
  assert written[2].split(' | ')[column] == metrics.chance_levels(row['chance'])
  assert opened == [(tmp_path / 'out/compare.html').as_uri()] * 2
  first, *_, last = pages
  assert 'training, 0 of 4 runs finished' in first
  assert '<progress max="4" value="0"' in first
  assert (
    '<th scope="row">fast/seed0</th><td class="number">4</td><td class="number">8</td>' in first
  )
  assert 'class="same-image"' not in first
  assert 'class="live"' not in last
  assert '<h1>sweep: 4 of 4 runs</h1>' in last
  assert 'class="same-image"' in last
  pytest.importorskip('tensorboard')
  from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
  from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

  sessions = {}
  for folder in ('fast/seed0', 'fast/seed1', 'slow/seed0', 'slow/seed1'):
    board = EventAccumulator(str(tmp_path / 'out' / folder / 'tensorboard')).Reload()
    session = parse_session_start_info_plugin_data(
      board.SummaryMetadata('_hparams_/session_start_info').plugin_data.content
    )
    sessions[folder] = (
      f'{session.hparams["sweep.rate"].string_value}/seed{session.hparams["seed"].number_value:.0f}'
    )
    assert {'best/test_loss', 'best/test_accuracy'} <= set(board.Tags()['tensors'])
    assert board.Graph().node[-1].name == 'logits'
  assert sessions == {folder: folder for folder in sessions}
  model, variables, config = checkpoint.load_model(tmp_path / 'out' / row['runs'][1])
  assert config['seed'] == 1
  separate = loop.train(
    experiment.build(members.read(sweep, file)[1].config, 'base'), tmp_path / 'separate'
  )
  assert separate['test_loss'] == pytest.approx(summaries[1]['test_loss'], abs=1e-4)
  assert separate['step'] == summaries[1]['step']
  logged = [
    [(line['step'], line['split']) for line in files.journal(folder)]
    for folder in (tmp_path / 'separate', tmp_path / 'out' / row['runs'][1])
  ]
  assert logged[0] == logged[1]


@pytest.mark.slow
def test_sweep_refuses_members_with_different_data(
  sweep, config_file, tmp_path, capsys, monkeypatch
):
  """A choice that is added later is not trained on other digits than the finished ones. The
  examples are described once.
  """
  choices, out = sweep['axes'][1]['choices'], tmp_path / 'out'
  sweep |= {'seeds': [0], 'axes': [dict(name='rate', choices=choices[:1])]}

  def run_sweep():
    return command.run(
      sweep_command.main, ['sweep', f'--config={config_file(sweep, "sweep")}', f'--workdir={out}']
    )

  assert run_sweep() == 0
  assert capsys.readouterr().out.count('  validation: 50 examples, 10 classes of ') == 1
  sweep['axes'] = [dict(name='rate', choices=choices)]
  packed = mnist._bundled()
  columns = {
    split: {name: values[::-1] for name, values in part.items()}
    for split, part in packed.columns.items()
  }
  with monkeypatch.context() as patched:
    patched.setattr(mnist, '_bundled', lambda: dataclasses.replace(packed, columns=columns))
    assert run_sweep() == 1
  assert capsys.readouterr().err.splitlines()[-1] == (
    f'jaxdl: mnist (bundled) has other examples than {out}/fast/seed0 was trained on (in the test, train split): give the data of '
    'that run, or another --workdir'
  )
  assert run_sweep() == 0
  assert last_json(capsys.readouterr().out)['finished'] == 2


@pytest.mark.slow
def test_sweep_members_resume_together(small, tmp_path):
  """Half a run and its rest equal an uninterrupted one: parameters, best checkpoint and journal."""

  def group(**changes):
    return [experiment.build({**small, 'seed': seed, **changes}, 'small') for seed in (0, 1)]

  folders = [tmp_path / name for name in ('a', 'b', 'c', 'd')]
  train_together(group(train_for='4 steps'), folders[:2])
  resumed, uninterrupted = (
    train_together(group(), folders[:2]),
    train_together(group(), folders[2:]),
  )
  assert [{**summary, 'seconds': 0} for summary in resumed] == [
    {**summary, 'seconds': 0} for summary in uninterrupted
  ]
  for one, other in zip(folders[:2], folders[2:], strict=True):
    lines = [
      [{**line, 'examples_per_second': 0} for line in files.journal(folder)]
      for folder in (one, other)
    ]
    assert lines[0] == lines[1]
    states = []
    for folder in (one, other):
      with checkpoint.manager(folder) as checkpoints:
        states.append(checkpoint.restore_last(checkpoints, group()[0].initial_state()))
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_sweep_continues_if_a_run_diverges(small, tmp_path):
  """A learning rate that is too large ends only its own run."""
  small['optimizer'] = dict(name='sgd', learning_rate=1e-2)
  diverging = {**small, 'optimizer': dict(name='sgd', learning_rate=1e38)}
  good, bad = train_together(
    [experiment.build(config, 'small') for config in (small, diverging)],
    [tmp_path / 'good', tmp_path / 'bad'],
  )
  assert 'not finite at step' in bad
  assert np.isfinite(good['test_loss'])
  assert checkpoint.last_step(tmp_path / 'good') == 8


@pytest.mark.slow
@pytest.mark.parametrize('together', slow_after(1, ['always', 'never']))
def test_sweep_reports_a_damaged_run_and_trains_others(
  together, sweep, small, config_file, tmp_path, capsys
):
  sweep['axes'], sweep['seeds'] = sweep['axes'][:1], [0, 1, 2]
  sweep['axes'][0]['choices'].pop()
  file = config_file(sweep, 'sweep')
  arguments = [
    'sweep',
    f'--config={file}',
    f'--workdir={tmp_path / "out"}',
    f'--together={together}',
  ]
  for changes in ({'train_for': '4 steps'}, small):
    config_file({**small, **changes}, 'base')
    code = command.run(sweep_command.main, arguments)
    shown = capsys.readouterr()
    if changes is not small:
      assert code == 0
      damaged = tmp_path / 'out/lstm/seed1'
      for file in damaged.glob('checkpoints/*/config/metadata'):
        file.write_text('')
  assert code == 1
  message = (
    f'every checkpoint of {damaged} is damaged: 1 in {damaged}/checkpoints, the last of step 4 ('
  )
  assert f'\njaxdl: {message}' in f'\n{shown.err}'
  found = last_json(shown.out)
  assert (found['finished'], found['stopped'], list(found['faults'])) == (2, False, ['lstm/seed1'])
  assert found['faults']['lstm/seed1'].startswith(message)
  assert checkpoint.kept_steps(damaged) == [4]
  assert not (damaged / 'damaged').exists()
  assert [checkpoint.last_step(tmp_path / f'out/lstm/seed{seed}') for seed in (0, 2)] == [8, 8]
  assert command.run(sweep_command.main, [*arguments, '--start-over']) == 0
  assert last_json(capsys.readouterr().out)['finished'] == 3
  assert [path.name for path in (damaged / 'damaged').iterdir()] == ['4']
  assert '--start-over' not in (damaged / 'command.txt').read_text()


@pytest.mark.slow
def test_sweep_resumes_a_run_whose_last_checkpoint_is_damaged(
  sweep, small, config_file, tmp_path, capsys
):
  """It resumes from the checkpoint before, apart from the others, which are two steps further."""
  small['checkpoint_every'] = '2 steps'
  sweep['axes'], sweep['seeds'] = sweep['axes'][:1], [0, 1, 2]
  sweep['axes'][0]['choices'].pop()
  file = config_file(sweep, 'sweep')
  out = tmp_path / 'out'
  arguments = ['sweep', f'--config={file}', f'--workdir={out}', '--together=always']
  config_file({**small, 'train_for': '4 steps'}, 'base')
  assert command.run(sweep_command.main, arguments) == 0
  for written in (out / 'lstm/seed1').glob('checkpoints/4/train/d/*'):
    written.write_bytes(bytes(written.stat().st_size))
  config_file(small, 'base')
  capsys.readouterr()
  assert command.run(sweep_command.main, arguments) == 0
  shown = capsys.readouterr()
  assert shown.err.count('checkpoint 4 is damaged') == 1
  assert 'resuming 2 runs at step 4 of 8' in shown.out
  assert f'resuming {out}/lstm/seed1 at step 2 of 8' in shown.out
  assert last_json(shown.out)['finished'] == 3
  assert last_json(shown.out)['faults'] == {}
  for seed in (0, 1, 2):
    run = out / f'lstm/seed{seed}'
    assert [path.name for path in run.glob('damaged/*')] == ['4'] * (seed == 1)
    assert [line['step'] for line in files.journal(run) if line['split'] == 'train'] == [4, 8]


def test_sweep_curves_are_means_over_seeds():
  runs = [
    [{'step': 1, 'split': 'test', 'loss': 1.0}, {'step': 2, 'split': 'test', 'loss': 0.5}],
    [{'step': 1, 'split': 'test', 'loss': 3.0}],
    [],
  ]
  steps, mean, deviation = table.curves(runs)['test', 'loss']
  assert (steps.tolist(), mean.tolist()) == ([1], [2.0])
  assert deviation[0] == pytest.approx(2**0.5)


@pytest.mark.parametrize('path', SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_config_is_valid(path):
  found = members.read(read_file(path), path)
  assert len(found) > 1 or path.stem == 'report_recipe_cifar10', 'it has the one recipe of a report'
  assert str(path.relative_to(ROOT)) in path.read_text(), 'the header gives the command'
  assert all(member.config['reported']['source'] for member in found)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (dict(seeds=[]), r'config\.seeds=\[\] is not a list of different seeds'),
    (
      dict(axis=[]),
      r'config\.axis is not a key of this section: its keys are base, axes, seeds, common, reported',
    ),
    (
      dict(axes=[dict(name='cell', choices=[dict(name='a'), dict(name='a')])]),
      r"config\.axes\[0\] has two choices with the name 'a'",
    ),
    (dict(axes=[dict(name='cell', choices=[])]), r'config\.axes\[0\] is not an axis: write dict\('),
    (
      dict(reported=dict(GRU={})),
      r'config\.reported\.GRU is not a member of the sweep: its labels are LSTM, fast; ',
    ),
    (dict(base='other.py'), r'config file .*other\.py does not exist: '),
    (
      dict(axes=[dict(name='cell', choices=[dict(name='\udcff')])]),
      r"config\.axes\[0\] has the name '\\udcff', which is not UTF-8",
    ),
  ],
)
def test_sweep_config_error_names_the_key(change, message, sweep, tmp_path):
  with pytest.raises(ValueError, match=f'^{message}'):
    members.read({**sweep, **change}, tmp_path / 'sweep.py')


def test_sweep_error_names_the_invalid_member(sweep, tmp_path):
  sweep['axes'][0]['choices'][1]['model'] = dict(cell='rmn')
  with pytest.raises(
    ValueError, match=r"^RNN, fast: config\.model\.cell='rmn' is unknown: use one of rnn, lstm, gru"
  ):
    grouping.grouped(members.read(sweep, tmp_path / 'sweep.py'), together='auto')


@pytest.mark.parametrize('rate', ['fast', -1])
def test_sweep_invalid_number_is_refused_before_training(rate, sweep, tmp_path):
  sweep['axes'][1]['choices'][1]['optimizer'] = dict(learning_rate=rate)
  with pytest.raises(
    ValueError,
    match=rf'^LSTM, slow: config\.optimizer\.learning_rate={rate!r} is .*: use a number above 0$',
  ):
    grouping.grouped(members.read(sweep, tmp_path / 'sweep.py'), together='auto')


def test_sweep_drops_compiled_programs(small, config_file, tmp_path, monkeypatch):
  """Each group leaves memory maps, of which a process may have 65,530 on Linux."""
  config_file(small, 'base')
  file = config_file(
    dict(base='base.py', seeds=[0, 1, 2], axes=[dict(name='rate', choices=[dict(name='slow')])]),
    'seeds',
  )
  dropped, clear = [], jax.clear_caches
  monkeypatch.setattr(jax, 'clear_caches', lambda: dropped.append(clear()))
  monkeypatch.setattr(training, 'CLEARED_EVERY', 2)
  arguments = ['sweep', f'--config={file}', f'--workdir={tmp_path / "runs"}', '--together=never']
  assert sweep_command.main(arguments) == 0
  assert len(dropped) == 1


def test_section_with_another_name_is_replaced_except_data(small, tmp_path):
  """AdamW's decay is no key of SGD; data sets share their keys."""
  base = {**small, 'optimizer': dict(name='adamw', learning_rate=1e-3, weight_decay=0.05)}
  (tmp_path / 'base.py').write_text(
    f'import ml_collections\n\ndef get_config():\n  return ml_collections.ConfigDict({base!r})\n'
  )
  changes = (
    dict(name='SGD', optimizer=dict(name='sgd', learning_rate=0.1)),
    dict(name='faster', optimizer=dict(learning_rate=0.1)),
    dict(name='the same', optimizer=dict(name='adamw', learning_rate=0.1)),
    dict(name='data', data=dict(name='fashion_mnist')),
  )
  file = tmp_path / 'sweep.py'
  file.write_text(
    'import ml_collections\n\ndef get_config():\n  return ml_collections.ConfigDict(dict('
    f"base='base.py', seeds=(0,), axes=(dict(name='change', choices={changes!r}),)))\n"
  )
  found = {member.label: member.config for member in members.read(read_file(file), file)}
  decay = dict(name='adamw', learning_rate=0.1, weight_decay=0.05)
  assert found['SGD']['optimizer'] == dict(name='sgd', learning_rate=0.1)
  assert found['faster']['optimizer'] == found['the same']['optimizer'] == decay
  assert found['data']['data'] == {**base['data'], 'name': 'fashion_mnist'}
