"""The scan of one source: plan, workers, merged report. The source itself is touched by workers alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from ..backends.base import Partition
from ..backends.errors import StoreError, UsageError
from .conclude import Scanned, Telling, conclude, source_report
from .crew import Crew
from .engines import Engine, run_on
from .finding import Finding, Severity
from .interrupt import interrupting
from .journal import Journal, SourceJournal
from .options import Options
from .partial import Partial
from .plan import Plan, Request, make_plan
from .probing import settled_plan, trained
from .progress import Progress
from .report import Coverage, RunInfo, SourceInfo, SourceReport
from .rules import SetRule, select
from .spill import Workspace
from .supervisor import WorkerDied
from .worker import Task

ProgressCallback = Callable[[Progress], None]

FoundCallback = Callable[[str, Sequence[Finding]], None]
"""Called with the path of a source and findings of it that will be in its report as they are."""


def scan_source(
    path: str | Path,
    options: Options,
    *,
    backend: str | None = None,
    database: str | None = None,
    layout: str | None = None,
    at: str | None = None,
    crew: Crew,
    engine: Engine | None = None,
    progress: ProgressCallback | None = None,
    journal: Journal | None = None,
    found: FoundCallback | None = None,
    workspace: Workspace | None = None,
) -> SourceReport:
    """Scan one source.

    Parameters
    ----------
    at
        A copy of the source on this machine, to be read instead.
    crew
        The workers. The report is the same for any number of them.
    engine
        What scans the partitions instead; its processes must see ``path``.
    progress
        Called as the scan goes on, in this process.
    journal
        Where it is written down what is done, and was before.
    found
        Called in this process with the findings of each partition as soon as it is merged. Those of the set as a whole
        are known at its end alone, and only in the report.
    workspace
        Where what grows with the number of records goes, when it takes too much memory.

    Raises
    ------
    StoreError
        The source could not be looked at.
    UsageError
        An option that makes no sense for this source, or a journal of another one.
    KeyboardInterrupt
        Before there is anything to report. Later an interruption ends the scan with what there is.
    """
    clock = Clock()
    try:
        plan = plan_source(Request(str(path), options, wanted_rules(options), backend, database, layout, at), crew)
    except WorkerDied as death:
        return never_opened(str(path), options, death)
    done = None if journal is None else journal.source(plan)
    return scan_plan(plan, crew, clock, engine, progress, done, found, workspace)


def plan_source(request: Request, crew: Crew) -> Plan:
    """What is to be scanned, how, and in which partitions.

    Raises
    ------
    StoreError, UsageError
        As `make_plan`.
    WorkerDied
        Opening the source ends the reader.
    """
    with interrupting():
        plan: Plan = crew.call(make_plan, request)
        return settled_plan(crew.call, plan)


def wanted_rules(options: Options) -> tuple[str, ...]:
    """The rules that were asked for; those that this scan has nothing to tell only where they are named."""
    chosen = select(options.select, options.ignore)
    if not chosen:
        raise UsageError("no rule is left: every one that was selected is ignored")
    if all(issubclass(rule, SetRule) for rule in chosen):
        raise UsageError("the selected rules look at two sets: datascan compare A B")
    return tuple(rule.name for rule in chosen if rule.wanted(options) or rule.name in options.select)


class Clock:
    """When a scan began."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.started = datetime.now(UTC).isoformat(timespec="seconds")

    def run_info(self, workers: int) -> RunInfo:
        """What the report says of the run, now that it is over."""
        return RunInfo(self.started, round(time.monotonic() - self.began, 3), workers)


def scan_plan(
    plan: Plan,
    crew: Crew,
    clock: Clock,
    engine: Engine | None = None,
    progress: ProgressCallback | None = None,
    journal: SourceJournal | None = None,
    found: FoundCallback | None = None,
    workspace: Workspace | None = None,
) -> SourceReport:
    """Scan what was planned, but for what the journal holds."""
    scanned = begin(plan, workspace, found)
    read_partitions(plan, plan.tasks(), scanned, crew, engine, progress, journal)
    return conclude_scan(plan, scanned, crew, clock)


def begin(plan: Plan, workspace: Workspace | None = None, found: FoundCallback | None = None) -> Scanned:
    """What is known before the first partition; all that grows with the records goes to the workspace."""
    total = Partial(plan.context.options)
    total.summary.spill_to(workspace or Workspace())
    scanned = Scanned(total) if found is None else Telling(total, plan=plan, tell=found)
    scanned.total.merge(plan.opening)
    return scanned


class Taker(Protocol):
    """Whoever takes the partial reports of a scan, in store order."""

    interrupted: bool
    stopped: str | None

    def merge(self, partition: Partition, partial: Partial) -> None:
        """Take the next one."""


def read_partitions(
    plan: Plan,
    tasks: list[Task],
    taker: Taker,
    crew: Crew,
    engine: Engine | None = None,
    progress: ProgressCallback | None = None,
    journal: SourceJournal | None = None,
) -> None:
    """Scan tasks of a plan, but for what the journal holds; Ctrl-C keeps what is there, and so does a lost source."""
    meter = _Meter(plan, tasks, progress)
    tasks = list(tasks)
    for partial in journal.partials() if journal is not None else ():
        task = tasks.pop(0)
        taker.merge(task.partition, partial)
        meter.done(task, partial)
    partials = crew.run(tasks, meter.tick) if engine is None else run_on(engine, tasks, crew, meter.tick)
    try:
        with closing(partials):
            while True:
                with interrupting():
                    found = next(partials, None)
                if found is None:
                    return
                task, partial = found
                taker.merge(task.partition, partial)
                meter.done(task, partial)
                if journal is not None:
                    journal.append(task.partition.ordinal, partial)
    except KeyboardInterrupt:
        taker.interrupted = True
    except StoreError as exc:
        taker.stopped = f"the rest could not be read: {exc}"


def conclude_scan(plan: Plan, scanned: Scanned, crew: Crew, clock: Clock) -> SourceReport:
    """The report of what was scanned: rules of the whole set, the store's last word, training where asked for."""
    try:
        with interrupting():
            scanned.total.summary.probe.curve = None if scanned.ended_early else trained(crew.call, plan)
            outcome = conclude(crew.call, plan, scanned)
    except KeyboardInterrupt:
        scanned.interrupted = True
        outcome = conclude(crew.call, plan, scanned)
    return source_report(plan, outcome, clock.run_info(max(min(crew.size, len(plan.partitions)), 1)))


def never_opened(path: str, options: Options, death: WorkerDied) -> SourceReport:
    """The report of a store whose opening kills the reader."""
    severity = options.severities.get("store-reader-died", Severity.ERROR)
    finding = Finding("store-reader-died", severity, f"opening the store ends the reader: it {death.reason}")
    return SourceReport(
        source=SourceInfo(path),
        coverage=Coverage(complete=False, reasons=("the store could not be opened",)),
        findings=(finding,),
        fail_on=options.fail_on,
    )


class _Meter:
    """Adds up what tasks report and passes it on."""

    def __init__(self, plan: Plan, tasks: Sequence[Task], callback: ProgressCallback | None) -> None:
        self.path = plan.source.path
        self.total_bytes = sum(task.partition.size_bytes for task in tasks)
        self.callback = callback
        self.records = self.done_bytes = 0

    def tick(self, records: int, size_bytes: int) -> None:
        """Some tasks are under way."""
        self._call(self.records + records, self.done_bytes + size_bytes)

    def done(self, task: Task, partial: Partial) -> None:
        """A task is finished."""
        self.records += partial.seen
        self.done_bytes += task.partition.size_bytes
        self._call(self.records, self.done_bytes)

    def _call(self, records: int, done_bytes: int) -> None:
        if self.callback is not None:
            self.callback(Progress(records, min(done_bytes, self.total_bytes), self.total_bytes, self.path))
