"""LevelDB's building blocks: varints, masked checksums, block handles, footers and compressed blocks.

Described in LevelDB's ``doc/table_format.md`` and ``doc/log_format.md``; the numbers are those of ``table/format.h``.
"""

from __future__ import annotations

from typing import NamedTuple

import cramjam
import google_crc32c
import numpy as np
from numpy.typing import NDArray

TRAILER_BYTES = 5
"""Behind every block: one byte of compression type, four of checksum."""

FOOTER_BYTES = 48
MASK = 0xA282EAD8
"""What a stored checksum has on the rotated CRC, so that the CRC of data with its own CRC in it is no constant."""

_MAGIC = 0xDB4775248B80FB57

RAW, SNAPPY, ZSTD = range(3)

LARGEST_NUMBER = 1 << 56
"""No length, offset or count of writes is as large; sums of several still fit into an int64."""

LARGEST_BLOCK = 1 << 30
"""Most bytes of a block, stored or expanded: a few hostile bytes must not become all of the memory."""

_SNAPPY_RATIO = 22  # its densest element copies 64 bytes and takes three
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class FormatError(Exception):
    """A structure does not hold. Never leaves the backend: whoever catches it makes a `Damage` of it."""


class Handle(NamedTuple):
    """Where a block lies in its table: ``size`` bytes at ``offset``, the trailer not counted."""

    offset: int
    size: int


def varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """The number at ``at`` and the position behind it."""
    value = shift = 0
    while at < len(data) and shift < 63:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < LARGEST_NUMBER:
            return value, at
        shift += 7
    raise FormatError("a number is cut short or too large")


def varints(buffer: NDArray[np.uint8], at: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers at many positions, and the positions behind them.

    A number too large for a `varint`, or one that runs out of the buffer, comes back as too large for any file.
    """
    last = len(buffer) - 1
    byte = buffer[np.minimum(at, last)].astype(np.int64)
    value = byte & 0x7F
    at = at + 1
    more = np.flatnonzero(byte >= 0x80)
    for shift in range(7, 56, 7):
        if not len(more):
            return value, at
        byte = buffer[np.minimum(at[more], last)].astype(np.int64)
        value[more] |= (byte & 0x7F) << shift
        at[more] += 1
        more = more[byte >= 0x80]
    value[more] = LARGEST_NUMBER
    return value, at


def masked_crc(data: bytes | NDArray[np.uint8]) -> int:
    """The checksum as LevelDB stores it: CRC32C, rotated and offset (``util/crc32c.h``)."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + MASK) & 0xFFFFFFFF


def checksums_hold(stored: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the blocks with their contents in ``starts`` to ``stops`` have the checksum that stands behind them."""
    crc32c = google_crc32c.value
    crcs = [crc32c(stored[start:stop]) for start, stop in zip(starts.tolist(), (stops + 1).tolist(), strict=True)]
    wanted = (fixed32(stored, stops + 1) - MASK) & 0xFFFFFFFF
    holds: NDArray[np.bool_] = np.array(crcs, np.int64) == ((wanted << 15 | wanted >> 17) & 0xFFFFFFFF)
    return holds


def fixed32(buffer: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """The little-endian 32-bit numbers at many positions, all of which lie in the buffer."""
    gathered = np.ascontiguousarray(buffer[at[:, None] + np.arange(4)])
    return gathered.view("<u4")[:, 0].astype(np.int64)


def read_handle(data: bytes, at: int) -> tuple[Handle, int]:
    """The block handle at ``at`` and the position behind it."""
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return Handle(offset, size), at


def index_handle(footer: bytes) -> Handle:
    """The handle of the index block out of a table's last 48 bytes."""
    if len(footer) != FOOTER_BYTES or int.from_bytes(footer[-8:], "little") != _MAGIC:
        raise FormatError("the table's footer is lost")
    _, at = read_handle(footer, 0)  # the meta index: it leads to filters, which a scan has no use for
    return read_handle(footer, at)[0]


def expanded_size(compression: int, data: NDArray[np.uint8]) -> int:
    """How many bytes a block has once it is decompressed, as far as that can be believed."""
    if compression == RAW:
        return len(data)
    if compression == SNAPPY:
        size, _ = varint(data[:10].tobytes(), 0)
        most = min(LARGEST_BLOCK, len(data) * _SNAPPY_RATIO + 64)
    elif compression == ZSTD:
        size, most = _zstd_content_size(data[:18].tobytes()), LARGEST_BLOCK
    else:
        raise FormatError(f"has the unknown compression type {compression}")
    if size > most:
        raise FormatError(f"claims to expand from {len(data)} to {size} bytes, which is not believed")
    return size


def expand_into(compression: int, data: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
    """Decompress a block into ``target``, which has exactly the size that `expanded_size` gave."""
    if compression == RAW:
        target[:] = data
        return
    try:
        if compression == SNAPPY:
            done = cramjam.snappy.decompress_raw_into(data, target)  # type: ignore[arg-type]  # arrays are buffers
        else:
            done = cramjam.zstd.decompress_into(data, target)  # type: ignore[arg-type]
    except (cramjam.DecompressionError, OSError, ValueError) as exc:
        raise FormatError(f"does not decompress ({exc})") from exc
    if done != len(target):
        raise FormatError(f"expands to {done} bytes instead of {len(target)}")


def key_text(key: bytes | None) -> str | None:
    """A key as text for reports; bytes that are not UTF-8 are escaped."""
    return None if key is None else key.decode("utf-8", "backslashreplace")


def _zstd_content_size(head: bytes) -> int:
    """The content size that a zstd frame declares (RFC 8878, 3.1.1.1); LevelDB always has it written."""
    if head[:4] != _ZSTD_MAGIC or len(head) < 6:
        raise FormatError("is not the zstd frame that its type says")
    descriptor = head[4]
    single_segment = descriptor >> 5 & 1
    at = 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3]
    width = (single_segment, 2, 4, 8)[descriptor >> 6]
    if width == 0 or len(head) < at + width:
        raise FormatError("does not say its decompressed size")
    return int.from_bytes(head[at : at + width], "little") + (256 if width == 2 else 0)
