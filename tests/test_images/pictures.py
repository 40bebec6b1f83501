"""Pictures that look like photographs: gradients, waves and noise, encoded by the formats' own libraries."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datascan.scanner.images import inspect_image
from datascan.scanner.options import Options
from datascan.scanner.sample import ImageFacts


def photo(height: int = 96, width: int = 128, seed: int = 0, channels: int = 3) -> NDArray[np.uint8]:
    """``(height, width, channels)``, or ``(height, width)`` for one channel."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        (x * (0.6 + 0.3 * c) + y * (0.9 - 0.2 * c)) % 256 * 0.6
        + 40 * np.sin(x / 9 + c)
        + random.normal(0, 10, (height, width))
        for c in range(channels)
    ]
    pixels: NDArray[np.uint8] = np.clip(np.stack(planes, -1) + 40, 0, 255).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def image(mode: str = "RGB", height: int = 96, width: int = 128) -> Image.Image:
    """A photo in one of Pillow's modes."""
    size = {"height": height, "width": width}
    if mode == "I;16":
        return Image.fromarray(photo(**size, channels=1).astype(np.uint16) * 257)
    if mode in ("LA", "RGBA"):
        colour = Image.fromarray(photo(**size)).convert(mode)
        colour.putalpha(Image.fromarray(photo(**size, seed=3, channels=1)))
        return colour
    return Image.fromarray(photo(**size)).convert(mode)


def encoded(picture: Image.Image | NDArray[np.uint8], format_name: str = "JPEG", **options: Any) -> bytes:
    """The file that Pillow writes."""
    buffer = BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, format_name, **options)
    return buffer.getvalue()


def look(data: bytes, **options: Any) -> ImageFacts:
    """`inspect_image` over bytes."""
    return inspect_image(memoryview(data), Options(**options))


def rules(data: bytes, **options: Any) -> list[str]:
    """The rules that an image's faults belong to."""
    return [fault.rule for fault in look(data, **options).faults]


def flipped(data: bytes, offset: int) -> bytes:
    """All bits of one byte turned round."""
    return data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]


def zeroed(data: bytes, offset: int, size: int = 512) -> bytes:
    """A block of zeros in the middle, as a lost sector leaves it."""
    return data[:offset] + bytes(min(size, len(data) - offset)) + data[offset + size :]
