"""What a picture looks like, in 128 bits that a re-encoded, resized or brightened copy of it shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..images.grey import averages

Looks = NDArray[np.uint64]
"""``(n, 2)``: 128 bits of each picture."""

BANDS = 8
BAND_BITS = 16
"""The bits are dealt out like cards: each band has some of all parts of the picture."""

_CELLS = 8
_HALF = _CELLS * _CELLS

LEAST_STEP = 1.0
LEAST_DECIDED = 80
"""Of the 128 differences, so many must be more than a grey level, or rounding decides instead of the picture."""

LEAST_TURNS = 56
"""So many neighbouring bits must differ (112 of 224 do by chance): all gradients and soft waves look alike."""

SAME_LEVEL = 3.0
MOST_ALIKE = 0.5
"""A picture of which a larger share has one grey level is a drawing, a digit or a page: they look alike in outline."""


def looks_of(grey: NDArray[np.float32]) -> tuple[Looks, NDArray[np.bool_]]:
    """The bits of some small pictures (see `grey_of_block`), and which of them tell enough to be compared.

    A bit says whether a part of the picture is brighter than its neighbour: 8 by 8 such parts to the right, and as
    many downwards (the "difference hash"). Brightness and contrast of the whole change none of them.
    """
    side = grey.shape[1]
    narrow, wide = averages(side, side, _CELLS), averages(side, side, _CELLS + 1)
    right = np.diff(narrow @ grey @ wide.T, axis=2).reshape(-1, _HALF)
    down = np.diff(wide @ grey @ narrow.T, axis=1).reshape(-1, _HALF)
    steps = np.concatenate([right, down], axis=1)
    bits = steps > 0
    dealt = bits.reshape(-1, BAND_BITS, BANDS).transpose(0, 2, 1).reshape(len(bits), -1)
    looks = np.packbits(dealt, axis=1).view(">u8").astype(np.uint64)
    return looks, _telling(grey, steps, bits)


def _telling(grey: NDArray[np.float32], steps: NDArray[np.float32], bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    decided = np.count_nonzero(np.abs(steps) > LEAST_STEP, axis=1) >= LEAST_DECIDED
    parts = bits.reshape(-1, 2, _CELLS, _CELLS)
    turns = np.count_nonzero(np.diff(parts, axis=2), axis=(1, 2, 3)) + np.count_nonzero(
        np.diff(parts, axis=3), axis=(1, 2, 3)
    )
    turning = turns >= LEAST_TURNS
    flat = grey.reshape(len(grey), -1)
    common = np.median(flat, axis=1, keepdims=True)
    varied = np.mean(np.abs(flat - common) <= SAME_LEVEL, axis=1) <= MOST_ALIKE
    telling: NDArray[np.bool_] = decided & turning & varied
    return telling


def rotated(looks: Looks, band: int) -> Looks:
    """The bits with a band first, the ones behind it next, and those before it last."""
    high, low = looks[:, 0], looks[:, 1]
    words, shift = divmod(band * BAND_BITS, 64)
    if words:
        high, low = low, high
    if not shift:
        return np.stack([high, low], axis=1)
    left, right = np.uint64(shift), np.uint64(64 - shift)
    return np.stack([high << left | low >> right, low << left | high >> right], axis=1)


def distances(some: Looks, others: Looks) -> NDArray[np.int64]:
    """How many bits differ, pair by pair."""
    counts: NDArray[np.int64] = np.bitwise_count(np.bitwise_xor(some, others)).sum(axis=1, dtype=np.int64)
    return counts
