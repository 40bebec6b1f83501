"""Counting copies in bounded memory: exact while they are few, within its error beyond, the same however it is cut."""

from __future__ import annotations

from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli_sources import write_lmdb

from datascan.backends.errors import UsageError
from datascan.scanner import check
from datascan.scanner.__main__ import main
from datascan.scanner.crew import Crew
from datascan.scanner.summary import distinct
from datascan.scanner.summary.distinct import KEPT, DistinctSketch


def sketch_of(values: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> DistinctSketch:
    sketch = DistinctSketch()
    sketch.add(values)
    return sketch


@given(st.lists(st.lists(st.integers(0, 60), max_size=30), max_size=6))
def test_few_contents_are_counted_exactly_however_they_are_cut(parts: list[list[int]]) -> None:
    whole = DistinctSketch()
    for part in parts:
        whole.merge(sketch_of(np.array(part, np.uint64)))
    assert whole.exact
    assert whole.distinct == len({value for part in parts for value in part})
    assert whole.records == sum(map(len, parts))


@pytest.mark.parametrize("spread", ["even", "counting", "multiples"])
def test_many_contents_are_counted_within_the_error(spread: str) -> None:
    count = 40 * KEPT
    values = {
        "even": np.random.default_rng(1).integers(0, 1 << 63, count, np.uint64),
        "counting": np.arange(count, dtype=np.uint64),
        "multiples": np.arange(count, dtype=np.uint64) * np.uint64(1 << 40),
    }[spread]
    sketch = DistinctSketch()
    for part in np.array_split(np.r_[values, values[: count // 4]], 7):
        sketch.merge(sketch_of(part))
    assert not sketch.exact
    assert abs(sketch.distinct / count - 1) < 4 / np.sqrt(KEPT)
    assert len(sketch.smallest) == KEPT


def with_copies(path: Path) -> Path:
    write_lmdb(path)
    with lmdb.open(str(path), map_size=1 << 22, lock=False) as env, env.begin(write=True) as txn:
        value = bytes(txn.get(b"00000003") or b"")
        txn.put(b"00000012", value)
        txn.put(b"00000013", value)
    return path


def test_copies_are_counted_and_not_named(tmp_path: Path, crew: Crew) -> None:
    path = with_copies(tmp_path / "set")
    assert [finding.rule for finding in check(path, crew=crew)] == ["record-duplicate"] * 2
    (report,) = check(path, crew=crew, duplicates="approximate").reports
    assert not report.findings
    assert report.statistics["contents"] == {"records": 14, "distinct": 12, "exact": True, "copies": 2}
    assert {"record-duplicate", "record-label-conflict"} <= {entry.rule for entry in report.coverage.not_run}
    assert report.exit_code == 0


def test_what_was_asked_for_by_name_and_only_counted_is_no_pass(tmp_path: Path, crew: Crew) -> None:
    path = with_copies(tmp_path / "set")
    assert check(path, crew=crew, duplicates="approximate", select=("record-duplicate",)).exit_code == 3
    with pytest.raises(UsageError, match="choose one of exact, approximate"):
        check(path, crew=crew, duplicates="some")  # type: ignore[arg-type]


def test_the_terminal_says_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_copies(tmp_path / "set")
    main(["check", str(path), "--duplicates", "approximate"])
    assert "copies  2 of 14 records have contents that stand in another one" in capsys.readouterr().out
    monkeypatch.setattr(distinct, "KEPT", 4)
    assert not sketch_of(np.arange(9, dtype=np.uint64)).exact
