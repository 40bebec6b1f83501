"""The labels' part of the summary: columns of labels, what is missing, boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RowBatch
from ..options import Options
from ..sample import LabelBlock, SampleBatch
from ..spill import Workspace
from .label_columns import LabelColumn, RowColumn, ScalarColumn
from .label_counts import LabelCounts
from .positions import PositionLog

LISTED = 1000
"""Most labels that the statistics list."""

LABEL_SHARE = 4
"""Labels may take this part of what the hashes of contents may: they are shorter by as much, or more."""


class LabelSummary:
    """What is remembered of labels, boxes and texts.

    Attributes
    ----------
    missing
        Column name to the samples that should have a label there and have none.
    faulted
        Whether a layout has already reported a label as missing.
    boxes, texts
        How many there are.
    box_counts
        How often each box label occurs.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._columns: dict[tuple[str, int], LabelColumn] = {}
        self.missing: dict[str, PositionLog] = {}
        self.datasets: set[str] = set()
        self.faulted = False
        self.boxes = self.texts = 0
        self.box_counts = LabelCounts()
        self._workspace: Workspace | None = None

    # ---- gathering ----

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        blocks: dict[tuple[str, int], list[LabelBlock]] = defaultdict(list)
        for block in samples.labels:
            if isinstance(samples.batch, RowBatch):
                self.datasets.add(block.name)
            if len(block.missing):
                self._missing(block.name).add(samples.batch.positions[block.missing])
            if len(block.rows) and block.values.size and block.values.dtype.kind in "biuf":
                blocks[block.name, block.values.size // len(block.rows)].append(block)
        for (name, width), same in blocks.items():
            rows, values = (same[0].rows, same[0].values) if len(same) == 1 else _joined(same)
            self._column(name, width, values.shape[1:]).add(samples.batch.positions[rows], values)
        for boxes in samples.boxes:
            self.boxes += len(boxes.labels)
            self.box_counts.add(boxes.labels)
        self.texts += sum(len(block.rows) for block in samples.texts)
        self.faulted = self.faulted or bool(samples.faults_of("label-missing"))

    def _missing(self, name: str) -> PositionLog:
        return self.missing.setdefault(name, PositionLog(self._options.most_logged))

    def _column(self, name: str, width: int, shape: tuple[int, ...]) -> LabelColumn:
        column = self._columns.get((name, width))
        if column is None:
            dataset = name if name in self.datasets else None
            column = self._columns[name, width] = (
                ScalarColumn(name, dataset, self._options)
                if width == 1
                else RowColumn(name, dataset, shape, self._options)
            )
        return column

    def merge(self, later: LabelSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        self.datasets |= later.datasets
        self.faulted = self.faulted or later.faulted
        self.boxes += later.boxes
        self.texts += later.texts
        self.box_counts.merge(later.box_counts)
        for name, log in later.missing.items():
            self._missing(name).merge(log, offset)
        for (name, width), column in later._columns.items():
            self._column(name, width, column.shape).merge(column, offset)
        self._spill()

    def spill_to(self, workspace: Workspace) -> None:
        """See `SummaryPart.spill_to`."""
        self._workspace = workspace

    def _spill(self) -> None:
        """Move the labels in store order to disk, when those of all columns together pass their share."""
        sequences = [column.sequence for column in self._columns.values()]
        if self._workspace and sum(one.nbytes for one in sequences) > self._workspace.limit_bytes // LABEL_SHARE:
            for sequence in sequences:
                sequence.spill(self._workspace)

    # ---- asking ----

    @property
    def columns(self) -> Sequence[LabelColumn]:
        """The columns in the order they were met. A name stands twice if its rows differ in width."""
        return tuple(self._columns.values())

    @property
    def class_columns(self) -> Iterator[LabelColumn]:
        """The columns in which each record has a class."""
        return (column for column in self.columns if column.has_classes)

    @property
    def first_class_column(self) -> LabelColumn | None:
        """The column that the statistics and duplicates with different labels are about."""
        return next(self.class_columns, None)

    def records_of(self, name: str) -> int:
        """How many samples have a label in a column."""
        return sum(column.records for column in self.columns if column.name == name)

    # ---- statistics ----

    def statistics(self) -> dict[str, Any]:
        """See `SummaryPart.statistics`."""
        statistics: dict[str, Any] = {}
        column = self.first_class_column
        if column is not None:
            statistics["labels"] = _histogram(column.counts)
            distinct = len(column.counts.items()[0])
            if distinct > LISTED:
                statistics["labels_distinct"] = distinct
        if len(self.columns) > 1 or any(not column.has_classes or column.width > 1 for column in self.columns):
            statistics["label_columns"] = {_title(self.columns, column): _describe(column) for column in self.columns}
        if self.boxes:
            statistics["boxes"] = self.boxes
            statistics["box_labels"] = _histogram(self.box_counts)
        return statistics


def _joined(blocks: list[LabelBlock]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Blocks of one column as if they were one, rows ascending."""
    rows = np.concatenate([block.rows for block in blocks])
    order = np.argsort(rows, kind="stable")
    shape = blocks[0].values.shape[1:]
    values = np.concatenate([block.values.reshape(len(block.rows), *shape) for block in blocks])
    return rows[order], values[order]


def _histogram(counts: LabelCounts) -> dict[str, int]:
    labels, sizes = counts.items()
    return {str(label): size for label, size in zip(labels[:LISTED].tolist(), sizes[:LISTED].tolist(), strict=True)}


def _title(columns: Sequence[LabelColumn], column: LabelColumn) -> str:
    same = sum(other.name == column.name for other in columns)
    return column.name if same == 1 else f"{column.name} ({column.width})"


def _describe(column: LabelColumn) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": column.kind, "records": column.records, "width": column.width}
    if np.isfinite(column.minimum):
        described["min"], described["max"] = column.minimum, column.maximum
    return described
