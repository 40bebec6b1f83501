from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_rules.samples import records, rows

from datascan.backends.columns import BytesColumn
from datascan.scanner.options import Options
from datascan.scanner.summary import KeySummary
from datascan.scanner.summary.keys import Gap, NumberSeries, leading_numbers, trailing_numbers

KEYS = st.lists(
    st.one_of(
        st.binary(max_size=24),
        st.from_regex(rb"[0-9]{0,20}[a-z_-]{0,3}[0-9]{0,20}", fullmatch=True),
    ),
    max_size=12,
)


def summary_of(keys: Sequence[bytes]) -> KeySummary:
    summary = KeySummary(Options())
    summary.add(records(len(keys), keys=keys))
    return summary


def number_of(pattern: bytes, key: bytes) -> tuple[int, int]:
    match = re.search(pattern, key)
    digits = match[0] if match else b""
    return (len(digits), int(digits)) if 0 < len(digits) <= 18 else (0, 0)


@given(KEYS)
def test_numbers_are_those_that_a_regular_expression_finds(keys: list[bytes]) -> None:
    column = BytesColumn.from_strings(keys)
    widths, numbers = leading_numbers(column)
    assert list(zip(widths.tolist(), numbers.tolist(), strict=True)) == [number_of(rb"\A[0-9]+", key) for key in keys]
    widths, numbers = trailing_numbers(column)
    assert list(zip(widths.tolist(), numbers.tolist(), strict=True)) == [number_of(rb"[0-9]+\Z", key) for key in keys]


@given(KEYS, st.integers(0, 12))
def test_no_keys_break_the_summary_wherever_they_are_cut(keys: list[bytes], cut: int) -> None:
    cut = min(cut, len(keys))
    whole, one, two = summary_of(keys), summary_of(keys[:cut]), summary_of(keys[cut:])
    one.merge(two, cut)
    assert one.numberings() == whole.numberings()
    assert one.disordered == whole.disordered


@given(st.lists(st.integers(0, 9), max_size=10), st.integers(0, 10))
def test_a_series_is_the_same_wherever_it_is_cut(numbers: list[int], cut: int) -> None:
    def series(start: int, stop: int) -> NumberSeries:
        part = np.array(numbers[start:stop], np.int64)
        found = NumberSeries(3)
        found.add(part, np.full(len(part), 2), np.arange(len(part)))
        return found

    cut = min(cut, len(numbers))
    whole, one, two = series(0, len(numbers)), series(0, cut), series(cut, len(numbers))
    one.merge(two, cut)
    assert one == whole
    assert whole.distinct == sum(1 for row, number in enumerate(numbers) if row == 0 or numbers[row - 1] != number)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([b"%08d_cat/%d.jpg" % (number, number) for number in range(5)], {b"": []}),
        ([b"%08d" % number for number in (3, 4, 6, 9)], {b"": [Gap(2, 5, 1), Gap(3, 7, 2)]}),
        ([b"%05d" % number for number in (9998, 9999, 10000, 10002)], {b"": [Gap(3, 10001, 1)]}),
        ([b"%08d_%d" % (number, number % 3) for number in (1, 2, 4)], {b"": [Gap(2, 3, 1)]}),
        ([b"%08d_%s" % (number // 2, b"ab"[number % 2 :][:1]) for number in range(6)], {b"": []}),
        ([b"image-%09d" % number for number in (1, 2, 4)], {b"image-": [Gap(2, 3, 1)]}),
        (
            [b"%d-%05d" % (size, number) for size in (128, 256) for number in (0, 2)],
            {b"128-": [Gap(1, 1, 1)], b"256-": [Gap(3, 1, 1)]},
        ),
        ([b"%08d" % number for number in range(4)] + [b"length", b"mean"], {b"": []}),
    ],
)
def test_zero_padded_numbers_are_a_numbering(keys: list[bytes], expected: dict[bytes, list[Gap]]) -> None:
    found = summary_of(keys).numberings()
    assert {prefix: series.gaps for prefix, series in found.items()} == expected


@pytest.mark.parametrize(
    "keys",
    [
        [b"1503270001234_a", b"1503270009999_a"],  # timestamps
        [b"%d" % number for number in range(20)],  # not padded
        [b"%040x" % (number * 7**40 % 16**40) for number in range(50)],  # hashes
        [b"cat", b"dog"],
        [b"%s-%04d" % (name, 3 * row) for row, name in enumerate(b"a b c d e f g h i j k".split())],  # file names
        [b"%s_01.jpg" % name for name in (b"a", b"b", b"c")],
        [b"", b""],
    ],
)
def test_other_keys_are_no_numbering(keys: list[bytes]) -> None:
    assert summary_of(sorted(keys)).numberings() == {}


def test_unpadded_numbers_are_out_of_order() -> None:
    assert summary_of(sorted(b"%d_x" % number for number in range(30))).disordered
    assert not summary_of([b"%d_x" % number for number in range(10)]).disordered
    assert not summary_of([b"%05d" % number for number in range(30)]).disordered


def test_identifiers_of_different_lengths_are_not_out_of_order() -> None:
    identifiers = [1000092795, 10002456, 1000268201, 1001773457, 1002674143, 1003163366, 1007129816, 100759042]
    assert not summary_of([b"%d" % number for number in identifiers]).disordered


def test_rows_have_no_keys() -> None:
    summary = KeySummary(Options())
    summary.add(rows({"/data": [1, 2]}))
    assert (summary.numberings(), summary.disordered) == ({}, False)
