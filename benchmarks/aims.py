"""The figures to reach, each with the way it is worked out of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .field import (
    ALONE,
    CLEANVISION,
    COLD,
    COLD_CAT,
    ENTROPY,
    FULL_2,
    H5PY,
    HELP,
    INFLATE,
    JPEGINFO,
    NAIVE,
    NAIVE_FULL,
    OURS_1,
    OURS_2,
    PLYVEL,
    READ,
)
from .results import Figures, Results, times_faster
from .workloads import WORKLOADS

Table = dict[str, Figures]
Figure = Callable[[Table], float]

BASE_MEMORY = 300e6
RECORD_MEMORY = 24
"""Bytes in all of two workers' processes, and for each record beyond that."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure to reach: at least that, or at most. ``measured`` is ``None`` where a contestant was missing."""

    workload: str
    what: str
    aim: float
    measured: float | None
    most: bool = False

    @property
    def reached(self) -> bool:
        """Whether it was; what was not measured was not reached."""
        if self.measured is None:
            return False
        return self.measured <= self.aim if self.most else self.measured >= self.aim


def cpu(over: str, ours: str = OURS_1) -> Figure:
    """How many times less CPU time we take for a record than another."""
    return lambda table: times_faster(table[ours], table[over])


def wall(over: str, ours: str = OURS_2) -> Figure:
    """How many times less time by the clock."""
    return lambda table: times_faster(table[ours], table[over], "wall")


def bytes_rate(table: Table) -> float:
    """GB a second of CPU time, one worker."""
    return table[OURS_1].size_bytes / table[OURS_1].seconds("cpu") / 1e9


def records_rate(table: Table) -> float:
    """Records a second of CPU time, one worker."""
    return 1 / table[OURS_1].median("cpu")


def _seconds(name: str) -> Figure:
    return lambda table: table[name].seconds("wall")


_LEAST: tuple[tuple[str, str, float, Figure], ...] = (
    ("raw", "times the naive script, CPU", 5.0, cpu(NAIVE)),
    ("raw", "GB/s of CPU time", 1.5, bytes_rate),
    ("raw", "of reading every byte, 2 workers, by the clock", 0.4, wall(READ)),
    *(
        figure
        for name, naive in (("jpeg-q95", 1.5), ("jpeg-q75", 2.5))
        for figure in (
            (name, "of entropy decoding alone, CPU", 0.85, cpu(ENTROPY)),
            (name, "of jpeginfo -c, CPU", 0.9, cpu(JPEGINFO)),
            (name, "times the naive script (Pillow's load), CPU", naive, cpu(NAIVE)),
            (name, "times cleanvision, CPU", 20.0, cpu(CLEANVISION)),
            (name, "times one worker, 2 workers, by the clock", 1.8, wall(OURS_1)),
        )
    ),
    (
        "jpeg-q75",
        "times the naive script with statistics, 2 workers, full statistics, by the clock",
        15.0,
        wall(NAIVE_FULL, FULL_2),
    ),
    ("digits", "times the naive script, CPU", 8.0, cpu(NAIVE)),
    ("digits", "records/s of CPU time", 300_000, records_rate),
    ("floats", "times the naive script, CPU", 4.0, cpu(NAIVE)),
    ("hdf5", "of reading every byte, CPU", 0.4, cpu(READ)),
    ("hdf5", "times the naive script, CPU", 2.0, cpu(NAIVE)),
    ("hdf5-gzip", "of inflating alone, CPU", 0.75, cpu(INFLATE)),
    ("hdf5-gzip", "times the naive script, CPU", 2.0, cpu(NAIVE)),
    ("hdf5-gzip", "times h5py merely reading, CPU", 1.6, cpu(H5PY)),
    ("leveldb", "times plyvel merely iterating, CPU", 1.2, cpu(PLYVEL)),
    ("leveldb-snappy", "times plyvel merely iterating, CPU", 1.2, cpu(PLYVEL)),
    ("leveldb-3k", "of plyvel merely iterating, CPU", 0.4, cpu(PLYVEL)),
    ("hdf5-rows", "GB/s of CPU time", 2.0, bytes_rate),
    ("png", "times the naive script (Pillow's load), CPU", 2.5, cpu(NAIVE)),
    *(
        (name, "of a cold cat, 2 workers, by the clock", 0.9, wall(COLD_CAT, COLD))
        for name in ("raw", "hdf5", "leveldb")
    ),
)

_MOST: tuple[tuple[str, str, float, Figure], ...] = (
    ("start", "seconds for `datascan --help`, at most", 0.15, _seconds(HELP)),
    ("start", "seconds for a check of 60 records, at most", 0.6, _seconds(OURS_1)),
)


def aims(results: Results) -> Iterator[Aim]:
    """All figures of the workloads that were measured."""
    for name, what, least, figure in _LEAST:
        if name in results:
            yield Aim(name, what, least, _worked_out(figure, results[name].table))
    yield from _growth(results)
    for workload in WORKLOADS:
        if workload.name in results and workload.kind not in ("growth", "start"):
            yield _memory(workload.name, results[workload.name].table)
    for name, what, most, figure in _MOST:
        if name in results:
            yield Aim(name, what, most, _worked_out(figure, results[name].table), most=True)


def _worked_out(figure: Figure, table: Table) -> float | None:
    try:
        return figure(table)
    except KeyError:  # a contestant that could not run
        return None


def _memory(name: str, table: Table) -> Aim:
    ours = table[OURS_2]
    allowed = round((BASE_MEMORY + RECORD_MEMORY * ours.records) / 1e6)
    held = ours.memory / 1e6 if ours.memory else None
    return Aim(name, "MB of memory at the peak, 2 workers, at most", allowed, held, most=True)


def _growth(results: Results) -> Iterator[Aim]:
    """How the cost of a record grows with the set, and with what is found in it."""
    larger = (
        ("digits", "digits-tenth", "times the time for a record of a tenth of the set, at most"),
        ("faults", "faults-tenth", "times the time for a record with a tenth of the findings, at most"),
    )
    for name, small, what in larger:
        if name in results and small in results:
            ours, tenth = (results[one].table[ALONE] for one in (name, small))
            yield Aim(name, what, 1.1, ours.median("cpu") / tenth.median("cpu"), most=True)
