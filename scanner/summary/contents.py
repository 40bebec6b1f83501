"""Content hashes: which records hold the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..options import Options
from ..sample import SampleBatch
from .hashes import Hashes, content_hashes

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Hashes ``(n, 2)`` of some records; ``positions`` is ``None`` where they follow one another from ``first``."""

    hashes: Hashes
    first: int
    positions: Positions | None

    @classmethod
    def of(cls, hashes: Hashes, positions: Positions) -> Chunk:
        """A chunk that keeps its positions only if they have holes."""
        first = int(positions[0])
        gapless = int(positions[-1]) - first == len(positions) - 1
        return cls(hashes, first, None if gapless else positions.copy())

    def shifted(self, offset: int) -> Chunk:
        """The chunk with its positions moved."""
        return Chunk(self.hashes, self.first + offset, None if self.positions is None else self.positions + offset)

    def positions_of(self, rows: NDArray[np.bool_]) -> Positions:
        """Positions of the rows picked by a mask."""
        return np.flatnonzero(rows) + self.first if self.positions is None else self.positions[rows]


class ContentSummary:
    """A 128-bit hash of each record's contents: 16 bytes a record, in arrays.

    Empty contents are left out: they are a fault of their own.
    """

    def __init__(self, options: Options) -> None:
        self.chunks: list[Chunk] = []
        self._copies: tuple[Positions, Positions] | None = None

    def __len__(self) -> int:
        return sum(len(chunk.hashes) for chunk in self.chunks)

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        contents, rows = samples.contents, samples.content_rows
        if contents is None or rows is None or len(contents) == 0:
            return
        filled = contents.lengths > 0
        if not filled.all():
            contents, rows = contents.take(filled), rows[filled]
        if len(contents):
            self.chunks.append(Chunk.of(content_hashes(contents), samples.batch.positions[rows]))
            self._copies = None

    def merge(self, later: ContentSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        self.chunks += [chunk.shifted(offset) for chunk in later.chunks]
        self._copies = None

    def statistics(self) -> dict[str, Any]:
        """Nothing: equal contents are findings."""
        return {}

    def copies(self) -> tuple[Positions, Positions]:
        """Records whose contents stood in the store before, ascending, and for each the first one with them.

        Needs room for 8 more bytes a record while it looks for the hashes that occur twice.
        """
        if self._copies is None:
            self._copies = self._find_copies()
        return self._copies

    def _find_copies(self) -> tuple[Positions, Positions]:
        none = np.empty(0, np.int64)
        if not self.chunks:
            return none, none
        low = np.concatenate([chunk.hashes[:, 0] for chunk in self.chunks])
        low.sort()
        repeated = np.unique(low[1:][low[1:] == low[:-1]])
        del low
        if len(repeated) == 0:
            return none, none
        picks = [_is_in(chunk.hashes[:, 0], repeated) for chunk in self.chunks]
        hashes = np.concatenate([chunk.hashes[pick] for chunk, pick in zip(self.chunks, picks, strict=True)])
        positions = np.concatenate([chunk.positions_of(pick) for chunk, pick in zip(self.chunks, picks, strict=True)])
        return _later_and_first(hashes, positions)


def _is_in(values: NDArray[np.uint64], chosen: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values are among the chosen ones, which are sorted."""
    places = np.minimum(np.searchsorted(chosen, values), len(chosen) - 1)
    found: NDArray[np.bool_] = chosen[places] == values
    return found


def _later_and_first(hashes: Hashes, positions: Positions) -> tuple[Positions, Positions]:
    """Positions whose hash stood at an earlier one, ascending, and the earliest for each."""
    order = np.lexsort((positions, hashes[:, 1], hashes[:, 0]))
    hashes, positions = hashes[order], positions[order]
    starts = np.r_[True, (hashes[1:] != hashes[:-1]).any(axis=1)]
    first = positions[np.maximum.accumulate(np.where(starts, np.arange(len(positions)), 0))]
    later, first = positions[~starts], first[~starts]
    order = np.argsort(later)
    return later[order], first[order]
