"""PNG: every checksum, the exact size of the image data, its filter bytes, and the pixels themselves."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import deflate
import numpy as np

from ..options import Options
from ..sample import ChannelSums, Fault, ImageFacts
from . import pillow
from .exif import orientation
from .png_chunks import Chunks, Header, walk_chunks
from .remarks import describe_tail, image_fault, pixel_faults, too_large, trailing_data

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
_MOST_INFLATION = 1032  # DEFLATE can't give more bytes than that for one
_MODES = {0: ("L", 1), 2: ("RGB", 3), 3: ("P", 3), 4: ("LA", 2), 6: ("RGBA", 4)}


def inspect_png(data: memoryview, options: Options) -> ImageFacts:
    """Look at one PNG."""
    found = walk_chunks(data)
    header = found.header
    if header is None:
        rule = "image-corrupt" if found.bad_checksum and not found.problem else "image-undecodable"
        return ImageFacts("PNG", faults=(image_fault(rule, f"no pixels: {found.problem}"),))
    mode, channels = _MODES[header.colour]
    if header.colour == 3 and found.transparency is not None:
        channels = 4
    if header.depth == 16 and header.colour == 0:
        mode = "I;16"
    if header.depth == 1 and header.colour == 0:
        mode = "1"
    turn = orientation(found.exif)
    sums, faults = _pixels(data, found, header, options)
    if sums is not None:
        faults += _behind_the_end(data, found)
        faults += pixel_faults(sums, turn)
    return ImageFacts("PNG", header.width, header.height, channels, mode, turn, tuple(faults), sums)


def _pixels(
    data: memoryview, found: Chunks, header: Header, options: Options
) -> tuple[ChannelSums | None, list[Fault]]:
    """Sums of the pixels where all is well, else the one fault that explains the damage."""
    refused = too_large(header.width, header.height, options, 1 + len(found.frames))
    if refused is not None:
        return None, [refused]
    damage = _structure_damage(data, found, header)
    if damage is not None:
        return None, [damage]
    raw = _inflate(found.image, header.passes())
    if isinstance(raw, Fault):
        return None, [raw]
    for number, (width, height, parts) in enumerate(found.frames, 1):
        inside = 0 < width <= header.width and 0 < height <= header.height
        frame = _inflate(parts, header.passes(width, height)) if inside else b""
        if isinstance(frame, Fault) or not inside:
            return None, [image_fault("image-corrupt", f"frame {number} of the animation is damaged")]
    picture = pillow.decode(_restored(data, found, header, raw), "PNG", options)
    if picture.refused is not None:
        return None, [picture.refused]
    if picture.error is not None:
        return None, [image_fault("image-undecodable", f"Pillow can't decode it: {picture.error}")]
    return picture.sums, picture.oddities


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
        raw = bytearray(deflate.zlib_decompress(stream, size))
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


def _restored(data: memoryview, found: Chunks, header: Header, raw: bytearray) -> bytes:
    """The PNG with its image data stored instead of compressed, for Pillow to unfilter.

    libdeflate inflates twice as fast as the zlib inside Pillow; the rest of the file was checked before.
    """
    chunks = [(b"IHDR", bytes(data[16:29]))]
    if found.palette is not None:
        chunks.append((b"PLTE", bytes(found.palette)))
    if found.transparency is not None:
        chunks.append((b"tRNS", bytes(found.transparency)))
    chunks += [(b"IDAT", bytes(deflate.zlib_compress(raw, 0))), (b"IEND", b"")]
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", deflate.crc32(body, deflate.crc32(kind)))
        for kind, body in chunks
    )


def _behind_the_end(data: memoryview, found: Chunks) -> list[Fault]:
    if found.end is None or found.end == len(data):
        return []
    tail = data[found.end :]
    return [trailing_data("PNG", len(tail), found.end, describe_tail(tail))]
