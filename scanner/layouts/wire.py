"""Reading protobuf's wire format in place: nothing is copied, and what is wrong is named with its byte.

Source: the "Encoding" chapter of the protocol buffers documentation; where that leaves room, what the reference
implementation accepts (tags of at most 5 bytes and 32 bits, varints of at most 10 bytes, groups 100 deep).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
GROUP_START: Final = 3
GROUP_END: Final = 4
FIXED32: Final = 5

MAX_FIELDS = 1 << 16
"""Fields of one message that are read (a run of equal fixed32 fields counts once). It bounds the time that a crafted
value can take; no record of a training set comes near."""

_MAX_DEPTH = 100
_WIRE_TYPES = ("a varint", "8 bytes", "length-delimited", "a group", "the end of a group", "4 bytes")
_FLOAT = struct.Struct("<f")


class WireError(Exception):
    """The bytes are not a protobuf message: why, and at which byte."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (byte {offset})")
        self.reason = reason
        self.offset = offset


Field = tuple[int, int, int, int, int, int]
"""One field: ``(number, wire_type, value, at, start, stop)``.

``at`` is where its tag begins, ``start:stop`` are the bytes of its value. ``value`` is the number of a varint
(unsigned, 64 bits), the length of bytes, the number of elements of a fixed32 run (see `fields`) and 1 for all others.
A plain tuple, because a class of its own doubles the time of the walk.
"""


def kind_of(wire_type: int) -> str:
    """A wire type in words, for messages."""
    return _WIRE_TYPES[wire_type]


def read_varint(data: memoryview, at: int, stop: int) -> tuple[int, int]:
    """The unsigned 64-bit number at ``at`` and where it ends; `WireError` if it doesn't end before ``stop``."""
    value = shift = 0
    for position in range(at, min(at + 10, stop)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + 1
        shift += 7
    if stop - at < 10:
        raise WireError("ends inside a varint", at)
    raise WireError("a varint of more than 10 bytes", at)


def as_int32(value: int) -> int:
    """A varint read as int32: its low 32 bits, as protobuf does (negative numbers are written with ten bytes)."""
    return ((value & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000


def read_float(data: memoryview, at: int) -> float:
    """The float32 at ``at``."""
    number: float = _FLOAT.unpack_from(data, at)[0]
    return number


def fields(data: memoryview, start: int = 0, stop: int | None = None) -> Iterator[Field]:
    """Walk over the fields of the message ``data[start:stop]``.

    Consecutive fixed32 fields with the same one-byte tag come as one field: ``value`` elements, 5 bytes apart, the
    first at ``start``. That is how an unpacked ``repeated float`` is written, and it must not cost a Python object
    for each number. Groups come whole, as one field of type `GROUP_START`.

    Raises
    ------
    WireError
        At the first byte that can't be read, after the fields before it were yielded.
    """
    position = start
    end = len(data) if stop is None else stop
    left = MAX_FIELDS
    while position < end:
        at = position
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = _long_tag(data, at, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise WireError("field number 0", at)
        if not left:
            raise WireError(f"more than {MAX_FIELDS} fields", at)
        left -= 1
        if wire_type == VARINT:
            begin = position
            if position < end and data[position] < 0x80:
                value = data[position]
                position += 1
            else:
                value, position = read_varint(data, position, end)
            yield number, wire_type, value, at, begin, position
        elif wire_type == BYTES:
            if position < end and data[position] < 0x80:
                value = data[position]
                position += 1
            else:
                value, position = read_varint(data, position, end)
            begin = position
            if value > end - begin:
                raise WireError(f"field {number} declares {value} bytes, {end - begin} are left", at)
            position += value
            yield number, wire_type, value, at, begin, position
        elif wire_type == FIXED32:
            begin = position
            position = _fixed32_stop(data, at, begin, end)
            if position > end:
                raise WireError(f"ends inside the 4 bytes of field {number}", at)
            yield number, wire_type, (position - begin) // 5 + 1, at, begin, position
        elif wire_type == FIXED64:
            begin = position
            position += 8
            if position > end:
                raise WireError(f"ends inside the 8 bytes of field {number}", at)
            yield number, wire_type, 1, at, begin, position
        elif wire_type == GROUP_START:
            begin = position
            position = _group_stop(data, number, at, begin, end)
            yield number, wire_type, 1, at, begin, position
        elif wire_type == GROUP_END:
            raise WireError(f"the end of group {number}, which has no beginning", at)
        else:
            raise WireError(f"wire type {wire_type}, which does not exist", at)


def _long_tag(data: memoryview, at: int, end: int) -> tuple[int, int]:
    tag, position = read_varint(data, at, end)
    if position - at > 5 or tag > 0xFFFF_FFFF:
        raise WireError("a tag of more than 32 bits", at)
    return tag, position


def _fixed32_stop(data: memoryview, at: int, begin: int, end: int) -> int:
    """Where a run of fixed32 fields with the tag at ``at`` ends, for one-byte tags; else the end of the one field."""
    position = begin + 4
    if begin - at != 1 or position + 5 > end or data[position] != data[at]:
        return position
    # The window doubles, so that short runs cost little and the whole message is looked at once.
    window = 64
    while (elements := min((end - position) // 5, window)) > 0:
        tags = np.frombuffer(data, np.uint8, elements * 5, position)[::5]
        other = tags != data[at]
        found = int(other.argmax())
        if other[found]:
            return position + 5 * found
        position += 5 * elements
        window *= 2
    return position


def _group_stop(data: memoryview, number: int, at: int, begin: int, end: int) -> int:
    """Where the group that begins at ``begin`` ends, its end tag included."""
    stack = [number]
    position = begin
    left = MAX_FIELDS
    while stack:
        if position >= end:
            raise WireError(f"ends inside group {number}", at)
        if not left:
            raise WireError(f"more than {MAX_FIELDS} fields in a group", at)
        left -= 1
        tag_at = position
        tag, position = _long_tag(data, position, end)
        inner, wire_type = tag >> 3, tag & 7
        if inner == 0 or wire_type > FIXED32:
            raise WireError(f"a tag that does not exist inside group {number}", tag_at)
        if wire_type == GROUP_END:
            if stack.pop() != inner:
                raise WireError(f"group {number} is closed by another's end", tag_at)
        elif wire_type == GROUP_START:
            stack.append(inner)
            if len(stack) > _MAX_DEPTH:
                raise WireError(f"groups more than {_MAX_DEPTH} deep", tag_at)
        elif wire_type == FIXED32:
            position += 4
        elif wire_type == FIXED64:
            position += 8
        else:
            value, position = read_varint(data, position, end)
            if wire_type == BYTES:
                position += value
        if position > end:
            raise WireError(f"ends inside group {number}", at)
    return position
