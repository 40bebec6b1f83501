"""Encoded images as small arrays of pixels for a network. The scan has looked at them before: they are whole."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from ..images import sniff_format
from ..sample import ImageFacts
from .fitting import SIDE, Unfit

THUMBNAIL = SIDE["lstm"]
"""Pixels along each side of what the small networks get: the most that any of them reads."""


def thumbnail(facts: ImageFacts, side: int, crop: int | None, bgr: bool) -> NDArray[np.uint8]:
    """``(side, side, channels)`` evenly spread pixels of an image, or of the middle ``crop`` pixels of it.

    Raises
    ------
    Unfit
        The image is smaller than the crop, or of a kind that no pixels were kept of.
    """
    if facts.width is None or facts.height is None or facts.scaled is None:
        raise Unfit(f"a {facts.format} of this kind ({facts.mode}) is not shown to the network")
    if crop is not None and min(facts.width, facts.height) < crop:
        raise Unfit(f"the crop of {crop} is larger than the image, {facts.width}x{facts.height}")
    pixels = facts.scaled[:, :, ::-1] if bgr else facts.scaled
    height, width = pixels.shape[:2]
    rows, columns = (
        _spread(actual, shown, side, crop) for actual, shown in ((facts.height, height), (facts.width, width))
    )
    picked: NDArray[np.uint8] = pixels[rows[:, None], columns]
    return picked


def resized(
    data: memoryview, facts: ImageFacts, height: int | None, width: int | None, crop: int | None, bgr: bool
) -> NDArray[np.uint8]:
    """``(height, width, channels)`` of an image, for a model that reads that size; cropped instead where it has one."""
    pixels = _decoded(data, facts, bgr)
    if crop is not None:
        if min(pixels.shape[:2]) < crop:
            raise Unfit(f"the crop of {crop} is larger than the image, {facts.width}x{facts.height}")
        top, left = ((actual - crop) // 2 for actual in pixels.shape[:2])
        pixels = pixels[top : top + crop, left : left + crop]
    size = (width or pixels.shape[1], height or pixels.shape[0])
    if size != (pixels.shape[1], pixels.shape[0]):
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
        pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
        pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels


def _spread(actual: int, shown: int, side: int, crop: int | None) -> NDArray[np.int64]:
    """Places along one side of the decoded image, which shows ``actual`` pixels as ``shown``."""
    length = actual if crop is None else crop
    places = (actual - length) / 2 + (np.arange(side) + 0.5) * length / side
    return np.minimum((places * shown / actual).astype(np.int64), shown - 1)


def _decoded(data: memoryview, facts: ImageFacts, bgr: bool) -> NDArray[np.uint8]:
    """``(height, width, channels)``: 1 channel of grey images, else 3."""
    if sniff_format(data) != facts.format:
        raise Unfit("the image stands inside another value, from which it is not taken out for a model")
    if facts.format == "JPEG" and facts.channels in (1, 3):
        space = "GRAY" if facts.channels == 1 else "BGR" if bgr else "RGB"
        try:
            decoded: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, space, strict=False)
        except ValueError:
            pass  # an exotic one, which Pillow reads
        else:
            return decoded
    with Image.open(BytesIO(data), formats=[facts.format] if facts.format else None) as image:
        grey = image.mode in ("1", "L", "I", "F", "I;16", "I;16B", "LA")
        pixels = np.asarray(_eight_bits(image) if grey else image.convert("RGB"))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels[:, :, ::-1] if bgr and pixels.shape[2] == 3 else pixels


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    values = np.asarray(image, np.float32)
    high = float(values.max(initial=1))
    return Image.fromarray((values * (255 / max(high, 255))).clip(0, 255).astype(np.uint8))
