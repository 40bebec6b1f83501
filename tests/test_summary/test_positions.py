"""Logs count everything, keep the first, and do not care where the data was cut."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.summary.positions import PositionLog, ValueLog


def test_keeps_the_first_and_counts_the_rest() -> None:
    log = PositionLog(3)
    log.add(np.array([2, 5]))
    log.add(np.array([], np.int64))
    log.add(np.array([7, 8, 9]))
    assert (log.count, log.positions) == (5, [2, 5, 7])


def test_positions_are_plain_integers() -> None:
    log = PositionLog(3)
    log.add(np.array([2], np.int64))
    assert type(log.positions[0]) is int


def test_merging_moves_what_follows() -> None:
    first, later = PositionLog(3), PositionLog(3)
    first.add(np.array([4]))
    later.add(np.array([0, 1, 2]))
    first.merge(later, 10)
    assert (first.count, first.positions) == (4, [4, 10, 11])
    assert later.positions == [0, 1, 2]


def test_a_log_survives_the_way_to_another_process() -> None:
    log = PositionLog(2)
    log.add(np.array([1, 2, 3]))
    assert pickle.loads(pickle.dumps(log)) == log


def test_values_stay_with_their_positions() -> None:
    first, later = ValueLog(2), ValueLog(2)
    first.add(np.array([1]), np.array([2.5], np.float32))
    later.add(np.array([0, 3]), np.array([7, 8]), [(0, 1), (2, 0)])
    first.merge(later, 5)
    assert first == ValueLog(2, 3, [1, 5], [2.5, 7], [None, (0, 1)])
    assert pickle.loads(pickle.dumps(first)) == first


@given(
    st.lists(st.integers(0, 5), max_size=12),
    st.integers(1, 6),
    st.integers(0, 12),
    st.integers(0, 12),
    st.booleans(),
)
def test_any_cut_gives_the_same_log(gaps: list[int], cap: int, cut: int, other_cut: int, left_first: bool) -> None:
    positions = np.cumsum(np.array(gaps, np.int64) + 1)
    whole = PositionLog(cap)
    whole.add(positions)

    cuts = sorted({min(cut, len(positions)), min(other_cut, len(positions))})
    parts: list[tuple[int, PositionLog]] = []
    for piece in np.split(positions, cuts):
        start = int(piece[0]) if len(piece) else 0
        log = PositionLog(cap)
        log.add(piece - start)
        parts.append((start, log))
    if left_first or len(parts) < 3:
        (_, merged), *others = parts
        base = parts[0][0]
        merged = PositionLog(cap, merged.count, [p + base for p in merged.positions])
        for start, log in others:
            merged.merge(log, start)
    else:
        (base, first), (start, second), (last_start, third) = parts
        second.merge(third, last_start - start)
        merged = PositionLog(cap, first.count, [p + base for p in first.positions])
        merged.merge(second, start)
    assert merged == whole


@pytest.mark.parametrize("log", [PositionLog(0), ValueLog(0)])
def test_a_log_without_room_still_counts(log: PositionLog | ValueLog) -> None:
    if isinstance(log, ValueLog):
        log.add(np.array([1, 2]), np.array([1.0, 2.0]))
    else:
        log.add(np.array([1, 2]))
    assert (log.count, log.positions) == (2, [])
