from __future__ import annotations

import gzip
import io
import pickle
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from tests.test_layouts.records import (
    annotated_datum,
    any_bytes,
    batch_of,
    chunk,
    dims,
    encoded_datum,
    fixed32,
    image_bytes,
    number,
    raw_datum,
)
from tests.test_layouts.test_npy import saved

from datascan.backends.base import Batch, Damage, DatasetInfo, Extent, Partition, RecordBatch, Store, Table
from datascan.backends.errors import UsageError
from datascan.scanner.layouts import LAYOUTS, RECORD_LAYOUTS, ROW_LAYOUTS
from datascan.scanner.layouts.base import Look, RecordLayout, RowLayout
from datascan.scanner.layouts.choose import choose_layout, needed
from datascan.scanner.options import Options


class Records(Store):
    """A store that holds what it is given; only what choosing a layout needs is there."""

    name = "lmdb"
    path = Path("set_lmdb")

    def __init__(self, values: Sequence[bytes], keys: Sequence[bytes] | None = None) -> None:
        self.batch = batch_of(values, keys)

    @property
    def size_bytes(self) -> int:
        return self.batch.size_bytes

    def opening_damage(self) -> Sequence[Damage]:
        return ()

    def sample(self, count: int = 16) -> RecordBatch | None:
        rows = np.unique(np.linspace(0, len(self.batch) - 1, min(len(self.batch), count)).astype(np.int64))
        return self.batch.take(rows)

    def partitions(self, tables: Sequence[Table] | None = None, limit: int | None = None) -> list[Partition]:
        return []

    def read(self, partition: Partition) -> Iterator[Batch | Damage | Extent]:
        yield self.batch

    def find(self, key: bytes) -> tuple[int | None, memoryview] | None:
        return None

    def close(self) -> None:
        pass


class Rows(Records):
    name = "hdf5"

    def __init__(self, *paths: str, file: str | None = None) -> None:
        super().__init__([])
        self._paths, self._file = paths, file

    def sample(self, count: int = 16) -> RecordBatch | None:
        return None

    def datasets(self) -> Sequence[DatasetInfo]:
        return [DatasetInfo(path, (5, 2), "float32", "numeric", 4, 40, file=self._file) for path in self._paths]


def zipped(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # its stub takes the arrays for the flag
    return out.getvalue()


MAKERS: dict[str, Callable[[int], bytes]] = {
    "caffe-datum raw": lambda i: raw_datum((3, 2, 2), bytes([i]) * 12, i),
    "caffe-datum without label": lambda i: raw_datum((1, 2, 2), bytes([i]) * 4, None),
    "caffe-datum encoded": lambda i: encoded_datum(image_bytes(i), i),
    "caffe-datum float": lambda i: dims(1, 1, 2) + number(5, i) + fixed32(6, 0.5, i),
    "caffe-datum packed float": lambda i: dims(1, 1, 2) + number(5, i) + chunk(6, struct.pack("<2f", 0.5, i)),
    "caffe-datum short": lambda i: raw_datum((3, 2, 2), bytes([i]) * 11, i),
    "ssd-annotated-datum raw": lambda i: annotated_datum(
        raw_datum((1, 2, 2), bytes(4), -1), [(i, [(0, 0, 1, 1)] * (i % 3))]
    ),
    "ssd-annotated-datum encoded": lambda i: annotated_datum(encoded_datum(image_bytes(i), -1), []),
    "encoded-images png": image_bytes,
    "encoded-images jpeg": lambda i: image_bytes(i, kind="JPEG"),
    "npy": lambda i: saved(np.arange(i + 1)),
    "npz": lambda i: zipped(a=np.arange(i + 1), b=np.zeros(2)),
    "pickle-records": lambda i: pickle.dumps({"image": bytes(i), "label": i}),
    "pickle-records of protocol 0": lambda i: pickle.dumps({"image": bytes(i), "label": i}, 0),
    "pickle-records in gzip": lambda i: gzip.compress(pickle.dumps([i, "a graph"])),
    "msgpack-records": lambda i: msgpack.packb({"image": bytes(i), "label": i}),
    "msgpack-records of a pair": lambda i: msgpack.packb((image_bytes(i), i)),
    "json-records": lambda i: b'{"id": %d}' % i,
    "json-records in zlib": lambda i: zlib.compress(b'{"id": %d}' % i),
    "raw text": lambda i: b"a caption, number %d" % i,
    "caffe2-tensor-protos": lambda i: (
        chunk(1, number(1, 3) + number(1, 4) + number(2, 1) + chunk(3, struct.pack("<12f", *range(12))))
        + chunk(1, number(1, 1) + number(2, 2) + chunk(4, bytes([i])))
    ),
    "caffe2-tensor-protos of an image": lambda i: (
        chunk(1, number(1, 1) + number(2, 4) + chunk(6, image_bytes(i)))
        + chunk(1, number(1, 1) + number(2, 2) + chunk(4, bytes([i])))
    ),
    "raw integers": lambda i: struct.pack("<q", i),
    "raw floats": lambda i: struct.pack("<16f", *([float(i)] * 16)),
    "raw random": lambda i: random.Random(i).randbytes(200),
}


def record_classes() -> dict[str, type[RecordLayout]]:
    classes = {name: LAYOUTS[name] for name in RECORD_LAYOUTS}
    return {name: layout for name, layout in classes.items() if issubclass(layout, RecordLayout)}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_set_is_recognised_and_claimed_by_no_other_layout(maker: str) -> None:
    store = Records([MAKERS[maker](i) for i in range(40)])
    choice = choose_layout(store, Options())
    assert choice.layout.name == maker.split()[0]
    assert choice.tables is None
    assert bool(choice.reasons) == (choice.layout.name == "raw")
    assert claims(store.batch) == {choice.layout.name} - {"raw"}


def claims(batch: RecordBatch, reserved: Mapping[bytes, bytes] | None = None) -> set[str]:
    """Layouts that take one of the records for theirs, without those that another of them is a special case of."""
    look = Look(batch, reserved or {})
    found = {name for name, layout in record_classes().items() if layout.belongs(look) and any(layout.agrees(batch))}
    return found - {general for name in found for general in SPECIAL_CASES.get(name, ())}


SPECIAL_CASES = {
    "digits-pairs": ("caffe-datum",),
    "basicsr": ("encoded-images",),
    "stylegan": ("encoded-images",),
    "tensorpack": ("pickle-records", "msgpack-records", "npz"),
    "folder2lmdb": ("pickle-records", "msgpack-records", "npz"),
    "atom3d": ("pickle-records", "msgpack-records"),
    "indexed-pickle": ("pickle-records",),
}
"""Layouts that a set's reserved keys, its keys or its neighbours speak for, and those of their values alone."""


def test_text_recognition_sets_are_recognised_by_their_keys() -> None:
    pairs = [(b"image-%09d" % i, image_bytes(i)) for i in range(1, 9)]
    pairs += [(b"label-%09d" % i, b"text %d" % i) for i in range(1, 9)] + [(b"num-samples", b"8")]
    store = Records([value for _, value in pairs], [key for key, _ in pairs])
    assert choose_layout(store, Options()).layout.name == "ocr"
    assert claims(store.batch) == {"ocr"}


@given(any_bytes)
def test_no_two_layouts_claim_one_record(value: bytes) -> None:
    assert len(claims(batch_of([value], [b"a"]))) <= 1


def test_equal_votes_are_decided_by_order() -> None:
    """Datums under the keys of a text recognition set: what the bytes are counts for more."""
    store = Records([MAKERS["caffe-datum raw"](i) for i in range(5)], [b"image-%09d" % i for i in range(5)])
    classes = record_classes()
    assert sum(classes["caffe-datum"].agrees(store.batch)) == sum(classes["ocr"].agrees(store.batch)) == 5
    assert choose_layout(store, Options()).layout.name == "caffe-datum"


def test_random_bytes_are_claimed_by_none() -> None:
    source = random.Random(11)
    batch = batch_of([source.randbytes(source.randrange(1, 64)) for _ in range(5000)])
    assert {name: sum(layout.agrees(batch)) for name, layout in record_classes().items()} == dict.fromkeys(
        RECORD_LAYOUTS, 0
    )


@pytest.mark.parametrize(("sampled", "votes"), [(16, 14), (12, 10), (8, 7), (5, 4), (3, 2), (2, 1), (1, 1)])
def test_most_of_the_sample_must_agree(sampled: int, votes: int) -> None:
    assert needed(sampled) == votes
    sound, broken = raw_datum((1, 2, 2), bytes(4)), b"\xff broken"
    enough = Records([sound] * votes + [broken] * (sampled - votes))
    assert choose_layout(enough, Options()).layout.name == "caffe-datum"
    if votes > 1:
        too_few = choose_layout(Records([sound] * (votes - 1) + [broken] * (sampled - votes + 1)), Options())
        assert too_few.layout.name == "raw"
        assert f"{votes - 1} of {sampled} sampled records look like caffe-datum" in too_few.reasons[0]


def test_reserved_keys_have_no_vote() -> None:
    values = [image_bytes(i) for i in range(4)] + [b"4", b"\x80\x04N."]
    store = Records(values, [b"a", b"b", b"c", b"d", b"length", b"__keys__"])
    assert choose_layout(store, Options()).layout.name == "encoded-images"


def test_an_empty_store_is_raw_and_there_is_nothing_to_excuse() -> None:
    choice = choose_layout(Records([]), Options())
    assert (choice.layout.name, choice.reasons) == ("raw", ())


def test_a_forced_layout_is_taken_whatever_the_records_are() -> None:
    for name in RECORD_LAYOUTS:
        choice = choose_layout(Records([b"anything"]), Options(), name)
        assert (choice.layout.name, choice.reasons) == (name, ())


def test_a_forced_layout_that_cannot_be_names_those_that_can() -> None:
    with pytest.raises(UsageError, match=r"unknown layout 'datum'; did you mean caffe-datum"):
        choose_layout(Records([b""]), Options(), "datum")
    with pytest.raises(UsageError, match="layout caffe-datum is not for hdf5 stores"):
        choose_layout(Rows("/data"), Options(), "caffe-datum")
    with pytest.raises(UsageError, match="layout hdf5-pairs is not for lmdb stores; choose from digits-pairs"):
        choose_layout(Records([]), Options(), "hdf5-pairs")
    with pytest.raises(UsageError, match="are not caffe-hdf5"):
        choose_layout(Rows("/data"), Options(), "caffe-hdf5")


@pytest.mark.parametrize(
    ("store", "layout"),
    [
        (Rows("/data", "/label", file="a.h5"), "caffe-hdf5"),
        (Rows("/data", "/label"), "hdf5-pairs"),
        (Rows("/kspace"), "hdf5-arrays"),
        (Rows(), "hdf5-arrays"),
    ],
)
def test_rows_take_the_first_layout_that_recognises_them(store: Rows, layout: str) -> None:
    choice = choose_layout(store, Options())
    assert choice.layout.name == layout
    assert isinstance(choice.layout, RowLayout)
    assert choice.tables == tuple(choice.layout.tables())


def test_the_table_holds_each_layout_under_its_own_name() -> None:
    assert tuple(LAYOUTS.own) == (*RECORD_LAYOUTS, *ROW_LAYOUTS)
    for name, layout in LAYOUTS.own.items():
        assert layout.name == name
        assert layout.title
        assert issubclass(layout, RowLayout if name in ROW_LAYOUTS else RecordLayout)


def test_layouts_travel_to_workers() -> None:
    for layout in record_classes().values():
        made = layout(Options(crop=3))
        assert pickle.loads(pickle.dumps(made)).options == made.options
