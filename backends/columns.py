"""Columns of byte strings: many keys or values of a batch in one buffer, without a Python object for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BytesColumn(Sequence[memoryview]):
    """Byte strings as slices of one shared buffer.

    Attributes
    ----------
    buffer
        ``(n,)`` uint8; may hold bytes that belong to no string.
    starts, lengths
        ``(records,)`` int64: string ``i`` is ``buffer[starts[i] : starts[i] + lengths[i]]``.
    """

    buffer: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def from_strings(cls, strings: Iterable[bytes | memoryview]) -> BytesColumn:
        """Pack byte strings into a column of their own (this copies them)."""
        parts = list(strings)
        lengths = np.fromiter((len(part) for part in parts), np.int64, len(parts))
        stops = np.cumsum(lengths)
        return cls(np.frombuffer(b"".join(parts), np.uint8), stops - lengths, lengths)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> memoryview:  # type: ignore[override]  # a slice is `take`
        start = int(self.starts[row])
        return self.buffer.data[start : start + int(self.lengths[row])]

    def __iter__(self) -> Iterator[memoryview]:
        view = self.buffer.data
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield view[start : start + length]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> BytesColumn:
        """The column of some rows; the buffer is shared, nothing is copied."""
        return BytesColumn(self.buffer, self.starts[rows], self.lengths[rows])

    @property
    def size_bytes(self) -> int:
        """Sum of the strings' lengths."""
        return int(self.lengths.sum())

    def stacked(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Bytes ``start:stop`` of every string as ``(records, stop - start)`` uint8.

        A view where the strings lie at a constant distance, else one gathered copy. Every string must be at
        least ``stop`` bytes long (all of one length where ``stop`` is not given).
        """
        if stop is None:
            stop = int(self.lengths[0]) if len(self) else 0
        if len(self) == 0 or stop <= start:
            return np.empty((len(self), max(stop - start, 0)), np.uint8)
        if int(self.lengths.min()) < stop:
            raise ValueError("a string is shorter than the part asked for")
        first = int(self.starts[0]) + start
        steps = np.diff(self.starts)
        if len(steps) == 0 or (steps[0] > 0 and bool((steps == steps[0]).all())):
            step = int(steps[0]) if len(steps) else 0
            return np.lib.stride_tricks.as_strided(
                self.buffer[first:], (len(self), stop - start), (step, 1), writeable=False
            )
        return gathered(self.buffer, self.starts + start, stop - start)


def gathered(buffer: NDArray[np.uint8], starts: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """``buffer[start : start + width]`` for each start, copied into ``(n, width)``."""
    if not len(starts) or width <= 0:
        return np.empty((len(starts), max(width, 0)), np.uint8)
    return windows(buffer, width)[starts].view(np.uint8).reshape(len(starts), width)


def windows(buffer: NDArray[np.uint8], width: int) -> NDArray[np.void]:
    """The ``width`` bytes from each position on, as one value each: nothing is copied until some are picked.

    Picking copies a value at once: an index for every byte, or a slice for every string, takes 5 to 50 times as long.
    """
    return np.ndarray(len(buffer) - width + 1, np.dtype((np.void, width)), buffer, 0, 1)
