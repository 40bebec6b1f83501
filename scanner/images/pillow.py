"""Decoding with Pillow: the formats asked for alone, every frame, and warnings kept instead of printed."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..options import Options
from ..sample import ChannelSums, Fault
from .grey import grey_of_image
from .pixels import expanded, extremes_settle, glimpse, sums_of_image, sums_wanted
from .remarks import image_fault, too_large

_ADDRESS = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>")


@dataclass(slots=True)
class Picture:
    """What Pillow gave. ``error`` says why it stopped; ``frames`` is how many were decoded before that."""

    mode: str | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    orientation: int = 1
    frames: int = 0
    sums: ChannelSums | None = None
    error: str | None = None
    refused: Fault | None = None
    warnings: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()
    """What libtiff printed while Pillow went on: damage to the pixels, not a remark."""
    strips_end: int = 0
    """TIFF: where the last strip or tile of the first page ends, by its own directory."""
    scaled: NDArray[np.uint8] | None = None
    """See `ImageFacts.scaled`."""
    grey: NDArray[np.float32] | None = None
    """See `ImageFacts.grey`."""

    @property
    def oddities(self) -> list[Fault]:
        """Pillow's warnings."""
        return [image_fault("image-oddity", f"Pillow warns: {text}") for text in self.warnings]


def decode(data: bytes | memoryview, format_name: str, options: Options) -> Picture:
    """Decode all frames. Total: what Pillow raises or warns of is in the result.

    Only ``format_name`` is tried, so that no other decoder (nor the programs that some of them start) is reached.
    The size is checked between reading the header and decoding.
    """
    picture = Picture()
    with _kept_warnings() as caught, _kept_standard_error(format_name == "TIFF") as printed:
        try:
            with Image.open(BytesIO(data), formats=[format_name]) as image:
                _read(image, options, picture, sums_wanted(memoryview(data), options))
        except MemoryError:
            raise
        except Exception as exc:  # Pillow's decoders raise whatever the bytes drive them into
            picture.error = _one_line(exc)
    remarks = [line for line in printed if "warning" in line.lower()]
    picture.warnings = tuple(dict.fromkeys((*(_one_line(entry.message) for entry in caught), *remarks)))
    picture.complaints = tuple(line for line in printed if line not in remarks)
    return picture


@contextmanager
def _kept_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings, and lift Pillow's own limit: ours is checked before every decode."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def _kept_standard_error(wanted: bool) -> Iterator[list[str]]:
    """Collect what C code prints: libtiff writes to file descriptor 2, whatever ``sys.stderr`` is."""
    printed: list[str] = []
    if not wanted:
        yield printed
        return
    with TemporaryFile() as caught:
        try:
            kept = os.dup(2)
        except OSError:  # standard error is closed: nothing can be printed
            yield printed
            return
        try:
            os.dup2(caught.fileno(), 2)
            yield printed
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            lines = caught.read(1 << 14).decode(errors="replace").splitlines()
            printed += [_one_line(line.removeprefix("tempfile.tif: ")) for line in lines[:8]]


def _read(image: Image.Image, options: Options, picture: Picture, summed: bool) -> None:
    picture.width, picture.height, picture.mode = image.width, image.height, image.mode
    picture.refused = too_large(image.width, image.height, options)
    if picture.refused is not None:
        return
    tags = getattr(image, "tag_v2", None)
    if tags is not None:  # before loading, which turns the pixels and drops the tag
        turn = tags.get(0x0112)
        picture.orientation = turn if isinstance(turn, int) and 1 <= turn <= 8 else 1
        picture.strips_end = _strips_end(tags)
    frames = int(getattr(image, "n_frames", 1))
    picture.refused = too_large(image.width, image.height, options, frames)
    if picture.refused is not None:
        return
    for number in range(frames):
        if number:
            image.seek(number)
            picture.refused = too_large(image.width, image.height, options)
            if picture.refused is not None:
                return
        image.load()
        if number == 0:
            plain = expanded(image)
            picture.channels = len(plain.getbands())
            if options.probe is not None:
                picture.scaled = glimpse(plain)
            if options.near:
                picture.grey = grey_of_image(plain)
            if summed or not extremes_settle(plain):
                picture.sums = sums_of_image(plain)
            else:
                picture.sums = ChannelSums.left_out(picture.channels)
        picture.frames += 1


def _strips_end(tags: object) -> int:
    """Where the data ends that a TIFF directory points to (TIFF 6.0: StripOffsets, TileOffsets and their counts)."""
    end = 0
    for offsets_tag, counts_tag in ((273, 279), (324, 325)):
        offsets, counts = (tags.get(tag) or () for tag in (offsets_tag, counts_tag))  # type: ignore[attr-defined]
        if isinstance(offsets, tuple) and isinstance(counts, tuple):
            pairs = zip(offsets, counts, strict=False)
            end = max([end, *(start + length for start, length in pairs if isinstance(start + length, int))])
    return end


def _one_line(exc: object) -> str:
    """A message of Pillow's, without the address of the buffer: equal bytes must give equal reports."""
    if isinstance(exc, UnidentifiedImageError):
        return "its header is damaged"
    text = " ".join(_ADDRESS.sub("", str(exc)).split())
    return text[:200] or type(exc).__name__
