"""HDF5's superblock, read without the library: what a file says of its own size and state."""

from __future__ import annotations

from dataclasses import dataclass

from .files import ReadOnlyFile

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_LAST_OFFSET = 1 << 40
"""The signature stands at 0, 512, 1024 and so on, doubling; no user block is larger than this."""


@dataclass(frozen=True, slots=True)
class Superblock:
    """The fields that are needed before the library sees the file (HDF5 File Format Specification, II.A).

    Attributes
    ----------
    offset
        Where it stands in the file: behind the user block.
    version
        0 to 3 are defined.
    base
        File offset that all addresses in the file count from.
    offset_size, length_size
        Bytes of an address and of a size anywhere in the file.
    stored_end
        Size that the file should have, in bytes from its start.
    open_flags
        Version 3: 1 a writer has it open, 4 in SWMR mode. Left over where the writer was killed.
    """

    offset: int
    version: int
    base: int
    offset_size: int
    length_size: int
    stored_end: int | None
    open_flags: int


def read_superblock(file: ReadOnlyFile) -> Superblock | None:
    """The superblock of an open file, ``None`` if it has no HDF5 signature."""
    offset, size_bytes = 0, file.size_bytes
    while offset + len(SIGNATURE) <= size_bytes and offset <= _LAST_OFFSET:
        head = file.read(offset, 96)
        if head.startswith(SIGNATURE):
            return _parse(head, offset)
        offset = offset * 2 or 512
    return None


def _parse(head: bytes, offset: int) -> Superblock:
    head = head.ljust(96, b"\0")
    version = head[8]
    if version in (0, 1):
        offset_size, length_size, flags = head[13], head[14], 0
        base_at = 24 if version == 0 else 28
    else:
        offset_size, length_size = head[9], head[10]
        flags = head[11] & 5 if version >= 3 else 0
        base_at = 12
    if version > 3 or offset_size not in (2, 4, 8):
        return Superblock(offset, version, offset, offset_size, length_size, None, 0)
    base = int.from_bytes(head[base_at : base_at + offset_size], "little")
    end_at = base_at + 2 * offset_size
    end = int.from_bytes(head[end_at : end_at + offset_size], "little")
    undefined = (1 << 8 * offset_size) - 1
    # A user block that was added or cut off moves everything: the library goes by where the signature stands.
    stored_end = None if end == undefined else end - base + offset
    return Superblock(offset, version, offset, offset_size, length_size, stored_end, flags)
