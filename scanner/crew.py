"""The crew: several workers, tasks handed out a bounded number ahead, results in order."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from queue import LifoQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .supervisor import Limits, Worker

if TYPE_CHECKING:  # a crew is made before numpy is imported, so that its first worker starts meanwhile
    from .partial import Partial
    from .worker import Task

AHEAD = 4
"""Tasks handed out per worker before their results are merged: bounds what waits in memory."""

_TICK_S = 0.2

Tick = Callable[[int, int], None]
"""Called with the records and bytes done in the tasks that are under way."""


class Crew:
    """Workers that scan tasks, for one source after the other. Leaving it ends every worker at once.

    ``size`` workers, one for each core by default; all but the first start when there is work for them.
    """

    def __init__(self, size: int | None = None, limits: Limits | None = None) -> None:
        self.size = size = size or available_cores()
        self.limits = limits = limits or Limits()
        self.cancelled = threading.Event()
        self._workers = [Worker(limits, self.cancelled) for _ in range(size)]
        self._idle: LifoQueue[Worker] = LifoQueue()
        for worker in reversed(self._workers):
            self._idle.put(worker)
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
        pool = ThreadPoolExecutor(self.size, thread_name_prefix="datascan")
        try:
            yield from in_order(tasks, lambda task: pool.submit(self._contained, task), AHEAD * self.size, self, tick)
        except BaseException:
            self.cancelled.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self.cancelled.clear()

    def _contained(self, task: Task) -> Partial:
        worker = self._idle.get()
        try:
            return _scan_with(worker, task)
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


def run_on(
    executor: Executor, tasks: Sequence[Task], limits: Limits, ahead: int, tick: Tick
) -> Generator[tuple[Task, Partial]]:
    """Scan tasks on somebody else's executor; each of its processes keeps contained workers of its own."""
    try:
        yield from in_order(tasks, lambda task: executor.submit(scan_contained, task, limits), ahead, None, tick)
    finally:
        for task in tasks[:1]:  # only threads of this process hear of it; other processes end their tasks
            _cancelled_of(task).set()
            _cancelled.pop(task.source.scan)


def in_order(
    tasks: Sequence[Task], submit: Callable[[Task], Future[Partial]], ahead: int, crew: Crew | None, tick: Tick
) -> Generator[tuple[Task, Partial]]:
    """Results in the order of the tasks, with at most ``ahead`` tasks handed out beyond the one that is next."""
    waiting: deque[tuple[Task, Future[Partial]]] = deque()
    upcoming = iter(tasks)
    try:
        while True:
            while len(waiting) < ahead and (task := next(upcoming, None)) is not None:
                waiting.append((task, submit(task)))
            if not waiting:
                return
            task, future = waiting[0]
            if not wait([future], _TICK_S).done:
                tick(*_under_way(waiting, crew))
                continue
            waiting.popleft()
            yield task, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _under_way(waiting: Iterable[tuple[Task, Future[Partial]]], crew: Crew | None) -> tuple[int, int]:
    """Records and bytes of tasks that are being scanned, or wait for one before them."""
    records, size_bytes = (0, 0) if crew is None else crew.progress()
    for task, future in waiting:
        if future.done() and not future.cancelled() and future.exception() is None:
            records += future.result().seen
            size_bytes += task.partition.size_bytes
    return records, size_bytes


# ---- somebody else's threads and processes ----

_idle: list[Worker] = []
"""Workers of this process that wait for a task of an executor; ended with the process."""

_cancelled: dict[int, threading.Event] = {}
"""Set when the scan of that number is interrupted."""


def _cancelled_of(task: Task) -> threading.Event:
    return _cancelled.setdefault(task.source.scan, threading.Event())


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # they answer to the parent


def scan_contained(task: Task, limits: Limits) -> Partial:
    """Scan one task in a worker of this process's own, so that a culprit does not end this process."""
    cancelled = _cancelled_of(task)
    try:
        worker = _idle.pop()
    except IndexError:
        worker = Worker(limits, cancelled)
    if worker.limits != limits:
        worker.close()
        worker = Worker(limits, cancelled)
    worker.cancelled = cancelled
    try:
        return _scan_with(worker, task)
    finally:
        _idle.append(worker)


def _scan_with(worker: Worker, task: Task) -> Partial:
    from .contain import Containment

    return Containment(task, worker.call).run()
