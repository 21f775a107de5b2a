"""Tests of the command line, in this process and in child processes."""

import contextlib
import html
import importlib
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import PIL.Image
import pytest
from helpers import AS_USERS, ROOT, WITHOUT_TENSORFLOW, last_json, run_child

import jaxdl
from jaxdl import __main__ as jaxdl_main
from jaxdl import main, sweep
from jaxdl.config import __main__ as config_main
from jaxdl.config import reading
from jaxdl.data import DATA_SETS, stand_ins, tfds_arrays
from jaxdl.data import __main__ as data_main
from jaxdl.report import __main__ as report_main
from jaxdl.sweeps import members
from jaxdl.terminal import command, progress

README = (ROOT / 'README.md').read_text()


def run_main(*arguments, **keywords):
  return run_child('-m', 'jaxdl.main', *arguments, **keywords)


def without_warnings(lines):
  """Removes the warnings of jaxdl.lint, which a tiny experiment causes."""
  return [line for line in lines if not line.startswith('warning: ')]


@pytest.fixture
def run_here(capsys, monkeypatch):
  """Returns a function that runs the command in this process.

  It returns (exit code, standard output, lines of standard error).
  """
  monkeypatch.chdir(ROOT)

  def run(*arguments):
    code = command.run(main.main, ['jaxdl.main', *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err.splitlines()

  return run


@pytest.mark.slow  # the default tests run the same command in launch/colab_tpu.ipynb
def test_main_command_trains_and_writes_a_run(tmp_path):
  run = run_main(
    '--config=configs/lstm_mnist.py',
    '--config.train_for=60 steps',
    '--config.data.batch_size=64',
    f'--workdir={tmp_path}',
    environment=AS_USERS,
  )
  assert run.returncode == 0, run.stderr
  assert run.stderr == '', 'a short run requested by flags gives no warning'
  summary = last_json(run.stdout)
  assert summary['config'] == 'lstm_mnist'
  assert summary['reported']['test_accuracy'] == 0.987
  assert summary['test_examples'] == 10000
  assert summary['test_accuracy'] > 0.3
  assert '81,674 parameters: 81,674 trainable, 0 not' in run.stdout
  assert re.search(
    r'step 50 of 60  train loss .*validation loss .*test loss .*examples/s, 0:\d\d:\d\d left',
    run.stdout,
  )
  assert re.search(r'^  validation loss \d\.\d+, saved$', run.stdout, re.MULTILINE)
  assert (tmp_path / 'examples.npz').is_file()
  assert (tmp_path / 'analysis/samples.png').read_bytes().startswith(b'\x89PNG')
  assert (
    f'report: {tmp_path}/report.html\nall figures: {tmp_path}/summary.json\n'
    f'look inside: python -m jaxdl.analyze {tmp_path}\n' in run.stdout
  )
  page = html.unescape((tmp_path / 'report.html').read_text())
  assert (
    "python -m jaxdl.main --config=configs/lstm_mnist.py '--config.train_for=60 steps' --config.data.batch_size=64"
    in page
  )
  assert 'LSTM on mnist: test accuracy' in page


COMMANDS = (
  'main',
  'sweep',
  'exam',
  'analyze',
  'predict',
  'generate',
  'export',
  'report',
  'status',
  'verify',
  'pack',
  'data',
  'config',
)


@pytest.mark.parametrize('name', COMMANDS)
def test_help_fits_a_screen_and_ends_with_examples(name, capsys, monkeypatch):
  monkeypatch.setenv('COLUMNS', '100')
  package = importlib.import_module(f'jaxdl.{name}')
  module = (
    importlib.import_module(f'jaxdl.{name}.__main__') if hasattr(package, '__path__') else package
  )
  with pytest.raises(SystemExit) as ended:
    command.run(module.main, ['jaxdl', '--help'])
  assert ended.value.code == 0
  shown = capsys.readouterr().out
  assert shown.startswith(f'usage: python -m jaxdl.{name} ')
  assert len(shown.splitlines()) < 40
  flags = set(re.findall(r'--\w+', shown.partition('examples:')[0]))
  examples = re.findall(
    rf'^  python -m jaxdl\.{name} .*', shown.partition('\nexamples:\n')[2], re.MULTILINE
  )
  assert examples
  # --from is explained by `prepare --help`.
  assert set(re.findall(r'--\w+', ' '.join(examples))) <= flags | {'--from'}
  for file in re.findall(r'configs/[\w/]+\.py', shown):
    assert (ROOT / file).is_file()


def test_quiet_prints_only_the_result(small, config_file, run_here):
  code, shown, lines = run_here(f'--config={config_file(small)}', '--describe', '--quiet')
  assert (code, without_warnings(lines)) == (0, [])
  (result,) = shown.splitlines()
  assert json.loads(result)['config'] == 'small'
  code, shown, lines = run_here(f'--config={config_file(small)}', '--quiet', '--config.seed=x')
  assert (code, shown, len(lines)) == (1, '', 1)


@pytest.mark.parametrize('word', jaxdl_main.COMMANDS)
def test_every_command_has_help_and_quiet_in_the_same_words(word, monkeypatch, capsys):
  monkeypatch.setenv('COLUMNS', '100')
  for arguments in (['--help'], ['--quiet', '--help']):
    monkeypatch.setattr(sys, 'argv', ['jaxdl', word, *arguments])
    with pytest.raises(SystemExit) as ended:
      jaxdl_main.main()
    assert ended.value.code == 0
    shown = ' '.join(capsys.readouterr().out.split())
    assert shown.startswith(f'usage: jaxdl {word} ')
    assert ' -h, --help show this help message and exit' in shown
    assert ' --quiet print only the result, as JSON, and warnings and errors' in shown


def quiet_result(main, arguments, capsys):
  """The result that a command prints with --quiet, which must be its whole output."""
  assert command.run(main, arguments) == 0
  (line,) = capsys.readouterr().out.splitlines()
  return json.loads(line)


@pytest.mark.parametrize('arguments', [['list', '--quiet'], ['--quiet', 'list']])
def test_quiet_data_sets_are_one_line(arguments, tmp_path, capsys):
  arguments = ['data', *arguments] + [f'--data_dir={tmp_path}']
  found = quiet_result(data_main.main, arguments, capsys)
  assert list(found) == list(DATA_SETS)
  assert found['mnist'] == {'origin': 'bundled', 'splits': {'train': 60_000, 'test': 10_000}}
  assert found['cifar10'] == {'origin': 'absent', 'splits': {}}


def test_quiet_configs_are_one_line(tmp_path, capsys):
  titles = quiet_result(config_main.main, ['config', '--quiet'], capsys)
  assert titles['lstm_mnist'].startswith('LSTM with 128 units')
  printed = quiet_result(config_main.main, ['config', 'lstm_mnist', '--quiet'], capsys)
  text = (ROOT / 'configs/lstm_mnist.py').read_text(encoding='utf-8')
  assert printed == {'name': 'lstm_mnist', 'text': text}
  arguments = ['config', '--quiet', 'lstm_mnist', f'--to={tmp_path}']
  copied = quiet_result(config_main.main, arguments, capsys)
  assert copied == {'name': 'lstm_mnist', 'file': str(tmp_path / 'lstm_mnist.py')}


def test_quiet_report_is_one_line(tmp_path, capsys):
  run, file = ROOT / 'tests/golden/format_1/finished', tmp_path / 'page.html'
  arguments = ['report', '--quiet', str(run), f'--out={file}']
  found = quiet_result(report_main.main, arguments, capsys)
  assert found == {'file': str(file), 'bytes': file.stat().st_size, 'runs': [str(run)]}


@pytest.mark.slow
def test_tensorflow_import_prints_nothing():
  code = "from jaxdl.terminal import command; command.run(lambda arguments: print(__import__('tensorflow').constant(1).ndim), ['jaxdl'])"
  run = run_child('-c', code, environment=AS_USERS)
  assert (run.returncode, run.stdout, run.stderr) == (0, '0\n', '')


def test_ctrl_c_without_a_checkpoint_is_a_one_line_error(capsys):
  def main(arguments):
    raise KeyboardInterrupt

  assert command.run(main, ['jaxdl']) == 130
  assert (
    capsys.readouterr().err
    == 'jaxdl: interrupted: rerun the command to start again, or to resume from the last checkpoint\n'
  )


def test_closed_output_pipe_ends_a_command_silently():
  code = (
    'import sys; from jaxdl.terminal import command; '
    "sys.exit(command.run(lambda arguments: [print('line') for _ in range(10**6)], ['jaxdl']))"
  )
  with subprocess.Popen(
    [sys.executable, '-c', code],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as child:
    assert child.stdout.readline() == 'line\n'
    child.stdout.close()
    assert (child.stderr.read(), child.wait()) == ('', 141)


@pytest.mark.skipif(sys.platform != 'linux', reason='needs a pseudo-terminal and GNU env')
def test_ctrl_c_during_imports_prints_no_traceback(tmp_path):
  """The signal arrives during the import of a library, after 'starting …' was printed."""
  import pty

  (tmp_path / 'ml_collections.py').write_text(
    'import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nos._exit(7)\n'
  )
  terminal, ours = pty.openpty()
  # Restores SIGINT, which is ignored if the tests run in the background.
  python = ['env', '--default-signal=INT', sys.executable]
  child = subprocess.run(
    [*python, '-m', 'jaxdl.main', '--help'],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=ours,
    env={**os.environ, 'PYTHONPATH': f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}'},
    check=False,
  )
  os.close(ours)
  assert (child.returncode, child.stdout) == (-signal.SIGINT, b'')
  assert os.read(terminal, 1000).decode() == 'starting …\r'
  os.close(terminal)


def test_starting_message_is_erased_on_a_terminal(capsys, monkeypatch):
  monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
  before = signal.signal(signal.SIGINT, signal.SIG_DFL)
  try:
    assert command.run(lambda arguments: print('ready') or 0, ['jaxdl']) == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
  finally:
    signal.signal(signal.SIGINT, before)
  assert capsys.readouterr() == ('ready\n', f'{" " * len("starting …")}\r')


def test_time_left_excludes_compilation(monkeypatch):
  """The first 50 steps take 20 s including compilation, the next 50 one second, 900 more 18 s."""
  # The first two times are read when 'compiling …' is printed.
  times = iter([0.0, 0.0, 20.0, 20.5, 21.0, 22.0])
  monkeypatch.setattr(progress.time, 'monotonic', lambda: next(times))
  with progress.show(1000, first_step=0) as shown:
    assert [shown.left(step) for step in (50, 50, 100, 150)] == [
      '',
      '',
      '0:00:18 left',
      '0:00:17 left',
    ]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: 23.0)
  with progress.show(50, first_step=0) as shown:
    assert shown.left(50) == '0:00:00 left'


def test_time_left_of_a_resumed_run_includes_evaluations(monkeypatch, capsys):
  """A step takes 1 s, and an evaluation every 50 steps takes 10 s.

  After 50 of 300 steps, 250 steps and five evaluations are left.
  """
  clock = [0.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: clock[0])
  with progress.show(300, first_step=48, evaluate_every=50) as shown:
    assert shown.left(49) == ''
    clock[0] += 1
    assert shown.left(50) == '0:04:10 left', 'the duration of an evaluation is still unknown'
    with shown.evaluating():
      clock[0] += 10
    assert shown.left(50) == '0:05:00 left'
    clock[0] += 49
    assert shown.left(99) == f'0:0{(201 + 50) // 60}:{(201 + 50) % 60} left'


def test_progress_is_printed_without_a_terminal_after_a_silence(monkeypatch, capsys):
  clock = [0.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: clock[0])
  with progress.show(10, first_step=0) as shown:
    for step, clock[0] in ((1, 40.0), (2, 60.0), (3, 80.0), (4, 95.0)):
      shown.advance(step, lambda: 'loss 0.5000', 8.0)
  assert capsys.readouterr().out.splitlines() == [
    'compiling …',
    'step 1 of 10  loss 0.5000  8 examples/s',
    'step 3 of 10  loss 0.5000  8 examples/s, 0:02:20 left',
  ]
  with progress.show(10, first_step=10):
    assert capsys.readouterr().out == '', 'a finished run does not compile'


def test_current_activity_is_printed_without_a_terminal(monkeypatch, capsys):
  monkeypatch.setattr(progress, 'SILENCE', 0.1)
  with progress.waiting() as now:
    now('1 of 2  filters')
    time.sleep(0.15)
  time.sleep(0.15)
  assert capsys.readouterr().out == '… 1 of 2  filters, 0 s so far\n'


def test_package_lists_its_commands():
  run = run_child('-m', 'jaxdl')
  assert (run.returncode, run.stderr) == (0, '')
  named = re.findall(
    r'^python -m jaxdl \w+ .* \(python -m jaxdl\.(\w+)\)$', run.stdout, re.MULTILINE
  )
  modules = {
    file.stem
    for file in (ROOT / 'jaxdl').glob('*.py')
    if 'command.run(main, sys.argv' in file.read_text()
  }
  assert set(named) == modules | {
    file.parent.name for file in (ROOT / 'jaxdl').glob('*/__main__.py')
  }


def test_commands_are_found_by_name(monkeypatch, capsys, tmp_path):
  """The help of the console script `jaxdl` shows its own name."""
  monkeypatch.setenv('COLUMNS', '100')
  for word, module in (('train', main), ('main', main), ('sweep', sweep)):
    monkeypatch.setattr(sys, 'argv', ['/usr/bin/jaxdl', word, '--help'])
    with pytest.raises(SystemExit):
      jaxdl_main.main()
    shown = capsys.readouterr().out
    assert shown.startswith(f'usage: jaxdl {word} --config=FILE')
    assert f'\nexamples:\n  jaxdl {word} --config=' in shown
    assert module.main is not jaxdl_main.main
  monkeypatch.setattr(sys, 'argv', ['/usr/bin/jaxdl', 'status', str(tmp_path / 'none')])
  assert jaxdl_main.main() == 1
  assert capsys.readouterr().err.startswith(f'jaxdl: {tmp_path}/none does not exist')


def test_unknown_command_error_lists_the_commands(monkeypatch, capsys):
  monkeypatch.setattr(sys, 'argv', ['jaxdl', 'stauts'])
  assert jaxdl_main.main() == 1
  assert capsys.readouterr().err.startswith('jaxdl: stauts is not a command: use one of train, ')
  monkeypatch.setattr(sys, 'argv', ['jaxdl', '--version'])
  assert jaxdl_main.main() == 0
  assert capsys.readouterr().out == f'jaxdl {jaxdl.__version__}\n'


def test_configs_are_listed_and_copied(monkeypatch, capsys, tmp_path):
  def configs(*arguments):
    return command.run(
      config_main.main, ['jaxdl configs', *map(str, arguments)]
    ), capsys.readouterr()

  code, shown = configs()
  assert code == 0
  names = [line.split()[0] for line in shown.out.splitlines()]
  files = [*ROOT.glob('configs/*.py'), *ROOT.glob('configs/*/*.py')]
  assert sorted(names) == sorted(str(file.relative_to(ROOT / 'configs'))[:-3] for file in files)
  assert 'lstm_mnist                          LSTM with 128 units that reads MNIST row' in shown.out
  code, shown = configs('sweeps/losses_cifar10', f'--to={tmp_path}')
  copied = tmp_path / 'losses_cifar10.py'
  assert (code, shown.out) == (0, f'{copied}: python -m jaxdl.sweep --config={copied}\n')
  assert copied.read_text() == (ROOT / 'configs/sweeps/losses_cifar10.py').read_text()
  found = members.read(reading.read_file(copied), copied)
  assert [member.name for member in found] == ['deep_cnn_cifar10'] * 2, (
    'the base is the config of the package'
  )
  assert configs('sweeps/losses_cifar10', f'--to={tmp_path}')[1].err.endswith(
    'exists: delete it, or name another folder\n'
  )
  assert configs('lstm_mnst')[1].err == (
    'jaxdl: the package has no config lstm_mnst; did you mean lstm_mnist?\n'
  )


def test_result_is_json_except_on_a_terminal(monkeypatch, capsys):
  command.print_result({'step': 3}, as_json=False)
  monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
  command.print_result({'step': 4}, as_json=False)
  command.print_result({'step': 5}, as_json=True)
  assert capsys.readouterr().out == '{"step": 3}\n{"step": 5}\n'


def test_progress_line_fits_a_terminal_of_80_columns():
  figures = {
    split: {'loss': 0.1198, 'accuracy': 0.9644, 'examples_per_second': 10601}
    for split in ('train', 'validation', 'test')
  }
  shown = progress.fitted(progress.line(1700, 5500, figures, '0:01:16 left'), 80)
  assert shown.splitlines() == [
    'step 1,700 of 5,500  train loss 0.1198, accuracy 96.44 %',
    '  validation loss 0.1198, accuracy 96.44 %  test loss 0.1198, accuracy 96.44 %',
    '  10,601 examples/s, 0:01:16 left',
  ]
  assert (
    progress.fitted('  validation loss improved, saved', 80) == '  validation loss improved, saved'
  )


def test_spinner_is_shown_only_on_a_terminal(capsys, monkeypatch):
  with progress.waiting('preparing') as now:
    now('computing')
  assert capsys.readouterr().out == ''
  monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
  monkeypatch.setenv('TTY_COMPATIBLE', '1')  # forces the terminal output of rich
  with progress.waiting('preparing') as now:
    now('computing')
    time.sleep(0.3)
  assert 'computing' in capsys.readouterr().out


@pytest.mark.slow
def test_recorded_command_omits_the_flags_of_processes(
  small, config_file, tmp_path, monkeypatch, run_here
):
  """The recorded command is the same for all processes; it also omits --start-over."""
  monkeypatch.setattr(main.processes, 'joined', lambda *flags: contextlib.nullcontext())
  monkeypatch.chdir(tmp_path)
  code, _, _ = run_here(
    f'--config={config_file(small)}',
    '--coordinator',
    'localhost:1',
    '--workdir=a',
    '--process=0',
    '--processes',
    '2',
    '--start-over',
  )
  assert code == 0
  written = (tmp_path / 'a/command.txt').read_text()
  assert written == f'python -m jaxdl.main --config={tmp_path / "small.py"} --workdir=a\n'


@pytest.mark.slow
def test_tensorboard_files_match_the_metrics(small, config_file, tmp_path):
  pytest.importorskip('tensorboard')
  assert run_main(f'--config={config_file(small)}', f'--workdir={tmp_path / "run"}').returncode == 0
  from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

  boards = {}
  parent = EventAccumulator(str(tmp_path / 'run/tensorboard')).Reload()
  for split in ('train', 'validation', 'test'):
    boards[split] = EventAccumulator(str(tmp_path / 'run/tensorboard' / split)).Reload()
    tensors = boards[split].Tags()['tensors']
    assert {'loss', 'accuracy'} <= set(tensors), split
    assert [event.step for event in boards[split].Tensors('loss')] == [4, 8]
  tags = boards['train'].Tags()['tensors']
  assert {'samples', 'config', 'lstm/recurrent_kernel', 'logits/bias'} <= set(tags)
  assert [event.step for event in boards['train'].Tensors('lstm/recurrent_kernel')] == [4, 8]
  counts = np.frombuffer(
    boards['train'].Tensors('logits/bias')[-1].tensor_proto.tensor_content, np.float64
  ).reshape(-1, 3)[:, 2]
  assert counts.sum() == 10  # each bias is in exactly one bucket
  (event,) = boards['train'].Tensors('gradients/logits/kernel')  # from the second evaluation on
  counts = np.frombuffer(event.tensor_proto.tensor_content, np.float64).reshape(-1, 3)[:, 2]
  assert (event.step, counts.sum()) == (8, 8 * 10)
  assert [node.name for node in parent.Graph().node] == ['inputs', 'lstm', 'logits']
  assert parent.SummaryMetadata('_hparams_/session_start_info').plugin_data.plugin_name == 'hparams'
  summary = json.loads((tmp_path / 'run/summary.json').read_text())
  (event,) = parent.Tensors('best/test_loss')
  assert event.step == summary['step']
  assert np.frombuffer(event.tensor_proto.tensor_content, np.float32)[0] == pytest.approx(
    summary['test_loss'], abs=1e-5
  )
  lines = [json.loads(line) for line in (tmp_path / 'run/metrics.jsonl').read_text().splitlines()]
  expected = [line['loss'] for line in lines if line['split'] == 'test']
  found = [
    np.frombuffer(event.tensor_proto.tensor_content, np.float32)[0]
    for event in boards['test'].Tensors('loss')
  ]
  np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_training_without_tensorflow_warns_once(small, config_file, tmp_path):
  small['data']['source'] = 'auto'
  config = config_file(small)
  without = run_main(
    f'--config={config}', f'--workdir={tmp_path / "without"}', environment=WITHOUT_TENSORFLOW
  )
  assert without.returncode == 0, without.stderr
  assert without.stderr.count('TensorFlow is not installed') == 1
  assert len(without_warnings(without.stderr.splitlines())) == 1
  with_it = run_main(f'--config={config}', f'--workdir={tmp_path / "with"}')
  assert [last_json(run.stdout)['test_loss'] for run in (without, with_it)] == [
    last_json(with_it.stdout)['test_loss']
  ] * 2
  assert (tmp_path / 'without/metrics.jsonl').stat().st_size > 0
  assert not (tmp_path / 'without/tensorboard').exists()


@pytest.mark.slow
def test_run_prints_the_counts_of_examples_and_skipped_files(
  small_cnn, config_file, tmp_path, run_here
):
  for split, kind, number in itertools.product(('train', 'test'), 'ab', range(3)):
    (tmp_path / f'photos/{split}/{kind}').mkdir(parents=True, exist_ok=True)
    PIL.Image.new('RGB', (28, 28), (number, 9, 9)).save(
      tmp_path / f'photos/{split}/{kind}/{number}.png'
    )
  (tmp_path / 'photos/train/b/0.png').unlink()
  (tmp_path / 'photos/train/a/notes.txt').touch()
  small_cnn['model']['layers'][-2]['features'] = 2
  small_cnn |= {
    'train_for': '2 steps',
    'data': dict(
      name='image_folder',
      folder=str(tmp_path / 'photos'),
      source='folder',
      size=28,
      workers=0,
      batch_size=4,
      evaluation_batch_size=4,
      splits=dict(train='train', test='test'),
    ),
  }
  code, shown, lines = run_here(
    f'--config={config_file(small_cnn)}', f'--workdir={tmp_path / "run"}'
  )
  assert code == 0, lines
  assert '  train: 5 examples, a 3, b 2\n  test: 6 examples, 3 of each of 2 classes\n' in shown
  assert [line for line in lines if 'left out' in line] == [
    f'jaxdl: left out of {tmp_path}/photos: 1 not an image (train/a/notes.txt)'
  ]
  kept = json.loads((tmp_path / 'run/config.json').read_text())['dataset']
  assert (kept['examples'], kept['examples_per_class']) == (
    {'train': 5, 'test': 6},
    {'train': [3, 2], 'test': [3, 3]},
  )
  assert 'train data' in (tmp_path / 'run/report.html').read_text()


def test_describe_trains_nothing(tmp_path, run_here):
  code, shown, lines = run_here(
    '--config=configs/gru_mnist.py', '--describe', f'--workdir={tmp_path / "run"}'
  )
  assert code == 0, lines
  described = last_json(shown)
  assert described['parameters'] == described['trainable'] == 60672 + 1290
  assert [layer['name'] for layer in described['layers']] == ['gru', 'logits']
  assert described['layers'][0]['input'] == [28, 28]
  assert not (tmp_path / 'run').exists()


NOT_PREPARED = 'using the shapes, classes and counts of the full data set'


@pytest.mark.parametrize('file', sorted(ROOT.glob('configs/*.py')), ids=lambda file: file.stem)
def test_describe_works_for_every_config_without_its_data(file, tmp_path, monkeypatch, run_here):
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path))
  code, shown, lines = run_here(f'--config={file.relative_to(ROOT)}', '--describe')
  assert code == 0, lines
  described = last_json(shown)
  reported = reading.to_dict(reading.read_file(file)).get('reported', {})
  for key in ('parameters', 'trainable'):
    assert described[key] == reported.get(key, described[key])
  text = file.read_text()
  packed = "name='mnist'" in text or "name='shakespeare'" in text
  notes = [line for line in without_warnings(lines) if NOT_PREPARED in line]
  assert (len(notes), len(without_warnings(lines))) == ((0, 0) if packed else (1, 1)), lines
  assert not list(tmp_path.iterdir()), 'nothing is downloaded'


def test_describe_works_for_a_sweep_without_its_data(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(ROOT)
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path))
  assert sweep.main(['sweep', '--config=sweeps/losses_cifar10', '--describe']) == 0
  assert last_json(capsys.readouterr().out)['runs'] == 2
  assert not list(tmp_path.iterdir())


def test_known_sizes_match_the_prepared_data(monkeypatch):
  """Compares the data sets that are prepared on this machine with the known sizes and classes."""
  compared = 0
  for name, expected in stand_ins.SETS.items():
    folder = tfds_arrays.version_folder(tfds_arrays.root_folder(None), name)
    if name != 'mnist' and folder is None:
      continue
    found = DATA_SETS[name].args[0](source='auto', data_dir=None)
    columns = {split: next(iter(parts.values())) for split, parts in found.columns.items()}
    assert {split: len(values) for split, values in columns.items()} == expected.counts
    assert {values.shape[1:] for values in columns.values()} == {expected.shape}
    assert found.classes == expected.classes
    compared += 1
  assert compared


@pytest.mark.slow
def test_shorter_run_in_the_same_folder_is_rejected(small, config_file, tmp_path, run_here):
  """The files that are needed to repeat the run must be unchanged."""
  run = tmp_path / 'run'
  arguments = [f'--config={config_file(small)}', f'--workdir={run}']
  assert run_here(*arguments, '--quiet')[0] == 0
  before = {
    name: (run / name).read_bytes()
    for name in ('config.json', 'command.txt', 'lock', 'summary.json')
  }
  code, shown, lines = run_here(*arguments, '--config.train_for=4 steps')
  assert (code, shown, without_warnings(lines)) == (
    1,
    '',
    [
      f'jaxdl: {run} holds a run that is at step 8, but config.train_for ends at step 4: make it longer, or give another --workdir'
    ],
  )
  assert before == {name: (run / name).read_bytes() for name in before}
  assert '--quiet' not in before['command.txt'].decode()


def test_overrides_add_keys_missing_in_the_file(run_here):
  """Overrides numbers, texts, complete sections and keys of a layer; the last of two is used.

  Keys of the file keep their types.
  """
  code, shown, lines = run_here(
    '--config=configs/cnn_mnist.py',
    '--describe',
    '--config.l2=1e-4',
    '--config.ema_decay=0.9',
    '--config.ema_decay=0.99',
    '--config.l2_all=true',
    '--config.early_stopping=5 epochs',
    '--config.plateau.patience=2 epochs',
    '--config.plateau.factor=0.2',
    '--config.data.size=14',
    "--config.data.augment=[{'kind': 'shift', 'pixels': 2}]",
    '--config.model.layers[0].strides=2',
    '--config.seed=7',
  )
  assert code == 0, lines
  found = json.loads(shown[: shown.index('\n}\n') + 2])
  assert (found['l2'], found['l2_all'], found['ema_decay'], found['early_stopping']) == (
    1e-4,
    True,
    0.99,
    '5 epochs',
  )
  assert (found['plateau'], found['seed']) == ({'patience': '2 epochs', 'factor': 0.2}, 7)
  assert (found['data']['size'], found['data']['augment']) == (14, [{'kind': 'shift', 'pixels': 2}])
  assert last_json(shown)['layers'][0] | {'name': ''} == {
    'name': '',
    'type': 'Conv',
    'input': [14, 14, 1],
    'output': [7, 7, 32],
    'parameters': 832,
    'trainable': 832,
  }


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], '--config is missing: give one, such as --config=configs/lstm_mnist.py'),
    (
      ['--config=configs/lstm_mnst.py'],
      r'config file configs/lstm_mnst\.py does not exist: did you mean configs/lstm_mnist\.py\?$',
    ),
    (
      ['--config=configs/transformer.py'],
      r'config file configs/transformer\.py does not exist: did you mean .*configs/lstm_mnist\.py.*\?$',
    ),
    (
      ['--config=config/lstm_mnist.py'],
      r'config file config/lstm_mnist\.py does not exist: did you mean configs/lstm_mnist\.py\?$',
    ),
    (
      ['--config=configs'],
      r'config file configs is a folder: did you mean configs/bn_cnn_gray_cifar10\.py, .*\?$',
    ),
    (
      ['--config=lstm_mnst'],
      r'config file lstm_mnst does not exist: did you mean configs/lstm_mnist\.py\?$',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.optimizer=sgd'],
      r"--config\.optimizer=sgd is not valid: set single keys, such as --config\.optimizer\.name=sgd, or the section as \{'name': 'sgd', 'learning_rate': 0\.001\}",
    ),
    (
      [
        '--config=configs/lstm_mnist.py',
        '--config.optimizer.name=sgd',
        '--config.optimizer.momentum=0.9',
      ],
      r"config\.optimizer\.momentum is not a key of this section: .*; did you mean name='momentum', ",
    ),
    (['--confg=configs/lstm_mnist.py'], r'--confg is unknown: did you mean --config\?$'),
    (['--config.seed=1'], r'--config is missing: give one'),
    (['--config=README.md'], r'config file README\.md is not Python: give a \.py file'),
    (
      ['--config=configs/lstm_mnist.py', '--config.modle.features=3'],
      r'config\.modle is not a key of this section: its keys are .*model',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.model.feature=3'],
      r'config\.model\.feature is not a key of this section: its keys are .*features',
    ),
    (
      ['--config=configs/cnn_mnist.py', '--config.model.layers[0].kernal=3'],
      r'config\.model\.layers\[0\]\.kernal is not a key of this section: its keys are .*kernel',
    ),
    (
      ['--config=configs/cnn_mnist.py', '--config.model.layers[7].kernel=3'],
      r"--config\.model\.layers\[7\]\.kernel: config\.model\.layers of .* has no key '7'; its keys are 0, 1",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.seed.first=3'],
      r"--config\.seed\.first: config\.seed of .* has no key 'first'; it has no keys below it",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.l2=1', '--config.l2.strength=1'],
      r"config\.l2 of .* has no key 'strength'; it has no keys below it",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.l2', '1e-4'],
      r'--config\.l2 has no value: write --config\.l2=VALUE',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.l2=much'],
      r"config\.l2='much' is not a number: use a number from 0 on",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.plateau.patience=5'],
      r'config\.plateau\.patience=5 is not a duration',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.plateau.wait=5 epochs'],
      r'config\.plateau\.wait is not a key of this section: its keys are patience',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.data.sizes=28'],
      r'config\.data\.sizes is not a key of this section: its keys are .*size',
    ),
    (['--config=configs/lstm_mnist.py', '--config.data.batch_size=many'], '.*batch_size.*many'),
    (
      ['--config=configs/lstm_mnist.py', '--config.data.batch_size=0'],
      r'config\.data\.batch_size=0 ',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.train_for=5 hours'],
      r"config\.train_for='5 hours' is not a duration: write '5500 steps'",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.task=clasify'],
      r"config\.task='clasify' is unknown: use one of classify",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.model.cell=lsmt'],
      r"config\.model\.cell='lsmt' is unknown: use one of rnn, lstm, gru",
    ),
    (['--config=configs/lstm_mnist.py', "--config.model=dict(name='cnn')"], r'config\.model\.'),
    (
      ['--config=configs/lstm_mnist.py', '--config.data.layout=image'],
      r"config\.model\.name='recurrent' does not take examples of 28 × 28 × 1: set config\.data\.layout='rows'",
    ),
    (
      ['--config=configs/cnn_mnist.py', '--config.model.masked=True'],
      r'config\.model\.masked=True takes steps of numbers and their mask, \[T, F \+ 1\]',
    ),
    (
      ['--config=configs/cnn_mnist.py', '--config.task=next_char'],
      r"config\.task='next_char' is not a task of the model 'cnn': use 'classify', ",
    ),
    (
      ['--config=configs/cnn_mnist.py', '--config.model.layers[0].activat=False'],
      r'layers\[0\]\.activat is not a key .* kind, name, activate, initializer; did you mean activate\?',
    ),
    (
      ['--config=configs/cnn_mnist.py', '--config.model.layers[4].kind=flaten'],
      r"config\.model\.layers\[4\]\.kind='flaten' is unknown: .*; did you mean flatten\?",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.optimizer.learning_rate=fast'],
      r'--config\.optimizer\.learning_rate=fast is not a number: write one such as 0\.001',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.data.batch_size=1.5'],
      r'config\.data\.batch_size=1\.5 is not a size: use an integer of at least 1',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.model=[cnn]'],
      r"--config\.model=\[cnn\] is not valid: set single keys, such as --config\.model\.name=recurrent, or the section as \{'name': 'recurrent'",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.model.classes=9'],
      r'logits has output \[9\], but mnist has 10 classes',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.data.source=web'],
      r"config\.data\.source='web' is not a source of mnist: use one of auto",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.data.splits.train=train[:99999]'],
      r"split 'train\[:99999\]' is out of range",
    ),
    (['--config=configs/lstm_mnist.py', '--config.seed=-1'], r'config\.seed=-1 is not a seed'),
    (
      ['configs/gru_mnist.py'],
      r'--config is missing: give one, such as --config=configs/gru_mnist\.py',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--train_for=9 steps'],
      r'--train_for is unknown: .*; of the config it is --config\.train_for',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--epochs=9'],
      r'--epochs is unknown: .*; of the config it is --config\.train_for$',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--lr=1e-3'],
      r'--lr is unknown: .*; of the config it is --config\.optimizer\.learning_rate$',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--batch_size=9'],
      r'--batch_size is unknown: .*; of the config it is --config\.data\.batch_size$',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.lr=1e-3'],
      r'config\.lr is not a key of this section: .*; did you mean optimizer\.learning_rate\?$',
    ),
    (
      ['--config=configs/cnn_mnist.py', '--config.model.layers[0].filters=9'],
      r'.*filters is not a key of this section: .*; did you mean features\?$',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.learning_rate=0.1'],
      r'config\.learning_rate is not a key of .*; did you mean optimizer\.learning_rate\?$',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.optimizer.name=adm'],
      r"config\.optimizer\.name='adm' is unknown: use one of .*; did you mean adam\?$",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.data.name=mnsit'],
      r"config\.data\.name='mnsit' is unknown: use one of .*; did you mean mnist\?$",
    ),
    (
      ['--config=configs/lstm_mnist.py', '--config.optimiser.eps=1'],
      r'config\.optimiser is not a key of this section: .*; did you mean optimizer\?',
    ),
    (
      ['--config=configs/sweeps/losses_cifar10.py'],
      r'configs/sweeps/losses_cifar10\.py is a sweep: python -m jaxdl\.sweep --config=',
    ),
    (
      ['--config=configs/lstm_mnist.py', '--wokrdir=x'],
      r'--wokrdir is unknown: the flags are --config, --config\.KEY, --quiet, --json, --workdir.*; did you mean --workdir\?$',
    ),
    (['--config=configs/lstm_mnist.py', 'train'], r"argument 'train' is not a flag"),
    (['--config=configs/lstm_mnist.py', '--workdir=README.md/run'], r'.*README\.md'),
    (
      ['--config=configs/lstm_mnist.py', '--workdir=README.md'],
      r'the folder README\.md cannot be created \(a file has that name\): name another',
    ),
  ],
  ids=lambda value: ' '.join(value)[-40:] if isinstance(value, list) else '',
)
def test_bad_input_is_a_one_line_error_with_a_fix(arguments, message, run_here):
  code, _, lines = run_here(*arguments)
  assert code == 1
  assert len(lines) == 1, lines
  assert re.match(f'jaxdl: .*{message}', lines[0]), lines[0]


@pytest.mark.parametrize(
  ('given', 'flag'),
  [
    ('--start_over', 'start_over'),
    ('--start-over', 'start_over'),
    ('--data-dir=x', 'data_dir'),
    ('--trust-code', 'trust_code'),
  ],
)
def test_a_flag_has_underscores_or_dashes(given, flag):
  parser = command.Parser()
  parser.add_start_over()
  parser.add_data_places()
  parser.add_trust_code()
  assert vars(parser.parse_args([given]))[flag] in (True, 'x')


def test_the_flags_of_an_error_are_those_of_the_help(run_here, capsys):
  with pytest.raises(SystemExit):
    run_here('--help')
  shown = capsys.readouterr().out
  _, _, (error,) = run_here('--config=configs/lstm_mnist.py', '--unknown')
  listed = set(re.findall(r'--[a-z][-a-z_]*', error.partition('the flags are ')[2]))
  assert listed == set(re.findall(r'^  (--[a-z][-a-z_]*)', shown, re.MULTILINE))


@pytest.mark.parametrize(
  ('section', 'key', 'message'),
  [
    ('data', 'sale', r'config\.data\.sale is not a key of this section: its keys are .*scale'),
    (
      'optimizer',
      'lr',
      r'config\.optimizer\.lr is not a key of this section: its keys are learning_rate, .*; did you mean learning_rate\?$',
    ),
    (
      'model',
      'units',
      r'config\.model\.units is not a key of this section: its keys are cell, features, .*; did you mean features\?$',
    ),
    (
      None,
      'epochs',
      r'config\.epochs is not a key of this section: its keys are task, .*; did you mean train_for\?$',
    ),
  ],
)
def test_bad_input_in_a_config_file_names_the_valid_keys(
  section, key, message, small, config_file, run_here
):
  (small[section] if section else small)[key] = 1
  code, _, lines = run_here(f'--config={config_file(small)}', '--describe')
  assert code == 1
  assert len(lines) == 1, lines
  assert re.match(f'jaxdl: {message}', lines[0]), lines


def test_run_folder_given_as_config_names_its_command(run_here, tmp_path):
  (tmp_path / 'command.txt').write_text('python -m jaxdl.main --config=configs/lstm_mnist.py\n')
  code, _, lines = run_here(str(tmp_path))
  assert (code, lines) == (
    1,
    [
      f'jaxdl: --config is missing: {tmp_path} is the run of python -m jaxdl.main --config=configs/lstm_mnist.py'
    ],
  )


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['a', '--kind=gren'], '--kind=gren is unknown: did you mean green?'),
    (['a', '--kind=3'], '--kind=3 is unknown: use green, red'),
    (['a', '--out'], '--out has no value: see jaxdl.test --help'),
    (['a', '--quiet'], 'unrecognized arguments: --quiet: see jaxdl.test --help'),
    (['a', '--ot=x'], 'unrecognized arguments: --ot=x: did you mean --out?'),
    ([], 'missing: RUN: see jaxdl.test --help'),
  ],
)
def test_bad_input_has_the_same_messages_in_all_commands(arguments, message):
  parser = command.Parser(prog='jaxdl.test')
  parser.add_argument('runs', metavar='RUN')
  parser.add_argument('--out')
  parser.add_argument('--kind', choices=['green', 'red'])
  with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
    parser.parse_args(arguments)


def test_bad_input_exits_with_code_1():
  run = run_main('--config=configs/lstm_mnst.py')
  assert run.returncode == 1
  assert run.stdout == ''
  assert len(run.stderr.splitlines()) == 1
  assert run.stderr.startswith(
    'jaxdl: config file configs/lstm_mnst.py does not exist: did you mean configs/lstm_mnist.py?'
  )


@pytest.mark.slow
def test_bad_input_nan_error_names_the_step_and_the_fix(small, config_file, tmp_path, run_here):
  small['optimizer']['learning_rate'] = 1e38
  code, _, lines = run_here(f'--config={config_file(small)}', f'--workdir={tmp_path / "run"}')
  lines = without_warnings(lines)
  assert code == 1
  assert len(lines) == 1, lines
  assert re.match(
    r'jaxdl: .* not finite at step \d: no checkpoint was written yet; lower config\.optimizer',
    lines[0],
  )


def test_readme_has_two_setup_commands_and_ci_runs_the_second():
  commands = re.findall(r'^(python3 -m venv .*)$', README, re.MULTILINE)
  assert len(commands) == 2
  assert commands[0].endswith('python -m jaxdl.main --config=configs/lstm_mnist.py')
  assert commands[1].endswith('python -m pytest')
  assert commands[1] in (ROOT / '.ci/run').read_text()


def test_readme_commands_use_existing_files_and_flags(run_here):
  pages = [README, *(page.read_text() for page in sorted(ROOT.glob('docs/*.md')))]
  found = [
    line
    for page in pages
    for line in re.findall(r'^(?:.*&& .*)?python -m jaxdl\.main (.*)$', page, re.MULTILINE)
  ]
  assert len(found) > 3
  for line in found:
    # tested in test_readme.py, test_import_weights.py and test_adding.py, which create what they read
    if any(word in line for word in ('photographs', 'start_from', 'mean_state')):
      continue
    arguments = [
      argument
      for argument in shlex.split(line, comments=True)
      if not argument.startswith('--workdir')
    ]
    code, _, lines = run_here(*arguments, '--describe')
    assert code == 0, (line, lines)


def test_wheel_contains_data_and_configs_and_works(tmp_path):
  build = run_child(
    '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '--quiet', '-w', tmp_path, ROOT
  )
  if build.returncode and 'setuptools' in build.stderr:
    pytest.skip('setuptools is not installed')
  assert build.returncode == 0, build.stderr
  (wheel,) = tmp_path.glob('*.whl')
  names = set(zipfile.ZipFile(wheel).namelist())
  bundled = [file for file in (ROOT / 'jaxdl/data/bundled').rglob('*') if file.is_file()]
  code = (ROOT / 'jaxdl').rglob('*.py')
  pages = [
    file for kind in ('html', 'css', 'js') for file in (ROOT / 'jaxdl/report').glob(f'*.{kind}')
  ]
  files = [*bundled, *code, *pages, ROOT / 'jaxdl/py.typed']
  assert {file.relative_to(ROOT).as_posix() for file in files} <= names
  assert not any('/javascript/' in name for name in names)
  configs = (ROOT / 'configs').rglob('*.py')
  assert {f'jaxdl/{file.relative_to(ROOT).as_posix()}' for file in configs} <= names
  installed, elsewhere = tmp_path / 'installed', tmp_path / 'elsewhere'
  elsewhere.mkdir()
  zipfile.ZipFile(wheel).extractall(installed)
  environment = {'PYTHONPATH': str(installed), 'TFDS_DATA_DIR': str(elsewhere)}
  arguments = ('-m', 'jaxdl.main', '--config=lstm_mnist', '--describe', '--quiet')
  run = run_child(*arguments, folder=elsewhere, environment=environment)
  assert run.returncode == 0, run.stderr
  assert last_json(run.stdout)['parameters'] == 81_674
  listed = run_child('-m', 'jaxdl', 'configs', folder=elsewhere, environment=environment)
  assert len(listed.stdout.splitlines()) == len(list((ROOT / 'configs').rglob('*.py')))
  missing = run_child(
    '-m', 'jaxdl.main', '--config=configs/lstm_mnist.py', folder=elsewhere, environment=environment
  )
  assert missing.stderr == (
    'jaxdl: config file configs/lstm_mnist.py does not exist: did you mean lstm_mnist?\n'
  )


@pytest.mark.skipif(sys.platform != 'linux', reason='needs /dev/full')
@pytest.mark.parametrize('closed', ['pipe', 'full', 'missing'])
def test_training_continues_without_standard_output(closed, small, config_file, tmp_path):
  """As after `| head` or a lost connection, on a full disk, and with closed streams."""
  folder = tmp_path / 'run'
  arguments = ['-m', 'jaxdl.main', f'--config={config_file(small)}', f'--workdir={folder}']
  command = shlex.join([sys.executable, *arguments])
  ending = {'pipe': '| head -c 1', 'full': '> /dev/full', 'missing': '>&- 2>&-'}[closed]
  done = subprocess.run(
    ['bash', '-o', 'pipefail', '-c', f'{command} {ending}'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    env={**os.environ, **WITHOUT_TENSORFLOW},
  )
  assert done.returncode == 0, done.stderr
  assert json.loads((folder / 'summary.json').read_text())['stopped'] is None
  assert 'Traceback' not in done.stderr
  if closed != 'missing':
    reason = {'pipe': 'Broken pipe', 'full': 'No space left on device'}[closed]
    lines = [line for line in done.stderr.splitlines() if 'left out' in line]
    assert lines == [f'warning: standard output left out: {reason}']
