"""What the network costs: ``python -m benchmarks.probing`` scans sets with and without it, in turn.

Beside them, where PyTorch is installed, stands the same small network in PyTorch, fed by a DataLoader with the same
records in batches of 64: that is how the question is asked without datascan. It gets images as they are, and once as
few pixels of them as our network, without a look at the others. All figures are CPU time, the start of
the program left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import builders as build
from .alone import cpu_s

CACHE = Path.home() / ".cache" / "datascan-benchmarks" / "probing"
WARM = 256
TORCH, TORCH_THIN = "torch", "torch on 16x16 pixels"


@dataclass(frozen=True, slots=True)
class Probed:
    """A set: ``most`` is how many times the time of ``check`` that of ``check --probe`` may take.

    PyTorch gets a set of ``part`` records.
    """

    name: str
    title: str
    records: int
    part: int
    build: Callable[[Path, int], None]
    most: float
    suffix: str = ""
    images: bool = True

    def ready(self, records: int) -> Path:
        """The set of so many records, built where it is not there."""
        path = CACHE / f"{self.name}-{records}{self.suffix}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.build(path, records)
        return path


SETS = (
    Probed("jpeg", "JPEGs about 500x375", 3000, 600, build.jpegs(10, 75), 2.0),
    Probed("rows", "HDF5, rows of 16 float32", 4_000_000, 20_000, build.short_rows, 2.0, ".h5", images=False),
    Probed("pixels", "raw Datums 3x227x227", 4000, 1000, build.raw_crops, 5.0),
)


def main(argv: list[str] | None = None) -> int:
    """Measure, and say how the figures stand to what they shall be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probing", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sets", default=",".join(one.name for one in SETS))
    options = parser.parse_args(argv)
    reached = True
    for one in SETS:
        if one.name not in options.sets.split(","):
            continue
        figures = measure(one, options.runs)
        rates = ", ".join(f"{name} {1 / taken:,.0f} records/s" for name, taken in figures.items())
        ratio = figures["check --probe"] / figures["check"]
        reached &= ratio <= one.most
        print(f"{one.title}: {rates}; {ratio:.2f} times check (at most {one.most:g})", flush=True)
        if TORCH in figures:
            ahead = figures[TORCH] / figures["check --probe"]
            reached &= ahead >= 1
            print(f"{one.title}: check --probe is {ahead:.1f} times as fast as {TORCH}", flush=True)
    return 0 if reached else 1


def measure(one: Probed, runs: int) -> dict[str, float]:
    """Seconds of CPU time a record of each way, the median of runs taken in turn."""
    ways = ["check", "check --probe", "probe"]
    if importlib.util.find_spec("torch") is not None:
        ways += [TORCH, TORCH_THIN] if one.images else [TORCH]
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(runs):
        for way in ways:
            records = one.part if way.startswith("torch") else one.records
            sets = [str(one.ready(count)) for count in (WARM, records)]
            command = [sys.executable, "-m", "benchmarks.probing_run", way, *sets]
            done = subprocess.run(command, capture_output=True, check=True)
            taken[way].append(json.loads(done.stdout)["cpu_s"] / records)
    return {way: statistics.median(times) for way, times in taken.items()}


def timed(run: Callable[[Path], object], warm: Path, path: Path) -> dict[str, float]:
    """What the second of two runs takes."""
    run(warm)
    before, start = cpu_s(), time.perf_counter()
    run(path)
    return {"cpu_s": cpu_s() - before, "wall_s": time.perf_counter() - start}


if __name__ == "__main__":
    sys.exit(main())
