"""What every engine is: an executor, how much it does at once, and how to stop and to mend it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ...backends.errors import StoreError
from ..crew import Unit, cancel_scan, scan_contained
from ..supervisor import Limits
from ..version import __version__

if TYPE_CHECKING:  # loads numpy
    from ..partial import Partial


class EngineError(StoreError):
    """The engine is not there, or not what it has to be; nothing was scanned by it."""


class Engine:
    """An executor that scans partitions; a context manager that ends only what it has started itself.

    Parameters
    ----------
    executor
        Runs module-level functions in threads or processes that see the same paths.
    slots
        How many tasks it runs at once.
    make
        Makes another executor where one breaks (`BrokenExecutor`) and belongs to nobody else.
    """

    name = "executor"

    def __init__(self, executor: Executor, slots: int, make: Callable[[], Executor] | None = None) -> None:
        self.executor = executor
        self._slots = slots
        self._make = make

    @property
    def slots(self) -> int:
        """How many tasks it runs at once, now."""
        return self._slots

    def submit(self, unit: Unit, limits: Limits) -> Future[list[Partial]]:
        """Hand some tasks out."""
        try:
            return self.executor.submit(scan_here, unit, limits, __version__)
        except BrokenExecutor:
            if not self._renew():
                raise
            return self.executor.submit(scan_here, unit, limits, __version__)

    def _renew(self) -> bool:
        if self._make is None:
            return False
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.executor = self._make()
        return True

    def cancel(self, scan: int) -> None:
        """End what is being done for a scan; tasks that wait are cancelled by whoever has their futures."""
        cancel_scan(scan)

    def close(self) -> None:
        """End what the engine started."""
        if self._make is not None:
            self.executor.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _host() -> str:
    """This machine's name."""
    from socket import gethostname  # for what goes wrong alone

    return gethostname()


def scan_here(unit: Unit, limits: Limits, version: str) -> list[Partial]:
    """Scan some tasks on the machine that the engine has chosen.

    Raises
    ------
    StoreError
        This machine does not see the source, sees another state of it, or has another version of datascan.
    """
    if version != __version__:
        raise StoreError(
            f"{_host()} has datascan {__version__} and this is {version}: install the same on all machines"
        )
    try:
        return scan_contained(unit, limits)
    except StoreError as exc:
        raise StoreError(f"{exc} (as {_host()} sees it)") from exc
