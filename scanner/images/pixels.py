"""Sums of decoded pixels, by histogram: every statistic comes from 256 counts a channel, and is exact for those."""

from __future__ import annotations

from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray
from PIL import Image

from ..options import Options
from ..sample import ChannelSums

ONE_IN = 32
"""Where statistics are sampled, they are of one image in so many."""

ROW_IN = 4
"""Of a JPEG among them, one row in so many: the rows of an image differ much less than images do."""

GLIMPSE = 32
"""Pixels along each side of what a network gets to see of an image, at most."""

_LEVELS = np.arange(256, dtype=np.float64)
_SQUARES = _LEVELS * _LEVELS
_WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def sums_wanted(data: memoryview, options: Options) -> bool:
    """Whether an image's pixels are summed up. Its bytes decide, so that no order of the set can bias the choice."""
    return options.statistics != "sampled" or xxhash.xxh3_64_intdigest(data) % ONE_IN == 0


def colour_channels(channels: int) -> int:
    """How many of an image's channels hold colour: the last of two or four is alpha, or CMYK's black."""
    return channels - 1 if channels in (2, 4) else channels


def sums_of_histogram(histogram: list[int], channels: int) -> ChannelSums:
    """Sums from Pillow's histogram: 256 counts for each channel, one channel after the other.

    Exact: a sum of at most 2^28 pixels of 16 bits stays below 2^53.
    """
    counts = np.array(histogram[: 256 * channels], np.int64).reshape(channels, 256)
    seen = counts > 0
    exact = counts.astype(np.float64)
    return ChannelSums(
        int(counts[0].sum()),
        exact @ _LEVELS,
        exact @ _SQUARES,
        seen.argmax(axis=1).astype(np.float64),
        255.0 - seen[:, ::-1].argmax(axis=1),
    )


def sums_of_buffer(pixels: NDArray[np.uint8], mode: str, channels: int) -> ChannelSums:
    """Sums of a decoder's ``(height, width, samples)`` array, wrapped as an image without copying it."""
    return _sums_of_rows(pixels, mode, channels, 1)


def sampled_sums_of_buffer(pixels: NDArray[np.uint8], mode: str, channels: int) -> ChannelSums:
    """The same from one row in `ROW_IN`, times what was left out; of all rows where those leave a channel constant."""
    sums = _sums_of_rows(pixels, mode, channels, ROW_IN if len(pixels) >= ROW_IN else 1)
    if (sums.minimum == sums.maximum).any():
        return _sums_of_rows(pixels, mode, channels, 1)
    height, width = pixels.shape[:2]
    count = height * width
    share = count / sums.count
    return ChannelSums(count, sums.total * share, sums.squares * share, sums.minimum, sums.maximum)


def _sums_of_rows(pixels: NDArray[np.uint8], mode: str, channels: int, every: int) -> ChannelSums:
    height, width = pixels.shape[:2]
    size = (width, height // every)
    image = Image.frombuffer(mode, size, pixels, "raw", mode, pixels.strides[0] * every, 1)
    return sums_of_histogram(image.histogram(), channels)


def expanded(image: Image.Image) -> Image.Image:
    """A palette or bilevel image as the grey or colour image that it stands for; others unchanged."""
    if image.mode in ("P", "PA"):
        transparent = image.mode == "PA" or "transparency" in image.info
        return image.convert("RGBA" if transparent else "RGB")
    return image.convert("L") if image.mode == "1" else image


def sums_of_image(image: Image.Image) -> ChannelSums | None:
    """Sums of an image as `expanded` gives it; ``None`` where it has no pixels or holds NaN."""
    if image.width == 0 or image.height == 0:
        return None
    if image.mode in _WIDE_MODES:
        return _sums_of_wide(np.asarray(image))
    return sums_of_histogram(image.histogram(), len(image.getbands()))


def extremes_settle(image: Image.Image) -> bool:
    """Whether the extremes alone show that every channel has several values; those of one row do for almost all."""
    if image.width == 0 or image.height == 0 or image.mode in _WIDE_MODES:
        return False
    middle = image.height // 2
    return _has_several_values(image.crop((0, middle, image.width, middle + 1))) or _has_several_values(image)


def _has_several_values(image: Image.Image) -> bool:
    bands = image.getbands()
    extremes: Any = image.getextrema() if len(bands) > 1 else (image.getextrema(),)
    return all(low != high for low, high in extremes[: colour_channels(len(bands))])


def glimpse(image: Image.Image) -> NDArray[np.uint8] | None:
    """A few evenly spread pixels of an image for `ImageFacts.scaled`; those of more than eight bits in eight."""
    if image.width == 0 or image.height == 0:
        return None
    size = (min(image.width, GLIMPSE), min(image.height, GLIMPSE))
    small = image.resize(size, Image.Resampling.NEAREST)
    if image.mode in _WIDE_MODES:
        values = np.asarray(small, np.float32)
        pixels = np.interp(values, (0, max(float(values.max()), 255)), (0, 255)).astype(np.uint8)
    else:
        pixels = np.asarray(small.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
    return pixels.reshape(size[1], size[0], -1)


def _sums_of_wide(values: NDArray[Any]) -> ChannelSums | None:
    """Sums of one channel of more than eight bits, row by row: a float64 copy of all of it would be large."""
    total = squares = 0.0
    for row in values:
        wide = row.astype(np.float64)
        total += float(wide.sum())
        squares += float(wide @ wide)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([total, squares, low, high]).all():
        return None
    return ChannelSums(values.size, *(np.array([value]) for value in (total, squares, low, high)))
