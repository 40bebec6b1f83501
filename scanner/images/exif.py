"""The one EXIF tag that changes what a network sees: the orientation."""

from __future__ import annotations

import struct

ORIENTATION_TAG = 0x0112
_SHORT = 3

TURNS = {
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "transposed",
    6: "turned by 90 degrees clockwise",
    7: "transversed",
    8: "turned by 90 degrees counter-clockwise",
}
"""What a viewer does with the stored pixels, by orientation (EXIF 2.3, section 4.6.4)."""


def orientation(exif: bytes) -> int:
    """Orientation 1..8 of an EXIF block (with its prefix or without); 1 where there is none or it is damaged."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    directory = struct.unpack_from(order + "I", tiff, 4)[0]
    if directory + 2 > len(tiff):
        return 1
    entries = struct.unpack_from(order + "H", tiff, directory)[0]
    for number in range(entries):
        at = directory + 2 + 12 * number
        if at + 12 > len(tiff):
            return 1
        tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, at)
        if tag == ORIENTATION_TAG:
            return int(value) if kind == _SHORT and 1 <= value <= 8 else 1
    return 1
