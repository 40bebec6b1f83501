from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.test_rules.samples import records

from datascan.scanner.options import Options
from datascan.scanner.sample import SampleBatch, TwinBlock
from datascan.scanner.summary import TwinSummary
from datascan.scanner.summary.keys import Gap
from datascan.scanner.summary.runs import Runs, difference, union

NUMBERS = st.lists(st.integers(0, 12), max_size=12)


def runs_of(numbers: Sequence[int], positions: Sequence[int], cut: int = 0) -> Runs:
    runs, later = Runs(), Runs()
    pairs = np.array(numbers, np.int64), np.array(positions, np.int64)
    runs.add(pairs[0][:cut], pairs[1][:cut])
    later.add(pairs[0][cut:], pairs[1][cut:] - 5)
    runs.merge(later, 5)
    return runs


def spelled(intervals: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[int]:
    return [number for start, stop in intervals.tolist() for number in range(start, stop)]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 3)), max_size=14), st.integers(0, 14))
def test_runs_remember_every_number_and_a_position_of_it(steps: list[tuple[int, int]], cut: int) -> None:
    numbers = [number for number, _ in steps]
    positions = np.cumsum([step for _, step in steps]).tolist()
    runs = runs_of(numbers, positions, min(cut, len(steps)))
    assert len(runs) == len(numbers)
    assert spelled(runs.sorted_numbers()) == sorted(set(numbers))
    asked = sorted(set(numbers))
    found = runs.positions_of(np.array(asked, np.int64)).tolist()
    assert all(
        (number, position) in zip(numbers, positions, strict=True)
        for number, position in zip(asked, found, strict=True)
    )
    assert [number in runs for number in range(13)] == [number in numbers for number in range(13)]


def test_numbers_without_holes_make_one_run() -> None:
    assert len(runs_of(range(100, 200), range(0, 300, 3), 50).table) == 1


@given(NUMBERS, NUMBERS)
def test_intervals_are_united_and_subtracted_as_sets_are(one: list[int], two: list[int]) -> None:
    first, second = (runs_of(numbers, range(len(numbers))).sorted_numbers() for numbers in (one, two))
    assert spelled(union([first, second])) == sorted({*one, *two})
    assert spelled(difference(first, second)) == sorted({*one} - {*two})


def batch(kinds: Mapping[str, Sequence[int]]) -> SampleBatch:
    keys = [b"%s-%09d" % (kind.encode(), number) for kind, numbers in kinds.items() for number in numbers]
    blocks, row = [], 0
    for kind, numbers in kinds.items():
        blocks.append(TwinBlock(kind, np.arange(row, row + len(numbers)), np.array(numbers, np.int64)))
        row += len(numbers)
    return records(row, keys=keys, twins=blocks)


def summary_of(kinds: Mapping[str, Sequence[int]]) -> TwinSummary:
    summary = TwinSummary(Options())
    summary.add(batch(kinds))
    return summary


def test_halves_that_stand_alone_are_named_with_the_key_that_is_missing() -> None:
    summary = summary_of({"image": [1, 2, 3, 5], "label": [1, 3, 4, 5]})
    found = [(widow.position, widow.missing_key, widow.missing) for widow in summary.widows()]
    assert found == [(1, b"label-000000002", "label"), (6, b"image-000000004", "image")]
    assert summary.count() == 5


def test_a_number_that_two_of_three_kinds_have_is_named_once() -> None:
    summary = summary_of({"image_hr": [1, 2], "image_lr": [1], "label": [1, 2]})
    assert [(widow.position, widow.missing_key) for widow in summary.widows()] == [(1, b"image_lr-000000002")]


def test_holes_are_numbers_that_no_kind_has() -> None:
    summary = summary_of({"image": [1, 2, 5, 9], "label": [1, 3, 5, 9]})
    assert list(summary.gaps()) == [Gap(2, 4, 1), Gap(3, 6, 3)]


def test_claims_move_with_their_partition() -> None:
    one, two = TwinSummary(Options()), TwinSummary(Options())
    two.add(records(1, count_claims=[(0, 12)]))
    one.merge(two, 30)
    assert one.claims == [(30, 12)]
