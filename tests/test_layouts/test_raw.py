from __future__ import annotations

import gzip
import io
import json
import pickle
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_layouts.records import any_bytes, check_shape, decode, image_bytes, number, raw_datum, short

from datascan.scanner.layouts.raw import Raw
from datascan.scanner.layouts.value_kinds import value_kind


def npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.arange(3))
    return out.getvalue()


def npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.arange(3))
    return out.getvalue()


RECORD: dict[str, Any] = {"image": b"\xff\xd8" * 20, "label": 3}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *((image_bytes(kind=name), name.lower()) for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")),
        (npy(), "npy"),
        (npz(), "npz"),
        (b"PK\x03\x04" + bytes(26) + b"a.txt", "zip"),
        (gzip.compress(b"abc", mtime=0), "gzip"),
        (zlib.compress(b"abc" * 9), "zlib"),
        *((pickle.dumps(RECORD, protocol), f"pickle protocol {protocol}") for protocol in (2, 3, 4, 5)),
        (pickle.dumps([1, "a"], 0), "pickle protocol 0"),
        (pickle.dumps({"a": 1}, 0), "pickle protocol 0"),
        (pickle.dumps(np.float32(1), 0), "pickle protocol 0"),
        (b"\x82\xa5image\xc4\x02\x00\x01\xa5label\x03", "msgpack"),
        (b"\x92\xc4\x03\xff\xd8\xff\x05", "msgpack"),
        (json.dumps({"a": [1, 2.5, None]}).encode(), "json"),
        (json.dumps(["é" * 5000], ensure_ascii=False).encode(), "json"),
        (b'{"a": 1', "text"),
        (b"12", "text"),
        ("Grüße".encode() * 2000, "text"),
        (b"x" * 4095 + "ü".encode() * 9, "text"),
        (raw_datum((1, 2, 2), b"\xfe\x01\x02\x03"), "protobuf"),
        (number(1, 300) + number(2, 1), "protobuf"),
        (bytes(5000), "zeros"),
        (b"", "empty"),
        (b"\xfe\xfd\x00\x07\x99", "other"),
        (bytes(5000) + b"\xff", "other"),
    ],
)
def test_values_are_told_apart(value: bytes, kind: str) -> None:
    assert value_kind(memoryview(value)) == kind


@given(st.one_of(any_bytes, st.text().map(str.encode), st.binary(max_size=9).map(lambda b: b"\x80\x04" + b + b".")))
def test_any_bytes_have_a_kind(value: bytes) -> None:
    assert value_kind(memoryview(value))


def test_nothing_is_decoded_but_everything_is_counted() -> None:
    values = [b"", b"caption", bytes(300), bytes(300), b"3"]
    samples = decode(Raw, values, [b"0", b"1", b"2", b"3", b"__len__"])
    check_shape(samples)
    assert samples.value_kinds == {"empty": 1, "text": 2, "zeros": 2}
    assert samples.sample_rows.tolist() == [0, 1, 2, 3]
    assert short(samples.faults) == [(0, "record-empty")]
    assert [samples.arrays, samples.images, samples.labels] == [[], [], []]


def test_only_values_too_long_to_be_equal_by_chance_are_compared() -> None:
    samples = decode(Raw, [b"cat", b"cat", bytes(256), bytes(256)])
    assert samples.content_rows is not None
    assert samples.content_rows.tolist() == [2, 3]
