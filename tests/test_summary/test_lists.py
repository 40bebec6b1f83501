"""Keys that a set is said to have: made and compared without an object for each."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from tests.test_rebuild.stores import write

from datascan.scanner import check
from datascan.scanner.crew import Crew
from datascan.scanner.summary.lists import KeyList


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 100, 1001])
def test_numbers_are_those_that_are_meant(count: int) -> None:
    assert [bytes(key) for key in KeyList.numbered("n", count).keys] == [b"%d" % number for number in range(count)]


def test_an_absurd_count_names_some_keys_and_counts_the_others(tmp_path: Path, crew: Crew) -> None:
    records = {b"%d" % i: pickle.dumps({"primary": "MKV" * (i + 1), "id": i}) for i in range(20)}
    source = write("lmdb", tmp_path / "set", {**records, b"num_examples": pickle.dumps(1_000_000)})
    report = check(source, select=("record-missing-twin", "store-count-mismatch"), max_findings=10, crew=crew).reports[
        0
    ]
    missing = [finding.data["missing"] for finding in report.findings if finding.rule == "record-missing-twin"]
    assert missing == [str(number) for number in range(20, 30)]
    assert sum(report.omitted["record-missing-twin"].values()) == 1_000_000 - 30
    assert "store-count-mismatch" in {finding.rule for finding in report.findings}
