"""Which hashes occur more than once: looked for among their first halves, for in most sets there are next to none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...backends.distinct import distinct
from ..spill import Log, Sorter, Workspace
from .hashes import Hashes

Positions = NDArray[np.int64]
Halves = NDArray[np.uint64]

FEW = 16
"""Up to one in so many halves may occur again for those records to be picked out; with more, all are sorted."""

WORTHWHILE = 1 << 12
"""Records that a chunk should have to be kept as it came: small ones are joined to their neighbours."""

_FILTER_BITS = 20
"""Leading bits of a half by which nearly all others are passed over."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Hashes ``(n, 2)`` of some records; ``positions`` is ``None`` where they follow one another from ``first``."""

    hashes: Hashes
    first: int
    positions: Positions | None
    keys: NDArray[np.uint64] | None = None

    @classmethod
    def of(cls, hashes: Hashes, positions: Positions, keys: NDArray[np.uint64] | None = None) -> Chunk:
        """A chunk that keeps its positions only if they have holes."""
        first = int(positions[0])
        gapless = int(positions[-1]) - first == len(positions) - 1
        return cls(hashes, first, None if gapless else positions.copy(), keys)

    def shifted(self, offset: int) -> Chunk:
        """The chunk with its positions moved."""
        positions = None if self.positions is None else self.positions + offset
        return Chunk(self.hashes, self.first + offset, positions, self.keys)

    def places(self) -> Positions:
        """The position of each record."""
        return np.arange(self.first, self.first + len(self.hashes)) if self.positions is None else self.positions


class Repeats:
    """Hashes of records, of which those that may occur again are given back: 24 bytes a record, up to a limit.

    The hashes are kept as they come, and their first halves are sorted beside them: numbers of one column are sorted
    several times faster than rows are. A set without copies has no half twice, and needs nothing else.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.count = 0
        self._halves = Sorter(1, workspace, workspace.limit_bytes // 3)
        self._log = Log(workspace, workspace.limit_bytes * 2 // 3)
        self._firsts: list[int | None] = []

    def __len__(self) -> int:
        return self.count

    def add(self, chunks: list[Chunk], mark: int) -> None:
        """Take in neighbours; ``mark`` is set in their positions."""
        count = sum(len(chunk.hashes) for chunk in chunks)
        for chunk in chunks if count >= len(chunks) * WORTHWHILE else [_joined(chunks)]:
            self._halves.add(chunk.hashes[:, :1])
            self._log.append(chunk.hashes)
            if chunk.positions is None:
                self._firsts.append(chunk.first | mark)
            else:
                self._firsts.append(None)
                self._log.append(chunk.positions.astype(np.uint64) | np.uint64(mark))
        self.count += count

    def rows(self) -> Sorter:
        """Hash and position ``(n, 3)`` of every record whose hash another one has, and perhaps of some more.

        Raises
        ------
        SpillError
            There was no room for the hashes.
        """
        repeated = self._repeated()
        sorter = Sorter(3, self.workspace)
        if repeated is None or len(repeated):
            pick = None if repeated is None else _Picker(repeated)
            for hashes, positions in self._kept():
                picked = slice(None) if pick is None else pick.among(hashes[:, 0])
                sorter.add(np.column_stack([hashes[picked], positions[picked]]))
        return sorter

    def _kept(self) -> Iterator[tuple[Hashes, NDArray[np.uint64]]]:
        arrays = iter(self._log)
        for first, hashes in zip(self._firsts, arrays, strict=False):
            yield hashes, next(arrays) if first is None else np.arange(len(hashes), dtype=np.uint64) + np.uint64(first)

    def _repeated(self) -> Halves | None:
        """The first halves that occur again, ascending; ``None`` if they are not few."""
        most = min(self.count // FEW, self.workspace.limit_bytes // 16)
        found = [np.empty(0, np.uint64)]
        last = found[0]
        for rows in self._halves.blocks():
            halves = np.concatenate([last, rows[:, 0]])
            again = halves[1:][halves[1:] == halves[:-1]]
            if len(again):
                found.append(distinct(again))
                most -= len(found[-1])
                if most < 0:
                    return None
            last = halves[-1:]
        return np.concatenate(found)


def _joined(chunks: list[Chunk]) -> Chunk:
    hashes = np.concatenate([chunk.hashes for chunk in chunks])
    return Chunk.of(hashes, np.concatenate([chunk.places() for chunk in chunks]))


class _Picker:
    """Finds some halves among many."""

    def __init__(self, wanted: Halves) -> None:
        self.wanted = wanted
        self._shift = np.uint64(64 - _FILTER_BITS)
        self._filter = np.zeros(1 << _FILTER_BITS, np.bool_)
        self._filter[wanted >> self._shift] = True

    def among(self, halves: Halves) -> NDArray[np.intp]:
        """Where they are."""
        places = np.flatnonzero(self._filter[halves >> self._shift])
        at = np.minimum(np.searchsorted(self.wanted, halves[places]), len(self.wanted) - 1)
        found: NDArray[np.intp] = places[self.wanted[at] == halves[places]]
        return found
