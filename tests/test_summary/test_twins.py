from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_rules.samples import records

from datascan.scanner.options import Options
from datascan.scanner.sample import SampleBatch, TwinBlock
from datascan.scanner.spill import Workspace
from datascan.scanner.summary import TwinSummary
from datascan.scanner.summary.keys import Gap
from datascan.scanner.summary.runs import LENGTH, NUMBER, POSITION, STRIDE, Runs


def runs_of(numbers: Sequence[int], positions: Sequence[int], cut: int = 0) -> Runs:
    runs, later = Runs(), Runs()
    pairs = np.array(numbers, np.int64), np.array(positions, np.int64)
    runs.add(pairs[0][:cut], pairs[1][:cut])
    later.add(pairs[0][cut:], pairs[1][cut:] - 5)
    runs.merge(later, 5)
    return runs


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 3)), max_size=14), st.integers(0, 14))
def test_runs_remember_every_number_and_its_position(steps: list[tuple[int, int]], cut: int) -> None:
    numbers = [number for number, _ in steps]
    positions = np.cumsum([step for _, step in steps]).tolist()
    runs = runs_of(numbers, positions, min(cut, len(steps)))
    assert len(runs) == len(numbers)
    assert [
        (run[NUMBER] + step, run[POSITION] + step * run[STRIDE])
        for run in runs.table.tolist()
        for step in range(run[LENGTH])
    ] == list(zip(numbers, positions, strict=True))


def test_numbers_without_holes_make_one_run() -> None:
    assert len(runs_of(range(100, 200), range(0, 300, 3), 50).table) == 1


def batch(kinds: Mapping[str, Sequence[int]]) -> SampleBatch:
    keys = [b"%s-%09d" % (kind.encode(), number) for kind, numbers in kinds.items() for number in numbers]
    blocks, row = [], 0
    for kind, numbers in kinds.items():
        blocks.append(TwinBlock(kind, np.arange(row, row + len(numbers)), np.array(numbers, np.int64)))
        row += len(numbers)
    return records(row, keys=keys, twins=blocks)


def summary_of(kinds: Mapping[str, Sequence[int]], cap: int = 1000) -> TwinSummary:
    summary = TwinSummary(Options(max_findings=cap))
    summary.add(batch(kinds))
    return summary


def widows_of(summary: TwinSummary) -> list[tuple[int, bytes, str]]:
    """Where a record stands alone, the key that is missing, and its kind."""
    return [
        (widow.position, summary.kinds[widow.missing].key(widow.number), widow.missing)
        for widow in summary.facts().widows()
    ]


def test_halves_that_stand_alone_are_named_with_the_key_that_is_missing() -> None:
    summary = summary_of({"image": [1, 2, 3, 5], "label": [1, 3, 4, 5]})
    assert widows_of(summary) == [(1, b"label-000000002", "label"), (6, b"image-000000004", "image")]
    assert summary.facts().count == 5


def test_a_number_that_two_of_three_kinds_have_is_named_once() -> None:
    summary = summary_of({"image_hr": [1, 2], "image_lr": [1], "label": [1, 2]})
    assert widows_of(summary) == [(1, b"image_lr-000000002", "image_lr")]


def test_holes_are_numbers_that_no_kind_has() -> None:
    facts = summary_of({"image": [1, 2, 5, 9], "label": [1, 3, 5, 9]}).facts()
    assert facts.gaps == [Gap(2, 4, 1), Gap(3, 6, 3)]
    assert (facts.holes, facts.missing) == (2, 4)


NUMBERS = st.lists(st.integers(0, 25), max_size=25, unique=True)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=3), st.integers(0, 25), st.integers(0, 6), st.booleans())
def test_holes_and_widows_are_those_of_the_sets_of_numbers(
    drawn: list[list[int]], cut: int, cap: int, spilled: bool
) -> None:
    kinds = {f"k{number}": numbers for number, numbers in enumerate(drawn) if numbers}
    table = [(kind, number) for kind, numbers in kinds.items() for number in numbers]
    first = {kind: [number for one, number in table[:cut] if one == kind] for kind in kinds}
    second = {kind: [number for one, number in table[cut:] if one == kind] for kind in kinds}
    whole = TwinSummary(Options(max_findings=cap))
    whole.spill_to(Workspace(limit_bytes=96 if spilled else None))
    whole.merge(summary_of(first, cap), 0)
    whole.merge(summary_of(second, cap), len(table[:cut]))
    facts = whole.facts()

    present = sorted({number for _, number in table})
    holes = [(low + 1, high - low - 1, high) for low, high in pairwise(present) if high - low > 1]
    found = [(gap.first, gap.missing) for gap in facts.gaps]
    assert found == [hole[:2] for hole in holes[: max(cap, 1)]]
    behind = [hole[2] for hole in holes]
    for gap, number in zip(facts.gaps, behind, strict=False):
        assert gap.position == next(place for place, one in enumerate(table) if one[1] == number)
    assert (facts.count, facts.holes) == (len(present), len(holes))
    widows = sorted(
        (next(place for place, (one, has) in enumerate(table) if has == number), kind, number)
        for kind in kinds
        for number in present
        if number not in kinds[kind]
    )
    assert facts.widows_count == len(widows)
    assert [(one.position, one.missing, one.number) for one in facts.widows()] == widows[:cap]


def test_claims_move_with_their_partition() -> None:
    one, two = TwinSummary(Options()), TwinSummary(Options())
    two.add(records(1, count_claims=[(0, 12)]))
    one.merge(two, 30)
    assert one.claims == [(30, 12)]
