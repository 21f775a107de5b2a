"""Mirrors of object stores: what is sent and fetched, and what an interruption leaves."""

import itertools
import json
import pathlib
import shutil

import pytest
from store_helpers import tree, write_checkpoint, write_run

from jaxdl.stores import commit
from jaxdl.stores.mirror import Mirror, scan
from jaxdl.stores.store import Store, StoreError


@pytest.fixture
def store():
  """An empty store in memory."""
  import fsspec

  fsspec.filesystem('memory').store.clear()
  return Store('memory://bucket/run')


@pytest.fixture
def mirror(store, tmp_path):
  """Returns a function (name) → Mirror of the store, in its own folder."""
  return lambda name, of=store: Mirror(of, tmp_path / name)


def pushed(mirror, steps, *, seed=0):
  """Writes a run into a mirror and sends it; returns its files."""
  write_run(mirror.folder, steps, seed=seed)
  mirror.push()
  return tree(mirror.folder)


class Interrupted(Exception):
  """The process was killed."""


class Counting(Store):
  """The store in memory; calls a function before each of its calls.

  Args:
    before: function (number of the call).
  """

  def __init__(self, before=lambda number: None):
    super().__init__('memory://bucket/run')
    self.before, self.numbers, self.calls = before, itertools.count(), 0


def counted(name):
  def call(self, *arguments):
    self.calls = number = next(self.numbers)  # atomic: several threads call
    self.before(number)
    return getattr(Store, name)(self, *arguments)

  return call


for method in ('find', 'read', 'write', 'create', 'upload', 'download', 'delete'):
  setattr(Counting, method, counted(method))


def test_a_run_is_equal_in_another_mirror(mirror):
  first = mirror('first')
  expected = pushed(first, [4, 8])
  second = mirror('second')
  second.pull()
  assert tree(second.folder) == expected


def test_the_folders_of_a_sweep_are_equal_in_another_mirror(mirror):
  first = mirror('first')
  for name, steps in {'a/seed0': [2, 4], 'a/seed1': [2], 'b': [6, 8]}.items():
    write_run(first.folder / name, steps)
  (first.folder / 'table.md').write_text('table')
  first.push()
  second = mirror('second')
  second.pull()
  assert tree(second.folder) == tree(first.folder)
  assert {run for run in second.state.commits if run} == {'a/seed0/', 'a/seed1/', 'b/'}


def test_only_changes_are_sent(mirror, store):
  sent = []

  class Noting(Counting):
    def upload(self, file, name):
      sent.append(name)
      super().upload(file, name)

  one = mirror('one', Noting())
  pushed(one, [4, 8])
  sent.clear()
  one.push()
  assert sent == []
  pushed(one, [4, 8, 12])
  assert set(sent) == {'config.json', 'metrics.jsonl', *tree(one.folder, below='checkpoints/12/')}


def test_old_checkpoints_are_deleted_from_the_store(mirror, store):
  first = mirror('first')
  pushed(first, [4, 8])
  shutil.rmtree(first.folder / 'checkpoints/4')
  (first.folder / 'analysis.png').write_text('old')
  first.push()
  (first.folder / 'analysis.png').unlink()
  first.push()
  assert not [name for name in store.find() if name.startswith(('checkpoints/4', 'analysis'))]
  second = mirror('second')
  second.pull()
  assert tree(second.folder) == tree(first.folder)


def test_incomplete_checkpoints_and_locks_are_not_sent(mirror, store):
  one = mirror('one')
  write_run(one.folder, [4])
  (one.folder / 'checkpoints/8.orbax-checkpoint-tmp-7/model').mkdir(parents=True)
  (one.folder / 'checkpoints/8.orbax-checkpoint-tmp-7/model/array').write_text('half')
  (one.folder / 'summary.json.new').write_text('half')
  (one.folder / '.lock').write_text('')
  one.push()
  assert sorted(store.find()) == sorted(
    ['committed.json', *tree(one.folder, below='checkpoints/4/'), 'config.json', 'metrics.jsonl']
  )


def complete(folder, states):
  """Whether each checkpoint of a folder is that of one of some states of a run."""
  found = {
    name: content for name, content in tree(folder).items() if name.startswith('checkpoints/')
  }
  for step in {name.split('/')[1] for name in found}:
    place = f'checkpoints/{step}/'
    ours = {name: content for name, content in found.items() if name.startswith(place)}
    if not any(
      ours == {name: content for name, content in state.items() if name.startswith(place)}
      for state in states
    ):
      return False
  return True


@pytest.mark.parametrize('is_new', [False, True])
def test_a_push_killed_at_any_call_leaves_a_complete_run(store, mirror, tmp_path, is_new):
  """After each number of calls, another mirror gets the checkpoints before or after the push."""
  before = pushed(mirror('template'), [4, 8])
  if is_new:
    store.delete(store.find())
    (tmp_path / 'template/synced.json').unlink()
    before = {}
  shutil.copytree(tmp_path / 'template', tmp_path / 'after')
  shutil.rmtree(tmp_path / 'after/run/checkpoints/4')
  write_run(tmp_path / 'after/run', [8, 12])
  (tmp_path / 'after/run/summary.json').write_text('{}')
  after = tree(tmp_path / 'after/run')
  content = {name: store.read(name) for name in store.find()}
  seen, number = set(), 0
  while True:
    store.delete(store.find())
    for name, value in content.items():
      store.write(name, value)
    shutil.rmtree(tmp_path / 'killed', ignore_errors=True)
    shutil.copytree(tmp_path / 'after', tmp_path / 'killed')

    def kill(call, number=number):
      if call >= number:
        raise Interrupted

    killed = mirror('killed', Counting(kill))
    try:
      killed.push()
      ended = True
    except Interrupted:
      ended = False
    shutil.rmtree(tmp_path / 'other', ignore_errors=True)
    other = mirror('other')
    other.pull()
    steps = {name.split('/')[1] for name in tree(other.folder) if name.startswith('checkpoints/')}
    assert steps in (set() if is_new else {'4', '8'}, {'8', '12'}), number
    assert complete(other.folder, [before, after]), number
    if not is_new:
      assert other.folder.joinpath('config.json').is_file()
    if other.folder.joinpath('summary.json').is_file():
      assert steps == {'8', '12'}, number
    seen.add(tuple(sorted(steps)))
    mirror('killed').pull()  # the killed process is started again
    mirror('killed').push()
    assert {name for name in store.find() if '/' in name} == {
      name for name in after if '/' in name
    }, number
    if ended:
      break
    number += 1
  assert len(seen) == 2
  assert number > 10


def test_a_pull_during_a_push_gets_complete_checkpoints(store, mirror, tmp_path):
  """A writer sends a newer state, and deletes an older one, at any call of the pull."""
  writer = mirror('writer')
  states = [pushed(writer, [4, 8])]
  number, step = 0, 8
  while True:

    def write(call, number=number):
      nonlocal step
      if call == number:
        step += 4
        shutil.rmtree(writer.folder / f'checkpoints/{step - 8}')
        states.append(pushed(writer, [step - 4, step]))

    shutil.rmtree(tmp_path / 'reader', ignore_errors=True)
    counting = Counting(write)
    reader = mirror('reader', counting)
    reader.pull()
    assert complete(reader.folder, states), number
    assert len(list((reader.folder / 'checkpoints').iterdir())) == 2
    if counting.calls < number:
      break
    number += 1
  assert number > 10


def test_a_pull_killed_at_any_call_leaves_no_half_checkpoint(store, mirror, tmp_path):
  expected = pushed(mirror('writer'), [4, 8])
  number, ended = 0, False
  while not ended:

    def kill(call, number=number):
      if call >= number:
        raise Interrupted

    shutil.rmtree(tmp_path / 'reader', ignore_errors=True)
    try:
      mirror('reader', Counting(kill)).pull()
      ended = True
    except Interrupted:
      assert complete(tmp_path / 'reader/run', [expected])
    number += 1
    again = mirror('reader')
    again.pull()
    assert tree(again.folder) == expected


@pytest.mark.parametrize('change', ['flip', 'truncate', 'delete'])
def test_a_damaged_checkpoint_is_left_out(mirror, store, capsys, change):
  expected = pushed(mirror('writer'), [4, 8])
  name = 'checkpoints/8/model/d1/array'
  content = store.read(name)
  if change == 'delete':
    store.delete([name])
  else:
    store.write(name, content[:-9] if change == 'truncate' else b'?' + content[1:])
  reader = mirror('reader')
  reader.pull()
  assert f'checkpoint 8 of {store.address}/ is damaged (' in capsys.readouterr().err
  assert complete(reader.folder, [expected])
  assert [path.name for path in (reader.folder / 'checkpoints').iterdir()] == ['4']
  store.delete([f'checkpoints/4/{name}' for name in ('_CHECKPOINT_METADATA',)])
  with pytest.raises(StoreError, match=r'is damaged \(.*and there is no other'):
    mirror('third').pull()


@pytest.mark.parametrize(
  'content', [b'', b'[]', b'{"format": 2}', b'{"format": 1, "checkpoints": {"x": 1}}', b'[' * 10**5]
)
def test_a_damaged_commit_is_refused(mirror, store, content):
  pushed(mirror('writer'), [4])
  store.write(commit.NAME, content)
  with pytest.raises(StoreError, match=r'committed\.json is damaged'):
    mirror('reader').pull()


def test_names_that_lead_out_of_the_folder_are_refused(mirror, store, tmp_path):
  pushed(mirror('writer'), [4])
  found = json.loads(store.read(commit.NAME))
  for name in ('../../evil', '/evil', 'C:/evil', 'a\\..\\evil'):
    found['files'] = [name]
    store.write(commit.NAME, json.dumps(found).encode())
    with pytest.raises(StoreError, match='is damaged'):
      mirror('reader').pull()
  assert not commit.is_inside('../evil')
  assert commit.is_inside('a/b.c')


def test_a_mirror_that_is_further_is_sent(mirror, store):
  one = mirror('one')
  pushed(one, [4])
  write_run(one.folder, [4, 8])  # the store failed
  again = mirror('one')
  again.pull()
  again.push()
  other = mirror('other')
  other.pull()
  assert tree(other.folder) == tree(one.folder)
  assert commit.read(store).step == 8


def test_a_run_that_was_never_sent_is_kept(mirror):
  one = mirror('one')
  write_run(one.folder, [4, 8])
  again = mirror('one')
  again.pull()
  again.push()
  other = mirror('other')
  other.pull()
  assert tree(other.folder) == tree(one.folder)


def test_a_store_that_is_further_wins(mirror, capsys):
  pushed(mirror('one'), [4])
  write_run(mirror('one').folder, [4, 8])  # not sent
  other = mirror('other')
  other.pull()
  expected = pushed(other, [4, 8, 12])
  one = mirror('one')
  one.pull()
  assert 'is at step 12 and its local copy at step 8' in capsys.readouterr().err
  assert complete(one.folder, [expected])
  one.push()
  last = mirror('last')
  last.pull()
  assert tree(last.folder, below='checkpoints/12') == tree(other.folder, below='checkpoints/12')


@pytest.mark.parametrize('steps', [[4, 8], [4, 8, 12], [4, 16, 20]])
def test_two_histories_are_refused(mirror, steps):
  pushed(mirror('one'), [4])
  write_run(mirror('one').folder, [4, 8], seed=1)  # not sent
  other = mirror('other')
  other.pull()
  pushed(other, steps)
  before = tree(mirror('one').folder)
  with pytest.raises(StoreError, match='were both trained further, with different results'):
    mirror('one').pull()
  assert tree(mirror('one').folder) == before


def test_a_run_that_was_deleted_from_the_store_is_refused(mirror, store):
  one = mirror('one')
  pushed(one, [4])
  store.delete(store.find())
  with pytest.raises(StoreError, match='no longer has the run of which'):
    mirror('one').pull()
  assert (one.folder / 'checkpoints/4').is_dir()


def test_a_listing_without_some_objects_loses_nothing(mirror, store):
  expected = pushed(mirror('writer'), [4, 8])

  class Partial(Counting):
    def find(self):
      return dict(list(super().find().items())[::3])

  partial = Partial()
  reader = mirror('reader', partial)
  reader.pull()
  assert tree(reader.folder) == expected
  (reader.folder / 'analysis.png').write_text('new')
  reader.push_others()
  partial.find = lambda: {}
  reader.pull()
  reader.push_others()
  assert expected.keys() <= store.find().keys()


def test_results_of_readers_reach_other_mirrors(mirror):
  writer, reader = mirror('writer'), mirror('reader')
  pushed(writer, [4])
  reader.pull()
  (reader.folder / 'analysis').mkdir()
  (reader.folder / 'analysis/filters.png').write_text('picture')
  reader.push_others()
  pushed(writer, [4, 8])  # which trains meanwhile
  for name in ('other', 'writer'):
    other = mirror(name)
    other.pull()
    assert (other.folder / 'analysis/filters.png').read_text() == 'picture'
  (reader.folder / 'analysis/filters.png').unlink()
  reader.push_others()
  writer = mirror('writer')
  writer.pull()
  assert not (writer.folder / 'analysis/filters.png').exists()
  assert (writer.folder / 'checkpoints/8').is_dir()


def test_results_that_could_not_be_sent_are_sent_later(mirror):
  writer = mirror('writer')
  (writer.folder / 'report.html').write_text('old')
  pushed(writer, [4])
  reader = mirror('reader')
  reader.pull()
  for name in ('card.md', 'report.html'):
    (reader.folder / name).write_text('new')
  again = mirror('reader')
  again.pull()
  again.push_others()
  other = mirror('other')
  other.pull()
  for name in ('card.md', 'report.html'):
    assert (other.folder / name).read_text() == 'new'


def test_a_checkpoint_deleted_during_the_push_is_not_committed(mirror, store):
  """Training deletes a checkpoint while its files are sent."""
  one = mirror('one')
  write_run(one.folder, [4, 8])

  class Deleting(Counting):
    def upload(self, file, name):
      if name.startswith('checkpoints/4/'):
        shutil.rmtree(one.folder / 'checkpoints/4', ignore_errors=True)
      super().upload(file, name)

  deleting = mirror('one', Deleting())
  deleting.push()
  assert list(commit.read(store).checkpoints) == [8]
  other = mirror('other')
  other.pull()
  assert tree(other.folder) == tree(one.folder)


def test_half_a_checkpoint_in_the_folder_is_not_committed(mirror, store):
  """Training is deleting a checkpoint of the last commit."""
  one = mirror('one')
  expected = pushed(one, [4, 8])
  (one.folder / 'checkpoints/4/model/d1/array').unlink()
  write_checkpoint(one.folder, 12)
  one.push()
  assert list(commit.read(store).checkpoints) == [8, 12]
  other = mirror('other')
  other.pull()
  assert complete(other.folder, [expected, tree(one.folder)])


def test_a_lost_lease_ends_the_push_before_the_commit(mirror, store):
  one = mirror('one')
  pushed(one, [4])
  write_run(one.folder, [4, 8])
  with pytest.raises(StoreError, match='another process'):
    one.push(lambda: False)
  assert commit.read(store).step == 4


def test_scan_names_are_relative_paths(tmp_path):
  (tmp_path / 'a').mkdir()
  (tmp_path / 'a/b').write_text('12')
  assert {name: size for name, (size, _) in scan(tmp_path).items()} == {'a/b': 2}
  assert scan(pathlib.Path(tmp_path / 'none')) == {}
