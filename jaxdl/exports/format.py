"""What a format consists of."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Shaped

from jaxdl.exports.network import Network

Values = Shaped[np.ndarray, 'B ...']
Call = Callable[[Sequence[Values]], list[Values]]  # arrays of the inputs → arrays of the outputs


@dataclasses.dataclass(frozen=True)
class Format:
  """A format in which a network is written.

  Attributes:
    name: its name on the command line.
    files: names of the files, the main one first.
    libraries: modules that it imports beside those of jaxdl.
    extra: the optional dependencies of jaxdl that have them; '' for none.
    graph: whether the files contain the computation and not the weights alone.
    write: function (network, folder): writes the files; ValueError for what the format cannot
      express, with the layer's name.
    load: function (network, folder) → function from inputs to outputs, computed by the format's own
      runtime.
    use: function (network) → how to use the files, for the README, in Markdown.
    channels_first: whether images are [batch, channels, rows, columns].
  """

  name: str
  files: tuple[str, ...]
  libraries: tuple[str, ...]
  extra: str
  graph: bool
  write: Callable[[Network, pathlib.Path], None]
  load: Callable[[Network, pathlib.Path], Call]
  use: Callable[[Network], str]
  channels_first: bool = False
