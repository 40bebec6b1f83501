"""Blocks of a table: read in long stretches, verified each by its checksum, decompressed into one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .files import ReadOnlyFile
from .leveldb_entries import Decoded, decode_blocks
from .leveldb_format import (
    RAW,
    TRAILER_BYTES,
    FormatError,
    Handle,
    expand_into,
    expanded_size,
    masked_crc,
)


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


def read_blocks(file: ReadOnlyFile, handles: Sequence[Handle], most_bytes: int) -> tuple[Blocks, int]:
    """Read blocks that follow one another, at least one, until ``most_bytes`` are full.

    Returns
    -------
    Blocks, int
        And how many of the handles they are.
    """
    count = _stretch(handles, most_bytes)
    start = handles[0].offset
    stop = handles[count - 1].offset + handles[count - 1].size + TRAILER_BYTES
    if stop > file.size_bytes:
        return _one_by_one(file, handles, most_bytes) if count > 1 else (_all_bad("lies beyond the end of the file"), 1)
    stored = np.empty(stop - start, np.uint8)
    try:
        done = file.read_into(stored, start)
    except OSError as exc:
        return _one_by_one(file, handles, most_bytes) if count > 1 else (_all_bad(f"can't be read ({exc.strerror})"), 1)
    if done < len(stored):
        return _one_by_one(file, handles, most_bytes) if count > 1 else (_all_bad("lies beyond the end of the file"), 1)
    return _verified(stored, [Handle(handle.offset - start, handle.size) for handle in handles[:count]], most_bytes)


def _stretch(handles: Sequence[Handle], most_bytes: int) -> int:
    """How many of the handles lie one behind the other within ``most_bytes``; at least one."""
    upto = handles[0].offset
    for count, handle in enumerate(handles):
        if count and (handle.offset != upto or handle.offset + handle.size - handles[0].offset > most_bytes):
            return count
        upto = handle.offset + handle.size + TRAILER_BYTES
    return len(handles)


def _one_by_one(file: ReadOnlyFile, handles: Sequence[Handle], most_bytes: int) -> tuple[Blocks, int]:
    """Where a stretch can't be read as a whole: its first block alone."""
    return read_blocks(file, handles[:1], most_bytes)


def _all_bad(reason: str) -> Blocks:
    none = np.empty(0, np.int64)
    return Blocks(np.empty(0, np.uint8), none, none, none, [BadBlock(0, reason)])


def _verified(stored: NDArray[np.uint8], handles: Sequence[Handle], most_bytes: int) -> tuple[Blocks, int]:
    """Check each block; decompress those that need it, as many as fit into ``most_bytes``."""
    bad: list[BadBlock] = []
    good: list[tuple[int, int, int, int]] = []  # number, start, stop, compression
    raw = True
    for number, (start, size) in enumerate(handles):
        stop = start + size
        trailer = stored[stop : stop + TRAILER_BYTES].tobytes()
        if masked_crc(stored[start : stop + 1]) != int.from_bytes(trailer[1:], "little"):
            bad.append(BadBlock(number, "fails its checksum"))
        else:
            good.append((number, start, stop, trailer[0]))
            raw = raw and trailer[0] == RAW
    if raw:
        numbers, starts, stops = (np.array([block[part] for block in good], np.int64) for part in range(3))
        return Blocks(stored, numbers, starts, stops, bad), len(handles)
    return _expanded(stored, good, bad, len(handles), most_bytes)


def _expanded(
    stored: NDArray[np.uint8],
    good: Sequence[tuple[int, int, int, int]],
    bad: list[BadBlock],
    count: int,
    most_bytes: int,
) -> tuple[Blocks, int]:
    planned: list[tuple[int, NDArray[np.uint8], int, int]] = []  # number, stored bytes, compression, expanded size
    total = 0
    for number, start, stop, compression in good:
        try:
            size = expanded_size(compression, stored[start:stop])
        except FormatError as exc:
            bad.append(BadBlock(number, str(exc)))
            continue
        if planned and total + size > most_bytes:
            count = number
            bad = [block for block in bad if block.number < count]
            break
        planned.append((number, stored[start:stop], compression, size))
        total += size
    buffer, filled = np.empty(total, np.uint8), 0
    numbers, starts, stops = [], [], []
    for number, data, compression, size in planned:
        target = buffer[filled : filled + size]
        try:
            expand_into(compression, data, target)
        except FormatError as exc:
            bad.append(BadBlock(number, str(exc)))
            continue
        numbers.append(number)
        starts.append(filled)
        stops.append(filled + size)
        filled += size
    columns = [np.array(column, np.int64) for column in (numbers, starts, stops)]
    return Blocks(buffer, columns[0], columns[1], columns[2], sorted(bad)), count
