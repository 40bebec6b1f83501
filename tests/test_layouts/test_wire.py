from __future__ import annotations

import math
import struct

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st
from tests.test_layouts.messages import Datum
from tests.test_layouts.records import any_bytes, chunk, fixed32, number, varint

from datascan.scanner.layouts import wire
from datascan.scanner.layouts.datum import float_values, parse_datum
from datascan.scanner.layouts.wire import WireError, as_int32, fields, read_varint


@given(st.integers(-(1 << 31), (1 << 31) - 1))
def test_int32_survives_the_round_trip(value: int) -> None:
    written = Datum(label=value).SerializeToString()[1:]
    assert written == varint(value)
    read, stop = read_varint(memoryview(written), 0, len(written))
    assert (as_int32(read), stop) == (value, len(written))


@given(any_bytes)
@example(b"\x08" + b"\xff" * 9 + b"\x7f")
@example(b"\x88\x80\x80\x80\x00\x05")
@example(b"\x0b\x0b\x08\x01\x0c\x0c\x08\x05")
@example(b"\x32\x03abc")
@example(b"\x38\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02")
def test_any_bytes_are_read_as_protobuf_reads_them(value: bytes) -> None:
    assert_read_as_protobuf(value)


def assert_read_as_protobuf(value: bytes) -> None:
    try:
        expected = Datum.FromString(value)
    except DecodeError:
        expected = None
    if expected is None:
        with pytest.raises(WireError) as caught:
            parse_datum(memoryview(value))
        assert 0 <= caught.value.offset <= len(value)
        return
    datum = parse_datum(memoryview(value))
    assert datum.shape == (expected.channels, expected.height, expected.width)
    assert datum.encoded == expected.encoded
    assert datum.label == (expected.label if expected.HasField("label") else None)
    held = value[slice(*datum.data)] if datum.data else None
    assert held == (expected.data if expected.HasField("data") else None)
    floats = float_values(memoryview(value), datum)
    assert floats.tobytes() == struct.pack(f"<{len(expected.float_data)}f", *expected.float_data) or any(
        math.isnan(number) for number in expected.float_data
    )


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16383, 16384, (1 << 21) - 1, 1 << 21, (1 << 31) - 1, -1])
def test_usual_datums_and_parts_of_them_are_read_as_protobuf_reads_them(number: int) -> None:
    for written in (
        Datum(channels=3, height=number, width=500, data=b"an image", label=number, encoded=True),
        Datum(channels=number, data=b"\x08" * 200, label=7),
        Datum(data=bytes(1 << 14), label=number),
    ):
        value = written.SerializeToString()
        for length in (*range(min(len(value), 40)), *range(len(value) - 20, len(value) + 1)):
            assert_read_as_protobuf(value[:length])
        assert_read_as_protobuf(value + value)
        assert_read_as_protobuf(value + Datum(label=3, float_data=[1.5]).SerializeToString())


def test_every_kind_of_field_says_where_it_is() -> None:
    value = number(1, 300) + chunk(2, b"abc") + fixed32(3, 1.5, 2.5) + varint(4 << 3 | 1) + bytes(8)
    assert list(fields(memoryview(value))) == [
        (1, wire.VARINT, 300, 0, 1, 3),
        (2, wire.BYTES, 3, 3, 5, 8),
        (3, wire.FIXED32, 2, 8, 9, 18),
        (4, wire.FIXED64, 1, 18, 19, 27),
    ]


@given(st.lists(st.tuples(st.sampled_from([1, 2, 20]), st.integers(1, 200)), max_size=6))
def test_runs_of_floats_come_as_one_field_and_keep_their_order(runs: list[tuple[int, int]]) -> None:
    value = b"".join(fixed32(field, *range(count)) for field, count in runs)
    elements: list[int] = []
    for field, _, count, _, start, _ in fields(memoryview(value)):
        elements += [field] * count
        assert start > 0
    assert elements == [field for field, count in runs for _ in range(count)]


@pytest.mark.parametrize(
    ("value", "reason", "offset"),
    [
        (b"\x00", "field number 0", 0),
        (b"\x08\x01\x0f", "wire type 7", 2),
        (b"\x08\x01\x22\x0aabc", "field 4 declares 10 bytes, 3 are left", 2),
        (b"\x35\x00\x00", "ends inside the 4 bytes of field 6", 0),
        (b"\x31" + bytes(7), "ends inside the 8 bytes of field 6", 0),
        (b"\x08\x80", "ends inside a varint", 1),
        (b"\x08", "ends inside a varint", 1),
        (b"\x08" + b"\x80" * 11, "more than 10 bytes", 1),
        (b"\xfa\xff\xff\xff\x1f\x00", "more than 32 bits", 0),
        (b"\x0c", "which has no beginning", 0),
        (b"\x0b\x08\x01", "ends inside group 1", 0),
        (b"\x0b\x14", "another's end", 1),
    ],
)
def test_damage_is_named_with_its_byte(value: bytes, reason: str, offset: int) -> None:
    with pytest.raises(WireError, match=reason) as caught:
        list(fields(memoryview(value)))
    assert caught.value.offset == offset


def test_a_crafted_value_cannot_hold_the_scan_up() -> None:
    with pytest.raises(WireError, match="more than 65536 fields"):
        list(fields(memoryview(b"\x08\x01" * (wire.MAX_FIELDS + 1))))
    with pytest.raises(WireError, match="more than 65536 fields in a group"):
        list(fields(memoryview(b"\x0b" + b"\x08\x01" * (wire.MAX_FIELDS + 1))))
    with pytest.raises(WireError, match="100 deep"):
        list(fields(memoryview(b"\x0b" * 1000)))
