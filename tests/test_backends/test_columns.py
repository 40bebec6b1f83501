"""Columns of byte strings behave like the lists that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datascan.backends.columns import BytesColumn

STRINGS = st.lists(st.binary(max_size=30), max_size=20)


def strings(column: BytesColumn) -> list[bytes]:
    return [bytes(string) for string in column]


@given(STRINGS)
def test_strings_come_back(expected: list[bytes]) -> None:
    column = BytesColumn.from_strings(expected)
    assert strings(column) == expected
    assert [bytes(column[row]) for row in range(len(column))] == expected
    assert len(column) == len(expected)
    assert column.size_bytes == sum(map(len, expected))


@given(STRINGS, st.data())
def test_take_is_indexing(expected: list[bytes], data: st.DataObject) -> None:
    column = BytesColumn.from_strings(expected)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(expected), max_size=len(expected))), np.bool_)
    rows = np.flatnonzero(mask)[::-1]
    start, stop = sorted(data.draw(st.tuples(st.integers(0, 20), st.integers(0, 20))))
    assert strings(column.take(mask)) == [string for string, kept in zip(expected, mask, strict=True) if kept]
    assert strings(column.take(rows)) == [expected[row] for row in rows]
    assert strings(column.take(slice(start, stop))) == expected[start:stop]
    assert column.take(mask).buffer is column.buffer


@pytest.mark.parametrize("width", [1, 8, 63, 64, 100])
@pytest.mark.parametrize("layout", ["even", "odd", "backwards", "overlapping"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_stacked(width: int, layout: str, count: int) -> None:
    buffer = np.random.default_rng(0).integers(0, 256, 4000, np.uint8)
    places = {
        "even": np.arange(5) * 300 + 7,
        "odd": np.array([5, 900, 901, 1500, 3000]),
        "backwards": np.arange(5)[::-1] * 300,
        "overlapping": np.arange(5) * 3,
    }
    starts = places[layout][:count].astype(np.int64)
    column = BytesColumn(buffer, starts, np.full(count, width, np.int64))
    whole = column.stacked()
    assert whole.shape == (count, width)
    assert [row.tobytes() for row in whole] == strings(column)
    part = column.stacked(width // 4, width // 2)
    assert [row.tobytes() for row in part] == [string[width // 4 : width // 2] for string in strings(column)]


def test_stacked_refuses_strings_that_are_too_short() -> None:
    column = BytesColumn.from_strings([b"long enough", b"short"])
    assert column.stacked(0, 5).tobytes() == b"long short"
    with pytest.raises(ValueError, match="shorter"):
        column.stacked(0, 6)
    with pytest.raises(ValueError, match="shorter"):
        column.stacked()


def test_empty_columns() -> None:
    column = BytesColumn.from_strings([])
    assert len(column) == 0
    assert strings(column) == []
    assert column.size_bytes == 0
    assert column.stacked().shape == (0, 0)
    assert column.stacked(0, 4).shape == (0, 4)


def test_strings_are_views() -> None:
    buffer = np.arange(10, dtype=np.uint8)
    column = BytesColumn(buffer, np.array([2, 4]), np.array([3, 3]))
    buffer[4] = 99
    assert strings(column) == [b"\x02\x03\x63", b"\x63\x05\x06"]
