"""JPEG: strict decoding to the last row, and a walk over the markers for what no decoder mentions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from ..options import Options
from ..sample import ChannelSums, Fault, ImageFacts, Seen
from . import pillow
from .grey import LEAST_SIDE, SIDE, grey_of
from .jpeg_markers import ARITHMETIC, LOSSLESS, JpegStructure, bare_jpeg, walk_markers, zeros_are_detail
from .pixels import GLIMPSE, colour_channels, sampled_sums_of_buffer, sums_of_buffer, sums_wanted
from .remarks import describe_tail, image_fault, pixel_faults, too_large, trailing_data

SCANS_BUDGET = 16
"""Scans times pixels may reach so many times ``max_pixels``: each scan of a progressive JPEG visits every pixel."""
USUAL_SCANS = 64
"""No encoder writes more scans: beyond, they may visit no more than ``max_pixels`` pixels together."""

# Components to: the colour space asked of the decoder, Pillow's mode for its buffer, channels counted.
# RGBX because Pillow can wrap four bytes a pixel without copying them; the fourth is left out of the sums.
_SPACES = {1: ("GRAY", "L", 1), 3: ("RGBX", "RGBX", 3), 4: ("CMYK", "CMYK", 4)}
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_END = b"\xff\xd9"
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_SECTOR = bytes(256)  # half a disk sector, more than two units of 4:2:0 blocks with all coefficients set
_LEAST_SCALED = 64  # smaller images are decoded at full size: 8x8 blocks would show too little of them
_MARGIN = 3  # blocks at the right and lower edge that hold what is no part of the image, or are smoothed with it
_CLEARLY = 4  # a difference between two averages of blocks that no rounding makes
_FEW = 8  # of a row of averages, one in so many is looked at first
_ZERO_TAIL = 16  # so many zeros at an end without end marker were never written by an encoder


def inspect_jpeg(data: memoryview, options: Options, seen: Seen) -> ImageFacts:
    """Look at one JPEG."""
    # Counting stops past the most scans that any image could be allowed, that of a single pixel.
    found = walk_markers(data, options.max_pixels * SCANS_BUDGET)
    refused = _refused(found, options)
    if refused is not None:
        return _facts(found, [refused], None)
    wanted = sums_wanted(data, options)
    scaled = None if wanted else _sound_scaled(data, found, seen, options)
    if scaled is None:
        sums, faults = _decode(data, found, options)
    else:
        sums, faults = _judged(data, found, ChannelSums.left_out(_SPACES[found.components][2]))
    if sums is not None and not any(fault.rule in ("image-corrupt", "image-truncated") for fault in faults):
        faults += _behind_the_end(data, found)
        faults += pixel_faults(sums, found.orientation)
        if not wanted and sums.count:
            sums = sums.uncounted()
    facts = _facts(found, faults, sums)
    if options.near and sums is not None:
        facts = replace(facts, grey=_grey(data, found, options))
    if options.probe is None or sums is None:
        return facts
    return replace(facts, scaled=_glimpse(data, found, options) if scaled is None else scaled)


def _facts(found: JpegStructure, faults: list[Fault], sums: ChannelSums | None) -> ImageFacts:
    seen = found.frame is not None
    return ImageFacts(
        "JPEG",
        found.width if seen else None,
        found.height if seen else None,
        found.components if found.components in _MODES else None,
        _MODES.get(found.components),
        found.orientation,
        tuple(faults),
        sums,
    )


def _refused(found: JpegStructure, options: Options) -> Fault | None:
    """Why there is nothing to decode, or too much."""
    if found.frame is not None:
        fault = too_large(found.width, found.height, options)
        if fault is not None:
            return fault
    if not found.has_scan:
        return image_fault("image-undecodable", "JPEG header without image data")
    budget = options.max_pixels * (SCANS_BUDGET if found.scans <= USUAL_SCANS else 1)
    if found.scans * found.width * found.height > budget:
        return image_fault(
            "image-too-large",
            f"{found.scans} scans of {found.width}x{found.height} are too much to decode",
            width=found.width,
            height=found.height,
            scans=found.scans,
        )
    return None


# ---- decoding ----


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What the strict decoder gave: ``complaint`` is libjpeg's first warning, or the error that ended it.

    With a complaint, ``pixels`` are as far as decoding came, zero beyond.
    """

    pixels: NDArray[np.uint8]
    complaint: str | None = None

    @property
    def nothing(self) -> bool:
        """Whether no pixel was written."""
        return not self.pixels[..., :3].any()


def _strict(data: memoryview | bytes, found: JpegStructure) -> _Decoded:
    """Decode; warnings are complaints."""
    space, _, _ = _SPACES[found.components]
    shape = (found.height, found.width, 1 if space == "GRAY" else 4)
    # The buffer is ours, so that a second frame header can't make the decoder allocate more than was allowed.
    pixels = np.empty(shape, np.uint8)
    try:
        simplejpeg.decode_jpeg(data, colorspace=space, buffer=pixels)
        return _Decoded(pixels)
    except ValueError as exc:
        complaint = str(exc).partition("(): ")[2] or str(exc)
    if complaint.startswith("Insufficient memory"):
        raise MemoryError(complaint)
    pixels.fill(0)
    with suppress(ValueError):  # strictness ends before the output where all scans are read first
        simplejpeg.decode_jpeg(data, colorspace=space, buffer=pixels, strict=False)
    return _Decoded(pixels, complaint)


def _sound_scaled(data: memoryview, found: JpegStructure, seen: Seen, options: Options) -> NDArray[np.uint8] | None:
    """The image at 1/8 of its size, if that decodes without complaint and shows that no colour has a single value.

    All of the data is decoded for that but the last step from coefficients to pixels, which can't fail: what a
    decode at full size complains about, this one does, in a half to a third of the time. What it says isn't used:
    a full decode says it again, knowing how far the pixels come.

    Once an image of the array has shown several values in each colour, the brightness of the later ones is enough:
    it shows that they are not of a single colour, and takes less time.
    """
    if found.components not in _SPACES or min(found.width, found.height) < _LEAST_SCALED:
        return None
    space, _, channels = _SPACES[found.components]
    if channels == 3 and seen.colours and options.probe is None:
        space, channels = "GRAY", 1
    shape = (-(-found.height // 8), -(-found.width // 8), 1 if space == "GRAY" else 4)
    pixels = np.empty(shape, np.uint8)
    try:
        simplejpeg.decode_jpeg(data, space, min_height=1, min_width=1, min_factor=8, buffer=pixels)
    except ValueError:
        return None
    inner = pixels[:-_MARGIN, :-_MARGIN, : colour_channels(channels)]
    row = inner[len(inner) // 2]
    if not _few_differ(row[::_FEW]) and not _clearly_differ(inner.reshape(-1, inner.shape[2])):
        return None
    seen.colours |= channels == 3
    return pixels[:, :, : colour_channels(pixels.shape[2])]


def _few_differ(colours: NDArray[np.uint8]) -> bool:
    """The same as `_clearly_differ` of so few pixels that numpy's calls would take longer than Python's.

    They settle the question for almost all images.
    """
    return all(max(values) - min(values) > _CLEARLY for values in map(bytes, colours.T))


def _clearly_differ(colours: NDArray[np.uint8]) -> bool:
    """Whether every channel of some pixels ``(n, channels)`` has values that are different for sure."""
    spread = np.maximum.reduce(colours, axis=0) - np.minimum.reduce(colours, axis=0)
    return int(spread.min()) > _CLEARLY


def _glimpse(data: memoryview, found: JpegStructure, options: Options) -> NDArray[np.uint8] | None:
    """The image at the smallest scale that shows `GLIMPSE` pixels a side, for a network; it has decoded before."""
    if found.components in _SPACES:
        with suppress(ValueError):  # what the strict decoder refuses and Pillow reads
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
                data, _SPACES[found.components][0], min_height=GLIMPSE, min_width=GLIMPSE, strict=False
            )
            return pixels[:, :, : colour_channels(pixels.shape[2])]
    return pillow.decode(data, "JPEG", options).scaled


def _grey(data: memoryview, found: JpegStructure, options: Options) -> NDArray[np.float32] | None:
    """The small grey picture, from the smallest scale that shows enough; the image has decoded before."""
    if min(found.width, found.height) < LEAST_SIDE:
        return None
    if found.components in (1, 3):
        with suppress(ValueError):  # what the strict decoder refuses and Pillow reads
            pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
                data, "GRAY", min_height=SIDE, min_width=SIDE, strict=False
            )[:, :, 0]
            down, across = (_shown(*sides) for sides in zip((found.height, found.width), pixels.shape, strict=True))
            return grey_of(pixels, (down, across))
    return pillow.decode(data, "JPEG", options).grey


def _shown(length: int, scaled: int) -> float:
    """How many of the scaled pixels of a side show the image: the last one may stand for less than the others."""
    eighths = 8 * scaled // length
    return min(length * eighths / 8, scaled) if eighths else scaled


def _decode(data: memoryview, found: JpegStructure, options: Options) -> tuple[ChannelSums | None, list[Fault]]:
    """Sums of the pixels where all of them decode, and what decoding finds."""
    if found.components not in _SPACES:
        return _with_pillow(data, found, options, f"{found.components} components")
    first = rest = _strict(data, found)
    bare: bytes | memoryview = data
    if first.complaint is not None:
        # Only the first warning is told: one about the header would hide the damage behind it.
        bare = bare_jpeg(data, found)
        rest = _strict(bare, found)
    if rest.complaint is None or _is_padding(data, found, rest.complaint):
        remarks = [] if first.complaint is None else [f"libjpeg remarks: {first.complaint}"]
        oddities = [image_fault("image-oddity", remark) for remark in remarks]
        return _judged(data, found, _sums(rest, found, options), oddities)
    if rest.nothing:
        return _with_pillow(data, found, options, rest.complaint)
    if found.end is None and bytes(data[-2:]) != _END:
        return None, [_cut_short(data, bare, found, rest)]
    return None, [image_fault("image-corrupt", f"the image data is damaged; libjpeg says: {rest.complaint}")]


def _judged(
    data: memoryview, found: JpegStructure, sums: ChannelSums, oddities: Sequence[Fault] = ()
) -> tuple[ChannelSums | None, list[Fault]]:
    """What is to be said of an image that the decoder has no complaint about."""
    lost = _lost_sector(data, found)
    return (sums, list(oddities)) if lost is None else (None, [lost])


def _sums(decoded: _Decoded, found: JpegStructure, options: Options) -> ChannelSums:
    _, mode, channels = _SPACES[found.components]
    summed = sampled_sums_of_buffer if options.statistics == "sampled" else sums_of_buffer
    return summed(decoded.pixels, mode, channels)


def _lost_sector(data: memoryview, found: JpegStructure) -> Fault | None:
    """A run of zeros amid the image data, which decodes without a remark about half of the time.

    Told only where the tables give zero bits a meaning that no picture has: block after block, every coefficient
    of the finest detail at -1. (Tables made for one image may well give zeros to flat areas.)
    """
    if found.scans > 1:
        return None
    end = len(data) if found.end is None else found.end
    spread = np.frombuffer(data, np.uint8)[found.scan_start : end : len(_SECTOR) // 4]
    if bytes(4) not in spread.tobytes():  # a sector holds four of these bytes
        return None
    at = bytes(data).find(_SECTOR, found.scan_start, end)
    if at < 0 or not zeros_are_detail(data, found):
        return None
    return image_fault("image-corrupt", "zeros stand amid the image data, where a part of it was lost", at)


def _is_padding(data: memoryview, found: JpegStructure, complaint: str) -> bool:
    """Whether a remark is about zeros between the last row and the end marker, which some cameras write."""
    match = _EXTRANEOUS.search(complaint)
    if match is None or match[2] != "d9" or found.end is None:
        return False
    return not any(data[found.end - 2 - int(match[1]) : found.end - 2])


def _with_pillow(
    data: memoryview, found: JpegStructure, options: Options, complaint: str
) -> tuple[ChannelSums | None, list[Fault]]:
    """What the strict decoder refuses may be unusual and valid: Pillow and the markers decide then."""
    picture = pillow.decode(data, "JPEG", options)
    if picture.refused is not None:
        return None, [picture.refused]
    if picture.frames and found.end is None:
        return None, [image_fault("image-truncated", "all rows decode, the end marker is missing")]
    if picture.frames:
        return picture.sums, picture.oddities
    if found.end is None:
        rule = "image-truncated" if picture.mode is not None else "image-undecodable"
        return None, [image_fault(rule, f"JPEG ends early: {picture.error or complaint}")]
    if found.frame in LOSSLESS or found.precision != 8:
        kind = "lossless" if found.frame in LOSSLESS else f"{found.precision}-bit"
        message = f"{kind} JPEG: neither Pillow nor libjpeg's 8-bit interface decodes it"
        return None, [image_fault("image-undecodable", message, severe=False)]
    return None, [image_fault("image-undecodable", f"no pixels; libjpeg says: {complaint}")]


# ---- ends ----


def _cut_short(data: memoryview, bare: bytes | memoryview, found: JpegStructure, decoded: _Decoded) -> Fault:
    """The fault of a JPEG without end marker: how much of it is there."""
    tail = bytes(data[-_ZERO_TAIL:])
    if not any(tail):
        written = len(bytes(data).rstrip(b"\0"))
        message = f"the last {len(data) - written} bytes are zeros: the rest of the JPEG was never written"
        return image_fault("image-truncated", message, written)
    if found.frame in ARITHMETIC:  # this decoder takes what is missing for zeros, and says nothing
        return image_fault("image-truncated", "the arithmetic-coded JPEG ends early", len(data))
    if _strict(bytes(bare).removesuffix(b"\xff") + _END, found).complaint is None:
        return image_fault("image-truncated", "all rows decode, the end marker is missing", len(data))
    if not found.single_scan and found.scans > 1:
        message = f"JPEG ends in scan {found.scans}: the detail of the later ones is missing"
        return image_fault("image-truncated", message, len(data), scans=found.scans)
    rows = _rows_decoded(decoded)
    if rows is None:
        return image_fault("image-undecodable", "JPEG ends before its first row", len(data))
    share = rows / found.height
    scan = "its rows" if found.single_scan else "the rows of its first scan"
    message = f"JPEG ends after {share:.0%} of {scan}"
    if not 0.005 <= share < 0.995:
        message = f"JPEG ends within the {'last' if share > 0.5 else 'first'} of {scan}"
    return image_fault("image-truncated", message, len(data), rows=rows, height=found.height)


def _rows_decoded(decoded: _Decoded) -> int | None:
    """Rows that are there to their right end, ``None`` where there is not a single pixel.

    libjpeg gives missing blocks zero coefficients, a medium grey; a row of blocks is there where its last column
    is not that. The block that the cut goes through may count or not.
    """
    colour = decoded.pixels[..., :3]
    fill = colour[-1, -1]
    if not bool(((fill == 127) | (fill == 128)).all()):
        return len(colour)
    if not bool((colour != fill).any()):
        return None
    whole = np.flatnonzero((colour[:, -1:] != fill).any(axis=(1, 2)))
    return int(whole[-1]) + 1 if len(whole) else 0


def _behind_the_end(data: memoryview, found: JpegStructure) -> list[Fault]:
    """Bytes behind the end marker; the further pictures of a multi-picture file belong to it."""
    if found.end is None:
        return []
    end = max(found.end, found.pictures_end)
    if end > len(data):
        return [image_fault("image-oddity", "the index of pictures points behind the end of the file", found.end)]
    if end == len(data):
        return []
    return [trailing_data("JPEG", len(data) - end, end, describe_tail(data[end:]))]
