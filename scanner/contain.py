"""Containment: a partition is scanned to its end although some of its records kill whoever reads them."""

from __future__ import annotations

from collections.abc import Callable

from .finding import Location, Severity
from .partial import Partial
from .rules.store import StoreReaderDied
from .supervisor import WorkerDied
from .worker import Task, Window

MOST_CULPRITS = 20
"""After so many deaths in one partition the rest of it is given up, and named."""

Call = Callable[[Task, Window], Partial]


class Containment:
    """Scans one task with a worker that may die, so that every other record is scanned exactly once.

    A worker stamps what it is about to touch. When it dies, what came before is scanned again (its results died
    with it), the stamped batch is read record by record until the culprit shows, the culprit is read once more
    alone to be sure, and the scan goes on behind it.
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
        start = 0
        while self.end is None:
            start = self._advance(start)
        self.total.extend(self.task.partition.table, self.end)
        return self.total

    def _advance(self, start: int) -> int:
        """Scan on from a position to the end, or past the next culprit; returns where to go on."""
        death = self._scan(Window(start))
        if death is None:
            return start
        if self.culprits >= MOST_CULPRITS:
            self._give_up(start, death)
            return start
        first = max(death.start, start)
        if first > start and self._scan(Window(start, first)) is not None:
            first = start  # it died elsewhere this time: look from the start on, record by record
            death = WorkerDied(death.reason, first, -1)
        return self._single_out(first, death)

    def _single_out(self, first: int, death: WorkerDied) -> int:
        """Find the culprit in the batch that begins at a position; returns the position behind what is settled."""
        stop = death.stop if death.stop > first else None
        careful = self._scan(Window(first, stop, step=1))
        if careful is None:
            self._report_company(first, stop, death)
            return first if stop is None else stop
        culprit = max(careful.start, first)
        if culprit > first and self._scan(Window(first, culprit, step=1)) is not None:
            culprit = first
        return self._confirm(culprit, careful)

    def _confirm(self, culprit: int, death: WorkerDied) -> int:
        """Read the culprit alone; if it kills again it is named, else it has been scanned now."""
        again = self._scan(Window(culprit, culprit + 1, step=1))
        self.culprits += 1
        if again is None:
            self._report(f"reading this record ended the reader once ({death.reason}), and not again", culprit, False)
        else:
            self.total.unreadable += 1
            self._report(f"reading this record ends the reader: it {again.reason}", culprit, True)
        return culprit + 1

    def _report_company(self, first: int, stop: int | None, death: WorkerDied) -> None:
        """No record kills alone: name the smallest range that does when its records are read together."""
        self.culprits += 1
        low, high = first, self.end if stop is None else stop
        if high is None or not self._dies(low, high):
            self._report(f"the reader {death.reason} once; read again, every record could be scanned", first, False)
            return
        while high - low > 1:
            middle = (low + high) // 2
            if self._dies(low, middle):
                high = middle
            elif self._dies(middle, high):
                low = middle
            else:
                break
        message = (
            f"the reader {death.reason} when {high - low} records from here on are read together, "
            "and by none of them alone: each was scanned by itself"
        )
        self._report(message, low, True, {"positions": high - low})

    def _dies(self, start: int, stop: int) -> bool:
        try:
            self.call(self.task, Window(start, stop))
        except WorkerDied:
            return True
        return False

    def _give_up(self, start: int, death: WorkerDied) -> None:
        self.total.damaged = True
        self.total.gave_up = True
        message = f"after {self.culprits} records that end the reader the rest of this partition was not read"
        self._report(f"{message} (the reader {death.reason})", start, True)
        self.end = start

    def _scan(self, window: Window) -> WorkerDied | None:
        """Scan a window and keep what it gives, or say how the worker died."""
        try:
            partial = self.call(self.task, window)
        except WorkerDied as death:
            return death
        if partial.extents:
            self.end = partial.positions
            partial.extents.clear()
        self.total.merge(partial)
        return None

    def _report(self, message: str, position: int, severe: bool, data: dict[str, int] | None = None) -> None:
        if self.rule is not None:
            severity = None if severe else Severity.WARNING
            self.total.findings.add(self.rule.finding(message, Location(index=position), severity, data))
