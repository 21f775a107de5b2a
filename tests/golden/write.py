"""Writes golden runs of the version of jaxdl in a checkout.

    PYTHONPATH=CHECKOUT:CHECKOUT/tests/without_tensorflow python write.py

The current folder contains digits.py, the config. `finished` and `stopped` are created in it: a
finished run, and one that was stopped at step 6 of 8. packed_1/finished.zip is a finished run that
`jaxdl.pack` of the first version with packed runs wrote.
"""

import builtins
import json
import os
import pathlib
import shutil
import signal

KEPT = {'checkpoints', 'command.txt', 'config.json', 'lock', 'metrics.jsonl', 'summary.json'}
KEPT |= {'weights.jsonl', 'examples.npz'}


def main() -> None:
  """Trains both runs; removes pictures and what describes this machine."""
  from jaxdl import main as command

  show = builtins.print
  for name in ('finished', 'stopped'):

    def stopping(*texts, name=name, **keywords):
      show(*texts, **keywords)
      if name == 'stopped' and str(texts[0]).startswith('step 4 of 8'):
        os.kill(os.getpid(), signal.SIGTERM)

    builtins.print = stopping
    command.main(['jaxdl.main', '--config=digits.py', f'--workdir={name}'])
    folder = pathlib.Path(name)
    for path in folder.iterdir():
      if path.name not in KEPT:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    owner = json.loads((folder / 'lock').read_text())
    (folder / 'lock').write_text(json.dumps({**owner, 'process': 1, 'host': 'host'}) + '\n')
    for file in folder.rglob('commit_success.txt'):
      file.write_text(file.read_text().replace(f'{folder.absolute()}', name))


if __name__ == '__main__':
  main()
