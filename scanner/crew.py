"""The crew: several workers, tasks handed out a bounded number ahead, results in order."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import LifoQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from . import forking
from .supervisor import Limits, Worker

if TYPE_CHECKING:  # a crew is made before numpy is imported, so that its first worker starts meanwhile
    from .partial import Partial
    from .worker import Task

AHEAD = 4
"""Tasks handed out per worker before their results are merged: bounds what waits in memory."""

_TICK_S = 0.2

Unit: TypeAlias = "list[Task]"
"""Neighbouring tasks of one source that are handed out together."""

Tick = Callable[[int, int], None]
"""Called with the records and bytes done in the tasks that are under way."""


class Crew:
    """Workers that scan tasks, for one source after the other. Leaving it ends every worker at once.

    ``size`` workers, one for each core by default; all but the first start when there is work for them, and copies of
    this process all of them.
    """

    def __init__(self, size: int | None = None, limits: Limits | None = None) -> None:
        self.size = size = size or available_cores()
        self.limits = limits = limits or Limits()
        self.cancelled = threading.Event()
        self._workers = [Worker(limits, self.cancelled) for _ in range(size)]
        self._idle: LifoQueue[Worker] = LifoQueue()
        for worker in reversed(self._workers):
            self._idle.put(worker)
        if not forking.is_possible():  # else it starts in no time when all is loaded that it needs
            self._workers[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.close()

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a module-level function in a worker; raises what `Worker.call` raises."""
        return self._workers[0].call(function, *args)

    def run(self, tasks: Sequence[Task], tick: Tick) -> Generator[tuple[Task, Partial]]:
        """Scan tasks; their partial reports come in the order of the tasks. Closing it early ends what is under way."""
        for worker in self._workers[: len(tasks)]:
            if forking.is_possible():  # not any more in the threads below
                worker.start()
        pool = ThreadPoolExecutor(self.size, thread_name_prefix="datascan")

        def submit(unit: Unit) -> Future[list[Partial]]:
            return pool.submit(self.scan, unit)

        try:
            yield from in_order([[task] for task in tasks], submit, AHEAD * self.size, self.progress, tick)
        except BaseException:
            self.cancelled.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self.cancelled.clear()

    def scan(self, unit: Unit) -> list[Partial]:
        """Scan some tasks with a worker that is idle, or will be."""
        worker = self._idle.get()
        try:
            return [scan_with(worker, task) for task in unit]
        finally:
            self._idle.put(worker)

    def progress(self) -> tuple[int, int]:
        """Records and bytes done in the tasks that are under way."""
        done = [worker.progress() for worker in self._workers]
        return sum(records for records, _ in done), sum(size_bytes for _, size_bytes in done)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    units: Iterable[Unit],
    submit: Callable[[Unit], Future[list[Partial]]],
    ahead: int,
    progress: Callable[[], tuple[int, int]],
    tick: Tick,
    rescue: Callable[[Unit, Exception], Future[list[Partial]]] | None = None,
) -> Generator[tuple[Task, Partial]]:
    """Results in the order of the tasks, with at most ``ahead`` units handed out beyond the one that is next.

    ``progress`` gives the records and bytes done in units that are not finished. ``rescue`` is asked to hand a unit
    out again that came back with an error; it raises what can't be mended.
    """
    waiting: deque[tuple[Unit, Future[list[Partial]]]] = deque()
    upcoming = iter(units)
    try:
        while True:
            while len(waiting) < ahead and (unit := next(upcoming, None)) is not None:
                waiting.append((unit, submit(unit)))
            if not waiting:
                return
            unit, future = waiting[0]
            if not wait([future], _TICK_S).done:
                tick(*_under_way(waiting, progress()))
                continue
            try:
                partials = future.result()
            except Exception as exc:
                if rescue is None:
                    raise
                waiting[0] = unit, rescue(unit, exc)
                continue
            waiting.popleft()
            yield from zip(unit, partials, strict=True)
    finally:
        for _, future in waiting:
            future.cancel()


def _under_way(waiting: Iterable[tuple[Unit, Future[list[Partial]]]], unfinished: tuple[int, int]) -> tuple[int, int]:
    """Records and bytes of units that are being scanned, or wait for one before them."""
    records, size_bytes = unfinished
    for unit, future in waiting:
        if future.done() and not future.cancelled() and future.exception() is None:
            records += sum(partial.seen for partial in future.result())
            size_bytes += sum(task.partition.size_bytes for task in unit)
    return records, size_bytes


# ---- somebody else's threads and processes ----

_idle: list[Worker] = []
"""Workers of this process that wait for a task of an executor; ended with the process."""

_cancelled: dict[int, threading.Event] = {}
"""Set when the scan of that number is interrupted."""


def cancel_scan(scan: int) -> None:
    """End what `scan_contained` does in this process for that scan, and will be asked to do for it."""
    _cancelled.setdefault(scan, threading.Event()).set()


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # they answer to the parent


def scan_contained(unit: Unit, limits: Limits) -> list[Partial]:
    """Scan some tasks of a source in a worker of this process's own, so that a culprit does not end this process."""
    cancelled = _cancelled.setdefault(unit[0].source.scan, threading.Event())
    try:
        worker = _idle.pop()
    except IndexError:
        worker = Worker(limits, cancelled)
    if worker.limits != limits:
        worker.close()
        worker = Worker(limits, cancelled)
    worker.cancelled = cancelled
    try:
        return [scan_with(worker, task) for task in unit]
    finally:
        _idle.append(worker)


def scan_with(worker: Worker, task: Task) -> Partial:
    """Scan one task with a worker that may die of it."""
    from .contain import Containment

    return Containment(task, worker.call).run()
