"""Several processes train one run at an address; each has a mirror of its own, as on other hosts."""

import signal

import pytest
import store_helpers
from helpers import state_of
from process_helpers import LONG, main_command, started, wait_for_all
from store_helpers import BUCKET, environment, equal, figures

from jaxdl import stores
from jaxdl.training import experiment

pytest.importorskip('moto')
pytest.importorskip('s3fs')

ADDRESS = f's3://{BUCKET}/runs/small'


@pytest.mark.slow
def test_hosts_resume_on_other_hosts_from_a_bucket(
  small, config_file, tmp_path, monkeypatch, reliability
):
  """The hosts that resume have none of the files of those that were stopped."""
  small.update(LONG)
  file = config_file(small)
  server = store_helpers.Server()

  def train(place, hosts, stop_after=None):
    command = main_command(file, place, 2)
    variables = environment(server.port)
    with started(
      2, command, lambda process: {**variables, 'JAXDL_STORES': f'{tmp_path}/{hosts}{process}'}
    ) as children:
      if stop_after:
        assert any(line.startswith(stop_after) for line in children[0].stdout)
        children[1].send_signal(signal.SIGTERM)
      return wait_for_all(children)

  try:
    for code, _, errors in train(ADDRESS, 'first', stop_after='step 50 '):
      assert code == 75, errors
    for process, (code, output, errors) in enumerate(train(ADDRESS, 'second')):
      assert code == 0, errors
      assert ('resuming ' in output) == (process == 0)
    for code, _, errors in train(tmp_path / 'local', 'third'):
      assert code == 0, errors
    for name, value in {**environment(server.port), 'JAXDL_STORES': f'{tmp_path}/here'}.items():
      monkeypatch.setenv(name, value)
    built = experiment.build(small, 'small')
    with stores.reading(ADDRESS) as folder:
      assert figures(folder) == figures(tmp_path / 'local')
      assert equal(state_of(built, folder), state_of(built, tmp_path / 'local'))
  finally:
    server.close()
  reliability(
    '2 processes with a bucket, stopped: the run resumed on other hosts equals a local one bit for bit',
    1,
    1,
  )
