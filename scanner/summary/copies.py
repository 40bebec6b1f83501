"""Copies: records whose contents stood in the store before, and whether their labels agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..spill import Sorter, Workspace
from .contents import ContentSummary
from .label_sequence import NO_LABEL, LabelSequence


@dataclass(frozen=True, slots=True)
class Copy:
    """A record whose contents ``first`` had before it, and the labels of both, ``None`` where there is none."""

    position: int
    first: int
    label: int | None
    first_label: int | None


@dataclass(slots=True)
class CopyLog:
    """The first ``cap`` copies in store order, ``kept`` of ``count``."""

    cap: int
    count: int = 0
    kept: int = 0
    tables: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, rows: NDArray[np.int64]) -> None:
        """Copies that follow: position, first position, label, first label."""
        self.count += len(rows)
        if self.kept < self.cap and len(rows):
            self.tables.append(rows[: self.cap - self.kept])
            self.kept += len(self.tables[-1])

    def __iter__(self) -> Iterator[Copy]:
        for table in self.tables:
            for position, first, label, other in table.tolist():
                yield Copy(position, first, _label(label), _label(other))


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies with the label of the first record (or without one), and those with another."""

    same: CopyLog
    conflicting: CopyLog


def find_copies(contents: ContentSummary, labels: LabelSequence | None, workspace: Workspace, cap: int) -> Copies:
    """The copies within a set. Raises `SpillError` where there is no room."""
    return tell_apart(contents.pairs(), labels, labels, workspace, cap)


def tell_apart(
    pairs: Iterable[NDArray[np.uint64]],
    first_labels: LabelSequence | None,
    labels: LabelSequence | None,
    workspace: Workspace,
    cap: int,
) -> Copies:
    """Tell pairs (a first record, a later one) apart by their labels: sorted by the first records, then by the later.

    Raises
    ------
    SpillError
        There was no room.
    """
    by_first, by_position = Sorter(2, workspace), Sorter(3, workspace)
    for some in pairs:
        by_first.add(some)
    for rows in by_first.blocks():
        by_position.add(np.column_stack([rows[:, ::-1], _labels_at(first_labels, rows[:, 0]).view(np.uint64)]))
    found = Copies(CopyLog(cap), CopyLog(cap))
    for rows in by_position.blocks():
        position, first, first_label = rows.T.view(np.int64)
        label = _labels_at(labels, rows[:, 0])
        table = np.stack([position, first, label, first_label], axis=1)
        differ = (label != first_label) & (label != NO_LABEL) & (first_label != NO_LABEL)
        found.same.add(table[~differ])
        found.conflicting.add(table[differ])
    return found


def _labels_at(labels: LabelSequence | None, positions: NDArray[np.uint64]) -> NDArray[np.int64]:
    if labels is None:
        return np.full(len(positions), NO_LABEL, np.int64)
    return labels.at(positions.astype(np.int64))


def _label(label: int) -> int | None:
    return None if label == NO_LABEL else label
