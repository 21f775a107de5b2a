"""Hyperparameter searches: their space, suggestions, pruning, resuming and output files."""

import importlib.util
import json
import math
import re
import signal

import numpy as np
import pytest
from helpers import last_json

from jaxdl import figures, main
from jaxdl import sweep as sweep_command
from jaxdl.figures import searches
from jaxdl.report import search as report_search
from jaxdl.runs import files, record
from jaxdl.step.metrics import METRICS
from jaxdl.step.watch import Watch
from jaxdl.sweeps import search as searching
from jaxdl.sweeps import study as studies
from jaxdl.sweeps import training
from jaxdl.sweeps.search import Parameter, Search, choice, integer, log_uniform, uniform
from jaxdl.terminal import command
from jaxdl.training import experiment, loop, programs

pytest.importorskip('optuna')

RATE = log_uniform('optimizer.learning_rate', 1e-5, 1e-1)
SPACE = (
  Parameter('rate', 'log_uniform', low=1e-4, high=1e-1),
  Parameter('features', 'choice', values=(32, 64, None)),
  Parameter('dropout', 'uniform', low=0.0, high=1.0),
  Parameter('layers', 'integer', low=1, high=3),
)


@pytest.fixture
def tuned(small, config_file):
  """A search of the learning rate of a small network that is evaluated four times."""
  small |= dict(log_every='4 steps', evaluate_every='2 steps', checkpoint_every='4 steps')
  config_file(small, 'base')
  return dict(base='base.py', search=dict(space=[RATE], trials=7, sampler='random'))


def searched(sampler='tpe', pruner=None, trials=14):
  space = SPACE if sampler != 'grid' else (SPACE[1], SPACE[3])
  trials = trials if sampler != 'grid' else 9
  return Search('base', {}, space, trials, sampler, pruner, seed=3)


def loss(values, evaluation):
  """A result that depends on the values and falls with each evaluation."""
  rate = values.get('rate', 1e-2)
  return math.log10(rate) ** 2 + (values['features'] or 7) / 30 + 3 / evaluation


def open_study(search, folder, watch=None):
  return studies.Study(search, folder, watch or Watch(), 9)


def play(search, folder, *, reopens):
  """Plays all trials of a search; `reopens`: the study is opened again before every step."""
  study = open_study(search, folder)
  while True:
    if reopens:
      study = open_study(search, folder)
      study.next()
      study = open_study(search, folder)
    trial = study.next()
    if trial is None:
      return study.outcomes
    for evaluation in range(1, 9):
      if reopens and evaluation == 4:  # from a checkpoint before the last evaluation
        trial = open_study(search, folder).next()
        assert not trial.is_over(20, 2, None)
        assert not trial.is_over(30, 3, loss(trial.values, 3))
      if trial.is_over(evaluation * 10, evaluation, loss(trial.values, evaluation)):
        break
    if trial.pruned is None:
      study.finish(trial, loss(trial.values, 9), 90)
    else:
      study.prune(trial)


@pytest.mark.parametrize(
  ('sampler', 'pruner', 'trials'),
  [
    ('tpe', 'median', 14),
    ('random', 'hyperband', 9),
    ('random', None, 5),
    ('grid', None, 9),
    pytest.param('tpe', 'hyperband', 45, marks=pytest.mark.slow),
  ],
)
def test_suggestions_depend_on_the_seed_and_the_finished_trials(sampler, pruner, trials, tmp_path):
  search = searched(sampler, pruner, trials)
  for name in ('once', 'often'):
    (tmp_path / name).mkdir()
  once = play(search, tmp_path / 'once', reopens=False)
  assert play(search, tmp_path / 'often', reopens=True) == once
  assert [one.number for one in once] == list(range(search.trials))
  assert any(one.state == 'pruned' for one in once) == (pruner is not None)
  assert all(one.step == 90 for one in once if one.state == 'finished')
  different = {tuple(one.values.items()) for one in once}
  assert len(different) == search.trials
  for one in once:
    for parameter in search.space:
      value = one.values[parameter.key]
      assert value in parameter.values or parameter.low <= value <= parameter.high
  if pruner is None:
    other = play(Search(**{**vars(search), 'seed': 4}), tmp_path, reopens=False)
    assert [one.values for one in other] != [one.values for one in once]


def test_a_trial_that_resumes_is_pruned_where_it_would_have_been(tmp_path):
  """It was killed after its third evaluation, before this was judged, and repeats the second."""
  search = searched('random', 'median')
  study = open_study(search, tmp_path)
  for _ in range(5):
    trial = study.next()
    for evaluation, figure in enumerate((1.0, 1.0, 0.1), 1):
      assert not trial.is_over(10 * evaluation, evaluation, figure)
    study.finish(trial, 0.1, 90)
  trial = study.next()
  assert not trial.is_over(10, 1, 0.9)
  assert not trial.is_over(20, 2, 0.9)
  trial._trial.report(0.9, 3)
  trial = open_study(search, tmp_path).next()
  assert not trial.is_over(20, 2, 0.9)
  assert trial.is_over(30, 3, 0.9)
  assert trial.pruned == 30
  trial = open_study(search, tmp_path).next()
  assert (trial.is_over(20, 2, 0.9), trial.is_over(30, 3, None)) == (False, True)


def test_better_trials_of_tpe_are_near_the_best(tmp_path):
  outcomes = play(searched(trials=30), tmp_path, reopens=False)
  rates = np.log10([one.values['rate'] for one in outcomes])
  assert rates[15:].mean() > rates[:10].mean() + 0.5  # the highest rate is the best


def test_gaussian_process_suggestions_are_repeatable(tmp_path):
  pytest.importorskip('torch')
  for name in ('once', 'often'):
    (tmp_path / name).mkdir()
  search = searched('gaussian_process', trials=12)
  once = play(search, tmp_path / 'once', reopens=False)
  assert play(search, tmp_path / 'often', reopens=True) == once


def test_an_accuracy_is_maximised(tmp_path):
  study = open_study(searched('random', trials=3), tmp_path, Watch(METRICS['accuracy']))
  for figure in (0.5, 0.9, 0.7):
    study.finish(study.next(), figure, 10)
  assert (study.best.number, study.best.figure) == (1, 0.9)
  assert study.next() is None


def test_the_parameter_that_matters_is_the_most_important(tmp_path):
  study = open_study(searched('random', trials=20), tmp_path)
  while (trial := study.next()) is not None:
    study.finish(trial, trial.values['dropout'], 10)
  found = study.importances()
  assert next(iter(found)) == 'dropout'
  assert found['dropout'] > 0.8
  assert sum(found.values()) == pytest.approx(1)


def test_a_result_that_is_not_a_number_is_a_failure(tmp_path):
  study = open_study(searched('random', trials=1), tmp_path)
  study.finish(study.next(), math.nan, 10)
  assert (study.outcomes[0].state, study.best) == ('failed', None)
  assert study.importances() == {}


def test_a_line_that_a_crash_cut_off_is_removed(tmp_path):
  search = searched('random', trials=3)
  study = open_study(search, tmp_path)
  study.finish(study.next(), 1.0, 10)
  before, file = study.outcomes, tmp_path / studies.NAME
  with file.open('ab') as written:
    written.write(b'{"op_code":4,"wor')
  study = open_study(search, tmp_path)
  study.finish(study.next(), 2.0, 10)
  assert open_study(search, tmp_path).outcomes[:1] == before


def test_a_study_of_another_search_is_refused(tmp_path):
  open_study(searched('random'), tmp_path)
  other = Search(**{**vars(searched('random')), 'space': SPACE[:2]})
  for search, key in ((other, 'search.space'), (searched('tpe'), 'search.sampler')):
    with pytest.raises(ValueError, match=rf'^.*{studies.NAME} is the study of another .*{key}'):
      open_study(search, tmp_path)
  with pytest.raises(ValueError, match=r'config\.watch has changed'):
    open_study(searched('random'), tmp_path, Watch(METRICS['accuracy']))
  assert len(open_study(searched('random', trials=99), tmp_path).outcomes) == 0  # more are added
  (tmp_path / studies.NAME).write_text('{"op_code": 99}\n')
  with pytest.raises(ValueError, match='is damaged'):
    open_study(searched('random'), tmp_path)


class Killed(BaseException):
  """Ends a process without saving, like the signal that cannot be handled."""


def run_search(config, folder, config_file, *flags):
  file = config_file(config, 'tuned')
  return command.run(
    sweep_command.main, ['sweep', f'--config={file}', f'--workdir={folder}', *flags]
  )


def results(folder):
  """Rows of sweep.json and the metrics of every trial, without times and folders."""
  found = files.read_json(folder / 'sweep.json')
  rows = [{**row, 'seconds': 0} for row in found['rows']]
  lines = {
    row['label']: [
      {**line, 'examples_per_second': 0} for line in files.journal(folder / row['label'])
    ]
    for row in rows
  }
  return rows, lines, found['search']['best'], found['search']['importances']


@pytest.mark.parametrize(
  ('sampler', 'pruner', 'trials'),
  [('random', 'hyperband', 4), pytest.param('tpe', 'median', 14, marks=pytest.mark.slow)],
)
def test_a_stopped_search_equals_an_uninterrupted_one(
  sampler, pruner, trials, tuned, config_file, tmp_path, capsys, monkeypatch
):
  """It is stopped in a trial and after it, killed in a trial, and killed while one is pruned."""
  tuned['search'] |= dict(sampler=sampler, pruner=pruner, trials=trials)
  assert run_search(tuned, tmp_path / 'once', config_file) == 0
  shown = capsys.readouterr().out
  rows = results(tmp_path / 'once')[0]
  rates = [row['values']['optimizer.learning_rate'] for row in rows]
  first, second, *_ = (number for number, row in enumerate(rows) if row['state'] == 'finished')
  stops = [(first, 4, signal.SIGTERM), (first, 8, signal.SIGINT), (second, 8, Killed)]

  def over_time(built):
    number = rates.index(built.config['optimizer']['learning_rate'])
    return lambda writers, state: stop(number, int(state.step))

  def stop(number, step):
    if stops and stops[0][:2] == (number, step):
      _, _, how = stops.pop(0)
      if how is Killed:
        raise Killed
      signal.raise_signal(how)

  prune, kills = studies.Study.prune, [Killed]

  def killed_once(study, trial):
    if kills:
      raise kills.pop()
    prune(study, trial)

  monkeypatch.setattr(training.evaluations, 'over_time', over_time)
  monkeypatch.setattr(studies.Study, 'prune', killed_once)
  codes = []
  while not codes or codes[-1] != 0:
    try:
      codes.append(run_search(tuned, tmp_path / 'often', config_file))
    except Killed:
      codes.append(-1)
    assert len(codes) < 6
  assert sorted(codes) == [-1, -1, 0, command.STOPPED, command.STOPPED]
  assert results(tmp_path / 'often') == results(tmp_path / 'once')
  pruned = [row for row in rows if row['state'] == 'pruned']
  assert pruned
  for row in pruned:
    assert row['step'] in (2, 4, 6)
    assert files.journal(tmp_path / 'once' / row['label'])[-1]['step'] == row['step']
    summary = files.read_summary(tmp_path / 'once' / row['label'] / 'summary.json')
    assert (summary['stopped_early'], summary['stopped']) == (row['step'], None)
    assert f'{row["label"]}: pruned at step {row["step"]}, validation loss' in shown
  check_outputs(tmp_path / 'once', rows, shown, len(pruned))


def check_outputs(folder, rows, shown, pruned):
  """Checks the table, the pictures, the page and the printed result of a search of a rate."""
  best = min((row for row in rows if row['state'] == 'finished'), key=lambda row: row['figure'])
  summary = files.read_summary(folder / best['label'] / 'summary.json')
  assert best['figure'] == summary['validation_loss']
  found = last_json(shown)
  assert (found['finished'], found['pruned'], found['failed']) == (len(rows) - pruned, pruned, 0)
  assert found['best']['folder'] == best['label']
  lines = (folder / 'table.md').read_text().splitlines()
  assert lines[0].startswith('| trial | optimizer.learning_rate | validation loss |')
  assert len([line for line in lines if line.startswith('| trial-')]) == len(rows)
  assert sum('| pruned at step ' in line for line in lines) == pruned
  assert any(line.startswith(f'Best: {best["label"]}, validation loss ') for line in lines)
  for name in ('figure', 'importances', 'parallel_coordinates'):
    assert (folder / f'{name}.png').read_bytes().startswith(b'\x89PNG')
  page = (folder / 'compare.html').read_text()
  assert f'<h1>tuned: {len(rows)} of {len(rows)} runs</h1>' in page
  for text in ('Hyperparameter search', 'Parameter importances', 'All trials', 'pruned at step'):
    assert text in page
  assert page.count('data:image/svg+xml') == 2


def test_a_callback_ends_a_run_at_an_evaluation(tuned, small, tmp_path):
  """A run that was ended stays ended when it is trained again, unless the callback changes."""
  built, asked = experiment.build(small, 'small'), []

  def train(folder, last):
    def is_over(step, found):
      asked.append((step, sorted(found)))
      return step == last

    callbacks = loop.Callbacks(is_over=is_over)
    (summary,) = loop.train_runs([built], [folder], programs.of_one(built), [callbacks])
    return {**summary, 'seconds': 0}

  ended = train(tmp_path / 'run', 4)
  splits = ['test', 'validation']
  assert (ended['step'], ended['stopped'], ended['stopped_early']) == (4, None, 4)
  assert asked == [(2, splits), (4, splits)]
  assert record.load(tmp_path / 'run').finished
  asked.clear()
  assert train(tmp_path / 'run', 4) == ended
  assert asked == [(4, [])]
  asked.clear()
  continued = train(tmp_path / 'run', None)
  assert asked == [(4, []), (6, splits)], 'it is not asked at the last step'
  assert continued == train(tmp_path / 'once', None)
  assert continued['stopped_early'] is None


def test_a_trial_that_fails_does_not_end_the_search(small, config_file, tmp_path, capsys):
  """Of four combinations of a grid, one is invalid and one diverges; each is tried once."""
  small |= dict(train_for='4 steps', optimizer=dict(name='sgd', learning_rate=1e-2))
  config_file(small, 'base')
  space = [choice('optimizer.learning_rate', 1e38, 1e-2), choice('accumulate', 1, 2)]
  space += [choice('data.batch_size', 15, 16)]
  config = dict(base='base.py', search=dict(space=space, sampler='grid', trials=4))
  config['common'] = dict(seed=5)
  for _ in range(2):
    assert run_search(config, tmp_path / 'out', config_file) == 0
    shown = capsys.readouterr().out
    found = last_json(shown)
    assert (found['trials'], found['finished'], found['failed']) == (4, 2, 2)
  rows = files.read_json(tmp_path / 'out/sweep.json')['rows']
  for row in rows:
    rate, parts, size = row['values'].values()
    assert (row['state'] == 'finished') == (rate < 1 and (parts, size) != (2, 15))
    (fault,) = row['faults'].values() if row['faults'] else ('',)
    invalid = (parts, size) == (2, 15)
    assert ('config.data.batch_size=15' in fault) == invalid
    assert ('not finite at step' in fault) == (rate > 1 and not invalid)
  assert len({fault.partition(' ')[0] for row in rows for fault in row['faults'].values()}) == 2


def test_describe_prints_the_search_and_trains_nothing(tuned, config_file, tmp_path, capsys):
  tuned['search'] |= dict(
    space=[RATE, choice('model.features', 4, 8), integer('accumulate', 1, 1)], pruner='hyperband'
  )
  assert run_search(tuned, tmp_path / 'out', config_file, '--describe') == 0
  shown = capsys.readouterr().out
  for line in (
    f'tuned: 7 trials into {tmp_path / "out"}, the lowest validation loss is searched',
    '  7 trials, sampler random, pruner hyperband, seed 0',
    '    optimizer.learning_rate: logarithmic 1e-05 to 0.1',
    '    model.features: 4 or 8',
    '    accumulate: integer 1 to 1',
  ):
    assert f'{line}\n' in shown
  assert last_json(shown)['space'][1] == {
    'key': 'model.features',
    'kind': 'choice',
    'values': [4, 8],
  }
  assert not (tmp_path / 'out').exists()


def test_values_are_set_at_their_places_in_the_config(tuned, small_cnn, config_file, tmp_path):
  config_file({**small_cnn, 'seed': 5, 'reported': dict(source='1', test_accuracy=0.9)}, 'base')
  tuned['common'] = dict(train_for='4 steps', task='classify')
  search = searching.read(tuned, tmp_path / 'tuned.py')
  values = {'model.layers[3].rate': 0.25, 'schedule.name': 'cosine', 'task.class_weights': None}
  member = search.member(7, values)
  assert (member.folder, member.label, member.seed, member.name) == (*['trial-007'] * 2, 5, 'base')
  config = member.config
  assert config['model']['layers'][3] == {'kind': 'dropout', 'rate': 0.25}
  assert config['schedule'] == {'name': 'cosine'}
  assert config['task'] == {'name': 'classify', 'class_weights': None}
  assert (config['train_for'], config['seed'], config['reported']) == (
    '4 steps',
    5,
    {'source': '1'},
  )
  assert search.config['model']['layers'][3]['rate'] == 0.3, 'the base config is not changed'


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (dict(trials=0), r'config\.search\.trials=0 is not an integer from 1 to 10,000'),
    (dict(trials=None), r'config\.search\.trials is missing: write the number of trials'),
    (dict(sampler='tpa'), r"config\.search\.sampler='tpa' is unknown: .*; did you mean tpe\?"),
    (dict(pruner='mean'), r"config\.search\.pruner='mean' is unknown: .*; did you mean median\?"),
    (dict(samplr='tpe'), r'config\.search\.samplr is not a key .*; did you mean sampler\?'),
    (dict(space=[]), r'config\.search\.space=\[\] is not a list of parameters: write \('),
    (dict(space={'a': 1}), r"config\.search\.space=\{'a': 1\} is not a list of parameters"),
    (dict(space=[3]), r'config\.search\.space\[0\]=3 is not a section'),
    (dict(space=[RATE, RATE]), r'config\.search\.space has both optimizer\.learning_rate and '),
    (
      dict(space=[choice('l2', 0, 0.0)]),
      r'config\.search\.space\[0\]\.values=\[0, 0\.0\] has 0\.0',
    ),
    (dict(space=[choice('l2')]), r'config\.search\.space\[0\]\.values=\[\] is not a list'),
    (
      dict(space=[dict(key='l2', kind='choice', values=[[1]])]),
      r'config\.search\.space\[0\]\.values\[0\]=\[1\] cannot be chosen',
    ),
    (
      dict(space=[uniform('l2', 0.5, 0.1)]),
      r'config\.search\.space\[0\]\.low=0\.5 of l2 is above high=0\.1',
    ),
    (
      dict(space=[log_uniform('l2', 0, 0.1)]),
      r'config\.search\.space\[0\]\.low=0 of l2 has no logarithm',
    ),
    (
      dict(space=[uniform('l2', 0, math.nan)]),
      r'config\.search\.space\[0\]\.high=nan of l2 is not a number',
    ),
    (
      dict(space=[dict(key='l2', kind='integer', low=1.5, high=2)]),
      r'config\.search\.space\[0\]\.low=1\.5 is not an integer',
    ),
    (
      dict(space=[dict(key='l2', kind='normal', low=0, high=1)]),
      r"config\.search\.space\[0\]\.kind='normal' is unknown: use one of choice, integer, ",
    ),
    (
      dict(space=[dict(key='l2', kind='uniform', low=0, hi=1)]),
      r'config\.search\.space\[0\]\.hi is not a key .*low, high.*; did you mean high\?',
    ),
    (
      dict(space=[uniform('seed', 0, 1)]),
      r"config\.search\.space\[0\]\.key='seed' cannot be searched",
    ),
    (
      dict(space=[uniform('optimizer.learning_rate.x', 0, 1)]),
      r'config\.search\.space\[0\]\.key=.*: config\.optimizer\.learning_rate has no key',
    ),
    (
      dict(sampler='grid'),
      r"config\.search\.sampler='grid' needs a finite number of values, but optimizer\.learning",
    ),
    (
      dict(sampler='grid', space=[integer('l2', 1, 10**6)]),
      r'config\.search\.space has a grid of 1,000,000 combinations',
    ),
  ],
)
def test_an_invalid_search_is_refused_in_one_line(
  change, message, tuned, tmp_path, unchecked_types
):
  tuned['search'] |= change
  with pytest.raises(ValueError, match=f'^{message}') as error:
    searching.read(tuned, tmp_path / 'tuned.py')
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('key', ['axes', 'seeds'])
def test_a_search_has_neither_axes_nor_seeds(key, tuned, tmp_path):
  with pytest.raises(ValueError, match=rf'^config\.{key} is set together with config\.search'):
    searching.read({**tuned, key: [0]}, tmp_path / 'tuned.py')


@pytest.mark.parametrize(
  ('entry', 'message'),
  [
    (integer('model.featurs', 4, 8), r'config\.model\.featurs is not .*; did you mean features\?'),
    (uniform('lr', 0, 1), r'config\.lr is not a key .*; did you mean optimizer\.learning_rate\?'),
    (uniform('ema_decay', 0.5, 1.5), r'config\.ema_decay=1\.5 is out of range'),
    (choice('model.cell', 'lstm', 'gru', 'lstn'), r"config\.model\.cell='lstn' is unknown"),
  ],
)
def test_values_that_do_not_fit_the_base_config_are_refused(entry, message, tuned, tmp_path):
  tuned['search']['space'].append(entry)
  with pytest.raises(ValueError, match=rf'^config\.search\.space: {message}'):
    searching.check(searching.read(tuned, tmp_path / 'tuned.py'))


def test_a_search_needs_what_it_compares(tuned, small, config_file, tmp_path):
  tuned['search']['pruner'] = 'median'
  config_file({**small, 'evaluate_every': '8 steps'}, 'base')
  with pytest.raises(ValueError, match=r"^config\.search\.pruner='median' compares evaluations"):
    searching.check(searching.read(tuned, tmp_path / 'tuned.py'))
  del small['data']['splits']['validation']
  config_file(small, 'base')
  with pytest.raises(ValueError, match=r'^config\.search follows the validation loss, but there'):
    searching.check(searching.read(tuned, tmp_path / 'tuned.py'))


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
  missing = []
  monkeypatch.setattr(
    importlib.util, 'find_spec', lambda name: None if name == missing[-1] else True
  )
  for library, sampler, message in (
    (
      'optuna',
      'tpe',
      "config.search needs optuna, which is not installed: pip install 'jaxdl[search]'",
    ),
    (
      'torch',
      'gaussian_process',
      "config.search.sampler='gaussian_process' needs torch, which is not installed: "
      "pip install 'jaxdl[search,torch]'",
    ),
  ):
    search = Search(**{**vars(searched()), 'sampler': sampler})
    missing.append(library)
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
      studies.check_libraries(search)


def test_a_search_is_no_experiment(tuned, config_file, capsys):
  file = config_file(tuned, 'tuned')
  assert command.run(main.main, ['main', f'--config={file}']) == 1
  assert f'{file} is a sweep: python -m jaxdl.sweep --config=' in capsys.readouterr().err
  assert command.run(sweep_command.main, ['sweep', f'--config={file}', '--together=always']) == 1
  assert 'jaxdl: --together=always: trials are trained one after' in capsys.readouterr().err


def test_runs_that_the_study_does_not_have_are_refused(tuned, config_file, tmp_path, capsys):
  tuned['search']['trials'] = 1
  out = tmp_path / 'out'
  assert run_search(tuned, out, config_file) == 0
  tuned['common'] = dict(l2=1e-3)
  assert run_search(tuned, out, config_file) == 1
  err = capsys.readouterr().err
  assert f'{out}/trial-000 is not the run that the study has (config.l2 differs): restore' in err
  (out / 'trial-000').rename(out / 'elsewhere')
  assert run_search(tuned, out, config_file) == 1
  assert f'{out}/trial-000 is missing, but the study has it' in capsys.readouterr().err


def test_a_sweep_of_axes_has_no_section_of_a_search(tmp_path):
  assert report_search.section(tmp_path) is None
  (tmp_path / 'sweep.json').write_text(json.dumps({'config': 'a', 'rows': []}))
  assert report_search.section(tmp_path) is None


def test_parallel_coordinates_mark_the_best_trials():
  scores = np.array([4.0, 1.0, math.nan, 3.0, 2.0, 5.0, 6.0, 7.0, 8.0])
  values = np.array([1e-4, 1e-2, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3])
  figure = figures.parallel_coordinates(
    [
      figures.Column('rate', values, (1e-4, 1e-2), log=True),
      figures.Column('cell', np.array([0, 1, 0, 0, 0, 1, 1, 1, 1.0]), (0, 1), names=('a', 'b')),
    ],
    scores,
    label='validation loss',
    higher_is_better=False,
    best=1,
    heading='trials',
  )
  (axis,) = figure.axes
  drawn = {
    name: [
      line.get_ydata() for line in axis.lines if style.items() <= style_of(line, style).items()
    ]
    for name, style in searches.STYLES.items()
  }
  assert {name: len(found) for name, found in drawn.items()} == {
    'pruned': 1,
    'other trials': 6,
    'best quarter': 1,
    'best': 1,
  }
  (best,), (good,), (pruned,) = drawn['best'], drawn['best quarter'], drawn['pruned']
  np.testing.assert_allclose(best[[0, 2]], [1, 0])
  np.testing.assert_allclose(good[[0, 2]], [0.5, 1 / 7])
  assert math.isnan(pruned[2])
  assert abs(best[1] - 1) < 1.01 * searches.SPREAD
  cells = [line[1] for found in drawn.values() for line in found]
  assert len(set(np.round(cells, 9))) == 9, 'each trial is visible'
  texts = [text.get_text() for text in axis.texts]
  assert {'0.0001', '0.001', '0.01', 'a', 'b', '1', '8', 'validation\nloss'} <= set(texts)


def style_of(line, style):
  known = {
    'color': line.get_color(),
    'linewidth': line.get_linewidth(),
    'linestyle': line.get_linestyle(),
  }
  return {name: known[name] for name in style}


def test_importances_are_the_lengths_of_the_bars():
  figure = figures.importances({'rate': 0.75, 'features': 0.25}, heading='importance')
  (axis,) = figure.axes
  assert [bar.get_width() for bar in axis.patches] == [0.75, 0.25]
  assert [label.get_text() for label in axis.get_yticklabels()] == ['rate', 'features']
  with pytest.raises(ValueError, match='no importances'):
    figures.importances({}, heading='importance')
