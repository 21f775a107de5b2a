"""jaxdl's own training call: the config's data set, shuffled, fetched and scaled on the device."""

import jax
import numpy as np

from jaxdl.devices import parallel
from jaxdl.training import chunks, experiment
from launch.benchmarks import workloads
from launch.benchmarks.contender import Contender, Task


def start(task: Task) -> Contender:
  """The Contender of a Task."""
  section = workloads.config(task.name, task.bfloat16)
  parallel.use_cpu_devices([section])
  built = experiment.build(section, task.name)
  split, run = built.data.splits['train'], chunks.compile_steps(built)
  measure = workloads.loss_of(built)
  first = jax.device_get(chunks.first_state(built, run, capacity=1))
  arrays = parallel.replicate(split.arrays)
  photographs = split.capacity is not None and not task.text
  # One batch of photographs, repeated: reading them is another benchmark
  batch = split.feed(0, 1) if photographs else None
  current = {}

  def restore():
    current['state'] = parallel.replicate(first)

  def train(steps):
    feed = (
      {name: np.repeat(part, steps, axis=0) for name, part in batch.items()}
      if photographs
      else split.feed(int(current['state'].step), steps)
    )
    current['state'], history = run(
      current['state'], arrays, parallel.split_feed(feed, steps), np.int32(steps)
    )
    jax.block_until_ready(history)

  def loss():
    return float(measure(current['state'].params, current['state'].batch_stats, *task.checked))

  def memory():
    return (jax.local_devices()[0].memory_stats() or {}).get('peak_bytes_in_use', 0)

  restore()
  return Contender(
    parameters=sum(row['parameters'] for row in built.layers),
    train=train,
    loss=loss,
    restore=restore,
    memory=memory,
  )
