"""Views of an image, over which test-time augmentation takes the mean."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from jaxdl.step.state import AnyArray, Batch

Images = Shaped[AnyArray, 'B H W C']
View = Callable[[Images], Images]
KINDS = ('flip', 'shift')
TASKS = ('classify', 'classify_by_squared_error')  # whose outputs are logits of classes


def read(kinds: Any, where: str) -> tuple[View, ...]:
  """Reads the views of a config.

  Args:
    kinds: list of 'flip' (mirrored left and right) and 'shift' (by one pixel up and left, and by
      one down and right, with the edge repeated). With both, each shifted image is also mirrored.
    where: the key of the config, for messages.

  Returns:
    Functions images → images; the first returns the image itself. () for an empty list.

  Raises:
    ValueError: the value is not a list of known kinds.
  """
  is_list = isinstance(kinds, (list, tuple)) and all(isinstance(kind, str) for kind in kinds)
  if not is_list or set(kinds) - set(KINDS):
    raise ValueError(f"{where}={kinds!r} is not a list of {' and '.join(KINDS)}: write ('flip',)")
  if not kinds:
    return ()
  views: list[View] = [lambda images: images]
  if 'shift' in kinds:
    views += [lambda images: _shifted(images, 2), lambda images: _shifted(images, 0)]
  if 'flip' in kinds:
    views += [_mirrored(view) for view in views]
  return tuple(views)


def build(kinds: Any, task: str, test: Any, name: str) -> tuple[View, ...]:
  """Builds the views of `config.test_augment` and checks that the test examples are images.

  Args:
    kinds: value of the key, as in `read`.
    task: name of the task.
    test: the test Split (`data.dataset`); None if there is none.
    name: name of the data set, for messages.

  Returns:
    As `read`.

  Raises:
    ValueError: as `read`; or there are no test images, or no probabilities of classes.
  """
  where = 'config.test_augment'
  views = read(kinds, where)
  if not views:
    return ()
  if test is None:
    raise ValueError(f'{where} is set, but there is no test split: add config.data.splits.test')
  if task not in TASKS:
    raise ValueError(
      f'{where} is set, but the outputs of config.task={task!r} are not probabilities of classes: '
      f'leave it out'
    )
  if 'image' not in {**test.arrays, **test.feed(0, 0)}:
    raise ValueError(f'{where} is set, but the examples of {name} are not images: leave it out')
  return views


def _shifted(images, start):
  """The images, padded by one pixel with their edge and cut out at `start`, 0 to 2."""
  height, width = images.shape[1:3]
  padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='edge')
  return padded[:, start : start + height, start : start + width]


def _mirrored(view):
  return lambda images: view(images)[:, :, ::-1]


def mean_logits(
  logits: Callable[[Mapping[str, Any]], Float[AnyArray, 'B K']],
  batch: Batch,
  views: Sequence[View],
) -> Float[jax.Array, 'B K']:
  """The logarithm of the mean of the probabilities of all views, each with the same weight.

  Args:
    logits: function of a batch that is not prepared yet.
    batch: the batch, with 'image'.
    views: as returned by `read`.
  """
  probabilities = [
    jax.nn.softmax(logits({**batch, 'image': view(batch['image'])})) for view in views
  ]
  return jnp.log(sum(probabilities[1:], start=probabilities[0]) / len(views))
