"""The walk over a JPEG's markers: what its header declares, and where it ends (ITU-T T.81, annex B)."""

from __future__ import annotations

import struct
from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from .exif import orientation

SOI, EOI, SOS, DQT, DHT, DAC, DRI = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xCC, 0xDD
APP1, APP2 = 0xE1, 0xE2
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
ARITHMETIC = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})

_WINDOW = 1 << 18
_MARKER_AND_LENGTH = struct.Struct(">BBH")
_LONE = frozenset({0x01, SOI, *range(0xD0, 0xD8)})  # markers without a segment
_SEGMENTS = frozenset(range(0xC0, 0xFF)) - _LONE - {EOI} - set(range(0xF0, 0xFE))

# Bytes that make the 0xFF before them a marker: not stuffing (00), fill (FF), restart (D0..D7) or TEM (01).
_MARKERS = frozenset(range(0x100)) - {0x00, 0x01, 0xFF, *range(0xD0, 0xD8)}
_IS_MARKER = np.array([byte in _MARKERS for byte in range(0x100)])


Segment = tuple[int, int, int]
"""A marker segment: ``(marker, start, stop)``; ``start`` is its 0xFF, ``stop`` the first byte behind it.

A plain tuple, because one of a class of its own takes five times as long to make, and each image has ten.
"""


@dataclass(slots=True)
class JpegStructure:
    """What the markers say.

    Attributes
    ----------
    segments
        Up to and including the first start of scan; the last one is that (``has_scan``).
    width, height, components, precision, frame
        From the frame header; ``frame`` is its marker, ``None`` where there is none.
    scans
        How many starts of scan there are; counting stops at the limit given.
    end
        Offset behind the end marker, ``None`` where it is missing.
    pictures_end
        Where the last picture of a multi-picture file ends (CIPA DC-007); 0 where there is one picture.
    """

    segments: list[Segment] = field(default_factory=list)
    width: int = 0
    height: int = 0
    components: int = 0
    precision: int = 0
    frame: int | None = None
    scan_components: int = 0
    scans: int = 0
    end: int | None = None
    orientation: int = 1
    pictures_end: int = 0

    @property
    def has_scan(self) -> bool:
        """Whether the header is complete: pixels follow."""
        return self.scans > 0

    @property
    def single_scan(self) -> bool:
        """Whether rows come one after the other, so that a part of the file is a part of the rows."""
        return self.frame not in PROGRESSIVE and self.scan_components == self.components

    @property
    def scan_start(self) -> int:
        """Offset of the first byte of entropy-coded data."""
        return self.segments[-1][2]


def walk_markers(data: memoryview, most_scans: int) -> JpegStructure:
    """Read the markers from the start to the end marker. Total: damage ends the walk, or is stepped over."""
    found = JpegStructure()
    markers = _Markers(data)
    size = len(data)
    position = _walk_header(data, found)
    while True:
        at: int | None = position
        if position + 1 >= size or data[position] != 0xFF or data[position + 1] not in _MARKERS:
            at = markers.after(position)  # in a header, segment follows segment: there is nothing to search
        if at is None:
            return found
        marker = data[at + 1]
        if marker == EOI:
            found.end = at + 2
            return found
        if marker not in _SEGMENTS:
            position = at + 2
            continue
        stop = at + 2 + (data[at + 2] << 8 | data[at + 3]) if at + 4 <= size else 0
        if stop > size or stop < at + 4:
            if not found.has_scan:
                return found
            position = at + 2  # damage in entropy-coded data that looks like a marker
            continue
        _read_segment(data, (marker, at, stop), found)
        if found.scans > most_scans:
            return found
        position = stop


def _walk_header(data: memoryview, found: JpegStructure) -> int:
    """Read segments as long as one follows the other, up to the first scan; gives where that ends.

    Most headers are read to their end so. Whatever is odd is left to `walk_markers`.
    """
    position, size = 2, len(data)
    while position + 4 <= size and not found.scans:
        escape, marker, length = _MARKER_AND_LENGTH.unpack_from(data, position)
        stop = position + 2 + length
        if escape != 0xFF or marker not in _SEGMENTS or length < 2 or stop > size:
            break
        _read_segment(data, (marker, position, stop), found)
        position = stop
    return position


def bare_jpeg(data: memoryview, found: JpegStructure) -> bytes:
    """The same image without what decoders only remark on: tables, frame and scans alone.

    Stray bytes, comments and application segments of the header are left out (but for those that tell the colour
    space), and the spectral selection of a sequential scan is put right. What is still remarked on comes from the
    entropy-coded data.
    """
    parts = [b"\xff\xd8"]
    for marker, start, stop in found.segments[:-1]:
        content = bytes(data[start:stop])
        if marker in (DQT, DHT, DAC, DRI) or marker in FRAME_HEADERS or _tells_colour(content):
            parts.append(content)
    scan = bytearray(data[found.segments[-1][1] : found.scan_start])
    if found.single_scan and found.frame not in LOSSLESS:
        scan[-3:] = b"\x00\x3f\x00"
    return b"".join((*parts, scan, data[found.scan_start :]))


def zeros_are_detail(data: memoryview, found: JpegStructure) -> bool:
    """Whether a Huffman table for AC coefficients makes a coefficient of zero bits, not the end of a block.

    So it is in the table for luminance of annex K, which encoders use unless they are asked to optimise.
    """
    if found.frame not in (0xC0, 0xC1):
        return False
    for marker, start, stop in found.segments:
        at = start + 4
        while marker == DHT and at + 17 < stop:
            first_symbol = data[at + 17]
            if data[at] >> 4 == 1 and first_symbol & 0x0F:
                return True
            at += 17 + sum(data[at + 1 : at + 17])
    return False


def _tells_colour(content: bytes) -> bool:
    """Whether a segment is a JFIF or Adobe one that libjpeg understands without a remark."""
    jfif = content[1] == 0xE0 and content[4:10] == b"JFIF\0\1"
    return jfif or (content[1] == 0xEE and content[4:9] == b"Adobe" and len(content) == 16 and content[15] <= 2)


def _read_segment(data: memoryview, segment: Segment, found: JpegStructure) -> None:
    marker, start, stop = segment
    if marker == SOS:
        found.scans += 1
        if found.scans == 1:
            found.segments.append(segment)
            found.scan_components = data[start + 4] if stop > start + 4 else 0
        return
    if found.scans:
        return
    found.segments.append(segment)
    if marker in FRAME_HEADERS:
        if found.frame is None and stop - start >= 10:
            found.precision, found.height, found.width, found.components = struct.unpack_from(">BHHB", data, start + 4)
            found.frame = marker
    elif marker == APP1 and bytes(data[start + 4 : start + 10]) == b"Exif\0\0" and found.orientation == 1:
        found.orientation = orientation(bytes(data[start + 4 : stop]))
    elif marker == APP2 and bytes(data[start + 4 : start + 8]) == b"MPF\0":
        found.pictures_end = _pictures_end(bytes(data[start + 8 : stop]), start + 8)


def _pictures_end(index: bytes, base: int) -> int:
    """End of the last picture that a multi-picture index lists, as an offset in the file; 0 if it is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(index[:2])
    if order is None or len(index) < 8:
        return 0
    directory = struct.unpack_from(order + "I", index, 4)[0]
    if directory + 2 > len(index):
        return 0
    end = 0
    for number in range(struct.unpack_from(order + "H", index, directory)[0]):
        at = directory + 2 + 12 * number
        if at + 12 > len(index):
            break
        tag, _, size, start = struct.unpack_from(order + "HHII", index, at)
        if tag != 0xB002:  # MPEntry
            continue
        for entry in range(start, min(start + size, len(index)) - 15, 16):
            length, offset = struct.unpack_from(order + "II", index, entry + 4)
            end = max(end, base + offset + length if offset else length)
    return end


class _Markers:
    """Where markers stand, found window by window: memory does not grow with the data."""

    def __init__(self, data: memoryview) -> None:
        self._bytes = np.frombuffer(data, np.uint8)
        self._start = self._stop = 0
        self._offsets: list[int] = []

    def after(self, position: int) -> int | None:
        """Offset of the first marker's 0xFF at or behind a position, ``None`` where no more follow."""
        last = len(self._bytes) - 1  # a marker takes two bytes
        while position < last:
            if not self._start <= position < self._stop:
                self._load(position, min(position + _WINDOW, last))
            number = bisect_left(self._offsets, position)
            if number < len(self._offsets):
                return self._offsets[number]
            position = self._stop
        return None

    def _load(self, start: int, stop: int) -> None:
        followers = self._bytes[start + 1 : stop + 1]
        # Two passes, and no third one: a true byte is 1, and the lesser of it and the next byte is 0 before a 0.
        escapes = self._bytes[start:stop] == 0xFF
        np.minimum(escapes.view(np.uint8), followers, out=escapes.view(np.uint8))
        first = start + int(escapes.argmax())
        if first == len(self._bytes) - 2:  # nothing but a marker at the end: so it is in most images
            self._offsets = [first] if int(self._bytes[-1]) in _MARKERS else []
        else:
            places = np.flatnonzero(escapes) + start
            self._offsets = places[_IS_MARKER[self._bytes[places + 1]]].tolist()
        self._start, self._stop = start, stop
