"""Which pictures look alike: sorted once for each band of their bits, neighbours compared, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..spill import Sorter, Workspace
from ..spill.sorter import sorted_order
from .contents import SECOND, grouped
from .looks import BAND_BITS, BANDS, distances, rotated
from .near import NearSummary

MOST_BITS = 10
"""So many of the 128 bits may differ. Up to 7, at least one of the 8 bands is the same; beyond, almost always."""

NEIGHBOURS = 64
"""A picture is compared with so many that stand before it in each of the orders, at most."""

PIECE = 1 << 14
"""Rows that are compared with their neighbours at a time."""

Rows = NDArray[np.uint64]
_MARK = np.uint64(SECOND)


@dataclass(frozen=True, slots=True)
class Near:
    """A record whose picture looks like that of ``first``, and how many bits differ."""

    position: int
    first: int
    distance: int


@dataclass(slots=True)
class NearPairs:
    """The first ``cap`` near copies in store order of ``count``.

    ``crowded`` is whether more pictures share a band than are compared with each other.
    """

    cap: int
    count: int = 0
    crowded: bool = False
    pairs: list[Near] = field(default_factory=list)

    def add(self, rows: Rows) -> None:
        """Near copies that follow: position, distance, position of the first."""
        self.count += len(rows)
        for position, distance, first in rows[: self.cap - len(self.pairs)].tolist():
            self.pairs.append(Near(position, first, distance))


def find_near(near: NearSummary, workspace: Workspace, cap: int, across: bool = False) -> NearPairs:
    """Pictures that look like an earlier one; ``across`` two sets, those of the second that look like one of the first.

    Each is told once, with the one that looks most like it (the earliest of these). Exact copies are neither told nor
    looked for: they look like what their original looks like.

    Raises
    ------
    SpillError
        There was no room.
    """
    found = NearPairs(cap)
    sorter = near.sorted()
    closest = Sorter(3, workspace)
    for band in range(BANDS):
        order = Sorter(3, workspace)
        for rows in _originals(sorter, across):
            order.add(np.column_stack([rotated(rows[:, 2:], band), rows[:, 1]]))
        for pairs, crowded in _neighbours(order, across):
            closest.add(pairs)
            found.crowded |= crowded
    for rows, _, begins in _groups(closest):
        found.add(rows[begins])
    return found


def _originals(sorter: Sorter, across: bool) -> Iterator[Rows]:
    """The first record of each content; its copies in the second of two sets as well, where the first set lacks it."""
    for rows, group, kept in _groups(sorter):
        if across:
            kept |= (group != np.arange(len(rows))) & (rows[group, 1] >= _MARK)
        yield rows[kept]


def _groups(sorter: Sorter) -> Iterator[tuple[Rows, NDArray[np.intp], NDArray[np.bool_]]]:
    """What `grouped` gives by the first column, and which rows are the first of their group."""
    for number, (rows, group) in enumerate(grouped(sorter, 1)):
        begins = group == np.arange(len(rows))
        begins[0] &= number == 0
        yield rows, group, begins


def _neighbours(order: Sorter, across: bool) -> Iterator[tuple[Rows, bool]]:
    """Pairs that look alike: position, distance, position of the first; whether some rows had too many neighbours.

    Rows are the rotated bits and the position, so that those that share a band stand together, and within them those
    that share the next bands.
    """
    before = np.empty((0, 3), np.uint64)
    for block in order.blocks():
        for start in range(0, len(block), PIECE):
            rows = np.concatenate([before, block[start : start + PIECE]])
            yield _compared(rows, len(before), across)
            before = rows[-NEIGHBOURS - 1 :]


def _compared(rows: Rows, start: int, across: bool) -> tuple[Rows, bool]:
    """Pairs of rows from ``start`` on with those before them; of each record only the best."""
    band = rows[:, 0] >> np.uint64(64 - BAND_BITS)
    later = np.arange(start, len(rows))
    pairs = [np.empty((0, 3), np.uint64)]
    for back in range(1, NEIGHBOURS + 1):
        later = later[later >= back]
        later = later[band[later] == band[later - back]]
        if not len(later):
            break
        one, other = rows[later], rows[later - back]
        apart = distances(one[:, :2], other[:, :2])
        alike = apart <= MOST_BITS
        places = np.sort(np.stack([one[alike, 2], other[alike, 2]], axis=1), axis=1)
        told = np.stack([places[:, 1], apart[alike].astype(np.uint64), places[:, 0]], axis=1)
        if across:
            told = told[(told[:, 0] >= _MARK) & (told[:, 2] < _MARK)]
            told[:, 0] -= _MARK
        pairs.append(told)
    further = later[later > NEIGHBOURS]
    crowded = bool((band[further] == band[further - NEIGHBOURS - 1]).any())
    table = np.concatenate(pairs)
    table = table[sorted_order(table)]
    best = np.ones(len(table), np.bool_)
    best[1:] = table[1:, 0] != table[:-1, 0]
    return table[best], crowded
