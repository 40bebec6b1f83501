"""Small builders of sample batches, and a driver that runs one rule over them as a scan does."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datascan.backends.base import RecordBatch, RowBatch, Table
from datascan.backends.columns import BytesColumn
from datascan.scanner.finding import Finding, Further, Severity
from datascan.scanner.layouts.base import Traits
from datascan.scanner.options import Options
from datascan.scanner.rules.base import Context, Rule
from datascan.scanner.sample import (
    ArrayBlock,
    BoxBlock,
    Fault,
    ImageSample,
    LabelBlock,
    SampleBatch,
    TextBlock,
    TwinBlock,
)
from datascan.scanner.summary import Summary

Found = tuple[int | None, str, Any]
"""A finding in short: index, rule, and the element, else the dataset, else ``None``."""

CAFFE = Traits(caffe=True, fixed_shape=True, labelled=True)


def records(
    n: int,
    *,
    keys: Sequence[bytes] | None = None,
    values: Sequence[bytes] | None = None,
    positions: Sequence[int] | None = None,
    labels: ArrayLike | None = None,
    label_rows: Sequence[int] | None = None,
    missing: Sequence[int] = (),
    arrays: ArrayLike | Sequence[ArrayBlock] | None = None,
    axes: str = "",
    texts: Sequence[bytes] | None = None,
    boxes: Sequence[tuple[int, Sequence[float], int]] | None = None,
    images: Sequence[ImageSample] = (),
    faults: Sequence[Fault] = (),
    contents: Sequence[bytes] | None = None,
    twins: Sequence[TwinBlock] = (),
    sample_rows: Sequence[int] | None = None,
    count_claims: Sequence[tuple[int, int]] = (),
) -> SampleBatch:
    """A batch of ``n`` key-value records; keys are ``%08d`` unless given.

    ``labels`` are the values of the rows ``label_rows`` (all but the ``missing`` ones unless given);
    ``arrays`` is one array for all rows (first axis ``n``) named ``data``, or blocks as they are;
    ``boxes`` are ``(row, corners, label)``, rows ascending.
    """
    places = _rows(range(n) if positions is None else positions)
    names = [b"%08d" % i for i in places.tolist()] if keys is None else keys
    batch = RecordBatch(
        Table(),
        places,
        BytesColumn.from_strings(names),
        BytesColumn.from_strings([b""] * n if values is None else values),
    )
    everything = _rows(range(n))
    samples = SampleBatch(batch, everything if sample_rows is None else _rows(sample_rows))
    samples.labels = _label_blocks("label", n, labels, label_rows, missing)
    samples.arrays = _array_blocks(n, arrays, axes)
    if texts is not None:
        samples.texts = [TextBlock("label", _rows(range(len(texts))), BytesColumn.from_strings(texts))]
    if boxes is not None:
        samples.boxes = [_box_block(boxes)]
    if contents is not None:
        samples.contents, samples.content_rows = BytesColumn.from_strings(contents), everything[: len(contents)]
    samples.images, samples.faults, samples.twins = list(images), list(faults), list(twins)
    samples.count_claims = list(count_claims)
    return samples


def rows(
    columns: Mapping[str, ArrayLike],
    *,
    labels: Sequence[str] = (),
    positions: Sequence[int] | None = None,
    table: str = "",
    faults: Sequence[Fault] = (),
) -> SampleBatch:
    """A batch of HDF5 rows: the columns named in ``labels`` are label blocks, the others arrays."""
    data = {name: np.asarray(values) for name, values in columns.items()}
    n = len(next(iter(data.values())))
    places = _rows(range(n) if positions is None else positions)
    samples = SampleBatch(RowBatch(Table(table, tuple(data)), places, data), _rows(range(n)), list(faults))
    for name, values in data.items():
        if name in labels:
            samples.labels.append(LabelBlock(name, _rows(range(n)), values))
        else:
            samples.arrays.append(ArrayBlock(name, _rows(range(n)), values))
    return samples


def split(samples: Sequence[SampleBatch]) -> list[SampleBatch]:
    """The batches with positions that run on from one to the next, as batches of one partition have."""
    following: list[SampleBatch] = []
    start = 0
    for one in samples:
        batch = one.batch
        moved = batch.positions + start
        if isinstance(batch, RecordBatch):
            one.batch = RecordBatch(batch.table, moved, batch.keys, batch.values)
        else:
            one.batch = RowBatch(batch.table, moved, batch.columns)
        following.append(one)
        start = int(moved[-1]) + 1 if len(moved) else start
    return following


def run_rule(
    rule_class: type[Rule],
    batches: SampleBatch | Iterable[SampleBatch],
    *,
    traits: Traits = Traits(),  # noqa: B008  # frozen
    layout: str = "test",
    store: str = "lmdb",
    **options: Any,
) -> list[Found]:
    """What a rule finds, in short; see `findings`."""
    return [
        short(finding)
        for finding in findings(rule_class, batches, traits=traits, layout=layout, store=store, **options)
    ]


def findings(
    rule_class: type[Rule],
    batches: SampleBatch | Iterable[SampleBatch],
    *,
    traits: Traits = Traits(),  # noqa: B008  # frozen
    layout: str = "test",
    store: str = "lmdb",
    **options: Any,
) -> list[Finding]:
    """Findings of one partition: of each batch in order, then of the set as a whole.

    The summary travels through pickle before the rule's ``finish`` sees it, as it does in a scan.
    """
    asked = Options(**options)
    rule = rule_class(Context(asked, layout, store, traits))
    summary = Summary(asked)
    found: list[Finding] = []
    for samples in [batches] if isinstance(batches, SampleBatch) else batches:
        found += rule.check(samples)
        summary.add(samples)
    summary = pickle.loads(pickle.dumps(summary))
    return [*found, *told(rule.finish(summary))]


def told(findings: Iterable[Finding | Further]) -> list[Finding]:
    """Findings one by one; those that are only counted say no more than that they are there."""
    return [
        finding
        for one in findings
        for finding in ([one] if isinstance(one, Finding) else repeat(Finding(one.rule, one.severity, ""), one.count))
    ]


def short(finding: Finding) -> Found:
    """The finding as ``(index, rule, element or dataset)``."""
    where = finding.location
    return where.index, finding.rule, where.dataset if where.element is None else where.element


def severities(found: Iterable[Finding]) -> set[Severity]:
    """Which severities occur."""
    return {finding.severity for finding in found}


def _rows(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(numbers, np.int64)


def _label_blocks(
    name: str, n: int, labels: ArrayLike | None, label_rows: Sequence[int] | None, missing: Sequence[int]
) -> list[LabelBlock]:
    if labels is None and not missing:
        return []
    lost = _rows(missing)
    values = np.empty(0, np.int64) if labels is None else np.asarray(labels)
    if label_rows is not None:
        present = _rows(label_rows)
    elif labels is None:
        present = _rows(())
    else:
        present = np.setdiff1d(_rows(range(n)), lost)
    return [LabelBlock(name, present, values, lost)]


def _array_blocks(n: int, arrays: ArrayLike | Sequence[ArrayBlock] | None, axes: str) -> list[ArrayBlock]:
    if arrays is None:
        return []
    if isinstance(arrays, Sequence) and all(isinstance(block, ArrayBlock) for block in arrays):
        return [block for block in arrays if isinstance(block, ArrayBlock)]
    return [ArrayBlock("data", _rows(range(n)), np.asarray(arrays), axes)]


def _box_block(boxes: Sequence[tuple[int, Sequence[float], int]]) -> BoxBlock:
    places = [row for row, _, _ in boxes]
    return BoxBlock(
        _rows(places),
        np.array([corners for _, corners, _ in boxes], np.float32).reshape(-1, 4),
        _rows(label for _, _, label in boxes),
        _rows(places[:i].count(row) for i, row in enumerate(places)),
    )
