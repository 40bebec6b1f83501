"""Rows of one HDF5 dataset, in pieces: what could be read, and what was lost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from .base import BATCH_BYTES, Column
from .columns import BytesColumn
from .hdf5_file import OpenedFile
from .hdf5_heap import Heap, reference_dtype
from .hdf5_library import LIBRARY_ERRORS, one_line
from .hdf5_loss import Loss, Losses
from .hdf5_sources import LibrarySource, NotPlain, Source, make_source

Piece = tuple[int, int, Column | Loss]
"""First row, row behind the last, and what they hold or why they can't be read."""


class ColumnReader(ABC):
    """Reads the rows of one dataset.

    Attributes
    ----------
    rows
        Number of rows.
    row_bytes
        Bytes of a row, estimated for strings.
    unit
        Rows that are stored together.
    losses
        Losses known so far; reading adds to them.
    """

    rows: int
    row_bytes: int
    unit: int
    losses: Losses

    @abstractmethod
    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """All rows of a range, in order."""

    def fit(self, start: int, stop: int) -> int:
        """Where a batch that begins at ``start`` has to end to be of about the right size."""
        return stop


class FixedReader(ColumnReader):
    """Rows of fixed size, as an array."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.rows = source.rows if source.row_bytes else 0
        self.row_bytes = source.row_bytes
        self.unit = source.unit
        self.losses = Losses(source.losses)

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """See `ColumnReader.pieces`."""
        while start < stop:
            loss = self.losses.at(start)
            end = min(loss.stop, stop) if loss else self.losses.next_start(start, stop)
            if loss:
                yield start, end, loss
            else:
                yield from self._read(start, end)
            start = end

    def _read(self, start: int, stop: int) -> Iterator[Piece]:
        """Read rows; where that fails, halve them until it is down to what is stored together."""
        try:
            yield start, stop, self.fetch(start, stop)
        except LIBRARY_ERRORS as exc:
            first, last = start // self.unit, (stop - 1) // self.unit
            if first == last:
                loss = self.source.explain(start, exc)
                self.losses.add(loss)
                yield start, stop, loss
            else:
                middle = (first + last + 1) // 2 * self.unit
                yield from self._read(start, middle)
                yield from self._read(middle, stop)

    def fetch(self, start: int, stop: int) -> Column:
        """The rows; raises one of `LIBRARY_ERRORS` where one of them can't be read."""
        return self.source.read(start, stop)


class FixedStringReader(FixedReader):
    """Strings and opaque values of fixed length; text ends where its padding begins."""

    def fetch(self, start: int, stop: int) -> Column:
        """See `FixedReader.fetch`."""
        flat = np.ascontiguousarray(self.source.read(start, stop)).reshape(stop - start)
        width = flat.dtype.itemsize
        starts = np.arange(len(flat), dtype=np.int64) * width
        lengths = np.full(len(flat), width, np.int64)
        if flat.dtype.kind == "S":
            lengths = np.strings.str_len(flat).astype(np.int64)
        return BytesColumn(flat.view(np.uint8), starts, lengths)


class LibraryStringReader(FixedReader):
    """Variable-length values that the library has to fetch, since what points to them is not in plain sight."""

    def __init__(self, source: LibrarySource) -> None:
        super().__init__(source)
        self.dataset = source.dataset

    def fetch(self, start: int, stop: int) -> Column:
        """See `FixedReader.fetch`."""
        rows = np.atleast_1d(self.dataset[start:stop] if self.dataset.shape else self.dataset[()])
        return BytesColumn.from_strings([_as_bytes(value) for value in rows.reshape(-1)])


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return value if isinstance(value, bytes) else np.asarray(value).tobytes()


class HeapReader(ColumnReader):
    """Variable-length bytes and text, fetched from the file's heap without the library."""

    def __init__(self, opened: OpenedFile, references: Source, is_text: bool) -> None:
        self.references = FixedReader(references)
        self.rows = self.references.rows
        self.unit = self.references.unit
        self.losses = self.references.losses
        self.heap = Heap(opened)
        self.is_text = is_text
        self.row_bytes = references.row_bytes + self._usual_length()

    def _usual_length(self) -> int:
        """Mean length of the first rows."""
        pieces = self.references.pieces(0, min(self.rows, 1024))
        lengths = [piece["length"].reshape(-1) for _, _, piece in pieces if isinstance(piece, np.ndarray)]
        known = np.concatenate(lengths) if lengths else np.zeros(1, np.uint32)
        return int(np.minimum(known, self.heap.longest).mean()) if len(known) else 0

    def fit(self, start: int, stop: int) -> int:
        """See `ColumnReader.fit`."""
        total = 0
        for first, last, piece in self.references.pieces(start, stop):
            if isinstance(piece, np.ndarray):
                lengths = piece["length"].reshape(-1).astype(np.int64)
                sums = total + np.cumsum(np.where(lengths > self.heap.longest, 0, lengths))
                if sums[-1] > BATCH_BYTES:
                    return max(first + int(np.searchsorted(sums, BATCH_BYTES, "right")), start + 1)
                total = int(sums[-1])
            start = min(start, last)
        return stop

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """See `ColumnReader.pieces`."""
        for first, last, piece in self.references.pieces(start, stop):
            if not isinstance(piece, np.ndarray):
                yield first, last, piece
                continue
            strings, causes = self.heap.fetch(piece.reshape(-1))
            if self.is_text:
                strings = _unpadded(strings)
            cuts = [0, *(np.flatnonzero(np.diff(causes)) + 1).tolist(), len(causes)]
            for low, high in pairwise(cuts):
                cause = int(causes[low])
                if cause == 0:
                    yield first + low, first + high, strings.take(slice(low, high))
                else:
                    reason, offset = self.heap.cause(cause)
                    yield first + low, first + high, Loss(first + low, first + high, reason, offset=offset)


def _unpadded(strings: BytesColumn) -> BytesColumn:
    """Text without the NUL that some writers store behind it."""
    last = strings.starts + np.maximum(strings.lengths, 1) - 1
    if len(strings.buffer) == 0:
        return strings
    padded = (strings.lengths > 0) & (strings.buffer[np.minimum(last, len(strings.buffer) - 1)] == 0)
    return BytesColumn(strings.buffer, strings.starts, strings.lengths - padded)


class LostReader(ColumnReader):
    """A dataset of which nothing can be read."""

    def __init__(self, rows: int, reason: str) -> None:
        self.rows, self.row_bytes, self.unit = rows, 0, 1
        self.losses = Losses([Loss(0, rows, reason)])

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """See `ColumnReader.pieces`."""
        loss = self.losses.at(start)
        assert loss is not None
        yield start, stop, loss


def make_reader(opened: OpenedFile, dataset: Any, kind: str, field: str = "") -> ColumnReader:
    """The reader for a dataset; ``kind`` as in `DatasetInfo`."""
    try:
        if kind in ("text", "bytes") and dataset.dtype.kind == "O":
            return _variable_reader(opened, dataset, kind == "text")
        source = make_source(opened, dataset, field)
    except LIBRARY_ERRORS as exc:
        return LostReader((dataset.shape or (1,))[0], f"the dataset's description is damaged: {one_line(exc)}")
    return FixedStringReader(source) if source.dtype.base.kind in "SV" else FixedReader(source)


def _variable_reader(opened: OpenedFile, dataset: Any, is_text: bool) -> ColumnReader:
    reference = reference_dtype(opened.superblock)
    if reference is not None:
        try:
            return HeapReader(opened, make_source(opened, dataset, raw=reference), is_text)
        except NotPlain:
            pass
    source = make_source(opened, dataset)
    assert isinstance(source, LibrarySource)
    return LibraryStringReader(source)
