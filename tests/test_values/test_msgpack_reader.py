"""The inert reader against the msgpack library, and against damage."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_values.inert_values import lively

from datascan.scanner.values.inert import Extension, Unreadable
from datascan.scanner.values.msgpack_reader import MAX_VALUES, read_msgpack
from datascan.scanner.values.structure import contents_of

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(1 << 63), max_value=(1 << 64) - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.text(min_size=300, max_size=310),
    st.binary(),
    st.binary(min_size=60, max_size=300),
)
messages = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=20),
        st.dictionaries(st.one_of(st.text(), st.binary(), st.integers(0, 9)), inner, max_size=20),
    ),
    max_leaves=20,
)


def read(data: bytes) -> Any:
    root, size = read_msgpack(memoryview(data))
    assert size == len(data)
    return lively(root)


def fault(data: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        read_msgpack(memoryview(data))
    return caught.value


@given(messages)
def test_messages_are_what_was_packed(value: object) -> None:
    data = msgpack.packb(value)
    assert read(data) == msgpack.unpackb(data, strict_map_key=False) == value


def test_single_floats_are_read() -> None:
    assert read(msgpack.packb([1.5, -0.25], use_single_float=True)) == [1.5, -0.25]


@pytest.mark.parametrize("count", [15, 16, 65_535, 65_536])
def test_every_form_of_a_length_is_read(count: int) -> None:
    for value in ([1] * count, "a" * count, b"a" * count, dict.fromkeys(range(count), 0)):
        assert read(msgpack.packb(value)) == value


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 3, 300, 70_000])
def test_extensions_are_kept_as_they_are(size: int) -> None:
    found, _ = read_msgpack(memoryview(msgpack.packb(msgpack.ExtType(5, b"x" * size))))
    assert isinstance(found, Extension)
    assert (found.code, bytes(found.data)) == (5, b"x" * size)
    timestamp, _ = read_msgpack(memoryview(msgpack.packb(msgpack.Timestamp(1, 2))))
    assert isinstance(timestamp, Extension)
    assert timestamp.code == -1


def test_bytes_that_an_old_writer_called_text() -> None:
    image = b"\xff\xd8\xff" + bytes(200)
    assert read(msgpack.packb([image, "é"], use_bin_type=False)) == [image, "é"]


def test_a_message_cut_anywhere_is_cut_short() -> None:
    data = msgpack.packb(
        {"image": b"a" * 300, "x": [1.5, 70_000, -3, None], "name": "abc", "e": msgpack.ExtType(1, b"z")}
    )
    for size in range(len(data)):
        error = fault(data[:size])
        assert "cut short" in error.reason
        assert error.offset is not None
        assert error.offset <= size
    assert read_msgpack(memoryview(data + b"more"))[1] == len(data)


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "the message is cut short: it has no bytes", 0),
        (b"\x92\x01", "the message is cut short: 1 values of an array are missing", 2),
        (b"\x81\x01", "the message is cut short: 1 values of a map are missing", 2),
        (b"\xc6\x00\x00\x10\x00abc", "the message is cut short: a value needs 4,096 bytes more, 3 are left", 0),
        (b"\x91\xc1", "0xc1 begins no value of a message", 1),
    ],
)
def test_damage_is_named_with_its_place(data: bytes, reason: str, offset: int) -> None:
    error = fault(data)
    assert (error.reason, error.offset) == (reason, offset)


def test_headers_that_declare_billions_cost_nothing() -> None:
    """The msgpack library makes room for what each header declares."""
    data = (b"\xdd" + struct.pack(">I", 1 << 20)) * 1000 + bytes(1 << 20)
    tracemalloc.start()
    error = fault(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "missing" in error.reason
    assert peak < 64 << 20


def test_values_are_counted() -> None:
    assert f"more than {MAX_VALUES:,} values" in fault(b"\xdd\xff\xff\xff\xff" + bytes(MAX_VALUES)).reason


def test_values_nested_without_end_are_walked() -> None:
    root, size = read_msgpack(memoryview(b"\x91" * 50_000 + b"\x01"))
    assert size == 50_001
    contents_of(root, size)


@given(st.binary(max_size=80))
def test_any_bytes_give_a_value_or_a_reason(data: bytes) -> None:
    try:
        root, size = read_msgpack(memoryview(data))
    except Unreadable:
        return
    assert 0 < size <= len(data)
    contents_of(root, size)
