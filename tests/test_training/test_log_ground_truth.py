"""Logs that real Caffe wrote, with the right verdict for each; read where they are present."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datascan.scanner.finding import Finding, Severity
from datascan.scanner.training.log_check import check_log
from datascan.scanner.training.log_facts import LogFacts
from datascan.scanner.training.log_reader import read_log

CAFFE = Path(__file__).resolve().parents[3] / "shared" / "caffe"
pytestmark = pytest.mark.skipif(not (CAFFE / "runs.json").exists(), reason="the runs are not beside the project")
ROWS: list[dict[str, Any]] = (
    json.loads((CAFFE / "runs.json").read_text(encoding="utf-8")) if (CAFFE / "runs.json").exists() else []
)
FIVE = {"gradient-explosion", "learning-rate", "loss-function", "input-data", "pooling"}


@pytest.fixture(scope="module")
def logs() -> dict[str, tuple[LogFacts, list[Finding]]]:
    facts = {row["run"]: read_log(CAFFE / "runs" / f"{row['run']}.log") for row in ROWS}
    return {run: (one, check_log(one)) for run, one in facts.items()}


Logs = dict[str, tuple[LogFacts, list[Finding]]]


def test_the_first_value_that_is_not_finite_is_found_in_all(logs: Logs) -> None:
    def first(facts: LogFacts) -> str:
        bad = facts.run.loss.bad
        return f"{bad_text}@{bad.iteration}" if bad and (bad_text := facts.run.loss.bad_text.split(" = ")[-1]) else "-"

    assert {row["run"]: first(logs[row["run"]][0]) for row in ROWS} == {
        row["run"]: row["first_non_finite"] for row in ROWS
    }


def test_the_reason_is_quoted_wherever_caffe_stopped_by_itself(logs: Logs) -> None:
    for row in ROWS:
        reasons = [one.data["reason"] for one in logs[row["run"]][1] if one.data.get("cause") == "aborted"]
        assert bool(reasons) is (row["kind"] == "aborted" or row["exit"].startswith("SIG")), row["run"]
        assert all(reasons)


def test_healthy_runs_give_no_error(logs: Logs) -> None:
    guilty = {
        row["run"]: one.message
        for row in ROWS
        for one in logs[row["run"]][1]
        if row["kind"] == "clean" and one.severity is Severity.ERROR
    }
    assert guilty == {}


def test_no_log_leads_to_one_of_the_five_causes_where_it_is_another(logs: Logs) -> None:
    wrong = {
        row["run"]: one.data["cause"]
        for row in ROWS
        for one in logs[row["run"]][1]
        if row["kind"] in ("cause", "masked") and one.severity is Severity.ERROR
        if one.data.get("cause") in FIVE and one.data["cause"] not in row["accept"]
    }
    assert wrong == {}
