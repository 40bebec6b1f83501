"""HDF5 files, written by h5py and damaged by hand, read back row by row."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.hdf5_reading import Rows, at, flip, read_rows, written

from datascan.backends.base import (
    BATCH_ROWS,
    PARTITION_BYTES,
    Column,
    Damage,
    Extent,
    Partition,
    RowBatch,
    Store,
    Table,
)
from datascan.backends.columns import BytesColumn
from datascan.backends.hdf5_plan import ROW_WEIGHT
from datascan.backends.hdf5_store import Hdf5Store
from datascan.scanner.testing.store_contract import shrink, untouched


def table(*paths: str) -> Table:
    return Table("t", paths)


def damages(path: Path) -> list[Damage]:
    with Hdf5Store(path) as store:
        rows = [read_rows(store, [Table(info.path, (info.path,))]) for info in store.datasets() if info.readable]
        return [*store.opening_damage(), *(damage for part in rows for damage in part.damages)]


# ---- what is written comes back ----

DTYPES = st.one_of(
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(sizes=(64, 128)),
    hnp.boolean_dtypes(),
    hnp.byte_string_dtypes(max_len=9),
)
FILTERS: list[dict[str, Any]] = [
    {},
    {"compression": "gzip", "compression_opts": 1},
    {"compression": "gzip", "shuffle": True},
    {"compression": "lzf"},
    {"shuffle": True},
    {"fletcher32": True},
    {"compression": "gzip", "shuffle": True, "fletcher32": True},
]


@st.composite
def stored_arrays(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    dtype = draw(DTYPES)
    ranks = 1 if dtype.kind == "S" else 3
    array = draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=ranks, min_side=1, max_side=9)))
    if draw(st.booleans()):
        return array, {}
    chunks = tuple(draw(st.integers(1, side)) for side in array.shape)
    return array, {"chunks": chunks, "maxshape": (None, *array.shape[1:]), **draw(st.sampled_from(FILTERS))}


def as_rows(column: Column) -> list[Any]:
    return [bytes(value) for value in column] if isinstance(column, BytesColumn) else [row.tobytes() for row in column]


@settings(deadline=None, max_examples=120)
@given(stored_arrays(), st.sampled_from(["earliest", "latest"]), st.integers(1, 400), st.integers(1, 200))
def test_any_array_comes_back_equal(
    stored: tuple[np.ndarray[Any, Any], dict[str, Any]], libver: str, partition_bytes: int, batch_bytes: int
) -> None:
    array, layout = stored
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "a.h5"
        with h5py.File(path, "w", libver=libver) as file:
            file.create_dataset("deep/down/x", data=array, **layout)
        shrink(patch, partition_bytes, batch_bytes)
        with Hdf5Store(path) as store:
            info = store.datasets()[0]
            rows = read_rows(store, [table("/deep/down/x")])
            assert [*store.opening_damage(), *rows.damages, *store.closing_damage(0)] == []
    assert (info.path, info.shape, info.readable, info.reason) == ("/deep/down/x", array.shape, True, "")
    assert rows.positions == list(range(len(array)))
    if array.dtype.kind == "S":
        assert rows.values("/deep/down/x") == array.tolist()
    else:
        column = rows.array("/deep/down/x")
        assert column.shape == array.shape
        np.testing.assert_array_equal(column, array)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.binary(max_size=700), min_size=1, max_size=40),
    st.sampled_from([{}, {"chunks": 3}, {"chunks": 7, "compression": "gzip", "shuffle": True}]),
    st.integers(1, 2000),
)
def test_variable_length_bytes_come_back_equal(values: list[bytes], layout: dict[str, Any], batch_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "v.h5"
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("v", (len(values),), h5py.vlen_dtype(np.uint8), maxshape=(99,), **layout)
            for row, value in enumerate(values):
                dataset[row] = np.frombuffer(value, np.uint8)
        shrink(patch, 1000, batch_bytes)
        with Hdf5Store(path) as store:
            rows = read_rows(store, [table("/v")])
            assert rows.damages == []
            assert store.datasets()[0].kind == "bytes"
    assert rows.values("/v") == values


def test_text_of_fixed_and_variable_length(tmp_path: Path) -> None:
    texts = ["cat", "", "Zaunkönig", "x" * 3000]
    with written(tmp_path / "t.h5") as file:
        file.create_dataset("v", data=texts, dtype=h5py.string_dtype())
        file.create_dataset("column", data=np.array(texts, object).reshape(4, 1), dtype=h5py.string_dtype())
        file["s"] = np.array([b"cat", b"", b"a b"], "S3")
        file["o"] = np.array([b"\0a\0", b"bb\0"], "V3")
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        kind = h5py.h5t.py_create(h5py.string_dtype(), logical=True)
        small = h5py.Dataset(h5py.h5d.create(file.id, b"compact", kind, h5py.h5s.create_simple((2,)), plist))
        small[:] = ["in the header", "é"]
    with Hdf5Store(tmp_path / "t.h5") as store:
        kinds = {info.path: info.kind for info in store.datasets()}
        read = {path: read_rows(store, [table(path)]).values(path) for path in kinds}
    encoded = [text.encode() for text in texts]
    assert kinds == {"/v": "text", "/column": "text", "/s": "text", "/o": "bytes", "/compact": "text"}
    assert read["/v"] == read["/column"] == encoded
    assert read["/s"] == [b"cat", b"", b"a b"]
    assert read["/o"] == [b"\0a\0", b"bb\0"]
    assert read["/compact"] == [b"in the header", "é".encode()]


def test_a_scalar_is_one_row_and_an_empty_dataset_none(tmp_path: Path) -> None:
    with written(tmp_path / "s.h5") as file:
        file["scalar"] = np.float32(2.5)
        file["none"] = h5py.Empty("f4")
        file["no_rows"] = np.empty((0, 3), "f4")
        file["no_columns"] = np.empty((5, 0), "f4")
    with Hdf5Store(tmp_path / "s.h5") as store:
        shapes = {info.path: info.shape for info in store.datasets()}
        assert shapes == {"/scalar": (), "/none": None, "/no_rows": (0, 3), "/no_columns": (5, 0)}
        rows = read_rows(store, [table("/scalar")])
        assert rows.array("/scalar").tolist() == [2.5]
        assert [read_rows(store, [table(path)]).extent for path in ("/no_rows", "/no_columns")] == [0, 0]
        assert sum(partition.token[1] for partition in store.partitions()) == 1


def test_fields_of_a_compound_are_read_as_columns(tmp_path: Path) -> None:
    records = np.zeros(9, [("score", "f4"), ("box", "i2", (4,)), ("name", "S5")])
    records["score"], records["box"] = np.arange(9) / 2, np.arange(36).reshape(9, 4)
    triples = np.zeros(9, [("xyz", "f4", (3,))])
    triples["xyz"] = np.arange(27).reshape(9, 3)
    with written(tmp_path / "c.h5") as file:
        file.create_dataset("r", data=records, chunks=(4,), compression="gzip")
        file["plain"] = records[["score"]]
        file.create_dataset("triple", (9,), np.dtype(("f4", (3,))), chunks=(4,), compression="gzip")[:] = triples["xyz"]
    with Hdf5Store(tmp_path / "c.h5") as store:
        listed = {info.path: (info.kind, info.readable, info.reason) for info in store.datasets()}
        rows = read_rows(store, [table("/r.score", "/r.box", "/triple")])
    assert listed["/r"] == ("compound", False, "fields that are not plain numbers: name")
    assert listed["/plain"] == ("compound", False, "")
    assert listed["/r.score"] == ("numeric", True, "")
    np.testing.assert_array_equal(rows.array("/r.score"), records["score"])
    np.testing.assert_array_equal(rows.array("/r.box"), records["box"])
    np.testing.assert_array_equal(rows.array("/triple"), triples["xyz"])


def test_a_file_with_a_user_block(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "u.h5", "w", userblock_size=1024) as file:
        file["x"] = np.arange(50)
        file.create_dataset("v", data=["a", "bc"], dtype=h5py.string_dtype())
        file.create_dataset("z", data=np.arange(50), chunks=(7,), compression="gzip")
    with Hdf5Store(tmp_path / "u.h5") as store:
        assert store.opening_damage() == []
        assert read_rows(store, [table("/x", "/z")]).array("/z").tolist() == list(range(50))
        assert read_rows(store, [table("/v")]).values("/v") == [b"a", b"bc"]


# ---- partitions and batches ----


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    path = tmp_path / "pair.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(1000 * 6, dtype="f4").reshape(1000, 6), chunks=(64, 6), shuffle=True)
        file.create_dataset("y", data=np.arange(1000), chunks=(1000,), compression="gzip")
        file["z"] = np.arange(300)
    return path


TABLES = [table("/x", "/y"), Table("z", ("/z",))]


@pytest.mark.parametrize("limit", [0, 1, 63, 64, 65, 999, 1000, 1001, 1299, 1300, 5000, None])
def test_limit_is_exact(pair: Path, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, 5000, 700)
    with Hdf5Store(pair) as store:
        partitions = store.partitions(TABLES, limit)
        rows = read_rows(store, TABLES, limit)
    expected = [*range(1000), *range(300)][: 1300 if limit is None else limit]
    assert [partition.ordinal for partition in partitions] == list(range(len(partitions)))
    assert rows.extent == len(expected)
    assert [*rows.array("/y").tolist(), *rows.array("/z").tolist()] == expected
    assert rows.damages == []


def test_partitions_read_alone_and_elsewhere_give_the_same(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, 5000, 700)
    with Hdf5Store(pair) as store:
        partitions = store.partitions(TABLES)
        assert len(partitions) > 5
        together = [list(map(repr, store.read(partition))) for partition in partitions]
    apart = []
    for partition in reversed(partitions):
        with Hdf5Store(pair) as store:
            apart.append(list(map(repr, store.read(pickle.loads(pickle.dumps(partition))))))
    assert apart[::-1] == together


def test_batches_end_on_the_edges_of_chunks(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch, 1 << 20, 5000)
    with Hdf5Store(pair) as store:
        batches = read_rows(store, TABLES[:1]).batches
    assert [int(batch.positions[0]) % 64 for batch in batches] == [0] * len(batches)
    assert len(batches) == 8


def test_millions_of_short_rows_come_in_few_batches(tmp_path: Path) -> None:
    with written(tmp_path / "m.h5") as file:
        file["x"] = np.arange(2_000_000, dtype=np.int32)
    with Hdf5Store(tmp_path / "m.h5") as store:
        partitions = store.partitions()
        parts = [part for partition in partitions for part in store.read(partition)]
    assert len(partitions) < 4 * -(-2_000_000 * ROW_WEIGHT // PARTITION_BYTES)
    assert len(parts) <= -(-2_000_000 // BATCH_ROWS) + 2 * len(partitions)
    assert sum(len(part) for part in parts if isinstance(part, RowBatch)) == 2_000_000


def test_rows_larger_than_a_batch_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with written(tmp_path / "r.h5") as file:
        file["x"] = np.arange(5 * 1000).reshape(5, 1000)
    shrink(monkeypatch, 20_000, 1000)
    with Hdf5Store(tmp_path / "r.h5") as store:
        assert [len(batch) for batch in read_rows(store, [table("/x")]).batches] == [1] * 5


def test_nothing_of_the_source_is_touched(pair: Path) -> None:
    pair.chmod(0o444)
    pair.parent.chmod(0o555)
    try:
        with untouched(pair.parent), Hdf5Store(pair) as store:
            assert read_rows(store, TABLES).extent == 1300
            assert store.sample() is None
            assert store.find(b"17") is None
            assert store.closing_damage(1300) == []
            store.close()
    finally:
        pair.parent.chmod(0o755)


def test_a_trainer_can_open_the_file_for_writing_meanwhile(pair: Path) -> None:
    script = "import h5py, sys; h5py.File(sys.argv[1], 'r+').close()"
    with Hdf5Store(pair) as store:
        assert store.datasets()
        subprocess.run([sys.executable, "-c", script, str(pair)], check=True)


def test_locks_that_the_environment_asks_for_are_not_taken(pair: Path) -> None:
    script = (
        "import sys, subprocess\n"
        "from datascan.backends.hdf5_store import Hdf5Store\n"
        "with Hdf5Store(sys.argv[1]) as store:\n"
        "    assert len(store.datasets()) == 3\n"
        "    trainer = 'import h5py, sys; h5py.File(sys.argv[1], \"r+\")'\n"
        "    subprocess.run([sys.executable, '-c', trainer, sys.argv[1]], check=True)\n"
    )
    environment = {**os.environ, "HDF5_USE_FILE_LOCKING": "TRUE"}
    subprocess.run([sys.executable, "-c", script, str(pair)], check=True, env=environment)


def test_a_file_that_changes_meanwhile_is_named(pair: Path) -> None:
    with Hdf5Store(pair) as store:
        with pair.open("ab") as stream:
            stream.write(b"more")
        assert [damage.kind for damage in store.closing_damage(0)] == ["in-use"]


# ---- damage ----


def test_rows_that_were_never_written_are_one_damage_a_run(tmp_path: Path) -> None:
    with written(tmp_path / "h.h5") as file:
        x = file.create_dataset("x", (1000, 4), "f4", chunks=(10, 2))
        x[100:300] = 1
        x[305, 0] = 1
        file.create_dataset("y", data=np.arange(1000))
    with Hdf5Store(tmp_path / "h.h5") as store:
        rows = read_rows(store, [table("/x", "/y")])
    assert [(d.kind, d.dataset, d.position, d.records_lost, d.data["rows"]) for d in rows.damages] == [
        ("damaged", "/x", 0, 100, [0, 100]),
        ("damaged", "/x", 300, 700, [300, 1000]),
    ]
    assert "139 of 140 chunks were never written" in rows.damages[1].reason
    assert rows.array("/y").tolist() == list(range(1000))
    np.testing.assert_array_equal(rows.array("/x"), np.ones((200, 4)))
    assert [batch.whole for batch in rows.batches if int(batch.positions[0]) in range(100, 300)] == [True]


@pytest.mark.parametrize("layout", [{"chunks": (1, 1 << 20), "compression": "gzip"}, {"chunks": (1, 1 << 20)}])
def test_a_declared_petabyte_costs_nothing(tmp_path: Path, layout: dict[str, Any]) -> None:
    with written(tmp_path / "p.h5") as file:
        x = file.create_dataset("x", (1 << 30, 1 << 20), "u1", **layout)
        x[12345] = 7
    with Hdf5Store(tmp_path / "p.h5") as store:
        partitions = store.partitions()
        rows = read_rows(store, [Table("/x", ("/x",))])
    assert len(partitions) <= 2
    assert [damage.data["rows"] for damage in rows.damages] == [[0, 12345], [12346, 1 << 30]]
    assert sum(damage.records_lost or 0 for damage in rows.damages) == (1 << 30) - 1
    assert rows.extent == 1 << 30
    assert [int(batch.positions[0]) for batch in rows.batches] == [12345]


def test_a_contiguous_dataset_that_was_never_written(tmp_path: Path) -> None:
    with written(tmp_path / "n.h5") as file:
        file.create_dataset("x", (50, 3), "f4")
        file.create_dataset("v", (50,), h5py.string_dtype())
    found = damages(tmp_path / "n.h5")
    assert [(d.dataset, d.records_lost, d.position) for d in found] == [("/v", 50, None), ("/x", 50, None)]
    assert all("never written" in damage.reason for damage in found)


@pytest.mark.parametrize(
    "layout",
    [
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True},
        {"fletcher32": True},
        {"compression": "gzip", "fletcher32": True},
    ],
)
def test_a_damaged_chunk_costs_its_rows_only(tmp_path: Path, layout: dict[str, Any]) -> None:
    values = np.random.default_rng(0).integers(0, 9, (70, 6)).astype("f8")
    with written(tmp_path / "d.h5") as file:
        x = file.create_dataset("x", data=values, chunks=(10, 3), **layout)
        chunk = x.id.get_chunk_info_by_coord((20, 3))
    flip(tmp_path / "d.h5", chunk.byte_offset + chunk.size // 2)
    with Hdf5Store(tmp_path / "d.h5") as store:
        rows = read_rows(store, [table("/x")])
    (damage,) = rows.damages
    assert (damage.kind, damage.dataset, damage.position, damage.records_lost) == ("damaged", "/x", 20, 10)
    assert damage.data == {"rows": [20, 30], "chunk": [20, 3]}
    assert damage.offset == chunk.byte_offset
    assert rows.positions == [*range(20), *range(30, 70)]
    np.testing.assert_array_equal(rows.array("/x"), np.delete(values, range(20, 30), 0))


def test_a_bad_chunk_of_many_batches_is_one_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with written(tmp_path / "b.h5") as file:
        x = file.create_dataset("x", data=np.arange(4000.0), chunks=(1000,), compression="gzip")
        chunk = x.id.get_chunk_info(1)
    flip(tmp_path / "b.h5", chunk.byte_offset + 40)
    shrink(monkeypatch, 1 << 20, 400)
    with Hdf5Store(tmp_path / "b.h5") as store:
        rows = read_rows(store, [table("/x")])
    assert [(d.position, d.records_lost) for d in rows.damages] == [(1000, 1000)]
    assert rows.positions == [*range(1000), *range(2000, 4000)]


def test_a_row_lost_in_two_columns_is_counted_once(tmp_path: Path) -> None:
    with written(tmp_path / "two.h5") as file:
        x = file.create_dataset("x", data=np.arange(100.0), chunks=(10,), compression="gzip")
        y = file.create_dataset("y", data=np.arange(100.0), chunks=(5,), compression="gzip")
        places = [x.id.get_chunk_info(3).byte_offset, y.id.get_chunk_info(7).byte_offset]
        places.append(y.id.get_chunk_info(8).byte_offset)
    for place in places:
        flip(tmp_path / "two.h5", place + 12)
    with Hdf5Store(tmp_path / "two.h5") as store:
        rows = read_rows(store, [table("/x", "/y")])
    assert {d.dataset: 0 for d in rows.damages} == {"/x": 0, "/y": 0}
    assert sum(damage.records_lost or 0 for damage in rows.damages) == 15
    assert sum(len(batch) for batch in rows.batches if batch.whole) == 85


def test_a_chunk_that_inflates_without_end_is_not_followed(tmp_path: Path) -> None:
    import zlib

    with written(tmp_path / "bomb.h5") as file:
        x = file.create_dataset("x", (20, 100), "u1", chunks=(10, 100), compression="gzip")
        x.id.write_direct_chunk((0, 0), zlib.compress(bytes(64 << 20), 9))
        x[10:] = 1
    with Hdf5Store(tmp_path / "bomb.h5") as store:
        rows = read_rows(store, [table("/x")])
    assert [(d.position, d.records_lost) for d in rows.damages] == [(0, 10)]
    assert rows.positions == list(range(10, 20))


def test_rows_and_chunks_of_absurd_size_are_refused(tmp_path: Path) -> None:
    with written(tmp_path / "huge.h5") as file:
        file.create_dataset("row", (2, 300 << 20), "u1", chunks=(1, 1 << 20))[0, 0] = 1
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1 << 21, 1 << 10))
        plist.set_deflate(1)
        space = h5py.h5s.create_simple((1 << 21, 1 << 10))
        h5py.h5d.create(file.id, b"chunk", h5py.h5t.NATIVE_UINT8, space, plist)
    found = {damage.dataset: damage for damage in damages(tmp_path / "huge.h5")}
    assert "one row takes 314,572,800 bytes: refused" in found["/row"].reason
    assert "one chunk takes 2,147,483,648 bytes: refused" in found["/chunk"].reason
    assert found["/chunk"].records_lost == 1 << 21


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_what_is_left_of_a_cut_file_is_read(tmp_path: Path, libver: str) -> None:
    values = np.random.default_rng(1).random((400, 50))
    with h5py.File(tmp_path / "t.h5", "w", libver=libver) as file:
        file["y"] = np.arange(400)
        file["x"] = values
    whole = os.path.getsize(tmp_path / "t.h5")
    os.truncate(tmp_path / "t.h5", whole - 60_000)
    with Hdf5Store(tmp_path / "t.h5") as store:
        (opening,) = store.opening_damage()
        rows = read_rows(store, [table("/x", "/y")])
    assert (opening.kind, opening.data) == (
        "truncated",
        {"size_bytes": whole - 60_000, "stored_size_bytes": whole},
    )
    (damage,) = rows.damages
    assert (damage.kind, damage.dataset, damage.data["rows"][1]) == ("truncated", "/x", 400)
    first = damage.data["rows"][0]
    assert 200 < first < 280
    assert damage.records_lost == 400 - first
    np.testing.assert_array_equal(rows.array("/x"), values[:first])
    assert rows.array("/y").tolist() == list(range(400))


def test_chunks_of_a_cut_file_are_read_one_by_one(tmp_path: Path) -> None:
    values = np.random.default_rng(2).random((100, 100))
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(10, 100), compression="gzip")
    os.truncate(tmp_path / "t.h5", os.path.getsize(tmp_path / "t.h5") * 2 // 3)
    with Hdf5Store(tmp_path / "t.h5") as store:
        rows = read_rows(store, [table("/x")])
    lost = sorted(set(range(100)) - set(rows.positions))
    assert 20 <= len(lost) <= 50
    assert sum(damage.records_lost or 0 for damage in rows.damages) == len(lost)
    assert {damage.kind for damage in rows.damages} == {"truncated"}
    np.testing.assert_array_equal(rows.array("/x"), np.delete(values, lost, 0))


def test_a_file_cut_anywhere_gives_damage_and_never_wrong_rows(tmp_path: Path) -> None:
    path = tmp_path / "any.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("x", data=np.arange(300.0), chunks=(30,), compression="gzip")
        file.create_dataset("v", data=[f"text {i}" for i in range(40)], dtype=h5py.string_dtype())
    content = path.read_bytes()
    for size in [*range(0, 200, 7), *range(200, len(content), 97)]:
        path.write_bytes(content[:size])
        with Hdf5Store(path) as store:
            assert {damage.kind for damage in store.opening_damage()} & {"truncated", "unreadable"}
            for info in store.datasets():
                rows = read_rows(store, [table(info.path)]) if info.readable else Rows()
                if info.path == "/x":
                    for position, value in zip(rows.positions, at(rows, "/x"), strict=True):
                        assert value == position
                elif info.path == "/v":
                    for position, value in zip(rows.positions, at(rows, "/v"), strict=True):
                        assert bytes(value) == b"text %d" % position


def test_flipped_bytes_never_raise(tmp_path: Path) -> None:
    path = tmp_path / "flip.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("x", data=np.arange(30.0), chunks=(10,), compression="gzip")
        file["g/y"] = np.arange(30)
    content = path.read_bytes()
    for place in range(0, min(len(content), 1400), 3):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with Hdf5Store(path) as store:
            store.opening_damage()
            for info in store.datasets():
                if info.readable and info.shape is not None and np.prod(info.shape) < 1e6:
                    read_rows(store, [table(info.path)])


def test_a_file_that_hdf5_refuses_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300))
    with Hdf5Store(tmp_path / "bad.h5") as store:
        (damage,) = store.opening_damage()
        assert damage.kind == "unreadable"
        assert damage.reason.startswith("HDF5 can't open the file: ")
        assert (store.datasets(), store.partitions()) == ([], [])


def test_a_damaged_heap_costs_its_strings_and_does_not_hang(tmp_path: Path) -> None:
    values = [bytes([65 + i % 20]) * (200 + i) for i in range(400)]
    with h5py.File(tmp_path / "heap.h5", "w") as file:
        dataset = file.create_dataset("v", (400,), h5py.vlen_dtype(np.uint8))
        for row, value in enumerate(values):
            dataset[row] = np.frombuffer(value, np.uint8)
    content = bytearray((tmp_path / "heap.h5").read_bytes())
    middle = content.find(b"GCOL", len(content) // 2)
    content[middle + 1024 : middle + 1536] = bytes(512)
    (tmp_path / "heap.h5").write_bytes(content)
    with Hdf5Store(tmp_path / "heap.h5") as store:
        rows = read_rows(store, [table("/v")])
    assert 0 < 400 - len(rows.positions) < 80
    assert sum(damage.records_lost or 0 for damage in rows.damages) == 400 - len(rows.positions)
    assert all("heap collection" in damage.reason and damage.offset == middle for damage in rows.damages)
    wrong = [row for row, value in zip(rows.positions, rows.values("/v"), strict=True) if value != values[row]]
    assert len(wrong) <= 2  # bytes inside of a string are not protected by anything


# ---- a mark left by a writer ----


def test_a_file_marked_as_open_is_read_and_named(tmp_path: Path) -> None:
    script = (
        "import h5py, numpy as np, os, sys\n"
        "file = h5py.File(sys.argv[1], 'w', libver='latest')\n"
        "file['x'] = np.arange(20)\n"
        "file.swmr_mode = True\n"
        "file.flush()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "w.h5")], check=True)
    with untouched(tmp_path), Hdf5Store(tmp_path / "w.h5") as store:
        assert [damage.kind for damage in store.opening_damage()] == ["in-use"]
        assert "h5clear" in store.opening_damage()[0].reason
        assert read_rows(store, [table("/x")]).array("/x").tolist() == list(range(20))


def test_reading_ends_with_the_extent(pair: Path) -> None:
    with Hdf5Store(pair) as store:
        for partition in store.partitions(TABLES):
            assert ends_well(store, partition)


def ends_well(store: Store, partition: Partition) -> bool:
    *parts, last = store.read(partition)
    start, stop = partition.token
    return last == Extent(stop - start) and not any(isinstance(part, Extent) for part in parts)


def test_a_zeroed_sector_anywhere_never_crashes_or_hangs(tmp_path: Path) -> None:
    """The library dies of some damaged chunk indexes, and loops for ever on some damaged heaps."""
    path = tmp_path / "sector.h5"
    texts = [f"{row} " * (row + 1) for row in range(60)]
    with h5py.File(path, "w", libver="earliest") as file:
        # A chunk that lies within one sector becomes zeros with a sum of zero, which fits.
        file.create_dataset("sum", data=np.arange(900.0), chunks=(100,), fletcher32=True)
        file.create_dataset("zip", data=np.arange(200.0), chunks=(20,), compression="gzip")
        file.create_dataset("text", data=texts, dtype=h5py.string_dtype())
    content = path.read_bytes()
    for sector in range(0, len(content), 512):
        path.write_bytes(content[:sector] + bytes(min(512, len(content) - sector)) + content[sector + 512 :])
        with Hdf5Store(path) as store:
            store.opening_damage()
            for info in store.datasets():
                rows = read_rows(store, [table(info.path)]) if info.readable else Rows()
                lost = sum(damage.records_lost or 0 for damage in rows.damages)
                assert len(rows.positions) + lost == rows.extent
                if info.path in ("/sum", "/zip"):
                    assert at_their_rows(rows, info.path)


def at_their_rows(rows: Rows, path: str) -> bool:
    return all(value == row for row, value in zip(rows.positions, at(rows, path), strict=True))
