"""LevelDB keeps what every key-value store promises, wherever in it the records stand."""

from __future__ import annotations

from pathlib import Path

import plyvel

from datascan.backends.leveldb_store import LevelDbStore
from datascan.scanner.testing.store_contract import Records, StoreContract


class TestLog(StoreContract):
    """All records in one write batch, in the write-ahead log: what Caffe's converter leaves."""

    def write(self, path: Path, records: Records) -> None:
        with plyvel.DB(str(path), create_if_missing=True, write_buffer_size=256 << 20) as db, db.write_batch() as batch:
            for key, value in records.items():
                batch.put(key, value)

    def open(self, path: Path) -> LevelDbStore:
        return LevelDbStore(path)


class TestTables(TestLog):
    """All records in tables of one level."""

    def write(self, path: Path, records: Records) -> None:
        with plyvel.DB(str(path), create_if_missing=True, max_file_size=1 << 20) as db:
            with db.write_batch() as batch:
                for key, value in records.items():
                    batch.put(key, value)
            db.compact_range()


class TestLevelsAndLogs(TestLog):
    """Records, among them overwritten and deleted ones, over several levels and the log."""

    def write(self, path: Path, records: Records) -> None:
        with plyvel.DB(
            str(path), create_if_missing=True, write_buffer_size=64 << 10, block_size=2000, compression=None
        ) as db:
            for key in list(records)[::2]:
                db.put(key, b"first version of it " * 20)
                db.put(key + b" deleted", b"x" * 50)
            db.compact_range()
            for key in list(records)[::2]:
                db.delete(key + b" deleted")
            for key, value in records.items():
                db.put(key, value)
