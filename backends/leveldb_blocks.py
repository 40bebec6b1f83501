"""Blocks of a table: read in long stretches, verified each by its checksum, decompressed into one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .files import ReadOnlyFile
from .leveldb_entries import Decoded, Entries, decode_blocks
from .leveldb_format import (
    LARGEST_BLOCK,
    LARGEST_NUMBER,
    RAW,
    TRAILER_BYTES,
    FormatError,
    checksums_hold,
    expand_into,
    expanded_size,
    varints,
)

_MOST_BLOCKS = 4096  # read together: bounds the work where blocks are tiny


@dataclass(frozen=True, slots=True)
class Handles:
    """Where blocks lie in their table: ``sizes[i]`` bytes at ``offsets[i]``, the trailers not counted."""

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, int]]) -> Handles:
        """From pairs of offset and size."""
        table = np.array(pairs, np.int64).reshape(-1, 2)
        return cls(table[:, 0], table[:, 1])

    @classmethod
    def stored_in(cls, index: Entries) -> Handles:
        """Out of the values of an index block's entries."""
        if not len(index):
            return cls.of([])
        offsets, at = varints(index.buffer, index.value_starts)
        sizes, at = varints(index.buffer, at)
        if (
            bool((at != index.value_starts + index.value_lengths).any())
            or int((offsets + sizes).max()) >= LARGEST_NUMBER
        ):
            raise FormatError("an index holds something else than handles")
        return cls(offsets, sizes)

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, rows: slice) -> Handles:
        return Handles(self.offsets[rows], self.sizes[rows])

    @property
    def stops(self) -> NDArray[np.int64]:
        """Where the blocks' trailers end."""
        return self.offsets + self.sizes + TRAILER_BYTES

    def stretch(self, most_bytes: int) -> int:
        """How many of the first blocks lie one behind the other within ``most_bytes``; at least one."""
        offsets, stops = self.offsets[:_MOST_BLOCKS], self.stops[:_MOST_BLOCKS]
        ends = (offsets[1:] != stops[:-1]) | (stops[1:] - offsets[0] > most_bytes)
        return int(np.argmax(ends)) + 1 if ends.any() else len(offsets)


class BadBlock(NamedTuple):
    """A block that can't be given back: its number among those asked for, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Blocks:
    """Verified, decompressed blocks in one buffer.

    ``numbers`` are those of the good blocks among the handles asked for, ``starts`` and ``stops`` where they lie.
    """

    buffer: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    bad: Sequence[BadBlock]

    def decode(self) -> tuple[list[Decoded], list[BadBlock]]:
        """The blocks' entries, and all bad blocks: those whose entries do not add up among them."""
        decoded, failed = decode_blocks(self.buffer, self.starts, self.stops)
        malformed = [BadBlock(int(number), "holds entries that do not add up") for number in self.numbers[failed]]
        return [Decoded(part.entries, self.numbers[part.blocks]) for part in decoded], sorted([*self.bad, *malformed])


def read_blocks(file: ReadOnlyFile, handles: Handles, most_bytes: int, stored_bytes: int) -> tuple[Blocks, int]:
    """Read blocks that follow one another, at least one, until ``most_bytes`` are full or ``stored_bytes`` read.

    Returns
    -------
    Blocks, int
        And how many of the handles they are.
    """
    count = handles.stretch(stored_bytes)
    start, stop = int(handles.offsets[0]), int(handles.stops[count - 1])
    reason = "lies beyond the end of the file"
    if stop - start > LARGEST_BLOCK:
        reason = f"has {stop - start} bytes, which is more than a record is read of"
    elif stop <= file.size_bytes:
        try:
            stored = file.view(start, stop - start)
            if len(stored) == stop - start:
                begins = handles.offsets[:count] - start
                return _verified(stored, begins, begins + handles.sizes[:count], most_bytes)
        except OSError as exc:
            reason = f"can't be read ({exc.strerror})"
    if count > 1:  # what can't be read as a whole may still be read in part
        return read_blocks(file, handles[:1], most_bytes, 0)
    none = np.empty(0, np.int64)
    return Blocks(np.empty(0, np.uint8), none, none, none, [BadBlock(0, reason)]), 1


def _verified(
    stored: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64], most_bytes: int
) -> tuple[Blocks, int]:
    """Check each block; decompress those that need it, as many as fit into ``most_bytes``."""
    holds = checksums_hold(stored, starts, stops)
    bad = [BadBlock(number, "fails its checksum") for number in np.flatnonzero(~holds).tolist()]
    numbers = np.flatnonzero(holds)
    blocks = Blocks(stored, numbers, starts[numbers], stops[numbers], bad)
    compressions = stored[blocks.stops]
    if bool((compressions == RAW).all()):
        return blocks, len(starts)
    return _expanded(blocks, compressions.tolist(), len(starts), most_bytes)


def _expanded(blocks: Blocks, compressions: Sequence[int], count: int, most_bytes: int) -> tuple[Blocks, int]:
    """The blocks decompressed, up to ``most_bytes`` of them, and how many of ``count`` handles that covers."""
    bad = list(blocks.bad)
    planned: list[tuple[int, NDArray[np.uint8], int, int]] = []  # number, stored bytes, compression, expanded size
    total = 0
    places = zip(blocks.numbers.tolist(), blocks.starts.tolist(), blocks.stops.tolist(), compressions, strict=True)
    for number, start, stop, compression in places:
        data = blocks.buffer[start:stop]
        try:
            size = expanded_size(compression, data)
        except FormatError as exc:
            bad.append(BadBlock(number, str(exc)))
            continue
        if planned and total + size > most_bytes:
            count = number
            break
        planned.append((number, data, compression, size))
        total += size
    buffer, filled = np.empty(total, np.uint8), 0
    good = []
    for number, data, compression, size in planned:
        try:
            expand_into(compression, data, buffer[filled : filled + size])
        except FormatError as exc:
            bad.append(BadBlock(number, str(exc)))
            continue
        good.append((number, filled, filled + size))
        filled += size
    columns = np.array(good, np.int64).reshape(-1, 3)
    bad = sorted(block for block in bad if block.number < count)
    return Blocks(buffer, columns[:, 0], columns[:, 1], columns[:, 2], bad), count
