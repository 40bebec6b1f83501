"""Near copies: pictures that look like an earlier one although their bytes differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images.grey import LEAST_SIDE, grey_of_block
from ..options import Options
from ..sample import ArrayBlock, SampleBatch
from ..spill import Sorter, Workspace
from .contents import SECOND
from .hashes import content_hashes
from .looks import looks_of

Table = NDArray[np.uint64]
"""``(n, 4)``: 64 bits of the contents' hash, position, and the 128 bits of what the picture looks like."""

SMALL = f"smaller than {LEAST_SIDE} pixels a side"
PLAIN = "with too little detail, or mostly of one grey level (drawings, digits, pages)"
BROKEN = "not whole"
NUMBERS = "not 8-bit grey or colour"


@dataclass(frozen=True, slots=True)
class _Shown:
    """The first pictures of some records: their rows, and a small grey picture of each."""

    rows: NDArray[np.int64]
    grey: NDArray[np.float32]


class NearSummary:
    """What the picture of each record looks like, where that is asked for: 32 bytes a record.

    ``left_out`` counts the pictures that can't be judged, by why. Records without a picture are in neither.
    """

    def __init__(self, options: Options) -> None:
        self.wanted = options.near
        self.tables: list[Table] = []
        self.left_out: dict[str, int] = {}
        self.side = 0
        self.count = 0
        self.sorter: Sorter | None = None

    def __len__(self) -> int:
        return self.count

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        contents, holders = samples.contents, samples.content_rows
        if not self.wanted or contents is None or holders is None or not len(contents):
            return
        left: Counter[str] = Counter()
        for shown in _shown(samples, left):
            places = np.searchsorted(holders, shown.rows)
            held = places < len(holders)
            held[held] = holders[places[held]] == shown.rows[held]
            looks, telling = looks_of(shown.grey[held])
            left[PLAIN] += int(np.count_nonzero(~telling))
            if telling.any():
                table = np.empty((np.count_nonzero(telling), 4), np.uint64)
                table[:, 0] = content_hashes(contents.take(places[held][telling]))[:, 0]
                table[:, 1] = samples.batch.positions[shown.rows[held][telling]]
                table[:, 2:] = looks[telling]
                self.tables.append(table)
                self.count += len(table)
        self._leave_out(left)

    def _leave_out(self, counts: dict[str, int]) -> None:
        for why, count in counts.items():
            if count:
                self.left_out[why] = self.left_out.get(why, 0) + count

    def merge(self, later: NearSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        for table in later.tables:
            moved = table.copy()
            moved[:, 1] += np.uint64(offset)
            self.tables.append(moved)
        self.count += later.count
        self._leave_out(later.left_out)
        if self.sorter is not None:
            self._sort_into(self.sorter)

    def spill_to(self, workspace: Workspace) -> None:
        """See `ContentSummary.spill_to`."""
        self.sorter = Sorter(4, workspace) if self.wanted else None

    def join(self, first: NearSummary) -> None:
        """See `ContentSummary.join`."""
        self.sorter, self.side = first.sorter, SECOND

    def _sort_into(self, sorter: Sorter) -> None:
        for table in self.tables:
            rows = table.copy()
            rows[:, 1] |= np.uint64(self.side)
            sorter.add(rows)
        self.tables.clear()

    def sorted(self) -> Sorter:
        """All that was remembered, of both sets where two were joined."""
        if self.sorter is None:
            self.sorter = Sorter(4, Workspace())
        self._sort_into(self.sorter)
        return self.sorter

    def statistics(self) -> dict[str, Any]:
        """Nothing: pictures that look alike are findings."""
        return {}


def _shown(samples: SampleBatch, left: Counter[str]) -> Iterator[_Shown]:
    """The first picture of each record that has any: encoded ones, then arrays of pixels."""
    firsts = {image.row: image.facts for image in reversed(samples.images)}
    rows = [row for row, facts in sorted(firsts.items()) if facts.grey is not None]
    for facts in firsts.values():
        if facts.grey is None and facts.format is not None:
            sides = (facts.width, facts.height)
            small = facts.sums is not None and None not in sides and min(side or 0 for side in sides) < LEAST_SIDE
            left[SMALL if small else BROKEN] += 1
    if rows:
        pictures = [grey for row in rows if (grey := firsts[row].grey) is not None]
        yield _Shown(np.array(rows, np.int64), np.stack(pictures))
    taken = np.fromiter(firsts, np.int64, len(firsts))
    for block in samples.arrays:
        if block.axes not in ("CHW", "HWC", "HW") or (own := ~np.isin(block.rows, taken)).sum() == 0:
            continue
        why = _unfit(block)
        if why is not None:
            left[why] += int(own.sum())
        else:
            yield _Shown(block.rows[own], grey_of_block(_planes(block, own), block.colour == "BGR"))
        taken = np.union1d(taken, block.rows)


def _unfit(block: ArrayBlock) -> str | None:
    """Why arrays can't be judged as pictures."""
    axis = block.channel_axis
    if block.values.dtype != np.uint8 or (axis is not None and block.values.shape[axis] not in (1, 3)):
        return NUMBERS
    sides = [length for length, name in zip(block.shape, block.axes, strict=True) if name != "C"]
    return SMALL if min(sides) < LEAST_SIDE else None


def _planes(block: ArrayBlock, own: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """``(n, height, width)`` or ``(n, height, width, 3)``."""
    values: NDArray[np.uint8] = block.values[own]
    axis = block.channel_axis
    if axis is None:
        return values
    planes: NDArray[np.uint8] = np.moveaxis(values, axis, -1)
    return planes[..., 0] if planes.shape[-1] == 1 else planes
