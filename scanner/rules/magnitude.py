"""Which records of a block can hold NaN, infinities or large values, without looking at each value."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sample import ArrayBlock

SMALL = 1e3
"""A common bound of several rows below it is good enough for each of them."""

SPAN = 4096
"""Values whose squares are summed at a time: a BLAS call that starts no threads."""


_last: list[tuple[weakref.ref[NDArray[Any]], NDArray[np.float64]]] = []


def bounds_of(block: ArrayBlock) -> NDArray[np.float64]:
    """`largest_bound` of a block's values; the block asked for last is not read again, as several rules ask."""
    if not _last or _last[0][0]() is not block.values:  # weak: a batch's memory is there for the next one
        _last[:] = [(weakref.ref(block.values), largest_bound(block.values))]
    return _last[0][1]


def largest_bound(values: NDArray[Any]) -> NDArray[np.float64]:
    """For each record of a block of floats: a bound that no magnitude in it exceeds; NaN or inf where it may be any.

    One dot product tells: a NaN or an infinity survives it, and no square exceeds the sum of squares. It also
    overflows for finite float32 values beyond 1.8e19 (and for smaller ones in number): a bound is no proof.
    """
    rows = _rows(values)
    if rows.shape[1] == 0:
        return np.zeros(len(rows))
    if values.dtype == np.float16:
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
        bound: NDArray[np.float64] = np.sqrt(squares).astype(np.float64)
    return bound


def _bounds_of_short(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Bounds of short rows: one for many rows together, and one of its own for each where that is large."""
    group = SPAN // rows.shape[1]
    whole = len(rows) // group * group
    groups = rows[:whole].reshape(-1, group * rows.shape[1])
    bound = np.empty(len(rows))
    bound[:whole] = np.repeat(np.sqrt(np.vecdot(groups, groups)), group)
    bound[whole:] = np.inf
    large = np.flatnonzero(~(bound < SMALL))
    some = rows[large]
    bound[large] = np.sqrt(np.vecdot(some, some))
    return bound


def _rows(values: NDArray[Any]) -> NDArray[Any]:
    """One record a row, as native real numbers."""
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind == "c":
        values = np.ascontiguousarray(values)[..., None].view(values.real.dtype)
    return values.reshape(len(values), -1)
