"""Contents of packed runs; rejection of damaged and unsafe files."""

import concurrent.futures
import hashlib
import io
import json
import random
import stat
import zipfile

import pytest

from jaxdl.config import paths
from jaxdl.runs import disk, folder, integrity, packed, record

CONFIG = {
  'format': 2,
  'seed': 0,
  'task': {'name': 'classify'},
  'data': {'name': 'mnist', 'batch_size': 4},
  'model': {'name': 'cnn'},
  'dataset': {'classes': ['0'], 'input_shape': [1, 1, 1], 'mean': [0.0], 'deviation': [1.0]},
}
SUMMARY = {
  'config': 'small',
  'step': 8,
  'parameters': 34,
  'seed': 0,
  'seconds': 1.0,
  'device': '1 x cpu',
  'data': 'bundled',
}
FILES = {
  'config.json': json.dumps(CONFIG).encode(),
  'summary.json': json.dumps(SUMMARY).encode(),
  'metrics.jsonl': b'{"step": 8, "split": "test", "loss": 0.25}\n' * 9,
  'checkpoints/8/model/manifest.ocdbt': bytes(range(256)),
}


@pytest.fixture
def file(tmp_path, monkeypatch):
  """A packed run without a network, with an empty cache."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  packed.write(tmp_path / 'small.zip', FILES, '1.2')
  return tmp_path / 'small.zip'


def members(file):
  """Returns (ZipInfo, content) of every file of a .zip."""
  with zipfile.ZipFile(file) as archive:
    return [(member, archive.read(member)) for member in archive.infolist()]


def write(file, found, *, add_to_manifest=()):
  """Writes a .zip of members and adds some of them to its manifest."""
  made = io.BytesIO()
  with zipfile.ZipFile(made, 'w', zipfile.ZIP_DEFLATED) as archive:
    for member, content in found:
      if add_to_manifest and getattr(member, 'filename', '') == packed.MANIFEST:
        manifest = json.loads(content)
        for name, added in add_to_manifest:
          manifest['files'][name] = hashlib.sha256(added).hexdigest()
        content = json.dumps(manifest).encode()
      archive.writestr(member, content)
  file.write_bytes(made.getvalue())


def refusal(file):
  """Returns the error message of opening a file, which must not leave any files behind."""
  around = sorted(path for path in file.parent.iterdir() if path.name != 'cache')
  with pytest.raises(ValueError, match='.') as raised:
    record.load(file)
  text = str(raised.value)
  assert text.startswith(str(file))
  assert '\n' not in text
  assert list(paths.cache('runs').glob('*')) == []
  assert sorted(path for path in file.parent.iterdir() if path.name != 'cache') == around
  return text.removeprefix(f'{file} ')


def test_packed_run_loads_like_a_folder(file):
  run = record.load(file)
  assert run.summary == SUMMARY
  assert run.config == CONFIG
  assert len(run.history) == 9
  assert (run.place, run.packed, run.title) == (file, file, 'small')
  assert run.results == file.with_name('small.results')
  assert run.folder.parent == paths.cache('runs')
  assert record.load(run.folder).summary == SUMMARY
  assert folder.below(file) == [file]
  assert not run.results.exists(), 'reading created the results folder'


def test_packed_bytes_depend_only_on_the_contents(file, tmp_path):
  packed.write(tmp_path / 'other.zip', dict(reversed(FILES.items())), '1.2')
  assert (tmp_path / 'other.zip').read_bytes() == file.read_bytes()
  assert [path.name for path in tmp_path.glob('*.new')] == []
  with zipfile.ZipFile(file) as archive:
    names = archive.namelist()
    assert names == sorted([*FILES, packed.MANIFEST])
    assert {member.date_time for member in archive.infolist()} == {packed.TIME}
    unix = {(member.create_system, member.external_attr >> 16) for member in archive.infolist()}
  assert unix == {(3, stat.S_IFREG | 0o644)}, 'files of Unix on every platform'


@pytest.fixture
def unpacked(tmp_path):
  """The folder of a run whose files have the right names and simple contents."""
  checkpoint = tmp_path / 'runs/small/checkpoints/8'
  private = {'data_dir': '/home/somebody/tfds', 'directory': '/home/somebody/pictures/'}
  config = {**CONFIG, 'data': {**CONFIG['data'], **private}}
  found = {
    '../../config.json': json.dumps(config),
    '../../summary.json': json.dumps(SUMMARY),
    '../../command.txt': 'python -m jaxdl.main --workdir=/home/somebody/runs/small\n',
    '../../metrics.jsonl': '{"step": 8}\n',
    '../../other.txt': 'not packed',
    '../4/model/array': 'an earlier checkpoint',
    'model/array': 'parameters',
    'train/array': 'state of the optimizer',
    'metrics/metrics': '{"loss": 0.5}',
    'config/metadata': json.dumps(config),
    'checksums/metadata': json.dumps({'model': {'kernel': 1}, 'train': {'adam': 2}, 'config': 3}),
    '_CHECKPOINT_METADATA': json.dumps({'item_handlers': {'model': 'a', 'train': 'b'}, 'time': 5}),
    'commit_success.txt': 'a path of this machine',
  }
  for name, text in found.items():
    path = checkpoint / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
  return checkpoint.parent.parent.resolve()


def test_packed_contents_have_the_network_and_no_paths(unpacked):
  found = packed.contents(unpacked)
  assert sorted(found) == [
    'checkpoints/8/_CHECKPOINT_METADATA',
    'checkpoints/8/checksums/metadata',
    'checkpoints/8/config/metadata',
    'checkpoints/8/metrics/metrics',
    'checkpoints/8/model/array',
    'command.txt',
    'config.json',
    'metrics.jsonl',
    'summary.json',
  ]
  assert 'somebody' not in repr(found)
  config = json.loads(found['config.json'])
  assert config == {**CONFIG, 'data': {**CONFIG['data'], 'directory': 'pictures'}}
  assert json.loads(found['summary.json']) == SUMMARY
  assert found['command.txt'] == b'python -m jaxdl.main --workdir=small\n'
  below = {name.removeprefix('checkpoints/8/'): text for name, text in found.items()}
  assert below['model/array'] == b'parameters'
  assert json.loads(below['config/metadata']) == config
  assert json.loads(below['checksums/metadata']) == {
    'model': {'kernel': 1},
    'config': integrity.of_json(config),
  }
  assert json.loads(below['_CHECKPOINT_METADATA']) == {'item_handlers': {'model': 'a'}, 'time': 5}


@pytest.mark.parametrize('place', ['link', 'code/link', 'checkpoints/8/model/link'])
def test_packed_links_out_of_the_folder_are_rejected(unpacked, place):
  link = unpacked / place
  link.parent.mkdir(exist_ok=True)
  link.symlink_to(unpacked / 'config.json')
  packed.contents(unpacked)  # a link inside the folder
  link.unlink()
  link.symlink_to(unpacked.parent)
  with pytest.raises(ValueError, match='link is a link that leads out of .*: put a copy there'):
    packed.contents(unpacked)


def test_packed_contents_of_a_damaged_run_name_the_file(unpacked):
  (unpacked / 'summary.json').write_text('{"step": "eight"}')
  with pytest.raises(ValueError, match='summary.json'):
    packed.contents(unpacked)
  (unpacked / 'summary.json').unlink()
  with pytest.raises(FileNotFoundError, match='has no summary.json: finish its training first'):
    packed.contents(unpacked)


@pytest.mark.parametrize('damage', ['changed', 'removed', 'emptied', 'no manifest'])
def test_packed_run_is_unpacked_again_if_the_cache_is_damaged(file, damage):
  cached = packed.opened(file)
  victim = cached / ('manifest.json' if damage == 'no manifest' else 'summary.json')
  if damage == 'changed':
    victim.write_text(victim.read_text().replace('34', '35'))
  elif damage == 'emptied':
    victim.write_text('')
  else:
    victim.unlink()
  assert record.load(file).summary == SUMMARY
  assert packed.opened(file) == cached
  assert list(cached.parent.iterdir()) == [cached], 'temporary files are left'


def test_packed_run_can_be_opened_concurrently(file):
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda _: record.load(file).summary, range(8)))
  assert found == [SUMMARY] * 8
  assert len(list(paths.cache('runs').iterdir())) == 1


@pytest.mark.parametrize('damage', ['none', 'summary.json'])
def test_packed_run_stays_readable_while_it_is_unpacked_again(file, damage):
  cached = packed.opened(file)
  config = (cached / 'config.json').read_text()
  if damage != 'none':
    (cached / damage).write_text('')
  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    writing = pool.submit(lambda: [packed._unpack(file, cached) for _ in range(50)])
    while not writing.done():
      assert (cached / 'config.json').read_text() == config
    writing.result()
  assert record.load(file).summary == SUMMARY
  assert list(cached.parent.iterdir()) == [cached], 'temporary files are left'


def test_packed_run_is_reloaded_after_a_change(file):
  record.load(file)
  other = {**FILES, 'summary.json': json.dumps({**SUMMARY, 'parameters': 35}).encode()}
  packed.write(file, other, '1.2')
  assert record.load(file).summary['parameters'] == 35


def test_packed_run_error_for_an_unusable_cache_names_the_fix(file, tmp_path, monkeypatch):
  (tmp_path / 'file').touch()
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  with pytest.raises(OSError, match='set XDG_CACHE_HOME to a writable folder'):
    record.load(file)


def test_packed_run_is_read_only(file):
  before = file.read_bytes()
  with pytest.raises(ValueError, match='is a packed run, which is read-only: name a folder'):
    disk.make_folder(file)
  assert file.read_bytes() == before


@pytest.mark.parametrize(
  'name',
  [
    '../outside',
    'a/../../outside',
    'a/../b',
    '/outside',
    '//outside',
    '..',
    '.',
    'a/./b',
    'a//b',
    'folder/',
    'a\\b',
    'C:outside',
    'C:/outside',
    'a\nb',
    'a b',
    '-rf',
    '~',
    '…',
    'ü',
  ],
)
def test_packed_unsafe_paths_are_rejected(file, name):
  write(file, [*members(file), (zipfile.ZipInfo(name), b'x')], add_to_manifest=[(name, b'x')])
  assert 'which is not a plain relative path: do not use it' in refusal(file)


@pytest.mark.parametrize(
  'kind',
  [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR],
  ids=['link', 'pipe', 'device', 'folder'],
)
def test_packed_special_files_are_rejected(file, kind):
  member = zipfile.ZipInfo('link')
  member.create_system, member.external_attr = 3, (kind | 0o777) << 16
  write(file, [*members(file), (member, b'/etc')], add_to_manifest=[('link', b'/etc')])
  assert refusal(file) == 'contains link, which is not a regular file: do not use it'


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize('name', ['summary.json', 'Summary.json', 'manifest.json'])
def test_packed_duplicate_names_are_rejected(file, name):
  write(file, [*members(file), (name, b'{}')], add_to_manifest=[(name, b'{}')])
  assert refusal(file) == 'contains two files with the same name: do not use it'


def test_packed_file_and_folder_with_the_same_name_are_rejected(file):
  write(file, [*members(file), ('checkpoints', b'')], add_to_manifest=[('checkpoints', b'')])
  assert refusal(file) == 'contains a file and a folder with the same name: do not use it'


def test_packed_zip_bombs_are_rejected(file, monkeypatch):
  big = bytes(packed.SMALL + 1)
  write(file, [*members(file), ('big', big)], add_to_manifest=[('big', big)])
  assert file.stat().st_size < 30_000
  assert refusal(file).startswith('would unpack to 6 files of 16,7')
  packed.write(file, FILES, '1.2')
  monkeypatch.setattr(packed, 'MOST_FILES', 4)
  assert refusal(file).startswith('would unpack to 5 files')
  monkeypatch.setattr(packed, 'MOST_FILES', 5)
  assert record.load(file)
  monkeypatch.setattr(packed, 'LARGEST', 1000)
  with pytest.raises(ValueError, match=r'other\.zip cannot be packed: it would unpack to 5 files'):
    packed.write(file.with_name('other.zip'), FILES, '1.2')
  assert not list(file.parent.glob('other*'))


def test_packed_file_with_a_false_size_is_rejected(file):
  """The directory of the .zip states a smaller size than that of the packed content."""
  content = file.read_bytes()
  size = len(FILES['metrics.jsonl'])
  packed_name = content.rindex(b'metrics.jsonl')
  place = content.index(size.to_bytes(4, 'little'), packed_name - 46, packed_name)
  file.write_bytes(content[:place] + (9).to_bytes(4, 'little') + content[place + 4 :])
  assert 'damaged' in refusal(file)


def test_packed_content_must_match_its_manifest(file):
  original = members(file)
  changed = [(m, b'{}' if m.filename == 'summary.json' else content) for m, content in original]
  write(file, changed)
  assert refusal(file) == 'is damaged (the checksum of summary.json differs): download it again'
  write(file, [(m, content) for m, content in original if m.filename != 'metrics.jsonl'])
  assert refusal(file) == 'is damaged (metrics.jsonl is missing or unexpected): download it again'
  write(file, [*original, ('readme.txt', b'')])
  assert refusal(file) == 'is damaged (readme.txt is missing or unexpected): download it again'


@pytest.mark.parametrize(
  'manifest', [b'', b'{', b'[]', b'{}', b'{"format": 1, "files": {}}', b'{"format": "1"}', b'\xff']
)
def test_packed_invalid_manifest_is_rejected(file, manifest):
  write(file, [(m, manifest if m.filename == packed.MANIFEST else c) for m, c in members(file)])
  assert refusal(file) == 'is not a packed run: give a file written by jaxdl.pack'


def test_packed_newer_format_is_rejected(file):
  newer = json.dumps({'format': packed.FORMAT + 1, 'files': {}}).encode()
  write(file, [(m, newer if m.filename == packed.MANIFEST else c) for m, c in members(file)])
  assert refusal(file) == (
    'was packed by a newer version (format 2; this one reads up to 1): update jaxdl'
  )


def test_packed_encrypted_file_is_rejected(file):
  content = bytearray(file.read_bytes())
  content[content.index(b'PK\x01\x02') + 8] |= 1
  file.write_bytes(bytes(content))
  assert refusal(file) == 'is encrypted: give a file written by jaxdl.pack'


@pytest.mark.parametrize(
  'content',
  [b'', b'text', b'PK\x03\x04', b'PK\x05\x06' + bytes(18)],
  ids=['empty', 'text', 'truncated', 'empty zip'],
)
def test_packed_file_must_be_a_zip_of_a_run(file, content):
  file.write_bytes(content)
  assert 'give a file written by jaxdl.pack' in refusal(file)


def test_packed_damage_is_rejected_or_does_not_change_the_files(file):
  original, chance = file.read_bytes(), random.Random(0)
  for _ in range(150):
    damaged = bytearray(original)
    if chance.random() < 0.2:
      del damaged[chance.randrange(len(damaged)) :]
    else:
      damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    file.write_bytes(bytes(damaged))
    try:
      opened = packed.opened(file)
    except ValueError as error:
      message = str(error)
    else:
      message = str(file)
      assert {name: (opened / name).read_bytes() for name in FILES} == FILES
    assert message.startswith(str(file))
    assert '\n' not in message


def test_packed_member_before_the_start_of_the_file_is_damage(file):
  content = bytearray(file.read_bytes())
  end = content.rindex(b'PK\x05\x06')  # the end record; the offset of the central directory
  offset = int.from_bytes(content[end + 16 : end + 20], 'little')
  content[end + 16 : end + 20] = (offset + 1000).to_bytes(4, 'little')
  file.write_bytes(bytes(content))
  with pytest.raises(ValueError, match=rf'^{file} is damaged or not a .zip file \('):
    packed.opened(file)


@pytest.mark.parametrize(
  ('value', 'expected'),
  [
    ({'data_dir': '/home/me/tfds', 'name': 'mnist'}, {'name': 'mnist'}),
    ({'data': {'data_dir': None, 'folder': '/home/me/photos/'}}, {'data': {'folder': 'photos'}}),
    ({'folder': '~/photos'}, {'folder': 'photos'}),
    ({'folder': '~me/photos'}, {'folder': 'photos'}),
    ({'folder': 'C:\\Users\\me\\photos'}, {'folder': 'photos'}),
    ({'folder': 'photos/mine'}, {'folder': 'photos/mine'}),
    ({'paths': ['/a/b', 3, None, 'x']}, {'paths': ['b', 3, None, 'x']}),
    ({'classes': ['/', '~', '/a/b']}, {'classes': ['/', '~', '/a/b']}),
    ({'folder': '/'}, {'folder': '.'}),
    ({'a': 0.5, 'b': True}, {'a': 0.5, 'b': True}),
  ],
)
def test_packed_config_contains_no_absolute_paths(value, expected):
  assert packed.without_paths(value) == expected


@pytest.mark.parametrize(
  ('command', 'expected'),
  [
    ('python -m jaxdl.main --config=lstm_mnist', 'python -m jaxdl.main --config=lstm_mnist'),
    ('main --workdir=/home/me/runs/a --x=1/2', 'main --workdir=a --x=1/2'),
    ("main '--workdir=/home/me/my runs/a b'", "main '--workdir=a b'"),
    ('main --workdir /home/me/a', 'main --workdir a'),
    ('main --config=~/configs/x.py', 'main --config=x.py'),
    ('main --config=~me/configs/x.py', 'main --config=x.py'),
    (
      '--only=errors --images=50 --data_dir=/home/me/tfds',
      '--only=errors --images=50 --data_dir=tfds',
    ),
    ('main --config=configs/x.py', 'main --config=configs/x.py'),
    (
      """main --config.data="dict(folder='/home/me/a b/photos', size=64)" """,
      """main '--config.data=dict(folder='"'"'photos'"'"', size=64)'""",
    ),
    ('main --x=[/home/me/a,/home/you/b]', "main '--x=[a,b]'"),
    ("main --workdir='/home/me", "main --workdir='me"),
  ],
)
def test_packed_command_contains_no_absolute_paths(command, expected):
  assert packed.command_without_paths(command) == expected
