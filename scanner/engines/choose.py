"""Engines by name, and scanning with one: partitions in groups, results in order, lost groups handed out again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...backends.errors import StoreError, UsageError
from .. import forking
from ..complain import complain, describe
from ..crew import AHEAD, Crew, Tick, Unit, in_order
from .base import Engine

if TYPE_CHECKING:  # loads numpy
    from ..partial import Partial
    from ..worker import Task

UNIT_BYTES = 1 << 30
"""Aimed-at size of a group of partitions: half a second of work at the least, of which an engine's few milliseconds
for a task are less than a hundredth."""

ROUNDS = 4
"""Groups that each slot of an engine gets at the least, so that none of them waits for the last one for long."""

TRIES = 3
"""How often a group is handed out that an engine loses, before it is scanned by this machine's own workers."""


def engine_named(name: str, crew: Crew) -> Engine | None:
    """The engine of a name; ``None`` is the crew itself (``processes``).

    Raises
    ------
    UsageError
        No such engine, or a factory that gives no executor.
    EngineError
        The engine does not answer.
    MissingDependency
        Its library is not installed.
    """
    kind, _, rest = name.partition(":")
    if name == "processes":
        return None
    if name == "dask" or (kind == "dask" and rest.startswith("//")):
        from .dask_cluster import DaskEngine

        return DaskEngine.connect(rest.removeprefix("//"), crew.size)
    if name == "mpi":
        from .mpi_ranks import mpi_engine

        return mpi_engine()
    if kind and rest and "/" not in rest:
        return _made(name, crew.size)
    raise UsageError(f"no executor {name!r}; choose processes, dask, dask://HOST:PORT, mpi or package.module:factory")


def open_engine(executor: Executor | Engine | str | None, crew: Crew) -> AbstractContextManager[Engine | None]:
    """The engine of a name or an executor; leaving it ends what was started for it, and leaves what was given.

    Raises
    ------
    UsageError, StoreError
        As `engine_named`.
    """
    if executor is None or executor == "processes":
        return nullcontext()
    forking.forbid()  # what an engine has at work in this process (MPI, a cluster's client) can't be copied
    if isinstance(executor, str):
        return engine_named(executor, crew) or nullcontext()
    if isinstance(executor, Engine):
        return nullcontext(executor)
    return Engine(executor, _workers_of(executor) or crew.size)


def _made(name: str, size: int) -> Engine:
    module, _, attribute = name.partition(":")
    try:
        factory: Any = import_module(module)
        for part in attribute.split("."):
            factory = getattr(factory, part)
    except (ImportError, AttributeError) as exc:
        raise UsageError(f"the executor {name} can't be made: {exc}") from exc

    def make() -> Executor:
        try:
            executor = factory()
        except Exception as exc:
            raise UsageError(f"the executor {name} can't be made: {describe(exc)}") from exc
        if not (callable(getattr(executor, "submit", None)) and callable(getattr(executor, "shutdown", None))):
            raise UsageError(f"{name} gives a {type(executor).__name__}, which is no concurrent.futures.Executor")
        made: Executor = executor
        return made

    executor = make()
    return Engine(executor, _workers_of(executor) or size, make)


def _workers_of(executor: Executor) -> int | None:
    found = getattr(executor, "_max_workers", None)
    return found if isinstance(found, int) and found > 0 else None


def run_on(engine: Engine, tasks: Sequence[Task], crew: Crew, tick: Tick) -> Generator[tuple[Task, Partial]]:
    """Scan tasks on an engine; results come in the order of the tasks.

    A group that the engine loses (a machine that is gone, a pool that broke) is handed out again, and at last scanned
    by the crew: it costs time and nothing else. What the scan itself says (`StoreError`) is raised.
    """
    if not tasks:
        return
    lost: dict[int, int] = {}
    told: list[str] = []

    def submit(unit: Unit) -> Future[list[Partial]]:
        try:
            return engine.submit(unit, crew.limits)
        except StoreError:
            raise
        except Exception as exc:
            return rescue(unit, exc)

    def rescue(unit: Unit, exc: Exception) -> Future[list[Partial]]:
        if isinstance(exc, (StoreError, UsageError)):
            raise exc
        number = unit[0].partition.ordinal
        lost[number] = lost.get(number, 0) + 1
        if lost[number] < TRIES:
            return submit(unit)
        if lost[number] == TRIES:
            if not told:
                told.append(f"{engine.name} lost a part of the scan {TRIES} times: {describe(exc)}")
                complain(f"datascan: {told[0]}; it is scanned by this process's own workers")
            return _done(crew.scan, unit)
        raise exc

    try:
        units = grouped(tasks, engine.slots)
        yield from in_order(units, submit, AHEAD * engine.slots, lambda: (0, 0), tick, rescue)
    except BaseException:
        engine.cancel(tasks[0].source.scan)
        raise


def _done(function: Callable[[Unit], list[Partial]], unit: Unit) -> Future[list[Partial]]:
    future: Future[list[Partial]] = Future()
    future.set_result(function(unit))
    return future


def grouped(tasks: Sequence[Task], slots: int) -> Iterator[Unit]:
    """Neighbouring tasks in groups of about `UNIT_BYTES`, smaller where there would be too few for all slots."""
    total = sum(task.partition.size_bytes for task in tasks)
    aim = min(UNIT_BYTES, total // (ROUNDS * max(slots, 1)))
    unit: Unit = []
    size = 0
    for task in tasks:
        if unit and size + task.partition.size_bytes > aim:
            yield unit
            unit, size = [], 0
        unit.append(task)
        size += task.partition.size_bytes
    if unit:
        yield unit
