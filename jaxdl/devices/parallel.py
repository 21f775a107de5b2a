"""Data parallelism: all that knows pmap, its axis and the layout of arrays over devices."""

import contextlib
import math
import os

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS, MEMBERS = 'devices', 'members'
MOST_OF_A_CPU = 64


def sum_over_devices(tree):
  """Sums a tree of arrays over the devices, inside a function given to `over_devices`."""
  return jax.lax.psum(tree, AXIS)


def over_devices(function, *, scalars=0, donate=()):
  """Compiles `function(replicated, arrays, feed, …)` for all devices.

  Its third argument is split over the devices, every other one is the same on all of them, and so
  must be its result: pmap returns device 0's, so whatever differs between devices must have gone
  through `total`.

  Args:
    function: pure function of (state or variables, resident arrays, feed, further scalars).
    scalars: how many further arguments there are.
    donate: positions of the arguments whose memory the result may reuse.

  Returns:
    The compiled function; give it the feed through `split_feed`.
  """
  axes = (None, None, 0, *[None] * scalars)
  return jax.pmap(function, axis_name=AXIS, in_axes=axes, out_axes=None, donate_argnums=donate)


def local_shard(tree):
  """This device's rows of arrays that all devices hold whole, inside a function given to
  `over_devices`.
  """

  def part(values):
    rows = values.shape[0] // jax.lax.axis_size(AXIS)
    return jax.lax.dynamic_slice_in_dim(values, jax.lax.axis_index(AXIS) * rows, rows)

  return jax.tree.map(part, tree)


def all_gather(tree):
  """The rows of all devices on every device: the inverse of `own_part`."""
  return jax.lax.all_gather(tree, AXIS, tiled=True)


def replicate(tree):
  """Puts a tree of arrays on every local device."""
  return jax.device_put(tree, _everywhere())


def replicated_shapes(tree):
  """The shapes of a tree of arrays, or of shapes, as `replicate` would put it on the devices."""
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=_everywhere()), tree
  )


def _everywhere():
  return NamedSharding(Mesh(np.array(jax.local_devices()), (AXIS,)), PartitionSpec())


def use_cpu_devices(configs):
  """Lets a CPU be as many devices as `cpu_devices` of the configs says, before JAX starts.

  Each computes its part of every batch on a core of its own, where a single one would split each
  operation over the cores. They are fewer where a batch does not divide, and as they were where JAX
  has started, is told otherwise (JAX_NUM_CPU_DEVICES, XLA_FLAGS) or runs on an accelerator. They do
  not follow the machine's cores: bits would, too.

  Args:
    configs: list of dict, plain JSON data, not yet checked.

  Raises:
    ValueError: `cpu_devices` is not a number of devices.
  """
  numbers = [config.get('cpu_devices', 1) for config in configs]
  for number in numbers:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_OF_A_CPU:
      raise ValueError(
        f'config.cpu_devices={number!r} is not a number of devices: use 1 to {MOST_OF_A_CPU}'
      )
  sections = [config.get('data') for config in configs]
  sizes = [section.get('batch_size') for section in sections if isinstance(section, dict)]
  number = next(
    count
    for count in range(min(numbers), 0, -1)
    if count == 1 or all(isinstance(size, int) and size % count == 0 for size in sizes)
  )
  told = jax.config.jax_num_cpu_devices > 0 or 'host_platform_device_count' in os.environ.get(
    'XLA_FLAGS', ''
  )
  if number > 1 and not told:
    with contextlib.suppress(RuntimeError):  # JAX has started
      jax.config.update('jax_num_cpu_devices', number)


def check_batch_size(batch_size, where):
  """Raises ValueError where a batch does not divide over the devices, and names the nearest sizes
  that do.
  """
  devices = jax.device_count()
  if batch_size < 1 or batch_size % devices:
    raise ValueError(
      f'{where}={batch_size} does not divide over {devices} devices: use {near_sizes(batch_size, devices)}'
    )


def near_sizes(batch_size, devices):
  """The nearest batches that divide over so many devices, in words: '126 or 128'."""
  below = max(batch_size, 0) // devices * devices
  return f'{below} or {below + devices}' if below else f'{devices}'


def split_feed(feed, steps):
  """Gives each device its part of every batch, and starts the copy to it.

  Args:
    feed: name → [S, B, …] array; B is this host's part of a batch.
    steps: int >= S; shorter feeds are padded with zeros, so that one compiled program serves every
      length.

  Returns:
    name → [devices of this host, steps, B / devices, …], on the devices or on its way there.
  """
  devices = jax.local_device_count()
  apart = NamedSharding(Mesh(np.array(jax.local_devices()), (AXIS,)), PartitionSpec(AXIS))

  def split(values):
    return np.moveaxis(
      _padded(values, steps).reshape(steps, devices, -1, *values.shape[2:]), 1, 0
    )  # [D, S, B/D, …]

  return jax.device_put({name: split(values) for name, values in feed.items()}, apart)


def members_mesh(count):
  """The devices for runs that one program trains: [members apart, devices that share the batches of
  each].

  As many members lie apart, on devices of their own, as divide both numbers: then nothing crosses
    the devices.
  """
  return Mesh(
    np.array(jax.devices()).reshape(math.gcd(count, jax.device_count()), -1), (MEMBERS, AXIS)
  )


def over_members(function, mesh, *, scalars=0, donate=()):
  """Compiles `function(number, replicated, arrays, feed, …)`, as `over_devices` has it, for every
  member of a mesh.

  The members of one device are computed in turn on a CPU, whose cache holds one, and at once (vmap)
  elsewhere.

  Args:
    function: pure function of the member's number [], its state or variables, the resident arrays,
      its feed, and further scalars, which are the same for all.
    mesh: of `members_mesh`.
    scalars, donate: as in `over_devices`.

  Returns:
    The compiled function of (members' states [M, …], arrays, feeds [M, S, B, …], …); its results
    are [M, …].
  """

  def on_device(states, arrays, feeds, *further):
    some = len(jax.tree.leaves(states)[0])
    members = (jax.lax.axis_index(MEMBERS) * some + jnp.arange(some), states, feeds)

    def each(member):
      number, state, feed = member
      return function(number, state, arrays, feed, *further)

    return jax.lax.map(each, members) if members_in_turn() else jax.vmap(each)(members)

  everywhere = PartitionSpec()
  specs = (
    PartitionSpec(MEMBERS),
    everywhere,
    PartitionSpec(MEMBERS, None, AXIS),
    *[everywhere] * scalars,
  )
  apart = jax.shard_map(
    on_device, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(MEMBERS), check_vma=False
  )
  return jax.jit(apart, donate_argnums=donate)


def members_in_turn() -> bool:
  """Whether a device computes its members one after another; accelerators compute them at once."""
  return jax.default_backend() == 'cpu'


def split_members(tree, mesh):
  """Puts every member's part of a tree of arrays [M, …] where `over_members` computes it."""
  return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(MEMBERS)))


def split_feeds(feeds, steps, mesh):
  """The feeds name → [M, S, B, …] of members where `over_members` computes them, padded as by
  `split_feed`.
  """
  apart = NamedSharding(mesh, PartitionSpec(MEMBERS, None, AXIS))
  return jax.device_put(
    {name: _padded(values, steps, axis=1) for name, values in feeds.items()}, apart
  )


def _padded(values, steps, axis=0):
  """An array with zeros after its steps, so that there are as many as a compiled program expects."""
  missing = [(0, steps - size if place == axis else 0) for place, size in enumerate(values.shape)]
  return np.pad(values, missing) if values.shape[axis] < steps else values


def pad_to_devices(batch_size):
  """The smallest multiple of the number of devices that is not below a batch size."""
  devices = jax.device_count()
  return -(-batch_size // devices) * devices
