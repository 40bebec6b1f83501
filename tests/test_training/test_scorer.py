"""Runs of real Caffe, each with the verdict that a correct tool gives: `doctor` is scored over them where they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from datascan.scanner import Severity, check
from datascan.scanner.crew import Crew
from datascan.scanner.doctor import doctor
from datascan.scanner.net_sources import ScanSource
from datascan.scanner.report import Report, SourceReport

CAFFE = Path(__file__).resolve().parents[3] / "shared" / "caffe"
ROWS: list[dict[str, Any]] = json.loads((CAFFE / "runs.json").read_text()) if (CAFFE / "runs.json").exists() else []
pytestmark = pytest.mark.skipif(not ROWS, reason="the runs of real Caffe are not beside the project")

FATAL = re.compile(r"^F\d{4,8} \S+ +\d+ \S+:\d+\] (.*)$", re.MULTILINE)
DYING = re.compile(r"^(terminate called .*|.*: Assertion `.*|\*\*\* SIG\w+)", re.MULTILINE)


def scans(crew: Crew) -> ScanSource:
    """Scans each set once for the same options."""
    done: dict[tuple[str, str], SourceReport] = {}

    def scan(path: str, fields: Mapping[str, Any]) -> SourceReport:
        key = (path, repr(sorted(fields.items())))
        if key not in done:
            done[key] = check(path, crew=crew, **fields).reports[0]
        return done[key]

    return scan


@pytest.fixture(scope="module")
def reports(crew: Crew) -> dict[str, Report]:
    """All inputs given."""
    scan, runs = scans(crew), CAFFE / "runs"
    return {
        row["run"]: doctor(
            solver=runs / f"{row['run']}.solver.prototxt",
            net=runs / f"{row['run']}.train.prototxt",
            log=runs / f"{row['run']}.log",
            data_root=CAFFE / "data",
            scan=scan,
        )
        for row in ROWS
    }


def of(*kinds: str) -> list[dict[str, Any]]:
    return [row for row in ROWS if row["kind"] in kinds]


def first_cause(report: Report) -> str:
    assert report.causes is not None
    return report.causes[0].cause


def story(report: Report) -> str:
    return "; ".join(f"{one.cause} {one.verdict} ({one.summary[:90]})" for one in (report.causes or ())[:3])


def reason_of(run: str) -> str:
    """What the program said last, found without our reader."""
    text = (CAFFE / "runs" / f"{run}.log").read_bytes().decode("utf-8", "replace")
    found = FATAL.search(text) or DYING.search(text)
    return found[1].strip() if found else text.strip().splitlines()[-1].split("] ", 1)[-1]


def test_the_right_cause_is_ranked_first(reports: dict[str, Report]) -> None:
    rows = of("cause", "masked")
    missed = {
        row["run"]: story(reports[row["run"]]) for row in rows if first_cause(reports[row["run"]]) not in row["accept"]
    }
    assert len(missed) <= 0.02 * len(rows), missed


def test_healthy_runs_are_given_a_clean_bill(reports: dict[str, Report]) -> None:
    for row in of("clean"):
        report = reports[row["run"]]
        errors = [f"{one.rule} {one.message}" for one in report if one.severity is Severity.ERROR]
        assert errors == [], row["run"]
        assert not [one.cause for one in report.causes or () if one.guilty], (row["run"], story(report))
        assert report.exit_code == 0, row["run"]


def test_the_reason_why_caffe_stopped_is_quoted(reports: dict[str, Report]) -> None:
    missed = {}
    for row in of("aborted"):
        causes = {one.cause: one for one in reports[row["run"]].causes or ()}
        told = " ".join([causes["aborted"].summary, *causes["aborted"].evidence])
        if reason_of(row["run"])[:200] not in told or causes["aborted"].rank != 1:
            missed[row["run"]] = (reason_of(row["run"]), story(reports[row["run"]]))
    assert missed == {}


def test_what_is_wrong_although_the_log_looks_fine_is_found(reports: dict[str, Report]) -> None:
    rows = of("lint")
    missed = [
        row["run"] for row in rows if not [one for one in reports[row["run"]] if one.severity is not Severity.INFO]
    ]
    assert len(missed) <= 0.05 * len(rows), missed


def test_a_run_that_deserves_a_warning_gets_one(reports: dict[str, Report]) -> None:
    rows = of("warning")
    silent = [
        row["run"] for row in rows if not [one for one in reports[row["run"]] if one.severity is not Severity.INFO]
    ]
    assert len(silent) <= 0.1 * len(rows), silent
