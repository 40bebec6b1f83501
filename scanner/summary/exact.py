"""Exact sums of bytes and of their squares, for each row of a block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

SPAN = 1 << 15
"""Most bytes summed at once: so many squares of 255 are below 2 to the 31st, what SimSIMD counts in."""

EXACT = 256
"""Most bytes summed at once in float32: the sum of as many squares of 255 is below 2 to the 24th."""

_SHORT = 32
"""Rows of fewer bytes are left to numpy: a vector instruction takes more."""

_ROWS = 8
"""Rows from which one channel is picked out at a time: 256 kB."""

_ONES = np.ones(SPAN, np.uint8)
_FLOAT_ONES = np.ones(EXACT, np.float32)

MOST_CHANNELS = 4
"""Alternating channels, up to so many, are picked out by masks."""

_masks: dict[tuple[int, int], Bytes] = {}


def row_sums(blocks: Sequence[Bytes]) -> tuple[Floats, Floats]:
    """Sum and sum of squares of each row of some blocks ``(n, width)`` of one shape, whose rows lie side by side."""
    count, width = blocks[0].shape
    step = _step(width)
    if step:
        found = [_fastest()(block.reshape(-1, step)) for block in blocks]
    else:
        spans = [block[:, start : start + SPAN] for block in blocks for start in range(0, width, SPAN)]
        found = [_fastest()(span) for span in spans]
    total, squares = (np.concatenate(sums) for sums in zip(*found, strict=True))
    if step:
        return total.reshape(-1, width // step).sum(axis=1), squares.reshape(-1, width // step).sum(axis=1)
    shape = (len(blocks), -1, count)
    return total.reshape(shape).sum(axis=1).reshape(-1), squares.reshape(shape).sum(axis=1).reshape(-1)


def channel_sums(pixels: Bytes, channels: int) -> tuple[Floats, Floats]:
    """Sum and sum of squares of each of up to `MOST_CHANNELS` channels that alternate in ``(n,)`` bytes."""
    total, squares = np.zeros((2, channels))
    span = SPAN // channels * channels
    buffer = np.empty((_ROWS, span), np.uint8)
    whole = len(pixels) // span * span
    for rows in (pixels[:whole].reshape(-1, span), pixels[None, whole:]):
        width = rows.shape[1]
        for start in range(0, len(rows) if width else 0, _ROWS):
            some = rows[start : start + _ROWS]
            for channel in range(channels):
                picked = buffer[: len(some), :width]
                np.bitwise_and(some, _mask(channels, channel)[:width], out=picked)
                sums, sums_of_squares = _fastest()(picked)
                total[channel] += sums.sum()
                squares[channel] += sums_of_squares.sum()
    return total, squares


def _mask(channels: int, channel: int) -> Bytes:
    if (channels, channel) not in _masks:
        mask = np.zeros(SPAN, np.uint8)
        mask[channel::channels] = 255
        _masks[channels, channel] = mask
    return _masks[channels, channel]


@cache
def _step(width: int) -> int:
    """The largest part of at most `SPAN` that a width can be cut into, 0 where the parts would be many small ones."""
    fewest = max(-(-width // SPAN), 1)
    return next((width // parts for parts in range(fewest, 2 * fewest + 1) if width % parts == 0), 0)


def _plain_sums(rows: Bytes) -> tuple[Floats, Floats]:
    """By numpy: as float32, so few values at a time that no sum is rounded."""
    values = rows.astype(np.float32)
    whole = rows.shape[1] // EXACT * EXACT
    spans = values[:, :whole].reshape(len(rows), -1, EXACT)
    rest = values[:, whole:]
    total = np.add.reduce(np.vecdot(spans, _FLOAT_ONES), axis=1, dtype=np.float64)
    squares = np.add.reduce(np.vecdot(spans, spans), axis=1, dtype=np.float64)
    total += np.vecdot(rest, _FLOAT_ONES[: rest.shape[1]])
    squares += np.vecdot(rest, rest)
    return total, squares


def _integer_sums(dot: Callable[..., Any]) -> Callable[[Bytes], tuple[Floats, Floats]]:
    """By SimSIMD: several times as fast, in integers."""

    def sums(rows: Bytes) -> tuple[Floats, Floats]:
        count, width = rows.shape
        if not count or width < _SHORT:
            return _plain_sums(rows)
        ones = _ONES[None, :width]
        return np.asarray(dot(rows, ones)).reshape(count), np.asarray(dot(rows, rows)).reshape(count)

    return sums


@cache
def _fastest() -> Callable[[Bytes], tuple[Floats, Floats]]:
    """SimSIMD where it is installed and adds up correctly on this processor; both give the same sums."""
    try:
        from simsimd import dot
    except ImportError:
        return _plain_sums
    sums = _integer_sums(dot)
    probe = (np.arange(3 * SPAN, dtype=np.uint32) * 2654435761 >> 24).astype(np.uint8).reshape(3, SPAN)
    probe[1] = 255
    for rows in (probe, probe[:, 1:131], probe[::2, :77]):
        if any((one != other).any() for one, other in zip(sums(rows), _plain_sums(rows), strict=True)):
            return _plain_sums
    return sums
