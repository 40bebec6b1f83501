"""Changing one thing in a Datum and leaving every other byte as it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .datum import CHANNELS, DATA, HEIGHT, LABEL, WIDTH, Datum, parse_datum
from .datum_writer import encode_datum, varint
from .wire import BYTES, VARINT, fields

BLUE, GREEN, RED = 114, 587, 299
"""Thousandths of the channels in luma (ITU-R BT.601), which OpenCV and Pillow take too."""


def changed(value: memoryview, contents: dict[int, bytes | int], start: int = 0, stop: int | None = None) -> bytes:
    """The message with the contents of some fields replaced where they stand; a field that it has not stays away."""
    out = bytearray()
    for number, wire_type, _, at, _, end in fields(value, start, stop):
        new = contents.get(number)
        if isinstance(new, int) and wire_type == VARINT:
            out += varint(number << 3 | VARINT) + varint(new)
        elif isinstance(new, bytes) and wire_type == BYTES:
            out += varint(number << 3 | BYTES) + varint(len(new)) + new
        else:
            out += value[at:end]
    return bytes(out)


def with_image(value: memoryview, image: bytes, sides: tuple[int, int, int] | None) -> bytes:
    """A Datum with another encoded image, and its sides where it declares any."""
    contents: dict[int, bytes | int] = {DATA: image}
    if sides is not None:
        contents |= dict(zip((CHANNELS, HEIGHT, WIDTH), sides, strict=True))
    return changed(value, contents)


def with_pixels(value: memoryview, pixels: NDArray[np.uint8]) -> bytes:
    """A Datum of raw bytes in the place of an encoded one."""
    channels, height, width = pixels.shape
    return encode_datum(dims=(channels, height, width), data=pixels.tobytes(), label=parse_datum(value).label)


def with_channels(value: memoryview, channels: int) -> bytes | None:
    """A Datum of raw bytes as grey or BGR; ``None`` where it is neither, or has the channels already."""
    datum = parse_datum(value)
    if not _is_raw(datum) or {datum.channels, channels} != {1, 3}:
        return None
    assert datum.data is not None
    pixels = np.frombuffer(value, np.uint8, datum.size, datum.data[0]).reshape(datum.channels, -1)
    if channels == 3:
        made = np.repeat(pixels, 3, axis=0)
    else:
        weights = np.array([[BLUE], [GREEN], [RED]], np.uint32)
        made = ((pixels * weights).sum(axis=0, dtype=np.uint32) + 500) // 1000
    return changed(value, {CHANNELS: channels, DATA: made.astype(np.uint8).tobytes()})


def with_label(value: memoryview, difference: int) -> bytes | None:
    """A Datum with its label changed by some."""
    datum = parse_datum(value)
    return None if datum.label is None else changed(value, {LABEL: datum.label + difference})


def _is_raw(datum: Datum) -> bool:
    held = 0 if datum.data is None else datum.data[1] - datum.data[0]
    return not datum.encoded and held > 0 and held == datum.size
