"""An S3 server on this machine, a proxy that disturbs it, and folders of runs for mirrors."""

import contextlib
import json
import logging
import socket
import threading
import time

import jax
import numpy as np

from jaxdl.runs import files

BUCKET = 'bucket'
PAUSE = 0.4  # seconds by which an evaluation takes longer, so that checkpoints are sent meanwhile
BODY = b'<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
BUSY = (
  b'HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n'
  b'Content-Length: %d\r\n\r\n%s' % (len(BODY), BODY)
)


class Server:
  """moto's S3 server.

  Attributes:
    port: its port on 127.0.0.1.
  """

  def __init__(self):
    from moto.server import ThreadedMotoServer

    logging.getLogger('werkzeug').setLevel(logging.ERROR)
    self._server = ThreadedMotoServer('127.0.0.1', port=0, verbose=False)
    self._server.start()
    self.port = self._server.get_host_and_port()[1]
    self.files().mkdir(BUCKET)

  def files(self):
    """The fsspec file system of the server, without the proxy."""
    import fsspec

    return fsspec.filesystem(
      's3',
      endpoint_url=f'http://127.0.0.1:{self.port}',
      key='key',
      secret='secret',
      skip_instance_cache=True,
      use_listings_cache=False,
    )

  def check_credentials(self, checked):
    """Makes the server check the credentials of requests, or not."""
    self._post('reset-auth', b'0' if checked else b'1e9')

  def close(self):
    """Stops the server and removes its buckets, which moto keeps for the next server."""
    self._post('reset')
    self._server.stop()

  def _post(self, command, data=b''):
    """Sends a command to moto itself."""
    import urllib.request

    address = f'http://127.0.0.1:{self.port}/moto-api/{command}'
    plain = {'Content-Type': 'text/plain'}
    urllib.request.urlopen(urllib.request.Request(address, data=data, headers=plain)).close()


class Proxy:
  """A TCP proxy in front of a server that answers one request for each connection.

  Attributes:
    port: its port on 127.0.0.1.
    fault: function (method, path, number of the request) → what happens to it: None; 'drop', closed
      without an answer; 'busy', answered with 503; ('delay', seconds); ('cut', bytes), closed after
      so many bytes of the request; ('truncate', bytes), closed after so many bytes of the answer.
    requests: (method, path) of all requests.
  """

  def __init__(self, target):
    self._target = target
    self.fault = lambda method, path, number: None
    self.requests = []
    self._lock = threading.Lock()
    self._listener = socket.create_server(('127.0.0.1', 0))
    self.port = self._listener.getsockname()[1]
    self._accept(self._listener)

  def stop(self):
    """Refuses connections until `start`."""
    with contextlib.suppress(OSError):
      self._listener.shutdown(socket.SHUT_RDWR)  # wakes up accept()
    self._listener.close()

  def start(self):
    self._listener = socket.create_server(('127.0.0.1', self.port))
    self._accept(self._listener)

  def _accept(self, listener):
    def run():
      while True:
        try:
          client, _ = listener.accept()
        except OSError:
          return
        threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()

  def _serve(self, client):
    with client, contextlib.suppress(OSError):
      first = client.recv(1 << 16)
      if not first:
        return
      method, path = first.split(b' ', 2)[:2]
      with self._lock:
        number = len(self.requests)
        self.requests.append((method.decode(), path.decode()))
      fault = self.fault(method.decode(), path.decode(), number)
      if fault == 'drop':
        return
      if fault == 'busy':
        client.sendall(BUSY)
        return
      kind, amount = fault or (None, 0)
      if kind == 'delay':
        time.sleep(amount)
      with socket.create_connection(('127.0.0.1', self._target)) as server:
        answer = threading.Thread(
          target=_pump, args=(server, client, amount if kind == 'truncate' else None), daemon=True
        )
        answer.start()
        _pump(client, server, amount if kind == 'cut' else None, first)
        if kind == 'cut':
          return
        answer.join()


def _pump(source, target, limit, content=b''):
  """Copies bytes from one socket to another until the end, or up to a limit."""
  with contextlib.suppress(OSError):
    while True:
      if limit is not None and len(content) >= limit:
        target.sendall(content[:limit])
        target.shutdown(socket.SHUT_RDWR)
        return
      target.sendall(content)
      limit = None if limit is None else limit - len(content)
      content = source.recv(1 << 16)
      if not content:
        break
  with contextlib.suppress(OSError):
    target.shutdown(socket.SHUT_WR)


def environment(port):
  """Environment variables with which S3 is used at a port."""
  return {
    'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port}',
    'AWS_ACCESS_KEY_ID': 'key',
    'AWS_SECRET_ACCESS_KEY': 'secret',
    'AWS_DEFAULT_REGION': 'us-east-1',
    'AWS_EC2_METADATA_DISABLED': 'true',
  }


def write_checkpoint(folder, step, *, seed=0, files=3):
  """Writes what looks like a checkpoint to the folder of a run; equal steps and seeds are equal."""
  place = folder / 'checkpoints' / str(step)
  aside = folder / 'checkpoints' / f'{step}.orbax-checkpoint-tmp-1'
  for number in range(files):
    (aside / f'model/d{number}').mkdir(parents=True)
    (aside / f'model/d{number}/array').write_text(f'{step} {seed} {number} ' * 50)
  (aside / 'checksums').mkdir()
  (aside / 'checksums/metadata').write_text(json.dumps({'model': {'w': [step, seed]}}))
  (aside / '_CHECKPOINT_METADATA').write_text('{}')
  aside.rename(place)


def write_run(folder, steps, *, seed=0):
  """Writes what looks like the folder of a run that keeps the last two of some checkpoints."""
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'config.json').write_text(json.dumps({'seed': seed}))
  lines = [
    {'step': step, 'split': 'train', 'loss': step + seed / 10, 'examples_per_second': time.time()}
    for step in range(1, max(steps) + 1)
  ]
  (folder / 'metrics.jsonl').write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
  for step in steps[-2:]:
    if not (folder / 'checkpoints' / str(step)).is_dir():
      write_checkpoint(folder, step, seed=seed)


def tree(folder, *, below=''):
  """The files of a folder, name → content, without locks."""
  return {
    path.relative_to(folder).as_posix(): path.read_bytes()
    for path in sorted(folder.rglob('*'))
    if path.is_file()
    and path.name not in ('.lock', 'lock')
    and path.relative_to(folder).as_posix().startswith(below)
  }


def train(config, address, environment, times):
  """Trains a config at an address, in a process of its own.

  Args:
    config: a dict.
    address: the address of the run.
    environment: environment variables.
    times: name of a constant such as 'pusher.POLL' → its value.
  """
  import os
  import sys

  os.environ.update(environment)
  import importlib

  from jaxdl import stores
  from jaxdl.training import experiment, loop

  for name, value in times.items():
    module, _, constant = name.partition('.')
    setattr(importlib.import_module(f'jaxdl.stores.{module}'), constant, value)
  try:
    with stores.training(address) as folder:
      summary = loop.train(
        experiment.build(config, 'small'), folder, at_evaluation=lambda *_: time.sleep(PAUSE)
      )
  except OSError as error:
    print(f'jaxdl: {error}', file=sys.stderr, flush=True)
    os._exit(1)
  sys.stdout.flush()
  os._exit(0 if summary['stopped'] is None else 75)


def figures(workdir):
  """The lines of a journal without what differs between equal runs."""
  return [
    {key: value for key, value in line.items() if key != 'examples_per_second'}
    for line in files.journal(workdir)
  ]


def equal(first, second):
  return all(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(second)))
