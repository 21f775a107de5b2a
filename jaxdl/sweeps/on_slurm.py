"""Tasks on SLURM, submitted with submitit as one array job."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from jaxdl.runs import disk
from jaxdl.sweeps import tasks as sweep_tasks
from jaxdl.sweeps.dispatch import Died, Engine
from jaxdl.sweeps.tasks import Outcome, Task

FOLDER = 'slurm'  # folder of a sweep with the scripts, results and output of its jobs
JOBS = '{}_jobs.json'  # in it, for each cluster: id of a job that has not ended → its folders
MINUTES = 60  # time of a job, unless --slurm.time gives it
SESSIONS = 1000  # times that a job may be continued at the end of its time
LOCAL = 'local'  # value of --slurm.cluster: processes of this machine


class Job:
  """What a job calls: it trains a task, and continues it in the queue when its time is over.

  submitit calls `checkpoint` after SIGUSR2, which SLURM sends before the end of the time.
  """

  def __call__(self, task: Task) -> Outcome:
    assert sys.platform != 'win32'  # which has neither SLURM nor SIGUSR2
    requeue, received = signal.getsignal(signal.SIGUSR2), []

    def save(number, frame):
      received.append(number)
      signal.raise_signal(signal.SIGTERM)  # training stops and saves

    signal.signal(signal.SIGUSR2, save)
    outcome = sweep_tasks.train(task)
    if received and outcome.stopped and callable(requeue):
      requeue(signal.SIGUSR2, None)  # does not return
    return outcome

  def checkpoint(self, task: Task) -> Any:
    from submitit.helpers import DelayedSubmission

    return DelayedSubmission(self, task)


class SlurmEngine(Engine):
  """Runs tasks as jobs of SLURM; see `dispatch.Engine`.

  Args:
    workdir: the sweep's folder.
    cpus: cores of a task; None for SLURM's default.
    gpus: GPUs of a task.
    parameters: parameters of submitit's SlurmExecutor, such as 'partition' and 'time'; 'cluster' is
      'slurm' (default) or 'local', which starts a process of this machine for every task.
  """

  keeps_tasks = True

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    cpus: int | None,
    gpus: int,
    parameters: Mapping[str, Any],
  ) -> None:
    self._folder = workdir.absolute() / FOLDER
    self._parameters = dict(parameters)
    self._cluster = self._parameters.pop('cluster', 'slurm')
    self._cpus, self._gpus = cpus, gpus
    self._jobs: dict[str, Any] = {}  # handle → job
    self._recorded: dict[str, list[str]] = {}  # content of JOBS

  def __enter__(self) -> 'SlurmEngine':
    if self._cluster not in ('slurm', LOCAL):
      raise ValueError(f'--slurm.cluster={self._cluster} is unknown: use slurm or {LOCAL}')
    if self._cluster == 'slurm' and not (shutil.which('sbatch') and shutil.which('srun')):
      raise ValueError(
        '--on=slurm: this machine has no sbatch and srun: run the command on a login node of a '
        f'SLURM cluster, or try it here with --slurm.cluster={LOCAL}'
      )
    # submitit would close the handlers of all other loggers when it is imported.
    os.environ.setdefault('SUBMITIT_LOG_LEVEL', 'NOCONFIG')
    self._executor = self._configured()
    return self

  def _configured(self):
    import submitit
    from submitit.slurm.slurm import SlurmExecutor

    known = SlurmExecutor._valid_parameters()
    for name in self._parameters:
      if name not in known:
        raise ValueError(
          f'--slurm.{name} is no parameter of submitit: use cluster, {", ".join(sorted(known))}'
        )
    minutes = self._parameters.get('time', MINUTES)
    if not isinstance(minutes, int):
      raise ValueError(f'--slurm.time={minutes} is not a number of minutes: write --slurm.time=240')
    disk.make_folder(self._folder)
    executor = submitit.AutoExecutor(
      self._folder, cluster=self._cluster, slurm_max_num_timeout=SESSIONS
    )
    cores = self._parameters.get('cpus_per_task', self._cpus)
    given = dict(self._parameters)
    if cores:  # which srun does not take from sbatch since SLURM 22.05
      given.setdefault('srun_args', [f'--cpus-per-task={cores}'])
    executor.update_parameters(
      name='jaxdl',
      cpus_per_task=cores,
      gpus_per_node=self._gpus or None,
      timeout_min=minutes,
      **{f'slurm_{name}': value for name, value in given.items()},
    )
    return executor

  def known(self) -> dict[str, list[str]]:
    with contextlib.suppress(OSError, ValueError):
      self._recorded = json.loads(self._file.read_text(encoding='utf-8'))
    self._jobs = {handle: self._job(handle) for handle in self._recorded}
    self._recorded = {
      handle: folders
      for handle, folders in self._recorded.items()
      if not self._is_over(self._jobs[handle])
    }
    return dict(self._recorded)

  @property
  def _file(self):
    return self._folder / JOBS.format(self._cluster)

  def submit(self, tasks: Sequence[Task]) -> list[str]:
    from submitit.core import utils

    try:
      jobs = self._executor.map_array(Job(), tasks)
    except utils.FailedJobError as error:  # sbatch refused the job
      lines = str(error).strip().splitlines()
      refused = next((line for line in lines if 'error' in line.lower()), lines[-1])
      raise ValueError(
        f'--on=slurm: {refused.strip()}: change --cpus, --gpus or --slurm.KEY'
      ) from None
    handles = [str(job.job_id) for job in jobs]
    self._jobs |= dict(zip(handles, jobs, strict=True))
    self._recorded |= {handle: task.folders for handle, task in zip(handles, tasks, strict=True)}
    disk.write_atomic(self._file, json.dumps(self._recorded, indent=2) + '\n')
    return handles

  def ended(self, handles: Sequence[str], seconds: float) -> dict[str, Outcome | Died]:
    over = self._over(handles)
    if not over:
      time.sleep(seconds)
      over = self._over(handles)
    return {handle: self._outcome(self._jobs[handle]) for handle in over}

  def _over(self, handles):
    return [handle for handle in handles if self._is_over(self._jobs[handle])]

  def stop(self, handles: Sequence[str]) -> None:
    raise NotImplementedError  # the jobs go on

  def _job(self, handle):
    return self._executor._executor.job_class(self._folder, handle)

  def _is_over(self, job):
    if self._cluster == LOCAL and job._process is None and not job.paths.result_pickle.exists():
      return not psutil.pid_exists(int(job.job_id))  # of an earlier session
    return job.done()

  def _outcome(self, job):
    from submitit.core import utils

    if self._cluster == LOCAL:
      job._results_timeout_s = 0  # no file system between machines delays the result
    try:
      return job.result()
    except utils.FailedJobError as error:  # such as a node without jaxdl
      return Outcome(error=str(error).strip().splitlines()[-1])
    except utils.UncompletedJobError as error:
      return Died(self._state(job) or str(error).partition('\n')[0])

  def _state(self, job):
    state = job.state
    return f'job {job.job_id} is {state}' if state not in ('UNKNOWN', 'unknown') else ''
