"""Content hashes: which records hold the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch
from ..options import Options
from ..sample import SampleBatch
from ..spill import Sorter, Workspace
from .distinct import DistinctSketch
from .hashes import content_hashes, hasher_of
from .repeats import Chunk, Repeats

SECOND = 1 << 63
"""Marks the position of a record of the second of two sets that are compared."""


class ContentSummary:
    """A 128-bit hash of each record's contents: 16 bytes a record in a partial report, 24 in that of the whole.

    Empty contents are left out: they are a fault of their own.
    """

    def __init__(self, options: Options) -> None:
        self.chunks: list[Chunk] = []
        self.keyed = options.keyed
        self.sketch = DistinctSketch() if options.duplicates == "approximate" else None
        self.side = 0
        self.repeats: Repeats | None = None
        self.keys: Sorter | None = None

    def __len__(self) -> int:
        return sum(len(chunk.hashes) for chunk in self.chunks) + (0 if self.repeats is None else len(self.repeats))

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        contents, rows, hasher = samples.contents, samples.content_rows, hasher_of(samples)
        if contents is None or rows is None or hasher is None or len(contents) == 0:
            return
        hashes = hasher.all()
        filled = contents.lengths > 0
        if not filled.all():
            hashes, rows = hashes[filled], rows[filled]
        if len(hashes) and self.sketch is not None:
            self.sketch.add(hashes[:, 0])
        elif len(hashes):
            batch, keys = samples.batch, None
            if self.keyed and isinstance(batch, RecordBatch):
                keys = content_hashes(batch.keys.take(rows))[:, 0].copy()
            self.chunks.append(Chunk.of(hashes, batch.positions[rows], keys))

    def merge(self, later: ContentSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        if self.sketch is not None and later.sketch is not None:
            self.sketch.merge(later.sketch)
        self.chunks += [chunk.shifted(offset) for chunk in later.chunks]
        if self.repeats is not None:
            self._give_to(self.repeats)

    def spill_to(self, workspace: Workspace) -> None:
        """See `SummaryPart.spill_to`."""
        self.repeats = Repeats(workspace)
        self.keys = Sorter(3, workspace) if self.keyed else None

    def join(self, first: ContentSummary) -> None:
        """Let what this one is given be looked for among the records of another set, marked as of the second."""
        self.repeats, self.keys, self.side = first.repeats, first.keys, SECOND

    def _give_to(self, repeats: Repeats) -> None:
        if not self.chunks:
            return
        repeats.add(self.chunks, self.side)
        for chunk in self.chunks:
            if self.keys is not None and chunk.keys is not None:
                positions = chunk.places().astype(np.uint64) | np.uint64(self.side)
                self.keys.add(np.stack([chunk.keys, positions, chunk.hashes[:, 0]], axis=1))
        self.chunks.clear()

    def statistics(self) -> dict[str, Any]:
        """About how many contents are different, where that was asked for; else equal contents are findings."""
        if self.sketch is None:
            return {}
        sketch = self.sketch
        found = {"records": sketch.records, "distinct": sketch.distinct, "exact": sketch.exact}
        return {"contents": found | {"copies": sketch.records - sketch.distinct}}

    def pairs(self) -> Iterator[NDArray[np.uint64]]:
        """Records whose contents stood in the store before, in no order: ``(n, 2)``, the first one with them before it.

        Raises
        ------
        SpillError
            There was no room for the hashes.
        """
        if self.repeats is None:
            self.repeats = Repeats(Workspace())
        self._give_to(self.repeats)
        for rows, group in grouped(self.repeats.rows(), 2):
            later = group != np.arange(len(rows))
            if later.any():
                positions = rows[:, 2]
                yield np.stack([positions[group[later]], positions[later]], axis=1)


def grouped(sorter: Sorter, columns: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.intp]]]:
    """Sorted rows in blocks, and for each row the first of the block with the same leading columns.

    Where such rows go on in the next block, the first of them stands at its beginning once more.
    """
    last: NDArray[np.uint64] | None = None
    for rows in sorter.blocks():
        if last is not None:
            rows = np.concatenate([last[None], rows])
        begins = np.ones(len(rows), np.bool_)
        begins[1:] = False
        for column in range(columns):
            begins[1:] |= rows[1:, column] != rows[:-1, column]
        group = np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
        last = rows[group[-1]]
        yield rows, group
