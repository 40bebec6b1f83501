"""Layouts of pickles, msgpack messages and npz archives: what they make of whole and of broken values."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_layouts.records import any_bytes, batch_of, check_shape, decode, image_bytes, short
from tests.test_values.test_arrays import packed

from datascan.scanner import check
from datascan.scanner.crew import Crew
from datascan.scanner.layouts import serialised
from datascan.scanner.layouts.base import RecordLayout
from datascan.scanner.layouts.msgpack_records import MsgpackRecords
from datascan.scanner.layouts.npz import Npz
from datascan.scanner.layouts.pickles import PickleRecords
from datascan.scanner.layouts.raw import Raw
from datascan.scanner.options import Options
from datascan.scanner.rules.base import Context
from datascan.scanner.rules.value import ValueConstant
from datascan.scanner.sample import SampleBatch
from datascan.scanner.summary import Summary
from datascan.scanner.summary.places import MAX_PLACES
from datascan.scanner.worker import Checker


def saved(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def shown(samples: SampleBatch) -> list[tuple[str, list[int], str, tuple[int, ...]]]:
    return sorted(
        (block.name, block.rows.tolist(), block.values.dtype.name, block.values.shape) for block in samples.arrays
    )


class Runs:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


WRITERS: dict[type[RecordLayout], list[Callable[[dict[str, Any]], bytes]]] = {
    PickleRecords: [
        *(lambda value, protocol=protocol: pickle.dumps(value, protocol) for protocol in range(6)),
        lambda value: gzip.compress(pickle.dumps(value), mtime=0),
        lambda value: zlib.compress(pickle.dumps(value)),
    ],
    MsgpackRecords: [
        lambda value: msgpack.packb({name: packed(array) for name, array in value.items()}),
        lambda value: gzip.compress(msgpack.packb({name: packed(array) for name, array in value.items()})),
    ],
    Npz: [lambda value: saved(**value)],
}


@pytest.mark.parametrize(
    ("layout", "write"), [(layout, write) for layout, writers in WRITERS.items() for write in writers]
)
@pytest.mark.parametrize("gaps", [[0], [3, 1]])
def test_arrays_become_blocks_named_by_their_place(
    layout: type[RecordLayout], write: Callable[[dict[str, Any]], bytes], gaps: list[int]
) -> None:
    rng = np.random.default_rng(1)
    values = [{"x": rng.normal(size=(2, 3)), "y": rng.integers(0, 9, 40 + i // 4)} for i in range(5)]
    batch = batch_of([write(value) for value in values], gaps=gaps)
    assert layout.agrees(batch) == [True] * 5
    samples = layout(Options()).decode(batch)
    check_shape(samples)
    assert samples.faults == []
    found = {
        (block.name, row): block.values[i] for block in samples.arrays for i, row in enumerate(block.rows.tolist())
    }
    for row, value in enumerate(values):
        for name, array in value.items():
            assert np.array_equal(found[f"['{name}']", row], array)
    assert {block.shape for block in samples.arrays} == {(2, 3), (40,), (41,)}


def test_sequences_are_no_vectors_of_features() -> None:
    """Every sentence begins with the same token; that is no constant feature, a column of a table is."""
    values = [
        {"tokens": np.array([101, i, 5]), "x": np.array([0.5, i / 2]), "times": [0.5] * (i % 3 + 2)} for i in range(24)
    ]
    samples = decode(PickleRecords, [pickle.dumps(value) for value in values])
    assert {(block.name, block.axes) for block in samples.arrays} == {
        ("['tokens']", "L"),
        ("['x']", ""),
        ("['times']", "L"),
    }
    summary = Summary(Options())
    summary.add(samples)
    rule = ValueConstant(Context(Options(), "pickle-records", "lmdb", PickleRecords.traits))
    assert [(found.location.dataset, found.data) for found in rule.finish(summary)] == [("['x']", {"constant": [0]})]


def test_places_that_differ_from_record_to_record_are_not_all_remembered() -> None:
    letters = "abcdefghijklmnop"
    total = Summary(Options())
    for first in letters:
        names = [first + second + third for second in letters for third in letters]
        values = [pickle.dumps({name: np.ones((2, 2)), name + "_image": image_bytes(1)}) for name in names]
        part = Summary(Options())
        part.add(decode(PickleRecords, values))
        total.merge(part, total.records)
    assert total.samples == 16**3
    assert len(total.shapes.tables) == MAX_PLACES
    assert len(total.values.arrays) == MAX_PLACES + 2
    assert sum(stats.samples for stats in total.values.arrays.values()) == 2 * 16**3


def test_images_and_labels_of_pairs_are_found() -> None:
    for layout, dump in ((PickleRecords, pickle.dumps), (MsgpackRecords, msgpack.packb)):
        samples = decode(layout, [dump((image_bytes(i), i % 3)) for i in range(6)])
        check_shape(samples)
        assert [(image.row, image.dataset, image.facts.format) for image in samples.images] == [
            (i, "[0]", "PNG") for i in range(6)
        ]
        (labels,) = samples.labels
        assert (labels.name, labels.values.tolist()) == ("[1]", [0, 1, 2, 0, 1, 2])
        assert samples.contents is not None
        assert [bytes(content) for content in samples.contents] == [image_bytes(i) for i in range(6)]


def test_named_labels_are_found_and_other_integers_are_not() -> None:
    samples = decode(
        PickleRecords, [pickle.dumps({"x": np.ones(99), "label": i, "id": i, "score": i / 2}) for i in range(3)]
    )
    assert [(block.name, block.values.tolist()) for block in samples.labels] == [("['label']", [0, 1, 2])]
    assert shown(samples) == [
        ("['score']", [0, 1, 2], "float64", (3,)),
        ("['x']", [0, 1, 2], "float64", (3, 99)),
    ]


def test_a_label_beyond_64_bits_does_not_hide_the_others() -> None:
    values = [pickle.dumps((image_bytes(i), 10**30 if i == 2 else i)) for i in range(4)]
    (labels,) = decode(PickleRecords, values).labels
    assert labels.values.tolist() == [0, 1, 1e30, 3]


def test_two_integers_beside_an_image_are_no_label() -> None:
    assert decode(PickleRecords, [pickle.dumps((image_bytes(1), 3, 4))]).labels == []


def test_bytes_that_are_no_image_among_images_are_looked_at_as_one() -> None:
    values = [image_bytes(i) for i in range(5)] + [b"<html>404 not found</html>", b"", image_bytes(9)[:60]]
    samples = decode(PickleRecords, [pickle.dumps({"image": value, "mask": b"\0" * 80}) for value in values])
    assert [(fault.row, fault.rule, fault.dataset) for fault in samples.faults] == [
        (5, "image-undecodable", "['image']"),
        (6, "record-empty", "['image']"),
        (7, "image-undecodable", "['image']"),
    ]


def test_elements_of_collections_share_a_block() -> None:
    samples = decode(PickleRecords, [pickle.dumps([np.full(3, i) for i in range(12)]) for _ in range(2)])
    assert shown(samples) == [("[*]", [0] * 12 + [1] * 12, "int64", (24, 3))]


BROKEN: list[tuple[type[RecordLayout], bytes, list[tuple[str, str | None]]]] = [
    (PickleRecords, pickle.dumps({"x": np.ones(40)})[:-30], [("record-undecodable", None)]),
    (PickleRecords, gzip.compress(pickle.dumps({"x": 1}), mtime=0)[:-3], [("record-undecodable", None)]),
    (PickleRecords, b"\x80\x04\xff", [("record-undecodable", None)]),
    (PickleRecords, pickle.dumps(None), [("record-empty", None)]),
    (PickleRecords, pickle.dumps({}), [("record-empty", None)]),
    (PickleRecords, b"", [("record-empty", None)]),
    (PickleRecords, pickle.dumps([1, "a"]) + b"tail", [("record-undecodable", None)]),
    (PickleRecords, pickle.dumps({"x": Runs()}), [("record-unsafe-pickle", None)]),
    (
        PickleRecords,
        pickle.dumps([Runs(), "a"], 2)[:-5],
        [("record-unsafe-pickle", None), ("record-undecodable", None)],
    ),
    (PickleRecords, gzip.compress(pickle.dumps(Runs()), mtime=0), [("record-unsafe-pickle", None)]),
    (
        PickleRecords,
        pickle.dumps({"x": np.zeros((3, 5))}, 2).replace(b"K\x03K\x05\x86", b"K\x03K\x06\x86"),
        [("record-size-mismatch", "['x']")],
    ),
    (MsgpackRecords, msgpack.packb({"x": "abcdefgh"})[:-1], [("record-undecodable", None)]),
    (MsgpackRecords, msgpack.packb({"x": "abcdefgh"}) + b"\0", [("record-undecodable", None)]),
    (MsgpackRecords, msgpack.packb(None), [("record-empty", None)]),
    (MsgpackRecords, msgpack.packb({"x": {**packed(np.ones(3)), b"data": b"ab"}}), [("record-size-mismatch", "['x']")]),
    (MsgpackRecords, msgpack.packb({"x": packed(np.array([Runs()], object))}), [("record-unsafe-pickle", "['x']")]),
    (Npz, saved(x=np.ones(3))[:-9], [("record-undecodable", None)]),
    (Npz, saved(x=np.array([{}], object)), [("record-unsafe-pickle", "['x']")]),
    (Npz, saved(x=np.ones(3)).replace(b"(3,)", b"(4,)"), [("record-undecodable", "['x']")]),
    (Npz, b"PK\x05\x06" + bytes(18), [("record-empty", None)]),
]


@pytest.mark.parametrize(("layout", "value", "expected"), BROKEN)
def test_broken_values_are_named(
    layout: type[RecordLayout], value: bytes, expected: list[tuple[str, str | None]]
) -> None:
    sound: dict[type[RecordLayout], bytes] = {
        PickleRecords: pickle.dumps([1.5]),
        MsgpackRecords: msgpack.packb([1.5]),
        Npz: saved(x=np.ones(2)),
    }
    samples = decode(layout, [sound[layout], value, sound[layout]])
    check_shape(samples)
    assert [(fault.row, fault.rule, fault.dataset) for fault in samples.faults] == [(1, *each) for each in expected]


def test_what_is_behind_a_pickle_is_only_a_warning() -> None:
    (fault,) = decode(PickleRecords, [pickle.dumps([1, 2]) + b"\0\0"]).faults
    assert not fault.severe
    assert fault.message == "2 bytes stand behind the end of the pickle"


def test_many_unsafe_names_are_listed_shortly() -> None:
    value = b"\x80\x02(" + b"".join(b"cmod\nname%d\n" % i for i in range(30)) + b"t."
    (fault,) = decode(PickleRecords, [value]).faults
    assert fault.message == "asks for mod.name0, mod.name1, mod.name2 and 27 more"
    assert len(fault.data["names"]) == 20


CLAIMS = [
    (PickleRecords, b"num_examples", pickle.dumps(7), 7),
    (PickleRecords, b"length", pickle.dumps(7, 0), 7),
    (PickleRecords, b"num_samples", b"12", 12),
    (PickleRecords, b"__len__", gzip.compress(pickle.dumps(7), mtime=0), 7),
    (PickleRecords, b"__keys__", pickle.dumps([b"0", b"1"]), 2),
    (PickleRecords, b"keys", pickle.dumps(("a", "b", "c")), 3),
    (MsgpackRecords, b"__len__", msgpack.packb(200), 200),
    (MsgpackRecords, b"__len__", msgpack.packb(5), 5),
    (MsgpackRecords, b"length", b"200", 200),
    (MsgpackRecords, b"length", b"8", None),
    (MsgpackRecords, b"__keys__", msgpack.packb([b"0", b"1"]), 2),
    (MsgpackRecords, b"__keys__", b'["0", "1"]', None),
    (Npz, b"length", b"3", 3),
    (PickleRecords, b"length", pickle.dumps(True), None),
    (PickleRecords, b"length", pickle.dumps("7"), None),
    (PickleRecords, b"metadata", b"anything", None),
]


@pytest.mark.parametrize(("layout", "key", "value", "claimed"), CLAIMS)
def test_reserved_keys_state_counts(layout: type[RecordLayout], key: bytes, value: bytes, claimed: int | None) -> None:
    samples = decode(layout, [value], [key])
    assert samples.count_claims == ([] if claimed is None else [(0, claimed)])
    assert samples.faults == []
    assert len(samples.sample_rows) == 0


def test_reserved_keys_may_be_damaged_or_unsafe() -> None:
    assert short(decode(PickleRecords, [pickle.dumps(list(range(50)))[:-9]], [b"__keys__"]).faults) == [
        (0, "record-undecodable")
    ]
    layouts: list[type[RecordLayout]] = [PickleRecords, Raw]
    for layout in layouts:
        assert short(decode(layout, [pickle.dumps(Runs())], [b"__keys__"]).faults) == [(0, "record-unsafe-pickle")]


def test_unsafe_pickles_are_named_where_no_layout_fits() -> None:
    values = [
        b"text",
        pickle.dumps(Runs()),
        gzip.compress(pickle.dumps(Runs())),
        pickle.dumps([1]),
        pickle.dumps(Runs(), 0),
    ]
    cut = pickle.dumps([Runs(), "a" * 300], 2)[:-20]
    assert short(decode(Raw, [*values, cut]).faults) == [(row, "record-unsafe-pickle") for row in (1, 2, 4, 5)]


@pytest.mark.parametrize("layout", [PickleRecords, MsgpackRecords, Npz, Raw])
@given(values=st.lists(any_bytes, max_size=4))
def test_any_bytes_give_samples_or_faults(layout: type[RecordLayout], values: list[bytes]) -> None:
    check_shape(decode(layout, values))
    layout.agrees(batch_of(values))


def test_mutated_values_give_samples_or_faults() -> None:
    source = random.Random(3)
    value = {"image": image_bytes(1), "x": np.arange(12.0).reshape(3, 4), "label": 1}
    plain = {**value, "x": packed(np.arange(12.0))}
    seeds: list[tuple[type[RecordLayout], bytes]] = [
        *((PickleRecords, pickle.dumps(value, protocol)) for protocol in (0, 2, 4, 5)),
        (MsgpackRecords, msgpack.packb(plain)),
        (Npz, saved(x=np.arange(12), y=np.zeros((2, 2)))),
    ]
    for _ in range(1500):
        layout, seed = source.choice(seeds)
        data = bytearray(seed)
        for _ in range(source.randrange(1, 5)):
            data[source.randrange(len(data))] = source.randrange(256)
        check_shape(decode(layout, [seed, bytes(data[: source.randrange(len(data) // 2, len(data) + 1)]), bytes(data)]))


def test_batches_that_may_unfold_are_decoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the cut, each record is in one piece, in order."""
    plain = [pickle.dumps([i, "a" * 50]) for i in range(40)]
    layout = PickleRecords(Options())
    assert len(list(layout.pieces(batch_of(plain)))) == 1
    batch = batch_of([gzip.compress(value, mtime=0) for value in plain])
    assert len(list(layout.pieces(batch))) == 1
    monkeypatch.setattr(serialised, "PIECE_BYTES", 200_000)
    pieces = list(layout.pieces(batch))
    assert len(pieces) == 8
    assert [position for piece in pieces for position in piece.positions.tolist()] == list(range(40))
    assert all(len(piece) and piece.values.lengths[1:].sum() * 1032 <= 400_000 for piece in pieces)
    assert len(list(Npz(Options()).pieces(batch))) == len(pieces)


def test_a_batch_of_bombs_stays_within_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value of a kilobyte unfolds to a megabyte."""
    batch = batch_of([gzip.compress(pickle.dumps(np.zeros(1 << 20, np.uint8)))] * 60)
    monkeypatch.setattr(serialised, "PIECE_BYTES", 4 << 20)
    checker = Checker(PickleRecords(Options()), (), Options())
    tracemalloc.start()
    checker.take(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert checker.partial.crashes == {}
    assert (checker.partial.seen, checker.partial.summary.samples) == (60, 60)
    assert peak < 20 << 20


def test_a_scan_names_the_place_and_runs_nothing(tmp_path: Path, crew: Crew) -> None:
    marker = tmp_path / "executed"

    class Command:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {marker}",)

    rng = np.random.default_rng(0)
    samples: list[Any] = [{"features": rng.normal(size=(4, 8)), "name": f"a{i}"} for i in range(40)]
    samples[7]["features"][1, 2] = np.nan
    samples[11]["features"] = np.zeros((4, 9))
    samples[20]["name"] = Command()
    with lmdb.open(str(tmp_path / "set_lmdb"), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for number, sample in enumerate(samples):
            txn.put(b"%03d" % number, pickle.dumps(sample))
        txn.put(b"length", pickle.dumps(41))
    report = check(tmp_path / "set_lmdb", crew=crew)
    found = {(f.rule, f.location.index, f.location.dataset, f.location.element) for f in report}
    assert found == {
        ("value-nan", 7, "['features']", (1, 2)),
        ("record-shape-mismatch", 11, "['features']", None),
        ("record-unsafe-pickle", 20, None, None),
        ("store-count-mismatch", 40, None, None),
    }
    assert report.reports[0].source.layout == "indexed-pickle"
    assert not marker.exists()
