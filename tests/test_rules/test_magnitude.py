"""What the statistics know of magnitudes in passing never hides a value from the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.test_rules.samples import records

from datascan.scanner.options import Options
from datascan.scanner.rules.magnitude import bounds_of, largest_bound
from datascan.scanner.sample import ArrayBlock
from datascan.scanner.summary import ValueSummary
from datascan.scanner.summary.sums import PIECE

DTYPES = ["f2", "f4", "f8", ">f2", ">f4", ">f8"]
SHAPES = [((6, 16), ""), ((5, 3, 8, 8), "CHW"), ((5, 8, 8, 3), "HWC"), ((4, 7), "L"), ((3, 1), ""), ((4,), "")]
ODD = [np.nan, np.inf, -np.inf, 3e4, -6e4]


def looked_at(values: NDArray[Any], axes: str) -> ArrayBlock:
    """The block after the statistics have seen it."""
    block = ArrayBlock("data", np.arange(len(values)), values, axes)
    ValueSummary(Options()).add(records(len(values), arrays=[block]))
    assert block.magnitudes.bounds is not None
    return block


def plain(values: NDArray[Any]) -> NDArray[np.float64]:
    """The largest magnitude of each record, one by one; NaN where it holds one."""
    return np.array([np.abs(record.astype(np.float64)).max() for record in values])


@settings(deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.sampled_from(SHAPES),
    odd=st.lists(st.tuples(st.sampled_from(ODD), st.floats(0, 1, exclude_max=True)), max_size=3),
    limit=st.sampled_from([10.0, 1e4, float(np.finfo(np.float64).max)]),
)
def test_no_record_beyond_a_limit_is_within_its_bound(
    dtype: str, shape: tuple[tuple[int, ...], str], odd: list[tuple[float, float]], limit: float
) -> None:
    values = np.random.default_rng(len(odd)).standard_normal(shape[0]).astype(dtype)
    for value, place in odd:
        values.reshape(-1)[int(place * values.size)] = value
    block = looked_at(values, shape[1])
    within = bounds_of(block, limit) <= limit
    largest = plain(values)
    assert not (within & ~(largest <= limit)).any()
    # What is clean by itself is found clean although its neighbours are not: few records are looked at one by one.
    assert within[largest <= limit / 100].all()


@pytest.mark.parametrize("place", [0, PIECE - 1, PIECE, 2 * PIECE + 4])
def test_the_first_and_the_last_value_of_a_piece_count(place: int) -> None:
    values = np.ones((1, 1, 1, 2 * PIECE + 5), np.float32)
    values.reshape(-1)[place] = np.nan
    assert np.isnan(bounds_of(looked_at(values, "CHW"), 1e6)).tolist() == [True]


def test_a_record_among_large_ones_keeps_a_bound_of_its_own() -> None:
    values = np.ones((1000, 16), np.float32)
    values[500, 15] = np.inf
    bounds = bounds_of(looked_at(values, ""), 1e6)
    assert np.flatnonzero(~np.isfinite(bounds)).tolist() == [500]


@pytest.mark.parametrize("value", [1e-30, 1e-3, 1000.0001, 1.5e19])
def test_a_bound_is_never_below_the_value(value: float) -> None:
    values = np.zeros((3, 5000), np.float32)
    values[1, 7] = value
    assert largest_bound(values)[1] >= values[1, 7]
