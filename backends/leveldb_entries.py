"""Records of LevelDB as columns, and the decoder that makes them of many blocks at once.

Inside a block a key is stored as what it does not share with the key before, so entries must be read one after
the other; but every sixteenth or so stands alone (a restart point). The decoder reads all stretches between
restart points of all blocks in step: entry 1 of each, entry 2 of each, and so on, each step a few numpy calls.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .columns import BytesColumn
from .leveldb_format import fixed32, varints

DELETED, PUT, LOST = range(3)
"""Kinds of entries. The first two are LevelDB's own; LOST is a record whose key is known but not its value."""

_KEY_MATRIX_BYTES = 32 << 20
_SHORT_KEYS = 1024
_INTERNAL = 8  # bytes behind the user's key: kind, then the sequence number in seven bytes


@dataclass(frozen=True, slots=True)
class Entries:
    """Consecutive entries of one source, or of several merged: internal key order, superseded ones included.

    Attributes
    ----------
    keys
        ``(entries, width)`` uint8: the users' keys, padded with zeros.
    key_lengths, sequences
        ``(entries,)`` int64. A higher sequence number was written later.
    kinds
        ``(entries,)`` uint8: `DELETED`, `PUT` or `LOST`.
    buffer, value_starts, value_lengths
        The values, as in `BytesColumn`.
    """

    keys: NDArray[np.uint8]
    key_lengths: NDArray[np.int64]
    sequences: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    buffer: NDArray[np.uint8]
    value_starts: NDArray[np.int64]
    value_lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.key_lengths)

    def key(self, row: int) -> bytes:
        """One user key."""
        return self.keys[row, : self.key_lengths[row]].tobytes()

    def key_list(self) -> list[bytes]:
        """All users' keys."""
        width, stored = self.keys.shape[1], self.keys.tobytes()
        return [stored[row * width : row * width + length] for row, length in enumerate(self.key_lengths.tolist())]

    def take(self, rows: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Entries:
        """Some of the entries; the values are shared."""
        return Entries(
            self.keys[rows],
            self.key_lengths[rows],
            self.sequences[rows],
            self.kinds[rows],
            self.buffer,
            self.value_starts[rows],
            self.value_lengths[rows],
        )

    def rows_below(self, key: bytes, inclusive: bool = False) -> int:
        """How many entries have a key below ``key`` (or equal to it)."""
        bisect = bisect_right if inclusive else bisect_left
        return bisect(range(len(self)), key, key=self.key)

    def comparable_keys(self) -> NDArray[np.bytes_]:
        """Keys as numpy strings, which compare bytewise; zeros at the end do not count."""
        keys = np.ascontiguousarray(self.keys)
        return keys.view(f"S{keys.shape[1]}")[:, 0]

    def key_column(self) -> BytesColumn:
        """The users' keys."""
        keys = np.ascontiguousarray(self.keys)
        starts = np.arange(len(self), dtype=np.int64) * keys.shape[1]
        return BytesColumn(keys.reshape(-1), starts, self.key_lengths)

    def value_column(self) -> BytesColumn:
        """The values."""
        return BytesColumn(self.buffer, self.value_starts, self.value_lengths)


def newest_first_order(parts: Sequence[Entries], ranks: Sequence[int]) -> tuple[Entries, NDArray[np.int64]]:
    """Merge parts: by key, then the latest write first; equal writes in the order of their parts' ranks.

    Returns
    -------
    Entries, ndarray
        The merged entries, and the rank of the part that each came from.
    """
    width = max(part.keys.shape[1] for part in parts)
    keys = np.zeros((sum(map(len, parts)), width + 5), np.uint8)
    first = 0
    for part in parts:
        keys[first : first + len(part), : part.keys.shape[1]] = part.keys
        first += len(part)
    lengths = np.concatenate([part.key_lengths for part in parts])
    sequences = np.concatenate([part.sequences for part in parts])
    origins = np.repeat(np.asarray(ranks, np.int64), [len(part) for part in parts])
    # Of keys that differ in zeros at the end only, the shorter comes first; the last 1 keeps numpy from seeing
    # zeros at the end at all.
    keys[:, width : width + 4] = lengths.astype(">u4").view(np.uint8).reshape(-1, 4)
    keys[:, width + 4] = 1
    order = np.lexsort((origins, -sequences, keys.view(f"S{width + 5}")[:, 0]))
    buffer, starts = _joined_values(parts)
    merged = Entries(
        keys[order, :width],
        lengths[order],
        sequences[order],
        np.concatenate([part.kinds for part in parts])[order],
        buffer,
        starts[order],
        np.concatenate([part.value_lengths for part in parts])[order],
    )
    return merged, origins[order]


def _joined_values(parts: Sequence[Entries]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One buffer with the values of all parts, and where each begins in it."""
    pieces, starts, filled = [], [], 0
    for part in parts:
        first = int(part.value_starts.min())
        stop = int((part.value_starts + part.value_lengths).max())
        pieces.append(part.buffer[first:stop])
        starts.append(part.value_starts + (filled - first))
        filled += stop - first
    return np.concatenate(pieces), np.concatenate(starts)


class Decoded(NamedTuple):
    """Entries of some blocks, and for each the number of the block that it stood in."""

    entries: Entries
    blocks: NDArray[np.int64]


class _Step(NamedTuple):
    """One entry of each stretch that is still going on."""

    stretches: NDArray[np.int64]
    shared: NDArray[np.int64]
    key_starts: NDArray[np.int64]
    value_starts: NDArray[np.int64]
    value_lengths: NDArray[np.int64]


def decode_blocks(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[list[Decoded], NDArray[np.bool_]]:
    """Decode blocks of internal keys that lie, decompressed and verified, in one buffer.

    Returns
    -------
    list of Decoded
        In the blocks' order; several only where padding all keys to one width would take too much memory.
    ndarray
        ``(blocks,)`` bool: blocks whose entries do not add up. They give no entries.
    """
    bad = np.zeros(len(starts), np.bool_)
    numbers = np.arange(len(starts))
    while True:
        good = numbers[~bad]
        decoded, failed = _decode(buffer, starts[good], stops[good])
        if not failed.any():
            return [Decoded(part.entries, good[part.blocks]) for part in decoded], bad
        bad[good[failed]] = True


def _decode(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[list[Decoded], NDArray[np.bool_]]:
    """As `decode_blocks`; if any block failed the entries are incomplete."""
    block_of, at, ends, failed = _stretches(buffer, starts, stops)
    if failed.any() or not len(starts):
        return [], failed
    steps, broken = _walk(buffer, at, ends)
    failed[block_of[broken]] = True
    if failed.any() or not steps:
        return [], failed
    count = sum(len(step.stretches) for step in steps)
    width = max(int((step.shared + step.value_starts - step.key_starts).max()) for step in steps)
    if count * width > _KEY_MATRIX_BYTES and len(starts) > 1:
        half = len(starts) // 2
        left, left_failed = _decode(buffer, starts[:half], stops[:half])
        right, right_failed = _decode(buffer, starts[half:], stops[half:])
        moved = [Decoded(part.entries, part.blocks + half) for part in right]
        return left + moved, np.concatenate([left_failed, right_failed])
    if count * width > max(8 * _KEY_MATRIX_BYTES, 4 * int(stops[-1] - starts[0])):
        return [], np.ones(1, np.bool_)  # one block of keys that are nearly all shared: no writer makes it
    entries, stretches = _assemble(buffer, steps, len(at), width)
    blocks = block_of[stretches]
    failed[blocks[(entries.kinds > PUT) | (entries.key_lengths < 0)]] = True
    return [Decoded(entries, blocks)], failed


def _stretches(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """From each restart point to the next: its block's number, start and end; and which blocks are malformed."""
    failed = stops - starts < 8
    if failed.any():
        return starts[:0], starts[:0], starts[:0], failed
    counts = fixed32(buffer, stops - 4)
    ends = stops - 4 - 4 * counts
    failed = (counts < 1) | (ends < starts)
    if failed.any():
        return starts[:0], starts[:0], starts[:0], failed
    block_of = np.repeat(np.arange(len(starts)), counts)
    firsts = np.cumsum(counts) - counts
    within = np.arange(len(block_of)) - firsts[block_of]
    at = starts[block_of] + fixed32(buffer, ends[block_of] + 4 * within)
    upto = np.empty_like(at)
    upto[:-1] = at[1:]
    upto[firsts + counts - 1] = ends
    failed[block_of[at > upto]] = True
    failed |= at[firsts] != starts
    return block_of, at, upto, failed


def _walk(
    buffer: NDArray[np.uint8], at: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[list[_Step], NDArray[np.int64]]:
    """Read all stretches in step. Gives the steps and the stretches that break off."""
    live = np.flatnonzero(at < ends)
    at, ends = at[live], ends[live]
    key_lengths = np.zeros(len(live), np.int64)
    steps, broken = [], []
    while len(live):
        shared, at = varints(buffer, at)
        unshared, at = varints(buffer, at)
        value_lengths, key_starts = varints(buffer, at)
        value_starts = key_starts + unshared
        at = value_starts + value_lengths
        fits = (at <= ends) & (shared <= key_lengths)
        if not fits.all():
            broken.append(live[~fits])
        steps.append(_Step(live, shared, key_starts, value_starts, value_lengths))
        on = fits & (at < ends)
        live, at, ends, key_lengths = live[on], at[on], ends[on], (shared + unshared)[on]
    return steps, np.concatenate(broken) if broken else live


def _assemble(
    buffer: NDArray[np.uint8], steps: list[_Step], stretch_count: int, width: int
) -> tuple[Entries, NDArray[np.int64]]:
    """Entries in order, and each one's stretch."""
    stretches = np.concatenate([step.stretches for step in steps])
    counts = np.bincount(stretches, minlength=stretch_count)
    firsts = np.cumsum(counts) - counts
    rows = np.concatenate([firsts[step.stretches] + number for number, step in enumerate(steps)])
    keys = np.zeros((len(rows), max(width, _INTERNAL)), np.uint8)
    lengths, starts, value_lengths = (np.empty(len(rows), np.int64) for _ in range(3))
    starts[rows] = np.concatenate([step.value_starts for step in steps])
    value_lengths[rows] = np.concatenate([step.value_lengths for step in steps])
    copy_keys = _copy_short_keys if width <= _SHORT_KEYS else _copy_long_keys
    for number, step in enumerate(steps):
        row = firsts[step.stretches] + number
        lengths[row] = step.shared + step.value_starts - step.key_starts
        copy_keys(buffer, step, keys, row)
    keys, trailers = _without_trailers(keys, lengths)
    return (
        Entries(
            keys,
            lengths - _INTERNAL,
            (trailers >> np.uint64(8)).astype(np.int64),
            (trailers & np.uint64(0xFF)).astype(np.uint8),
            buffer,
            starts,
            value_lengths,
        ),
        np.repeat(np.arange(stretch_count), counts),
    )


def _copy_short_keys(buffer: NDArray[np.uint8], step: _Step, keys: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
    """Put a step's keys into their rows; what they share stands in the rows before."""
    columns = np.arange(keys.shape[1])
    shared = step.shared[:, None]
    source = (step.key_starts[:, None] - shared) + columns
    own = buffer.take(source, mode="clip")
    own[columns >= shared + (step.value_starts - step.key_starts)[:, None]] = 0
    keys[rows] = np.where(columns < shared, keys[rows - 1], own) if shared.any() else own


def _copy_long_keys(buffer: NDArray[np.uint8], step: _Step, keys: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
    """As `_copy_short_keys`, without an index for every byte."""
    for row, shared, start, stop in zip(
        rows.tolist(), step.shared.tolist(), step.key_starts.tolist(), step.value_starts.tolist(), strict=True
    ):
        keys[row, :shared] = keys[row - 1, :shared]
        keys[row, shared : shared + stop - start] = buffer[start:stop]


def _without_trailers(
    keys: NDArray[np.uint8], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Split internal keys into the users' keys (at least one column wide) and the trailers as numbers."""
    if int(lengths.min()) == int(lengths.max()) > _INTERNAL:
        at = int(lengths[0]) - _INTERNAL
        return keys[:, :at], np.ascontiguousarray(keys[:, at : at + _INTERNAL]).view("<u8")[:, 0]
    ends = np.maximum(lengths - _INTERNAL, 0)[:, None]
    trailers = np.take_along_axis(keys, ends + np.arange(_INTERNAL), axis=1)
    width = max(int(ends.max()), 1)
    users = np.where(np.arange(width) < ends, keys[:, :width], 0).astype(np.uint8, copy=False)
    return users, np.ascontiguousarray(trailers).view("<u8")[:, 0]
