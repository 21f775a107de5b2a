"""The ledger of claims: intervals and comparisons computed by hand, and an entry of each status."""

import json
import pathlib

import pytest
from helpers import ROOT

from jaxdl.config.reading import read_file, to_dict
from jaxdl.runs import record
from launch.reproduction import claims, comparisons, curves, ledger, run_folders
from launch.reproduction.contradictions import CONTRADICTIONS, DOUBTFUL, REPORTS

CONFIGS = {file.stem: to_dict(read_file(file)) for file in sorted((ROOT / 'configs').glob('*.py'))}


def run(lines=(), *, batch_size=10, config=(), **summary):
  """A synthetic finished run; `lines` are (step, split, figures)."""
  lines = [{'step': step, 'split': split, **figures} for step, split, figures in lines] or [
    {'step': 100, 'split': 'train'}
  ]
  defaults = {
    'step': lines[-1]['step'],
    'steps': lines[-1]['step'],
    'stopped': None,
    'test_examples': 10000,
    'validation_examples': 5000,
    'data': 'tfds',
    'config': 'x',
    'parameters': 1,
    'seed': 0,
    'seconds': 1.0,
    'device': '1 x cpu',
  }
  return record.Run(
    folder=pathlib.Path('synthetic'),
    name='x',
    command='',
    summary=defaults | summary,
    history=lines,
    config={
      'train_for': '100 steps',
      'evaluate_every': '1 epoch',
      'model': {'name': 'cnn'},
      'data': {'name': 'mnist', 'batch_size': batch_size},
      **dict(config),
    },
  )


def accuracies(*values):
  return [run(test_accuracy=value) for value in values]


def reached(*steps):
  """Runs that first reach 90 % test accuracy at the given steps."""
  return [
    run(
      [
        (step - 50, 'test', {'accuracy': 0.8}),
        (step, 'test', {'accuracy': 0.9}),
        (step + 50, 'test', {'accuracy': 0.85}),
      ]
    )
    for step in steps
  ]


def group(name, runs, **reported):
  return run_folders.Group(name, {'source': '002', **reported}, dict(enumerate(runs)))


def only_entry(runs, name='made_up', **reported):
  found = [
    entry
    for entry in ledger.entries({name: group(name, runs, **reported)})
    if entry.of == f'`{name}`'
  ]
  return found[0]


def test_ledger_reads_training_figures_at_the_checkpoint():
  """The count is that of the examples behind the figure."""
  trained = run(
    [
      (50, 'train', {'accuracy': 0.8}),
      (100, 'train', {'accuracy': 0.9}),
      (150, 'train', {'accuracy': 1.0}),
    ],
    step=120,
  )
  assert trained.figure('train_accuracy') == (0.9, 500)  # 50 steps of 10
  assert run().figure('train_accuracy')[0] is None


def test_ledger_status_is_agrees_or_differs():
  runs = accuracies(0.97, 0.972, 0.974)
  assert only_entry(runs, test_accuracy=0.9727).status == 'agrees'
  assert only_entry(runs, test_accuracy=0.96).status == 'differs (better)'
  assert only_entry(runs, test_accuracy=0.99).status == 'differs (worse)'
  assert only_entry(runs, test_accuracy=0.9727).ours.startswith('97.20 % (96.')


def test_ledger_counts_must_be_equal():
  runs = [run(parameters=1000), run(parameters=1000)]
  assert only_entry(runs, parameters=1000).status == 'agrees'
  assert only_entry(runs, parameters=1001).status == 'differs'
  assert only_entry([*runs, run(parameters=1001)], parameters=1000).status == 'differs'


def test_ledger_step_is_where_the_accuracy_is_reached():
  assert only_entry(reached(200, 300), test_accuracy=0.9, step=250).claim == 'test accuracy'
  verdict = comparisons.by_step(0.9, 250)
  assert verdict(reached(200, 300)) == ('agrees', 'at step 250 (200 to 300)', '')
  assert verdict(reached(200, 400)).status == 'differs (worse)'
  assert verdict([*reached(200), run([(50, 'test', {'accuracy': 0.5})])]) == (
    'differs (worse)',
    'reached by 1 of 2 runs',
    '',
  )


def test_ledger_not_run_shows_the_progress():
  unfinished = run(stopped=100, steps=5500, config={'train_for': '5500 steps'})
  assert only_entry([], test_accuracy=0.9).status == 'not run'
  entry = only_entry([unfinished], test_accuracy=0.9)
  assert (entry.status, entry.note) == ('not run', 'seed 0 at step 100 of 5,500')


def test_ledger_not_testable_gives_the_reason():
  entry = only_entry([run()], summed_loss=(1773.23, 1129.72))
  assert (entry.status, entry.reported) == ('not testable', '1,773.23, 1,129.72')
  assert 'their size' in entry.note
  assert only_entry([run()], train_loss=0.3).status == 'not testable'


def test_ledger_cannot_test_a_figure_on_other_data():
  """The config of a run on other photographs than Food-11 has no reported figures."""
  runs = [run(test_accuracy=0.2, config={'reported': {}})]
  entry = only_entry(runs, test_accuracy=0.46)
  assert (entry.status, entry.note) == (
    'not testable',
    "measured on other data than the report's",
  )
  assert entry.ours.startswith('20.00 % (')


def test_ledger_inconsistent_source_is_never_reported_as_agreeing():
  entry = only_entry(accuracies(0.998), 'gru_mnist', test_accuracy=0.998)
  assert entry.status == 'inconsistent in the source'
  assert 'above the training accuracy' in entry.note
  found = ledger.entries({})
  assert sum(entry.status == 'inconsistent in the source' for entry in found) == len(CONTRADICTIONS)


def test_ledger_notes_copied_test_images():
  copied = [
    run(
      test_accuracy=0.9,
      data='tfds, test split is not the original (JPEG test copy)',
      validation_loss=0.3,
    )
  ]
  assert 'JPEG test copy' in only_entry(copied, test_accuracy=0.9).note
  assert only_entry(copied, validation_loss=0.3).note == ''


def test_ledger_comparison_uses_the_spread_over_seeds():
  """Differences 0.02 ± 1.96 · √(2 · 0.001² / 3) and 0.002 ± 1.96 · √(2 · 0.01² / 3)."""
  better = comparisons.higher('test_accuracy')
  low, high = accuracies(0.949, 0.95, 0.951), accuracies(0.969, 0.97, 0.971)
  assert better(high, low).status == 'agrees'
  assert better(low, high).status == 'differs (the other way round)'
  assert comparisons.lower('test_accuracy')(low, high).status == 'agrees'
  scattered = accuracies(0.942, 0.952, 0.962), accuracies(0.94, 0.95, 0.96)
  assert better(*scattered).status == 'not testable'
  assert 'more seeds' in better(*scattered).note
  assert comparisons.no_difference('test_accuracy')(*scattered).status == 'agrees'
  assert (
    comparisons.no_difference('test_accuracy')(high, low).status == 'differs (higher in the first)'
  )


def test_ledger_comparison_of_single_runs_uses_example_counts():
  """0.970 and 0.974 on 10,000 images: ± 0.0033 and ± 0.0031, so ± 0.0046 together."""
  better = comparisons.higher('test_accuracy')
  assert better(accuracies(0.974), accuracies(0.970)).status == 'not testable'
  assert better(accuracies(0.976), accuracies(0.970)).status == 'agrees'


def test_ledger_orders_runs_by_required_steps():
  in_order = comparisons.in_order_of_need(0.9)
  assert in_order(reached(500, 520), reached(300, 310), reached(100, 120)).status == 'agrees'
  assert (
    in_order(reached(500, 520), reached(100, 120), reached(300, 310)).status
    == 'differs (another order)'
  )
  assert in_order(reached(500, 100), reached(290, 310)).status == 'not testable'
  assert (
    comparisons.in_order_of_need(0.95)(reached(500), reached(300)).note
    == 'not every run reaches 95 %'
  )


@pytest.mark.parametrize(
  ('step', 'expected'), [(400, 'differs (better)'), (950, 'agrees'), (1600, 'differs (worse)')]
)
def test_ledger_claim_near_a_step(step, expected):
  assert comparisons.near_step(0.9, 500, 1500)(reached(step)).status == expected


@pytest.mark.parametrize(
  ('losses', 'expected'),
  [((3, 1, 2), 'agrees'), ((1, 2, 3), 'differs (earlier)'), ((3, 2, 1), 'differs (later)')],
)
def test_ledger_finds_the_start_of_overfitting(losses, expected):
  trained = run(
    [(step, 'test', {'loss': loss}) for step, loss in zip((250, 1000, 5500), losses, strict=True)]
  )
  assert comparisons.overfits(500, 1500)([trained]).status == expected


def test_ledger_curves_compare_every_epoch():
  """Epochs of 100 steps logged every 50: training means 0.75 and 0.9; validation 0.7 and 0.8 of
  5,000 images (± 0.013).
  """
  lines = [
    (50, 'train', {'accuracy': 0.7}),
    (100, 'train', {'accuracy': 0.8}),
    (100, 'validation', {'accuracy': 0.7}),
    (150, 'train', {'accuracy': 0.9}),
    (200, 'train', {'accuracy': 0.9}),
    (200, 'validation', {'accuracy': 0.8}),
  ]
  trained = run(lines)
  assert curves.epochs('train', 'accuracy', (0.75, 0.90))([trained]).status == 'agrees'
  assert curves.epochs('validation', 'accuracy', (0.70, 0.805))([trained]) == (
    'agrees',
    '2 of 2 epochs agree; the last has 80.00 %',
    '',
  )
  verdict = curves.epochs('validation', 'accuracy', (0.70, 0.85))([trained])
  assert verdict == ('differs (worse)', '1 of 2 epochs agree; the last has 80.00 %', '')
  every_50 = run(lines, config={'evaluate_every': '50 steps'})
  assert curves.epochs('train', 'accuracy', (0.75, 0.90))([every_50]).status == 'not testable'


def test_ledger_curves_must_fall_every_epoch():
  def losses(*values):
    return run(
      [
        line
        for epoch, loss in enumerate(values, 1)
        for line in (
          (100 * epoch, 'train', {'loss': loss}),
          (100 * epoch, 'validation', {'loss': loss}),
        )
      ]
    )

  assert curves.falls(3)([losses(3.0, 2.0, 1.0, 5.0)]) == ('agrees', '3.0000, 2.0000, 1.0000', '')
  assert curves.falls(3)([losses(3.0, 2.0, 2.5)]).status == 'differs (it rises in between)'
  assert curves.falls(4)([losses(3.0, 2.0, 1.0)]).note == 'a run was not evaluated 4 times'


@pytest.mark.parametrize(
  'claim',
  [
    claim
    for claim in claims.CLAIMS
    if claim.of and '131,072' not in claim.statement and '960,896' not in claim.statement
  ],
  ids=lambda claim: claim.statement[:40],
)
def test_ledger_never_agrees_without_figures(claim):
  verdict = claim.test(*[[run()]] * len(claim.of))
  assert verdict.status in ('not testable', 'differs (worse)')


def test_ledger_layers_match_the_counts_of_report_001():
  """64·32² + 128·16² + 2 · 256·8² = 131,072 neurons. The layers are those of the network, counted
  as in the report.
  """
  built = run(
    config={'model': CONFIGS['deep_cnn_cifar10']['model'], 'dataset': {'input_shape': [32, 32, 3]}}
  )
  found = [
    claim.test([built])
    for claim in claims.CLAIMS
    if 'neurons' in claim.statement or '960,896' in claim.statement
  ]
  assert [verdict.status for verdict in found] == ['agrees', 'agrees']
  assert curves.layer_sums(dense_neurons=2059)([built]).status == 'differs'


def test_ledger_reads_the_rows_of_a_sweep(tmp_path):
  folder = tmp_path / 'sweeps/x'
  trained = run(test_accuracy=0.982)
  for seed in (0, 1):
    member = folder / f'lstm_64/seed{seed}'
    member.mkdir(parents=True)
    for name, text in (
      ('config.json', json.dumps(trained.config)),
      ('summary.json', json.dumps(trained.summary)),
      ('metrics.jsonl', json.dumps(trained.history[0])),
    ):
      (member / name).write_text(text)
  (folder / 'sweep.json').write_text(
    json.dumps(
      {
        'config': 'x',
        'rows': [
          {
            'label': 'LSTM, 64',
            'choices': {'cell': 'LSTM'},
            'seeds': [0, 1],
            'runs': ['lstm_64/seed0', 'lstm_64/seed1'],
            'reported': {'source': '002', 'test_accuracy': 0.982},
          }
        ],
      }
    )
  )
  entry = next(
    entry
    for entry in ledger.entries(run_folders.read_groups(tmp_path, {}))
    if entry.of == '`sweeps/x/LSTM, 64`'
  )
  assert (entry.status, entry.reported) == ('agrees', '98.2 %')
  assert entry.ours.endswith('2 seeds)')


def test_ledger_knows_the_reported_keys_of_configs():
  ledger.entries(
    {
      name: run_folders.Group(name, config.get('reported', {}), {})
      for name, config in CONFIGS.items()
    }
  )
  assert all(
    config.get('reported', {}).get('source', '000') in REPORTS for config in CONFIGS.values()
  )
  with pytest.raises(
    ValueError,
    match="made_up reports 'test_acuracy', which is not a figure: use source, test_accuracy",
  ):
    only_entry([], test_acuracy=0.9)


def test_ledger_every_claim_has_a_test_or_a_reason():
  for claim in claims.CLAIMS:
    assert claim.source in REPORTS
    assert (claim.test is None) == bool(claim.reason) == (not claim.of), claim
  assert all(source in REPORTS and against for source, _, against in CONTRADICTIONS)
  assert all(
    key in ledger.figure_names() and key in CONFIGS[name]['reported'] for name, key in DOUBTFUL
  )


def test_ledger_markdown_is_grouped_and_counted_by_report():
  text = ledger.markdown(ledger.entries({'a': group('a', accuracies(0.97), test_accuracy=0.97)}))
  assert [line[3:6] for line in text.splitlines() if line.startswith('## ')] == sorted(REPORTS)
  assert (
    '| `a` | test accuracy | 97 % | 97.00 % (96.65 to 97.32 %, 1 seed) | **agrees** |  |' in text
  )
  counted = [line for line in text.splitlines() if line.startswith('| 002 | ')]
  assert counted[0].startswith('| 002 | 1 | 0 | ')
