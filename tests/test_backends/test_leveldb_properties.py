"""Whatever LevelDB's own library writes is read back the same, in the same order, without a word of damage."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import plyvel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datascan.backends.leveldb_store import LevelDbStore
from datascan.scanner.testing.store_contract import read_all, shrink

KEYS = st.one_of(
    st.binary(max_size=4),
    st.sampled_from([b"a", b"a\0", b"a\0\0", b"a\0b", b"", b"\xff", b"\xff\xff"]),
    st.integers(0, 40).map(lambda i: b"%08d_img.jpg" % i),
    st.binary(min_size=100, max_size=300),
)
VALUES = st.one_of(
    st.binary(max_size=30),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 9), st.integers(0, 90_000)),
    st.builds(lambda byte, size: bytes([byte]) * size, st.integers(0, 255), st.integers(0, 90_000)),
)
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, VALUES),
    st.tuples(st.just("put"), KEYS, VALUES),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("batch"), st.lists(st.tuples(KEYS, st.one_of(st.none(), VALUES)), max_size=8)),
    st.tuples(st.just("compact")),
    st.tuples(st.just("reopen")),
)
OPTIONS = st.fixed_dictionaries(
    {
        "compression": st.sampled_from([None, "snappy"]),
        "write_buffer_size": st.sampled_from([64 << 10, 4 << 20]),
        "block_size": st.sampled_from([200, 4096, 65536]),
        "block_restart_interval": st.sampled_from([1, 3, 16]),
        "max_file_size": st.sampled_from([1 << 20, 2 << 20]),
        "bloom_filter_bits": st.sampled_from([0, 10]),
    }
)


def apply(path: Path, options: dict[str, Any], steps: list[tuple[Any, ...]]) -> list[tuple[bytes, bytes]]:
    """Write a database and give its records as LevelDB reads them, before the last closing."""
    db = plyvel.DB(str(path), create_if_missing=True, **options)
    for name, *arguments in steps:
        if name == "put":
            db.put(*arguments)
        elif name == "delete":
            db.delete(*arguments)
        elif name == "batch":
            with db.write_batch() as batch:
                for key, value in arguments[0]:
                    if value is None:
                        batch.delete(key)
                    else:
                        batch.put(key, value)
        elif name == "compact":
            db.compact_range()
        else:
            db.close()
            db = plyvel.DB(str(path), **options)
    records = list(db)
    db.close()
    return records


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(options=OPTIONS, steps=st.lists(STEPS, max_size=25))
def test_reads_what_leveldb_reads(options: dict[str, Any], steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db"
        records = apply(path, options, steps)
        with LevelDbStore(path) as store:
            scan = read_all(store)
            assert scan.records == records
            assert scan.damages == []
            assert scan.positions == list(range(len(records)))
            for key, value in records[::7]:
                found = store.find(key)
                assert found is not None
                assert bytes(found[1]) == value


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[bytes, bytes]]]:
    """Four rounds of overwriting and deleting over several levels, many tables and the log."""
    path = tmp_path_factory.mktemp("layered") / "db"
    rng = random.Random(5)
    with plyvel.DB(str(path), create_if_missing=True, write_buffer_size=100_000, max_file_size=1 << 20) as db:
        for turn in range(4):
            keys = [b"%06d" % i for i in range(turn, 3000, turn + 1)]
            rng.shuffle(keys)
            for key in keys:
                if rng.random() < 0.2:
                    db.delete(key)
                else:
                    db.put(key, rng.randbytes(rng.randrange(1000)))
            if turn == 1:
                db.compact_range()
        return path, list(db)


@pytest.mark.parametrize(("partition_bytes", "batch_bytes"), [(20_000, 5_000), (300_000, 1_000), (64 << 20, 4 << 20)])
def test_levels_and_logs_are_merged_in_any_portions(
    layered: tuple[Path, list[tuple[bytes, bytes]]],
    monkeypatch: pytest.MonkeyPatch,
    partition_bytes: int,
    batch_bytes: int,
) -> None:
    path, records = layered
    shrink(monkeypatch, partition_bytes, batch_bytes)
    with LevelDbStore(path) as store:
        scan = read_all(store)
        assert (len(store.partitions()) > 1) == (partition_bytes < 1 << 20)
    assert scan.records == records
    assert scan.damages == []


def test_a_database_that_is_being_written_is_read_up_to_its_last_write(tmp_path: Path) -> None:
    db = plyvel.DB(str(tmp_path / "db"), create_if_missing=True)
    for i in range(500):
        db.put(b"%04d" % i, b"v" * i)
    with LevelDbStore(tmp_path / "db") as store:  # the writer holds LOCK
        scan = read_all(store)
        assert scan.records == list(db)
        assert scan.damages == []
        partitions = store.partitions()
        db.put(b"later", b"x")
        assert [damage.kind for damage in store.closing_damage(500)] == ["in-use"]
        assert len(read_all(store, partitions).records) == 500
    db.close()


def test_tables_under_their_old_ending(tmp_path: Path) -> None:
    records = apply(tmp_path / "db", {}, [("put", b"%d" % i, b"value") for i in range(100)] + [("compact",)])
    for table in (tmp_path / "db").glob("*.ldb"):
        table.rename(table.with_suffix(".sst"))
    with LevelDbStore(tmp_path / "db") as store:
        scan = read_all(store)
    assert scan.records == records
    assert scan.damages == []


def test_leftovers_are_no_damage(tmp_path: Path) -> None:
    """An obsolete table that was never removed, logs of LevelDB's doings, and files of other people."""
    path = tmp_path / "db"
    apply(path, {"compression": None}, [("put", b"%d" % i, b"old" * i) for i in range(100)] + [("compact",)])
    (old,) = path.glob("*.ldb")
    shutil.copy(old, tmp_path / old.name)
    steps = [("put", b"%d" % i, b"new" * i) for i in range(100)] + [("delete", b"7"), ("compact",), ("reopen",)]
    records = apply(path, {}, steps)
    shutil.copy(tmp_path / old.name, path / old.name)
    (path / "LOG.old").write_text("something")
    (path / "README.txt").write_text("something")
    (path / "000099.dbtmp").write_bytes(b"")
    with LevelDbStore(path) as store:
        scan = read_all(store)
    assert scan.records == records
    assert scan.damages == []


def test_a_foreign_order_of_keys(tmp_path: Path) -> None:
    """With a comparator of its own a database has its own order; its records are read all the same."""

    def backwards(left: bytes, right: bytes) -> int:
        return (left < right) - (left > right)

    path = tmp_path / "db"
    options = {"comparator": backwards, "comparator_name": b"backwards"}
    steps = [("put", b"%03d" % i, b"v" * i) for i in range(300)] + [("compact",)]
    records = apply(path, options, steps)
    with LevelDbStore(path) as store:
        scan = read_all(store)
        assert scan.records == records
        assert [damage.kind for damage in scan.damages] == ["damaged"]
        assert "backwards" in scan.damages[0].reason
        found = store.find(b"017")
        assert found is not None
        assert bytes(found[1]) == b"v" * 17
