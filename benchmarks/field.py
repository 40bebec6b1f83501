"""Who takes part over which workload, and the command that starts each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import peers
from .contestants import turbojpeg
from .workloads import Workload, files_of

Command = Callable[[Workload, Path], list[str]]

OURS_1, OURS_2, FULL_2 = "datascan, 1 worker", "datascan, 2 workers", "datascan, 2 workers, full statistics"
NAIVE, NAIVE_FULL = "naive script", "naive script with statistics"
READ, ENTROPY, INFLATE = "floor: read every byte", "floor: entropy decoding", "floor: inflate"
H5PY, PLYVEL = "h5py merely reading", "plyvel merely iterating"
JPEGINFO, CLEANVISION, FASTDUP = "jpeginfo -c", "cleanvision", "fastdup"
COLD, COLD_CAT = "datascan, 2 workers, cold cache", "cat, cold cache"
HELP = "datascan --help"
ALONE = "datascan, 1 worker, without the start"

_SCRIPTS = {"raw": "naive_raw", "floats": "naive_floats", "images": "naive_images", "hdf5": "naive_hdf5"}
_FULL = ("jpeg-q75", "png")
_PYPI = {"jpeg-q75": (CLEANVISION, FASTDUP), "jpeg-q95": (CLEANVISION,)}
_COLD = ("raw", "jpeg-q95", "hdf5", "leveldb")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those that run.

    Attributes
    ----------
    checks
        Whether it is datascan, whose findings are compared.
    scale
        Over which set: ``part`` is for what would take many minutes over all of them.
    cold
        The set is dropped from the page cache before.
    absent
        Why it can't take part here; ``None`` where it can.
    own_clock
        It prints the seconds that count.
    """

    name: str
    command: Command
    checks: bool = False
    scale: str | None = None
    cold: bool = False
    absent: str | None = None
    own_clock: bool = False


def field(workload: Workload, cache: Path, scale: str) -> list[Contestant]:
    """All that take part over a workload, datascan first; at the small scale those whose results matter."""
    found = [*_ours(workload, cache), *_others(workload)]
    if scale == "full":
        found += [*_peers(workload, cache), *_cold(workload)]
    return found


def _ours(workload: Workload, cache: Path) -> Iterator[Contestant]:
    images = workload.kind == "images"
    sampled = ("--statistics", "sampled") if images else ()
    if workload.kind != "growth":
        yield Contestant(OURS_1, _datascan("--jobs", "1", *sampled), checks=True)
    yield Contestant(OURS_2, _datascan("--jobs", "2", *sampled), checks=True)
    if workload.name in _FULL:
        yield Contestant(FULL_2, _datascan("--jobs", "2", "--statistics", "full"), checks=True)
    if workload.kind == "growth" or workload.name == "digits":
        yield Contestant(ALONE, partial(_alone, cache=cache), own_clock=True)


def _others(workload: Workload) -> Iterator[Contestant]:
    """The user's own script, and the floors."""
    if workload.kind == "start":
        yield Contestant(HELP, _help)
    if workload.kind not in _SCRIPTS:
        return
    naive = "part" if workload.name == "digits" else None  # a minute over all of them
    yield Contestant(NAIVE, _script(_SCRIPTS[workload.kind]), scale=naive)
    if workload.name == "jpeg-q75":
        yield Contestant(NAIVE_FULL, _script("naive_image_statistics"), scale="part")
    yield Contestant(READ, _script("read_file"))
    if workload.store == "leveldb":
        yield Contestant(PLYVEL, _script("iterate"))
    if workload.name == "hdf5-gzip":
        yield Contestant(INFLATE, _script("inflate"))
        yield Contestant(H5PY, _script("h5py_read"))
    if _is_jpeg(workload):
        absent = None if turbojpeg() else "libturbojpeg is not installed (Debian's package libturbojpeg0)"
        yield Contestant(ENTROPY, _script("entropy_decode"), absent=absent)


def _peers(workload: Workload, cache: Path) -> Iterator[Contestant]:
    if _is_jpeg(workload):
        yield Contestant(JPEGINFO, peers.jpeginfo, absent=peers.missing_program("jpeginfo", "jpeginfo"))
    for name in _PYPI.get(workload.name, ()):
        absent = peers.missing_package(name, cache)
        yield Contestant(name, partial(peers.from_pypi, name, cache=cache), scale="part", absent=absent)


def _cold(workload: Workload) -> Iterator[Contestant]:
    if workload.name in _COLD:
        options = ("--statistics", "sampled") if workload.kind == "images" else ()
        yield Contestant(COLD, _datascan("--jobs", "2", *options), checks=True, cold=True)
        yield Contestant(COLD_CAT, _cat, cold=True)


def _is_jpeg(workload: Workload) -> bool:
    return workload.name.startswith("jpeg") or workload.name == "photos"


# ---- commands ----


def _datascan(*options: str) -> Command:
    def command(workload: Workload, path: Path) -> list[str]:
        quiet = ("--no-progress", "--fail-on", "never", "--output", "json")
        return [sys.executable, "-m", "datascan.scanner", "check", str(path), *quiet, *options]

    return command


def _script(name: str) -> Command:
    def command(workload: Workload, path: Path) -> list[str]:
        return [sys.executable, "-m", "benchmarks.contestants", name, workload.store, str(path)]

    return command


def _alone(workload: Workload, path: Path, cache: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.alone", str(workload.ready(cache, "start")), str(path)]


def _help(workload: Workload, path: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("datascan")), "--help"]


def _cat(workload: Workload, path: Path) -> list[str]:
    return ["cat", *map(str, files_of(path))]


def findings_of(output: bytes) -> set[tuple[str, int | None]]:
    """What a run of datascan found: rule and index."""
    reports: list[dict[str, Any]] = json.loads(output)["reports"]
    return {(found["rule"], found["location"]["index"]) for report in reports for found in report["findings"]}
