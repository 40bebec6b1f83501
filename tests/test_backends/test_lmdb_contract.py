"""LMDB keeps the contract of every key-value store, in both file formats, as a folder and as a single file."""

from __future__ import annotations

from pathlib import Path

import lmdb

from datascan.backends.lmdb_store import LmdbStore
from datascan.scanner.testing.store_contract import Records, StoreContract


class TestLmdb09(StoreContract):
    lib_version = 0
    subdir = True

    def write(self, path: Path, records: Records) -> None:
        size = 4 * sum(len(key) + len(value) + 4096 for key, value in records.items()) + (1 << 20)
        environment = lmdb.open(str(path), map_size=size, subdir=self.subdir, lib_version=self.lib_version, sync=False)
        with environment, environment.begin(write=True) as transaction:
            for key, value in records.items():
                transaction.put(key, value)

    def open(self, path: Path) -> LmdbStore:
        return LmdbStore(path)


class TestLmdb10(TestLmdb09):
    lib_version = 1


class TestLmdbSingleFile(TestLmdb09):
    subdir = False
