"""The ledger of claims, in Markdown: every figure of the reports, our figure and a verdict."""

import collections
import dataclasses
from collections.abc import Sequence

from jaxdl.step import metrics
from launch.reproduction import comparisons, interval, wording
from launch.reproduction.claims import CLAIMS
from launch.reproduction.contradictions import CONTRADICTIONS, DOUBTFUL, REPORTS
from launch.reproduction.run_folders import Group

STATUSES = ('agrees', 'differs', 'not testable', 'inconsistent in the source', 'not run')
OTHER_WORDS = {
  'parameters': 'parameters',
  'trainable': 'trainable parameters',
  'step': 'step by which the test accuracy is reached',
  'summed_loss': 'summed loss of each epoch',
}  # figures that a report may state besides the metrics of its splits
UNTESTABLE = {'summed_loss': 'a sum over batches; their size and the loss are not stated'}
HEAD = ('run', 'claim', 'reported', 'ours', 'status', 'note')
PREAMBLE = """# Ledger of claims
Every figure and comparison that the five reports state, and what our own runs say. Made from the
runs' files by `python -m launch.reproduction.reproduce --ledger`.

- **agrees**: the report's figure, or what it may have been rounded from, lies in our 95 % interval;
  counts are exact.
- **differs**: it does not; *better* and *worse* say where ours lies.
- **not testable**: the report leaves out what a test needs, or our runs cannot tell.
- **inconsistent in the source**: the report contradicts itself, so no run can agree with it.
- **not run**: there is no finished run.

Our figures are from the checkpoint with the lowest validation loss (training figures: from the last
line logged up to it). The interval of an accuracy is the Wilson interval of the counted examples,
widened by 1.96 · deviation / √seeds for several seeds. The interval of other figures is the mean
± 1.96 · deviation / √seeds; a single seed has none. Two groups of runs that counted the same
examples are compared over their seeds.
"""


@dataclasses.dataclass(frozen=True)
class Entry:
  """A line of the ledger; all are str, `source` is the report."""

  source: str
  of: str
  claim: str
  reported: str
  ours: str
  status: str
  note: str = ''


def figure_names() -> dict[str, str]:
  """The keys of `config.reported` besides its source, and how each figure is called."""
  splits = {'test': 'test', 'train': 'training', 'validation': 'validation'}
  loss, *others = metrics.evaluated()
  of_splits = {
    f'{split}_{metric.name}': f'{word} {metric.title}'
    for split, word in splits.items()
    for metric in (*others, loss)
  }
  return {**of_splits, **OTHER_WORDS}


def entries(groups: dict[str, Group]) -> list[Entry]:
  """Every claim with its verdict.

  Args:
    groups: name → Group.

  Returns:
    the figures of single runs first, then what compares runs, then the contradictions.

  Raises:
    ValueError: a config reports a figure that the ledger does not know.
  """
  names = figure_names()
  for group in groups.values():
    unknown = set(group.reported) - {'source', *names}
    if unknown:
      raise ValueError(
        f'{group.name} reports {min(unknown)!r}, which is not a figure: '
        f'use source, {", ".join(names)}'
      )
  found = [
    _figure(group, key) for group in groups.values() for key in names if key in group.reported
  ]
  found += [_claim(claim, groups) for claim in CLAIMS]
  return found + [
    Entry(source, '', statement, '', '', 'inconsistent in the source', against)
    for source, statement, against in CONTRADICTIONS
  ]


def markdown(found: Sequence[Entry]) -> str:
  """The entries as Markdown, grouped by report, with how many there are of each status."""
  lines = [PREAMBLE, _line(['report', *STATUSES]), _line(['---', *['---:'] * len(STATUSES)])]
  by_source = collections.defaultdict(list)
  for entry in found:
    by_source[entry.source].append(entry)
  for source in sorted(by_source):
    counts = collections.Counter(_kind(entry) for entry in by_source[source])
    lines.append(_line([source, *(str(counts[status]) for status in STATUSES)]))
  for source in sorted(by_source):
    lines += [
      '',
      f'## {source}: {REPORTS.get(source, "no report")}',
      _line(HEAD),
      _line(['---'] * len(HEAD)),
    ]
    lines += [
      _line([entry.of, entry.claim, entry.reported, entry.ours, f'**{entry.status}**', entry.note])
      for entry in by_source[source]
    ]
  return '\n'.join(lines) + '\n'


def _figure(group, key):
  """The entry of one figure that a report states of one experiment."""
  reported = group.reported[key]
  verdict = _verdict(group, key, reported)
  doubt = DOUBTFUL.get((group.name, key))
  if doubt:
    verdict = comparisons.Verdict('inconsistent in the source', verdict.ours, doubt)
  elif group.is_on_other_data:
    verdict = comparisons.Verdict('not testable', verdict.ours, wording.OTHER_DATA)
  notes = [
    verdict.note,
    *(f'the data: {remark}' for remark in group.remarks if key.startswith('test_')),
    f'runs of another config ({", ".join(group.changed)})'
    if group.changed and group.finished
    else '',
  ]
  return Entry(
    group.reported.get('source', 'none'),
    f'`{group.name}`',
    figure_names()[key],
    wording.reported(key, reported),
    verdict.ours,
    verdict.status,
    '; '.join(filter(None, notes)),
  )


def _verdict(group, key, reported):
  if key in UNTESTABLE:
    return comparisons.Verdict('not testable', '–', UNTESTABLE[key])
  if not group.finished:
    return _not_run([group])
  if key == 'step' and 'test_accuracy' in group.reported:
    return comparisons.by_step(group.reported['test_accuracy'], reported)(group.finished)
  measured = interval.of_runs(group.finished, key)
  if measured is None:
    return comparisons.Verdict('not testable', '–', f'the runs have no {figure_names()[key]}')
  if isinstance(reported, int):
    counts = sorted({run.summary[key] for run in group.finished})
    return comparisons.Verdict(
      'agrees' if counts == [reported] else 'differs', wording.figure(key, counts)
    )
  return comparisons.Verdict(
    interval.status(measured, reported, key), wording.with_interval(key, measured)
  )


def _claim(claim, groups):
  """The entry of a claim that compares runs, or that cannot be tested."""
  of = ', '.join(f'`{name}`' for name in claim.of)
  if claim.test is None:
    return Entry(claim.source, of, claim.statement, '', '–', 'not testable', claim.reason)
  there = [groups[name] for name in claim.of if name in groups]
  if len(there) < len(claim.of) or not all(group.finished for group in there):
    verdict = _not_run(there)
  else:
    verdict = claim.test(*(group.finished for group in there))
  other = wording.OTHER_DATA if any(group.is_on_other_data for group in there) else ''
  note = '; '.join(filter(None, [verdict.note, other]))
  return Entry(claim.source, of, claim.statement, '', verdict.ours, verdict.status, note)


def _not_run(groups):
  return comparisons.Verdict(
    'not run', '–', '; '.join(words for group in groups for words in group.unfinished)
  )


def _kind(entry):
  return next(status for status in STATUSES if entry.status.startswith(status))


def _line(cells):
  return f'| {" | ".join(cells)} |'
