"""Sections of a run's page with the results of analyses, arranged by the views' descriptions."""

import base64
import fnmatch
import glob
import io
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from jaxdl.report import features_map, linked, results
from jaxdl.report import pictures as report_pictures
from jaxdl.runs.record import Run
from jaxdl.views import VIEWS, glossary, own
from jaxdl.views.view import OTHER, SECTIONS, Display

DATA = 'Data'  # the first section: pictures written by training before the first step
DRAWN_BY_TRAINING = {
  'samples': Display(
    'Training images', 'Above each image: its class, label or value', entry='samples'
  )
}


def of_run(record: Run, *, pictures: bool = True, only: str | None = None) -> list[dict]:
  """Returns the sections of a run that are not empty.

  Args:
    record: Run.
    pictures: whether to show pictures and maps; without them, a section may be empty.
    only: heading of the only section; None for all.

  Returns:
    A list of dicts for the page template:

      'heading', 'note': str.
      'table': dict with 'columns', 'rows', 'numbers' and 'entry', or None.
      'texts': list of dicts with 'caption', 'text' and 'entry'.
      'maps': list of dicts returned by `features_map.of_run`, with 'title', 'reading'
        and 'entry', or None.
      'linked': dict returned by `linked.of_run`, or None.
      'pictures': list of dicts returned by `pictures.of_result`.
      'drawn_by': flags of `jaxdl.analyze` that repeat the analyses.

  Raises:
    ValueError: a file of an analysis is damaged.
  """
  names = _result_names(record)
  found, displayed = [], set()
  for heading, displays in _displays(_own_displays(record, names)).items():
    if only not in (None, heading):
      continue
    shown = {}  # name → (Display, text matched by the '*' of its pattern)
    for pattern, display in displays.items():
      for name in fnmatch.filter(names, pattern):
        shown[name] = display, name[len(pattern) - 1 :]
    displayed |= set(shown)
    if heading == OTHER:
      others = [name for name in names if name not in displayed]
      shown |= {name: (Display(name.replace('_', ' ')), '') for name in others}
    found.append(_section(record, heading, shown))
  made = [section for section in found if section is not None]
  return made if pictures else [*filter(None, map(_without_pictures, made))]


def _without_pictures(section):
  """Returns a section without its pictures and map; None if nothing else is in it."""
  if not (section['table'] or section['texts'] or section['linked']):
    return None
  return {**section, 'maps': [], 'pictures': []}


def _own_displays(record: Run, names: Iterable[str]) -> dict[str, tuple[str, Display]]:
  """Returns name → (heading, Display) of the results of own code, as written with them."""
  found = {name: own.display_of(results.of_analysis(record, name)) for name in names}
  return {name: display for name, display in found.items() if display is not None}


def _displays(added: dict[str, tuple[str, Display]]) -> dict[str, dict[str, Display]]:
  """Returns heading → pattern of a result's name → Display, in page order."""
  sections = [
    *(view.section for view in VIEWS.values()),
    *(section for section, _ in added.values()),
  ]
  headings = dict.fromkeys((DATA, *SECTIONS, *sections))
  headings.pop(OTHER, None)
  displays = {heading: {} for heading in (*headings, OTHER)}
  displays[DATA] |= DRAWN_BY_TRAINING
  for view in VIEWS.values():
    displays[view.section] |= view.displays
  for name, (section, display) in added.items():
    displays[section][glob.escape(name)] = display
  return displays


def _result_names(record: Run) -> list[str]:
  """Returns the names of a run's analysis results, with or without a picture."""
  files = (record.results / 'analysis').glob('*')
  return sorted({file.stem for file in files if file.suffix in ('.png', '.svg', '.json')})


def _section(record: Run, heading: str, shown: dict[str, tuple[Display, str]]) -> dict | None:
  """Returns a section of the page, or None if it is empty.

  Args:
    record: Run.
    heading: heading of the section.
    shown: results of the section: name → (Display, text matched by the '*' of its pattern).
  """
  section = {'table': None, 'texts': [], 'maps': [], 'pictures': []}
  section['linked'] = linked.of_run(record) if heading == linked.SECTION else None
  used, notes = [], []
  for name, (display, part) in shown.items():
    facts = results.of_analysis(record, name)
    with results.errors_naming(record, f'{name}.json'):
      form = _form(record, name, display, facts, part)
      note = display.note(facts) if display.note and facts else ''
    if form or note:
      used.append(facts)
      notes.append(note)
    section['pictures'] += form.pop('pictures', [])
    section['texts'] += form.pop('texts', [])
    section['maps'] += form.pop('maps', [])
    section |= form
  if not used:
    return None
  for shown_map in section['maps'][1:]:
    shown_map['sprite'] = ''  # that of the first map: all maps have the same examples
  replaced = linked.replaced(section['linked'])
  section['pictures'] = [one for one in section['pictures'] if one['name'] not in replaced]
  notes += _of_another_step(record, used)
  note = ' '.join(filter(None, notes))
  return {'heading': heading, 'note': note, 'drawn_by': drawn_by(used), **section}


def _form(record: Run, name: str, display: Display, facts: dict, part: str) -> dict:
  """Returns the content of a result: 'table', 'texts', 'maps' or 'pictures', or {} if empty."""
  if display.table:
    return {'table': {**display.table(facts), 'entry': _entry(display)}} if facts else {}
  if display.texts:
    found = display.texts(facts) if facts else []
    return {'texts': [{**text, 'entry': _entry(display)} for text in found]}
  if display.map_caption:
    found = features_map.of_run(record, name, display.map_caption)
    if found:
      shown = {'title': display.caption, 'reading': display.reading, 'entry': _entry(display)}
      return {'maps': [{**found, **shown}]}
  if display.note and not display.caption:
    return {}
  picture = report_pictures.of_result(record, name, display, facts, part)
  return {'pictures': [picture]} if picture else {}


def _entry(display):
  return glossary.found(display.entry)


def _of_another_step(record: Run, facts: Iterable[dict]) -> list[str]:
  """Returns a remark if results and figures are from different steps, else []."""
  current = record.summary.get('step')
  steps = {found['step'] for found in facts if found.get('step') not in (None, current)}
  if not (steps and record.summary):
    return []
  return [
    f'From the network at step {", ".join(f"{step:,}" for step in sorted(steps))}; the figures '
    f'above are of step {current:,}: run jaxdl.analyze again.'
  ]


def drawn_by(facts: Iterable[dict]) -> list[str]:
  """Returns the flags of `jaxdl.analyze` that repeat results.

  Args:
    facts: contents of the .json files of the results.

  Returns:
    A list of str, such as '--only=errors,numpy --images=300'.
  """
  made = {}  # flags → names of analyses, in order
  for found in facts:
    if 'analysis' in found:
      made.setdefault(str(found.get('flags', '')), {})[str(found['analysis'])] = None
  return [f'--only={",".join(analyses)} {flags}'.strip() for flags, analyses in made.items()]


def pixels_uri(pixels: UInt8[np.ndarray, 'H W C']) -> str:
  """Encodes pixels, grey or colour, as the data URI of a PNG."""
  from PIL import Image

  packed = io.BytesIO()
  Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(packed, 'PNG')
  return f'data:image/png;base64,{base64.b64encode(packed.getvalue()).decode()}'
