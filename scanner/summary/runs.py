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

    def cut_off(self) -> Ints:
        """Give away all runs but the last, which may go on."""
        given, self.table = self.table[:-1], self.table[-1:].copy()
        return given


def _joined(run: Ints, following: Ints) -> list[int] | None:
    """Two runs as one, ``None`` where they don't go on evenly."""
    number, position, length, stride = run.tolist()
    next_number, next_position, next_length, next_stride = following.tolist()
    step = next_position - (position + (length - 1) * stride)
    if next_number != number + length or (length > 1 and stride != step) or (next_length > 1 and next_stride != step):
        return None
    return [number, position, length + next_length, step]
