"""``python -m benchmarks.scale``: time, memory and disk over the number of records, what engines cost, and a forecast.

The sets hold small Datums, of which each costs a scan about as much as any record can cost beside its bytes. What
bytes cost is measured over large Datums. Both together are the forecast in ``docs/scale.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import lmdb
import numpy as np

from .__main__ import CACHE
from .datum import Datum
from .measure import family, peak_memory, timed
from .results import code, machine
from .scale_page import Curve, Point, Toll, write_scale_page
from .workloads import named

ROOT = Path(__file__).resolve().parent.parent
SIZES = (10_000, 100_000, 1_000_000, 10_000_000, 20_000_000)
SIDE = (1, 4, 8)
CLASSES = 10
SHARDS = 7
_STEP = 1 << 16
_EVERY_S = 0.05


def main(argv: list[str] | None = None) -> int:
    """Measure what is asked for and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="leave out larger sets")
    parser.add_argument("--runs", type=int, default=3, help="runs of each engine, taken in turn")
    parser.add_argument("--scale", choices=("full", "small"), default="full", help="of the set that engines scan")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the sets are kept (4 GB)")
    parser.add_argument("--resume", action="store_true", help="leave out sets that this very code was measured with")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page (docs/scale.md)")
    options = parser.parse_args(argv)
    points = _points([records for records in SIZES if records <= options.largest], options.cache, options.resume)
    workload = named("raw")
    path = workload.ready(options.cache, options.scale)
    tolls = list(_tolls(path, workload.ready(options.cache, "start"), options.runs))
    size_bytes = sum(file.stat().st_size for file in path.iterdir())
    curve = Curve(machine(), points, tolls, size_bytes, workload.records(options.scale))
    if options.write is not None:
        write_scale_page(options.write, curve)
    return 0


# ---- growth ----


def _points(sizes: Sequence[int], cache: Path, resume: bool) -> list[Point]:
    """What the sets of all sizes take; each is kept as soon as it is known."""
    kept = cache / "scale.json"
    known: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    points = []
    for records in sizes:
        entry = known.get(str(records), {})
        if not (resume and entry.pop("code", None) == code()):
            entry = asdict(_point(records, cache))
            known[str(records)] = {**entry, "code": code()}
            kept.write_text(json.dumps(known))
        points.append(Point(**entry))
    return points


def ready(records: int, cache: Path) -> Path:
    """An LMDB of so many Datums of 32 pixels, no two alike, labels in turn."""
    path = cache / f"scale-{records}"
    if path.exists():
        return path
    aside = cache / f"scale-{records}.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    with lmdb.open(str(aside), map_size=1 << 36, sync=False, meminit=False) as environment:
        for start in range(0, records, _STEP):
            with environment.begin(write=True) as transaction:
                for index, value in _datums(start, min(start + _STEP, records)):
                    transaction.put(b"%08d" % index, value, append=True)
        environment.sync(True)
    return aside.rename(path)


def _datums(start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Messages as protobuf writes them, from one template a label: the field of the pixels is of one length."""
    length = SIDE[0] * SIDE[1] * SIDE[2]
    pixels = np.random.default_rng(start).integers(0, 256, (stop - start) * length, np.uint8).tobytes()
    blank = bytes(length)
    halves = [
        Datum(channels=SIDE[0], height=SIDE[1], width=SIDE[2], data=blank, label=label).SerializeToString().split(blank)
        for label in range(CLASSES)
    ]
    for index in range(start, stop):
        head, tail = halves[index % CLASSES]
        at = (index - start) * length
        yield index, head + pixels[at : at + length] + tail


def _point(records: int, cache: Path) -> Point:
    path = ready(records, cache)
    with tempfile.TemporaryDirectory(prefix="datascan-scale-") as folder:
        command = [*_check(path), "--jobs", "2", "--work-dir", folder]
        run = timed(command, ROOT)
        with _largest(Path(folder)) as disk:
            memory = peak_memory(command, ROOT)
    point = Point(records, run.wall_s, run.cpu_s, memory, disk[0])
    print(f"{records:12,} records {run.cpu_s:8.2f} s CPU {run.wall_s:8.2f} s {memory >> 20:6} MB", flush=True)
    if run.code != 0:
        raise SystemExit(f"the scan of {path} ended with {run.code}")
    return point


@contextmanager
def _largest(folder: Path) -> Iterator[list[int]]:
    """The most bytes that our children have in files of a folder in the block, nameless ones among them."""
    largest, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY_S):
            largest[0] = max(largest[0], sum(_held(pid, str(folder)) for pid in family(os.getpid())))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield largest
    finally:
        ended.set()
        thread.join()


def _held(pid: int, folder: str) -> int:
    held = 0
    with suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(entry.path).startswith(folder):
                    held += os.stat(entry.path).st_blocks * 512
    return held


def _check(path: Path) -> list[str]:
    return [sys.executable, "-m", "datascan.scanner", "check", str(path), "--quiet", "--fail-on", "never"]


# ---- engines ----


@dataclass(frozen=True, slots=True)
class Way:
    """One way to scan the same set: commands that are run one after the other."""

    name: str
    commands: Callable[[Path, Path], Sequence[Sequence[str]]]


def _sharded(path: Path, folder: Path) -> list[list[str]]:
    files = [folder / str(number) for number in range(1, SHARDS + 1)]
    shards = [
        [*_check(path), "--jobs", "2", "--shard", f"{number}/{SHARDS}", "--partial", str(file)]
        for number, file in enumerate(files, 1)
    ]
    return [*shards, [sys.executable, "-m", "datascan.scanner", "merge", *map(str, files), "--quiet"]]


def _ranks(path: Path, _: Path) -> list[list[str]]:
    python = [sys.executable, "-m", "mpi4py.futures", "-m", *_check(path)[2:]]
    return [[str(Path(sys.executable).with_name("mpiexec")), "-n", "3", *python, "--executor", "mpi"]]


WAYS = (
    Way("processes, 2 workers", lambda path, _: [[*_check(path), "--jobs", "2"]]),
    Way("Dask, local cluster of 2", lambda path, _: [[*_check(path), "--jobs", "2", "--executor", "dask"]]),
    Way("MPI, 3 ranks", _ranks),
    Way(
        "a thread pool by its factory",
        lambda path, _: [[*_check(path), "--jobs", "2", "--executor", "concurrent.futures:ThreadPoolExecutor"]],
    ),
    Way(f"{SHARDS} shards one after the other, merged", _sharded),
)


def _tolls(path: Path, start: Path, runs: int) -> Iterator[Toll]:
    """What each way takes, less what it takes over a handful of records."""
    seconds: dict[str, list[tuple[float, float]]] = {way.name: [] for way in WAYS}
    idle = {way.name: _spent(way, start) for way in WAYS}
    for _ in range(runs):
        for way in WAYS:
            cpu_s, wall_s = _spent(way, path)
            seconds[way.name].append((cpu_s - idle[way.name][0], wall_s - idle[way.name][1]))
    base = seconds[WAYS[0].name]
    for name, taken in seconds.items():
        cpu, wall = (
            median(one[clock] / other[clock] for one, other in zip(taken, base, strict=True)) for clock in (0, 1)
        )
        toll = Toll(name, median(one[0] for one in taken), median(one[1] for one in taken), cpu, wall, idle[name][1])
        print(f"{name:44} {toll.cpu_s:8.2f} s CPU {toll.wall_s:8.2f} s", flush=True)
        yield toll


def _spent(way: Way, path: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="datascan-scale-") as folder:
        done = [timed(command, ROOT) for command in way.commands(path, Path(folder))]
    if any(run.code not in (0, 1) for run in done):
        raise SystemExit(f"{way.name} ended with {[run.code for run in done]}")
    return sum(run.cpu_s for run in done), sum(run.wall_s for run in done)


if __name__ == "__main__":
    sys.exit(main())
