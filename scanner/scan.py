"""The scan of one source: plan, workers, merged report. The source itself is touched by workers alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ..backends.errors import StoreError, UsageError
from .conclude import Scanned, conclude, source_report
from .crew import AHEAD, Crew, run_on
from .finding import Finding, Severity
from .interrupt import interrupting
from .journal import Journal, SourceJournal
from .options import Options
from .partial import Partial
from .plan import Plan, Request, make_plan
from .probing import settled_plan, trained
from .progress import Progress
from .report import Coverage, RunInfo, SourceInfo, SourceReport
from .rules import select
from .rules.probe import ProbeRule
from .supervisor import WorkerDied
from .worker import Task

ProgressCallback = Callable[[Progress], None]


def scan_source(
    path: str | Path,
    options: Options,
    *,
    backend: str | None = None,
    database: str | None = None,
    layout: str | None = None,
    crew: Crew,
    executor: Executor | None = None,
    progress: ProgressCallback | None = None,
    journal: Journal | None = None,
) -> SourceReport:
    """Scan one source.

    Parameters
    ----------
    crew
        The workers. The report is the same for any number of them.
    executor
        Any `concurrent.futures.Executor` that scans the partitions instead; its processes must see ``path``.
    progress
        Called as the scan goes on, in this process.
    journal
        Where it is written down what is done, and was before.

    Raises
    ------
    StoreError
        The source could not be looked at.
    UsageError
        An option that makes no sense for this source, or a journal of another one.
    KeyboardInterrupt
        Before there is anything to report. Later an interruption ends the scan with what there is.
    """
    rules = wanted_rules(options)
    clock = Clock()
    try:
        with interrupting():
            plan: Plan = crew.call(make_plan, Request(str(path), options, rules, backend, database, layout))
            plan = settled_plan(crew.call, plan)
    except WorkerDied as death:
        return _never_opened(str(path), options, death)
    return scan_plan(plan, crew, clock, executor, progress, None if journal is None else journal.source(plan))


def wanted_rules(options: Options) -> tuple[str, ...]:
    """The rules that were asked for; those of the probe only where it runs, or they are named."""
    chosen = select(options.select, options.ignore)
    if not chosen:
        raise UsageError("no rule is left: every one that was selected is ignored")
    probed = options.probe is not None or bool(options.select)
    return tuple(rule.name for rule in chosen if probed or not issubclass(rule, ProbeRule))


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
    executor: Executor | None = None,
    progress: ProgressCallback | None = None,
    journal: SourceJournal | None = None,
) -> SourceReport:
    """Scan what was planned, but for what the journal holds."""
    meter = _Meter(plan, progress)
    scanned = Scanned(Partial(plan.context.options))
    scanned.total.merge(plan.opening)
    tasks = plan.tasks()
    for partial in journal.partials() if journal is not None else ():
        task = tasks.pop(0)
        scanned.merge(task.partition, partial)
        meter.done(task, partial)
    if executor is not None:
        partials = run_on(executor, tasks, crew.limits, AHEAD * crew.size, meter.tick)
    else:
        partials = crew.run(tasks, meter.tick)
    _merge(scanned, partials, meter, journal)
    try:
        with interrupting():
            scanned.total.summary.probe.curve = None if scanned.ended_early else trained(crew.call, plan)
            outcome = conclude(crew.call, plan, scanned)
    except KeyboardInterrupt:
        scanned.interrupted = True
        outcome = conclude(crew.call, plan, scanned)
    return source_report(plan, outcome, clock.run_info(max(min(crew.size, len(plan.partitions)), 1)))


def _merge(
    scanned: Scanned,
    partials: Generator[tuple[Task, Partial]],
    meter: _Meter,
    journal: SourceJournal | None,
) -> None:
    """Merge partial reports in order; Ctrl-C keeps what is there, and so does a source that is gone."""
    try:
        with closing(partials):
            while True:
                with interrupting():
                    task, partial = next(partials, (None, None))
                if task is None or partial is None:
                    return
                scanned.merge(task.partition, partial)
                meter.done(task, partial)
                if journal is not None:
                    journal.append(task.partition.ordinal, partial)
    except KeyboardInterrupt:
        scanned.interrupted = True
    except StoreError as exc:
        scanned.stopped = f"the rest could not be read: {exc}"


def _never_opened(path: str, options: Options, death: WorkerDied) -> SourceReport:
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

    def __init__(self, plan: Plan, callback: ProgressCallback | None) -> None:
        self.path = plan.source.path
        self.total_bytes = sum(partition.size_bytes for partition in plan.partitions)
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
