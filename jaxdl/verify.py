"""Verifies a run: replays steps from a checkpoint and compares every bit.

Usage:

    python -m jaxdl.verify D
"""

if __name__ == '__main__':  # before the slow imports below
  from jaxdl.terminal import start

  start.begin()


import dataclasses
import pathlib
import sys
import tempfile

from jaxdl import stores
from jaxdl.devices import parallel
from jaxdl.runs import certificate, code, folder, format, packed, record, verification
from jaxdl.terminal import command, progress
from jaxdl.training import experiment, replay
from jaxdl.views import subject

SHOWN = 8  # differences that are printed of an interval

EXAMPLES = """\
  python -m jaxdl.verify runs/lstm_mnist
  python -m jaxdl.verify runs/lstm_mnist --from=0
  python -m jaxdl.verify runs/lstm_mnist --no-replay

The default replays the steps between the last two checkpoints; --from=0 trains the whole run again.
Exit code: 0 everything is equal, 1 a difference or an error."""


def main(arguments: list[str]) -> int:
  """Runs the command; returns the exit code."""
  chosen = _parser(arguments[0]).parse_args(arguments[1:])
  place = packed.opened(stores.fetched(chosen.workdir))
  run = record.load(place, trust_code=chosen.trust_code)
  parallel.use_cpu_devices([run.config])  # before reading a checkpoint starts JAX
  checked = verification.check(run)
  faults = list(checked.faults)
  steps = ', '.join(f'{step:,}' for step in checked.steps)
  print(f'{chosen.workdir}: {len(run.history):,} lines in the journal, checkpoints {steps}')
  for fault in faults:
    print(f'  {fault}')
  if not faults:
    print('  config, journal, summary and checkpoints agree')
  old = [step for step in checked.steps if not checked.certificates[step]]
  if old:
    print(f'  {len(old)} checkpoints of an older version have no checksum of the journal')
  replays = []
  if chosen.replay:
    wanted = verification.intervals(checked.steps, chosen.first, chosen.last)
    replays = _replay_all(run, checked, wanted, chosen)
    faults += [text for one in replays for text in one.differences]
  print(_verdict(faults, replays), flush=True)
  command.print_result(
    {
      'workdir': chosen.workdir,
      'verified': not faults,
      'faults': checked.faults,
      'software_changed': _changed(checked),
      'replays': [dataclasses.asdict(one) for one in replays],
    },
    as_json=chosen.json,
  )
  return int(bool(faults))


def _parser(called):
  parser = command.Parser(
    name='verify',
    called=called,
    description='Verify a run: replay steps from a checkpoint and compare every bit.',
    examples=EXAMPLES,
    json=True,
    run='folder of a run',
  )
  add = parser.add_argument
  add(
    '--from',
    dest='first',
    type=int,
    metavar='STEP',
    help='checkpoint from which to replay, 0 for the start (default the last but one)',
  )
  add('--to', dest='last', type=int, metavar='STEP', help='last step (default the last checkpoint)')
  add(
    '--no-replay',
    dest='replay',
    action='store_false',
    help='only compare the files with their checksums; train nothing',
  )
  parser.add_trust_code()
  parser.add_data_places()
  return parser


def _replay_all(run, checked, wanted, chosen):
  """Replays intervals and prints the result of each.

  Args:
    run: record.Run.
    checked: verification.Checked.
    wanted: (first, last) of each interval.
    chosen: the arguments of the command.

  Returns:
    List of replay.Replay.
  """
  _check_together(checked)
  config = checked.configs.get(wanted[-1][1], run.config)
  if changed := _changed(checked):
    print(f'  the run was trained with other software: {"; ".join(changed)}')
  with progress.waiting('reading the data'):
    built = _build(run, config, chosen)
  if wanted[0][0] == 0:
    _check_start(run, built)
  found = []
  for first, last in wanted:
    with (
      progress.waiting(f'replaying steps {first + 1:,} to {last:,}'),
      tempfile.TemporaryDirectory(prefix='jaxdl-') as scratch,
    ):
      one = replay.replay(built, run.folder, first, last, pathlib.Path(scratch))
    found.append(one)
    _print_replay(one)
  return found


def _build(run, config, chosen):
  """The Experiment of a run, on the data that it was trained on."""
  section = subject.data_section(run.folder, config, data_dir=chosen.data_dir, folder=chosen.folder)
  keys = code.linked(
    {**config, 'data': section}, run.folder, trust_code=chosen.trust_code, to_train=True
  )
  built = experiment.build(experiment.keys_of(keys), run.name, format=format.number(config))
  folder.check_config(run.folder, built.config, built.steps)
  return built


def _check_together(checked):
  """Raises ValueError if the run was trained in one program with others."""
  together = max(found.get('together', 1) for found in checked.certificates.values())
  if together > 1:
    raise ValueError(
      f'the run was trained in one program with {together - 1} others, which rounds differently '
      'from a replay of one run: use --no-replay, or train it with --together=never'
    )


def _check_start(run, built):
  """Raises ValueError if a run did not start with the parameters that it would start with now."""
  origin = run.config.get(folder.ORIGIN, {})
  if 'imported' in origin:
    raise ValueError(
      f'{run.folder} started with imported weights, which it does not contain: give --from=STEP of '
      'a checkpoint'
    )
  if origin and built.start and built.start().origin.get('sha256') != origin.get('sha256'):
    raise ValueError(
      f'{run.folder} started with the weights of {origin.get("start_from")}, which has changed: '
      'give --from=STEP of a checkpoint'
    )


def _changed(checked):
  """What computes now and differs from what wrote the last checkpoint."""
  before = checked.certificates[checked.steps[-1]]
  return certificate.changes(before, certificate.of_session(None, 1)) if before else []


def _print_replay(one):
  what = f'steps {one.first + 1:,} to {one.last:,}'
  arrays = f' and {one.arrays:,} arrays of checkpoint {one.last:,}' if one.arrays else ''
  if not one.differences:
    print(f'  {what}: {one.lines:,} lines of the journal{arrays} are equal to the bit', flush=True)
    return
  print(f'  {what}: {len(one.differences):,} differences')
  for text in one.differences[:SHOWN]:
    print(f'    {text}')
  if len(one.differences) > SHOWN:
    print(f'    and {len(one.differences) - SHOWN:,} more', flush=True)


def _verdict(faults, replays):
  if faults:
    return f'not verified: {faults[0]}'
  if not replays:
    return 'the files agree; nothing was replayed'
  return f'verified: steps {replays[0].first + 1:,} to {replays[-1].last:,} are repeated to the bit'


if __name__ == '__main__':
  sys.exit(command.run(main, sys.argv))
