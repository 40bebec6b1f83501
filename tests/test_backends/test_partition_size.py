"""Partitions become smaller towards the end, so that several workers end at about the same time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import lmdb
import numpy as np
import plyvel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datascan.backends import open_store
from datascan.backends.base import partition_size
from datascan.scanner.testing.store_contract import shrink

VALUES = [np.random.default_rng(number).bytes(1000) for number in range(1000)]


def sizes_of(total: int, most: int) -> list[int]:
    sizes, left = [], total
    while left > 0:
        sizes.append(partition_size(left, total, most))
        left -= sizes[-1]
    return sizes


@given(st.integers(1, 10_000), st.integers(1, 1000))
def test_everything_is_covered_in_parts_that_do_not_grow(total: int, most: int) -> None:
    sizes = sizes_of(total, most)
    assert sum(sizes) == total
    assert min(sizes) > 0
    assert max(sizes) <= most
    assert sizes[:-1] == sorted(sizes[:-1], reverse=True)


def test_a_large_table_ends_in_small_parts() -> None:
    sizes = sizes_of(10_000, 64)
    assert sizes[:140] == [64] * 140
    assert len(sizes) < 185
    assert max(sizes[-5:]) < 64 // 8 * 3 // 2


@pytest.mark.parametrize("total", [1, 63, 64])
def test_what_fits_into_one_part_stays_one(total: int) -> None:
    assert sizes_of(total, 64) == [total]


def write_lmdb(path: Path) -> None:
    with lmdb.open(str(path), map_size=1 << 26) as environment, environment.begin(write=True) as transaction:
        for number, value in enumerate(VALUES):
            transaction.put(b"%08d" % number, value)


def write_leveldb(path: Path) -> None:
    with plyvel.DB(str(path), create_if_missing=True, compression=None) as db:
        for number, value in enumerate(VALUES):
            db.put(b"%08d" % number, value)
        db.compact_range()


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.stack([np.frombuffer(value, np.uint8) for value in VALUES])


@pytest.mark.parametrize("write", [write_lmdb, write_leveldb, write_hdf5])
def test_the_last_partitions_of_a_store_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "set")
    shrink(monkeypatch, 128 << 10)
    with open_store(tmp_path / "set") as store:
        sizes = [partition.size_bytes for partition in store.partitions()]
    assert sizes[0] > 100 << 10
    assert max(sizes[-3:]) < 40 << 10
