"""Moments of a block of arrays, in pieces that stay in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .exact import EXACT, MOST_CHANNELS, channel_sums, row_sums
from .moments import Floats, Moments

PIECE = 1 << 18
"""Elements worked on at a time: 1 MB of float32."""

PIECE_BYTES = 1 << 20
"""Bytes worked on at a time, where they are not converted."""

SPAN = 1024
"""Elements summed in the working precision, before the sums are added up in float64."""

_ONES: dict[int, NDArray[Any]] = {4: np.ones(SPAN, np.float32), 8: np.ones(SPAN, np.float64)}

_WIDE = 1024
"""Alternating channels are added up in rows of about so many values."""

_LONG = 512
"""Values side by side from which on their extreme is found faster than that of values at the same place."""

FEW_BYTES = 1 << 15
"""Records of fewer bytes that lie apart are copied together: the calls on each would take longer."""

PIVOT = 30
"""Where the mean is so many standard deviations from 0, sums of squares lose digits: deviations are summed instead."""


def block_moments(
    values: NDArray[Any],
    channel_axis: int | None,
    magnitudes: Floats | None = None,
    passed: Callable[[int], None] | None = None,
) -> Moments | None:
    """Moments of each channel over a block ``(records, ...)``; ``None`` where the dtype holds no numbers.

    NaN and infinities are left out. Sums of 8-bit values are exact. Complex values count as two numbers each.
    ``magnitudes``, ``(records,)`` zeros, is filled with what no magnitude in a record exceeds: NaN or infinite where
    some value may be. ``passed`` is told how many records are through as soon as they are: what else there is to do
    with their bytes is done fastest then.
    """
    if values.dtype.kind not in "buifc":
        return None
    block = _arranged(values, channel_axis)
    if block.size == 0:
        return Moments.empty(block.shape[2])
    with np.errstate(all="ignore"):  # what overflows is summed again with care
        moments = _summed(block, None, magnitudes, passed)
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


def _summed(
    block: NDArray[Any],
    pivot: Floats | None,
    magnitudes: Floats | None = None,
    passed: Callable[[int], None] | None = None,
) -> Moments:
    """Moments of a block, from sums of what is left after taking ``pivot`` from each channel."""
    sums = _Sums(block, pivot)
    for piece, records, part in _pieces(block, PIECE_BYTES if sums.exact else PIECE):
        low, high = sums.add(piece, part)
        if magnitudes is not None:
            largest = np.maximum(np.max(high), -np.min(low))
            magnitudes[records] = np.maximum(magnitudes[records], largest)
        if passed is not None:
            passed(records.stop)
    return sums.moments()


class _Sums:
    """Sums over the pieces of a block; pieces with values that are not finite are set apart."""

    def __init__(self, block: NDArray[Any], pivot: Floats | None) -> None:
        channels = block.shape[2]
        self.pivot = np.zeros(channels) if pivot is None else pivot
        self.shifted = pivot is not None
        self.exact = block.dtype == np.uint8 and (block.shape[3] > 1 or channels <= MOST_CHANNELS)
        single = block.dtype.itemsize == 1 or (block.dtype.kind == "f" and block.dtype.itemsize <= 4)
        self.working = np.dtype(np.float32 if single else np.float64)
        self.span = EXACT if block.dtype.itemsize == 1 else SPAN
        self.buffer = np.empty(0, self.working)
        self.count = np.zeros(channels, np.int64)
        self.total, self.squares = np.zeros(channels), np.zeros(channels)
        self.minimum, self.maximum = np.full(channels, np.inf), np.full(channels, -np.inf)
        self.careful = Moments.empty(channels)

    def add(self, piece: NDArray[Any], part: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        """Take in a piece that holds some of the channels; gives their minimum and maximum."""
        work = piece if self.exact else self._working(piece)
        low, high = self._extremes(piece if piece.dtype.kind in "ui" else work, part)
        if self.shifted:
            work -= self.pivot[part, None]
        total, squares = self._sums_of(work)
        if self.exact or (np.isfinite(total).all() and np.isfinite(squares).all()):
            self.count[part] += piece.size // piece.shape[2]
            self.total[part] += total
            self.squares[part] += squares
            self.minimum[part] = np.minimum(self.minimum[part], low)
            self.maximum[part] = np.maximum(self.maximum[part], high)
        else:
            here = Moments.empty(len(self.count))
            for figure, found in zip(here.figures, _careful(piece).figures, strict=True):
                figure[part] = found
            self.careful.merge(here)
        return low, high

    def _working(self, piece: NDArray[Any]) -> NDArray[Any]:
        """The piece in the working precision: a copy where it is changed later, or not of that precision."""
        if piece.dtype == self.working and not self.shifted:
            return piece
        if len(self.buffer) < piece.size:
            self.buffer = np.empty(piece.size, self.working)
        work = self.buffer[: piece.size].reshape(piece.shape)
        np.copyto(work, piece, casting="unsafe")
        return work

    def _extremes(self, source: NDArray[Any], part: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        """Minimum and maximum of the piece. Bytes that have been 0 and 255 need no further search."""
        low, high = self.minimum[part], self.maximum[part]
        byte = source.dtype == np.uint8
        return (
            low if byte and (low == 0).all() else _extreme(np.minimum, source),
            high if byte and (high == 255).all() else _extreme(np.maximum, source),
        )

    def _sums_of(self, work: NDArray[Any]) -> tuple[Floats, Floats]:
        """Totals and squares of each channel."""
        if not _interleaved(work):
            return _planar_byte_sums(work) if self.exact else _planar_sums(work, self.span)
        if self.exact:
            return channel_sums(work.reshape(-1), work.shape[2])
        return _interleaved_sums(work, self.span)

    def moments(self) -> Moments:
        """The moments of all pieces together."""
        moments = Moments.of_sums(self.count, self.total, self.squares, self.minimum, self.maximum)
        moments.mean += np.where((self.count > 0) & self.shifted, self.pivot, 0.0)
        moments.merge(self.careful)
        return moments


def _pieces(block: NDArray[Any], most: int) -> Iterator[tuple[NDArray[Any], slice, slice]]:
    """Parts of the block of at most ``most`` elements (or one pixel), with the records and channels that each holds."""
    records, outer, channels, inner = block.shape
    everything = slice(0, channels)
    if outer * channels * inner <= most:
        step = most // (outer * channels * inner)
        for start in range(0, records, step):
            yield block[start : start + step], slice(start, start + step), everything
    elif inner == 1:
        step = max(most // channels, 1)
        for record in range(records):
            one = slice(record, record + 1)
            for start in range(0, outer, step):
                yield block[one, start : start + step], one, everything
    else:
        for record, row in np.ndindex(records, outer):
            one = slice(record, record + 1)
            for piece, part in _planes(block[one, row : row + 1], most):
                yield piece, one, part


def _planes(block: NDArray[Any], most: int) -> Iterator[tuple[NDArray[Any], slice]]:
    channels, inner = block.shape[2:]
    step = max(most // inner, 1)
    for channel in range(0, channels, step):
        part = slice(channel, min(channel + step, channels))
        for start in range(0, inner, most):
            yield block[:, :, part, start : start + most], part


def _interleaved(work: NDArray[Any]) -> bool:
    return bool(work.shape[3] == 1 and work.shape[2] > 1)


def _by_channel(sums: Floats, shape: tuple[int, ...]) -> Floats:
    """Sums of each row of channels, added up."""
    total: Floats = sums.reshape(shape[:3]).sum(axis=(0, 1))
    return total


def _planar_byte_sums(work: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Exact totals and squares of channels whose bytes lie side by side."""
    inner = work.shape[3]
    together = work.flags.c_contiguous or work[0].nbytes < FEW_BYTES
    # Large records apart from each other stay where they are: to bring them together would be one more pass.
    blocks = [work] if together else list(work)
    total, squares = row_sums([block.reshape(-1, inner) for block in blocks])
    return _by_channel(total, work.shape), _by_channel(squares, work.shape)


def _planar_sums(work: NDArray[Any], span: int) -> tuple[Floats, Floats]:
    """Totals and squares of channels whose values lie side by side."""
    inner = work.shape[3]
    rows = work.reshape(-1, inner)
    ones = _ONES[work.dtype.itemsize][:span]
    whole = inner // span * span
    total, squares = np.zeros((2, len(rows)))
    if whole:
        spans = rows[:, :whole].reshape(len(rows), -1, span)
        np.add.reduce(spans @ ones, axis=1, dtype=np.float64, out=total)
        np.add.reduce(np.vecdot(spans, spans), axis=1, dtype=np.float64, out=squares)
    if whole < inner:
        rest = rows[:, whole:]
        total += rest @ ones[: inner - whole]
        squares += np.vecdot(rest, rest)
    return _by_channel(total, work.shape), _by_channel(squares, work.shape)


def _interleaved_sums(work: NDArray[Any], span: int) -> tuple[Floats, Floats]:
    """Totals and squares of channels that alternate. Many pixels make rows that are long enough to be added fast."""
    body, rest = _columns(work)
    channels = work.shape[2]
    total: Floats = rest.sum(axis=0, dtype=np.float64)
    squares: Floats = np.square(rest, dtype=np.float64).sum(axis=0)
    for start in range(0, len(body), span):
        rows = body[start : start + span]
        for sums, wide in ((total, rows.sum(axis=0)), (squares, np.einsum("ij,ij->j", rows, rows))):
            sums += wide.reshape(-1, channels).sum(axis=0, dtype=np.float64)
    return total, squares


def _extreme(extreme: np.ufunc, work: NDArray[Any]) -> NDArray[Any]:
    """Minimum or maximum of each channel."""
    if not _interleaved(work):
        if work.shape[3] >= _LONG:
            return np.asarray(extreme.reduce(extreme.reduce(work, axis=3), axis=(0, 1)))
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
    group = max(_WIDE // work.shape[2], 1)
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
