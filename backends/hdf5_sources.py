"""Where the rows of an HDF5 dataset come from: straight from the file, from its raw chunks, or from the library."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import DamageKind
from .hdf5_chunks import ChunkCodec, ChunkError, blame_chunk, chunk_corners, chunk_info, stored_holes
from .hdf5_file import OpenedFile
from .hdf5_library import LIBRARY_ERRORS, h5py, one_line
from .hdf5_links import open_inside
from .hdf5_loss import Loss

MAX_ROW_BYTES = 256 << 20
"""A longer row is refused: it is held in memory as a whole, more than once."""
MAX_CHUNK_BYTES = 1 << 30
"""A larger chunk is refused: the library inflates it as a whole for a single row of it."""
_CHUNKS_A_BLOCK = 4096
_CACHE_SLOTS = 10_007


class Source(ABC):
    """Rows of fixed size.

    Attributes
    ----------
    shape, dtype
        The dataset's shape, with a first axis even for a scalar, and the rows' dtype.
    unit
        Rows that are stored together: reading any of them fails or succeeds with the others.
    losses
        Rows of which is known beforehand that they can't be read.
    """

    unit: int = 1

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], losses: list[Loss]) -> None:
        self.shape = shape
        self.dtype = dtype
        self.losses = losses

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in memory."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @abstractmethod
    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows as ``(stop - start, ...)``; raises one of `LIBRARY_ERRORS` where one of them can't be read."""

    def explain(self, row: int, error: BaseException) -> Loss:
        """The loss of the unit that a row belongs to."""
        first = row // self.unit * self.unit
        return Loss(first, min(first + self.unit, self.rows), one_line(error))


class ContiguousSource(Source):
    """One stretch of the file, read past the library: as fast as the file itself."""

    def __init__(self, opened: OpenedFile, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(shape, dtype, [])
        self.data = opened.data
        self.offset = offset
        there = max(opened.size_bytes - offset, 0) // max(self.row_bytes, 1)
        self._there = min(there, self.rows)
        if self.row_bytes and there < self.rows:
            kind: DamageKind = "truncated" if opened.truncated else "damaged"
            lost = Loss(
                there, self.rows, "the rows lie past the end of the file", kind, offset + there * self.row_bytes
            )
            self.losses.append(lost)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """See `Source.read`."""
        offset, size = self.offset + start * self.row_bytes, (stop - start) * self.row_bytes
        if not size:
            return np.empty((stop - start, *self.shape[1:]), self.dtype)
        content = self.data.view(offset, size)
        if len(content) < size:
            raise OSError("the file became shorter while it was read")
        if stop < self._there:  # while these rows are looked at, the disk fetches the next ones
            self.data.prefetch(offset + size, min(size, (self._there - stop) * self.row_bytes))
        values = content.view(self.dtype).reshape(stop - start, *self.shape[1:])
        return values if values.flags.aligned else values.copy()  # some files begin a dataset at an odd byte


class LibrarySource(Source):
    """Whatever the library has to convert or to unpack; ``field`` picks one field of a compound."""

    def __init__(self, opened: OpenedFile, dataset: Any, dtype: np.dtype[Any], losses: list[Loss], field: str) -> None:
        super().__init__(dataset.shape or (1,), dtype, losses)
        self.opened = opened
        self.dataset = dataset
        self.field = field
        self.chunks: tuple[int, ...] | None = dataset.chunks if dataset.shape else None
        self.unit = self.chunks[0] if self.chunks else 1

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """See `Source.read`."""
        stored = np.dtype([(self.field, self.dtype)]) if self.field else self.dtype
        out = np.empty((stop - start, *self.shape[1:]), stored)
        if not out.size:
            return out[self.field] if self.field else out
        dataset = self.dataset.id
        space = dataset.get_space()
        if self.dataset.shape:
            size = (stop - start, *self.shape[1:])  # not that of the array: an element may be an array itself
            space.select_hyperslab((start, *(0,) * (len(size) - 1)), size)
            memory = h5py.h5s.create_simple(size)
        else:
            memory = h5py.h5s.create(h5py.h5s.SCALAR)
        dataset.read(memory, space, out, h5py.h5t.py_create(stored))
        return out[self.field] if self.field else out

    def explain(self, row: int, error: BaseException) -> Loss:
        """See `Source.explain`; names the chunk."""
        loss = super().explain(row, error)
        if self.chunks is None:
            return loss
        # A chunk that `ChunkSource` refused must not be handed to the library to find out which one it is.
        known = error.corner if isinstance(error, ChunkError) else None
        corner = known or blame_chunk(self.dataset.id, self.shape, self.chunks, row)
        info = chunk_info(self.dataset.id, corner)
        offset = None if info is None else int(info.byte_offset)
        past_end = offset is not None and offset + int(info.size) > self.opened.size_bytes
        reason = f"chunk {corner} "
        reason += "lies past the end of the file" if past_end else f"can't be read: {loss.reason}"
        kind: DamageKind = "truncated" if past_end and self.opened.truncated else "damaged"
        return Loss(loss.start, loss.stop, reason, kind, offset, {"chunk": list(corner)})


class ChunkSource(LibrarySource):
    """Chunks unpacked here: twice the library's speed, bounded, and none that a damaged index can crash.

    The library reads beyond a chunk that its index calls shorter than its checksum.
    """

    def __init__(
        self, opened: OpenedFile, dataset: Any, dtype: np.dtype[Any], losses: list[Loss], codec: ChunkCodec
    ) -> None:
        super().__init__(opened, dataset, dtype, losses, "")
        self.codec = codec
        self._block: tuple[int, NDArray[Any]] | None = None

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """See `Source.read`."""
        first, last = start // self.unit, (stop - 1) // self.unit
        if first == last:
            block = self._read_block(first)
            return block[start - first * self.unit : stop - first * self.unit]
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for number in range(first, last + 1):
            at = number * self.unit
            low, high = max(start, at), min(stop, at + self.unit)
            target = out[low - start : high - start]
            if self._one_chunk and len(target) == self.unit:
                self._unpack_into(at, target)
            else:
                target[...] = self._read_block(number)[low - at : high - at]
        return out

    @property
    def _one_chunk(self) -> bool:
        """Whether a chunk holds whole rows."""
        return self.chunks is not None and self.chunks[1:] == self.shape[1:]

    def _unpack_into(self, row: int, target: NDArray[Any]) -> None:
        chunk = self._chunk((row, *(0 for _ in self.shape[1:])), target)
        if not np.may_share_memory(chunk, target):
            target[...] = chunk

    def _read_block(self, number: int) -> NDArray[Any]:
        """All rows of one chunk's height; the last one is kept, for chunks that are larger than a batch."""
        if self._block is None or self._block[0] != number:
            self._block = None  # two at a time would be too many for large chunks
            self._block = (number, self._unpack(number * self.unit))
        return self._block[1]

    def _unpack(self, row: int) -> NDArray[Any]:
        assert self.chunks is not None
        height = min(self.unit, self.rows - row)
        corners = list(chunk_corners(self.shape, self.chunks, row))
        if self._one_chunk:
            return self._chunk(corners[0])[:height]
        out = np.empty((height, *self.shape[1:]), self.dtype)
        for corner in corners:
            target = out[(slice(None), *(slice(o, o + c) for o, c in zip(corner[1:], self.chunks[1:], strict=True)))]
            target[...] = self._chunk(corner)[tuple(slice(0, side) for side in target.shape)]
        return out

    def _chunk(self, corner: tuple[int, ...], into: NDArray[Any] | None = None) -> NDArray[Any]:
        assert self.chunks is not None
        try:
            skipped, stored = self.dataset.id.read_direct_chunk(corner)
        except LIBRARY_ERRORS as exc:
            raise ChunkError(one_line(exc), corner) from exc
        try:
            place = None if into is None else into.reshape(-1).view(np.uint8)
            return self.codec.decode(stored, skipped, place).view(self.dtype).reshape(self.chunks)
        except ChunkError as exc:
            # An edge chunk may be stored without filters and without a mark that says so.
            if len(stored) == self.codec.size_bytes:
                return np.frombuffer(stored, self.dtype).reshape(self.chunks)
            raise ChunkError(str(exc), corner) from exc


class NotPlain(Exception):
    """The stored bytes of a dataset can't be had as they are."""


def make_source(opened: OpenedFile, dataset: Any, field: str = "", raw: np.dtype[Any] | None = None) -> Source:
    """The fastest safe way to a dataset's rows.

    ``field`` picks a field of a compound. ``raw`` is the dtype of the stored bytes where they are wanted as they
    are, which are references to variable-length data.

    Raises
    ------
    NotPlain
        The stored bytes can't be had: they lie in the object header, or behind filters that are the library's.
    """
    shape: tuple[int, ...] = tuple(dataset.shape)
    whole = shape or (1,)
    stored = np.dtype(dataset.dtype)
    dtype = raw or (stored.fields[field][0] if field and stored.fields is not None else stored)
    plist = dataset.id.get_create_plist()
    layout = plist.get_layout()
    as_stored = raw is not None or (not field and stored_as(dataset.id.get_type(), stored))
    itemsize = raw.itemsize if raw else int(dataset.id.get_type().get_size())
    losses = _refused(dataset, plist, whole, itemsize)
    if not losses and layout == h5py.h5d.CONTIGUOUS:
        offset = dataset.id.get_offset()
        if offset is None and 0 not in whole:
            losses = [Loss(0, whole[0], "its data was never written; readers get the fill value")]
        elif offset is not None and as_stored:
            return ContiguousSource(opened, int(offset), whole, dtype)
    if not losses and layout == h5py.h5d.CHUNKED:
        losses = stored_holes(dataset.id, shape, dataset.chunks)
        codec = ChunkCodec.for_plist(plist, itemsize, math.prod(dataset.chunks) * itemsize)
        if as_stored and codec is not None and (raw or codec.filters) and _fits(whole, dataset, codec):
            return ChunkSource(opened, dataset, dtype, losses, codec)
        if raw is not None:
            raise NotPlain
    if raw is not None and layout == h5py.h5d.COMPACT:
        raise NotPlain
    return LibrarySource(opened, dataset, dtype, losses, field)


def stored_as(stored: Any, dtype: np.dtype[Any]) -> bool:
    """Whether bytes of a stored type are what numpy takes them for."""
    try:
        if dtype.kind in "SVb":
            return dtype.names is None and dtype.subdtype is None and bool(stored.get_size() == dtype.itemsize)
        return dtype.kind in "iuf" and dtype.metadata is None and bool(h5py.h5t.py_create(dtype).equal(stored))
    except LIBRARY_ERRORS:
        return False


def _refused(dataset: Any, plist: Any, shape: tuple[int, ...], itemsize: int) -> list[Loss]:
    row_bytes = math.prod(shape[1:]) * itemsize
    if row_bytes > MAX_ROW_BYTES:
        return [Loss(0, shape[0], f"one row takes {row_bytes:,} bytes: refused, the limit is {MAX_ROW_BYTES:,}")]
    size = math.prod(dataset.chunks) * itemsize if plist.get_layout() == h5py.h5d.CHUNKED else 0
    if size > MAX_CHUNK_BYTES:
        return [Loss(0, shape[0], f"one chunk takes {size:,} bytes: refused, the limit is {MAX_CHUNK_BYTES:,}")]
    return []


def _chunks_of_one_height(dataset: Any, shape: tuple[int, ...]) -> int:
    chunks: tuple[int, ...] = dataset.chunks
    return math.prod(-(-side // chunk) for side, chunk in zip(shape[1:], chunks[1:], strict=True))


def _fits(shape: tuple[int, ...], dataset: Any, codec: ChunkCodec) -> bool:
    """Whether all chunks of one height can be held together."""
    count = _chunks_of_one_height(dataset, shape)
    return count <= _CHUNKS_A_BLOCK and count * codec.size_bytes <= MAX_ROW_BYTES


def open_dataset(root: Any, path: bytes) -> Any | None:
    """Open a dataset with a chunk cache that holds all chunks of one height: so each is unpacked once.

    ``None`` where the path does not lead to a dataset of this file.
    """
    opened = open_inside(root, path)
    if not isinstance(opened, h5py.h5d.DatasetID):
        return None
    dataset = h5py.Dataset(opened)
    if dataset.chunks is None or not dataset.shape:
        return dataset
    count = _chunks_of_one_height(dataset, dataset.shape)
    chunk_bytes = math.prod(dataset.chunks) * int(opened.get_type().get_size())
    cache_bytes = max(min(count * chunk_bytes, MAX_CHUNK_BYTES), 1 << 20)
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(_CACHE_SLOTS, cache_bytes, 1.0)
    del dataset, opened  # the library has one cache for an open dataset: the first one to open it decides
    return h5py.Dataset(h5py.h5d.open(root, path, access))
