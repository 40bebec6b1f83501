"""The workloads: what each holds, in which sizes, and the faults planted in it that every path must find."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from . import builders as build

VERSION = 2
"""Counts up when a workload's contents change: cached ones of another version are built again."""

START_RECORDS = 8
"""Records of the sets that show what it costs to start a program and do nothing."""
MOST_FINDINGS = 1000
"""datascan lists so many findings of a rule, and counts the others."""

_Planted = tuple[tuple[str, int], ...]
_SIZE: _Planted = (("record-size-mismatch", 3),)
_NAN: _Planted = (("value-nan", 3),)
_INF: _Planted = (("value-inf", 3),)
_IMAGES: _Planted = (("image-truncated", 4), ("image-trailing-data", 3), ("image-constant", 2))


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """One data set in several sizes.

    Attributes
    ----------
    kind
        Which contestants take part: ``raw``, ``floats``, ``images``, ``hdf5``, and ``growth``, where datascan is
        compared with itself; see `benchmarks.field`.
    store
        ``lmdb``, ``leveldb`` or ``hdf5``.
    full, small
        Records, and those of the set that is made only for its results.
    build
        Writes the set of so many records at a path.
    planted
        Rules that must find something, with the places counted from the last record backwards: the same few
        faults at every scale, and nothing else may be found.
    every
        Where the faults are many: one record in so many has that of ``planted``, counted from the first.
    part
        Records of the set for contestants over which all of them would take too long.
    seen_naively
        How many of the planted faults the user's own script finds.
    """

    name: str
    title: str
    kind: str
    store: str
    full: int
    small: int
    build: build.Build
    planted: _Planted
    every: int = 0
    part: int = 500
    seen_naively: int = 1

    def records(self, scale: str) -> int:
        """How many there are at ``full``, ``small``, ``part`` or ``start``."""
        return {"full": self.full, "small": self.small, "part": self.part, "start": START_RECORDS}[scale]

    def path(self, cache: Path, scale: str) -> Path:
        """Where the set is cached."""
        return cache / f"v{VERSION}" / f"{self.name}-{self.records(scale)}{'.h5' if self.store == 'hdf5' else ''}"

    def ready(self, cache: Path, scale: str) -> Path:
        """The set's path; it is built there unless it has been before."""
        path = self.path(cache, scale)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name("unfinished-" + path.name)
            remove(unfinished)
            self.build(unfinished, self.records(scale))
            unfinished.rename(path)
        return path

    def expected(self, scale: str) -> set[tuple[str, int | None]]:
        """The findings that are due, as ``(rule, index)``; the images are of many sizes, which is said once."""
        count = self.records(scale)
        if self.every:
            rule = self.planted[0][0]
            return {(rule, index) for index in range(0, count, self.every)[:MOST_FINDINGS]}
        found: set[tuple[str, int | None]] = {(rule, count - behind) for rule, behind in self.planted}
        return found | {("record-mixed-shapes", None)} if self.kind == "images" else found


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Bytes of a file, or of a folder's files."""
    return sum(file.stat().st_size for file in files_of(path))


def files_of(path: Path) -> list[Path]:
    """A set's files, in the order of their names."""
    return sorted(path.iterdir()) if path.is_dir() else [path]


def _images(name: str, title: str, full: int, small: int, written: build.Build) -> Workload:
    return Workload(name, f"LMDB, {title}", "images", "lmdb", full, small, written, _IMAGES)


WORKLOADS: tuple[Workload, ...] = (
    Workload("raw", "LMDB, raw Datums 3x256x256", "raw", "lmdb", 6000, 60, build.raw, _SIZE),
    _images("jpeg-q75", "JPEGs about 500x375 at quality 75", 10_000, 60, build.jpegs(10, 75)),
    _images("jpeg-q95", "JPEGs about 500x375 at quality 95", 10_000, 60, build.jpegs(11, 95)),
    Workload("digits", "LMDB, raw Datums 1x28x28", "raw", "lmdb", 1_000_000, 5000, build.digits, _SIZE, part=100_000),
    Workload("floats", "LMDB, Datums of 3,072 floats in float_data", "floats", "lmdb", 24_000, 200, build.floats, _NAN),
    Workload("hdf5", "HDF5, float32 3x64x64, contiguous", "hdf5", "hdf5", 24_576, 64, build.hdf5_plain, _INF),
    Workload("hdf5-gzip", "the same in chunks, shuffle and gzip 4", "hdf5", "hdf5", 24_576, 64, build.hdf5_gzip, _INF),
    Workload("leveldb", "LevelDB, raw Datums 3x256x256", "raw", "leveldb", 2500, 60, build.leveldb(None, 256), _SIZE),
    Workload("leveldb-snappy", "the same with snappy", "raw", "leveldb", 2500, 60, build.leveldb("snappy", 256), _SIZE),
    Workload(
        "leveldb-3k", "LevelDB, raw Datums 3x32x32", "raw", "leveldb", 150_000, 500, build.leveldb(None, 32), _SIZE
    ),
    Workload(
        "hdf5-rows",
        "HDF5, rows of 16 float32, contiguous",
        "hdf5",
        "hdf5",
        10_000_000,
        20_000,
        build.short_rows,
        _NAN,
    ),
    _images("png", "PNGs about 500x375", 1000, 30, build.pngs(12)),
    _images("webp", "WebPs about 500x375 at quality 80", 1000, 30, build.webps(13)),
    _images("photos", "12-megapixel JPEGs at quality 90", 60, 6, build.photos(14)),
    _images("jpeg-progressive", "progressive JPEGs about 500x375", 1500, 30, build.progressive_jpegs(15)),
    Workload("digits-tenth", "a tenth of those digits", "growth", "lmdb", 100_000, 500, build.digits, _SIZE),
    Workload("faults", "digits, one in three too short", "growth", "lmdb", 300_000, 900, build.bad_digits(3), _SIZE, 3),
    Workload("faults-tenth", "a tenth of those", "growth", "lmdb", 30_000, 900, build.bad_digits(3), _SIZE, 3),
    Workload("start", "LMDB of 60 raw Datums 3x256x256", "start", "lmdb", 60, 60, build.raw, _SIZE),
)


def named(name: str) -> Workload:
    """The workload of that name."""
    return next(workload for workload in WORKLOADS if workload.name == name)
