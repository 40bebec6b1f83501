"""Reading a source for an audit: what earlier nights have read is taken over, and tonight's part is added."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

from ...backends.errors import StoreError
from ..crew import Crew
from ..frames import PARTIALS
from ..interrupt import interrupting
from ..partial import FindingLog, Partial
from ..plan import Plan
from ..progress import Progress
from ..report import SourceReport
from ..scan import Clock, ProgressCallback, begin, conclude_scan
from ..spill import Workspace
from ..worker import Task
from .remembered import Remembered, remember


class PartStore(Protocol):
    """Where partial reports are kept from night to night; ``stored`` says when each was read."""

    stored: dict[int, str]

    def load(self, ordinal: int) -> Partial | None:
        """One of them."""

    def keep(self, ordinal: int, partial: Partial) -> None:
        """Write one down."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading gave.

    ``contents`` are of all that was read, positions unknown behind the first gap; ``oldest`` is when the first of it
    was read; ``why`` says why it is not complete.
    """

    report: SourceReport
    contents: Remembered
    complete: bool
    done: int
    oldest: str
    why: str
    plan: Plan
    keyed: bool


def read(
    plan: Plan,
    parts: PartStore,
    crew: Crew,
    clock: Clock,
    tonight: Callable[[int], bool],
    deadline: float | None,
    progress: ProgressCallback | None,
    workspace: Workspace | None = None,
) -> Reading:
    """Read tonight's partitions, and put together all that this round has."""
    scanned = begin(plan, workspace)
    tasks = plan.tasks()
    missing = [task for task in tasks if task.partition.ordinal not in parts.stored]
    chosen = [task for task in missing if tonight(task.partition.ordinal)]
    due = {task.partition.ordinal for task in chosen}
    fresh = _Fresh(crew, chosen, deadline, progress, plan)
    done, gap = 0, False
    for task in tasks:
        ordinal = task.partition.ordinal
        partial = parts.load(ordinal)
        if partial is None and ordinal in due:
            partial = fresh.next()
            if partial is not None:
                parts.keep(ordinal, partial)
                partial = PARTIALS.decode(PARTIALS.encode(partial)) if gap else partial
        if partial is None:
            gap = True
            continue
        done += 1
        scanned.merge(task.partition, _unplaced(partial) if gap else partial)
    fresh.close()
    contents = remember(scanned.total.prints, scanned.total.extents)
    scanned.total.prints = []
    why = ""
    if gap:
        left = f"{done} of {len(plan.partitions)} parts have been read in this round"
        why = fresh.stopped or f"{left}; the others follow in other nights"
        scanned.stopped, scanned.interrupted = why, fresh.interrupted
    report = conclude_scan(plan, scanned, crew, clock)
    complete = not gap and not report.interrupted and not report.crashed
    keyed = not any(table.columns for table, _ in scanned.total.extents)
    oldest = min(parts.stored.values(), default=getattr(parts, "at", ""))
    return Reading(report, contents, complete, done, oldest, why, plan, keyed)


class _Fresh:
    """Partial reports of tonight, in order, until the time is up."""

    def __init__(
        self, crew: Crew, tasks: list[Task], deadline: float | None, progress: ProgressCallback | None, plan: Plan
    ) -> None:
        self.stopped = ""
        self.interrupted = False
        self._deadline = deadline
        self._begun = False
        total = sum(task.partition.size_bytes for task in tasks)

        def tick(records: int, size_bytes: int) -> None:
            if progress is not None:
                progress(Progress(records, min(size_bytes, total), total, plan.source.path))

        self._results: Generator[tuple[Task, Partial]] | None = crew.run(tasks, tick) if tasks else None

    def next(self) -> Partial | None:
        """That of the next task; ``None`` where it is not read tonight after all."""
        if self._results is None or (self._begun and self._deadline is not None and time.monotonic() > self._deadline):
            self.close()
            return None
        self._begun = True
        try:
            with interrupting():
                _, partial = next(self._results)
        except KeyboardInterrupt:
            self.interrupted = True
            self.close()
            return None
        except StoreError as exc:
            self.stopped = f"the rest could not be read: {exc}"
            self.close()
            return None
        return partial

    def close(self) -> None:
        """End what is under way."""
        if self._results is not None:
            with closing(self._results):
                self._results = None


def _unplaced(partial: Partial) -> Partial:
    """A partial report behind a gap: nobody knows at which positions its records stand."""
    log = FindingLog(partial.findings.cap)
    log.omitted = partial.findings.omitted
    for finding in partial.findings:
        location = finding.location
        if location.key is not None or location.index is None:
            log.kept[finding.rule].append(replace(finding, location=replace(location, index=None)))
        else:
            data = {**finding.data, "row_of_part": location.index}
            log.kept[finding.rule].append(replace(finding, location=replace(location, index=None), data=data))
    partial.findings = log
    return partial
