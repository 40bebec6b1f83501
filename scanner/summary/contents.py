"""Content hashes: which records hold the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from ..options import Options
from ..sample import SampleBatch

Hashes = NDArray[np.uint64]
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
    """A 128-bit hash (xxh3) of each record's contents: 16 bytes a record, in arrays.

    Empty contents are left out: they are a fault of their own.
    """

    def __init__(self, options: Options) -> None:
        self.chunks: list[Chunk] = []

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
            digest = xxhash.xxh3_128_digest
            hashes = np.frombuffer(b"".join([digest(content) for content in contents]), np.uint64).reshape(-1, 2)
            self.chunks.append(Chunk.of(hashes, samples.batch.positions[rows]))

    def merge(self, later: ContentSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        self.chunks += [chunk.shifted(offset) for chunk in later.chunks]

    def statistics(self) -> dict[str, Any]:
        """Nothing: equal contents are findings."""
        return {}

    def groups(self) -> Iterator[Positions]:
        """Positions of records with equal contents: two or more each, ascending, groups by their first position.

        Needs room for 8 more bytes a record while it looks for the hashes that occur twice.
        """
        if not self.chunks:
            return
        low = np.concatenate([chunk.hashes[:, 0] for chunk in self.chunks])
        low.sort()
        repeated = np.unique(low[1:][low[1:] == low[:-1]])
        del low
        if len(repeated) == 0:
            return
        picks = [_is_in(chunk.hashes[:, 0], repeated) for chunk in self.chunks]
        hashes = np.concatenate([chunk.hashes[pick] for chunk, pick in zip(self.chunks, picks, strict=True)])
        positions = np.concatenate([chunk.positions_of(pick) for chunk, pick in zip(self.chunks, picks, strict=True)])
        yield from _grouped(hashes, positions)


def _is_in(values: NDArray[np.uint64], chosen: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which values are among the chosen ones, which are sorted."""
    places = np.minimum(np.searchsorted(chosen, values), len(chosen) - 1)
    found: NDArray[np.bool_] = chosen[places] == values
    return found


def _grouped(hashes: Hashes, positions: Positions) -> Iterator[Positions]:
    order = np.lexsort((positions, hashes[:, 1], hashes[:, 0]))
    hashes, positions = hashes[order], positions[order]
    starts = np.flatnonzero(np.r_[True, (hashes[1:] != hashes[:-1]).any(axis=1)])
    stops = np.r_[starts[1:], len(positions)]
    several = stops - starts > 1
    starts, stops = starts[several], stops[several]
    for group in np.argsort(positions[starts], kind="stable").tolist():
        yield positions[starts[group] : stops[group]]
