"""``docs/performance.md``: the machine, the tables, and which of the figures aimed at were reached."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from .field import ENTROPY, FULL_2, H5PY, INFLATE, JPEGINFO, NAIVE, NAIVE_FULL, OURS_1, OURS_2, PLYVEL, READ
from .workloads import Workload

LIBRARIES = ("numpy", "pillow", "simplejpeg", "deflate", "h5py", "lmdb", "plyvel", "protobuf", "xxhash")
MARK = "<!-- measured -->"
"""What stands above it in the page is written by hand and kept."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of a contestant over a workload, without what it takes to start; ``memory`` 0 where not looked at."""

    records: int
    size_bytes: int
    cpu_s: float
    wall_s: float
    start_s: float
    memory: int


Results = dict[Workload, dict[str, Figures]]
Table = dict[str, Figures]
Profiles = dict[str, list[tuple[float, str]]]
"""Shares of a worker's time by function, for each workload's name."""


def cpu(over: str, ours: str = OURS_1) -> Callable[[Table], float]:
    """How many times less CPU time we take than another."""
    return lambda table: table[over].cpu_s / table[ours].cpu_s


def wall(over: str, ours: str = OURS_2) -> Callable[[Table], float]:
    """How many times faster we are by the clock."""
    return lambda table: table[over].wall_s / table[ours].wall_s


def gigabytes(table: Table) -> float:
    """GB a second of CPU time, one worker."""
    return table[OURS_1].size_bytes / table[OURS_1].cpu_s / 1e9


def records(table: Table) -> float:
    """Records a second of CPU time, one worker."""
    return table[OURS_1].records / table[OURS_1].cpu_s


AIMS: tuple[tuple[str, str, float, Callable[[Table], float]], ...] = (
    ("raw", "times the naive script, CPU", 5.0, cpu(NAIVE)),
    ("raw", "GB/s", 1.5, gigabytes),
    ("raw", "of reading every byte, 2 workers, wall clock", 0.4, wall(READ)),
    ("jpeg-q95", "of entropy decoding alone, CPU", 0.85, cpu(ENTROPY)),
    ("jpeg-q95", "times the naive script (Pillow's load), CPU", 1.5, cpu(NAIVE)),
    ("jpeg-q95", "of jpeginfo, CPU", 0.9, cpu(JPEGINFO)),
    ("jpeg-q95", "times one worker, 2 workers, wall clock", 1.8, wall(OURS_1)),
    ("jpeg-q75", "of entropy decoding alone, CPU", 0.85, cpu(ENTROPY)),
    ("jpeg-q75", "times the naive script (Pillow's load), CPU", 2.5, cpu(NAIVE)),
    ("jpeg-q75", "of jpeginfo, CPU", 0.9, cpu(JPEGINFO)),
    (
        "jpeg-q75",
        "times the naive script with statistics, 2 workers, full statistics, wall clock",
        15.0,
        wall(NAIVE_FULL, FULL_2),
    ),
    ("digits", "times the naive script, CPU", 8.0, cpu(NAIVE)),
    ("digits", "records/s", 300_000, records),
    ("floats", "times the naive script, CPU", 4.0, cpu(NAIVE)),
    ("hdf5", "of reading every byte, CPU", 0.4, cpu(READ)),
    ("hdf5", "times the naive script, CPU", 2.0, cpu(NAIVE)),
    ("hdf5-gzip", "of inflating alone, CPU", 0.75, cpu(INFLATE)),
    ("hdf5-gzip", "times the naive script, CPU", 2.0, cpu(NAIVE)),
    ("hdf5-gzip", "times h5py merely reading, CPU", 1.6, cpu(H5PY)),
    ("leveldb", "times plyvel merely iterating, CPU", 1.2, cpu(PLYVEL)),
    ("leveldb-snappy", "times plyvel merely iterating, CPU", 1.2, cpu(PLYVEL)),
    ("leveldb-3k", "of plyvel merely iterating, CPU", 0.4, cpu(PLYVEL)),
    ("hdf5-rows", "GB/s", 2.0, gigabytes),
    ("png", "times the naive script (Pillow's load), CPU", 2.5, cpu(NAIVE)),
)


def write_page(path: Path, results: Results, runs: int, profiles: Profiles) -> None:
    """Write the page anew below its mark."""
    path.parent.mkdir(exist_ok=True)
    kept = path.read_text(encoding="utf-8").partition(MARK)[0] if path.exists() else "# Performance\n\n"
    path.write_text(kept + "\n".join([MARK, "", *_lines(results, runs, profiles), ""]), encoding="utf-8")


def _lines(results: Results, runs: int, profiles: Profiles) -> Iterator[str]:
    yield "## Measured"
    yield ""
    yield from _machine(runs)
    yield ""
    yield "### Figures aimed at"
    yield ""
    yield "| workload | figure | aim | measured | reached |"
    yield "|---|---|---|---|---|"
    yield from _aims({workload.name: table for workload, table in results.items()})
    for workload, table in results.items():
        yield ""
        yield f"### {workload.name}: {workload.title}"
        yield ""
        base = table[NAIVE].cpu_s
        yield "| | CPU s | wall s | records/s | MB/s | times the naive script (CPU) | start s | memory MB |"
        yield "|---|---|---|---|---|---|---|---|"
        for name, one in table.items():
            seconds = max(one.cpu_s, 1e-3)
            held = f"{one.memory / 1e6:,.0f}" if one.memory else ""
            yield (
                f"| {name} | {one.cpu_s:.2f} | {one.wall_s:.2f} | {one.records / seconds:,.0f} | "
                f"{one.size_bytes / seconds / 1e6:,.0f} | {base / seconds:.2f} | {one.start_s:.2f} | {held} |"
            )
        if workload.name in profiles:
            yield ""
            shares = "; ".join(f"{share:.0%} `{name}`" for share, name in profiles[workload.name])
            yield f"Where a worker's time goes: {shares}."


def _aims(tables: dict[str, Table]) -> Iterator[str]:
    for name, what, aim, figure in AIMS:
        if name in tables:
            with suppress(KeyError):  # a contestant that is not installed
                yield _aim(name, what, aim, figure(tables[name]))
    for name, table in tables.items():
        most = round(300 + 24 * table[OURS_2].records / 1e6)
        yield _aim(name, "MB of memory at the peak, 2 workers, at most", most, table[OURS_2].memory / 1e6, most=True)
    if "digits" in tables:
        start = tables["digits"][OURS_1].start_s
        yield _aim("digits", "seconds for a check of a handful of records, at most", 0.6, start, most=True)
    if {"digits", "digits-tenth"} <= tables.keys():
        growth = records(tables["digits-tenth"]) / records(tables["digits"])
        yield _aim("digits", "times the time per record of a tenth of the set, at most", 1.1, growth, most=True)


def _aim(name: str, what: str, aim: float, measured: float, *, most: bool = False) -> str:
    reached = measured <= aim if most else measured >= aim
    shown = f"{measured:,.0f}" if measured >= 100 else f"{measured:.2f}"
    return f"| {name} | {what} | {round(aim, 3):,g} | {shown} | {'yes' if reached else 'no'} |"


def _machine(runs: int) -> Iterator[str]:
    described = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in described if "model name" in line), platform.processor())
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    yield f"{datetime.now(UTC).date()}, {os.cpu_count()} cores of {model}, {system}, {libraries}."
    yield f"Medians of {runs} runs of each contestant, each a fresh process, taken in turn, warm cache. What a run over"
    yield "a handful of records takes is subtracted, and stands as *start*. Rates are per second of CPU time."
