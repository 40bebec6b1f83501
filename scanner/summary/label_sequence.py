"""The labels in store order, a byte or two a record, and what their order says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def known(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = self.labels != self.none
        return known

    def at(self, positions: NDArray[np.int64]) -> list[int | None]:
        places = positions - self.first
        if self.offsets is not None:
            found = np.minimum(np.searchsorted(self.offsets, places), len(self.offsets) - 1)
            inside = self.offsets[found] == places
            places = found
        else:
            inside = places < len(self.labels)
        labels = self.labels[np.where(inside, places, 0)].tolist()
        none = self.none
        return [
            label if there and label != none else None for label, there in zip(labels, inside.tolist(), strict=True)
        ]

    def position(self, label: int) -> int | None:
        places = np.flatnonzero(self.labels == label)
        if not len(places) or label == self.none:
            return None
        return self.first + int(places[0] if self.offsets is None else self.offsets[places[0]])


class LabelSequence:
    """The integer label of each position, ``None`` where there is no class."""

    def __init__(self) -> None:
        self._chunks: list[_Chunk] = []

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
        if self._chunks:
            last = self._chunks[-1]
            if (
                last.offsets is None
                and chunk.offsets is None
                and last.labels.dtype == chunk.labels.dtype
                and last.first + len(last.labels) == chunk.first
                and len(last.labels) + len(chunk.labels) <= CHUNK
            ):
                self._chunks[-1] = replace(last, labels=np.concatenate([last.labels, chunk.labels]))
                return
        self._chunks.append(chunk)

    def merge(self, later: LabelSequence, offset: int) -> None:
        """Take in the labels of what follows in store order; their positions move by ``offset``."""
        for chunk in later._chunks:
            self._append(replace(chunk, first=chunk.first + offset))

    def clear(self) -> None:
        """Forget everything."""
        self._chunks.clear()

    def at(self, positions: Sequence[int]) -> list[int | None]:
        """The labels at some positions, ``None`` where there is none."""
        wanted = np.asarray(positions, np.int64)
        labels: list[int | None] = [None] * len(wanted)
        starts = np.array([chunk.first for chunk in self._chunks], np.int64)
        chunk_of = np.searchsorted(starts, wanted, "right") - 1
        for number in np.unique(chunk_of[chunk_of >= 0]).tolist():
            places = np.flatnonzero(chunk_of == number)
            for place, label in zip(places.tolist(), self._chunks[number].at(wanted[places]), strict=True):
                labels[place] = label
        return labels

    def first_position(self, label: int) -> int | None:
        """Where a label occurs first."""
        return next((p for chunk in self._chunks if (p := chunk.position(label)) is not None), None)

    def known(self) -> Iterator[NDArray[np.signedinteger[Any]]]:
        """The labels in order, piece by piece, without the records that have no class."""
        for chunk in self._chunks:
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
