"""Analyses of own code: 'views.py:certainty' of `jaxdl.analyze --view`."""

import fnmatch
import inspect
from typing import Any

from jaxdl.config import named
from jaxdl.views.view import ANY, Display, Result, View


def view(text: str, where: str = '--view') -> tuple[str, View]:
  """Imports an analysis.

  The name is that of an entry of the file's `VIEWS`, of a `View`, or of a function
  (subject, choice) → iterable of Result, which fits every network.

  Args:
    text: 'file.py:name' or 'package.module:name'; files are searched in the working directory.
    where: flag or key of the text, for messages.

  Returns:
    (name, View).

  Raises:
    ValueError: as in `named.resolve`, or what is named is not an analysis.
  """
  module, name, _ = named.module_of(text, where)
  views = getattr(module, 'VIEWS', {})
  found = views.get(name) if isinstance(views, dict) else None
  if found is None:
    found = named.found_in(module, name, where, text)
  if isinstance(found, View):
    return name, found
  if not inspect.isfunction(found):
    raise ValueError(
      f'{where}={text} is a {type(found).__name__}: name a function (subject, choice), or a View'
    )
  title = (inspect.getdoc(found) or name.replace('_', ' ')).partition('\n')[0].rstrip('.')
  return name, View(title, (ANY,), found)


def displayed(view: View, result: Result) -> dict[str, Any]:
  """How the report displays a result of an analysis that it cannot import, as plain JSON data.

  Args:
    view: the analysis.
    result: one of its results.

  Returns:
    'section', 'caption', 'reading' and 'note' (texts), 'table' and 'texts' as in `Display`.
  """
  patterns = [one for one in view.displays if fnmatch.fnmatch(result.name, one)]
  display = Display(result.name.replace('_', ' '))
  part = ''
  if patterns:
    display, part = view.displays[patterns[0]], result.name[len(patterns[0]) - 1 :]
  return {
    'section': view.section,
    'caption': display.caption.format(part),
    'reading': display.reading,
    'note': display.note(result.facts) if display.note else '',
    'table': display.table(result.facts) if display.table else None,
    'texts': display.texts(result.facts) if display.texts else None,
  }


def display_of(facts: dict[str, Any]) -> tuple[str, Display] | None:
  """(heading, Display) as an analysis of own code wrote it with a result; None if it did not.

  Args:
    facts: content of the result's .json file.
  """
  kept = facts.get('display')
  if not isinstance(kept, dict):
    return None
  texts = [kept.get(key) for key in ('section', 'caption', 'reading', 'note')]
  table, listed = kept.get('table'), kept.get('texts')
  if not all(isinstance(text, str) for text in texts):
    return None
  if not (table is None or _is_table(table)) or not (listed is None or _are_texts(listed)):
    return None
  section, caption, reading, note = map(str, texts)
  braces = caption.replace('{', '{{').replace('}', '}}')
  return section, Display(
    braces,
    reading,
    table=None if table is None else lambda facts: table,
    texts=None if listed is None else lambda facts: listed,
    note=(lambda facts: note) if note else None,
  )


def _is_table(table):
  parts = [table.get(key) for key in ('columns', 'rows', 'numbers')] if _is(table, dict) else []
  return (
    len(parts) == 3
    and all(_is(part, list) for part in parts)
    and all(_is(row, list) for row in parts[1])
  )


def _are_texts(listed):
  return _is(listed, list) and all(
    _is(one, dict) and _is(one.get('caption'), str) and _is(one.get('text'), str) for one in listed
  )


def _is(value, kind):
  return isinstance(value, kind)
