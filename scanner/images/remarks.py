"""Faults that images of every format share, and the guard in front of the decoders."""

from __future__ import annotations

from typing import Any

from ..options import Options
from ..sample import ChannelSums, Fault
from .exif import TURNS

FRAMES_BUDGET = 4
"""Frames times pixels may reach so many times ``max_pixels``: animations are decoded to the last frame."""


def image_fault(rule: str, message: str, offset: int | None = None, *, severe: bool = True, **data: Any) -> Fault:
    """A fault of one image; its row is put in by the layout."""
    return Fault(None, rule, message, offset=offset, severe=severe, data=data)


def too_large(width: int, height: int, options: Options, frames: int = 1) -> Fault | None:
    """The fault of an image that declares more pixels than are decoded; checked before anything is allocated."""
    pixels = width * height
    if pixels > options.max_pixels:
        return image_fault(
            "image-too-large",
            f"{width}x{height} is more than {options.max_pixels} pixels: not decoded",
            width=width,
            height=height,
        )
    if frames > 1 and pixels * frames > options.max_pixels * FRAMES_BUDGET:
        return image_fault(
            "image-too-large",
            f"{frames} frames of {width}x{height} are too many pixels: not decoded",
            width=width,
            height=height,
            frames=frames,
        )
    return None


def trailing_data(format_name: str, count: int, offset: int, what: str = "") -> Fault:
    """The fault of bytes behind the end of an image that is whole."""
    noun = "byte" if count == 1 else "bytes"
    suffix = f": {what}" if what else ""
    return image_fault("image-trailing-data", f"{count} {noun} after the end of the {format_name}{suffix}", offset)


def describe_tail(tail: memoryview) -> str:
    """What stands behind the end of an image, where that can be told."""
    head = bytes(tail[:4096])
    if not any(head) and not any(bytes(tail)):
        return "zeros"
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8")):
        return "another image"
    if head[4:8] == b"ftyp":
        return "a video (motion photo)"
    if head.startswith(b"PK\x03\x04"):
        return "a ZIP archive"
    return ""


def pixel_faults(sums: ChannelSums | None, orientation: int) -> list[Fault]:
    """What only whole pixels show: a single colour, and a rotation that is asked for."""
    faults = []
    if sums is not None and sums.count and bool((sums.minimum == sums.maximum).all()):
        colour = [int(value) if float(value).is_integer() else float(value) for value in sums.minimum]
        text = "all zero" if not any(colour) else "a single colour: " + ", ".join(str(value) for value in colour)
        faults.append(image_fault("image-constant", f"the image is {text}", colour=colour))
    if orientation != 1:
        faults.append(
            image_fault(
                "image-orientation",
                f"EXIF orientation {orientation}: meant to be shown {TURNS[orientation]}",
                orientation=orientation,
            )
        )
    return faults
