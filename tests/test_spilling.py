"""The report of a scan that goes to disk is that of one that stays in memory; a full disk loses no finding quietly."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest
from tests.cli_sources import write_lmdb
from tests.test_fixtures import CLEAN, DAMAGED, scan

from datascan.scanner import Report, check
from datascan.scanner.__main__ import main
from datascan.scanner.crew import Crew
from datascan.scanner.layouts.datum_writer import encode_datum

LIMIT = "datascan.scanner.spill.workspace.LIMIT_BYTES"


def content(report: Report) -> list[dict[str, Any]]:
    """The report without what may differ from run to run."""
    return [{**one, "run": None} for one in json.loads(report.to_json())["reports"]]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Next to nothing is kept in memory; the sizes of what is written instead."""
    sizes: list[int] = []
    pwrite = os.pwrite

    def noted(descriptor: int, contents: memoryview, offset: int) -> int:
        sizes.append(len(contents))
        return pwrite(descriptor, contents, offset)

    monkeypatch.setattr(LIMIT, 8000)
    monkeypatch.setattr(os, "pwrite", noted)
    return sizes


@pytest.mark.parametrize("folder", [*CLEAN, *DAMAGED], ids=lambda folder: folder.name)
def test_the_report_of_a_fixture_does_not_depend_on_the_memory(
    folder: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = content(scan(folder, crew)[0])
    monkeypatch.setattr(LIMIT, 300)
    assert content(scan(folder, crew)[0]) == whole


def copies_and_conflicts(path: Path) -> None:
    """4,000 records of 9 contents and 3 labels, so that nearly all are copies."""
    with lmdb.open(str(path), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for number in range(4000):
            pixels = bytes([number * 7 % 9]) * 10 + b"x\0"
            datum = encode_datum(dims=(3, 2, 2), data=pixels, label=number * 5 % 17 % 3, encoded=False)
            txn.put(f"{number:08d}".encode(), datum)


def halves_alone(path: Path) -> None:
    """Pairs of which half of the one and half of the other are missing, 300 by 300."""
    with lmdb.open(str(path), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for number in range(1, 3001):
            if number // 300 % 3 != 1:
                txn.put(f"image-{number:09d}".encode(), b"\x89PNG\r\n\x1a\n broken")
            if number // 300 % 3 != 2:
                txn.put(f"label-{number:09d}".encode(), b"word")
        txn.put(b"num-samples", b"3000")


@pytest.mark.parametrize("build", [copies_and_conflicts, halves_alone])
@pytest.mark.parametrize("cap", [0, 7, 1000])
def test_many_findings_are_the_same_on_disk(
    build: Any, cap: int, tmp_path: Path, crew: Crew, written: list[int]
) -> None:
    build(tmp_path / "set")
    on_disk = check(tmp_path / "set", crew=crew, max_findings=cap)
    assert sum(written) > 1000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LIMIT, 1 << 24)
        assert content(check(tmp_path / "set", crew=crew, max_findings=cap)) == content(on_disk)
    assert on_disk.reports[0].omitted


def test_every_copy_is_counted(tmp_path: Path, crew: Crew) -> None:
    copies_and_conflicts(tmp_path / "set")
    report = check(tmp_path / "set", crew=crew).reports[0]
    assert report.rule_count("record-duplicate") + report.rule_count("record-label-conflict") == 4000 - 9
    assert len([one for one in report.findings if one.rule == "record-duplicate"]) == 1000


def test_short_rows_are_cut_into_partitions_by_their_number(tmp_path: Path, crew: Crew) -> None:
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["data"] = np.arange(600_000, dtype=np.float32).reshape(300_000, 2)
        file["label"] = np.arange(300_000) % 10
    report = check(tmp_path / "rows.h5", crew=crew).reports[0]
    assert (report.coverage.seen, report.run.workers) == (300_000, 2)


# ---- no room ----


def test_a_full_disk_names_the_rules_that_could_not_run(
    tmp_path: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies_and_conflicts(tmp_path / "set")

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LIMIT, 8000)
    monkeypatch.setattr(os, "pwrite", full)
    report = check(tmp_path / "set", crew=crew, work_dir=tmp_path, batch_size=8).reports[0]
    not_run = {entry.rule: entry.reason for entry in report.coverage.not_run}
    assert {"record-duplicate", "record-label-conflict", "label-sorted"} <= set(not_run)
    assert "No space left on device" in not_run["record-duplicate"]
    assert not report.coverage.complete
    assert report.exit_code == 3


def test_a_work_dir_inside_a_source_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_lmdb(tmp_path / "set")
    before = sorted(path.name for path in source.iterdir())
    assert main(["check", str(source), "--work-dir", str(source)]) == 2
    assert "it is in the data set" in capsys.readouterr().err
    assert sorted(path.name for path in source.iterdir()) == before


def test_temporary_files_leave_nothing_behind(tmp_path: Path, crew: Crew, written: list[int]) -> None:
    copies_and_conflicts(tmp_path / "set")
    (tmp_path / "work").mkdir()
    check(tmp_path / "set", crew=crew, work_dir=tmp_path / "work")
    assert sum(written) > 1000
    assert list((tmp_path / "work").iterdir()) == []
