"""Write-ahead logs: what a set holds that no table has yet.

A replay keeps the keys and where each value stands, not the values: one batch of Caffe's converter is a thousand
images. Values are read again, fragment by fragment, when their turn comes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import Damage
from .leveldb_batches import BatchParser
from .leveldb_entries import LOST, PUT, Entries
from .leveldb_folder import Folder, NotOpened
from .leveldb_log import Tear, fragments

_ROWS = 1 << 14
_KEY_MATRIX_BYTES = 8 << 20
_GAP_BYTES = 4096  # closer values are read together with what lies between them


@dataclass(frozen=True, slots=True)
class Replay:
    """The writes of all logs, in the order of the keys, the latest write of a key first.

    ``starts`` and ``lengths`` are places in the logs' payload: all verified fragments one after the other, without
    their headers. ``pieces_*`` say where in which file each fragment of it lies.
    """

    folder: Folder
    files: Sequence[str]
    keys: Sequence[bytes]
    sequences: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    pieces_start: NDArray[np.int64]
    pieces_file: NDArray[np.int64]
    pieces_offset: NDArray[np.int64]
    damage: Sequence[Damage]
    lost: dict[tuple[bytes, int], Damage]

    @classmethod
    def of(cls, folder: Folder, numbers: Sequence[int], last_sequence: int | None) -> Replay:
        """Replay logs. ``last_sequence`` is the last write that the MANIFEST knows of."""
        parser = BatchParser(last_sequence)
        files = [folder.logs[number] for number in numbers]
        for name in files:
            parser.begin_file(name)
            try:
                with folder.opened(name) as file:
                    for piece in fragments(file):
                        if isinstance(piece, Tear):
                            parser.tear(piece)
                        else:
                            parser.fragment(piece)
            except (NotOpened, OSError) as exc:
                parser.unreadable(str(exc))
            parser.end_file()
        parser.finish()
        order = _order(parser.keys, parser.sequences)
        return cls(
            folder,
            files,
            [parser.keys[row] for row in order],
            _as_array(parser.sequences)[order],
            np.frombuffer(bytes(parser.kinds), np.uint8)[order],
            _as_array(parser.starts)[order],
            _as_array(parser.lengths)[order],
            _as_array(parser.pieces_start),
            _as_array(parser.pieces_file),
            _as_array(parser.pieces_offset),
            parser.damage,
            parser.lost,
        )

    def chunks(self, low: bytes | None, high: bytes | None, chunk_bytes: int) -> Iterator[Entries]:
        """The entries with ``low <= key < high``, some ``chunk_bytes`` of values at a time."""
        row = 0 if low is None else bisect_left(self.keys, low)
        stop = len(self.keys) if high is None else bisect_left(self.keys, high)
        while row < stop:
            upto = min(stop, row + _ROWS)
            upto = row + max(1, int(np.searchsorted(np.cumsum(self.lengths[row:upto]), chunk_bytes)))
            width = max(1, *map(len, self.keys[row:upto]), 1)
            upto = min(upto, row + max(1, _KEY_MATRIX_BYTES // width))
            yield self._entries(row, upto, width)
            row = upto

    def weights(self, step_bytes: int) -> Iterator[tuple[bytes, int]]:
        """Keys some ``step_bytes`` apart, each with the bytes since the one before."""
        sizes = self.lengths + np.fromiter(map(len, self.keys), np.int64, len(self.keys))
        before = 0
        totals = np.cumsum(sizes)
        while before < len(sizes):
            done = int(totals[before - 1]) if before else 0
            upto = min(len(sizes), int(np.searchsorted(totals, done + step_bytes)) + 1)
            yield self.keys[upto - 1], int(totals[upto - 1]) - done
            before = upto

    def _entries(self, row: int, upto: int, width: int) -> Entries:
        rows = slice(row, upto)
        keys = self.keys[rows]
        lengths, kinds = self.lengths[rows].copy(), self.kinds[rows].copy()
        lengths[kinds != PUT] = 0
        buffer, starts, failed = self._values(self.starts[rows], lengths)
        kinds[failed] = LOST
        lengths[failed] = 0
        return Entries(
            np.array(keys, f"S{width}").view(np.uint8).reshape(len(keys), width),
            np.fromiter(map(len, keys), np.int64, len(keys)),
            self.sequences[rows],
            kinds,
            buffer,
            starts,
            lengths,
        )

    def _values(
        self, starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
        """Read values into one buffer: it, where each begins in it, and those that can't be read any more."""
        order = np.argsort(starts, kind="stable")
        order = order[lengths[order] > 0]
        files = self.pieces_file[np.searchsorted(self.pieces_start, starts[order], "right") - 1]
        apart = (starts[order][1:] - (starts + lengths)[order][:-1] > _GAP_BYTES) | (files[1:] != files[:-1])
        groups = np.split(order, np.flatnonzero(apart) + 1) if len(order) else []
        total = sum(int((starts + lengths)[group[-1]] - starts[group[0]]) for group in groups)
        buffer, filled = np.empty(total, np.uint8), 0
        placed, failed = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.bool_)
        for group in groups:
            first, stop = int(starts[group[0]]), int(starts[group[-1]] + lengths[group[-1]])
            target = buffer[filled : filled + stop - first]
            failed[group] = not self._read(first, target)
            placed[group] = starts[group] - first + filled
            filled += stop - first
        return buffer, placed, failed

    def _read(self, start: int, target: NDArray[np.uint8]) -> bool:
        """Gather payload from ``start`` on, out of its fragments; says whether it was all there."""
        piece = int(np.searchsorted(self.pieces_start, start, "right")) - 1
        done = 0
        try:
            with self.folder.opened(self.files[int(self.pieces_file[piece])]) as file:
                while done < len(target):
                    within = start + done - int(self.pieces_start[piece])
                    following = int(self.pieces_start[piece + 1]) if piece + 1 < len(self.pieces_start) else 1 << 62
                    upto = min(len(target), following - start)
                    if file.read_into(target[done:upto], int(self.pieces_offset[piece]) + within) < upto - done:
                        return False
                    done, piece = upto, piece + 1
        except (NotOpened, OSError):
            return False
        return True


def _order(keys: Sequence[bytes], sequences: Sequence[int]) -> NDArray[np.int64]:
    """Rows by key, the latest write first."""
    count = len(keys)
    if all(map(int.__lt__, sequences, sequences[1:])):
        # Sorting is stable, so going backwards puts the later write of a key first.
        order = sorted(range(count - 1, -1, -1), key=keys.__getitem__)
    else:
        order = sorted(range(count), key=lambda row: (keys[row], -sequences[row]))
    return np.array(order, np.int64)


def _as_array(numbers: array[int]) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)
