"""The labels in store order, a byte or two a record, and what their order says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spill import SpillError, SpillFile, Workspace

NO_LABEL = int(np.iinfo(np.int64).min)
"""Stands for no class among labels of 64 bits."""

CHUNK = 1 << 14
"""Neighbouring chunks are joined up to this length, so that small batches do not leave many small arrays."""

SPREAD = 4
"""Positions that lie further apart than this, on average, are kept one by one instead of as holes."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Labels of ascending positions: ``first + offsets``, or from ``first`` on without gaps.

    ``labels`` is of the smallest signed integer type that can hold them; its minimum stands for no class.
    """

    first: int
    labels: NDArray[np.signedinteger[Any]]
    offsets: NDArray[np.int64] | None = None

    @property
    def none(self) -> int:
        return int(np.iinfo(self.labels.dtype).min)

    @property
    def nbytes(self) -> int:
        return self.labels.nbytes + (0 if self.offsets is None else self.offsets.nbytes)

    def known(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = self.labels != self.none
        return known

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        places = positions - self.first
        if self.offsets is not None:
            found = np.minimum(np.searchsorted(self.offsets, places), len(self.offsets) - 1)
            inside = self.offsets[found] == places
            places = found
        else:
            inside = places < len(self.labels)
        labels = self.labels[np.where(inside, places, 0)]
        return np.where(inside & (labels != self.none), labels.astype(np.int64), NO_LABEL)

    def position(self, label: int) -> int | None:
        places = np.flatnonzero(self.labels == label)
        if not len(places) or label == self.none:
            return None
        return self.first + int(places[0] if self.offsets is None else self.offsets[places[0]])

    def widened(self, dtype: np.dtype[Any]) -> _Chunk:
        """The same labels in a larger type."""
        if self.labels.dtype == dtype:
            return self
        labels = self.labels.astype(dtype)
        labels[~self.known()] = np.iinfo(dtype).min
        return replace(self, labels=labels)


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a `_Chunk` lies in a file: its labels, and behind them its offsets if it has any."""

    first: int
    start: int
    count: int
    dtype: str
    with_offsets: bool

    def load(self, file: SpillFile) -> _Chunk:
        labels = np.empty(self.count, self.dtype)
        file.read(self.start, labels)
        offsets = np.empty(self.count, np.int64) if self.with_offsets else None
        if offsets is not None:
            file.read(self.start + labels.nbytes, offsets)
        return _Chunk(self.first, labels, offsets)


class LabelSequence:
    """The integer label of each position, where there is a class. What was spilled comes before what is in memory."""

    def __init__(self) -> None:
        self._chunks: list[_Chunk] = []
        self._stored: list[_Stored] = []
        self._file: SpillFile | None = None
        self._failure: SpillError | None = None
        self.nbytes = 0

    def add(self, positions: NDArray[np.int64], labels: NDArray[np.int64], known: NDArray[np.bool_] | None) -> None:
        """Append labels at ascending positions behind those already here; ``known`` is ``None`` if all are."""
        if len(positions) == 0:
            return
        real = labels if known is None else labels[known]
        dtype = _smallest(int(real.min()), int(real.max())) if len(real) else np.dtype(np.int8)
        none = np.iinfo(dtype).min
        compact = labels.astype(dtype)
        if known is not None:
            compact[~known] = none
        first = int(positions[0])
        span = int(positions[-1]) - first + 1
        if span == len(positions):
            self._append(_Chunk(first, compact))
        elif span <= SPREAD * len(positions):
            with_holes = np.full(span, none, dtype)
            with_holes[positions - first] = compact
            self._append(_Chunk(first, with_holes))
        else:
            self._append(_Chunk(first, compact, positions - first))

    def _append(self, chunk: _Chunk) -> None:
        if self._failure is not None:
            return
        if self._chunks:
            last = self._chunks[-1]
            if (
                last.offsets is None
                and chunk.offsets is None
                and last.first + len(last.labels) == chunk.first
                and len(last.labels) + len(chunk.labels) <= CHUNK
            ):
                dtype = max(last.labels.dtype, chunk.labels.dtype, key=lambda kind: kind.itemsize)
                labels = np.concatenate([last.widened(dtype).labels, chunk.widened(dtype).labels])
                self.nbytes += labels.nbytes - last.nbytes
                self._chunks[-1] = replace(last, labels=labels)
                return
        self._chunks.append(chunk)
        self.nbytes += chunk.nbytes

    def merge(self, later: LabelSequence, offset: int) -> None:
        """Take in the labels of what follows in store order; their positions move by ``offset``."""
        for chunk in later._chunks:
            self._append(replace(chunk, first=chunk.first + offset))

    def spill(self, workspace: Workspace) -> None:
        """Move what is in memory to disk. A disk that is full is told by whoever asks for the labels."""
        try:
            if self._file is None and self._chunks:
                self._file = workspace.open()
            for chunk in self._chunks:
                assert self._file is not None
                start = self._file.append(chunk.labels)
                if chunk.offsets is not None:
                    self._file.append(chunk.offsets)
                dtype, with_offsets = chunk.labels.dtype.str, chunk.offsets is not None
                self._stored.append(_Stored(chunk.first, start, len(chunk.labels), dtype, with_offsets))
        except SpillError as exc:
            self.clear()
            self._failure = exc
        self._chunks.clear()
        self.nbytes = 0

    def clear(self) -> None:
        """Forget everything."""
        self._chunks.clear()
        self._stored.clear()
        self._file = None
        self.nbytes = 0

    def chunks(self) -> Iterator[_Chunk]:
        """The labels piece by piece, in order.

        Raises
        ------
        SpillError
            There was no room for them.
        """
        if self._failure is not None:
            raise self._failure
        for stored in self._stored:
            assert self._file is not None
            yield stored.load(self._file)
        yield from self._chunks

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The labels at some ascending positions, `NO_LABEL` where there is none.

        Raises
        ------
        SpillError
            There was no room for them.
        """
        if self._failure is not None:
            raise self._failure
        labels = np.full(len(positions), NO_LABEL, np.int64)
        starts = np.array([one.first for one in self._stored] + [one.first for one in self._chunks], np.int64)
        cuts = np.searchsorted(positions, starts)
        for number in np.flatnonzero(np.diff(cuts, append=len(positions))).tolist():
            stop = cuts[number + 1] if number + 1 < len(cuts) else len(positions)
            labels[cuts[number] : stop] = self._chunk(number).at(positions[cuts[number] : stop])
        return labels

    def _chunk(self, number: int) -> _Chunk:
        if number >= len(self._stored):
            return self._chunks[number - len(self._stored)]
        assert self._file is not None
        return self._stored[number].load(self._file)

    def first_position(self, label: int) -> int | None:
        """Where a label occurs first."""
        return next((p for chunk in self.chunks() if (p := chunk.position(label)) is not None), None)

    def known(self) -> Iterator[NDArray[np.signedinteger[Any]]]:
        """The labels in order, piece by piece, without the records that have no class."""
        for chunk in self.chunks():
            labels = chunk.labels[chunk.known()]
            if len(labels):
                yield labels

    def runs(self) -> int:
        """How many runs of equal labels there are."""
        runs, last = 0, None
        for labels in self.known():
            runs += int(np.count_nonzero(labels[1:] != labels[:-1])) + (last is None or int(labels[0]) != last)
            last = int(labels[-1])
        return runs

    def batch_classes(self, batch_size: int) -> tuple[int, int]:
        """Number of full batches, and the number of distinct labels in each, summed over them."""
        batches = distinct = 0
        for block in _blocks(self.known(), batch_size):
            ordered = np.sort(block, axis=1)
            batches += len(block)
            distinct += len(block) + int(np.count_nonzero(ordered[:, 1:] != ordered[:, :-1]))
        return batches, distinct


def _smallest(low: int, high: int) -> np.dtype[np.signedinteger[Any]]:
    for kind in (np.int8, np.int16, np.int32):
        limits = np.iinfo(kind)
        if limits.min < low and high <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.int64)


def _blocks(pieces: Iterable[NDArray[np.signedinteger[Any]]], width: int) -> Iterator[NDArray[np.signedinteger[Any]]]:
    """The pieces, one after the other, as ``(batches, width)``; what does not fill a batch at the end is left out."""
    waiting: list[NDArray[np.signedinteger[Any]]] = []
    length = 0
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= width:
            joined = np.concatenate(waiting)
            full = length - length % width
            yield joined[:full].reshape(-1, width)
            waiting, length = [joined[full:]], length - full
