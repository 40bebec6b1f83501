"""Every named fault is made, survived and named: what can be saved is scanned, what is lost is said."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from tests.test_faults import hostile_hdf5
from tests.test_faults.faults import Fault, Made
from tests.test_faults.hdf5_faults import HDF5_FAULTS
from tests.test_faults.leveldb_faults import LEVELDB_FAULTS
from tests.test_faults.lmdb_faults import LMDB_FAULTS
from tests.test_faults.table import Row, fault_table
from tests.test_faults.value_faults import VALUE_FAULTS

from datascan.scanner import Report, check
from datascan.scanner.crew import Crew
from datascan.scanner.finding import Finding

FAULTS = {"LMDB": LMDB_FAULTS, "LevelDB": LEVELDB_FAULTS, "HDF5": HDF5_FAULTS, "Records": VALUE_FAULTS}
TABLE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"


def state(folder: Path) -> str:
    """Names, bytes, times and permissions of all that a folder holds, itself included."""
    digest = hashlib.sha256()
    for entry in sorted([folder, *folder.rglob("*")]):
        status = entry.lstat()
        digest.update(f"{entry} {status.st_mode} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode())
        if entry.is_file():
            digest.update(entry.read_bytes())
    return digest.hexdigest()


@cache
def scanned(fault: Fault, folder: Path, crew: Crew) -> tuple[Made, Report, bool]:
    """A fault, what a scan said of it, and whether the scan left everything as it was. Each is made once."""
    folder.mkdir()
    made = fault.make(folder)
    with made.meanwhile() as arguments:
        before = state(folder)
        report = check(made.path, **{"crew": crew, **fault.options, **arguments})
        same = state(folder) == before
    return made, report, same


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


def lines(report: Report) -> str:
    found = "\n".join(f"{f.severity.value} {f.rule} {f.location} {f.message} {f.data}" for f in report)
    return f"{found}\n{report.reports[0].coverage} {report.reports[0].error} {report.reports[0].tracebacks}"


def stands_at(finding: Finding, made: Made) -> bool:
    return all(getattr(finding.location, name) == value for name, value in made.where.items()) and all(
        finding.data.get(name) == value for name, value in made.data.items()
    )


@pytest.mark.parametrize("fault", [fault for faults in FAULTS.values() for fault in faults], ids=lambda f: f.name)
def test_a_fault_is_survived_and_named(fault: Fault, folder: Path, crew: Crew) -> None:
    made, report, same = scanned(fault, folder / fault.name, crew)
    assert same, "the scan changed its source"
    (source,) = report.reports
    assert Counter(finding.rule for finding in report) == fault.findings, lines(report)
    assert report.exit_code == fault.exit_code, lines(report)
    assert source.coverage.seen == made.savable, lines(report)
    if made.unreadable is not None:
        assert source.coverage.unreadable == made.unreadable, lines(report)
    leading = [finding for finding in report if finding.rule == next(iter(fault.findings))]
    for word in fault.words:
        assert any(word in finding.message for finding in leading), lines(report)
    if made.where or made.data:
        assert any(stands_at(finding, made) for finding in leading), lines(report)
    report.to_json()


def test_what_a_record_would_run_did_not_run(folder: Path, crew: Crew) -> None:
    hostile = [fault for fault in VALUE_FAULTS if fault.name in ("img-eps-in-record", "pkl-os-system")]
    assert len(hostile) == 2
    for fault in hostile:
        scanned(fault, folder / fault.name, crew)
        assert list((folder / fault.name).glob("written_by*")) == []


@pytest.mark.parametrize("seed", hostile_hdf5.SEEDS)
def test_a_hostile_hdf5_file_has_a_verdict(seed: int, tmp_path: Path, crew: Crew) -> None:
    path = hostile_hdf5.make(tmp_path, seed)
    before = state(tmp_path)
    report = check(path, crew=crew)
    assert state(tmp_path) == before
    assert report.exit_code in (0, 1, 3), lines(report)
    assert report.reports[0].error is None, lines(report)
    assert report.exit_code != 3 or report.reports[0].coverage.reasons, lines(report)
    report.to_json()


def test_the_table_is_what_the_scans_gave(folder: Path, crew: Crew) -> None:
    """Written anew with DATASCAN_REWRITE_GOLDEN=1."""
    rows = {
        store: [Row(fault, *scanned(fault, folder / fault.name, crew)[:2]) for fault in faults]
        for store, faults in FAULTS.items()
    }
    table = fault_table(rows, len(hostile_hdf5.SEEDS))
    if os.environ.get("DATASCAN_REWRITE_GOLDEN"):
        TABLE.write_text(table, encoding="utf-8")
    assert TABLE.read_text(encoding="utf-8") == table, "run the test with DATASCAN_REWRITE_GOLDEN=1"
