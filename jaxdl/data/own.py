"""Data sets of own code: a function that returns a Source becomes a loader of a config."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from jaxdl.config import named
from jaxdl.data import images
from jaxdl.data.source import Source

KEYWORDS = inspect.Parameter.KEYWORD_ONLY


def loader(reference: named.Reference) -> Callable[..., Any]:
  """Returns the loader of a data set of own code.

  A function with the keyword arguments 'splits' and 'batch_size' is a loader itself and returns
  `Data`. Any other function returns a `Source` of images. Its keyword arguments are keys of the
  config's data section, besides those of `images.load`; it gets 'source' and 'data_dir' only if it
  has them.

  Args:
    reference: the function.

  Returns:
    Function with the keys of the data section as keyword arguments → Data.
  """
  function = named.guarded(reference)
  own = dict(inspect.signature(function).parameters)
  if {'splits', 'batch_size'} <= own.keys():
    return function
  shared = {
    name: one
    for name, one in inspect.signature(images.load).parameters.items()
    if one.kind is KEYWORDS
  }

  def load(**keywords):
    kept = {name: keywords.pop(name) for name in own if name in keywords and name not in shared}

    @functools.wraps(function)
    def read(*, source, data_dir):
      places = {'source': source, 'data_dir': data_dir}
      kept.update({name: value for name, value in places.items() if name in own})
      found = function(**kept)
      if not isinstance(found, Source):
        raise ValueError(
          f'config.data.name={str(reference)!r} returns a {type(found).__name__}: return a '
          'jaxdl.data.Source'
        )
      return found

    return images.load(read, **keywords)

  keys = {**shared, **{name: one for name, one in own.items() if name not in shared}}
  load.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
    [one.replace(kind=KEYWORDS) for one in keys.values()]
  )
  return load
