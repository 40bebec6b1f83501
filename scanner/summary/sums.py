"""Moments of a block of arrays, in pieces that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .moments import Floats, Moments

PIECE = 1 << 18
"""Elements worked on at a time: 1 MB of float32."""

SPAN = 256
"""Elements summed in the working precision: so many squares of bytes are exact in float32 (256 * 255**2 < 2**24)."""

_ONES: dict[int, NDArray[Any]] = {4: np.ones(SPAN, np.float32), 8: np.ones(SPAN, np.float64)}

PIVOT = 30
"""Where the mean is so many standard deviations from 0, sums of squares lose digits: deviations are summed instead."""


def block_moments(values: NDArray[Any], channel_axis: int | None) -> Moments | None:
    """Moments of each channel over a block ``(records, ...)``; ``None`` where the dtype holds no numbers.

    NaN and infinities are left out. Sums of 8-bit values are exact. Complex values count as two numbers each.
    """
    if values.dtype.kind not in "buifc":
        return None
    block = _arranged(values, channel_axis)
    if block.size == 0:
        return Moments.empty(block.shape[2])
    with np.errstate(all="ignore"):  # what overflows is summed again with care
        moments = _summed(block, None)
        if block.dtype.itemsize > 1 and bool((np.abs(moments.mean) > PIVOT * moments.std).any()):
            moments = _summed(block, moments.mean)
    return moments


def _arranged(values: NDArray[Any], channel_axis: int | None) -> NDArray[Any]:
    """The block as ``(records, outer, channels, inner)`` real numbers; no copy where records are contiguous."""
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    parts = 1
    if values.dtype.kind == "c":
        parts = 2
        values = np.ascontiguousarray(values)[..., None].view(values.real.dtype)
    axis = len(values.shape) if channel_axis is None else channel_axis
    shape = values.shape
    if channel_axis is None:
        return values.reshape(len(values), 1, 1, prod(shape[1:]))
    return values.reshape(len(values), prod(shape[1:axis]), shape[axis], max(prod(shape[axis + 1 :]), parts))


def _summed(block: NDArray[Any], pivot: Floats | None) -> Moments:
    """Moments of a block, from sums of what is left after taking ``pivot`` from each channel."""
    sums = _Sums(block, pivot)
    for piece, part in _pieces(block):
        sums.add(piece, part)
    return sums.moments()


class _Sums:
    """Sums over the pieces of a block; pieces with values that are not finite are set apart."""

    def __init__(self, block: NDArray[Any], pivot: Floats | None) -> None:
        channels = block.shape[2]
        self.pivot = np.zeros(channels) if pivot is None else pivot
        self.shifted = pivot is not None
        self.exact = block.dtype.itemsize == 1
        single = self.exact or (block.dtype.kind == "f" and block.dtype.itemsize <= 4)
        self.buffer = np.empty(min(max(PIECE, channels), block.size), np.float32 if single else np.float64)
        self.count = np.zeros(channels, np.int64)
        self.total, self.squares = np.zeros(channels), np.zeros(channels)
        self.minimum, self.maximum = np.full(channels, np.inf), np.full(channels, -np.inf)
        self.careful = Moments.empty(channels)

    def add(self, piece: NDArray[Any], part: slice) -> None:
        """Take in a piece that holds some of the channels."""
        work = self._working(piece)
        low, high = self._extremes(piece if piece.dtype.kind in "ui" else work, part)
        if self.shifted:
            work -= self.pivot[part, None]
        total, squares = _interleaved_sums(work) if _interleaved(work) else _planar_sums(work)
        if not (self.exact or (np.isfinite(total).all() and np.isfinite(squares).all())):
            here = Moments.empty(len(self.count))
            for figure, found in zip(here.figures, _careful(piece).figures, strict=True):
                figure[part] = found
            self.careful.merge(here)
            return
        self.count[part] += piece.size // piece.shape[2]
        self.total[part] += total
        self.squares[part] += squares
        self.minimum[part], self.maximum[part] = low, high

    def _working(self, piece: NDArray[Any]) -> NDArray[Any]:
        """The piece in the working precision: a copy where it is changed later, or not of that precision."""
        if piece.dtype == self.buffer.dtype and not self.shifted and not _interleaved(piece):
            return piece
        work = self.buffer[: piece.size].reshape(piece.shape)
        np.copyto(work, piece, casting="unsafe")
        return work

    def _extremes(self, source: NDArray[Any], part: slice) -> tuple[Floats, Floats]:
        """Minimum and maximum, this piece included. Bytes that have been 0 and 255 need no further search."""
        low, high = self.minimum[part], self.maximum[part]
        byte = source.dtype == np.uint8
        if not (byte and (low == 0).all()):
            low = np.minimum(low, _extreme(np.minimum, source))
        if not (byte and (high == 255).all()):
            high = np.maximum(high, _extreme(np.maximum, source))
        return low, high

    def moments(self) -> Moments:
        """The moments of all pieces together."""
        moments = Moments.of_sums(self.count, self.total, self.squares, self.minimum, self.maximum)
        moments.mean += np.where((self.count > 0) & self.shifted, self.pivot, 0.0)
        moments.merge(self.careful)
        return moments


def _pieces(block: NDArray[Any]) -> Iterator[tuple[NDArray[Any], slice]]:
    """Parts of the block of at most `PIECE` elements (or one pixel), each with the channels that it holds."""
    records, outer, channels, inner = block.shape
    everything = slice(0, channels)
    if outer * channels * inner <= PIECE:
        step = PIECE // (outer * channels * inner)
        for start in range(0, records, step):
            yield block[start : start + step], everything
    elif inner == 1:
        step = max(PIECE // channels, 1)
        for record in range(records):
            for start in range(0, outer, step):
                yield block[record : record + 1, start : start + step], everything
    else:
        for record, row in np.ndindex(records, outer):
            yield from _planes(block[record : record + 1, row : row + 1])


def _planes(block: NDArray[Any]) -> Iterator[tuple[NDArray[Any], slice]]:
    channels, inner = block.shape[2:]
    step = max(PIECE // inner, 1)
    for channel in range(0, channels, step):
        part = slice(channel, min(channel + step, channels))
        for start in range(0, inner, PIECE):
            yield block[:, :, part, start : start + PIECE], part


def _interleaved(work: NDArray[Any]) -> bool:
    return bool(work.shape[3] == 1 and work.shape[2] > 1)


def _planar_sums(work: NDArray[Any]) -> tuple[Floats, Floats]:
    """Totals and squares of channels whose values lie side by side."""
    inner = work.shape[3]
    rows = work.reshape(-1, inner)
    ones = _ONES[work.dtype.itemsize]
    whole = inner // SPAN * SPAN
    total, squares = np.zeros((2, len(rows)))
    if whole:
        spans = rows[:, :whole].reshape(len(rows), -1, SPAN)
        np.add.reduce(np.vecdot(spans, ones), axis=1, dtype=np.float64, out=total)
        np.add.reduce(np.vecdot(spans, spans), axis=1, dtype=np.float64, out=squares)
    if whole < inner:
        rest = rows[:, whole:]
        total += np.vecdot(rest, ones[: inner - whole])
        squares += np.vecdot(rest, rest)
    return total.reshape(work.shape[:3]).sum(axis=(0, 1)), squares.reshape(work.shape[:3]).sum(axis=(0, 1))


def _interleaved_sums(work: NDArray[Any]) -> tuple[Floats, Floats]:
    """Totals and squares of channels that alternate; overwrites ``work``."""
    total = _column_sums(work)
    np.multiply(work, work, out=work)
    return total, _column_sums(work)


def _column_sums(work: NDArray[Any]) -> Floats:
    """Sum of each channel. Many pixels side by side make rows that are long enough to be added fast."""
    body, rest = _columns(work)
    channels = work.shape[2]
    total: Floats = rest.sum(axis=0, dtype=np.float64)
    for start in range(0, len(body), SPAN):
        wide = body[start : start + SPAN].sum(axis=0)
        total += wide.reshape(-1, channels).sum(axis=0, dtype=np.float64)
    return total


def _extreme(extreme: np.ufunc, work: NDArray[Any]) -> NDArray[Any]:
    """Minimum or maximum of each channel."""
    if not _interleaved(work):
        planes = extreme.reduce(work, axis=0)  # across records first: long rows are compared fastest
        return np.asarray(extreme.reduce(planes, axis=(0, 2)))
    body, rest = _columns(work)
    parts = [rest] if len(rest) else []
    if len(body):
        parts.append(extreme.reduce(body, axis=0).reshape(-1, work.shape[2]))
    return np.asarray(extreme.reduce(np.concatenate(parts), axis=0))


def _columns(work: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pixels in rows of several, and those left over, one a row."""
    pixels = work.reshape(-1, work.shape[2])
    group = max(SPAN // work.shape[2], 1)
    whole = len(pixels) // group * group
    return pixels[:whole].reshape(whole // group, group * work.shape[2]), pixels[whole:]


def _careful(piece: NDArray[Any]) -> Moments:
    """Moments of the finite values of a piece, in float64 and two passes."""
    values = np.moveaxis(piece, 2, 0).reshape(piece.shape[2], -1).astype(np.float64)
    finite = np.isfinite(values)
    count = np.count_nonzero(finite, axis=1)
    mean = np.where(finite, values, 0.0).sum(axis=1) / np.maximum(count, 1)
    deviations = np.where(finite, values - mean[:, None], 0.0)
    return Moments(
        count.astype(np.int64),
        mean,
        np.vecdot(deviations, deviations),
        np.where(finite, values, np.inf).min(axis=1),
        np.where(finite, values, -np.inf).max(axis=1),
    )
