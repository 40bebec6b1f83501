"""How often each label value occurs, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DENSE = 1 << 20
"""Labels from 0 up to here are counted in an array."""

STRAY = 4096
"""Most distinct labels outside of that range; a column with more of them does not hold classes."""


class LabelCounts:
    """Exact counts of integer labels.

    ``overflowed`` means that more than `STRAY` distinct values lie outside ``0 <= label < DENSE``; nothing is
    counted then. It depends on the values alone, not on how they were cut into batches and partitions.
    """

    def __init__(self) -> None:
        self.overflowed = False
        self._dense: NDArray[np.int64] = np.zeros(0, np.int64)
        self._stray: dict[int, int] = {}

    def add(self, labels: NDArray[np.int64]) -> None:
        """Count some labels."""
        if self.overflowed or len(labels) == 0:
            return
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= DENSE:
            inside = (labels >= 0) & (labels < DENSE)
            self._add_stray(*np.unique(labels[~inside], return_counts=True))
            labels = labels[inside]
            if self.overflowed or len(labels) == 0:
                return
            high = int(labels.max())
        if high <= 4 * len(labels) + 1024:
            self._add_dense(np.bincount(labels))
        else:  # few records of many classes: an array up to the highest label would cost more than sorting
            values, counts = np.unique(labels, return_counts=True)
            self._grow(high + 1)
            self._dense[values] += counts

    def _add_dense(self, counts: NDArray[np.int64]) -> None:
        self._grow(len(counts))
        self._dense[: len(counts)] += counts

    def _add_stray(self, values: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        if len(values) <= STRAY:
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                self._stray[value] = self._stray.get(value, 0) + count
        if max(len(values), len(self._stray)) > STRAY:
            self._drop()

    def _drop(self) -> None:
        self.overflowed = True
        self._dense, self._stray = np.zeros(0, np.int64), {}

    def _grow(self, size: int) -> None:
        if size > len(self._dense):  # to powers of two, so that labels in ascending order don't copy it each time
            larger = np.zeros(1 << (size - 1).bit_length(), np.int64)
            larger[: len(self._dense)] = self._dense
            self._dense = larger

    def merge(self, later: LabelCounts) -> None:
        """Take in the counts of other records."""
        if self.overflowed or later.overflowed:
            self._drop()
            return
        self._add_dense(later._dense)
        strays = sorted(later._stray.items())
        self._add_stray(np.array([v for v, _ in strays], np.int64), np.array([n for _, n in strays], np.int64))

    def items(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The distinct labels in ascending order, and how often each occurs."""
        strays = np.array(sorted(self._stray), np.int64)
        stray_counts = np.array([self._stray[value] for value in strays.tolist()], np.int64)
        below = int(np.searchsorted(strays, 0))
        present = np.flatnonzero(self._dense)
        return (
            np.concatenate([strays[:below], present, strays[below:]]),
            np.concatenate([stray_counts[:below], self._dense[present], stray_counts[below:]]),
        )
