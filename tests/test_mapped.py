"""Large values looked at in the system's own cache: as when they are read, and where a file is cut meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import lmdb
import numpy as np
import plyvel
import pytest
from numpy.typing import NDArray

from datascan.backends import files, open_store
from datascan.backends.base import Batch, Damage, Extent, RecordBatch, RowBatch
from datascan.backends.files import mapping
from datascan.scanner.crew import Crew
from datascan.scanner.layouts.base import RecordLayout
from datascan.scanner.options import Options
from datascan.scanner.plan import Plan, Request, make_plan
from datascan.scanner.report import SourceReport
from datascan.scanner.sample import LabelBlock, SampleBatch
from datascan.scanner.scan import Clock, scan_plan

COUNT, VALUE_BYTES = 40, 150_000
VALUES = np.random.default_rng(5).integers(0, 256, (COUNT, VALUE_BYTES), np.uint8)


def write_lmdb(path: Path) -> Path:
    with lmdb.open(str(path), map_size=1 << 26, lock=False) as env, env.begin(write=True) as txn:
        for index, value in enumerate(VALUES):
            txn.put(b"%08d" % index, value.tobytes())
    return path


def write_leveldb(path: Path) -> Path:
    with plyvel.DB(str(path), create_if_missing=True, compression=None) as database:
        for index, value in enumerate(VALUES):
            database.put(b"%08d" % index, value.tobytes())
        database.compact_range()
    return path


def write_hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["data"] = VALUES
        file["odd"] = VALUES.view(np.float32)
    return path


def contents(path: Path) -> list[tuple[str, list[int], list[bytes]]]:
    """All that the store gives, as bytes."""
    with open_store(path) as store:
        return [described(part) for partition in store.partitions() for part in store.read(partition)]


def described(part: Batch | Damage | Extent) -> tuple[str, list[int], list[bytes]]:
    if isinstance(part, RecordBatch):
        return "records", part.positions.tolist(), [bytes(value) for value in part.values]
    if isinstance(part, RowBatch):
        return "rows", part.positions.tolist(), [np.asarray(column).tobytes() for column in part.columns.values()]
    return str(part), [], []


@pytest.mark.parametrize("write", [write_lmdb, write_leveldb, write_hdf5])
def test_a_store_gives_the_same_mapped_and_read(tmp_path: Path, write: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(write)
    path = write(tmp_path / "set")
    expected = contents(path)
    assert b"".join(b"".join(values) for _, _, values in expected).find(VALUES[7].tobytes()) >= 0
    maps: list[int] = []
    mapped = files.ReadOnlyFile._mapped

    def counted(file: files.ReadOnlyFile, offset: int, length: int) -> NDArray[np.uint8]:
        maps.append(length)
        return mapped(file, offset, length)

    monkeypatch.setattr(files.ReadOnlyFile, "_mapped", counted)
    with mapping(True):
        assert contents(path) == expected
    assert sum(maps) >= VALUES.nbytes if sys.platform == "linux" else not maps


class Meddling(RecordLayout):
    """Does something to the file that it is given records of, once, before it sums up the values as labels."""

    name = "meddling"
    title = "Records of a file that somebody changes"

    def __init__(self, options: Options, file: Path) -> None:
        super().__init__(options)
        self.file = file

    @classmethod
    def agrees(cls, sample: RecordBatch) -> list[bool]:
        return [True] * len(sample)

    def decode(self, batch: RecordBatch) -> SampleBatch:
        done = self.file.with_name("done")
        if not done.exists():
            done.touch()
            self.meddle()
        rows = np.arange(len(batch))
        sums = np.array([int(np.frombuffer(value, np.uint8).sum()) for value in batch.values])
        return SampleBatch(batch, rows, labels=[LabelBlock("label", rows, sums)])

    def meddle(self) -> None:
        raise NotImplementedError


class Cutting(Meddling):
    def meddle(self) -> None:
        os.truncate(self.file, VALUES.nbytes // 2)


OVERWRITE = """
import lmdb, sys
with lmdb.open(sys.argv[1], map_size=1 << 26) as env:
    for _ in range(4):
        with env.begin(write=True) as txn:
            for index in range(40):
                txn.put(b"%08d" % index, bytes([1]) * 150_000)
"""


class Overwriting(Meddling):
    def meddle(self) -> None:
        subprocess.run([sys.executable, "-c", OVERWRITE, str(self.file.parent)], check=True)


def scan_with(layout: type[Meddling], path: Path) -> SourceReport:
    rules = ("store-reader-died", "store-truncated", "store-damaged", "store-in-use")
    with Crew(1) as crew:
        plan: Plan = crew.call(make_plan, Request(str(path), Options(max_findings=100), rules, layout="raw"))
        plan = replace(plan, choice=replace(plan.choice, layout=layout(plan.context.options, path / "data.mdb")))
        return scan_plan(plan, crew, Clock())


SUMS = set(VALUES.sum(axis=1, dtype=np.int64).tolist())


@pytest.mark.skipif(sys.platform != "linux", reason="files are mapped on Linux alone")
def test_a_file_that_is_cut_while_it_is_mapped_is_reported_as_cut(tmp_path: Path) -> None:
    path = write_lmdb(tmp_path / "set")
    report = scan_with(Cutting, path)
    assert (path / "data.mdb").stat().st_size == VALUES.nbytes // 2
    found = {finding.rule for finding in report.findings}
    assert "store-truncated" in found
    assert "store-reader-died" not in found
    seen = set(map(int, report.statistics["labels"]))
    assert seen < SUMS
    assert report.coverage.seen == len(seen) == COUNT - report.coverage.unreadable
    assert 0 < report.coverage.seen < COUNT


def test_what_a_writer_overwrites_while_it_is_looked_at_is_not_taken_for_the_set(tmp_path: Path) -> None:
    report = scan_with(Overwriting, write_lmdb(tmp_path / "set"))
    assert {finding.rule for finding in report.findings} == {"store-in-use"}
    assert set(map(int, report.statistics.get("labels", {}))) <= SUMS
    assert not report.coverage.complete
    assert not report.tracebacks
