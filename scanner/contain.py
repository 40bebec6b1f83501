"""Containment: a partition is scanned to its end although some of its records kill whoever reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..backends.base import BATCH_RECORDS
from .finding import Location, Severity
from .partial import Partial
from .rules.store import StoreReaderDied
from .supervisor import WorkerDied
from .worker import BEHIND, Task, Window, keys_at, scan_window

MOST_CULPRITS = 20
"""After so many deaths in one partition the rest of it is given up, and named."""

_MAP_LOST = "was killed by SIGBUS"

Call = Callable[..., Any]
"""Calls a function in a worker: see `Worker.call`."""


class _TooMany(Exception):
    """One culprit more than `MOST_CULPRITS`."""

    def __init__(self, position: int, death: WorkerDied) -> None:
        super().__init__(position)
        self.position = position
        self.death = death


class Containment:
    """Scans one task with a worker that may die, so that every other record is scanned exactly once.

    A worker stamps what it is about to touch. When it dies, what came before is scanned again (its results died
    with it). The culprit is the record that was stamped last; where only the batch is known, its records are scanned
    one by one until the culprit shows. It is read once more alone, to be sure, and the scan goes on behind it.
    """

    def __init__(self, task: Task, call: Call) -> None:
        self.task = task
        self.call = call
        self.rule = StoreReaderDied(task.context) if StoreReaderDied.name in task.rules else None
        self.total = Partial(task.context.options)
        self.culprits = 0
        self.end: int | None = None

    def run(self) -> Partial:
        """The partial report of the whole partition."""
        position = 0
        try:
            death = self._scan(Window(position), mapped=True)
            if death is not None and death.reason == _MAP_LOST:
                # The file was cut under the map, or its medium failed: no record is to blame. Reading finds out what.
                death = self._scan(Window(position))
            while death is not None:
                position = self._pass(position, death)
                death = self._scan(Window(position))
        except _TooMany as many:
            self._give_up(many.position, many.death)
        self._add_keys()
        self.total.extend(self.task.partition.table, self.end or 0)
        return self.total

    def _pass(self, position: int, death: WorkerDied) -> int:
        """Scan on to behind the record that ended the reader; returns where to go on."""
        first = max(death.mark.start, position)
        self._cover(position, first)
        if death.mark.record >= first:
            self._cover(first, death.mark.record)
            return self._judge(death.mark.record, first, death)
        stop = death.mark.stop if death.mark.stop > first else first + BATCH_RECORDS
        careful = self._scan(Window(first, stop, step=1))
        if careful is None:
            self._judge_company(first, stop, death)
            return stop
        culprit = max(careful.mark.record, careful.mark.start, first)
        self._cover(first, culprit)
        return self._judge(culprit, first, careful)

    def _cover(self, start: int, stop: int) -> None:
        """Scan a range that should do no harm; what ends the reader nevertheless is found by halves."""
        if start >= stop:
            return
        death = self._scan(Window(start, stop))
        if death is None:
            return
        if stop - start == 1:
            self._judge(start, start, death)
            return
        middle = (start + stop) // 2
        self._cover(start, middle)
        self._cover(middle, stop)

    def _judge(self, record: int, first: int, death: WorkerDied) -> int:
        """Read a culprit alone: if it ends the reader again it is named, else it has been scanned now.

        ``first`` is where the records begin that were in memory with it. Returns the position behind it.
        """
        if self.culprits >= MOST_CULPRITS:
            raise _TooMany(record, death)
        again = self._scan(Window(record, record + 1, step=1))
        if again is None:
            self._judge_company(first, record + 1, death)
        else:
            self.culprits += 1
            self.total.unreadable += 1
            self._report(f"reading this record ends the reader: it {again.reason}", record)
        return record + 1

    def _judge_company(self, first: int, stop: int, death: WorkerDied) -> None:
        """No record of a range kills alone: name the smallest range that does when its records are read together."""
        if self.culprits >= MOST_CULPRITS:
            raise _TooMany(stop, death)
        self.culprits += 1
        if not self._dies(first, stop):
            message = f"the reader {death.reason} once at this record or one near it; read again, each could be scanned"
            suspect = max(death.mark.record, death.mark.start, first)
            self._report(message, suspect, Severity.WARNING, {"positions": stop - first})
            return
        first, stop = self._narrowed(first, stop)
        message = (
            f"the reader {death.reason} when {stop - first} records from here on are read together, "
            "and by none of them alone: each was scanned by itself"
        )
        self._report(message, first, None, {"positions": stop - first})

    def _narrowed(self, first: int, stop: int) -> tuple[int, int]:
        """The smallest part of a deadly range that is deadly still."""
        low, high = first, stop  # up to `low` it survives, up to `high` it dies
        while high - low > 1:
            middle = (low + high) // 2
            if self._dies(first, middle):
                high = middle
            else:
                low = middle
        stop, low, high = high, first, high  # from `low` on it dies, from `high` on it survives
        while high - low > 1:
            middle = (low + high) // 2
            if self._dies(middle, stop):
                low = middle
            else:
                high = middle
        return low, stop

    def _dies(self, start: int, stop: int) -> bool:
        try:
            self.call(scan_window, self.task, Window(start, stop))
        except WorkerDied:
            return True
        return False

    def _give_up(self, position: int, death: WorkerDied) -> None:
        """Leave the rest of the partition; later ones must keep their positions, so its length is still wanted."""
        try:
            partial: Partial = self.call(scan_window, self.task, Window(BEHIND))
            self.end = max(partial.positions, position)
        except WorkerDied:
            self.end = position
        lost = self.end - position
        self.total.unreadable += lost
        self.total.damaged = self.total.gave_up = True
        rest = f"the {lost:,} records from here on were" if lost else "the rest of this partition was"
        message = f"after {self.culprits} records that end the reader {rest} not read: the next one {death.reason}"
        self._report(message, position, None, {"records_lost": lost})

    def _scan(self, window: Window, mapped: bool = False) -> WorkerDied | None:
        """Scan a window and keep what it gives, or say how the worker died."""
        try:
            partial: Partial = self.call(scan_window, self.task, window, mapped)
        except WorkerDied as death:
            return death
        if partial.extents:
            self.end = partial.positions
            partial.extents.clear()
        self.total.merge(partial)
        return None

    def _report(
        self, message: str, position: int, severity: Severity | None = None, data: dict[str, int] | None = None
    ) -> None:
        if self.rule is not None:
            self.total.findings.add(self.rule.finding(message, Location(index=position), severity, data))

    def _add_keys(self) -> None:
        """Look up the keys of what was reported: an interrupted scan has no other occasion."""
        findings = self.total.findings.kept.get(StoreReaderDied.name)
        if not findings or self.task.partition.table.columns:
            return
        positions = [finding.location.index for finding in findings if finding.location.index is not None]
        try:
            keys = self.call(keys_at, self.task.source, self.task.partition, positions)
        except WorkerDied:
            return
        findings[:] = [
            replace(finding, location=replace(finding.location, key=keys.get(finding.location.index)))
            for finding in findings
        ]
