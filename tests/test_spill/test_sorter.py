"""Rows come back sorted, whether they fit in memory or not, and nothing is left behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datascan.backends.errors import UsageError
from datascan.scanner.spill import Sorter, SpillError, Workspace
from datascan.scanner.spill.sorter import BLOCK_ROWS, count_up_to, sorted_order

SMALL = st.integers(0, 3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=8), max_size=5), st.sampled_from([48, 100, 1 << 20]))
def test_rows_come_back_in_order(batches: list[list[tuple[int, int, int]]], limit_bytes: int) -> None:
    sorter = Sorter(3, Workspace(limit_bytes=limit_bytes))
    for batch in batches:
        sorter.add(np.array(batch, np.uint64).reshape(-1, 3))
    expected = sorted(row for batch in batches for row in batch)
    for _ in range(2):  # may be asked again
        assert [tuple(row) for block in sorter.blocks() for row in block.tolist()] == expected
    assert len(sorter) == len(expected)


@pytest.mark.parametrize("distinct", [1, 3, 1 << 62])
def test_many_runs_are_merged_in_blocks_of_bounded_size(distinct: int) -> None:
    room = 8 * BLOCK_ROWS
    sorter = Sorter(2, Workspace(limit_bytes=room * 16))
    rng = np.random.default_rng(1)
    rows = np.stack([rng.integers(0, distinct, 50_000), np.arange(50_000)], axis=1).astype(np.uint64)
    for start in range(0, len(rows), 700):
        sorter.add(rows[start : start + 700])
    blocks = list(sorter.blocks())
    runs = -(-len(rows) // room)
    assert max(map(len, blocks)) <= room // 8 + runs * BLOCK_ROWS
    assert np.array_equal(np.concatenate(blocks), rows[np.lexsort((rows[:, 1], rows[:, 0]))])


def test_rows_may_follow_after_a_question() -> None:
    sorter = Sorter(1, Workspace(limit_bytes=16))
    for numbers in ([5, 3, 4], [1]):
        sorter.add(np.array(numbers)[:, None])
        seen = [int(row[0]) for block in sorter.blocks() for row in block]
    assert seen == [1, 3, 4, 5]


@given(st.lists(st.tuples(SMALL, SMALL), max_size=20), st.tuples(SMALL, SMALL))
def test_rows_are_counted_up_to_a_bound(rows: list[tuple[int, int]], bound: tuple[int, int]) -> None:
    table = np.array(sorted(rows), np.uint64).reshape(-1, 2)
    assert count_up_to(table, np.array(bound, np.uint64)) == sum(row <= bound for row in rows)
    shuffled = np.array(rows, np.uint64).reshape(-1, 2)
    assert np.array_equal(shuffled[sorted_order(shuffled)], table)


# ---- where it goes ----


def full_sorter(workspace: Workspace) -> Sorter:
    sorter = Sorter(1, workspace)
    sorter.add(np.arange(100)[::-1, None])
    return sorter


def test_files_have_no_name(tmp_path: Path) -> None:
    sorter = full_sorter(Workspace(str(tmp_path), 64))
    assert list(tmp_path.iterdir()) == []
    assert sum(len(block) for block in sorter.blocks()) == 100
    assert list(tmp_path.iterdir()) == []


def test_without_nameless_files_the_name_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    sorter = full_sorter(Workspace(str(tmp_path), 64))
    assert list(tmp_path.iterdir()) == []
    assert sum(len(block) for block in sorter.blocks()) == 100


def test_a_full_disk_is_told_by_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    sorter = full_sorter(Workspace(str(tmp_path), 64))
    with pytest.raises(SpillError, match=r"No space left on device.*--work-dir"):
        list(sorter.blocks())


def test_a_file_that_was_cut_is_no_shorter_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sorter = full_sorter(Workspace(str(tmp_path), 64))
    monkeypatch.setattr(os, "preadv", lambda *_: 0)
    with pytest.raises(SpillError, match="cut short"):
        list(sorter.blocks())


@pytest.mark.parametrize("where", ["inside", "source", "nowhere", "file"])
def test_a_folder_that_will_not_do_is_refused(tmp_path: Path, where: str) -> None:
    source = tmp_path / "source"
    (source / "inside").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    folder = {"inside": source / "inside", "source": source}.get(where, tmp_path / where)
    with pytest.raises(UsageError, match="can't keep temporary files"):
        Workspace(str(folder), sources=[source])


def test_the_system_s_folder_may_be_the_source_as_long_as_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    workspace = Workspace(limit_bytes=64, sources=[tmp_path])
    with pytest.raises(SpillError, match="is in the data set"):
        list(full_sorter(workspace).blocks())
    assert list(tmp_path.iterdir()) == []
