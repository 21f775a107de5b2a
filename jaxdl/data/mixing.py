"""Mixup and cutmix: two images of a batch are mixed, and so are their labels.

The batch is divided into pairs of the examples 2k and 2k + 1, independent of the number of devices.
The order of the examples is a new permutation in each epoch, so the pairs are random. The weight
of each example is drawn from the key of the step and its index.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray, Shaped

from jaxdl.config import binding, checks

Setting = Any  # a value of a config, which `build` checks
Weights = Float[jax.Array, 'H W']


def mixup(key: PRNGKeyArray, size: tuple[int, int], *, alpha: Setting = 0.2) -> Weights:
  """Draws the weight of an image in the mean with its partner, equal for all pixels.

  Source: Zhang et al. 2018, with a weight per example instead of one per batch.

  Args:
    key: of the example.
    size: height and width in pixels.
    alpha: the weight is drawn from Beta(alpha, alpha).
  """
  return jnp.full(size, jax.random.beta(key, alpha, alpha))


def cutmix(key: PRNGKeyArray, size: tuple[int, int], *, alpha: Setting = 1.0) -> Weights:
  """The weight of an image: 0 in a rectangle that shows the partner, 1 elsewhere.

  The rectangle has the shape of the image and a random centre; what is outside the image is cut
  off. Source: Yun et al. 2019, with a rectangle for each example instead of one for the batch.

  Args:
    key: of the example.
    size: height and width in pixels.
    alpha: the share outside the rectangle, before it is cut off, is drawn from Beta(alpha, alpha).
  """
  of_share, of_place = jax.random.split(key)
  side = jnp.sqrt(1 - jax.random.beta(of_share, alpha, alpha))
  centre = jax.random.uniform(of_place, (2,))
  inside = [
    jnp.abs((jnp.arange(pixels) + 0.5) / pixels - place) < side / 2
    for pixels, place in zip(size, centre, strict=True)
  ]
  return 1.0 - (inside[0][:, None] & inside[1])


KINDS = {'mixup': mixup, 'cutmix': cutmix}


def separate(changes: Any, where: str) -> tuple[Any, list[dict[str, Any]]]:
  """Separates the changes of single images from those at the end of the list that mix two.

  Args:
    changes: the list of changes of a config, not yet checked.
    where: its place in the config, for messages.

  Returns:
    (changes of single images, changes whose kind is a key of KINDS).

  Raises:
    ValueError: an image would be changed after it was mixed, or a kind of mixing occurs twice.
  """
  if not isinstance(changes, (list, tuple)):
    return changes, []
  mixes = [change for change in changes if isinstance(change, dict) and _kind(change) in KINDS]
  first = len(changes) - len(mixes)
  for position, change in enumerate(changes[:first]):
    if change in mixes:
      raise ValueError(
        f'{where}[{position}].kind={change["kind"]!r} mixes images that are changed later: move it '
        'to the end of the list'
      )
  kinds = [_kind(change) for change in mixes]
  if len(set(kinds)) < len(kinds):
    raise ValueError(f'{where} has kind={kinds[0]!r} twice: give it once')
  return changes[:first], mixes


def _kind(change):
  kind = change.get('kind')
  return kind if isinstance(kind, str) else None


def build(changes: list[dict[str, Any]], where: str) -> Callable[..., tuple[Any, dict[str, Any]]]:
  """Builds a function that mixes the images of a batch.

  If there are several kinds, one of them is drawn for each example with equal probability.

  Args:
    changes: dicts: 'kind', a key of KINDS, that function's keyword arguments, and 'probability',
      the share of the examples that are mixed (default 1).
    where: the list's place in the config, for messages.

  Returns:
    A pure function (key, images [B, H, W, C], batch) → (mixed images, columns to add to the batch).
    B is even. The batch has 'index', 'label' and 'mask'. The columns are 'label_b', the label of
    the partner, and 'mix' [B], the weight of the example's own label: the mean of its image's
    weights. An example whose partner is padding is not mixed.

  Raises:
    ValueError: an unknown argument, or a value out of its range.
  """
  draws = [_bind(change, where) for change in changes]

  def weights(key, size):
    of_kind, of_weights = jax.random.split(key)
    drawn = jnp.stack([draw(of_weights, size) for draw in draws])
    return drawn[jax.random.randint(of_kind, (), 0, len(draws))]

  def apply(key, images, batch):
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(batch['index'])
    own = jax.vmap(lambda key: weights(key, images.shape[1:3]))(keys)  # [B, H, W]
    own = jnp.where(partners(batch['mask'])[:, None, None] > 0, own, 1.0)
    mixed = partners(images) + own[..., None] * (images - partners(images))
    return mixed, {'label_b': partners(batch['label']), 'mix': own.mean((1, 2))}

  return apply


def partners(values: Shaped[jax.Array, 'B ...']) -> Shaped[jax.Array, 'B ...']:
  """The values of each example's partner: examples 2k and 2k + 1 are exchanged; B is even."""
  pairs = values.reshape(-1, 2, *values.shape[1:])
  return pairs[:, ::-1].reshape(values.shape)


def _bind(change: Mapping[str, Any], where: str):
  """The function (key, size) → weights of a change, whose arguments are checked."""
  arguments = dict(change)
  kind, probability = arguments['kind'], arguments.pop('probability', 1.0)
  where = f'{where} ({kind})'
  draw = binding.bind(KINDS, arguments, where, by='kind', also=('probability',), owner=kind)
  checks.check_range(draw.keywords.get('alpha', 1.0), f'{where}.alpha', 0, 1000, above=True)
  if not checks.is_number(probability) or not 0 <= probability <= 1:
    raise ValueError(f'{where}.probability={probability!r} is not a number from 0 to 1')

  def weights(key, size):
    of_choice, of_weights = jax.random.split(key)
    chosen = jax.random.bernoulli(of_choice, probability)
    return jnp.where(chosen, draw(of_weights, size), 1.0)

  return weights
