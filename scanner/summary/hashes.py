"""Content hashes of 128 bits: xxh3 a record, or short records of one length all at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xxhash
from numpy.typing import NDArray

from ...backends.columns import BytesColumn, windows
from ...backends.distinct import distinct
from ..sample import Hasher, SampleBatch

Hashes = NDArray[np.uint64]

SHORT = 256
"""Contents up to so many bytes are hashed together: a call for each would take longer than all else that is done."""

_COPIED = 1 << 11
"""Longer ones of one length are copied out of the buffer up to so many bytes: that is faster than a slice for each."""

_TOGETHER = 1 << 7
"""Contents that are copied out at a time."""

_WORD = 4
_BLOCK = 1 << 16
"""Words multiplied at a time: they stay in the cache, and a product of so few starts no threads in BLAS."""

_PRIME = np.uint64(0x9E3779B97F4A7C15)


def _small_numbers(part: int) -> NDArray[np.float64]:
    """Numbers below 2 to the 15th in magnitude, ``(words, 2)``: a column for each half of the hash."""
    numbers = [
        [xxhash.xxh3_64_intdigest(bytes([place, half, part])) >> 48 for half in (0, 1)]
        for place in range(SHORT // _WORD)
    ]
    return np.array(numbers, np.float64) - (1 << 15)


_LOW, _HIGH = _small_numbers(0) * 2 + 1, _small_numbers(1) * 2
"""Factors are ``low + high * _PRIME``, all of them odd: a word that differs always shows.

A word has 31 bits and a sign, a factor's part 16 and a sign: the sum over 64 of them is exact in the 53 bits of a
float, in whatever order BLAS adds them.
"""

_LENGTHS: Hashes = np.array([xxhash.xxh3_64_intdigest(bytes([half])) | 1 for half in (0, 1)], np.uint64)


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

        def passed(count: int) -> None:
            if count:
                self._up_to(int(np.searchsorted(self._rows, rows[min(count, len(rows)) - 1], "right")))

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


def hasher_of(samples: SampleBatch) -> Hasher | None:
    """What makes the hashes of a batch's contents, one for all who need them; ``None`` where it has no contents."""
    if samples.hasher is None and samples.contents is not None and samples.content_rows is not None:
        samples.hasher = ContentHasher(samples.contents, samples.content_rows)
    return samples.hasher


def _long_hashes(contents: BytesColumn) -> Hashes:
    digest, starts, length = xxhash.xxh3_128_digest, contents.starts, int(contents.lengths[0])
    digests: list[bytes] = []
    if length <= _COPIED and bool((contents.lengths == length).all()):
        places = windows(contents.buffer, length)
        for first in range(0, len(contents), _TOGETHER):
            digests.extend(map(digest, places[starts[first : first + _TOGETHER]].tolist()))
    else:
        view = contents.buffer.data
        ends = (starts + contents.lengths).tolist()
        digests = [digest(view[start:stop]) for start, stop in zip(starts.tolist(), ends, strict=True)]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


def _short_hashes(contents: BytesColumn) -> Hashes:
    first = int(contents.lengths[0]) if len(contents) else 0
    if bool((contents.lengths == first).all()):
        return _multilinear(contents.stacked())
    hashes = np.empty((len(contents), 2), np.uint64)
    for length in distinct(contents.lengths).tolist():
        rows = contents.lengths == length
        hashes[rows] = _multilinear(contents.take(rows).stacked())
    return hashes


def _multilinear(block: NDArray[np.uint8]) -> Hashes:
    """Two sums over signed 32-bit words times 64-bit factors, modulo 2 to the 64th, the length as one more word.

    Two different contents of a length agree in both sums with a probability of about 2 to the -64th over the choice of
    factors (Lemire and Kaser, "Strongly universal string hashing is fast", The Computer Journal 57, 2014): that is
    where words differ in their signs alone, so that 32 bits of each sum tell. It is also the most that the four sums
    with the parts of the factors can agree by themselves; for words of many bits that is less likely by far.
    """
    length = block.shape[1]
    words = max(-(-length // _WORD), 1)
    rows = max(min(_BLOCK // words, len(block)), 1)
    hashes: Hashes = np.empty((len(block), 2), np.uint64)
    numbers, products = np.empty((rows, words)), np.empty((rows, 2), np.uint64)
    lengths = np.tile(_LENGTHS * np.uint64(length), (rows, 1))
    for start in range(0, len(block), rows):
        part = _words(block[start : start + rows], words)
        count = len(part)
        np.copyto(numbers[:count], part)
        sums, high = hashes[start : start + count], products[:count]
        high.view(np.int64)[:] = numbers[:count] @ _HIGH[:words]
        sums.view(np.int64)[:] = numbers[:count] @ _LOW[:words]
        high *= _PRIME
        high += lengths[:count]
        sums += high
    return hashes


def _words(block: NDArray[np.uint8], words: int) -> NDArray[np.int32]:
    """The rows as signed words, with zeros behind their end."""
    if block.shape[1] < words * _WORD:
        padded = np.zeros((len(block), words * _WORD), np.uint8)
        padded[:, : block.shape[1]] = block
        block = padded
    return np.ascontiguousarray(block).view("<i4")
