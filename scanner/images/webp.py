"""WebP: the RIFF structure around it, then Pillow for all frames (RFC 9649)."""

from __future__ import annotations

import struct

from ..options import Options
from ..sample import Fault, ImageFacts
from . import pillow
from .exif import orientation
from .remarks import describe_tail, image_fault, pixel_faults, trailing_data

_SMALLEST = 64  # no pixel is in fewer bytes: RIFF and chunk headers, the frame's header, its first partition


def inspect_webp(data: memoryview, options: Options) -> ImageFacts:
    """Look at one WebP."""
    end = 8 + int.from_bytes(data[4:8], "little")
    damage, exif = _walk(data, min(end, len(data)))
    picture = pillow.decode(data, "WEBP", options)
    turn = orientation(exif)
    faults: list[Fault] = []
    sums = picture.sums
    if picture.refused is not None:
        faults = [picture.refused]
    elif end > len(data) + 1 or (end > len(data) and picture.error is not None):  # a last pad byte may be left out
        message = f"the WebP declares {end} bytes and has {len(data)}"
        rule = "image-truncated" if len(data) >= _SMALLEST else "image-undecodable"
        faults = [image_fault(rule, message, len(data), declared=end)]
    elif picture.error is not None:
        rule = "image-corrupt" if picture.mode is not None else "image-undecodable"
        faults = [image_fault(rule, f"Pillow can't decode it: {picture.error}")]
    elif damage is not None:
        faults = [damage]
    if faults:
        sums = None
    else:
        faults = picture.oddities
        tail = data[end + (end & 1) :]
        if len(tail):
            faults.append(trailing_data("WebP", len(tail), end, describe_tail(tail)))
        faults += pixel_faults(sums, turn)
    size = (picture.width, picture.height, picture.channels)
    return ImageFacts("WEBP", *size, picture.mode, turn, tuple(faults), sums, picture.scaled, picture.grey)


def _walk(data: memoryview, end: int) -> tuple[Fault | None, bytes]:
    """The first chunk that does not fit, and the EXIF chunk."""
    position, exif = 12, b""
    while position < end:
        if position + 8 > end:
            if any(data[position:end]):
                return image_fault("image-corrupt", "bytes in the WebP that are no chunk", position), exif
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > end:
            name = kind.decode("latin-1")
            return image_fault("image-corrupt", f"chunk {name!r} is longer than the WebP", position), exif
        if kind == b"EXIF":
            exif = bytes(data[position + 8 : position + 8 + length])
        position += 8 + length + (length & 1)
    return None, exif
