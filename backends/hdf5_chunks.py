"""Chunks of an HDF5 dataset: which are stored, and taking one apart without the library.

A declared size costs a file nothing: only the chunks that are stored are ever walked.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

import deflate
import numpy as np
from numpy.typing import NDArray

from .hdf5_library import LIBRARY_ERRORS, h5py, one_line
from .hdf5_loss import Loss

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
"""Filter numbers of the library."""


def stored_holes(dataset: Any, shape: Sequence[int], chunks: Sequence[int]) -> list[Loss]:
    """Runs of rows that lack at least one of their chunks, ascending; found in time linear in the *stored* chunks."""
    if 0 in shape:
        return []
    per_block = math.prod(-(-side // chunk) for side, chunk in zip(shape[1:], chunks[1:], strict=True))
    blocks = -(-shape[0] // chunks[0])
    try:
        if dataset.get_num_chunks() == blocks * per_block:
            return []
    except LIBRARY_ERRORS:
        pass  # a damaged index: the walk below tells what can still be found
    firsts, problem = _stored_firsts(dataset, shape)
    numbers, counts = np.unique(np.array(firsts, np.int64) // chunks[0], return_counts=True)
    whole = numbers[counts == per_block]
    holes = []
    for first, last in _gaps(whole, blocks):
        stored = int(counts[np.searchsorted(numbers, first) : np.searchsorted(numbers, last)].sum())
        expected = (last - first) * per_block
        reason = (
            f"the chunk index is damaged ({problem}): {expected - stored:,} of {expected:,} chunks can't be found"
            if problem
            else f"{expected - stored:,} of {expected:,} chunks were never written; readers get the fill value"
        )
        holes.append(Loss(first * chunks[0], min(last * chunks[0], shape[0]), reason))
    return holes


def _stored_firsts(dataset: Any, shape: Sequence[int]) -> tuple[array[int], str]:
    """The first row of each stored chunk, and what ended the walk before its end, if anything did."""
    firsts = array("q")

    def take(chunk: Any) -> None:
        if chunk.chunk_offset[0] < shape[0]:
            firsts.append(chunk.chunk_offset[0])

    try:
        dataset.chunk_iter(take)
    except LIBRARY_ERRORS as exc:
        return firsts, one_line(exc)
    return firsts, ""


def _gaps(whole: NDArray[np.int64], blocks: int) -> list[tuple[int, int]]:
    """Runs of numbers below ``blocks`` that are not among the ascending numbers given."""
    edges = np.concatenate([[-1], whole, [blocks]])
    at = np.flatnonzero(np.diff(edges) > 1)
    return [(int(edges[i]) + 1, int(edges[i + 1])) for i in at]


class ChunkError(ValueError):
    """A chunk that can't be taken apart; ``corner`` are its coordinates where they are known."""

    def __init__(self, reason: str, corner: tuple[int, ...] | None = None) -> None:
        super().__init__(reason)
        self.corner = corner


@dataclass(frozen=True, slots=True)
class ChunkCodec:
    """Undoes the filters of a chunk: deflate by libdeflate, shuffle, fletcher32. Others are left to the library.

    The library lets a chunk inflate to any size before it looks at what came out; here it ends at the chunk's own.
    """

    filters: tuple[int, ...]
    itemsize: int
    size_bytes: int

    @classmethod
    def for_plist(cls, plist: Any, itemsize: int, size_bytes: int) -> ChunkCodec | None:
        """The codec for a dataset's filters, ``None`` where one is not ours to undo."""
        filters = tuple(int(plist.get_filter(number)[0]) for number in range(plist.get_nfilters()))
        return cls(filters, itemsize, size_bytes) if set(filters) <= {DEFLATE, SHUFFLE, FLETCHER32} else None

    def decode(self, stored: bytes, skipped: int, into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The chunk's bytes; bit ``i`` of ``skipped`` says that filter ``i`` was not applied.

        ``into`` is where they may be put, if that saves a copy; they are where the result is.

        Raises
        ------
        ChunkError
            The data is damaged, or of another size than the chunk.
        """
        content: bytes | bytearray | NDArray[np.uint8] = stored
        for number, filter_id in reversed(list(enumerate(self.filters))):
            if skipped >> number & 1:
                continue
            if filter_id == DEFLATE:
                try:
                    content = deflate.zlib_decompress(content, self.size_bytes + 4 * len(self.filters))
                except deflate.DeflateError as exc:
                    raise ChunkError("its deflate stream is damaged, or longer than the chunk") from exc
            elif filter_id == FLETCHER32:
                content = content[:-4] if _checksum_fits(content) else b""
                if not len(content):
                    raise ChunkError("its Fletcher-32 checksum does not fit")
            else:
                content = self._unshuffle(np.frombuffer(content, np.uint8), into)
        if len(content) != self.size_bytes:
            raise ChunkError(f"it holds {len(content):,} bytes instead of {self.size_bytes:,}")
        return np.frombuffer(content, np.uint8)

    def _unshuffle(self, content: NDArray[np.uint8], into: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        count = len(content) // self.itemsize
        if self.itemsize == 1 or count < 2:
            return content
        out = into if into is not None and len(into) == len(content) else np.empty(len(content), np.uint8)
        whole = count * self.itemsize
        elements = out[:whole].reshape(count, self.itemsize)
        for place, plane in enumerate(content[:whole].reshape(self.itemsize, count)):
            elements[:, place] = plane  # four times as fast as one assignment of the transposed planes
        out[whole:] = content[whole:]
        return out


_WORDS = 1 << 20
"""Words whose weighted sum is taken at once: it stays far below 2 to the 63rd."""


def _checksum_fits(content: bytes | bytearray | NDArray[np.uint8]) -> bool:
    """Whether the last four bytes are the Fletcher-32 sum of the others, as the library takes it (H5checksum.c).

    Words are big-endian and an odd last byte is the high one; both sums are modulo 65535. Early versions of the
    library stored the sum with the bytes of each half swapped.
    """
    if len(content) < 4:
        return False
    body = np.frombuffer(content, np.uint8)[:-4]
    stored = int.from_bytes(bytes(content[-4:]), "little")
    if len(body) % 2:
        body = np.append(body, np.uint8(0))
    words = body.view(">u2")
    first = second = 0
    for start in range(0, len(words), _WORDS):
        part = words[start : start + _WORDS].astype(np.int64)
        second += len(part) * first + int(part @ np.arange(len(part), 0, -1))
        first, second = (first + int(part.sum())) % 65535, second % 65535
    swapped = (stored & 0x00FF00FF) << 8 | (stored >> 8) & 0x00FF00FF
    return any((s >> 16) % 65535 == second and (s & 65535) % 65535 == first for s in (stored, swapped))


def chunk_corners(shape: Sequence[int], chunks: Sequence[int], first_row: int) -> Iterator[tuple[int, ...]]:
    """Coordinates of all chunks that hold the rows of one chunk's height."""
    sides = (range(0, side, chunk) for side, chunk in zip(shape[1:], chunks[1:], strict=True))
    return ((first_row, *rest) for rest in product(*sides))


def blame_chunk(dataset: Any, shape: Sequence[int], chunks: Sequence[int], row: int) -> tuple[int, ...]:
    """Coordinates of the chunk of a row that can't be read.

    Every chunk (of the first thousand) is tried by itself; the first is blamed where all of them pass.
    """
    corners = list(islice(chunk_corners(shape, chunks, row // chunks[0] * chunks[0]), 1000))
    for corner in corners if len(corners) > 1 else []:
        size = tuple(min(c, s - o) for c, s, o in zip(chunks, shape, corner, strict=True))
        space = dataset.get_space()
        space.select_hyperslab(corner, size)
        try:
            dataset.read(h5py.h5s.create_simple(size), space, np.empty(size, dataset.dtype))
        except LIBRARY_ERRORS:
            return corner
    return corners[0]


def chunk_info(dataset: Any, corner: tuple[int, ...]) -> Any:
    """What the library knows of where a chunk is stored, ``None`` if it does not find the chunk."""
    try:
        info = dataset.get_chunk_info_by_coord(corner)
    except LIBRARY_ERRORS:
        return None
    return None if info.byte_offset is None else info
