"""Blobs in ``.binaryproto`` files, written by protobuf itself."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from datascan.scanner.training.binaryproto import StoredBlob, UnreadBlob, decode_blob, read_blob

F = descriptor_pb2.FieldDescriptorProto


@cache
def blob_class(packed: bool) -> Any:
    """``BlobProto``, with packed numbers as Caffe has it or without."""
    file = descriptor_pb2.FileDescriptorProto(name="blob.proto", package="caffe", syntax="proto2")
    shape = file.message_type.add(name="BlobShape")
    shape.field.add(name="dim", number=1, label=F.LABEL_REPEATED, type=F.TYPE_INT64).options.packed = packed
    blob = file.message_type.add(name="BlobProto")
    for number, name in enumerate(("num", "channels", "height", "width"), 1):
        blob.field.add(name=name, number=number, label=F.LABEL_OPTIONAL, type=F.TYPE_INT32)
    blob.field.add(name="shape", number=7, label=F.LABEL_OPTIONAL, type=F.TYPE_MESSAGE, type_name=".caffe.BlobShape")
    for name, number, kind in (("data", 5, F.TYPE_FLOAT), ("diff", 6, F.TYPE_FLOAT), ("double_data", 8, F.TYPE_DOUBLE)):
        blob.field.add(name=name, number=number, label=F.LABEL_REPEATED, type=kind).options.packed = packed
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.BlobProto"))


def stored(data: bytes) -> StoredBlob:
    found = decode_blob(data)
    assert isinstance(found, StoredBlob)
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_what_protobuf_writes_is_read(packed: bool) -> None:
    values = np.linspace(-3, 250, 24, dtype=np.float32)
    new = blob_class(packed)(data=values.tolist(), diff=[1.0] * 24)
    new.shape.dim.extend([2, 3, 4])
    old = blob_class(packed)(num=1, channels=2, height=3, width=4, data=values.tolist())
    double = blob_class(packed)(num=24, channels=1, height=1, width=1, double_data=values.astype(float).tolist())
    for message, shape in ((new, (2, 3, 4)), (old, (1, 2, 3, 4)), (double, (24, 1, 1, 1))):
        blob = stored(message.SerializeToString())
        assert blob.shape == shape
        assert blob.fits
        assert np.array_equal(blob.values, values)


def test_the_old_shape_wins_and_doubles_win_as_in_caffe() -> None:
    both = blob_class(True)(num=1, channels=1, height=1, width=2, data=[1.0, 2.0], double_data=[3.0, 1e300])
    both.shape.dim.extend([2])
    blob = stored(both.SerializeToString())
    assert blob.shape == (1, 1, 1, 2)
    assert blob.values.tolist() == [3.0, np.inf]


def test_numbers_that_do_not_fill_the_shape_are_told() -> None:
    short = blob_class(True)(num=1, channels=3, height=2, width=2, data=[0.0] * 11)
    assert not stored(short.SerializeToString()).fits
    negative = blob_class(True)(num=-1, channels=-1, height=1, width=1, data=[0.0])
    assert not stored(negative.SerializeToString()).fits


def test_a_cut_file_is_no_blob_or_one_that_does_not_fit() -> None:
    whole = blob_class(True)(num=1, channels=3, height=2, width=2, data=[7.0] * 12).SerializeToString()
    for length in range(len(whole)):
        found = decode_blob(whole[:length])
        assert isinstance(found, UnreadBlob) or not found.fits, length


@given(st.binary(max_size=80))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    assert isinstance(decode_blob(data), StoredBlob | UnreadBlob)


def test_what_is_no_file_is_told_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_blob(tmp_path / "pipe") == UnreadBlob("not a file", broken=True)
    absent = read_blob(tmp_path / "absent")
    assert isinstance(absent, UnreadBlob)
    assert not absent.broken
