"""PNG: every checksum, the exact size of the image data, its filter bytes, and the pixels themselves."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace

import deflate
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..options import Options
from ..sample import ChannelSums, Fault, ImageFacts
from .exif import orientation
from .grey import grey_of_image
from .pixels import colour_channels, expanded, glimpse, sums_of_image, sums_wanted
from .png_chunks import Chunks, Header, walk_chunks
from .remarks import describe_tail, image_fault, pixel_faults, too_large, trailing_data

_END_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
_MOST_INFLATION = 1032  # DEFLATE can't give more bytes than that for one
_MOST_STORED = 65535
_UPPER_PART = 4

# (bits, colour type) to: Pillow's mode, its name for the packed samples, channels counted.
_MODES = {
    (1, 0): ("1", "1", 1),
    (2, 0): ("L", "L;2", 1),
    (4, 0): ("L", "L;4", 1),
    (8, 0): ("L", "L", 1),
    (16, 0): ("I;16", "I;16B", 1),
    (8, 2): ("RGB", "RGB", 3),
    (16, 2): ("RGB", "RGB;16B", 3),
    (1, 3): ("P", "P;1", 3),
    (2, 3): ("P", "P;2", 3),
    (4, 3): ("P", "P;4", 3),
    (8, 3): ("P", "P", 3),
    (8, 4): ("LA", "LA", 2),
    (16, 4): ("RGBA", "LA;16B", 4),
    (8, 6): ("RGBA", "RGBA", 4),
    (16, 6): ("RGBA", "RGBA;16B", 4),
}


def inspect_png(data: memoryview, options: Options) -> ImageFacts:
    """Look at one PNG."""
    found = walk_chunks(data)
    header = found.header
    if header is None:
        rule = "image-corrupt" if found.bad_checksum and not found.problem else "image-undecodable"
        return ImageFacts("PNG", faults=(image_fault(rule, f"no pixels: {found.problem}"),))
    mode, _, channels = _MODES[header.depth, header.colour]
    if mode == "P" and found.transparency is not None:
        channels = 4
    turn = orientation(found.exif)
    sums, faults, scaled, grey = _pixels(data, found, header, options)
    if sums is not None:
        faults += _behind_the_end(data, found)
        faults += pixel_faults(sums, turn)
    return ImageFacts("PNG", header.width, header.height, channels, mode, turn, tuple(faults), sums, scaled, grey)


_Looked = tuple[ChannelSums | None, list[Fault], NDArray[np.uint8] | None, NDArray[np.float32] | None]
"""Sums of the pixels, faults, a few pixels for a network, and a small grey picture."""


def _pixels(data: memoryview, found: Chunks, header: Header, options: Options) -> _Looked:
    """Sums of the pixels where all is well, else the one fault that explains the damage."""
    refused = too_large(header.width, header.height, options, 1 + len(found.frames))
    if refused is not None:
        return None, [refused], None, None
    damage = _structure_damage(data, found, header)
    if damage is not None:
        return None, [damage], None, None
    raw = _inflate(found.image, header.passes())
    if isinstance(raw, Fault):
        return None, [raw], None, None
    for number, (width, height, parts) in enumerate(found.frames, 1):
        inside = 0 < width <= header.width and 0 < height <= header.height
        frame = _inflate(parts, header.passes(width, height)) if inside else b""
        if isinstance(frame, Fault) or not inside:
            return None, [image_fault("image-corrupt", f"frame {number} of the animation is damaged")], None, None
    if not sums_wanted(data, options) and _rows_settle(header, raw):
        scaled = None if options.probe is None else glimpse(_upper_part(found, header, raw))
        grey = grey_of_image(expanded(_picture(found, header, raw))) if options.near else None
        return ChannelSums.left_out(_MODES[header.depth, header.colour][2]), [], scaled, grey
    image = expanded(_picture(found, header, raw))
    scaled = None if options.probe is None else glimpse(image)
    return sums_of_image(image), [], scaled, grey_of_image(image) if options.near else None


def _structure_damage(data: memoryview, found: Chunks, header: Header) -> Fault | None:
    """The fault of chunks that are damaged, lost or cut."""
    cut = found.end is None and bytes(data[-12:]) != _END_CHUNK
    if found.bad_checksum is not None and not (cut and found.cut_at is not None and not found.image):
        kind, offset = found.bad_checksum
        return image_fault("image-corrupt", f"the checksum of chunk {kind} is wrong", offset, chunk=kind)
    if found.broken_at is not None:
        return image_fault("image-corrupt", "what should be a chunk has no valid length and type", found.broken_at)
    if cut:
        return _cut_short(data, found, header)
    if found.end is None:
        return image_fault("image-corrupt", "a chunk's length is wrong", found.cut_at)
    if not found.image:
        return image_fault("image-undecodable", "PNG without image data")
    if header.colour == 3 and not found.palette:  # Pillow gives black then, libpng (OpenCV) nothing
        return image_fault("image-corrupt", "the palette is missing")
    return None


def _cut_short(data: memoryview, found: Chunks, header: Header) -> Fault:
    """The fault of a PNG without its end: how much of it is there."""
    rows = _rows_present(found, header)
    if rows == 0:
        return image_fault("image-undecodable", "PNG ends before its first row", len(data))
    if rows >= sum(count for _, count in header.passes()):
        return image_fault("image-truncated", "all rows decode, the end of the PNG is missing", len(data))
    if header.interlaced:
        return image_fault("image-truncated", "the interlaced PNG ends early", len(data))
    share = rows / header.height
    message = f"PNG ends after {share:.0%} of its rows"
    if not 0.005 <= share < 0.995:
        message = f"PNG ends within the {'last' if share > 0.5 else 'first'} of its rows"
    return image_fault("image-truncated", message, len(data), rows=rows, height=header.height)


def _rows_present(found: Chunks, header: Header) -> int:
    """Whole rows (of all passes) in the image data that is there."""
    inflator = zlib.decompressobj()
    size = 0
    try:
        for part in found.image:
            pending: bytes | memoryview = part
            while len(pending) and not inflator.eof:
                size += len(inflator.decompress(pending, 1 << 20))
                pending = inflator.unconsumed_tail
    except zlib.error:
        pass  # what was inflated before counts
    rows = 0
    for row_bytes, count in header.passes():
        complete = min(size // row_bytes, count)
        rows += complete
        if complete < count:
            break
        size -= row_bytes * count
    return rows


# ---- image data ----


def _inflate(parts: Sequence[memoryview], passes: list[tuple[int, int]]) -> bytearray | Fault:
    """The filtered rows, or the fault of data that is not exactly as long as the header says."""
    stream: bytes | memoryview = parts[0] if len(parts) == 1 else b"".join(parts)
    size = sum(row_bytes * rows for row_bytes, rows in passes)
    if (len(stream) + 8) * _MOST_INFLATION < size:
        return image_fault("image-truncated", f"{len(stream)} bytes of image data can't hold the pixels declared")
    try:
        raw: bytearray = deflate.zlib_decompress(stream, size)
    except deflate.DeflateError:
        return _inflate_fault(stream, size)
    if len(raw) != size:
        return _size_fault(len(raw), size)
    at = 0
    for row_bytes, rows in passes:
        filters = np.frombuffer(raw, np.uint8)[at : at + row_bytes * rows : row_bytes]
        if int(filters.max()) > 4:
            row = int((filters > 4).argmax())
            return image_fault("image-corrupt", f"row {row} has filter type {int(filters[row])}, known are 0 to 4")
        at += row_bytes * rows
    return raw


def _inflate_fault(stream: bytes | memoryview, size: int) -> Fault:
    """Why the image data can't be inflated to the size that the header says."""
    inflator = zlib.decompressobj()
    length = 0
    pending: bytes | memoryview = stream
    try:
        while len(pending) and not inflator.eof and length <= size:
            length += len(inflator.decompress(pending, 1 << 20))
            pending = inflator.unconsumed_tail
    except zlib.error as exc:
        return image_fault("image-corrupt", f"the image data doesn't inflate: {exc}")
    if length > size:
        return image_fault("image-corrupt", f"there is more image data than the {size} bytes that the header declares")
    return _size_fault(length, size)


def _size_fault(length: int, size: int) -> Fault:
    return image_fault("image-truncated", f"{length} bytes of pixels where the header declares {size}")


def _rows_settle(header: Header, raw: bytearray) -> bool:
    """Whether the filtered rows show, as they are, that every colour channel has several values.

    Each filter predicts a sample from those of its channel to the left, above, and above left. Where a channel has
    one value, the inner samples of a row are alike therefore, whatever filter the row has and whatever stands above.
    Asked of plain 8-bit images alone: others may be different in ways that Pillow's pixels are not.
    """
    if header.interlaced or header.depth != 8 or header.colour == 3:
        return False
    channels = _MODES[header.depth, header.colour][2]
    rows = np.frombuffer(raw, np.uint8).reshape(header.height, -1)[:, 1:].reshape(header.height, -1, channels)
    inner = rows[:, 1:, : colour_channels(channels)]
    middle = header.height // 2
    return any(_differ_along_rows(part) for part in (inner[middle : middle + 1], inner))


def _differ_along_rows(samples: NDArray[np.uint8]) -> bool:
    return bool((samples[:, 1:] != samples[:, :-1]).any(axis=(0, 1)).all())


def _picture(found: Chunks, header: Header, raw: bytearray) -> Image.Image:
    """The image of its filtered rows.

    Pillow undoes the filters. It gets the rows in a zlib stream without compression: libdeflate has inflated them
    in half the time that Pillow's zlib takes.
    """
    mode, raw_mode, _ = _MODES[header.depth, header.colour]
    size = (header.width, header.height)
    image = Image.frombytes(mode, size, _stored(raw), "zip", raw_mode, int(header.interlaced))
    if mode == "P" and found.palette is not None:
        image.putpalette(bytes(found.palette[:768]))
        if found.transparency is not None:
            image.info["transparency"] = bytes(found.transparency)
    return image


def _upper_part(found: Chunks, header: Header, raw: bytearray) -> Image.Image:
    """The upper rows of an image that is not interlaced: undoing the filters of all would cost what was saved."""
    height = -(-header.height // _UPPER_PART)
    row_bytes = len(raw) // header.height
    return _picture(found, replace(header, height=height), raw[: row_bytes * height])


def _stored(raw: bytearray) -> bytes:
    """A zlib stream of stored blocks (RFC 1950, RFC 1951 section 3.2.4)."""
    view = memoryview(raw)
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    for start in range(0, len(raw), _MOST_STORED):
        block = view[start : start + _MOST_STORED]
        last = start + _MOST_STORED >= len(raw)
        parts += [struct.pack("<BHH", last, len(block), 0xFFFF ^ len(block)), block]
    parts.append(struct.pack(">I", deflate.adler32(raw)))
    return b"".join(parts)


def _behind_the_end(data: memoryview, found: Chunks) -> list[Fault]:
    if found.end is None or found.end == len(data):
        return []
    tail = data[found.end :]
    return [trailing_data("PNG", len(tail), found.end, describe_tail(tail))]
