"""The walk over a PNG's chunks: lengths, types and checksums (PNG specification, sections 5 and 11)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import deflate

SIGNATURE_SIZE = 8
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


@dataclass(frozen=True, slots=True)
class Header:
    """The IHDR chunk."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    def passes(self, width: int | None = None, height: int | None = None) -> list[tuple[int, int]]:
        """``(bytes a row, rows)`` of each pass as it is compressed: a filter byte, then the packed samples."""
        width = self.width if width is None else width
        height = self.height if height is None else height
        bits = self.depth * _SAMPLES[self.colour]
        sizes = [(width, height)]
        if self.interlaced:
            sizes = [((width - x + dx - 1) // dx, (height - y + dy - 1) // dy) for x, y, dx, dy in _ADAM7]
        return [(1 + (columns * bits + 7) // 8, rows) for columns, rows in sizes if columns > 0 and rows > 0]


@dataclass(slots=True)
class Chunks:
    """What the walk found.

    Attributes
    ----------
    header
        ``None`` where there is no valid IHDR; ``problem`` says why then.
    image
        The IDAT chunks' contents, in order.
    frames
        Further frames of an animation: ``(width, height, contents of the fdAT chunks)``.
    bad_checksum
        ``(type, offset)`` of the first chunk whose checksum is wrong.
    broken_at
        Offset of the first chunk whose length or type is impossible.
    cut_at
        Offset of a chunk that runs beyond the data.
    end
        Offset behind IEND, ``None`` where that is missing.
    """

    header: Header | None = None
    problem: str = ""
    palette: memoryview | None = None
    transparency: memoryview | None = None
    image: list[memoryview] = field(default_factory=list)
    frames: list[tuple[int, int, list[memoryview]]] = field(default_factory=list)
    exif: bytes = b""
    bad_checksum: tuple[str, int] | None = None
    broken_at: int | None = None
    cut_at: int | None = None
    end: int | None = None


def walk_chunks(data: memoryview) -> Chunks:
    """Read all chunks up to IEND. Total: damage is noted, the walk ends where the next chunk can't be found."""
    found = Chunks()
    position = SIGNATURE_SIZE
    while position < len(data):
        if position + 8 > len(data):
            found.cut_at = position
            break
        length, kind = struct.unpack_from(">I4s", data, position)
        if not kind.isalpha() or length >= 1 << 31:
            found.broken_at = position
            break
        stop = position + 12 + length
        body = data[position + 8 : min(stop - 4, len(data))]
        if stop > len(data):
            found.cut_at = position
            _keep(kind, body, found)
            break
        if found.bad_checksum is None:
            stored = int.from_bytes(data[stop - 4 : stop], "big")
            if deflate.crc32(data[position + 4 : stop - 4]) != stored:
                found.bad_checksum = (kind.decode(), position)
        _keep(kind, body, found)
        position = stop
        if kind == b"IEND":
            found.end = position
            break
    if found.header is None and not found.problem:
        found.problem = "there is no IHDR chunk"
    return found


def _keep(kind: bytes, body: memoryview, found: Chunks) -> None:
    if kind == b"IHDR" and found.header is None and len(body) == 13:
        _read_header(body, found)
    elif kind == b"PLTE":
        found.palette = body
    elif kind == b"tRNS":
        found.transparency = body
    elif kind == b"IDAT":
        found.image.append(body)
    elif kind == b"eXIf":
        found.exif = bytes(body)
    elif kind == b"fcTL" and len(body) == 26 and found.image:  # one before IDAT describes the image itself
        found.frames.append((*struct.unpack_from(">II", body, 4), []))
    elif kind == b"fdAT" and len(body) >= 4 and found.frames:
        found.frames[-1][2].append(body[4:])


def _read_header(body: memoryview, found: Chunks) -> None:
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if not 0 < width < 1 << 31 or not 0 < height < 1 << 31:
        found.problem = f"its header declares {width}x{height} pixels"
    elif depth not in _DEPTHS.get(colour, ()):
        found.problem = f"its header declares colour type {colour} with {depth} bits"
    elif compression or filtering or interlace > 1:
        found.problem = "its header declares an unknown compression, filter or interlace method"
    else:
        found.header = Header(width, height, depth, colour, bool(interlace))
