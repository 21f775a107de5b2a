"""Attribution maps of predictions, and pictures that show them."""

import glob
import pathlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import numpy as np
from jaxtyping import Float, Integer, UInt8

from jaxdl import figures
from jaxdl.analysis import methods
from jaxdl.analysis.maps import canonical
from jaxdl.analysis.units import Variables
from jaxdl.config import memory
from jaxdl.config.arguments import about
from jaxdl.config.spelling import meant
from jaxdl.data import recorded
from jaxdl.models import table
from jaxdl.models.recurrent import Recurrent
from jaxdl.views import subject
from jaxdl.views.view import occlusion_of

PER_PICTURE = 20  # inputs in a picture
WITHOUT_CONVOLUTIONS = ('saliency', 'gradient × input', 'SmoothGrad', 'integrated gradients')
BY_RULES = ('LRP-ε', 'LRP composite', 'DeepLIFT')  # have a rule for each kind of layer
RECONSTRUCTION, DIFFERENCE = 'reconstruction', 'difference'
DEFAULT = ('Grad-CAM', 'integrated gradients')


def flag_name(method: str) -> str:
  """Returns the name of a method on the command line: 'Grad-CAM' → 'grad_cam'."""
  return re.sub(r'\W+', '_', method.replace('×', ' ').replace('ε', 'epsilon').lower())


class Explainer:
  """Computes attribution maps of the predicted class.

  Args:
    config: the run's config, including the facts about its data ('dataset').
    model: linen module.
    variables: its variables.
    names: names of attribution methods, such as ['grad_cam']; [] for the default ones.
    background: inputs for 'expected gradients', which does not apply without them.

  Attributes:
    columns: titles of the methods.
    signed: indices of the columns whose maps have both signs.

  Raises:
    ValueError: an unknown method, or a method that does not apply to the network.
  """

  def __init__(
    self,
    config: dict[str, Any],
    model: nn.Module,
    variables: Variables,
    names: Sequence[str],
    background: np.ndarray | None = None,
  ):
    self._model, self._variables, self._background = model, variables, background
    self._config = config
    self._shape = recorded.image_shape(config)
    inputs = tuple(config['dataset']['input_shape'])
    convolutions = [row['name'] for row in table.layers(model, inputs) if row['type'] == 'Conv']
    of_images, of_rows = methods.of_images('', {}), methods.of_sequences(model, background)
    self._reads_rows = isinstance(model, Recurrent)
    fitting = list(WITHOUT_CONVOLUTIONS)
    if self._reads_rows:
      fitting = list(of_rows)
    elif convolutions and len(inputs) == 3:
      fitting = [name for name in of_images if self._fits(name)]
    known = of_images | of_rows
    self.columns = _chosen(names, list(known), fitting)
    self.signed = [number for number, name in enumerate(self.columns) if known[name].signed]
    self._layer = convolutions[-1] if convolutions else ''

  def maps(
    self, inputs: Float[np.ndarray, 'n ...'], predicted: Integer[np.ndarray, ' n']
  ) -> list[list[Float[np.ndarray, 'H W']]]:
    """Computes the maps of each input.

    Args:
      inputs: inputs of the network.
      predicted: index of the class that is explained, for each input.

    Returns:
      For each input, one map per method.
    """
    by_name = self._methods(inputs)
    found = []
    for name in self.columns:
      with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # maps that are zero everywhere are visible in the picture
        maps = by_name[name].function(self._model, self._variables, inputs, predicted)
      if inputs.ndim == 3:  # images as rows
        if maps.ndim == 2:  # one number for each row
          maps = np.repeat(maps[..., None], inputs.shape[-1], axis=-1)
        maps = maps.reshape(len(maps), *self._shape)
      found.append(list(methods.without_channels(maps, by_name[name])))
    return [list(of_one) for of_one in zip(*found, strict=True)]

  def _methods(self, inputs):
    """The table of methods that contains those of the columns."""
    if self._reads_rows:
      return methods.of_sequences(self._model, self._background)
    occluded = occlusion_of(inputs) if inputs.ndim == 4 else {}
    limits = subject.limits(self._config, inputs) if inputs.ndim == 4 else None
    return methods.of_images(self._layer, occluded, limits=limits, background=self._background)

  def _fits(self, name):
    """Whether a method for convolutional networks applies to this one."""
    if name == 'expected gradients':
      return self._background is not None
    if name in BY_RULES:
      try:
        canonical.nodes_until(self._model, 0, name)
      except ValueError:
        return False
    return True


def background(folder: pathlib.Path, config: dict[str, Any]) -> np.ndarray | None:
  """The examples that a run keeps, as inputs for 'expected gradients'.

  Args:
    folder: the run's folder.
    config: the run's config, including the facts about its data ('dataset').

  Returns:
    Inputs [N, H, W, C]; None if the run keeps no images.
  """
  file = folder / 'examples.npz'
  if not file.is_file():
    return None
  kept = memory.load_arrays(file)
  if 'image' not in kept:
    return None
  return np.asarray(recorded.image_inputs(config)(kept['image']))


def _chosen(names: Sequence[str], known: Sequence[str], fitting: Sequence[str]) -> list[str]:
  """Returns the titles of the methods with the given names."""
  if not names:
    return [name for name in DEFAULT if name in fitting]
  by_flag = {flag_name(name): name for name in known}
  flags = [flag for flag, name in by_flag.items() if name in fitting]
  chosen = []
  for name in names:
    flag = flag_name(name)
    if flag not in by_flag:
      error = ValueError(
        f'explain={name} is unknown{meant(flag, flags)}; use some of {", ".join(flags)}'
      )
      raise about(error, 'explain')
    if flag not in flags:
      error = ValueError(
        f'explain={name} does not apply to this network: use some of {", ".join(flags)}'
      )
      raise about(error, 'explain')
    chosen.append(by_flag[flag])
  return list(dict.fromkeys(chosen))


class Pages:
  """Draws inputs with their maps, 20 per picture.

  The pictures are written to a temporary folder and moved at the end of the `with` block. After an
  error, no picture is left.

  Args:
    folder: folder for the pictures, which is created.
    stem: beginning of their file names, such as 'explained'.
    columns: titles of the maps.
    signed: indices of the columns whose maps have both signs.
    heading: heading of every picture.

  Attributes:
    files: the written pictures.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    stem: str,
    columns: Sequence[str],
    signed: Sequence[int],
    heading: str,
  ):
    self._folder, self._stem = folder, stem
    self._columns, self._heading = ['input', *columns], heading
    self._signed = [number + 1 for number in signed]
    self._rows: list[list[np.ndarray]] = []
    self._labels: list[str] = []
    self._drawn = 0
    self.files: list[pathlib.Path] = []

  def __enter__(self) -> 'Pages':
    self._folder.parent.mkdir(parents=True, exist_ok=True)
    parent = self._folder if self._folder.is_dir() else self._folder.parent
    self._aside = pathlib.Path(tempfile.mkdtemp(prefix='.explained-', dir=parent))
    return self

  def add(self, label: str, image: Float[np.ndarray, 'H W C'], maps: Sequence[np.ndarray]) -> None:
    """Adds an input.

    Args:
      label: text next to the input.
      image: picture of the input, in 0..1.
      maps: a map [H, W] or a picture [H, W, C] in 0..1 for each column.
    """
    self._rows.append([image, *maps])
    self._labels.append(label)
    if len(self._rows) == PER_PICTURE:
      self._draw()

  def _draw(self):
    figure = figures.picture_rows(
      self._rows,
      [name.replace(' ', '\n', 1) for name in self._columns],
      labels=self._labels,
      signed=self._signed,
      heading=self._heading,
    )
    self._drawn += 1
    figures.save(figure, self._aside / f'{self._stem}-{self._drawn:02d}.png')
    self._rows, self._labels = [], []

  def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
    try:
      if kind is None:
        if self._rows:
          self._draw()
        self._move()
    finally:
      shutil.rmtree(self._aside, ignore_errors=True)

  def _move(self):
    """Moves the pictures to their folder and deletes those of an earlier call."""
    self._folder.mkdir(exist_ok=True)
    for old in self._folder.glob(f'{glob.escape(self._stem)}-*.png'):
      if re.fullmatch(r'-\d+\.png', old.name.removeprefix(self._stem)):
        old.unlink()
    for drawn in sorted(self._aside.iterdir()):
      self.files.append(drawn.replace(self._folder / drawn.name))


def pixels_of(
  value: Float[np.ndarray, 'H W *C'], *, signed: bool = False
) -> UInt8[np.ndarray, 'H W C']:
  """Converts a picture [H, W, C] in 0..1, or a map [H, W], to pixels."""
  if value.ndim == 2:
    return figures.coloured(value, signed=signed)
  return np.rint(255 * np.clip(figures.visible(value), 0, 1)).astype(np.uint8)
