"""Runs: many numbers and their positions, kept as the stretches in which both go up evenly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

NUMBER, POSITION, LENGTH, STRIDE = range(4)
"""Columns of `Runs.table`: a run's first number and position, how many numbers, and positions from one to the next."""


class Runs:
    """Numbers in store order, each with its position: ``(runs, 4)`` int64, however many numbers there are.

    Records numbered without holes make one run; each hole begins a new one.
    """

    def __init__(self) -> None:
        self.table: Ints = np.empty((0, 4), np.int64)

    def __len__(self) -> int:
        """How many numbers there are, repetitions included."""
        return int(self.table[:, LENGTH].sum())

    def add(self, numbers: Ints, positions: Ints) -> None:
        """Append numbers that follow in store order."""
        if len(numbers) == 0:
            return
        steps, strides = np.diff(numbers), np.diff(positions)
        cuts = steps != 1
        cuts[1:] |= (strides[1:] != strides[:-1]) & ~cuts[:-1]
        starts = np.r_[0, np.flatnonzero(cuts) + 1]
        lengths = np.diff(np.r_[starts, len(numbers)])
        inner = np.r_[strides, 1][np.minimum(starts, max(len(strides) - 1, 0))]
        self._append(np.stack([numbers[starts], positions[starts], lengths, np.where(lengths > 1, inner, 0)], axis=1))

    def merge(self, later: Runs, offset: int) -> None:
        """Append the runs of what follows in store order; their positions move by ``offset``."""
        if len(later.table):
            moved = later.table.copy()
            moved[:, POSITION] += offset
            self._append(moved)

    def _append(self, table: Ints) -> None:
        if len(self.table):
            joined = _joined(self.table[-1], table[0])
            if joined is not None:
                self.table[-1] = joined
                table = table[1:]
        self.table = np.concatenate([self.table, table]) if len(self.table) else table

    def sorted_numbers(self) -> Ints:
        """Disjoint intervals ``(n, 2)`` of the numbers that occur: first and one past the last, ascending."""
        starts = self.table[:, NUMBER]
        order = np.argsort(starts, kind="stable")
        starts = starts[order]
        stops = np.maximum.accumulate(starts + self.table[order, LENGTH]) if len(starts) else starts
        first = np.r_[True, starts[1:] > stops[:-1]] if len(starts) else np.zeros(0, bool)
        last = np.r_[first[1:], True] if len(starts) else first
        return np.stack([starts[first], stops[last]], axis=1)

    def __contains__(self, number: int) -> bool:
        starts = self.table[:, NUMBER]
        return bool(((starts <= number) & (number < starts + self.table[:, LENGTH])).any())

    def positions_of(self, numbers: Ints) -> Ints:
        """Positions of numbers that all occur (of one of the records, where a number is repeated)."""
        table = self.table[np.argsort(self.table[:, NUMBER], kind="stable")]
        runs = table[np.searchsorted(table[:, NUMBER], numbers, side="right") - 1]
        # a shorter run may begin inside a longer one: then the longer one is asked
        beyond = numbers >= runs[:, NUMBER] + runs[:, LENGTH]
        for row in np.flatnonzero(beyond).tolist():
            inside = (table[:, NUMBER] <= numbers[row]) & (numbers[row] < table[:, NUMBER] + table[:, LENGTH])
            runs[row] = table[int(np.argmax(inside))]
        positions: Ints = runs[:, POSITION] + (numbers - runs[:, NUMBER]) * runs[:, STRIDE]
        return positions


def _joined(run: Ints, following: Ints) -> list[int] | None:
    """Two runs as one, ``None`` where they don't go on evenly."""
    number, position, length, stride = run.tolist()
    next_number, next_position, next_length, next_stride = following.tolist()
    step = next_position - (position + (length - 1) * stride)
    if next_number != number + length or (length > 1 and stride != step) or (next_length > 1 and next_stride != step):
        return None
    return [number, position, length + next_length, step]


def union(intervals: list[Ints]) -> Ints:
    """Disjoint ascending intervals that hold every number of any of the given ones."""
    table = np.concatenate(intervals) if intervals else np.empty((0, 2), np.int64)
    runs = Runs()
    runs.table = np.stack([table[:, 0], table[:, 0], table[:, 1] - table[:, 0], np.ones(len(table), np.int64)], axis=1)
    return runs.sorted_numbers()


def difference(numbers: Ints, without: Ints) -> Ints:
    """Intervals of ``numbers`` with those of ``without`` taken out; both disjoint and ascending."""
    edges = np.unique(np.concatenate([numbers.ravel(), without.ravel()]))
    if len(edges) < 2:
        return np.empty((0, 2), np.int64)
    starts, stops = edges[:-1], edges[1:]
    kept = _covers(numbers, starts) & ~_covers(without, starts)
    return np.stack([starts[kept], stops[kept]], axis=1)


def _covers(intervals: Ints, points: Ints) -> NDArray[np.bool_]:
    if len(intervals) == 0:
        return np.zeros(len(points), bool)
    place = np.searchsorted(intervals[:, 0], points, side="right") - 1
    inside: NDArray[np.bool_] = (place >= 0) & (points < intervals[np.maximum(place, 0), 1])
    return inside
