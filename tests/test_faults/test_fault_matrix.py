"""Every named fault is made, survived and named: what can be saved is scanned, what is lost is said."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.test_faults.faults import Fault, Made
from tests.test_faults.leveldb_faults import LEVELDB_FAULTS
from tests.test_faults.lmdb_faults import LMDB_FAULTS

from datascan.scanner import Report, check
from datascan.scanner.crew import Crew
from datascan.scanner.finding import Finding

FAULTS = [*LMDB_FAULTS, *LEVELDB_FAULTS]


def state(folder: Path) -> str:
    """Names, bytes, times and permissions of all that a folder holds, itself included."""
    digest = hashlib.sha256()
    for entry in sorted([folder, *folder.rglob("*")]):
        status = entry.lstat()
        digest.update(f"{entry} {status.st_mode} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode())
        if entry.is_file():
            digest.update(entry.read_bytes())
    return digest.hexdigest()


def lines(report: Report) -> str:
    found = "\n".join(f"{f.severity.value} {f.rule} {f.location} {f.message} {f.data}" for f in report)
    return f"{found}\n{report.reports[0].coverage} {report.reports[0].error} {report.reports[0].tracebacks}"


def stands_at(finding: Finding, made: Made) -> bool:
    return all(getattr(finding.location, name) == value for name, value in made.where.items()) and all(
        finding.data.get(name) == value for name, value in made.data.items()
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_survived_and_named(fault: Fault, tmp_path: Path, crew: Crew) -> None:
    made = fault.make(tmp_path)
    before = state(tmp_path)
    report = check(made.path, crew=crew, **fault.options)
    assert state(tmp_path) == before
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
