"""The analyses of a network, by name, collected from every module of this folder with `VIEWS`."""

import importlib
import pkgutil

from jaxdl.views.view import SECTIONS, View


def _discover() -> dict[str, View]:
  """Collects the analyses of all modules, in the order of the report's sections."""
  found = {}
  for module in pkgutil.iter_modules(__path__):
    views = getattr(importlib.import_module(f'{__name__}.{module.name}'), 'VIEWS', {})
    for name, view in views.items():
      if name in found:
        raise ValueError(f'two modules of {__name__} have an analysis {name!r}: rename one')
      found[name] = view
  return dict(sorted(found.items(), key=_place))


def _place(item: tuple[str, View]) -> int:
  section = item[1].section
  return SECTIONS.index(section) if section in SECTIONS else len(SECTIONS)


VIEWS = _discover()
