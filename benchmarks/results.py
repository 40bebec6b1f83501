"""What was measured, as it is kept: one file for each workload, beside the workloads, so that no run is lost."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("numpy", "simsimd", "pillow", "simplejpeg", "deflate", "h5py", "lmdb", "plyvel", "protobuf", "xxhash")

Clock = Literal["cpu", "wall"]


@dataclass(frozen=True, slots=True)
class Figures:
    """How a contestant fared over a workload.

    Attributes
    ----------
    records, size_bytes
        Of the set that it ran over.
    cpu_s, wall_s
        Of each run, without what it takes to start.
    start_s
        What that is, by the clock.
    memory
        The most that all of its processes held together, in bytes; 0 where that was not looked at.
    """

    records: int
    size_bytes: int
    cpu_s: tuple[float, ...]
    wall_s: tuple[float, ...]
    start_s: float = 0.0
    memory: int = 0

    def runs(self, clock: Clock) -> tuple[float, ...]:
        """Seconds for a record, of each run."""
        return tuple(max(run, 1e-3) / self.records for run in (self.cpu_s if clock == "cpu" else self.wall_s))

    def median(self, clock: Clock) -> float:
        """Seconds for a record."""
        return statistics.median(self.runs(clock))

    def seconds(self, clock: Clock) -> float:
        """Seconds for the whole set."""
        return self.median(clock) * self.records


def times_faster(one: Figures, other: Figures, clock: Clock = "cpu") -> float:
    """How many times less time ``one`` takes for a record than ``other``.

    Where both ran as often, it is the median of the ratios in turn: what else the machine did has hit both.
    """
    ours, theirs = one.runs(clock), other.runs(clock)
    if len(ours) == len(theirs):
        return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return other.median(clock) / one.median(clock)


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything about one workload: ``absent`` says why some contestants could not run, ``code`` what was measured."""

    table: dict[str, Figures]
    profile: list[tuple[float, str]]
    absent: dict[str, str] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    date: str = ""
    runs: int = 0
    code: str = ""


Results = Mapping[str, Measured]
"""By the workload's name."""


class Kept:
    """The folder of results of one scale."""

    def __init__(self, cache: Path, scale: str) -> None:
        self._folder = cache / "results" / scale

    def keep(self, name: str, measured: Measured) -> None:
        """Write the newest results of a workload."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f"{name}.unfinished"
        unfinished.write_text(json.dumps(asdict(measured), indent=1), encoding="utf-8")
        unfinished.rename(self._folder / f"{name}.json")

    def get(self, name: str) -> Measured | None:
        """The newest results of a workload, if they are of this machine."""
        try:
            kept = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        table = {who: _figures(figures) for who, figures in kept.pop("table").items()}
        profile = [(share, function) for share, function in kept.pop("profile")]
        measured = Measured(table, profile, **kept)
        return measured if measured.machine == machine() else None


def _figures(kept: dict[str, Any]) -> Figures:
    cpu_s, wall_s = (tuple(kept.pop(name)) for name in ("cpu_s", "wall_s"))
    return Figures(cpu_s=cpu_s, wall_s=wall_s, **kept)


def today() -> str:
    """The date."""
    return str(datetime.now(UTC).date())


def machine() -> str:
    """The machine and what runs on it."""
    described = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in described if "model name" in line), platform.processor())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    libraries = ", ".join(f"{name} {_version(name)}" for name in LIBRARIES)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, {system}, {libraries}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # some come only where they can
        return "is not installed"


def code() -> str:
    """What tells one state of the scanner from another."""
    digest = hashlib.sha256()
    for folder in ("backends", "scanner"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
