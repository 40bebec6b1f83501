"""Changes to single records that lose nothing, each asked for by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ...backends.errors import UsageError
from ..images import inspect_image, sniff_format
from ..layouts.base import Layout, RecordLayout
from ..options import Options
from ..sample import Fault
from .choices import Fix

CURES: Mapping[Fix, str] = {
    "trailing-data": "image-trailing-data",
    "end-marker": "image-truncated",
    "orientation": "image-orientation",
    "grey-to-colour": "image-channels",
    "colour-to-grey": "image-channels",
    "label-offset": "label-offset",
    "decode": "",
}
"""Fix to the rule whose findings it takes away."""

EVERYWHERE: tuple[Fix, ...] = ("grey-to-colour", "colour-to-grey", "label-offset", "decode")
"""Fixes that are made to every record, and not to those of a rule's findings."""

_NEEDS: Mapping[Fix, str] = {
    "trailing-data": "image",
    "end-marker": "image",
    "orientation": "turned",
    "grey-to-colour": "image",
    "colour-to-grey": "image",
    "label-offset": "label",
    "decode": "pixels",
}
_END = b"\xff\xd9"
_DAMAGE = ("image-truncated", "image-corrupt", "image-undecodable")
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Fixed:
    """A record's new value, and the fixes that made it; none where nothing was to be done."""

    value: bytes
    done: tuple[Fix, ...]


def check_fixes(layout: Layout, fixes: Collection[Fix]) -> None:
    """Refuse fixes that can't be made in a layout.

    Raises
    ------
    UsageError
        With the first.
    """
    can = layout.changes if isinstance(layout, RecordLayout) else frozenset({"label"})
    for fix in fixes:
        if _NEEDS[fix] not in can:
            what = {
                "pixels": "encoded images that could be decoded",
                "label": "labels that could be changed",
                "image": "encoded images in its records",
            }
            why = what.get(_NEEDS[fix], "images that could be turned (boxes would have to turn with them)")
            option = "--decode" if fix == "decode" else f"--fix {fix}"
            raise UsageError(f"{option}: layout {layout.name} has no {why}")


class Fixer:
    """Changes records of a layout. ``marked`` fixes are made where a rule's finding says so, the others everywhere."""

    def __init__(self, layout: RecordLayout, fixes: Collection[Fix], options: Options) -> None:
        self.layout = layout
        self.everywhere = tuple(fix for fix in fixes if fix in EVERYWHERE)
        self.options = options

    def fix(self, key: bytes, value: memoryview, marked: Collection[Fix]) -> Fixed | None:
        """The record with its fixes made, ``None`` if one that is marked can't be: the fault stays."""
        done: list[Fix] = []
        for fix in (*marked, *self.everywhere):
            made = self._made(fix, key, value)
            if made is None and fix in marked:
                return None
            if made is not None:
                value = memoryview(made)
                done.append(fix)
        return Fixed(bytes(value) if done else b"", tuple(done))

    def _made(self, fix: Fix, key: bytes, value: memoryview) -> bytes | None:
        if fix == "label-offset":
            return self.layout.with_label(value, -1)
        place = self.layout.image_in(key, value)
        if place is None:
            channels = {"grey-to-colour": 3, "colour-to-grey": 1}.get(fix)
            return None if channels is None else self.layout.with_channels(value, channels)
        image = value[place[0] : place[1]]
        if fix == "decode":
            return self.layout.with_pixels(value, pixels_of(image))
        made = _IMAGE_FIXES[fix](image, self.options)
        if made is None:
            return None
        return self.layout.with_image(key, value, made, sides_of(made) if fix not in _SAME_SIDES else None)


def sides_of(image: bytes) -> tuple[int, int, int]:
    """Channels, height and width."""
    with Image.open(BytesIO(image)) as opened:
        return len(opened.getbands()), opened.height, opened.width


def without_tail(image: memoryview, options: Options) -> bytes | None:
    """The image up to its end; ``None`` where nothing stands behind that."""
    faults = inspect_image(image, options).faults
    end = next((fault.offset for fault in faults if fault.rule == "image-trailing-data"), None)
    return None if end is None else bytes(image[:end])


def with_end(image: memoryview, options: Options) -> bytes | None:
    """A JPEG of which all rows decode with the end marker that it lacks; ``None`` for any other image."""
    if sniff_format(image) != "JPEG" or all(fault.rule != "image-truncated" for fault in _faults(image, options)):
        return None
    made = bytes(image).removesuffix(b"\xff") + _END
    return None if any(fault.rule in _DAMAGE for fault in _faults(memoryview(made), options)) else made


def upright(image: memoryview, options: Options) -> bytes | None:
    """The image turned as its EXIF data asks, as a PNG, which holds the same pixels; ``None`` where it need not be."""
    with Image.open(BytesIO(image), formats=[sniff_format(image) or "PNG"]) as opened:
        if opened.getexif().get(_ORIENTATION, 1) == 1:
            return None
        return _png(ImageOps.exif_transpose(opened))


def in_colour(image: memoryview, options: Options) -> bytes | None:
    """A grey image as a PNG of three equal channels; ``None`` for any other."""
    with Image.open(BytesIO(image), formats=[sniff_format(image) or "PNG"]) as opened:
        return _png(opened.convert("RGB")) if opened.mode in ("L", "1", "LA") else None


def in_grey(image: memoryview, options: Options) -> bytes | None:
    """A colour image as a grey PNG; ``None`` for one that is grey."""
    with Image.open(BytesIO(image), formats=[sniff_format(image) or "PNG"]) as opened:
        return None if opened.mode in ("L", "1", "I", "I;16", "F") else _png(opened.convert("L"))


def pixels_of(image: memoryview) -> NDArray[np.uint8]:
    """Grey, or blue, green and red as Caffe's reader has them: ``(channels, height, width)``."""
    with Image.open(BytesIO(image), formats=[sniff_format(image) or "PNG"]) as opened:
        if opened.mode in ("L", "1"):
            return np.asarray(opened.convert("L"))[None]
        return np.ascontiguousarray(np.asarray(opened.convert("RGB"))[:, :, ::-1].transpose(2, 0, 1))


def _png(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, "PNG", exif=b"")
    return stream.getvalue()


def _faults(image: memoryview, options: Options) -> tuple[Fault, ...]:
    return inspect_image(image, options).faults


_SAME_SIDES = ("trailing-data", "end-marker")
_IMAGE_FIXES = {
    "trailing-data": without_tail,
    "end-marker": with_end,
    "orientation": upright,
    "grey-to-colour": in_colour,
    "colour-to-grey": in_grey,
}
