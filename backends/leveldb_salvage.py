"""Finding the blocks of a table whose footer or index is lost, by their checksums alone.

A block is bytes ``a..e`` whose CRC32C stands behind them. Trying every pair of ends is out of the question, but the
checksum is linear: with ``R(i)`` the shift register after the first ``i`` bytes (begun at 0), ``I`` its start value
and ``Z`` the register's step over a zero byte, bytes ``a..e`` have the checksum ``S`` exactly if

    Z^(n-e) (~S ^ R(e))  ==  Z^(n-a) (R(a) ^ I)

whose left side depends on ``e`` alone and whose right side on ``a`` alone. So blocks are found by sorting.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .files import ReadOnlyFile
from .leveldb_format import MASK, TRAILER_BYTES, ZSTD, FormatError, Handle, expand_into, expanded_size, masked_crc

_WINDOW_BYTES = 4 << 20
_LARGEST_WINDOW = 64 << 20
_SMALLEST_BLOCK = 8  # a restart point and the number of them
_MOST_STARTS = 16  # for one end: bytes can be arranged so that any number of starts agree with it

_Words = NDArray[np.uint32]


def find_blocks(file: ReadOnlyFile) -> Iterator[tuple[Handle, NDArray[np.uint8]]]:
    """Handle and decompressed contents of every block whose checksum holds, in file order, none within another."""
    size, start, width = file.size_bytes, 0, _WINDOW_BYTES
    while start < size:
        window = np.empty(min(width, size - start), np.uint8)
        try:
            window = window[: file.read_into(window, start)]
        except OSError:  # an unreadable sector: what can be read of the window still counts
            window = _readable(file, start, len(window))
        upto = 0
        for first, stop in _pairs(window):
            if first < upto:
                continue
            content = _content(window, first, stop)
            if content is not None:
                yield Handle(start + first, stop - 1 - first), content
                upto = stop + TRAILER_BYTES - 1
        if start + len(window) >= size:
            return
        if upto:
            start, width = start + upto, _WINDOW_BYTES
        elif width < _LARGEST_WINDOW:
            width *= 2  # perhaps one block that is larger than the window
        else:
            start, width = start + width // 2, _WINDOW_BYTES


def _readable(file: ReadOnlyFile, start: int, length: int) -> NDArray[np.uint8]:
    """The window with zeros for the sectors that can't be read."""
    window = np.zeros(length, np.uint8)
    for at in range(0, length, 4096):
        try:
            file.read_into(window[at : at + 4096], start + at)
        except OSError:
            continue
    return window


def _content(window: NDArray[np.uint8], first: int, stop: int) -> NDArray[np.uint8] | None:
    """The decompressed block, if the bytes from ``first`` to its type byte at ``stop - 1`` are one."""
    stored = int.from_bytes(window[stop : stop + 4].tobytes(), "little")
    if stop - 1 - first < 1 or masked_crc(window[first:stop]) != stored:
        return None
    data, compression = window[first : stop - 1], int(window[stop - 1])
    try:
        content = np.empty(expanded_size(compression, data), np.uint8)
        expand_into(compression, data, content)
    except FormatError:
        return None
    return content if len(content) >= _SMALLEST_BLOCK else None


def _pairs(window: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Starts and ends (behind the type byte) whose checksums agree, by start. A few of them do so by chance."""
    size = len(window)
    if size < _SMALLEST_BLOCK:
        return []
    steps = _Steps(size)
    registers = steps.registers(window)
    ends = np.arange(1, size - 3)
    ends = ends[window[ends - 1] <= ZSTD]
    stored = np.zeros(len(ends), np.uint32)
    for byte in range(4):
        stored |= window[ends + byte].astype(np.uint32) << np.uint32(8 * byte)
    unmasked = stored - np.uint32(MASK)
    unmasked = (unmasked >> np.uint32(17)) | (unmasked << np.uint32(15))
    wanted = np.zeros(size + 1, np.uint32)
    wanted[ends] = ~unmasked ^ registers[ends]
    by_end = steps.to_the_end(wanted)[ends]
    by_start = steps.to_the_end(registers ^ np.uint32(0xFFFFFFFF))
    order = np.argsort(by_start, kind="stable")
    ranked = by_start[order]
    left, right = np.searchsorted(ranked, by_end, "left"), np.searchsorted(ranked, by_end, "right")
    pairs = []
    for hit in np.flatnonzero(right > left).tolist():
        end = int(ends[hit])
        upto = min(right[hit], left[hit] + _MOST_STARTS)
        pairs += [(first, end) for first in order[left[hit] : upto].tolist() if first < end]
    return sorted(pairs)


class _Steps:
    """The shift register's way over a window, many positions at a time.

    Position ``i`` is taken as ``row * columns + column``: a table for each column and one for each row give any
    number of steps in two look-ups.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._columns = max(16, int(size**0.5))
        self._rows = size // self._columns + 1
        self._byte = _byte_table()
        self._within = self._powers(_unit(), self._columns + 1)
        self._across = self._row_powers()

    def registers(self, window: NDArray[np.uint8]) -> _Words:
        """``R(i)`` for ``i`` from 0 to the window's size."""
        padded = np.zeros(self._rows * self._columns, np.uint8)
        padded[: self._size] = window
        grid = np.ascontiguousarray(padded.reshape(self._rows, self._columns).T)
        local = np.zeros((self._columns + 1, self._rows), np.uint32)
        for column in range(self._columns):
            before = local[column]
            local[column + 1] = self._byte[(before ^ grid[column]) & np.uint32(0xFF)] ^ (before >> np.uint32(8))
        begin = np.zeros(self._rows, np.uint32)
        for row in range(1, self._rows):
            begin[row] = local[-1, row - 1] ^ _apply(self._within[-1], begin[row - 1 : row])[0]
        for column in range(self._columns):
            local[column] ^= _apply(self._within[column], begin)
        return np.ascontiguousarray(local[:-1].T).reshape(-1)[: self._size + 1]

    def to_the_end(self, words: _Words) -> _Words:
        """``Z^(size - i)`` of each word ``i``, up to a step count that is the same for all."""
        padded = np.zeros(self._rows * self._columns, np.uint32)
        padded[: len(words)] = words
        grid = padded.reshape(self._rows, self._columns)
        out = np.empty_like(grid)
        for column in range(self._columns):
            out[:, column] = _apply(self._within[self._columns - 1 - column], grid[:, column])
        for row in range(self._rows):
            out[row] = _apply(self._across[self._rows - 1 - row], out[row])
        return out.reshape(-1)[: len(words)]

    def _powers(self, unit: _Words, count: int) -> list[_Words]:
        """Tables of 0, 1, 2 ... single steps."""
        tables = [unit]
        for _ in range(count - 1):
            last = tables[-1]
            tables.append(self._byte[last & np.uint32(0xFF)] ^ (last >> np.uint32(8)))
        return tables

    def _row_powers(self) -> list[_Words]:
        """Tables of 0, 1, 2 ... rows' worth of steps."""
        row = self._within[self._columns]
        tables = [_unit()]
        for _ in range(self._rows - 1):
            tables.append(_apply(row, tables[-1].reshape(-1)).reshape(4, 256))
        return tables


def _apply(table: _Words, words: _Words) -> _Words:
    """A linear map, given as what it makes of each value of each byte, of many words."""
    mask = np.uint32(0xFF)
    out: _Words = table[0][words & mask]
    for byte in (1, 2, 3):
        out = out ^ table[byte][(words >> np.uint32(8 * byte)) & mask]
    return out


def _unit() -> _Words:
    """The table of the map that changes nothing."""
    return np.arange(256, dtype=np.uint32)[None, :] << (np.arange(4, dtype=np.uint32) * np.uint32(8))[:, None]


def _byte_table() -> _Words:
    """CRC32C's step over one byte (polynomial 0x1EDC6F41, reflected)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(0x82F63B78), np.uint32(0))
    return table
