"""PyTorch's files of a state_dict."""

# The library is optional.
# pyright: reportMissingImports=false

import pathlib
import pickle
from collections.abc import Mapping

from jaxdl.weights import source
from jaxdl.weights.source import Source


def read(file: pathlib.Path) -> Source:
  """Reads a state_dict, or a checkpoint that contains one, with `weights_only=True`.

  Args:
    file: file of `torch.save`.

  Raises:
    ValueError: the file holds code, such as a complete module, or no state_dict or several.
  """
  import torch  # pyright: ignore[reportMissingImports]

  def is_state(value):
    return (
      isinstance(value, Mapping)
      and len(value) > 0
      and all(isinstance(one, torch.Tensor) for one in value.values())
    )

  try:
    found = torch.load(file, map_location='cpu', weights_only=True)
  except pickle.UnpicklingError as error:
    raise ValueError(
      f'{file} holds code, such as a complete module: save it with '
      'torch.save(model.state_dict(), FILE)'
    ) from error
  except (RuntimeError, EOFError, ValueError) as error:
    reason = str(error).partition('\n')[0]
    raise ValueError(f'{file} is not a file of torch.save ({reason}): save it again') from error
  if not is_state(found):
    inside = {key: value for key, value in found.items()} if isinstance(found, Mapping) else {}
    states = [key for key, value in inside.items() if is_state(value)]
    if len(states) != 1:
      what = f'{len(states)} state_dicts ({", ".join(map(str, states))})' if states else 'none'
      raise ValueError(
        f'{file} is not a state_dict, and has {what} inside: save it with '
        'torch.save(model.state_dict(), FILE)'
      )
    found = inside[states[0]]
  named = [
    (str(name), (tensor.float() if tensor.is_floating_point() else tensor).detach().numpy())
    for name, tensor in found.items()
  ]
  return Source(file, source.grouped(named), layout='torch')
