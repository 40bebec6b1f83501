"""NumPy's ``.npz`` archives: ZIP files of ``.npy`` members, stored or deflated.

The directory is read by the standard library; members are inflated here, because `zipfile` has no limit for what one
call may make, and copies stored ones.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .compressed import MAX_INFLATED, inflate
from .inert import Unreadable, plain

MAX_MEMBERS = 4096
"""Beyond so many the archive is not looked into."""

_LOCAL = struct.Struct("<4s5H3I2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name without ``.npy``, and its bytes or why there are none."""

    name: str
    data: memoryview | Unreadable


def is_npz(value: memoryview) -> bool:
    """Whether a value is a ZIP archive whose members are all ``.npy``."""
    if bytes(value[:4]) != _LOCAL_MAGIC:
        return False
    try:
        members = _directory(value)
    except Unreadable:
        return False
    return len(members) > 0 and all(member.filename.endswith(".npy") for member in members)


def read_npz(value: memoryview) -> Iterator[Member]:
    """The members in the directory's order, each inflated when its turn comes.

    Raises
    ------
    Unreadable
        When the directory can't be read, or the members together declare more than `MAX_INFLATED` bytes.
    """
    members = _directory(value)
    declared = sum(member.file_size for member in members)
    if declared > MAX_INFLATED:
        raise Unreadable(f"its members declare {declared:,} bytes, more than the {MAX_INFLATED:,} that are looked into")
    for member in members:
        try:
            data: memoryview | Unreadable = _content(value, member)
        except Unreadable as error:
            data = error
        yield Member(member.filename.removesuffix(".npy"), data)


def _directory(value: memoryview) -> Sequence[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(io.BytesIO(value)) as archive:
            members = archive.infolist()
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        OverflowError,
        OSError,
        EOFError,
        struct.error,
        IndexError,
    ) as error:
        raise Unreadable(f"the ZIP directory can't be read: {plain(str(error), 100)}") from None
    if len(members) > MAX_MEMBERS:
        raise Unreadable(f"{len(members):,} members, more than the {MAX_MEMBERS:,} that are looked into")
    return members


def _content(value: memoryview, member: zipfile.ZipInfo) -> memoryview:
    """The bytes of a member, whose size and checksum are those of the directory."""
    packed = _packed(value, member)
    if member.compress_type == zipfile.ZIP_STORED:
        content = packed
    elif member.compress_type == zipfile.ZIP_DEFLATED:
        content = memoryview(inflate(packed, zlib.decompressobj(-zlib.MAX_WBITS), "deflate", member.file_size))
    else:
        raise Unreadable(f"is compressed by method {member.compress_type}, which NumPy never writes")
    if len(content) != member.file_size:
        raise Unreadable(f"holds {len(content):,} of {member.file_size:,} bytes")
    if zlib.crc32(content) != member.CRC:
        raise Unreadable("fails its checksum (CRC-32)")
    return content


def _packed(value: memoryview, member: zipfile.ZipInfo) -> memoryview:
    """The member as it is stored, behind its local header."""
    if member.flag_bits & _ENCRYPTED:
        raise Unreadable("is encrypted")
    start = member.header_offset
    if not 0 <= start <= len(value) - _LOCAL.size:
        raise Unreadable("stands outside of the archive")
    fields = _LOCAL.unpack_from(value, start)
    if fields[0] != _LOCAL_MAGIC:
        raise Unreadable(f"has no local header at byte {start:,}")
    begin = start + _LOCAL.size + fields[-2] + fields[-1]
    if begin + member.compress_size > len(value):
        left = max(len(value) - begin, 0)
        raise Unreadable(f"is cut short: {left:,} of {member.compress_size:,} bytes are there")
    return value[begin : begin + member.compress_size]
