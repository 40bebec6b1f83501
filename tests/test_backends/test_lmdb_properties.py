"""Whatever py-lmdb writes is read back equal and in order, without any damage."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import Any

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datascan.backends.errors import StoreNotFound
from datascan.backends.lmdb_store import LmdbStore
from datascan.scanner.testing.store_contract import read_all

KEYS = st.one_of(st.binary(min_size=1, max_size=12), st.binary(min_size=200, max_size=500))
VALUES = st.one_of(st.binary(max_size=50), st.integers(0, 9000).map(lambda size: bytes([size % 251]) * size))
CHANGES = st.lists(st.tuples(KEYS, st.one_of(st.none(), VALUES)), max_size=40)
TRANSACTIONS = st.lists(CHANGES, max_size=8)


def opened(path: Path, lib_version: int, **options: Any) -> Any:
    return lmdb.open(str(path), map_size=1 << 28, max_dbs=8, lib_version=lib_version, sync=False, **options)


def check(path: Path, expected: list[tuple[bytes, bytes]], database: str | None = None) -> None:
    with LmdbStore(path, database) as store:
        scan = read_all(store)
        claimed = store.records_claimed
        sample = store.sample()
        found = [store.find(key) for key, _ in expected[:: len(expected) // 5 + 1]]
    assert scan.records == expected
    assert scan.extent == claimed == len(expected)
    assert [damage for damage in scan.damages if damage.kind != "empty"] == []
    assert sample is not None
    drawn = [(bytes(key), bytes(value)) for key, value in zip(sample.keys, sample.values, strict=True)]
    assert drawn[:1] == expected[:1]
    assert set(drawn) <= set(expected)
    assert None not in found


def stored(environment: Any, database: Any = None) -> list[tuple[bytes, bytes]]:
    """What LMDB itself gives back, in its order."""
    with environment.begin(db=database) as transaction:
        return list(transaction.cursor())


@pytest.mark.parametrize("lib_version", [0, 1])
@settings(deadline=None, max_examples=40)
@given(transactions=TRANSACTIONS)
def test_overwrites_deletes_and_reused_pages(
    lib_version: int, transactions: list[list[tuple[bytes, bytes | None]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db"
        environment = opened(path, lib_version)
        for changes in transactions:
            with environment.begin(write=True) as transaction:
                for key, value in changes:
                    if value is None:
                        transaction.delete(key)
                    else:
                        transaction.put(key, value)
        expected = stored(environment)
        environment.close()
        check(path, expected)


@pytest.mark.parametrize("lib_version", [0, 1])
@pytest.mark.parametrize("flags", [{}, {"dupfixed": True}, {"dupfixed": True, "integerdup": True}], ids=str)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_duplicates(lib_version: int, flags: dict[str, bool], data: st.DataObject) -> None:
    values = st.binary(min_size=8, max_size=8) if flags else st.binary(min_size=1, max_size=300)
    pairs = data.draw(st.lists(st.tuples(st.sampled_from([b"a", b"bb", b"c" * 100, b"d"]), values), max_size=300))
    crowd = data.draw(st.integers(0, 2000))
    pairs += [(b"bb", b"%08d" % i) for i in range(crowd)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db"
        environment = opened(path, lib_version)
        database = environment.open_db(b"sets", dupsort=True, **flags)
        for start in range(0, len(pairs), 500):
            with environment.begin(write=True, db=database) as transaction:
                for key, value in pairs[start : start + 500]:
                    transaction.put(key, value)
        with environment.begin(write=True, db=database) as transaction:
            for key, value in pairs[::7]:
                transaction.delete(key, value)
        expected = stored(environment, database)
        environment.close()
        check(path, expected, "sets")


@pytest.mark.parametrize("lib_version", [0, 1])
@settings(deadline=None, max_examples=15)
@given(numbers=st.sets(st.integers(0, 2**64 - 1), max_size=300), keys=st.sets(KEYS, max_size=60))
def test_other_orders_and_several_databases(lib_version: int, numbers: set[int], keys: set[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db"
        environment = opened(path, lib_version)
        by_number = environment.open_db(b"numbers", integerkey=True)
        from_behind = environment.open_db(b"from behind", reverse_key=True)
        with environment.begin(write=True) as transaction:
            for number in numbers:
                transaction.put(struct.pack("=Q", number), b"%d" % number * 20, db=by_number)
            for key in keys:
                transaction.put(key, key * 3, db=from_behind)
                transaction.put(b"x" + key, b"beside the databases")
        expected = [stored(environment, database) for database in (by_number, from_behind)]
        environment.close()
        check(path, expected[0], "numbers")
        check(path, expected[1], "from behind")
        check(path, sorted((b"x" + key, b"beside the databases") for key in keys))


@pytest.mark.parametrize("lib_version", [0, 1])
@settings(deadline=None, max_examples=10)
@given(transactions=TRANSACTIONS)
def test_copies(lib_version: int, transactions: list[list[tuple[bytes, bytes | None]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = opened(Path(folder) / "db", lib_version)
        for changes in transactions:
            with environment.begin(write=True) as transaction:
                for key, value in changes:
                    transaction.put(key, value or b"")
        expected = stored(environment)
        for compact in (True, False):
            target = Path(folder) / f"copy-{compact}"
            target.mkdir()
            environment.copy(str(target), compact=compact)
            check(target, expected)
        environment.close()


@pytest.mark.parametrize("lib_version", [0, 1])
def test_many_transactions_and_appended_keys(tmp_path: Path, lib_version: int) -> None:
    environment = opened(tmp_path / "db", lib_version)
    for start in range(0, 3000, 50):
        with environment.begin(write=True) as transaction:
            for i in range(start, start + 50):
                transaction.put(b"%08d" % i, b"v" * (i * 37 % 5000), append=True)
    for step in (3, 7):
        with environment.begin(write=True) as transaction:
            for i in range(0, 3000, step):
                transaction.delete(b"%08d" % i)
    with environment.begin(write=True) as transaction:
        for i in range(0, 3000, 5):
            transaction.put(b"%08d" % i, b"shorter than before")
    expected = stored(environment)
    environment.close()
    check(tmp_path / "db", expected)


@pytest.mark.parametrize("limit", [1, 5, 700, 2500])
def test_limit_counts_duplicates(tmp_path: Path, limit: int) -> None:
    environment = opened(tmp_path / "db", 0)
    database = environment.open_db(b"sets", dupsort=True)
    with environment.begin(write=True, db=database) as transaction:
        for i in range(3000):
            transaction.put(b"%d" % (i % 7 if i % 2 else i), b"%06d" % i)
    expected = stored(environment, database)
    environment.close()
    with LmdbStore(tmp_path / "db", "sets") as store:
        assert read_all(store, store.partitions(limit=limit)).records == expected[:limit]


def test_named_databases_alone_are_no_records(tmp_path: Path) -> None:
    environment = opened(tmp_path / "db", 0)
    for name in (b"train", b"val"):
        database = environment.open_db(name)
        with environment.begin(write=True, db=database) as transaction:
            transaction.put(b"key", name)
    environment.close()
    with LmdbStore(tmp_path / "db") as store:
        assert read_all(store).records == []
        (damage,) = store.opening_damage()
        assert damage.kind == "empty"
        assert "train, val" in damage.reason
        assert "--database" in damage.reason
        assert store.records_claimed == 0
    check(tmp_path / "db", [(b"key", b"val")], "val")
    with pytest.raises(StoreNotFound, match=r"'test'.*train, val"):
        LmdbStore(tmp_path / "db", "test")
