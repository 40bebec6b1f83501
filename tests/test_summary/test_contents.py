from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_rules.samples import records

from datascan.scanner.options import Options
from datascan.scanner.spill import Workspace
from datascan.scanner.summary import ContentSummary
from datascan.scanner.summary.copies import find_copies


def summary_of(contents: Sequence[bytes], positions: Sequence[int] | None = None) -> ContentSummary:
    summary = ContentSummary(Options())
    summary.add(records(len(contents), contents=contents, positions=positions))
    return summary


def copies(summary: ContentSummary) -> list[tuple[int, int]]:
    """Later copies in store order, each with the first record that has its contents."""
    found = find_copies(summary, None, Workspace(), 1000).same
    assert found.count == found.kept
    return [(copy.position, copy.first) for copy in found]


@pytest.mark.parametrize("limit_bytes", [None, 64])
@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([b"", b"a", b"b", b"ab", b"\0", b"c" * 300]), max_size=30), st.integers(0, 30))
def test_each_later_copy_is_found_with_the_first_one(limit_bytes: int | None, contents: list[bytes], cut: int) -> None:
    cut = min(cut, len(contents))
    expected = [
        (row, contents.index(content)) for row, content in enumerate(contents) if content and content in contents[:row]
    ]
    assert copies(summary_of(contents)) == expected
    parts = summary_of(contents[:cut]), summary_of(contents[cut:])
    whole = ContentSummary(Options())
    whole.spill_to(Workspace(limit_bytes=limit_bytes))
    whole.merge(parts[0], 0)
    whole.merge(parts[1], cut)
    assert copies(whole) == expected


def test_positions_with_holes_are_kept() -> None:
    assert copies(summary_of([b"a", b"b", b"a"], [3, 7, 9])) == [(9, 3)]


def test_what_is_added_after_a_question_is_part_of_the_next_answer() -> None:
    summary = summary_of([b"a"])
    assert copies(summary) == []
    summary.merge(summary_of([b"a"]), 1)
    assert copies(summary) == [(1, 0)]


def test_a_record_costs_sixteen_bytes() -> None:
    summary = summary_of([b"%d" % number for number in range(1000)])
    assert len(summary) == 1000
    assert sum(chunk.hashes.nbytes for chunk in summary.chunks) == 16_000
    assert all(chunk.positions is None for chunk in summary.chunks)


def test_equal_halves_of_a_hash_are_no_copy() -> None:
    summary = summary_of([b"a", b"b"])
    chunk = summary.chunks[0]
    hashes = np.array([[1, 2], [1, 3]], np.uint64)
    summary.chunks = [type(chunk)(hashes, 0, None)]
    assert copies(summary) == []
