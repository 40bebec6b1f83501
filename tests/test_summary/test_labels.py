"""What is remembered of labels: the same however the set was cut, small, and right."""

import json
import pickle
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.test_rules.samples import records, rows

from datascan.scanner.options import Options
from datascan.scanner.sample import LabelBlock
from datascan.scanner.summary.label_columns import LabelColumn, RowColumn, ScalarColumn
from datascan.scanner.summary.label_counts import STRAY, LabelCounts
from datascan.scanner.summary.label_sequence import NO_LABEL, LabelSequence
from datascan.scanner.summary.labels import LabelSummary


def summarised(labels: Any, options: Options | None = None, **more: Any) -> LabelSummary:
    summary = LabelSummary(options or Options())
    summary.add(records(len(labels), labels=labels, **more))
    return summary


def column(labels: Any, options: Options | None = None) -> LabelColumn:
    (only,) = summarised(labels, options).columns
    return only


# ---- kinds ----


def almost(n: int, usual: float, other: float, share: float) -> NDArray[np.float64]:
    """``n`` values, of which a share is ``other``."""
    labels = np.full(n, float(usual))
    labels[: round(n * share)] = other
    return labels


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (np.arange(60) % 5, "classes"),
        (np.r_[np.arange(95) % 5, np.full(5, 0.5)], "classes"),
        (np.r_[np.arange(94) % 5, np.full(6, 0.5)], "targets"),
        (almost(100, 0, 1, 0.04) + almost(100, 0, 0.5, 0.01), "classes"),
        (np.r_[np.zeros(95), np.linspace(0.3, 7, 5)], "targets"),
        (np.r_[np.zeros(195), 1, 2, np.linspace(0.3, 6.9, 3)], "targets"),
        (np.arange(30), "classes"),
        (np.arange(30) * 1000, "targets"),
        (np.array([7, 300, 5000]), "classes"),
        (np.full(10, np.nan), "targets"),
        (np.full(10, -1), "unlabelled"),
        (np.tile([-1, 1], 20), "signed"),
        (almost(100, 1, -1, 0.04), "classes"),
        (np.tile([-1, 0, 1], 20), "classes"),
        (np.tile([-2, -1, 0, 1, 2], 20), "targets"),
        (np.arange(5000) * -7, "targets"),
        (np.eye(5)[np.arange(60) % 5], "one-hot"),
        (np.tile([[0, 1, 1], [1, 0, 0]], (20, 1)), "multi-label"),
        (np.tile([[-1, 1, 1], [1, -1, 1]], (20, 1)), "signed"),
        (np.tile([[-1, 1, 0], [1, 1, 0]], (20, 1)), "multi-label"),
        (np.zeros((30, 3)), "vectors"),
        (np.arange(90).reshape(30, 3), "vectors"),
    ],
)
def test_the_whole_set_shows_what_a_column_is(labels: NDArray[Any], kind: str) -> None:
    assert column(labels).kind == kind


def test_ignored_labels_do_not_make_signed_targets() -> None:
    labels = np.array([-1, -2, 0, 1, 2])[np.arange(100) % 5]
    assert column(labels).kind == "targets"
    assert column(labels, Options(ignore_labels=(-1, -2))).kind == "classes"


# ---- statistics ----


def test_labels_are_listed_in_the_order_of_numbers() -> None:
    statistics = summarised(np.array([10, 2, -1, 2, 0])).statistics()
    assert statistics == {"labels": {"-1": 1, "0": 1, "2": 2, "10": 1}}
    assert list(statistics["labels"]) == ["-1", "0", "2", "10"]


def test_one_hot_rows_are_counted_by_class() -> None:
    statistics = summarised(np.eye(3, dtype=np.uint8)[[0, 2, 2]]).statistics()
    assert statistics["labels"] == {"0": 1, "2": 2}
    (column,) = statistics["label_columns"].values()
    assert (column["width"], column["min"], column["max"]) == (3, 0, 1)


def test_long_lists_of_labels_end() -> None:
    statistics = summarised(np.arange(3000) % 1500).statistics()
    assert len(statistics["labels"]) == 1000
    assert statistics["labels_distinct"] == 1500


def test_columns_are_described_where_there_are_several() -> None:
    summary = LabelSummary(Options())
    angles = np.linspace(-1, 1, 60)
    angles[3] = np.nan
    batch = rows({"/angle": angles, "/label": np.arange(60) % 3}, labels=["/angle", "/label"])
    summary.add(batch)
    statistics = summary.statistics()
    assert statistics["labels"] == {"0": 20, "1": 20, "2": 20}
    assert statistics["label_columns"] == {
        "/angle": {"kind": "targets", "records": 60, "width": 1, "min": -1.0, "max": 1.0},
        "/label": {"kind": "classes", "records": 60, "width": 1, "min": 0.0, "max": 2.0},
    }
    first = summary.first_class_column
    assert first is not None
    assert (first.name, first.dataset) == ("/label", "/label")


def test_statistics_are_json_whatever_the_values() -> None:
    for labels in (np.full(5, np.nan), np.array([np.inf, 1.0]), np.array([1e300, 2.0]), np.full((3, 2), np.nan)):
        json.dumps(summarised(labels).statistics(), allow_nan=False)


def test_boxes_are_counted_by_label() -> None:
    summary = LabelSummary(Options())
    summary.add(records(2, boxes=[(0, (0, 0, 1, 1), 3), (1, (0, 0, 1, 1), 3), (1, (0, 0, 1, 1), 12)]))
    assert summary.statistics() == {"boxes": 3, "box_labels": {"3": 2, "12": 1}}


def test_no_labels_no_statistics() -> None:
    assert LabelSummary(Options()).statistics() == {}


# ---- labels at positions ----


def labels_at(sequence: LabelSequence, positions: Iterable[int]) -> list[int | None]:
    labels = sequence.at(np.array([*positions], np.int64)).tolist()
    return [None if label == NO_LABEL else label for label in labels]


def test_the_label_of_a_record_can_be_asked_for() -> None:
    labels = np.tile([4.0, 5.0, 6.0, 7.0], 10)
    labels[[1, 2]] = 2.5, np.nan
    summary = LabelSummary(Options())
    summary.add(records(41, labels=labels, missing=[5], positions=[*range(20), *range(50, 71)]))
    assert labels_at(summary.columns[0].sequence, [-1, 0, 1, 2, 3, 5, 6, 49, 50, 70, 71, 10**9]) == [
        *(None, 4, None, None, 7, None, 5),
        *(None, 7, 7, None, None),
    ]


@pytest.mark.parametrize("labels", [[127, -127], [5, -128], [128, -128], [40_000, -5], [2**31, 3], [2**40, 1]])
def test_labels_of_any_size_come_back(labels: list[int]) -> None:
    sequence = LabelSequence()
    sequence.add(np.array([3, 4]), np.array(labels), None)
    assert labels_at(sequence, [3, 4]) == labels
    assert sequence.first_position(labels[1]) == 4


def test_order_does_not_end_at_the_border_of_a_partition() -> None:
    sequence, later = LabelSequence(), LabelSequence()
    sequence.add(np.array([0, 1, 2]), np.array([1, 1, 300]), None)
    later.add(np.array([0, 2]), np.array([300, 300]), None)
    later.add(np.array([3, 4]), np.array([2, 3]), None)
    sequence.merge(later, 3)
    assert sequence.runs() == 4
    assert sequence.batch_classes(2) == (3, 1 + 1 + 2)
    assert sequence.batch_classes(7) == (1, 4)
    assert sequence.batch_classes(8) == (0, 0)


def test_sparse_positions() -> None:
    sequence = LabelSequence()
    sequence.add(np.array([0, 1000, 5000]), np.array([1, 2, 3]), np.array([True, False, True]))
    sequence.add(np.array([6000, 6003]), np.array([2, 2]), None)
    assert labels_at(sequence, [0, 1, 1000, 4999, 5000, 6000, 6001, 6003]) == [1, None, None, None, 3, 2, None, 2]
    assert sequence.first_position(2) == 6000
    assert sequence.first_position(9) is None


# ---- memory ----


def test_what_is_not_classes_is_not_kept() -> None:
    summary = LabelSummary(Options())
    for batch in range(20):
        start = batch * 1000
        summary.add(
            records(1000, labels=(np.arange(start, start + 1000)) * 10_000_000, positions=range(start, start + 1000))
        )
    assert len(pickle.dumps(summary)) < 30_000


def test_a_class_label_costs_a_byte() -> None:
    small, large = (len(pickle.dumps(summarised(np.arange(n) % 100))) for n in (10_000, 50_000))
    assert large - small < 41_000


def test_stray_values_beyond_the_limit_are_no_classes() -> None:
    counts, other = LabelCounts(), LabelCounts()
    counts.add(-np.arange(1, STRAY + 1))
    assert not counts.overflowed
    other.add(np.array([-STRAY - 1, 5]))
    counts.merge(other)
    assert counts.overflowed
    counts.merge(other)
    other.merge(counts)
    assert other.overflowed
    assert [len(part) for both in (counts, other) for part in both.items()] == [0, 0, 0, 0]


def test_counts_of_few_records_of_many_classes() -> None:
    counts = LabelCounts()
    for label in (900_000, 3, 900_000, 2**20, 2**40, -5):
        counts.add(np.array([label]))
    labels, sizes = counts.items()
    assert dict(zip(labels.tolist(), sizes.tolist(), strict=True)) == {-5: 1, 3: 1, 900_000: 2, 2**20: 1, 2**40: 1}
    assert labels.tolist() == sorted(labels.tolist())


# ---- blocks ----


def test_blocks_of_one_column_in_one_batch_are_one() -> None:
    batch = records(4)
    batch.labels = [
        LabelBlock("label", np.array([1, 3]), np.array([11, 13], np.uint8)),
        LabelBlock("label", np.array([0, 2]), np.array([10.0, 12.5])),
    ]
    summary = LabelSummary(Options())
    summary.add(batch)
    (only,) = summary.columns
    assert only.records == 4
    assert labels_at(only.sequence, [0, 1, 2, 3]) == [10, 11, None, 13]


def test_rows_of_another_width_are_a_column_of_their_own() -> None:
    batch = records(4)
    batch.labels = [
        LabelBlock("label", np.array([0, 1]), np.array([1, 2])),
        LabelBlock("label", np.array([2, 3]), np.array([[1, 0], [0, 1]])),
    ]
    summary = LabelSummary(Options())
    summary.add(batch)
    assert [(c.name, c.width) for c in summary.columns] == [("label", 1), ("label", 2)]
    assert set(summary.statistics()["label_columns"]) == {"label (1)", "label (2)"}


def test_empty_blocks_make_no_column() -> None:
    batch = records(2)
    none = np.empty(0, np.int64)
    batch.labels = [LabelBlock("label", none, none), LabelBlock("row", np.array([0, 1]), np.empty((2, 0)))]
    summary = LabelSummary(Options())
    summary.add(batch)
    assert list(summary.columns) == []


# ---- any cut gives the same ----

SCALARS = st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, 2.5, 250.0, 70_000.0, 2.0**33, 1e30, float("nan"), float("inf")])
ROW = st.tuples(*[st.sampled_from([0.0, 1.0, 1.0, -1.0, 0.5, 7.0, float("nan")])] * 3)


def facts(summary: LabelSummary) -> Any:
    """Everything that rules and statistics can ask for."""
    known: list[Any] = [json.dumps(summary.statistics()), summary.missing]
    for one in summary.columns:
        known += [one.name, one.kind, one.records, one.not_finite, one.minimum, one.maximum]
        known += [part.tolist() for part in one.counts.items()]
        known += [labels_at(one.sequence, range(-1, 50)), one.sequence.runs(), one.sequence.batch_classes(4)]
        known += [one.sequence.first_position(label) for label in range(4)]
        if isinstance(one, ScalarColumn):
            known += [one.integral, one.non_integral, one.negative, one.beyond, one.inexact]
        if isinstance(one, RowColumn):
            known += [one.zeros, one.ones, one.minus_ones, one.one_hot, one.wrong_sum, one.outside, one.minus]
    return known


def cut(values: NDArray[Any], lost: set[int], cuts: list[int], options: Options) -> list[tuple[int, LabelSummary]]:
    """One summary for each piece, with where it starts; every third record has no label, ``lost`` are holes."""
    parts = []
    edges = [0, *sorted(min(place, len(values)) for place in cuts), len(values)]
    for start, stop in pairwise(edges):
        summary = LabelSummary(options)
        there = [i for i in range(start, stop) if i not in lost]
        missing = [row for row, i in enumerate(there) if i % 3 == 2]
        labels = values[[i for i in there if i % 3 != 2]]
        if there:
            summary.add(
                records(len(there), labels=labels, missing=missing, positions=[position - start for position in there])
            )
        parts.append((start, summary))
    return parts


@given(
    st.one_of(st.lists(SCALARS, min_size=1, max_size=45), st.lists(ROW, min_size=1, max_size=45)),
    st.sets(st.integers(0, 45), max_size=6),
    st.lists(st.integers(0, 45), max_size=4),
    st.booleans(),
)
def test_any_cut_and_any_order_of_merging_gives_the_same(
    values: list[Any], lost: set[int], cuts: list[int], from_the_right: bool
) -> None:
    labels = np.array(values)
    options = Options(num_classes=3, ignore_labels=(250,), max_findings=4)
    ((_, whole),) = cut(labels, lost, [], options)
    parts = cut(labels, lost, cuts, options)
    if from_the_right:
        while len(parts) > 1:
            last_start, last = parts.pop()
            start, before = parts[-1]
            before.merge(last, last_start - start)
        merged = parts[0][1]
    else:
        merged = LabelSummary(options)
        for start, part in parts:
            merged.merge(pickle.loads(pickle.dumps(part)), start)
    assert facts(merged) == facts(whole)
