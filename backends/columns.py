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

    @property
    def is_regular(self) -> bool:
        """Whether the strings are of one length and lie at a constant distance, so that `stacked` copies nothing."""
        if len(self) < 2:
            return len(self) == 1
        lengths, steps = self.lengths, np.diff(self.starts)
        return bool(steps[0] > 0 and (lengths == lengths[0]).all() and (steps == steps[0]).all())

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
        width = stop - start
        if width >= 64:  # long rows: one slice copy each is faster than an index per byte
            out = np.empty((len(self), width), np.uint8)
            for row, begin in enumerate((self.starts + start).tolist()):
                out[row] = self.buffer[begin : begin + width]
            return out
        gathered: NDArray[np.uint8] = self.buffer[(self.starts + start)[:, None] + np.arange(width)]
        return gathered
