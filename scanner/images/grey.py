"""What an image looks like from far away: a small grey picture of area averages, for `ImageFacts.grey`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the pictures of raw arrays are made without it
    from PIL import Image

SIDE = 32
"""Pixels along each side of the small picture, whatever the shape of the image."""

LEAST_SIDE = 24
"""Images with a shorter side show too little to be told apart by it."""

_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green, blue (ITU-R BT.601), as JPEG has them


def grey_of_image(image: Image.Image) -> NDArray[np.float32] | None:
    """The small picture of an image as `expanded` gives it; ``None`` where it is too small to be judged."""
    if min(image.size) < LEAST_SIDE:
        return None
    if len(image.getbands()) == 1 and image.mode not in ("1", "L"):  # more than eight bits
        values = np.asarray(image, np.float32)
        most = float(values.max())
        if not (np.isfinite(values).all() and most > 0):
            return None
        return grey_of(values * np.float32(255 / max(most, 255)))
    small = image.convert("L") if image.mode in ("1", "LA") else image
    if small.mode != "L":
        small = small.convert("RGB")
    return grey_of(np.asarray(small))


def grey_of(
    pixels: NDArray[np.uint8] | NDArray[np.float32], extent: tuple[float, float] | None = None
) -> NDArray[np.float32]:
    """The small picture of one image, see `grey_of_block`."""
    picture: NDArray[np.float32] = grey_of_block(pixels[None], extent=extent)[0]
    return picture


def grey_of_block(
    pixels: NDArray[np.uint8] | NDArray[np.float32], bgr: bool = False, extent: tuple[float, float] | None = None
) -> NDArray[np.float32]:
    """The small pictures ``(n, SIDE, SIDE)`` of ``(n, height, width)`` or ``(n, height, width, 3)``.

    ``extent`` is how many of the rows and columns show the image, where the last ones stand for less than a whole one.
    """
    height, width = pixels.shape[1:3]
    rows, columns = extent or (height, width)
    down, across = averages(height, rows), averages(width, columns).T
    small = np.empty((len(pixels), SIDE, SIDE), np.float32)
    for number, image in enumerate(pixels):  # one at a time: as floats a batch takes four times its memory
        lines = down @ image.reshape(height, -1).astype(np.float32)
        if image.ndim == 3:
            lines = lines.reshape(SIDE, width, 3) @ (_WEIGHTS[::-1] if bgr else _WEIGHTS)
        small[number] = lines @ across
    return small


@lru_cache(maxsize=64)
def averages(length: int, extent: float, parts: int = SIDE) -> NDArray[np.float32]:
    """``(parts, length)``: which share of each pixel of a side falls into each of its equal parts."""
    edges = np.arange(parts + 1)[:, None] * (extent / parts)
    reached = np.clip(edges - np.arange(length), 0, 1)
    shares: NDArray[np.float32] = (np.diff(reached, axis=0) / (extent / parts)).astype(np.float32)
    return shares
