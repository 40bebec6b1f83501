"""Which records of a block can hold NaN, infinities or large values, without looking at each value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sample import ArrayBlock

SMALL = 1e3
"""A common bound of several rows below it is good enough for each of them."""

SMALLEST = 1e-18
"""Squares of values below it are too small for float32."""

ROUNDED = 1e-5
"""Share of a root that may have been lost in single precision."""

SPAN = 4096
"""Values whose squares are summed at a time: a BLAS call that starts no threads."""


def bounds_of(block: ArrayBlock, limit: float) -> NDArray[np.float64]:
    """`largest_bound` of a block's values, as narrow as it takes to tell which records are within a limit.

    What the statistics know of many records together mostly is enough; the others are read once more.
    """
    known = block.magnitudes
    if known.bounds is None:
        known.bounds, known.narrow = largest_bound(block.values), np.ones(len(block.rows), np.bool_)
    if known.bounds.max(initial=0.0) <= limit:
        return known.bounds
    if known.narrow is None:
        known.narrow = np.zeros(len(block.rows), np.bool_)
    doubtful = np.flatnonzero(~(known.bounds <= limit) & ~known.narrow)
    if len(doubtful):
        some = block.values if len(doubtful) == len(block.rows) else block.values[doubtful]
        known.bounds[doubtful], known.narrow[doubtful] = largest_bound(some), True
    return known.bounds


def largest_bound(values: NDArray[Any]) -> NDArray[np.float64]:
    """For each record of a block of floats: a bound that no magnitude in it exceeds; NaN or inf where it may be any.

    One dot product tells: a NaN or an infinity survives it, and no square exceeds the sum of squares. It also
    overflows for finite float32 values beyond 1.8e19 (and for smaller ones in number), and squares of the smallest
    values are 0: a bound is no proof, and never below `SMALLEST`.
    """
    rows = _rows(values)
    if rows.shape[1] == 0:
        return np.zeros(len(rows))
    if rows.dtype == np.float16:
        # 15 bits of exponent and fraction are in the order of the magnitudes, infinity and NaN above all others
        largest: NDArray[np.uint16] = (rows.view(np.uint16) & np.uint16(0x7FFF)).max(axis=1)
        return largest.view(np.float16).astype(np.float64)
    with np.errstate(all="ignore"):
        if rows.shape[1] < SPAN // 8 and rows.flags.c_contiguous:
            return _bounds_of_short(rows)
        whole = rows.shape[1] // SPAN * SPAN
        rest = rows[:, whole:]
        squares = np.vecdot(rest, rest)
        if whole:
            spans = rows[:, :whole].reshape(len(rows), -1, SPAN)
            squares = np.maximum(squares, np.vecdot(spans, spans).max(axis=1))
        return _roots(squares)


def _roots(squares: NDArray[Any]) -> NDArray[np.float64]:
    """Bounds from sums of squares, which were rounded."""
    bounds: NDArray[np.float64] = np.maximum(np.sqrt(squares.astype(np.float64)) * (1 + ROUNDED), SMALLEST)
    return bounds


def _bounds_of_short(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Bounds of short rows: one for many rows together, and one of its own for each where that is large."""
    group = SPAN // rows.shape[1]
    whole = len(rows) // group * group
    groups = rows[:whole].reshape(-1, group * rows.shape[1])
    bound = np.empty(len(rows))
    bound[:whole] = np.repeat(_roots(np.vecdot(groups, groups)), group)
    bound[whole:] = np.inf
    large = np.flatnonzero(~(bound < SMALL))
    some = rows[large]
    bound[large] = _roots(np.vecdot(some, some))
    return bound


def _rows(values: NDArray[Any]) -> NDArray[Any]:
    """One record a row, as native real numbers."""
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind == "c":
        values = np.ascontiguousarray(values)[..., None].view(values.real.dtype)
    return values.reshape(len(values), -1)
