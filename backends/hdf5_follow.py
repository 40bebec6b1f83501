"""Rows of datasets whose data lies in other files: external raw storage and virtual datasets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import ReadOnlyFile
from .hdf5_describe import LOCAL, describe, value_kind
from .hdf5_file import OpenedFile
from .hdf5_library import LIBRARY_ERRORS, h5py, one_line
from .hdf5_loss import Loss
from .hdf5_outside import NotFollowed, Surroundings
from .hdf5_sources import MAX_ROW_BYTES, Source, make_source, open_dataset, stored_as

_KINDS = ("numeric", "bool", "enum", "complex")
_MAX_MAPPINGS = 10_000


def outside_source(dataset: Any, home: OpenedFile, surroundings: Surroundings) -> Source:
    """The rows of a dataset (a low-level one) whose data lies, all or in part, in other files.

    Raises
    ------
    NotFollowed
        The data is of a kind, or laid out in a way, that is not read from outside.
    """
    try:
        plist = dataset.get_create_plist()
        _, kind, problem = value_kind(dataset)
        if problem or kind not in _KINDS:
            raise NotFollowed("only numbers are read from other files")
        if plist.get_external_count():
            return _raw_source(dataset, plist, home, surroundings)
        return _virtual_source(dataset, plist, home, surroundings)
    except LIBRARY_ERRORS as exc:
        raise NotFollowed(one_line(exc)) from exc


# ---- raw bytes in other files ----


@dataclass(frozen=True, slots=True)
class _Segment:
    """Bytes ``start:stop`` of the data and where they lie; ``file`` is ``None`` where they are not to be had."""

    start: int
    stop: int
    file: ReadOnlyFile | None
    offset: int
    reason: str = ""


class RawSource(Source):
    """The bytes of a dataset, one file after the other."""

    def __init__(self, segments: Sequence[_Segment], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(shape, dtype, [])
        self.segments = segments
        for segment in segments:
            there = segment.start
            reason = segment.reason
            if segment.file is not None:
                there += max(segment.file.size_bytes - segment.offset, 0)
                reason = f"its raw data lies past the end of {segment.file.path}"
            if there < segment.stop:
                self._lose(there, segment.stop, reason)
        covered = segments[-1].stop if segments else 0
        if covered < self.rows * self.row_bytes:
            self._lose(covered, self.rows * self.row_bytes, "the raw files that it names are too small for it")

    def _lose(self, start: int, stop: int, reason: str) -> None:
        first = max(start // self.row_bytes, self.losses[-1].stop if self.losses else 0)
        last = min(-(-stop // self.row_bytes), self.rows)
        if first < last:
            self.losses.append(Loss(first, last, reason, "external-reference"))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """See `Source.read`."""
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        view = out.reshape(-1).view(np.uint8)
        low, high = start * self.row_bytes, stop * self.row_bytes
        for segment in self.segments:
            first, last = max(segment.start, low), min(segment.stop, high)
            if first < last:
                part = view[first - low : last - low]
                at = segment.offset + first - segment.start
                if segment.file is None or segment.file.read_into(part, at) < len(part):
                    raise OSError("a raw file became shorter while it was read")
        return out


def _raw_source(dataset: Any, plist: Any, home: OpenedFile, surroundings: Surroundings) -> Source:
    shape = tuple(int(side) for side in dataset.shape) or (1,)
    dtype = np.dtype(dataset.dtype)
    if not stored_as(dataset.get_type(), dtype):
        raise NotFollowed("its values would have to be converted")
    segments: list[_Segment] = []
    start, needed = 0, int(np.prod(shape, dtype=object)) * dtype.itemsize
    if 0 < needed // max(shape[0], 1) > MAX_ROW_BYTES or not needed:
        raise NotFollowed("its rows are empty or too large")
    for number in range(min(int(plist.get_external_count()), _MAX_MAPPINGS)):
        name, offset, size = plist.get_external(number)
        stop = min(start + int(size), needed)
        try:
            segments.append(_Segment(start, stop, surroundings.raw(name, home), int(offset)))
        except NotFollowed as exc:
            shown = name.decode("utf-8", "backslashreplace")
            segments.append(_Segment(start, stop, None, 0, f"its raw data in {shown} is not read: {exc}"))
        start = stop
        if start == needed:
            break
    return RawSource(segments, shape, dtype)


# ---- virtual datasets ----


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows ``start:stop``, which are those of a source from ``first`` on; of a whole source where it is one row."""

    start: int
    stop: int
    source: Source
    first: int
    is_row: bool = False


class VirtualSource(Source):
    """The rows of other datasets, one after the other."""

    def __init__(
        self, pieces: Sequence[_Piece], shape: tuple[int, ...], dtype: np.dtype[Any], losses: list[Loss]
    ) -> None:
        super().__init__(shape, dtype, losses)
        self.pieces = sorted(pieces, key=lambda piece: piece.start)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """See `Source.read`."""
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for piece in self._between(start, stop):
            low, high = max(piece.start, start), min(piece.stop, stop)
            first = piece.first + low - piece.start
            if piece.is_row:
                out[low - start] = piece.source.read(0, piece.source.rows)
            else:
                out[low - start : high - start] = piece.source.read(first, first + high - low)
        return out

    def explain(self, row: int, error: BaseException) -> Loss:
        """See `Source.explain`; the reason is the source's own."""
        (piece,) = self._between(row, row + 1)
        inner = piece.source.explain(0 if piece.is_row else piece.first + row - piece.start, error)
        return replace(inner, start=row, stop=row + 1)

    def _between(self, start: int, stop: int) -> Iterator[_Piece]:
        return (piece for piece in self.pieces if piece.start < stop and start < piece.stop)


def _virtual_source(dataset: Any, plist: Any, home: OpenedFile, surroundings: Surroundings) -> Source:
    count = int(plist.get_virtual_count())
    if count > _MAX_MAPPINGS:
        raise NotFollowed(f"it is made of more than {_MAX_MAPPINGS:,} pieces")
    # Asking a dataset for its shape would open its sources where one of the mappings grows with them.
    mapped = [_mapped(plist, number) for number in range(count)]
    shape = tuple(int(side) for side in dataset.shape) or (1,)
    dtype = np.dtype(dataset.dtype)
    if int(np.prod(shape[1:], dtype=object)) * dtype.itemsize > MAX_ROW_BYTES:
        raise NotFollowed("its rows are too large")
    pieces: list[_Piece] = []
    losses: list[Loss] = []
    at = 0
    for (start, stop), number in sorted(zip([rows or (0, shape[0]) for rows in mapped], range(count), strict=True)):
        if start < at:
            raise NotFollowed("its pieces overlap")
        if start > at:
            losses.append(Loss(at, start, "no source is mapped to these rows; readers get the fill value"))
        at = stop
        name = f"{plist.get_virtual_filename(number)}:{plist.get_virtual_dsetname(number)}"
        try:
            piece = _piece(plist, number, (start, stop), shape, dtype, home, surroundings)
        except NotFollowed as exc:
            losses.append(Loss(start, stop, f"its source {name} is not read: {exc}", "external-reference"))
            continue
        pieces.append(piece)
        losses += _shifted(piece)
    if at < shape[0]:
        losses.append(Loss(at, shape[0], "no source is mapped to these rows; readers get the fill value"))
    return VirtualSource(pieces, shape, dtype, losses)


def _mapped(plist: Any, number: int) -> tuple[int, int] | None:
    if "%" in plist.get_virtual_filename(number) + plist.get_virtual_dsetname(number):
        raise NotFollowed("the names of its sources are patterns")
    return _whole_rows(plist.get_virtual_vspace(number))


def _whole_rows(space: Any) -> tuple[int, int] | None:
    """Which rows a selection takes, all of each; ``None`` for all there are.

    Raises
    ------
    NotFollowed
        It is of another form, or without end.
    """
    shape = space.shape
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return None
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        raise NotFollowed("it is not made of whole rows")
    ranges = []
    for start, stride, count, block in zip(*space.get_regular_hyperslab(), strict=True):
        if h5py.h5s.UNLIMITED in (count, block) or (count > 1 and stride != block):
            raise NotFollowed("it is not made of whole rows of sources of known size")
        ranges.append((int(start), int(start + count * block)))
    if any((0, int(side)) != taken for side, taken in zip(shape[1:], ranges[1:], strict=True)):
        raise NotFollowed("it is not made of whole rows")
    return ranges[0]


def _piece(
    plist: Any,
    number: int,
    rows: tuple[int, int],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    home: OpenedFile,
    surroundings: Surroundings,
) -> _Piece:
    filename = plist.get_virtual_filename(number).encode("utf-8", "surrogateescape")
    opened = home if filename in LOCAL else surroundings.hdf5(filename, home)
    path = plist.get_virtual_dsetname(number).encode("utf-8", "surrogateescape")
    assert opened.file is not None
    dataset = open_dataset(opened.file.id, path)
    if dataset is None:
        raise NotFollowed("there is no such dataset")
    described = describe(dataset.id)
    if described.damages or described.sources:
        raise NotFollowed("it refers to other data itself")
    if described.datasets[0].reason:
        raise NotFollowed(described.datasets[0].reason)
    if dataset.dtype != dtype:
        raise NotFollowed(f"it holds {dataset.dtype}, not {dtype}")
    start, stop = rows
    source = make_source(opened, dataset)
    taken = _whole_rows(plist.get_virtual_srcspace(number)) or (0, source.rows)
    if source.shape[1:] == shape[1:] and taken[1] - taken[0] == stop - start:
        if taken[1] > source.rows:
            raise NotFollowed(f"it has {source.rows:,} rows, {taken[1]:,} are named")
        return _Piece(start, stop, source, taken[0])
    if taken == (0, source.rows) and source.shape == shape[1:] and stop - start == 1:
        return _Piece(start, stop, source, 0, is_row=True)
    raise NotFollowed("it is not taken row by row")


def _shifted(piece: _Piece) -> Iterator[Loss]:
    """Rows of a piece of which the source knows that they are lost."""
    for loss in piece.source.losses:
        if piece.is_row:
            yield replace(loss, start=piece.start, stop=piece.stop)
            return
        start = max(loss.start - piece.first, 0) + piece.start
        stop = min(loss.stop - piece.first + piece.start, piece.stop)
        if start < stop:
            yield replace(loss, start=start, stop=stop)
