"""Content hashes of 128 bits: xxh3 a record, or short records of one length all at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xxhash
from numpy.typing import NDArray

from ...backends.columns import BytesColumn

Hashes = NDArray[np.uint64]

SHORT = 128
"""Contents up to so many bytes are hashed together: a call for each would take longer than all else that is done."""

_WORD = 4
_BLOCK = 1 << 11
"""Rows hashed at a time."""

_FACTORS: Hashes = np.array(
    [
        [xxhash.xxh3_64_intdigest(bytes([place, column])) | 1 for place in range(SHORT // _WORD + 1)]
        for column in (0, 1)
    ],
    np.uint64,
)
"""``(2, words)``: those of the first sum and those of the second; the last one is the length's."""


def content_hashes(contents: BytesColumn) -> Hashes:
    """Hashes ``(n, 2)``; a content's hash depends on nothing but its bytes."""
    short = contents.lengths <= SHORT
    if short.all():
        return _short_hashes(contents)
    if not short.any():
        return _long_hashes(contents)
    hashes = np.empty((len(contents), 2), np.uint64)
    hashes[short] = _short_hashes(contents.take(short))
    hashes[~short] = _long_hashes(contents.take(~short))
    return hashes


class ContentHasher:
    """Makes the hashes of a batch's contents while their bytes are in the processor's cache for another reason.

    ``rows`` are those of the contents in the batch, ascending.
    """

    def __init__(self, contents: BytesColumn, rows: NDArray[np.int64]) -> None:
        self._contents = contents
        self._rows = rows
        self._hashes: Hashes = np.empty((len(contents), 2), np.uint64)
        self._done = 0

    def follow(self, rows: NDArray[np.int64]) -> Callable[[int], None]:
        """For somebody who goes through some ascending rows of the batch: to be told how many of them are done."""
        ends = np.searchsorted(self._rows, rows, "right")

        def passed(count: int) -> None:
            if count:
                self._up_to(int(ends[min(count, len(ends)) - 1]))

        return passed

    def all(self) -> Hashes:
        """``(n, 2)``: the hashes of all contents."""
        self._up_to(len(self._contents))
        return self._hashes

    def _up_to(self, stop: int) -> None:
        if stop > self._done:
            part = slice(self._done, stop)
            self._hashes[part] = content_hashes(self._contents.take(part))
            self._done = stop


def _long_hashes(contents: BytesColumn) -> Hashes:
    digest, view = xxhash.xxh3_128_digest, contents.buffer.data
    places = zip(contents.starts.tolist(), (contents.starts + contents.lengths).tolist(), strict=True)
    return np.frombuffer(b"".join([digest(view[start:stop]) for start, stop in places]), np.uint64).reshape(-1, 2)


def _short_hashes(contents: BytesColumn) -> Hashes:
    first = int(contents.lengths[0]) if len(contents) else 0
    if bool((contents.lengths == first).all()):
        return _multilinear(contents.stacked())
    hashes = np.empty((len(contents), 2), np.uint64)
    for length in np.unique(contents.lengths).tolist():
        rows = contents.lengths == length
        hashes[rows] = _multilinear(contents.take(rows).stacked())
    return hashes


def _multilinear(block: NDArray[np.uint8]) -> Hashes:
    """Two sums over 32-bit words times 64-bit factors, modulo 2 to the 64th, the length as one more word.

    Two different contents of a length agree in both sums with a probability of 2 to the -64th over the choice of
    factors (Lemire and Kaser, "Strongly universal string hashing is fast", The Computer Journal 57, 2014).
    """
    length = block.shape[1]
    words = -(-length // _WORD)
    hashes: Hashes = np.empty((len(block), 2), np.uint64)
    values = np.empty((words, _BLOCK), np.uint64)
    for start in range(0, len(block), _BLOCK):
        part = block[start : start + _BLOCK]
        if length % _WORD:
            padded = np.zeros((len(part), words * _WORD), np.uint8)
            padded[:, :length] = part
            part = padded
        # Words of a place side by side: many rows are multiplied and added at once, where they lie in the cache.
        by_place = values[:, : len(part)]
        np.copyto(by_place, np.ascontiguousarray(part).view("<u4").T)
        hashes[start : start + _BLOCK] = np.einsum("wn,kw->kn", by_place, _FACTORS[:, :words]).T
    hashes += _FACTORS[:, -1] * np.uint64(length)
    return hashes
