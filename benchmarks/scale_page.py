"""``docs/scale.md``: the measured curve, the tolls of the engines, and what a billion records cost by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .page import MARK

BILLION = 1_000_000_000
RECORD_BYTES = 100_000
CORES = (2, 16, 128)
LINK_BYTES_S = 1.25e9
"""Ten gigabits a second."""


@dataclass(frozen=True, slots=True)
class Point:
    """What the scan of so many small records took, with two workers: seconds, and bytes at their peak."""

    records: int
    wall_s: float
    cpu_s: float
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Toll:
    """What one way of scanning took: seconds, and ratios to this machine's own workers, pair by pair.

    ``start_s`` is what it takes over a handful of records, and is not in the others.
    """

    name: str
    cpu_s: float
    wall_s: float
    cpu_ratio: float
    wall_ratio: float
    start_s: float


@dataclass(frozen=True, slots=True)
class Curve:
    """All that was measured; the tolls over a set of ``size_bytes`` in ``records`` records."""

    machine: str
    points: list[Point]
    tolls: list[Toll]
    size_bytes: int
    records: int

    @property
    def record_s(self) -> float:
        """CPU seconds that a record costs beside its bytes: the slope between the two largest sets."""
        if len(self.points) < 2:
            return self.points[-1].cpu_s / self.points[-1].records
        one, two = self.points[-2:]
        return max(two.cpu_s - one.cpu_s, 0.0) / (two.records - one.records)

    @property
    def byte_s(self) -> float:
        """CPU seconds that a byte costs: the set of large records, less what its records cost."""
        return max(self.tolls[0].cpu_s - self.records * self.record_s, 1e-9) / self.size_bytes

    @property
    def record_disk(self) -> float:
        """Bytes of temporary files for a record."""
        return self.points[-1].disk_bytes / self.points[-1].records


def write_scale_page(path: Path, curve: Curve) -> None:
    """Write the page anew below its mark; what stands above it is written by hand and kept."""
    path.parent.mkdir(exist_ok=True)
    kept = path.read_text(encoding="utf-8").partition(MARK)[0] if path.exists() else "# Scale\n\n"
    path.write_text(kept + "\n".join([MARK, "", *_lines(curve), ""]), encoding="utf-8")


def _lines(curve: Curve) -> Iterator[str]:
    yield "## Measured"
    yield ""
    yield f"{curve.machine}."
    yield ""
    yield "### Records"
    yield ""
    yield "LMDB of raw Datums of 32 pixels, two workers, warm cache, start of the program included."
    yield ""
    yield "| records | CPU s | wall s | CPU us a record | memory MB | temporary files MB |"
    yield "|---|---|---|---|---|---|"
    for point in curve.points:
        yield (
            f"| {point.records:,} | {point.cpu_s:.2f} | {point.wall_s:.2f} | {point.cpu_s / point.records * 1e6:.2f} | "
            f"{point.memory_bytes / 1e6:,.0f} | {point.disk_bytes / 1e6:,.0f} |"
        )
    yield ""
    yield "### Engines"
    yield ""
    yield (
        f"LMDB of {curve.records:,} raw Datums 3x256x256, {curve.size_bytes / 1e9:.1f} GB, on the same two cores; "
        "ratios to this machine's own workers, median of pairs. The start of each is subtracted, and stands by itself."
    )
    yield ""
    yield "| | CPU s | wall s | CPU ratio | wall ratio | start, wall s |"
    yield "|---|---|---|---|---|---|"
    for toll in curve.tolls:
        ratios = f"{toll.cpu_ratio:.2f} | {toll.wall_ratio:.2f} | {toll.start_s:.2f}"
        yield f"| {toll.name} | {toll.cpu_s:.2f} | {toll.wall_s:.2f} | {ratios} |"
    yield ""
    yield from _forecast(curve)


def _forecast(curve: Curve) -> Iterator[str]:
    work_s = BILLION * (curve.record_s + RECORD_BYTES * curve.byte_s)
    size_bytes = BILLION * RECORD_BYTES
    yield f"### A billion raw records of {RECORD_BYTES // 1000} kB"
    yield ""
    yield (
        f"c = {curve.record_s * 1e6:.2f} us a record, b = {1 / curve.byte_s / 1e9:.2f} GB/s and core, "
        f"d = {curve.record_disk:.0f} bytes a record, so {work_s / 3600:,.0f} core hours for "
        f"{size_bytes / 1e12:,.0f} TB, and {BILLION * curve.record_disk / 1e9:,.0f} GB of temporary files."
    )
    yield ""
    yield "| cores | hours, if the storage delivers | it has to deliver, GB/s | hours at 10 Gbit/s |"
    yield "|---|---|---|---|"
    link_h = size_bytes / LINK_BYTES_S / 3600
    for cores in CORES:
        hours = work_s / cores / 3600
        yield (f"| {cores} | {hours:,.1f} | {size_bytes / (hours * 3600) / 1e9:,.1f} | {max(hours, link_h):,.1f} |")
