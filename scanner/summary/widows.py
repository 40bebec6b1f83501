"""What does not fit among numbers that several kinds of record share: holes, and numbers that a kind lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from .keys import Gap
from .runs import Ints
from .segments import Segments

_POSITION, _RANK, _NUMBER, _LENGTH, _STRIDE, _PRESENT, _MISSING = range(7)
"""Columns of a stretch of widows: first position, order of the missing kind, first number, how many numbers, positions
from one to the next, and the two kinds."""

Spot = tuple[int, int, int, int, int]
"""Position, order of the missing kind, number, present kind, missing kind."""


@dataclass(frozen=True, slots=True)
class Widow:
    """A number that one kind has and another has not. ``position`` is the record that is there."""

    number: int
    position: int
    present: str
    missing: str


class TwinFacts:
    """Gathered from segments in ascending order.

    Attributes
    ----------
    count
        How many different numbers there are.
    holes, missing, gaps
        Stretches of numbers that no kind has, the numbers in them, and the first ``cap`` of them (one at least).
    widows_count
        Numbers that some kind lacks, once for each kind that lacks it.
    """

    def __init__(self, kinds: Sequence[str], cap: int) -> None:
        self.kinds = kinds
        self.cap = cap
        self.count = self.holes = self.missing = self.widows_count = 0
        self.gaps: list[Gap] = []
        self._hole: tuple[int, int] | None = None
        self._stretches: Ints = np.empty((0, 7), np.int64)
        ranks = sorted(range(len(kinds)), key=lambda kind: kinds[kind])
        self._rank = {kind: rank for rank, kind in enumerate(ranks)}

    def add(self, segments: Segments) -> None:
        """Take in the segments that follow."""
        if len(segments) == 0:
            return
        there = np.logical_or.reduce(segments.covered, axis=1)
        lengths = segments.stops - segments.starts
        self.count += int(lengths[there].sum())
        self.holes += int(np.count_nonzero(~there))
        self.missing += int(lengths[~there].sum())
        present = segments.covered.argmax(axis=1)
        self._note_gaps(segments, there, present)
        for kind in range(len(self.kinds)):
            lacking = np.flatnonzero(there & ~segments.covered[:, kind])
            if len(lacking):
                self._note_widows(segments, lacking, present[lacking], kind)

    def _note_gaps(self, segments: Segments, there: NDArray[np.bool_], present: NDArray[np.intp]) -> None:
        """Keep the first holes, each with the record behind it, which may come with the next segments."""
        room = max(self.cap, 1) - len(self.gaps)
        if room <= 0:
            return
        if self._hole is not None and there[0]:
            self.gaps.append(Gap(int(segments.positions[0, present[0]]), *self._hole))
            self._hole = None
            room -= 1
        holes = np.flatnonzero(~there)[: room + 1]
        for row in holes.tolist():
            hole = int(segments.starts[row]), int(segments.stops[row] - segments.starts[row])
            if row + 1 == len(there):
                self._hole = hole
            elif room > 0:
                self.gaps.append(Gap(int(segments.positions[row + 1, present[row + 1]]), *hole))
                room -= 1

    def _note_widows(self, segments: Segments, rows: NDArray[np.intp], present: NDArray[np.intp], kind: int) -> None:
        lengths = segments.stops[rows] - segments.starts[rows]
        self.widows_count += int(lengths.sum())
        table = np.empty((len(rows), 7), np.int64)
        table[:, _POSITION], table[:, _STRIDE] = segments.positions[rows, present], segments.strides[rows, present]
        table[:, _NUMBER], table[:, _LENGTH] = segments.starts[rows], lengths
        table[:, _RANK], table[:, _PRESENT], table[:, _MISSING] = self._rank[kind], present, kind
        # a stretch that begins behind so many others holds none of the first widows
        table = np.concatenate([self._stretches, table])
        self._stretches = table[np.lexsort((table[:, _RANK], table[:, _POSITION]))[: self.cap]]

    def widows(self) -> Iterator[Widow]:
        """The first ``cap`` widows in store order; several of one record by the name of what is missing."""
        ways = [_spots(*stretch) for stretch in self._stretches.tolist()]
        for position, _, number, present, missing in islice(merge(*ways), self.cap):
            yield Widow(number, position, self.kinds[present], self.kinds[missing])


def _spots(
    position: int, rank: int, number: int, length: int, stride: int, present: int, missing: int
) -> Iterator[Spot]:
    return ((position + step * stride, rank, number + step, present, missing) for step in range(length))
