"""Numbers in keys: holes in the numbering, and numbers that are not in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch
from ...backends.columns import BytesColumn
from ..options import Options
from ..sample import SampleBatch

Ints = NDArray[np.int64]

MAX_DIGITS = 18
"""Longer numbers do not fit into 64 bits: they are hashes or identifiers, no numbering."""

MAX_PREFIX = 32
MAX_PREFIXES = 8
"""A numbering at the end of keys has few different beginnings (``image-``, ``label-``, ``256-``)."""

STRAYS = 0.1
"""Share of keys that may stand outside of the numbering (reserved keys); two always may."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in the numbering: ``missing`` numbers from ``first`` on; ``position`` is the record after it."""

    position: int
    first: int
    missing: int


@dataclass(slots=True)
class NumberSeries:
    """Numbers of keys in store order: what matters of them, whatever their number.

    ``gaps`` holds the first ``cap`` holes; ``holes`` counts all, ``missing`` the numbers in them. ``descents``
    counts numbers that are below the one before, ``distinct`` those that differ from it.
    """

    cap: int
    count: int = 0
    distinct: int = 0
    descents: int = 0
    holes: int = 0
    missing: int = 0
    first: int = 0
    last: int = 0
    first_position: int = 0
    lowest: int = 0
    highest: int = 0
    narrowest: int = MAX_DIGITS
    widest: int = 0
    gaps: list[Gap] = field(default_factory=list)

    def add(self, numbers: Ints, widths: Ints, positions: Ints) -> None:
        """Numbers that follow, the digits that each is written with, and their positions."""
        if len(numbers) == 0:
            return
        part = NumberSeries(self.cap, count=len(numbers), first=int(numbers[0]), last=int(numbers[-1]))
        part.first_position = int(positions[0])
        part.lowest, part.highest = int(numbers.min()), int(numbers.max())
        part.narrowest, part.widest = int(widths.min()), int(widths.max())
        steps = np.diff(numbers)
        part.distinct = 1 + int(np.count_nonzero(steps))
        part.descents = int(np.count_nonzero(steps < 0))
        before = np.flatnonzero(steps > 1)
        part.holes, part.missing = len(before), int((steps[before] - 1).sum())
        before = before[: self.cap]
        holes = zip(
            positions[before + 1].tolist(), (numbers[before] + 1).tolist(), (steps[before] - 1).tolist(), strict=True
        )
        part.gaps = [Gap(*hole) for hole in holes]
        self.merge(part, 0)

    def merge(self, later: NumberSeries, offset: int) -> None:
        """Take in the numbers that follow in store order; their positions move by ``offset``."""
        if later.count == 0:
            return
        gaps = [Gap(gap.position + offset, gap.first, gap.missing) for gap in later.gaps]
        if self.count == 0:
            self.first, self.first_position = later.first, later.first_position + offset
            self.lowest, self.highest = later.lowest, later.highest
        else:
            step = later.first - self.last
            self.distinct -= step == 0
            self.descents += step < 0
            if step > 1:
                self.holes += 1
                self.missing += step - 1
                gaps.insert(0, Gap(later.first_position + offset, self.last + 1, step - 1))
        self.count += later.count
        self.distinct += later.distinct
        self.descents += later.descents
        self.holes += later.holes
        self.missing += later.missing
        self.last = later.last
        self.lowest, self.highest = min(self.lowest, later.lowest), max(self.highest, later.highest)
        self.narrowest, self.widest = min(self.narrowest, later.narrowest), max(self.widest, later.widest)
        self.gaps += gaps[: self.cap - len(self.gaps)]

    @property
    def padded(self) -> bool:
        """Whether this is a numbering: all of one width, padded with zeros, ascending."""
        return self.narrowest == self.widest > len(str(self.lowest)) and self.descents == 0

    @property
    def disordered(self) -> bool:
        """Whether numbers of several widths stand in another order than their own, densely enough to be a count."""
        return self.narrowest < self.widest and self.descents > 0 and self.highest - self.lowest < 2 * self.distinct


class KeySummary:
    """Numbers at the beginning of keys, or at their end after a few constant prefixes."""

    def __init__(self, options: Options) -> None:
        self.cap = options.max_findings
        self.keys = 0
        self.leading = NumberSeries(self.cap)
        self.trailing: dict[bytes, NumberSeries] = {}
        self.many_prefixes = False

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        batch = samples.batch
        if not isinstance(batch, RecordBatch) or len(batch) == 0:
            return
        self.keys += len(batch)
        widths, numbers = leading_of(samples)
        numbered = widths > 0
        if numbered.all():
            self.leading.add(numbers, widths, batch.positions)
        elif numbered.any():
            self.leading.add(numbers[numbered], widths[numbered], batch.positions[numbered])
        if not self.many_prefixes:
            self._add_trailing(batch, (widths < 2) | (numbers >= 10 ** np.maximum(widths - 1, 0)))

    def _add_trailing(self, batch: RecordBatch, unpadded: NDArray[np.bool_]) -> None:
        """Look at the ends of keys whose beginning is no zero-padded number."""
        rows = np.flatnonzero(unpadded & (batch.keys.lengths > 0))
        ends = batch.keys.buffer[(batch.keys.starts + batch.keys.lengths - 1)[rows]]
        rows = rows[_is_digit(ends)]
        if len(rows) == 0:
            return
        keys = batch.keys.take(rows)
        widths, numbers = trailing_numbers(keys)
        lengths = keys.lengths - widths
        good = (widths > 0) & (lengths > 0) & (lengths <= MAX_PREFIX)
        keys, rows, widths, numbers = keys.take(good), rows[good], widths[good], numbers[good]
        for start, stop in _prefix_stretches(keys, keys.lengths - widths):
            prefix = bytes(keys[start][: int(keys.lengths[start] - widths[start])])
            series = self.trailing.setdefault(prefix, NumberSeries(self.cap))
            if self._too_many():
                return
            part = slice(start, stop)
            series.add(numbers[part], widths[part], batch.positions[rows[part]])

    def _too_many(self) -> bool:
        if len(self.trailing) > MAX_PREFIXES:
            self.many_prefixes = True
            self.trailing.clear()
        return self.many_prefixes

    def merge(self, later: KeySummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        self.keys += later.keys
        self.leading.merge(later.leading, offset)
        self.many_prefixes |= later.many_prefixes
        if self.many_prefixes:
            self.trailing.clear()
            return
        for prefix, series in later.trailing.items():
            self.trailing.setdefault(prefix, NumberSeries(self.cap)).merge(series, offset)
        self._too_many()

    def statistics(self) -> dict[str, Any]:
        """Nothing: holes are findings."""
        return {}

    def numberings(self) -> dict[bytes, NumberSeries]:
        """The zero-padded numbering of the keys, by what stands before the numbers; empty if they have none."""
        if self._covers(self.leading.count) and self.leading.padded:
            return {b"": self.leading}
        padded = {prefix: series for prefix, series in self.trailing.items() if series.padded}
        return padded if self._covers(sum(series.count for series in padded.values())) else {}

    @property
    def disordered(self) -> bool:
        """Whether keys begin with numbers that are not in the order of the store."""
        return self._covers(self.leading.count) and self.leading.disordered

    def _covers(self, count: int) -> bool:
        return count > 0 and self.keys - count <= max(2, STRAYS * self.keys)


# ---- digits ----


def leading_of(samples: SampleBatch) -> tuple[Ints, Ints]:
    """`leading_numbers` of a batch's keys, looked for once."""
    if samples.leading is None:
        samples.leading = leading_numbers(samples.record_keys)
    return samples.leading


def leading_numbers(keys: BytesColumn) -> tuple[Ints, Ints]:
    """Digits at the beginning of each key: how many there are (0 for none), and the number that they write."""
    return _numbers(keys.buffer, keys.starts, keys.lengths, 1)


def trailing_numbers(keys: BytesColumn) -> tuple[Ints, Ints]:
    """Digits at the end of each key, as `leading_numbers`."""
    return _numbers(keys.buffer, keys.starts + keys.lengths - 1, keys.lengths, -1)


def _numbers(buffer: NDArray[np.uint8], edges: Ints, lengths: Ints, direction: int) -> tuple[Ints, Ints]:
    """Digits from ``edges`` on in one direction, a column of all keys at a time until no key has one left."""
    widths = np.zeros(len(edges), np.int64)
    numbers = np.zeros(len(edges), np.int64)
    shortest = int(lengths.min()) if len(lengths) else 0
    open_ = lengths > 0
    for column in range(MAX_DIGITS + 1):
        places = edges + direction * column
        if column >= shortest:
            open_ &= lengths > column
            if not open_.any():
                break
            places[~open_] = 0
        digits = buffer[places] - np.uint8(ord("0"))
        open_ &= digits <= 9
        if not open_.any():
            break
        if column < MAX_DIGITS:
            digits *= open_
            if direction > 0:
                numbers *= 10 if open_.all() else np.where(open_, 10, 1)
                numbers += digits
            else:
                numbers += digits * np.int64(10**column)
        widths += open_
    long = widths > MAX_DIGITS
    if long.any():
        widths[long] = numbers[long] = 0
    return widths, numbers


def _is_digit(characters: NDArray[np.uint8]) -> NDArray[np.bool_]:
    digit: NDArray[np.bool_] = (characters - np.uint8(ord("0"))) <= 9
    return digit


def _prefix_stretches(keys: BytesColumn, lengths: Ints) -> list[tuple[int, int]]:
    """Rows ``(start, stop)`` of neighbours that begin alike; ``lengths`` is how far each key's beginning goes."""
    if len(keys) == 0:
        return []
    width = int(lengths.max())
    columns = np.arange(width)
    places = np.clip(keys.starts[:, None] + columns, 0, len(keys.buffer) - 1)
    prefixes = np.where(columns < lengths[:, None], keys.buffer[places], 0)
    changes = (lengths[1:] != lengths[:-1]) | (prefixes[1:] != prefixes[:-1]).any(axis=1)
    cuts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(keys)]
    return list(pairwise(cuts))
