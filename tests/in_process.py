"""A crew without workers: for tests that replace parts of the program, and for very many small scans."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from datascan.scanner.crew import Crew, Tick
from datascan.scanner.partial import Partial
from datascan.scanner.supervisor import Limits
from datascan.scanner.worker import Task, Window, scan_window


class InProcess(Crew):
    """Scans in this very process, which dies with whatever kills a reader."""

    def __init__(self) -> None:
        self.size, self.limits, self._workers = 1, Limits(), []

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """See `Crew.call`."""
        return function(*args)

    def run(self, tasks: Sequence[Task], tick: Tick) -> Generator[tuple[Task, Partial]]:
        """See `Crew.run`."""
        for task in tasks:
            yield task, scan_window(task, Window())
