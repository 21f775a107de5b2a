"""Definition of an export format."""

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
  """An export format.

  Attributes:
    name: name on the command line.
    files: names of the files, the main one first.
    libraries: optional libraries that the format imports.
    extra: extra of jaxdl that installs these libraries; '' for none.
    graph: whether the files contain the computation, not only the weights.
    write: function (network, folder) that writes the files. It raises ValueError, with the name of
      the layer, if the format cannot express the network.
    load: function (network, folder) → function from inputs to outputs, which uses the runtime of
      the format.
    use: function (network) → instructions for the README, in Markdown.
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
