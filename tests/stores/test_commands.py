"""Commands with a run at an address: they write and print what they do for a folder."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
from helpers import SMALL, last_json, state_of
from store_helpers import equal, figures, tree

import jaxdl
from jaxdl import analyze, export, generate, main, pack, predict, status, stores, sweep
from jaxdl.report import __main__ as report
from jaxdl.stores import lease, local, pusher
from jaxdl.stores.mirror import Mirror
from jaxdl.stores.store import Store, StoreError
from jaxdl.terminal import command
from jaxdl.training import experiment

ADDRESS = 'memory://bucket/runs/small'


@pytest.fixture(autouse=True)
def memory(monkeypatch, tmp_path):
  """Empties the store in memory; returns a function that gives an empty folder to mirrors."""
  import fsspec

  fsspec.filesystem('memory').store.clear()
  monkeypatch.setattr(pusher, 'POLL', 0.05)
  monkeypatch.setattr(lease, 'SETTLES', 0.0)

  def other_machine(name):
    monkeypatch.setenv(local.PLACE, str(tmp_path / 'mirrors' / name))

  other_machine('first')
  return other_machine


def run(module, *arguments):
  """Runs a command as from the command line; returns its exit code."""
  return command.run(module.main, [module.__name__, *map(str, arguments)])


def test_a_run_resumed_on_another_machine_equals_an_uninterrupted_local_run(
  small, config_file, tmp_path, memory, capsys
):
  file = config_file(small)
  assert run(main, f'--config={file}', f'--workdir={tmp_path / "local"}') == 0
  half = ['--config.train_for=4 steps', '--config.log_every=4 steps']
  assert run(main, f'--config={file}', f'--workdir={ADDRESS}', *half) == 0
  assert Store(ADDRESS).find().keys() >= {'config.json', 'committed.json', 'report.html'}
  memory('second')
  capsys.readouterr()
  assert run(main, f'--config={file}', f'--workdir={ADDRESS}') == 0
  assert f'resuming {ADDRESS} at step 4 of 8' in capsys.readouterr().out
  memory('third')
  with stores.reading(ADDRESS) as folder:
    assert figures(folder) == figures(tmp_path / 'local')
    built = experiment.build(small, 'small')
    assert equal(state_of(built, folder), state_of(built, tmp_path / 'local'))
    assert '--workdir=memory://bucket/runs/small' in (folder / 'command.txt').read_text()
    assert str(folder.parent) not in ''.join(
      path.read_text(errors='ignore') for path in folder.glob('*.*')
    )
  assert lease.holder(Store(ADDRESS)) is None


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """The folder of a finished run."""
  folder = tmp_path_factory.mktemp('finished')
  main.train({**SMALL, 'train_for': '4 steps'}, folder / 'small')
  return folder / 'small'


@pytest.fixture
def trained(finished, tmp_path, capsys):
  """The folder of a finished run, which is at ADDRESS, too."""
  shutil.copytree(finished, tmp_path / 'small')
  shutil.copytree(finished, tmp_path / 'sent/small')
  Mirror(Store(ADDRESS), tmp_path / 'sent').push()
  capsys.readouterr()
  return tmp_path / 'small'


def plain(content, place):
  """A file without what differs from one call to the next, and without the place of the run.

  The bytes are sorted, because safetensors writes the names in any order.
  """
  content = content.replace(str(place).encode(), b'PLACE')
  return sorted(re.sub(rb'\d{4}-\d\d-\d\d[ T0-9:.+]*|<dc:date>.*?<', b'', content))


@pytest.mark.parametrize(
  ('module', 'arguments'),
  [
    (analyze, ['--only=weights']),
    (report, []),
    (export, ['--format=safetensors']),
    (pack, ['--out=small.zip']),
  ],
)
def test_commands_write_the_same_files_for_an_address(
  trained, memory, monkeypatch, module, arguments, tmp_path, capsys
):
  printed, packs = [], []
  for place, name in ((trained, 'one'), (ADDRESS, 'two')):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    assert run(module, place, *arguments) == 0
    shown = capsys.readouterr().out.replace(str(place), 'PLACE')
    printed.append(re.sub(r'\d+\.\d s|"sha256": "\w+"', '', shown))
    packs.append(sorted(tree(tmp_path / name)))
  assert printed[0] == printed[1]
  assert packs[0] == packs[1]
  expected = {
    name: plain(content, trained)
    for name, content in tree(trained).items()
    if not name.startswith('checkpoints/')
  }
  store = Store(ADDRESS)
  found = {
    name: plain(store.read(name), ADDRESS)
    for name in store.find()
    if not name.startswith(('checkpoints/', 'committed'))
  }
  assert found.keys() - {'lock'} == expected.keys()
  assert {name for name in expected if found[name] != expected[name]} == set()


def test_predict_status_and_the_api_give_the_same_for_an_address(trained, tmp_path, capsys):
  image = tmp_path / 'image.npy'
  np.save(image, np.random.default_rng(0).integers(0, 255, (1, 28, 28), dtype=np.uint8))
  found = []
  for place in (trained, ADDRESS):
    assert run(predict, place, image, '--json') == 0
    found.append(last_json(capsys.readouterr().out))
  assert found[0].pop('workdir') == str(trained)
  assert found[1].pop('workdir') == ADDRESS
  assert found[0] == found[1]
  for place in (trained, ADDRESS):
    assert run(status, place, '--json') == 0
    (one,) = last_json(capsys.readouterr().out)
    found.append({key: one[key] for key in ('state', 'step', 'figures', 'checkpoint', 'steps')})
  assert found[2] == found[3]
  images = np.load(image)
  one, two = (jaxdl.load(place).predict(images) for place in (trained, ADDRESS))
  np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_status_of_a_run_of_a_sweep_that_trains_says_so(trained, capsys):
  """The lease of the sweep, in the folder above, is that of its runs."""
  (summary,) = [name for name in Store(ADDRESS).find() if name == 'summary.json']
  Store(ADDRESS).delete([summary])  # it has not finished
  held = lease.Lease(Store('memory://bucket/runs'), 'a')
  for place in (ADDRESS, 'memory://bucket/runs'):
    assert run(status, place, '--json') == 0
    (one,) = last_json(capsys.readouterr().out)
    assert one['state'] == 'training'
  held.release()
  assert run(status, ADDRESS, '--json') == 0
  (one,) = last_json(capsys.readouterr().out)
  assert one['state'] == 'stopped'


def test_start_from_an_address(trained, small, config_file, tmp_path, capsys):
  file = config_file({**small, 'train_for': '4 steps', 'start_from': ADDRESS})
  assert run(main, f'--config={file}', f'--workdir={tmp_path / "next"}') == 0
  assert f'starting from step 4 of {ADDRESS}: 2 of 2 layers' in capsys.readouterr().out
  assert json.loads((tmp_path / 'next/config.json').read_text())['origin']['start_from'] == ADDRESS


def test_a_sweep_at_an_address_equals_one_in_a_folder(small, config_file, tmp_path, memory, capsys):
  base = config_file({**small, 'train_for': '4 steps'}, 'base')
  file = config_file({'base': str(base), 'seeds': (0, 1), 'axes': ()}, 'seeds')
  address = 'memory://bucket/sweep'
  assert run(sweep, f'--config={file}', f'--workdir={tmp_path / "sweep"}') == 0
  assert run(sweep, f'--config={file}', f'--workdir={address}') == 0
  memory('second')
  capsys.readouterr()
  assert run(sweep, f'--config={file}', f'--workdir={address}', '--describe') == 0
  assert last_json(capsys.readouterr().out)['finished'] == 2

  def stable(names):  # without those that are random
    return {name for name in names if '/d/' not in name and 'tensorboard' not in name}

  found = {name for name in Store(address).find() if not name.endswith(('committed.json', 'lock'))}
  assert stable(found) == stable(tree(tmp_path / 'sweep'))
  with stores.reading(address) as folder:
    for place in tmp_path.glob('sweep/**/metrics.jsonl'):
      name = place.parent.relative_to(tmp_path / 'sweep')
      assert figures(folder / name) == figures(place.parent)
  assert run(status, address, '--json') == 0
  assert len(last_json(capsys.readouterr().out)) == 2


def test_a_store_that_fails_at_the_end_loses_nothing(
  small, config_file, memory, monkeypatch, capsys
):
  monkeypatch.setattr(pusher, 'PATIENCE', 0.2)
  monkeypatch.setattr(pusher, 'WAITS', (0.05, 0.1))
  file = config_file({**small, 'train_for': '4 steps'})

  def fail(*arguments):
    raise StoreError(f'{ADDRESS} cannot be written: connection refused')

  with monkeypatch.context() as patch:
    patch.setattr(Store, 'upload', fail)
    assert run(main, f'--config={file}', f'--workdir={ADDRESS}') == 1
  errors = capsys.readouterr().err.splitlines()
  assert len([line for line in errors if line.startswith('warning: memory://')]) == 1
  assert re.search(r'connection refused; /.*/training/small has everything: rerun the', errors[-1])
  assert not any(name.startswith('checkpoints') for name in Store(ADDRESS).find())
  assert run(main, f'--config={file}', f'--workdir={ADDRESS}') == 0
  assert 'is finished already' in capsys.readouterr().out
  memory('second')
  assert run(status, ADDRESS, '--json') == 0
  (found,) = last_json(capsys.readouterr().out)
  assert (found['state'], found['checkpoint']) == ('finished', 4)


def test_a_writer_that_loses_its_lease_stops_and_keeps_its_run(
  small, config_file, monkeypatch, capsys
):
  monkeypatch.setattr(lease, 'BEAT', 0.01)
  file = config_file({**small, 'train_for': '100000 steps', 'evaluate_every': '20 steps'})
  real = lease.Lease.is_held

  def taken(self):
    store = Store(ADDRESS)
    if 'committed.json' in store.find() and b'"step": 0' not in store.read('committed.json'):
      other = {**lease.holder(store), 'token': 'other', 'user': 'eve', 'host': 'elsewhere'}
      store.write(lease.NAME, json.dumps(other).encode())
    return real(self)

  monkeypatch.setattr(lease.Lease, 'is_held', taken)
  assert run(main, f'--config={file}', f'--workdir={ADDRESS}') == 1
  captured = capsys.readouterr()
  assert 'stopping after step' in captured.out
  last = captured.err.splitlines()[-1]
  assert re.search(
    r'taken over by process \d+ of eve on elsewhere, and nothing more was sent', last
  )
  folder = re.search(r'(/\S+/small) has everything', last)[1]
  assert status.read(folder)['checkpoint'] > 4
  assert lease.holder(Store(ADDRESS))['user'] == 'eve'


@pytest.mark.parametrize(
  ('address', 'message'),
  [
    ('s4://bucket/run', "has the unknown protocol 's4': write s3://BUCKET/FOLDER"),
    ('s3://bucket', 'names no folder in a bucket: write s3://BUCKET/FOLDER'),
    ('gs://', 'names no folder in a bucket: write gs://BUCKET/FOLDER'),
    ('s3://bucket/run', "needs s3fs: pip install 'jaxdl[cloud]'"),
    ('gs://bucket/run', "needs gcsfs: pip install 'jaxdl[cloud]'"),
    ('memory://bucket/none', 'contains no run: give the'),
    ('memory://bucket/run.zip', 'is a packed run: download it, and give the file'),
  ],
)
@pytest.mark.parametrize('module', [analyze, status, generate])
def test_invalid_addresses_are_refused_in_one_line(module, address, message, monkeypatch, capsys):
  for name in ('s3fs', 'gcsfs'):
    monkeypatch.setitem(sys.modules, name, None)
  assert run(module, address) == 1
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f'jaxdl: {address}')
  assert message in line


def test_without_fsspec_the_extra_is_named(monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, 'fsspec', None)
  assert run(status, 's3://bucket/run') == 1
  assert "needs s3fs: pip install 'jaxdl[cloud]'" in capsys.readouterr().err


def test_a_folder_is_opened_as_it_is(tmp_path):
  for place in (tmp_path, str(tmp_path), 'C:\\runs', 'runs/a:b'):
    with stores.training(place) as one, stores.reading(place) as two, stores.peeked(place) as three:
      assert one is two is three[0] is place
      assert three[1] is None
    assert stores.fetched(place) is place
