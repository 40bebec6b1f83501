"""However a set is cut into batches and partitions, the summary says the same."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_rules.samples import records, told

from datascan.scanner.finding import Finding
from datascan.scanner.layouts.base import Traits
from datascan.scanner.options import Options
from datascan.scanner.rules import RULES, Context
from datascan.scanner.sample import ArrayBlock, SampleBatch, TwinBlock
from datascan.scanner.summary import Summary

OPTIONS = Options(max_findings=4)
TRAITS = Traits(caffe=True, fixed_shape=True, labelled=True)

SAMPLES = st.lists(
    st.tuples(
        st.integers(0, 3),  # how many numbers are left out before this one
        st.sampled_from([(1, 2, 2), (3, 2, 2), (3, 2, 4)]),
        st.sampled_from([np.uint8, np.float32]),
        st.integers(0, 2),  # seed of the values: few, so that there are duplicates
        st.integers(0, 2),  # label
    ),
    min_size=1,
    max_size=24,
)


def batch_of(drawn: Sequence[tuple[int, Any, Any, int, int]], numbers: Sequence[int], start: int) -> SampleBatch:
    rows = np.arange(len(drawn))
    blocks, contents = [], []
    for row, (_, shape, dtype, seed, _) in enumerate(drawn):
        values = (np.random.default_rng(seed).random((1, *shape)) * 200).astype(dtype)
        blocks.append(ArrayBlock("data", rows[row : row + 1], values, "CHW"))
        contents.append(values.tobytes())
    return records(
        len(drawn),
        keys=[b"%06d_x" % number for number in numbers],
        positions=list(range(start, start + len(drawn))),
        arrays=blocks,
        contents=contents,
        labels=[label for *_, label in drawn],
        twins=[
            TwinBlock("image" if drawn[row][4] else "label", rows[row : row + 1], np.array([numbers[row]]))
            for row in rows.tolist()
        ],
    )


def summary_of(drawn: Sequence[Any], numbers: Sequence[int], batch_cuts: Sequence[int]) -> Summary:
    summary = Summary(OPTIONS)
    edges = sorted({0, len(drawn), *(cut for cut in batch_cuts if cut < len(drawn))})
    for start, stop in pairwise(edges):
        summary.add(batch_of(drawn[start:stop], numbers[start:stop], start))
    travelled: Summary = pickle.loads(pickle.dumps(summary))
    return travelled


def said(summary: Summary) -> tuple[str, list[Finding]]:
    context = Context(OPTIONS, "test", "lmdb", TRAITS)
    found = [finding for rule in RULES for finding in told(rule(context).finish(summary))]
    return repr(summary.statistics()), found


@settings(max_examples=50, deadline=None)
@given(SAMPLES, st.data())
def test_any_cut_into_batches_and_partitions_gives_the_same_summary(drawn: list[Any], data: st.DataObject) -> None:
    numbers = np.cumsum([1 + left_out for left_out, *_ in drawn]).tolist()
    cuts = st.lists(st.integers(1, 24), max_size=4)
    whole = summary_of(drawn, numbers, [])

    first, second = sorted((data.draw(st.integers(0, len(drawn))), data.draw(st.integers(0, len(drawn)))))
    parts = [
        summary_of(drawn[start:stop], numbers[start:stop], data.draw(cuts))
        for start, stop in ((0, first), (first, second), (second, len(drawn)))
    ]
    one, two, three = pickle.loads(pickle.dumps(parts))
    one.merge(two, first)
    one.merge(three, second)
    assert said(one) == said(whole)

    one, two, three = parts
    two.merge(three, second - first)
    one.merge(two, first)
    assert said(one) == said(whole)


def test_counts_of_rows_samples_and_damages_add_up() -> None:
    one, two = Summary(OPTIONS), Summary(OPTIONS)
    one.add(records(3, sample_rows=[0, 1]))
    two.add(records(2))
    two.damages = 1
    one.merge(two, 3)
    assert (one.records, one.samples, one.damages) == (5, 4, 1)


def test_kinds_of_values_are_counted_over_the_set() -> None:
    one, two = Summary(OPTIONS), Summary(OPTIONS)
    first, second = records(2), records(3)
    first.value_kinds = {"jpeg": 1, "json": 1}
    second.value_kinds = {"json": 3}
    one.add(first)
    two.add(second)
    one.merge(two, 2)
    assert list(one.statistics()["value_kinds"].items()) == [("json", 4), ("jpeg", 1)]
