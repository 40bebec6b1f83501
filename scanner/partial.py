"""Partial reports: what one partition gave, small, picklable, and merging with its neighbours in store order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..backends.base import Table
from .finding import Finding, Further, Severity
from .finding_batch import FindingBatch
from .marks import Marks
from .options import Options
from .prints import Prints
from .summary import Summary


class FindingLog:
    """Findings in the order they came, at most ``cap`` for each rule; the rest is counted by severity.

    ``marks``, if there are any, have the positions of all of them, the omitted ones included.
    """

    def __init__(self, cap: int, marked: bool = False) -> None:
        self.cap = cap
        self.kept: dict[str, list[Finding]] = defaultdict(list)
        self.omitted: dict[str, dict[Severity, int]] = {}
        self.marks: Marks | None = Marks() if marked else None

    def add(self, finding: Finding | Further | FindingBatch) -> None:
        """Keep a finding, or count it; of several those that will be told are made, and no others."""
        if isinstance(finding, FindingBatch):
            self._add_batch(finding)
            return
        if isinstance(finding, Further):
            self._omit(finding.rule, finding.severity, finding.count)
            return
        if self.marks is not None:
            self.marks.add(finding)
        self._keep(finding)

    def _add_batch(self, batch: FindingBatch) -> None:
        if self.marks is not None:
            for severity, positions in batch.by_severity():
                self.marks.add_all(batch.rule, severity, positions)
        room = min(max(self.cap - len(self.kept.get(batch.rule, ())), 0), len(batch))
        for number in range(room):
            self.kept[batch.rule].append(batch.make(number))
        for severity, count in batch.behind(room):
            self._omit(batch.rule, severity, count)

    def _keep(self, finding: Finding) -> None:
        kept = self.kept[finding.rule]
        if len(kept) < self.cap:
            kept.append(finding)
        else:
            self._omit(finding.rule, finding.severity, 1)

    def _omit(self, rule: str, severity: Severity, count: int) -> None:
        if count == 0:
            return
        counts = self.omitted.setdefault(rule, {})
        counts[severity] = counts.get(severity, 0) + count

    def merge(self, later: FindingLog, offset: int) -> None:
        """Take in the findings of what follows; their positions move by ``offset``."""
        for findings in later.kept.values():
            for finding in findings:
                self._keep(finding.shifted(offset))
        if self.marks is not None and later.marks is not None:
            self.marks.merge(later.marks, offset)
        for rule, counts in later.omitted.items():
            for severity, count in counts.items():
                self._omit(rule, severity, count)

    def __iter__(self) -> Iterator[Finding]:
        for findings in self.kept.values():
            yield from findings


class Partial:
    """What one partition gave, or several neighbours together.

    Attributes
    ----------
    extents
        ``(table, positions)`` in store order: turns a position of the whole scan into a table and its row.
    seen, unreadable
        Records that were checked, and records that the store could not give back.
    damaged
        Whether anything was lost to damage, also where it can't be known how many records.
    gave_up
        Whether a part of a partition was left unread because too many of its records end the reader.
    bytes_read
        Bytes of keys and values, for progress.
    crashes
        Rule name (or ``layout``) to the exception's text: a bug of ours, never silent.
    prints
        Fingerprints of the records, where a rebuild asks for them. Whoever merges takes them away first.
    """

    def __init__(self, options: Options) -> None:
        self.findings = FindingLog(options.max_findings, options.trace is not None)
        self.prints: list[Prints] = []
        self.summary = Summary(options)
        self.extents: list[tuple[Table, int]] = []
        self.seen = 0
        self.unreadable = 0
        self.damaged = False
        self.gave_up = False
        self.bytes_read = 0
        self.crashes: dict[str, str] = {}

    @property
    def positions(self) -> int:
        """Positions spanned by all extents."""
        return sum(positions for _, positions in self.extents)

    def extend(self, table: Table, positions: int) -> None:
        """Note that some more positions of a table have been passed."""
        if self.extents and self.extents[-1][0] == table:
            positions += self.extents.pop()[1]
        self.extents.append((table, positions))

    def merge(self, later: Partial) -> None:
        """Take in the partial report of what follows in store order."""
        offset = self.positions
        self.findings.merge(later.findings, offset)
        self.summary.merge(later.summary, offset)
        self.prints += [prints.shifted(offset) for prints in later.prints]
        for table, positions in later.extents:
            self.extend(table, positions)
        self.seen += later.seen
        self.unreadable += later.unreadable
        self.damaged |= later.damaged
        self.gave_up |= later.gave_up
        self.bytes_read += later.bytes_read
        for name, text in later.crashes.items():
            self.crashes.setdefault(name, text)
