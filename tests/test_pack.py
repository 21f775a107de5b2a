"""`jaxdl.pack`: commands accept a packed run instead of the folder of a run."""

import functools
import json
import re
import shutil
import subprocess
import zipfile

import jax
import numpy as np
import pytest
from helpers import SMALL, last_json

import jaxdl
from jaxdl import analyze, generate, main, pack, status
from jaxdl.data import DATA_SETS, images
from jaxdl.data.sets import mnist
from jaxdl.report import __main__ as report
from jaxdl.runs import checkpoint, integrity, packed, record
from jaxdl.terminal import command
from jaxdl.training import experiment, loop

PRIVATE = '/home/somebody/tensorflow_datasets'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  """The folder of a trained run whose config contains private paths, as with TFDS data."""
  folder = tmp_path_factory.mktemp('runs') / 'small'
  loop.train(experiment.build(SMALL, 'small'), folder)
  (folder / 'command.txt').write_text(f'python -m jaxdl.main --config=small --workdir={folder}\n')
  files = [folder / 'config.json', *folder.glob('checkpoints/*/config/metadata')]
  for file in files:
    config = json.loads(file.read_text())
    config['dataset']['data_dir'] = config['data']['data_dir'] = PRIVATE
    file.write_text(json.dumps(config))
    sums = file.parent.with_name('checksums') / 'metadata'
    if sums.is_file():
      crc = integrity.of_json(config)
      sums.write_text(json.dumps({**json.loads(sums.read_text()), 'config': crc}))
  return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
  """A copy of the run in a temporary folder, with an empty cache."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  return shutil.copytree(trained, tmp_path / 'runs/small')


@pytest.fixture
def file(run):
  """The packed run, the only file in its folder."""
  file = run.parent / 'packed/small.zip'
  file.parent.mkdir()
  pack.pack(run, file)
  return file


def run_command(module, *arguments):
  return command.run(module.main, [module.__name__, *map(str, arguments)])


def test_pack_writes_the_file_next_to_the_run(run, capsys):
  assert run_command(pack, run) == 0
  out = capsys.readouterr().out
  file = run.with_name('small.zip')
  assert re.match(rf'{re.escape(str(file))}: \d+ files, [\d,]+ kB\n', out)
  found = last_json(out)
  assert found['file'] == str(file)
  assert (found['bytes'], found['sha256']) == (file.stat().st_size, integrity.of_file(file))
  with zipfile.ZipFile(file) as archive:
    names = archive.namelist()
  assert sorted([*found['files'], packed.MANIFEST]) == names
  assert {'config.json', 'summary.json', 'metrics.jsonl', 'command.txt', 'card.md', 'report.html'}
  steps = {name.split('/')[1] for name in names if name.startswith('checkpoints/')}
  assert steps == {str(record.load(run).summary['step'])}, 'not only the best checkpoint was packed'
  assert not [name for name in names if '/train/' in name], 'the optimizer state was packed'
  assert run_command(pack, run, '--quiet') == 0
  assert json.loads(capsys.readouterr().out) == found, 'packing again changed the file'


def test_pack_bytes_are_independent_of_the_folder(run, file, tmp_path):
  other = shutil.copytree(run, tmp_path / 'elsewhere/small')
  pack.pack(other, tmp_path / 'small.zip')
  assert (tmp_path / 'small.zip').read_bytes() == file.read_bytes()


def test_pack_removes_the_paths_of_the_machine(run, file, tmp_path):
  with zipfile.ZipFile(file) as archive:
    for name in archive.namelist():
      content = archive.read(name)
      for private in (tmp_path, run, PRIVATE, 'somebody', 'tensorflow_datasets'):
        assert str(private).encode() not in content, name
    assert archive.read('command.txt') == (b'python -m jaxdl.main --config=small --workdir=small\n')
    card = archive.read('card.md').decode()
  assert "run = jaxdl.load('small.zip')" in card
  assert PRIVATE in (run / 'config.json').read_text(), 'the run itself was changed'


def test_pack_preserves_the_network(run, file):
  ours, theirs = jaxdl.load(run), jaxdl.load(file)
  assert theirs.summary == ours.summary
  assert theirs.history == ours.history
  assert theirs.model == ours.model
  jax.tree.map(np.testing.assert_array_equal, theirs.variables, ours.variables)
  assert checkpoint.kept_steps(file) == [ours.summary['step']]
  assert checkpoint.load_step(file, 'last')[0] == ours.summary['step']
  with pytest.raises(FileNotFoundError, match=r'small\.zip has no checkpoint 99: it has \['):
    checkpoint.load_step(file, 99)


def test_pack_code_and_checksum_of_the_card_are_valid(file, tmp_path, monkeypatch):
  """The Python code of the card runs, and its command prints the stated checksum."""
  monkeypatch.chdir(file.parent)
  with zipfile.ZipFile(file) as archive:
    card = archive.read('card.md').decode()
  (code,) = re.findall(r'```python\n(.*?)```', card, re.DOTALL)
  images = mnist.mnist(source='bundled', data_dir=None).columns['test']['image'][:50]
  names = {'images': images}
  exec(compile(code, 'card.md', 'exec'), names)
  labels = mnist.mnist(source='bundled', data_dir=None).columns['test']['label'][:50]
  accuracy = (names['found'].logits.argmax(-1) == labels).mean()
  assert accuracy == pytest.approx(names['run'].summary['test_accuracy'], abs=1e-6)
  if shutil.which('sha256sum') is None:
    pytest.skip('no sha256sum')
  shell, stated = re.search(r'```bash\n(cd .*)\n# (\w{64})\n```', card).groups()
  printed = subprocess.run(
    ['bash', '-c', shell], cwd=packed.opened(file), capture_output=True, text=True, check=True
  )
  assert printed.stdout.split()[0] == stated


def test_pack_file_is_accepted_by_every_command(file, capsys):
  before = file.read_bytes()
  results = file.with_name('small.results')
  assert run_command(status, file) == 0
  out = capsys.readouterr().out
  assert out.startswith(f'{file}: finished\n')
  assert ' ago' not in out, 'the time since unpacking is shown'
  assert not results.exists()
  assert run_command(report, file) == 0
  assert capsys.readouterr().out.startswith(f'{results / "report.html"}: ')
  assert f'python -m jaxdl.analyze {file} --only=errors' in (results / 'card.md').read_text()
  assert run_command(analyze, file, '--only=errors,weights', '--images=50') == 0
  assert f'{file} at step ' in capsys.readouterr().out
  made = {path.stem for path in (results / 'analysis').glob('*.json')}
  assert made >= {'confusion', 'weights'}
  card = (results / 'card.md').read_text()
  assert 'on 50 test examples.' in card
  assert 'data:image/png' in (results / 'report.html').read_text()
  assert run_command(generate, file) == 1
  assert "small.zip holds a run of the model 'recurrent'" in capsys.readouterr().err
  run = file.parents[1] / 'small'
  assert run_command(report, file, run, f'--out={file.parent / "both.html"}') == 0
  html = (file.parent / 'both.html').read_text()
  assert 'packed/small.zip' in html
  assert str(packed.opened(file)) not in html
  assert file.read_bytes() == before
  assert sorted(path.name for path in file.parent.iterdir()) == [
    'both.html',
    'small.results',
    'small.zip',
  ]


def test_pack_training_in_a_packed_run_is_rejected(file, config_file, capsys):
  before = file.read_bytes()
  config = config_file(SMALL)
  assert run_command(main, f'--config={config}', f'--workdir={file}') == 1
  assert capsys.readouterr().err.splitlines()[-1] == (
    f'jaxdl: {file} is a packed run, which is read-only: name a folder'
  )
  with pytest.raises(ValueError, match='is a packed run, which is read-only'):
    jaxdl.train(SMALL, file)
  assert file.read_bytes() == before


def test_pack_analyses_of_weights_need_no_data(file, monkeypatch, capsys):
  def absent(*, source, data_dir):
    raise OSError('mnist is missing')

  monkeypatch.setitem(DATA_SETS, 'mnist', functools.partial(images.load, absent))
  assert run_command(analyze, file, '--only=weights') == 0
  assert run_command(analyze, file, '--only=errors') == 1
  assert 'mnist is missing' in capsys.readouterr().err


def test_pack_omits_pictures_unless_the_licence_allows_copies(run, tmp_path, capsys):
  """The card keeps the recall of each class, which is computed from the confusion matrix."""
  assert run_command(analyze, run, '--only=errors', '--images=50') == 0
  confusion = run / 'analysis/confusion.json'
  flags = f'--images=50 --data_dir={PRIVATE}'
  confusion.write_text(json.dumps({**json.loads(confusion.read_text()), 'flags': flags}))
  pack.pack(run, tmp_path / 'with.zip')
  for file in [run / 'config.json', *run.glob('checkpoints/*/config/metadata')]:
    file.write_text(file.read_text().replace('"mnist"', '"cifar10"'))
    sums = file.parent.with_name('checksums') / 'metadata'
    if sums.is_file():
      crc = integrity.of_json(json.loads(file.read_text()))
      sums.write_text(json.dumps({**json.loads(sums.read_text()), 'config': crc}))
  capsys.readouterr()
  assert run_command(pack, run, f'--out={tmp_path / "without.zip"}') == 0
  out = capsys.readouterr().out
  assert (
    'report.html has no pictures, because the licence of cifar10 is not known to allow copies: '
    '--pictures keeps them\n'
  ) in out
  assert run_command(pack, run, f'--out={tmp_path / "asked.zip"}', '--pictures') == 0
  pages = {}
  for name in ('with', 'without', 'asked'):
    with zipfile.ZipFile(tmp_path / f'{name}.zip') as archive:
      pages[name] = archive.read('report.html').decode()
      assert 'on 50 test examples.' in archive.read('card.md').decode()
      assert not [name for name in archive.namelist() if name.endswith('.png')]
      arrays = [name for name in archive.namelist() if name.endswith('.npz')]
      assert arrays == ([] if name == 'without' else ['examples.npz'])
  picture = re.compile('data:image/[a-z+]+[;,][^"\']{100}')
  assert [bool(picture.search(page)) for page in pages.values()] == [True, False, True]
  assert '--only=errors --images=50 --data_dir=tensorflow_datasets</code>' in pages['with']
  assert 'somebody' not in ''.join(pages.values())


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda run: (run / 'summary.json').unlink(), 'has no summary.json: finish its training first'),
    (
      lambda run: shutil.rmtree(run / 'checkpoints'),
      ', which summary.json describes: train it again',
    ),
    (lambda run: (run / 'summary.json').write_text('{'), 'is not JSON'),
    (lambda run: (run / 'config.json').unlink(), 'contains no run: give the folder of a run'),
  ],
  ids=['no summary', 'no checkpoints', 'damaged summary', 'no config'],
)
def test_pack_rejects_incomplete_and_damaged_runs(run, change, message, capsys):
  change(run)
  assert run_command(pack, run) == 1
  assert message in capsys.readouterr().err
  assert not list(run.parent.glob('*.zip*'))


def test_pack_rejects_a_damaged_checkpoint(run, capsys):
  for file in run.glob('checkpoints/*/model/ocdbt.process_0/d/*'):
    file.write_bytes(file.read_bytes()[::-1])
  assert run_command(pack, run) == 1
  assert 'is damaged' in capsys.readouterr().err
  assert not list(run.parent.glob('*.zip*'))


def test_pack_path_errors_name_the_fix(run, file, capsys):
  assert run_command(pack, file) == 1
  assert f'{file} is already packed: give the folder of a run' in capsys.readouterr().err
  for out, message in (
    ('x.tar', '--out=x.tar is not a .zip file: name one, such as small.zip'),
    (run.parent / 'absent/x.zip', 'absent does not exist: create it, or name another'),
  ):
    assert run_command(pack, run, f'--out={out}') == 1
    assert message in capsys.readouterr().err


def test_pack_misspelt_file_error_suggests_the_name(file, capsys):
  assert run_command(status, file.with_name('smal.zip')) == 1
  assert f'did you mean {file}?' in capsys.readouterr().err
  (file.parent / 'notes.txt').touch()
  assert run_command(analyze, file.parent / 'notes.txt') == 1
  assert 'is a file: give the folder of a run, or a .zip of one' in capsys.readouterr().err


@pytest.mark.slow
def test_pack_code_of_a_language_model_card_is_valid(small_text, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  small_text['train_for'] = '2 steps'
  loop.train(experiment.build(small_text, 'text'), tmp_path / 'text')
  pack.pack(tmp_path / 'text', tmp_path / 'text.zip')
  with zipfile.ZipFile('text.zip') as archive:
    card = archive.read('card.md').decode()
  (code,) = re.findall(r'```python\n(.*?)```', card, re.DOTALL)
  (tmp_path / 'text.txt').write_text('To be, or not to be')
  names = {}
  exec(compile(code, 'card.md', 'exec'), names)
  (measured,) = names['measured']
  assert measured.bits_per_character > 0
  assert 'It predicts the next character of a text, one of 84 characters.' in card
  assert 'python -m jaxdl.generate text.zip --length=300' in card
  assert '| licence of the data | public domain |' in card
