"""Security tests: data never becomes code, archives cannot leave their folder, and downloads are
verified by checksum.
"""

import ast
import contextlib
import html
import html.parser
import io
import json
import os
import pathlib
import pickle
import tarfile

import numpy as np
import PIL.Image
import pytest
from helpers import ROOT

from jaxdl import figures
from jaxdl.analysis.projector import projector
from jaxdl.data import array_cache, bundle, text, tfds_arrays
from jaxdl.data.photographs import folders
from jaxdl.data.raw import sources
from jaxdl.data.sets import mnist, shakespeare
from jaxdl.prediction import inputs
from jaxdl.report import page
from jaxdl.runs import code, packed
from jaxdl.sweeps import table

HOSTILE = (
  '<script>alert(1)</script>',
  '</script><script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onload='alert(1)",
  '{{ 7 * 7 }}',
  '{% raw %}',
  '<!--',
  ']]>',
  '&lt;b&gt;',
  'javascript:alert(1)',
  '</title><svg onload=alert(1)>',
  '</style>',
  '\\u003cb>',
)
SOURCES = sorted([*(ROOT / 'jaxdl').rglob('*.py'), *(ROOT / 'launch').rglob('*.py')])
FORBIDDEN = {  # calls that execute or trust their arguments
  'eval',
  'exec',
  'compile',
  '__import__',
  'os.system',
  'os.popen',
  'pickle.load',
  'pickle.loads',
  'pickle.Unpickler',
  'marshal.load',
  'marshal.loads',
  'shelve.open',
  'dill.load',
  'dill.loads',
  'joblib.load',
  'torch.load',
  'yaml.load',
  'yaml.unsafe_load',
  'tempfile.mktemp',
  'subprocess.getoutput',
  'subprocess.getstatusoutput',
  'zipfile.ZipFile.extractall',
  'shutil.unpack_archive',
  'markupsafe.Markup',
  'jinja2.Template',
  'ssl._create_unverified_context',
}
REQUIRED_KEYWORD = {
  'extractall': 'filter',
  'extract': 'filter',
}  # method → keyword argument that makes it safe
FORBIDDEN_VALUES = {
  'shell': True,
  'allow_pickle': True,
  'verify': False,
  'verify_ssl': False,
  'autoescape': False,
}  # keyword argument → value


def dangers(source):
  """Yields (line, description) of every dangerous call in Python source code."""
  tree = ast.parse(source)
  known = {}  # name in the file → full name
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      known |= {alias.asname or alias.name: alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      known |= {alias.asname or alias.name: f'{node.module}.{alias.name}' for alias in node.names}
  for node in ast.walk(tree):
    if not isinstance(node, ast.Call):
      continue
    first, dot, rest = ast.unparse(node.func).partition('.')
    name = f'{known.get(first, first)}{dot}{rest}'
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if name in FORBIDDEN and not _reads_only_arrays(name, given):
      yield node.lineno, name
    if (
      isinstance(node.func, ast.Attribute)
      and node.func.attr in REQUIRED_KEYWORD
      and REQUIRED_KEYWORD[node.func.attr] not in given
    ):
      yield node.lineno, f'{node.func.attr} without {REQUIRED_KEYWORD[node.func.attr]}='
    for keyword, value in given.items():
      if keyword in FORBIDDEN_VALUES and (
        not isinstance(value, ast.Constant) or value.value is FORBIDDEN_VALUES[keyword]
      ):
        yield node.lineno, f'{keyword}={ast.unparse(value)}'


def _reads_only_arrays(name, given):
  """Whether a call is `torch.load` with weights_only=True, which executes no code."""
  weights_only = given.get('weights_only')
  is_true = isinstance(weights_only, ast.Constant) and weights_only.value is True
  return name == 'torch.load' and is_true


@pytest.mark.parametrize('file', SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_security_no_call_executes_or_trusts_data(file):
  assert not list(dangers(file.read_text()))


@pytest.mark.parametrize(
  'line',
  [
    'eval(x)',
    'import os\nos.system(x)',
    'from os import system as s\ns(x)',
    'import pickle\npickle.load(f)',
    'import pickle as p\np.loads(x)',
    'import subprocess\nsubprocess.run(x, shell=True)',
    'run(x, shell=y)',
    'import numpy as np\nnp.load(f, allow_pickle=True)',
    'import torch\ntorch.load(f)',
    'import torch\ntorch.load(f, weights_only=x)',
    'tar.extractall(x)',
    'tar.extract(x)',
    'Environment(autoescape=False)',
  ],
)
def test_security_dangerous_calls_are_detected(line):
  assert list(dangers(line))


def test_security_only_style_and_script_are_not_escaped():
  """Data would not be escaped with the filter `safe` or Markup."""
  template = (ROOT / 'jaxdl/report/page.html').read_text()
  assert template.count('| safe') == template.count('safe') == 2
  assert '{{ style | safe }}' in template
  assert '{{ script | safe }}' in template
  assert 'autoescape false' not in template
  for file in (ROOT / 'jaxdl/report').glob('*.html'):  # the parts that it includes
    assert file.name == 'page.html' or 'safe' not in file.read_text()
  assert 'innerHTML' not in (ROOT / 'jaxdl/report/page.js').read_text()


class MaliciousObject:
  """Runs a command when it is unpickled."""

  def __reduce__(self):
    return os.mkdir, ('run-by-a-pickle',)


def test_security_pickle_in_an_array_cache_is_not_loaded(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  arrays = {'train': {'label': np.arange(3, dtype=np.int32)}}
  array_cache.cached(tmp_path, lambda: (arrays, ()))
  file = tmp_path / array_cache.FOLDER / 'train.label.npy'
  np.save(file, np.array([MaliciousObject()], object), allow_pickle=True)
  for content in (file.read_bytes(), pickle.dumps(MaliciousObject())):
    file.write_bytes(content)
    found, _ = array_cache.cached(tmp_path, lambda: (arrays, ()))
    np.testing.assert_array_equal(found['train']['label'], np.arange(3))
  assert 'cannot be read' in capsys.readouterr().err
  assert not (tmp_path / 'run-by-a-pickle').exists()


def test_security_pickle_in_an_analysis_is_not_loaded(run, monkeypatch):
  monkeypatch.chdir(run)
  np.savez(
    run / 'analysis/embedding_tsne.npz',
    points=np.array([MaliciousObject()], object),
    labels=np.zeros(1),
  )
  with pytest.raises(ValueError, match=r'embedding_tsne\.npz is not an output of jaxdl\.analyze'):
    page.write([run], run / 'report.html')
  assert not (run / 'run-by-a-pickle').exists()


def test_security_pickled_cifar10_is_rejected(tmp_path):
  (tmp_path / 'data_batch_1').write_bytes(pickle.dumps(MaliciousObject()))
  with pytest.raises(ValueError, match='whose files are pickles and are never loaded'):
    sources.cifar10(tmp_path, tmp_path)


@pytest.mark.parametrize(
  ('name', 'kind', 'link'),
  [
    ('../outside', tarfile.REGTYPE, ''),
    ('a/../../outside', tarfile.REGTYPE, ''),
    ('/outside', tarfile.REGTYPE, ''),
    ('a', tarfile.SYMTYPE, '../outside'),
    ('a', tarfile.SYMTYPE, '/etc/hostname'),
    ('a', tarfile.LNKTYPE, '../outside'),
    ('a', tarfile.CHRTYPE, ''),
    ('a', tarfile.FIFOTYPE, ''),
  ],
)
def test_security_archive_cannot_leave_its_folder(name, kind, link, tmp_path):
  archive, aside = tmp_path / 'x.tar', tmp_path / 'in/aside'
  aside.mkdir(parents=True)
  with tarfile.open(archive, 'w') as tar:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    tar.addfile(member, io.BytesIO())
  before = sorted(path for path in tmp_path.rglob('*') if aside not in path.parents)
  with contextlib.suppress(ValueError):  # a name that starts with / is unpacked below the folder
    sources.unpack(archive, aside)
  assert sorted(path for path in tmp_path.rglob('*') if aside not in path.parents) == before
  assert not [
    path for path in aside.rglob('*') if path.is_symlink() or not (path.is_file() or path.is_dir())
  ]


@pytest.fixture
def secret(tmp_path):
  """A file outside of the folder that a test reads."""
  (tmp_path / 'secret').write_text('password')
  return tmp_path / 'secret'


@pytest.mark.parametrize(
  'name',
  [
    'summary.json',
    'metrics.jsonl',
    'command.txt',
    'examples.npz',
    'checkpoints/8/model/manifest.ocdbt',
    'checkpoints/8/model/d',
    'checkpoints',
    'code/nets.py',
    'code',
  ],
)
def test_security_links_out_of_a_run_are_not_packed(name, run, secret):
  """Else, the packed run would give away what the link leads to."""
  config = json.loads((run / 'config.json').read_text())
  config['code'] = {'sha256': {'nets.py': 'x'}, 'path': {}}
  (run / 'config.json').write_text(json.dumps(config))
  (run / name).parent.mkdir(parents=True, exist_ok=True)
  (run / name).unlink(missing_ok=True)
  (run / name).symlink_to(secret)
  with pytest.raises(
    ValueError, match=f'{name} is a link that leads out of {run}: put a copy there'
  ):
    packed.contents(run)


def test_security_links_inside_a_run_are_packed(run):
  (run / 'kept').mkdir()
  (run / 'metrics.jsonl').rename(run / 'kept/metrics.jsonl')
  (run / 'metrics.jsonl').symlink_to(run / 'kept/metrics.jsonl')
  with pytest.raises(FileNotFoundError, match='no checkpoint of step 8'):  # after the links
    packed.contents(run)


def test_security_own_code_is_not_copied_through_a_path_of_the_config(run, secret):
  """The names of the files of a run are those of its config, which may be hostile."""
  named = ['../secret', '../../secret.py', str(secret), '..\\x.py', 'a/../../x.py']
  secret.with_suffix('.py').write_text('password')
  assert code.copies(run, {'code': {'sha256': dict.fromkeys(named, 'x')}}) == {}


def test_security_links_out_of_a_folder_of_texts_are_refused(secret, tmp_path):
  folder = tmp_path / 'texts'
  folder.mkdir()
  (folder / 'a.txt').write_text('a')
  (folder / 'inside.txt').symlink_to(folder / 'a.txt')
  assert text.read(folder, 'utf-8') == 'a\na'
  assert len(inputs.texts([folder])) == 2
  (folder / 'b.txt').symlink_to(secret)
  for reader in (lambda: text.read(folder, 'utf-8'), lambda: inputs.texts([folder])):
    with pytest.raises(ValueError, match=r'b\.txt is a link that leads out of .*texts: put a copy'):
      reader()
  assert text.read(folder / 'b.txt', 'utf-8') == 'password'  # a file that the user gave


def test_security_links_out_of_a_folder_of_photographs_are_refused(secret, tmp_path):
  folder = tmp_path / 'photographs'
  (folder / 'cat').mkdir(parents=True)
  (folder / 'cat/a.png').symlink_to(secret)
  with pytest.raises(ValueError, match=r'a\.png is a link that leads out of .*photographs'):
    folders.find(folder)


def test_security_hard_links_of_an_archive_are_refused(tmp_path):
  """A hard link to a file of the same archive might be overwritten through its other name."""
  with tarfile.open(tmp_path / 'x.tar', 'w') as tar:
    member = tarfile.TarInfo('a')
    tar.addfile(member, io.BytesIO())
    member = tarfile.TarInfo('b')
    member.type, member.linkname = tarfile.LNKTYPE, 'a'
    tar.addfile(member)
  with pytest.raises(ValueError, match=r"x\.tar holds 'b', which leads out"):
    sources.unpack(tmp_path / 'x.tar', tmp_path)


def test_security_huge_archive_is_rejected(tmp_path, monkeypatch):
  monkeypatch.setattr(sources, 'LARGEST', 1000)
  with tarfile.open(tmp_path / 'x.tar.gz', 'w:gz') as tar:
    for number in range(3):
      member = tarfile.TarInfo(str(number))
      member.size = 400
      tar.addfile(member, io.BytesIO(bytes(400)))
  with pytest.raises(ValueError, match=r'x\.tar\.gz holds more than 1,000 bytes'):
    sources.unpack(tmp_path / 'x.tar.gz', tmp_path)
  assert not (tmp_path / 'unpacked/2').exists()


def test_security_downloads_have_known_checksums(tmp_path, monkeypatch):
  """TFDS must compare each file with a known checksum and reject files without one."""
  tfds = pytest.importorskip('tensorflow_datasets')
  for name in ('mnist', 'fashion_mnist', 'cifar10', 'tiny_shakespeare'):
    known = tfds.builder(name, data_dir=tmp_path).url_infos
    assert known, name
    assert all(len(found.checksum) == 64 for found in known.values()), name
  configs = []

  def download(builder, *, download_config):
    configs.append(download_config)
    pathlib.Path(builder.data_dir).mkdir(parents=True)

  monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', download)
  tfds_arrays._download('mnist', tmp_path)
  assert configs[0].force_checksums_validation
  assert configs[0].verify_ssl
  assert not configs[0].register_checksums


def test_security_every_bundled_file_has_a_checksum():
  named = {'mnist': mnist.CHECKSUMS, 'shakespeare': shakespeare.CHECKSUMS}
  existing = {
    file.relative_to(bundle.FOLDER)
    for file in bundle.FOLDER.rglob('*')
    if file.is_file() and file.suffix != '.md'
  }
  assert {str(file) for file in existing} == {
    f'{folder}/{name}.xz' for folder, names in named.items() for name in names
  }


class PageParser(html.parser.HTMLParser):
  """Collects the elements and attributes of a page, and the texts of its scripts."""

  def __init__(self, text):
    super().__init__()
    self.found, self.scripts, self.script = [], [], False
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    self.found.append((tag, tuple(name for name, _ in attributes)))
    for name, value in attributes:
      assert name not in ('href', 'src') or value.startswith(('#', 'data:')), value
    self.script = tag == 'script'
    if self.script:
      self.scripts.append('')

  def handle_endtag(self, tag):
    self.script = False

  def handle_data(self, data):
    if self.script:
      self.scripts[-1] += data


def write_run(folder, hostile_text):
  """Writes a run in which every name is the given text."""
  (folder / 'analysis').mkdir(parents=True, exist_ok=True)
  config = {
    'seed': 3,
    'task': 'classify',
    'data': {'name': hostile_text, 'batch_size': 4},
    hostile_text: hostile_text,
    'reported': {hostile_text: 0.9},
    'model': {
      'name': 'cnn',
      'layers': [{'kind': 'flatten'}, {'kind': 'dense', 'features': 2, 'name': 'logits'}],
    },
    'dataset': {'classes': ['cat', hostile_text], 'input_shape': [4, 4, 1]},
  }
  summary = {
    'config': hostile_text,
    'step': 8,
    'test_loss': 0.25,
    'parameters': 34,
    'reported': {hostile_text: 0.9},
    'seed': 3,
    'seconds': 61.0,
    'device': hostile_text,
    'data': f'bundled, {hostile_text}',
    'versions': {hostile_text: hostile_text},
  }
  lines = [
    {'step': step, 'split': split, 'loss': 2 / step, hostile_text: 1 / step}
    for step in (4, 8)
    for split in ('train', 'test')
  ]
  layer = {
    'layer': hostile_text,
    'units': 3,
    'mean': 0,
    'std': 1,
    'min': 0,
    'max': 2,
    'zeros': 0.5,
    'dead_units': 0,
    'dead_channels': 0,
    'channels': 1,
  }
  for name, content in {
    'config.json': config,
    'summary.json': summary,
    'analysis/statistics.json': {'layers': [layer]},
    'analysis/generated.json': {
      'texts': [{'prime': hostile_text, 'temperature': hostile_text, 'text': hostile_text}]
    },
    'analysis/embedding_tsne.json': {'what': hostile_text, 'trustworthiness': 0.9, 'accuracy': 0.5},
  }.items():
    (folder / name).write_text(json.dumps(content))
  (folder / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  (folder / 'command.txt').write_text(hostile_text)
  np.savez(folder / 'analysis/embedding_tsne.npz', points=np.eye(2), labels=np.array([0, 1]))
  for name in ('samples', 'embedding_pca', f'feature_maps_{hostile_text.replace("/", "_")}'):
    PIL.Image.new('RGB', (4, 4)).save(folder / f'analysis/{name}.png')
  projector(
    folder / 'tensorboard',
    np.eye(2),
    np.array([0, 1]),
    ('cat', hostile_text),
    np.zeros((2, 4, 4, 1)),
  )
  return folder


@pytest.fixture
def run(tmp_path):
  return write_run(tmp_path / 'run', 'harmless')


@pytest.mark.parametrize('hostile_text', HOSTILE)
def test_security_data_adds_no_elements_to_a_report(hostile_text, run, tmp_path):
  """Hostile names must not change the elements, attributes or scripts of the page, except data."""
  pages = {}
  for name, folder in (
    ('harmless', run),
    ('hostile', write_run(tmp_path / hostile_text.replace('/', '_'), hostile_text)),
  ):
    for count in (1, 2):
      page.write([folder] * count, tmp_path / 'report.html')
      pages[name, count] = (tmp_path / 'report.html').read_text()
  for count in (1, 2):
    harmless, hostile = PageParser(pages['harmless', count]), PageParser(pages['hostile', count])
    assert hostile.found == harmless.found
    assert len(hostile.scripts) == len(harmless.scripts)
    for script, expected in zip(hostile.scripts, harmless.scripts, strict=True):
      if script != expected:
        json.loads(script)  # data, not code
        assert '<' not in script
  assert hostile_text in html.unescape(pages['hostile', 1]), (
    'names must be shown unchanged, without template expansion'
  )


@pytest.mark.parametrize('name', ['$\\frac$', '$a_b$', '<b>', '\\', '$' * 3])
def test_security_names_are_drawn_literally(name):
  """A dollar sign in a class name must not start a formula, which might be invalid."""
  drawn = (
    figures.image_grid(np.zeros((2, 4, 4, 1), np.uint8), [name] * 2, heading=name),
    figures.confusion_matrix(np.eye(2, dtype=int), [name, 'b'], heading=name),
  )
  for figure in drawn:
    assert figures.pixels(figure).size


def test_security_label_stays_in_its_markdown_cell():
  row = {
    'label': 'a | b\n| c',
    'choices': {},
    'seeds': [0],
    'mean': {},
    'deviation': {},
    'chance': {},
    'parameters': 1,
    'reported': {},
    'seconds': 1.0,
  }
  head, rule, line = table.table([row]).splitlines()
  assert line.replace('\\|', '').count('|') == head.count('|') == rule.count('|')
