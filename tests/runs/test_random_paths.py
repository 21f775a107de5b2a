"""Every command on runs in folders of random names, reached in every way.

All runs share one network, one data set and one compiled program, and pictures are not drawn: the
name of a folder changes none of them.
"""

import contextlib
import csv
import dataclasses
import functools
import html.parser
import importlib.util
import io
import json
import os
import pathlib
import random
import shutil
import signal
import unicodedata
import urllib.parse

import jax
import numpy as np
import PIL.Image
import pytest
from helpers import SMALL

from jaxdl import analyze, export, figures, main, pack, predict, status
from jaxdl.config.paths import is_utf8
from jaxdl.data.photographs import folders
from jaxdl.report import __main__ as report
from jaxdl.runs import checkpoint
from jaxdl.terminal import command
from jaxdl.training import experiment, loop, programs

COUNT = 1000
SPECIAL = '[]*?\\!"#$%&\'(){}|;:<>,=^`~@+- .\n\t\r\x01\x1b\x7f\x85\u2028ab1'
ODD = (
  *('[x]', '[!x]', '**', '*', '?', '{a,b}', '[', ']', '[[]', '!(x)'),
  *('-', '--', '-a', '--help', '--workdir=b', '--config.seed=1', '@file', '+x', '='),
  *('%41', '%2F', '%', '%s', '%(x)s', '{0}', '{{x}}', '{% x %}', '${HOME}', '$(id)', '`id`', '\\n'),
  *('gs:', 's3:', 'file:', 'http:', 'gs', 's3', 'memory:', 'C:', 'C:\\runs', '\\\\host\\runs'),
  *('~', '~root', '...', '.. ', ' ', '. .', '.hidden', 'run.', 'run ', ' run', 'NUL', 'CON.txt'),
  *('a.zip', '.zip', 'a.ZIP', 'a.py', 'a.npz', 'a.results', 'report.html', 'config.json', 'a.new'),
  *(
    'checkpoints',
    'analysis',
    'damaged',
    'runs',
    '0',
    '8',
    'best',
    'last',
    'None',
    'null',
    'train',
  ),
  *('<b>', '"><script>', '&amp;', '<script>', '<!--', "'", '"', '\\', '\\"', '#', ';', '|', '&'),
  *('\n', 'a\nb', '\r', '\t', '\x1b[31m', '\x07', '\x85', '\u2028', '\u2029', '\x1c', '\ufeff'),
  *('\u202e', '\u200b', '\u200d', '\u0301', '\u05d0\u05d1', '\u0627\u0644', 'İ', 'ß', 'ﬁ', 'Ａ'),
  *(
    '\ufffe',
    '\uffff',
    '\U0010ffff',
    '\ue000',
    '👨‍👩‍👧',
    '🏳️‍🌈',
    'e\u0301' * 20,
    'Z\u0351\u036b\u0343',
  ),
)
SVG = 'http://www.w3.org/2000/svg'
ACCENTED = 'éàÅñöçạǖḉ각힣ガệ'


def special(generator):
  return ''.join(generator.choices(SPECIAL, k=generator.randint(1, 40)))


def of_a_plane(generator):
  """Characters of one of the 17 planes of Unicode, assigned or not, without surrogates."""
  plane = generator.randrange(17)
  places = [generator.randrange(1, 0xFFFF) for _ in range(generator.randint(1, 12))]
  return ''.join(
    chr(plane << 16 | at) for at in places if not (plane == 0 and 0xD800 <= at < 0xE000)
  )


def decomposed_or_composed(generator):
  text = ''.join(generator.choices(ACCENTED, k=generator.randint(1, 12)))
  return unicodedata.normalize(generator.choice(['NFC', 'NFD', 'NFKC', 'NFKD']), text)


def right_to_left(generator):
  letters = 'אבגדהשת' + 'ابتثجحخ' + '\u202b\u202e\u2067\u2069\u200f' + 'ab1'
  return ''.join(generator.choices(letters, k=generator.randint(2, 20)))


def long(generator):
  """A name of 200 to 255 bytes, the longest that file systems allow."""
  character = generator.choice(['a', ' x', 'é', '[', '漢', '😀', '\\', "'", '*'])
  size = generator.randint(200, 255)
  return character * (size // len(character.encode()))


def not_utf8(generator):
  return os.fsdecode(b'a' + bytes(generator.choices(range(0x80, 0x100), k=4)) + b'\xff')


KINDS = (special, of_a_plane, decomposed_or_composed, right_to_left, long, not_utf8)


def random_name(generator, number):
  """A folder's name; each of ODD first, then the kinds in random order."""
  if number < len(ODD):
    return ODD[number]
  kind = generator.choices(KINDS, weights=(8, 8, 4, 2, 4, 1))[0]
  name = kind(generator).replace('/', '_').replace('\0', '_')
  return name if name not in ('', '.', '..') else 'plain'


def new_folder(generator, parent, number):
  """Creates the folder of a run's parents; returns the path of the run.

  One in four is in a folder of another random name, one in eight in up to eight of them.
  """
  depth = generator.choice([0, 0, 0, 0, 0, 1, 1, generator.randint(2, 8)])
  folder = parent
  for _ in range(depth):
    folder /= random_name(generator, generator.choice([COUNT, generator.randrange(len(ODD))]))
  with contextlib.suppress(OSError):  # a path of too many bytes is refused by the command
    folder.mkdir(parents=True, exist_ok=True)
  return folder / random_name(generator, number)


def ways(generator, run, home, monkeypatch):
  """Changes the working directory; returns a text that reaches a run from there.

  Args:
    generator: random.Random.
    run: absolute path of the run.
    home: folder for working directories and links.
    monkeypatch: pytest's.
  """
  way = generator.randrange(8)
  elsewhere = home / f'elsewhere {generator.randrange(10**9)}'
  elsewhere.mkdir()
  if way == 0:
    monkeypatch.chdir(elsewhere)
    return str(run)
  if way == 1:
    monkeypatch.chdir(run.parent)
    return run.name
  if way == 2:
    monkeypatch.chdir(run.parent)
    return f'./{run.name}/'
  if way == 3:
    monkeypatch.chdir(elsewhere)
    return os.path.relpath(run, elsewhere)
  if way == 4:
    link = elsewhere / '[link]'
    link.symlink_to(run.parent)
    return str(link / run.name)
  if way == 5:
    link = elsewhere / 'link*'
    link.symlink_to(os.path.relpath(run, elsewhere), target_is_directory=True)
    run.mkdir(exist_ok=True)
    return str(link)
  if way == 6:
    run.mkdir(exist_ok=True)
    monkeypatch.chdir(run)
    return '.'
  monkeypatch.chdir(elsewhere)
  return str(run.parent) + '//.//' + run.name


def config_of(**data):
  """The config of a tiny convolutional network on a data section."""
  layers = (
    dict(kind='conv', features=2, kernel=3, strides=2),
    dict(kind='flatten'),
    dict(kind='dense', features='classes', activate=False, name='logits'),
  )
  return {**SMALL, 'model': dict(name='cnn', layers=layers), 'data': dict(data, batch_size=8)}


def write_config(file, config):
  file.write_text(
    f'import ml_collections\n\ndef get_config():\n  return ml_collections.ConfigDict({config!r})\n'
  )


class Links(html.parser.HTMLParser):
  """The addresses in a page."""

  def __init__(self, text):
    super().__init__()
    self.found = []
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.found += [value for name, value in attrs if name in ('src', 'href', 'srcset', 'poster')]


def check_page(file):
  """Checks that a page shows its own files: its data is inside, and links lead to existing files."""
  text = file.read_text(encoding='utf-8')
  for address in Links(text).found:
    if not address.startswith(('#', 'data:')):
      path, _, _ = urllib.parse.unquote(address).partition('#')
      assert (file.parent / path).exists(), address
  assert text.count('<script') == text.count('</script'), 'a name ends the script of the page'


def run(module, *arguments):
  """Calls a command; returns (exit code, output, errors), in which every character is UTF-8."""
  files = [io.TextIOWrapper(io.BytesIO(), encoding='utf-8', newline='') for _ in range(2)]
  with contextlib.redirect_stdout(files[0]), contextlib.redirect_stderr(files[1]):
    code = command.run(module.main, [module.__name__, *arguments])
  texts = []
  for file in files:
    file.flush()
    texts.append(file.buffer.getvalue().decode())
  assert 'Traceback' not in texts[1]
  return code, *texts


def done(module, *arguments):
  """The output of a command that succeeds without any warning about a file."""
  code, printed, errors = run(module, *arguments)
  assert code == 0, errors
  assert 'could not' not in errors, errors
  assert 'failed' not in errors, errors
  return printed


def without_tensorboard(monkeypatch):
  find = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util, 'find_spec', lambda name: None if name == 'tensorflow' else find(name)
  )


class Commands:
  """Calls commands in this process, as from a shell.

  Args:
    folder: folder for the config, the data and an image.
    monkeypatch: pytest's.
  """

  def __init__(self, folder, monkeypatch):
    draw = np.random.default_rng(0).integers
    labels = np.arange(40, dtype=np.int32) % 2
    images = draw(0, 100, (40, 8, 8, 1)).astype(np.uint8) + 100 * labels[:, None, None, None]
    np.savez(folder / 'data.npz', x=images.astype(np.uint8), y=labels)
    PIL.Image.fromarray(images[0, ..., 0].astype(np.uint8)).save(folder / 'one.png')
    config = config_of(name='arrays', file=str(folder / 'data.npz'), layout='image')
    self.config = folder / 'small.py'
    write_config(self.config, config)
    self.image, self.stops = str(folder / 'one.png'), False
    built = experiment.build(config, 'small')
    program = programs.of_one(built)
    self.initial = jax.device_get(program.initial_states(compile_step=True)[0])
    program = dataclasses.replace(
      program, initial_states=lambda **_: [jax.tree.map(np.array, self.initial)]
    )
    monkeypatch.setattr(main.experiment, 'build', lambda *_, **__: built)
    monkeypatch.setattr(loop.programs, 'of_one', lambda _: program)
    monkeypatch.setattr(loop, 'stop_signals', self._stop_signals(loop.stop_signals))
    without_tensorboard(monkeypatch)
    figures.load_library()
    import matplotlib.figure

    blank = matplotlib.figure.Figure((0.1, 0.1))
    monkeypatch.setattr(matplotlib.figure.Figure, 'savefig', without_drawing)
    for name in ('confusion_matrix', 'image_grid', 'reliability', 'tiles'):
      monkeypatch.setattr(figures, name, lambda *_, **__: blank)
    monkeypatch.setenv('XDG_CACHE_HOME', str(folder / 'cache'))
    loop.train(built, folder / 'uninterrupted')
    self.expected = self.state(folder / 'uninterrupted')

  def _stop_signals(self, recorded):
    """Sends SIGTERM when a training starts that shall be stopped."""

    @contextlib.contextmanager
    def stop_signals():
      with recorded() as signals:
        if self.stops:
          signal.raise_signal(signal.SIGTERM)
        yield signals

    return stop_signals

  def state(self, workdir):
    """The State of a run's last checkpoint."""
    with checkpoint.manager(workdir) as checkpoints:
      return checkpoint.restore(checkpoints, self.initial, step=checkpoints.latest_step())

  def train(self, workdir, *, stops):
    self.stops = stops
    return run(main, f'--config={self.config}', f'--workdir={workdir}')


def without_drawing(figure, file, *, format='png', **_):
  """Writes an empty picture in place of a figure, for `Figure.savefig`."""
  if format == 'svg':
    file.write(f'<svg xmlns="{SVG}" width="1pt" height="1pt"><style type="text/css"></style></svg>')
  else:
    PIL.Image.new('RGB', (1, 1)).save(file, 'PNG')


def as_argument(generator, path):
  """The arguments that name a run, for a command that takes it as DIR or after --workdir."""
  dashed = path.startswith('-')
  return generator.choice([[f'--workdir={path}'], [f'./{path}' if dashed else path]])


def files_below(folder):
  return {path: path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


def check_one(commands, generator, number, home, monkeypatch):
  """Trains, resumes, analyses, reports, predicts and packs a run in a folder of a random name.

  Returns:
    Whether the folder was refused before the first step.
  """
  workdir = new_folder(generator, home / 'runs', number)
  twin = workdir.with_name(
    unicodedata.normalize(
      'NFD' if workdir.name == unicodedata.normalize('NFC', workdir.name) else 'NFC', workdir.name
    )
  )
  beside = {}
  if twin != workdir and workdir.parent.is_dir():
    with contextlib.suppress(OSError):
      twin.mkdir()
      (twin / 'config.json').write_text('{}')
      beside = files_below(twin)
  reach = functools.partial(ways, generator, workdir, home, monkeypatch)
  try:
    first = reach()
  except OSError:  # the system calls refuse it
    first = str(workdir)
  code, _, errors = commands.train(first, stops=True)
  if code == 1:
    assert len(errors.splitlines()) == errors.count('\n') == 1, errors
    assert not list(home.rglob('metrics.jsonl'))
    return True
  assert code == command.STOPPED, errors
  assert (workdir / 'checkpoints/1').is_dir()
  code, _, errors = commands.train(reach(), stops=False)
  assert code == 0, errors
  jax.tree.map(np.testing.assert_array_equal, commands.state(reach()), commands.expected)
  assert not (workdir / 'damaged').exists()
  done(analyze, '--only=filters,errors', *as_argument(generator, reach()))
  pictures = {path.name for path in (workdir / 'analysis').iterdir()}
  assert {'confusion.png', 'mistakes.png', 'calibration.npz'} <= pictures
  assert any(name.startswith('filters_') for name in pictures)
  place = reach()
  done(report, f'./{place}' if place.startswith('-') else place)
  check_page(workdir / 'report.html')
  place = reach()
  (found,) = json.loads(done(status, '--', place).splitlines()[-1])
  assert (found['state'], found['checkpoint']) == ('finished', 8)
  place = reach()
  printed = done(predict, '--page', f'--workdir={place}', commands.image)
  (row,) = json.loads(printed.splitlines()[-1])['rows']
  check_page(workdir / 'predictions/page.html')
  place, packed = reach(), home / 'packed.zip'
  if len(os.fsencode(f'{workdir.name}.zip.new')) > 255:
    done(pack, f'--workdir={place}', f'--out={packed}')
  else:
    done(pack, f'--workdir={place}')
    beside_run = workdir if place == '.' else pathlib.Path(place).absolute()
    packed = beside_run.with_name(f'{workdir.name}.zip').resolve()
  monkeypatch.chdir(packed.parent)
  name = generator.choice([str(packed), f'./{packed.name}', os.path.relpath(packed)])
  printed = done(predict, f'--workdir={name}', commands.image)
  assert json.loads(printed.splitlines()[-1])['rows'] == [row]
  done(report, str(packed))
  check_page(packed.with_name(f'{packed.name[:-4]}.results') / 'report.html')
  if beside:
    assert files_below(twin) == beside
  return False


def check_many(numbers, tmp_path, monkeypatch):
  """Checks runs, each with random draws of its own number.

  Returns:
    (number of refused folders, descriptions of the failed runs).
  """
  commands, refused, failed = Commands(tmp_path, monkeypatch), 0, []
  for number in numbers:
    home = tmp_path / 'home'
    (home / 'runs').mkdir(parents=True)
    try:
      refused += check_one(commands, random.Random(number), number, home, monkeypatch)
    except Exception as error:
      paths = [ascii(str(path.relative_to(home))) for path in (home / 'runs').rglob('*')][:3]
      failed.append(f'number {number}, {", ".join(paths)}: {type(error).__name__} {error}')
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(home)
    shutil.rmtree(tmp_path / 'cache', ignore_errors=True)
  return refused, failed


def test_random_paths_run_every_command(tmp_path, monkeypatch):
  numbers = [ODD.index('[x]'), ODD.index('--workdir=b'), ODD.index('a\nb'), COUNT]
  assert check_many(numbers, tmp_path, monkeypatch) == (0, [])


@pytest.mark.slow
def test_random_paths_run_every_command_a_thousand_times(tmp_path, monkeypatch, reliability):
  refused, failed = check_many(range(COUNT), tmp_path, monkeypatch)
  reliability(
    'runs in folders of random names, absolute, relative or linked, from changing working '
    'directories: stopped, resumed to the bit, analysed, reported, applied and packed, or refused '
    'before the first step',
    COUNT,
    COUNT - len(failed),
  )
  assert not failed, '\n'.join(failed)
  assert 0 < refused < COUNT / 10


def is_class(name):
  """Whether a folder of a name is the folder of a class."""
  return is_utf8(name) and not name.startswith('.') and name.lower() not in folders.SPLITS


def check_data_and_outputs(folder, name):
  """The config, the photographs, their classes and all outputs are in folders of one name."""
  place = folder / name / name
  photographs, stem = place / 'photographs', f'x{name.encode()[:200].decode(errors="ignore")}'
  for kind, shade in ((name, 40), ('other', 200)):
    (photographs / kind).mkdir(parents=True)
    for number in range(10):
      image = PIL.Image.new('RGB', (9, 8), (shade + number,) * 3)
      image.save(photographs / kind / f'{number}{stem}.png', 'PNG')
  config = place / f'{stem}.py'
  data = dict(name='image_folder', folder=str(photographs), source='folder', size=8)
  write_config(config, config_of(**data))
  workdir = place / 'run'
  done(main, f'--config={config}', f'--workdir={workdir}')
  found = json.loads((workdir / 'config.json').read_text())
  assert found['dataset']['classes'] == sorted([name, 'other'])
  done(analyze, '--only=errors', f'--workdir={workdir}')
  printed = done(
    predict, f'--workdir={workdir}', str(photographs), '--page', f'--out={place}/{stem}.csv'
  )
  done(predict, f'--workdir={workdir}', f'{photographs}/*/*.png', f'--out={place}/{stem}.jsonl')
  files = sorted(str(file) for file in photographs.rglob('*.png'))
  with (place / f'{stem}.csv').open(encoding='utf-8', newline='') as table:
    rows = list(csv.DictReader(table))
  assert sorted(row['file'] for row in rows) == files
  assert {row['class'] for row in rows} <= {name, 'other'}
  lines = (place / f'{stem}.jsonl').read_text(encoding='utf-8').split('\n')
  assert sorted(json.loads(line)['file'] for line in lines[:-1]) == files
  assert json.loads(printed.splitlines()[-1])['labelled'] == 20
  check_page(place / f'{stem}.html')
  done(report, '--', str(workdir))
  check_page(workdir / 'report.html')
  done(report, f'--out={place}/{stem}.html', '--', str(workdir))
  check_page(place / f'{stem}.html')
  done(export, '--format=safetensors', f'--workdir={workdir}')
  assert list((workdir / 'export').glob('*.safetensors'))
  moved = photographs.rename(photographs.with_name('moved'))
  code, _, errors = run(analyze, '--only=errors', f'--workdir={workdir}')
  assert (code, errors.count('\n')) == (1, 1)
  done(analyze, '--only=errors', f'--workdir={workdir}', f'--folder={moved}')


def test_random_paths_of_data_and_outputs(tmp_path, monkeypatch):
  without_tensorboard(monkeypatch)
  check_data_and_outputs(tmp_path, '[a:b]*{c,d}"\n\'')


@pytest.mark.slow
def test_random_paths_of_data_and_outputs_many_times(tmp_path, monkeypatch, reliability):
  without_tensorboard(monkeypatch)
  generator, count = random.Random(1), 50
  names = [
    random_name(generator, generator.choice([COUNT, 7 * number % len(ODD)]))
    for number in range(4 * count)
  ]
  fitting = [name for name in names if len(os.fsencode(name)) < 240 and is_class(name)]
  for number, name in enumerate(fitting[:count]):
    (tmp_path / str(number)).mkdir()
    try:
      check_data_and_outputs(tmp_path / str(number), name)
    except BaseException as error:
      error.add_note(ascii(name))
      raise
    shutil.rmtree(tmp_path / str(number))
  reliability(
    'photographs, classes, configs and outputs in folders and files of random names: trained, '
    'analysed, reported, applied, exported and found after a move',
    count,
    count,
  )
