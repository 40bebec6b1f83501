"""Values in a gzip or zlib wrapping, taken out of it up to a limit."""

from __future__ import annotations

import zlib

from .inert import Unreadable

MAX_INFLATED = 1 << 28
"""Bytes that one value may hold inside of a wrapping; more is not looked at."""

MAX_RATIO = 1032
"""Deflate's best: a code of two bits stands for up to 258 bytes."""

_GZIP = b"\x1f\x8b\x08"
_ZLIB = frozenset((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"))
_AUTOMATIC = 32 + zlib.MAX_WBITS  # zlib tells the two wrappings apart, and verifies the checksum of either


def wrapping(value: memoryview) -> str | None:
    """``gzip`` or ``zlib`` by the first bytes, else ``None``."""
    head = bytes(value[:3])
    if head == _GZIP:
        return "gzip"
    return "zlib" if head[:2] in _ZLIB and len(value) > 6 else None


def unwrap(value: memoryview) -> memoryview:
    """What is inside of the wrapping; the value itself if it has none.

    Raises
    ------
    Unreadable
        When the compressed data is damaged or cut, fails its checksum, holds more than `MAX_INFLATED`, or has
        something behind it.
    """
    kind = wrapping(value)
    if kind is None:
        return value
    inflated = inflate(value, zlib.decompressobj(_AUTOMATIC), kind)
    return memoryview(inflated)


def first_bytes(value: memoryview, size: int) -> memoryview:
    """The first bytes of what is inside of the wrapping, or of the value if it has none; as many as can be had."""
    if wrapping(value) is None:
        return value[:size]
    try:
        return memoryview(zlib.decompressobj(_AUTOMATIC).decompress(value, size))
    except zlib.error:
        return value[:0]


def inflate(value: memoryview, decompressor: zlib._Decompress, kind: str, limit: int = MAX_INFLATED) -> bytes:
    """All that some compressed bytes hold; never much more than ``limit`` is made."""
    try:
        inflated = decompressor.decompress(value, limit + 1)
    except zlib.error as error:
        raise Unreadable(f"the {kind} data is damaged: {_said(error)}") from None
    if len(inflated) > limit:
        raise Unreadable(f"the {kind} data holds more than the {limit:,} bytes that are looked into")
    if not decompressor.eof:
        raise Unreadable(f"the {kind} data is cut short after {len(value):,} bytes", len(value))
    if decompressor.unused_data:
        left = len(decompressor.unused_data)
        raise Unreadable(f"{left:,} bytes stand behind the {kind} data", len(value) - left)
    return inflated


def _said(error: zlib.error) -> str:
    """What zlib says, without the preamble of ``Error -3 while decompressing data: incorrect header check``."""
    return str(error).rpartition(": ")[2]
