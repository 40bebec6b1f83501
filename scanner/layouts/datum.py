"""Caffe's Datum message: which fields it has, where its payload lies and whether that is what it declares.

Source: ``src/caffe/proto/caffe.proto`` (channels 1, height 2, width 3, data 4, label 5, float_data 6, encoded 7) and,
for what readers do with it, ``src/caffe/data_transformer.cpp``: ``data`` wins over ``float_data`` unless it is empty.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..images import sniff_format
from ..sample import Fault
from .wire import BYTES, FIXED32, VARINT, WireError, as_int32, fields, kind_of

CHANNELS: Final = 1
HEIGHT: Final = 2
WIDTH: Final = 3
DATA: Final = 4
LABEL: Final = 5
FLOAT_DATA: Final = 6
ENCODED: Final = 7

_WIRE_TYPES = {CHANNELS: VARINT, HEIGHT: VARINT, WIDTH: VARINT, DATA: BYTES, LABEL: VARINT, ENCODED: VARINT}
_CHANNELS_TAG, _HEIGHT_TAG, _WIDTH_TAG, _DATA_TAG, _LABEL_TAG, _, _ENCODED_TAG = (
    number << 3 | _WIRE_TYPES.get(number, 0) for number in range(CHANNELS, ENCODED + 1)
)
_MOST_PLAIN = 8
"""A Datum with more fields is read field by field, as one with strange fields is."""


class Datum:
    """Fields of one Datum; positions count from the start of the value that it was read from.

    Attributes
    ----------
    channels, height, width
        0 where absent, as protobuf has it.
    data
        ``(start, stop)`` of the bytes, ``None`` where absent.
    floats
        ``(start, elements, step)`` for each piece of ``float_data``, in order: step 4 packed, 5 unpacked.
    label, label_at
        ``None`` where absent, else the number and the ``(start, stop)`` of its varint.
    stranger
        What the first field that a Datum does not have is, ``None`` where there is none.
    """

    __slots__ = ("channels", "data", "encoded", "floats", "height", "label", "label_at", "stranger", "width")

    def __init__(self) -> None:
        self.channels = self.height = self.width = 0
        self.data: tuple[int, int] | None = None
        self.floats: list[tuple[int, int, int]] = []
        self.label: int | None = None
        self.label_at: tuple[int, int] | None = None
        self.encoded = False
        self.stranger: tuple[str, int] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Declared channels, height and width."""
        return self.channels, self.height, self.width

    @property
    def shape_text(self) -> str:
        """``3x32x32``."""
        return f"{self.channels}x{self.height}x{self.width}"

    @property
    def size(self) -> int:
        """Values that the dimensions promise; 0 where one of them is absent or makes no sense."""
        return self.channels * self.height * self.width if min(self.shape) > 0 else 0

    @property
    def float_count(self) -> int:
        """Elements of ``float_data``."""
        return sum(elements for _, elements, _ in self.floats)


def parse_datum(value: memoryview, start: int = 0, stop: int | None = None) -> Datum:
    """Read the Datum ``value[start:stop]`` as protobuf does: the last occurrence of a field wins, fields that a Datum
    does not have are passed over.

    Raises
    ------
    WireError
        When the bytes are no protobuf message, or end early.
    """
    return _plain_datum(value, start, len(value) if stop is None else stop) or _any_datum(value, start, stop)


def _plain_datum(value: memoryview, start: int, stop: int) -> Datum | None:
    """A Datum of a few fields with numbers below 2^21, without ``float_data``; ``None`` for all others.

    Almost every one of encoded images is such. Written out, because each gets an object and a walk of its own: this
    takes a third of the time of `fields`.
    """
    datum = Datum()
    position = start
    for _ in range(_MOST_PLAIN):
        if position >= stop:
            return datum if position == stop else None
        try:
            tag, begin = value[position], position + 1
            number = value[begin]
            position = begin + 1
            if number >= 0x80:
                byte = value[position]
                number += (byte - 1) << 7
                position += 1
                if byte >= 0x80:
                    byte = value[position]
                    number += (byte - 1) << 14
                    position += 1
                    if byte >= 0x80:
                        return None
        except IndexError:
            return None
        if tag == _DATA_TAG:
            datum.data = (position, position + number)
            position += number
        elif tag == _LABEL_TAG:
            datum.label, datum.label_at = number, (begin, position)
        elif tag == _CHANNELS_TAG:
            datum.channels = number
        elif tag == _HEIGHT_TAG:
            datum.height = number
        elif tag == _WIDTH_TAG:
            datum.width = number
        elif tag == _ENCODED_TAG:
            datum.encoded = number != 0
        else:
            return None
    return None


def _any_datum(value: memoryview, start: int, stop: int | None) -> Datum:
    """See `parse_datum`."""
    datum = Datum()
    for number, wire_type, content, at, begin, end in fields(value, start, stop):
        if number == FLOAT_DATA:
            if wire_type == FIXED32:
                datum.floats.append((begin, content, 5))
                continue
            if wire_type == BYTES:
                if content % 4:
                    raise WireError(f"packed float_data of {content} bytes, which is no multiple of 4", at)
                datum.floats.append((begin, content // 4, 4))
                continue
        elif _WIRE_TYPES.get(number) == wire_type:
            if number == DATA:
                datum.data = (begin, end)
            elif number == LABEL:
                datum.label = as_int32(content)
                datum.label_at = (begin, end)
            elif number == CHANNELS:
                datum.channels = as_int32(content)
            elif number == HEIGHT:
                datum.height = as_int32(content)
            elif number == WIDTH:
                datum.width = as_int32(content)
            else:
                datum.encoded = content != 0
            continue
        if datum.stranger is None:
            datum.stranger = (f"field {number} ({kind_of(wire_type)})", at)
    return datum


def is_datum(value: memoryview, start: int = 0, stop: int | None = None) -> bool:
    """Whether these bytes are a Datum beyond doubt: only its fields, each at most once, a payload, nothing left over.

    Stricter than `parse_datum`, which would accept a good share of all messages there are.
    """
    seen = 0
    try:
        for number, wire_type, content, _, _, _ in fields(value, start, stop):
            if number == FLOAT_DATA:
                if wire_type != FIXED32 and (wire_type != BYTES or content % 4):
                    return False
            elif _WIRE_TYPES.get(number) != wire_type or seen & 1 << number:
                return False
            seen |= 1 << number
    except WireError:
        return False
    return bool(seen & (1 << DATA | 1 << FLOAT_DATA))


def unreadable(row: int, message_type: str, error: WireError) -> Fault:
    """The fault of a value that is no message of this type, or not a whole one."""
    return Fault(row, "record-undecodable", f"not a whole {message_type}: {error.reason}", offset=error.offset)


def datum_fault(row: int, value: memoryview, datum: Datum) -> Fault | None:
    """The one thing that is wrong with a Datum that could be read to its end, ``None`` if its payload is there."""
    if not len(value):
        return Fault(row, "record-empty", "the value has 0 bytes")
    data_bytes = datum.data[1] - datum.data[0] if datum.data else 0
    if not data_bytes and (datum.encoded or not datum.float_count):
        if datum.stranger and datum.data is None and not datum.floats:
            what, at = datum.stranger
            return Fault(
                row, "record-undecodable", f"not a Datum: it has no payload, but {what} at byte {at}", offset=at
            )
        if datum.encoded:
            return Fault(row, "record-empty", "encoded, but data holds no bytes")
        return Fault(row, "record-empty", "neither data nor float_data holds anything")
    if datum.encoded:
        return None
    if data_bytes:
        return _size_fault(row, value, datum, "data", "bytes", data_bytes)
    return _size_fault(row, value, datum, "float_data", "floats", datum.float_count)


def _size_fault(row: int, value: memoryview, datum: Datum, name: str, unit: str, found: int) -> Fault | None:
    expected = datum.size
    if found == expected:
        return None
    image = sniff_format(value[datum.data[0] : datum.data[1]]) if datum.data and name == "data" else None
    if image is not None:
        declared = f"{datum.shape_text} pixels" if expected else "raw pixels"
        message = f"data is a whole {image} image, but the encoded flag is lost: it would be read as {declared}"
    elif datum.shape == (0, 0, 0):
        message = f"{name} holds {found} {unit}, but no dimensions are declared"
    elif found < expected:
        message = f"{name} holds {found} of {expected} {unit} ({datum.shape_text})"
    else:
        message = f"{name} holds {found} {unit} instead of {expected} ({datum.shape_text})"
    facts = {"shape": list(datum.shape), "expected": expected, "found": found, "unit": unit}
    return Fault(row, "record-size-mismatch", message, data=facts)


def float_values(value: memoryview, datum: Datum) -> NDArray[np.float32]:
    """All elements of ``float_data`` in order, ``(n,)``."""
    pieces = [
        np.ndarray((elements,), "<f4", value, start, (step,)) for start, elements, step in datum.floats if elements
    ]
    return np.concatenate(pieces) if pieces else np.empty(0, np.float32)
