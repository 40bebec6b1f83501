"""The scan of one source: plan, partitions, workers, merged report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ..backends import open_store
from ..backends.base import Partition, RowBatch, Store, Table
from .conclude import Scanned, conclude, source_report
from .options import Options
from .partial import Partial
from .plan import Plan, make_plan
from .progress import Progress
from .report import RunInfo, SourceReport
from .rules import instantiate, select
from .sample import SampleBatch
from .worker import Checker, SourceRef, Task, read_partition, scan_partition

ProgressCallback = Callable[[Progress], None]

AHEAD = 4
"""Partitions handed out per worker before their results are merged: bounds what waits in memory."""


def scan_source(
    path: str | Path,
    options: Options,
    *,
    backend: str | None = None,
    database: str | None = None,
    layout: str | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: ProgressCallback | None = None,
) -> SourceReport:
    """Scan one source.

    Parameters
    ----------
    jobs
        Worker processes; all cores by default. The report is the same for any number.
    executor
        Any `concurrent.futures.Executor` instead of a pool of our own; its workers must see ``path``.
    progress
        Called after each batch or partition, in this process.

    Raises
    ------
    StoreError
        The source could not be looked at.
    UsageError
        An option that makes no sense for this source.
    """
    clock = time.monotonic()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    rule_classes = select(options.select, options.ignore)
    with open_store(path, backend, database) as store:
        source = SourceRef(str(path), store.name, database)
        plan = make_plan(store, source, options, layout, [rule.name for rule in rule_classes])
        workers = min(jobs or available_cores(), max(len(plan.partitions), 1))
        scanned = _run(store, plan, workers, executor, _Progress(str(path), plan, progress))
        outcome = conclude(store, plan, scanned)
        run = RunInfo(started, round(time.monotonic() - clock, 3), workers)
        return source_report(store, plan, outcome, run)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# ---- run ----


class _Progress:
    """Adds up what partitions report and passes it on."""

    def __init__(self, path: str, plan: Plan, callback: ProgressCallback | None) -> None:
        self.path = path
        self.total_bytes = sum(partition.size_bytes for partition in plan.partitions)
        self.callback = callback
        self.records = self.done_bytes = 0

    def tick(self, partial: Partial) -> None:
        """A partition of this process is under way."""
        self._call(self.records + partial.seen, self.done_bytes + partial.bytes_read)

    def done(self, partial: Partial, partition: Partition) -> None:
        """A partition is finished."""
        self.records += partial.seen
        self.done_bytes += partition.size_bytes
        self._call(self.records, self.done_bytes)

    def _call(self, records: int, done_bytes: int) -> None:
        if self.callback is not None:
            self.callback(Progress(records, min(done_bytes, self.total_bytes), self.total_bytes, self.path))


def _run(store: Store, plan: Plan, workers: int, executor: Executor | None, progress: _Progress) -> Scanned:
    """Scan all partitions and merge them in order; Ctrl-C keeps what is there."""
    scanned = Scanned(_opening(store, plan))
    partials = _pooled(plan, workers, executor) if executor or workers > 1 else _inline(store, plan, progress)
    try:
        for partition, partial in partials:
            scanned.merge(partition, partial)
            progress.done(partial, partition)
    except KeyboardInterrupt:
        scanned.interrupted = True
    return scanned


def _opening(store: Store, plan: Plan) -> Partial:
    """What is wrong with the set before any record is read."""
    options = plan.context.options
    checker = Checker(plan.choice.layout, instantiate(plan.rules, plan.context), options)
    for damage in store.opening_damage():
        checker.note(damage)
    faults = list(plan.choice.layout.opening_faults())
    if faults:
        checker.check(SampleBatch(_no_rows(), _no_rows().positions, faults=faults))
    return checker.partial


def _no_rows() -> RowBatch:
    return RowBatch(Table(), np.empty(0, np.int64), {})


def _inline(store: Store, plan: Plan, progress: _Progress) -> Iterator[tuple[Partition, Partial]]:
    for task in plan.tasks():
        yield task.partition, read_partition(store, task, progress.tick)


def _pooled(plan: Plan, workers: int, executor: Executor | None) -> Iterator[tuple[Partition, Partial]]:
    """Partitions in order, a bounded number ahead of the one that is merged next."""
    own = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if executor is None else None
    pool = executor or own
    assert pool is not None
    waiting: list[tuple[Task, Future[Partial]]] = []
    try:
        for task in plan.tasks():
            waiting.append((task, pool.submit(scan_partition, task)))
            if len(waiting) >= AHEAD * workers:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)
    finally:
        for _, future in waiting:
            future.cancel()
        if own is not None:
            own.shutdown(wait=True, cancel_futures=True)


def _first(waiting: list[tuple[Task, Future[Partial]]]) -> tuple[Partition, Partial]:
    task, future = waiting.pop(0)
    try:
        return task.partition, future.result()
    except BrokenProcessPool:
        lost = Partial(task.context.options)
        lost.crashes["reader"] = f"the worker died while it read partition {task.partition.ordinal}"
        return task.partition, lost
