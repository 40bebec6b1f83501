"""Faults of LMDB files, made in files that LMDB wrote."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from tests.in_process import InProcess
from tests.test_faults.datums import Records, key, raw_records
from tests.test_faults.faults import Made, cut, flip, put, registry

LMDB_FAULTS, fault = registry()

PAGE, HEADER = 4096, 16
BRANCH, LEAF, OVERFLOW = 1, 2, 4
COUNT = 400
SMALL, LARGE = 8, 32
"""Sides of the records: small ones lie in their leaf, large ones in an overflow page of their own."""


@dataclass
class File:
    """A data file of the first format, and a walk over its pages that knows of no damage."""

    path: Path
    content: bytes

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from("<" + layout, self.content, offset)

    @property
    def newest(self) -> int:
        """The slot of the newest meta page."""
        return max((0, 1), key=lambda slot: self.unpack("Q", slot * PAGE + HEADER + 128)[0])

    @property
    def root(self) -> int:
        return self.unpack("Q", self.newest * PAGE + HEADER + 112)[0]

    def nodes(self, page: int) -> list[int]:
        """Offsets of a page's nodes."""
        start = page * PAGE
        count = (self.unpack("H", start + 12)[0] - HEADER) // 2
        return [start + pointer for pointer in self.unpack(f"{count}H", start + HEADER)]

    def children(self, page: int) -> list[int]:
        """Pages that a branch leads to."""
        return [self.unpack("I", node)[0] for node in self.nodes(page)]

    def kind(self, page: int) -> int:
        return self.unpack("H", page * PAGE + 10)[0]

    def leaves(self, page: int | None = None) -> list[int]:
        """Leaf pages in key order."""
        page = self.root if page is None else page
        if self.kind(page) & LEAF:
            return [page]
        return [leaf for child in self.children(page) for leaf in self.leaves(child)]

    def keys(self, leaf: int) -> list[bytes]:
        return [self.content[n + 8 : n + 8 + self.unpack("H", n + 6)[0]] for n in self.nodes(leaf)]

    def extent(self, node: int) -> int:
        """The overflow page of a record."""
        flags, key_size = self.unpack("HH", node + 4)
        assert flags & 1
        return self.unpack("Q", node + 8 + key_size)[0]

    def records(self) -> dict[bytes, int]:
        """The node of each key, in key order."""
        return {
            name: node for leaf in self.leaves() for name, node in zip(self.keys(leaf), self.nodes(leaf), strict=True)
        }


def written(folder: Path, side: int = SMALL, commits: int = 1, count: int = COUNT, lib_version: int = 0) -> File:
    """An environment of so many records without its lock file, as it is copied from machine to machine."""
    path = folder / "train_lmdb"
    fill(path, raw_records(count, side), commits, lib_version)
    return File(path / "data.mdb", (path / "data.mdb").read_bytes())


def fill(path: Path, records: Records, commits: int = 1, lib_version: int = 0) -> None:
    pairs = list(records.items())
    with lmdb.open(str(path), map_size=1 << 27, sync=False, lib_version=lib_version) as environment:
        for number in range(commits):
            with environment.begin(write=True) as transaction:
                for name, value in pairs[number::commits]:
                    transaction.put(name, value)
    (path / "lock.mdb").unlink()


def whole(file: File, count: int = COUNT) -> Made:
    """Nothing is lost."""
    return Made(file.path.parent, count, count)


# ---- the file as a whole ----


@fault(1, "`data.mdb` of 0 bytes", "store-unreadable", "0 bytes")
def lmdb_empty_file(folder: Path) -> Made:
    path = folder / "train_lmdb"
    path.mkdir()
    (path / "data.mdb").write_bytes(b"")
    return Made(path, 0, 0)


@fault(2, "`data.mdb` of 64 KiB of noise", "store-unreadable", "neither meta page is usable")
def lmdb_garbage(folder: Path) -> Made:
    path = folder / "train_lmdb"
    path.mkdir()
    (path / "data.mdb").write_bytes(np.random.default_rng(1).bytes(1 << 16))
    return Made(path, 0, 0)


def cut_at(file: File, pages: int) -> Made:
    """Cut behind some pages; records whose leaf and value lie before the cut can be saved."""
    cut(file.path, pages * PAGE)
    saved = sum(
        leaf < pages and (not file.unpack("H", node + 4)[0] & 1 or file.extent(node) < pages)
        for leaf in file.leaves()
        for node in file.nodes(leaf)
    )
    return Made(file.path.parent, COUNT, saved, {"offset": pages * PAGE})


@fault(3, "cut in half", {"store-truncated": 2, "store-count-mismatch": 1}, "the file ends after", "13 more beside it")
def lmdb_truncated_half(folder: Path) -> Made:
    file = written(folder)
    return cut_at(file, len(file.content) // PAGE // 2)


@fault(
    3, "values in overflow pages, cut in half", {"store-truncated": 6, "store-count-mismatch": 1}, "the file ends after"
)
def lmdb_truncated_values(folder: Path) -> Made:
    file = written(folder, LARGE)
    return cut_at(file, len(file.content) // PAGE // 2)


@fault(3, "cut before the root page", {"store-truncated": 2, "store-count-mismatch": 1}, "the file ends after")
def lmdb_root_lost(folder: Path) -> Made:
    file = written(folder)
    return cut_at(file, file.root)


@fault(4, "the first meta page zeroed", "store-damaged", "meta page 0 is damaged: it is zeroed")
def lmdb_meta0_zeroed(folder: Path) -> Made:
    file = written(folder, commits=3)
    put(file.path, 0, bytes(PAGE))
    return whole(file)


@fault(
    4,
    "the second meta page, which is the newer one, zeroed",
    {"store-damaged": 2},
    "meta page 1 is damaged: it is zeroed",
)
def lmdb_meta1_zeroed(folder: Path) -> Made:
    file = written(folder, commits=3)
    assert file.newest == 1
    put(file.path, PAGE, bytes(PAGE))
    return whole(file)


@fault(5, "one bit of the older meta page's transaction turned over", "store-damaged", "are not consecutive")
def lmdb_meta_stale_txnid(folder: Path) -> Made:
    file = written(folder, commits=3)
    at = (1 - file.newest) * PAGE + HEADER + 128
    put(file.path, at, struct.pack("<Q", file.unpack("Q", at)[0] ^ 1 << 6))
    return whole(file)


@fault(6, "page size 0 in the first meta page", "store-damaged", "meta page 0 is damaged")
def lmdb_psize_zero(folder: Path) -> Made:
    file = written(folder, commits=3)
    put(file.path, HEADER + 24, bytes(4))
    return whole(file)


# ---- pages of the tree ----


@fault(7, "the root page zeroed", "store-damaged", "zeroed")
def lmdb_root_zeroed(folder: Path) -> Made:
    file = written(folder)
    assert file.kind(file.root) == BRANCH
    put(file.path, file.root * PAGE, bytes(PAGE))
    return whole(file)


def without_leaf(file: File, leaf: int) -> Made:
    keys = file.keys(leaf)
    first = list(file.records()).index(keys[0])
    before, after = key(first - 1), key(first + len(keys))
    return Made(
        file.path.parent,
        COUNT,
        COUNT - len(keys),
        {"index": first, "offset": leaf * PAGE},
        {"page": leaf, "key_before": before.decode(), "key_after": after.decode()},
    )


@fault(
    8,
    "a leaf page zeroed",
    {"store-damaged": 1, "store-count-mismatch": 1},
    "zeroed; between keys 00000111_photo_111.png and 00000128_photo_128.png",
)
def lmdb_leaf_zeroed(folder: Path) -> Made:
    file = written(folder)
    leaf = file.leaves()[7]
    put(file.path, leaf * PAGE, bytes(PAGE))
    return without_leaf(file, leaf)


@fault(8, "a leaf page of noise", {"store-damaged": 1, "store-count-mismatch": 1})
def lmdb_leaf_garbage(folder: Path) -> Made:
    file = written(folder)
    leaf = file.leaves()[7]
    put(file.path, leaf * PAGE, np.random.default_rng(3).bytes(PAGE))
    return without_leaf(file, leaf)


@fault(9, "one bit of a record's pointer in its leaf turned over", "store-damaged")
def lmdb_leaf_pointer_flip(folder: Path) -> Made:
    file = written(folder)
    leaf = file.leaves()[7]
    at = leaf * PAGE + HEADER + 2 * 3
    put(file.path, at, struct.pack("<H", file.unpack("H", at)[0] ^ 1 << 4))
    return Made(file.path.parent, COUNT, COUNT - 1, {"index": list(file.records()).index(file.keys(leaf)[3])})


@fault(10, "a branch that leads back to the root", "store-damaged")
def lmdb_branch_cycle(folder: Path) -> Made:
    file = written(folder)
    put(file.path, file.nodes(file.root)[4], struct.pack("<I", file.root))
    return whole(file)


@fault(
    10,
    "two branch entries that lead to one leaf",
    {"store-damaged": 2},
    "a second time",
    "a pointer to a page of records is damaged",
)
def lmdb_shared_leaf(folder: Path) -> Made:
    file = written(folder)
    put(file.path, file.nodes(file.root)[4], struct.pack("<I", file.children(file.root)[9]))
    return whole(file)


@fault(11, "a record's size set to 2 GiB", "store-truncated", "lie beyond the end of the file")
def lmdb_node_size_2gib(folder: Path) -> Made:
    file = written(folder, LARGE)
    put(file.path, file.records()[key(123)] + 2, struct.pack("<H", 0x7FFF))
    return Made(file.path.parent, COUNT, COUNT - 1, {"index": 123, "key": key(123)})


@fault(12, "the header of an overflow page zeroed", "store-damaged", "the header of its overflow page is damaged")
def lmdb_overflow_header_zeroed(folder: Path) -> Made:
    file = written(folder, LARGE)
    extent = file.extent(file.records()[key(123)])
    put(file.path, extent * PAGE, bytes(HEADER))
    return Made(file.path.parent, COUNT, COUNT - 1, {"index": 123, "key": key(123), "offset": extent * PAGE})


@fault(
    12,
    "one byte of raw pixels in an overflow page turned over",
    unseen="LMDB keeps no checksum, and every byte is a valid pixel: only a hash of an earlier scan could tell",
)
def lmdb_overflow_value_flip(folder: Path) -> Made:
    file = written(folder, LARGE)
    flip(file.path, file.extent(file.records()[key(123)]) * PAGE + 1000)
    return whole(file)


@fault(12, "one byte of raw pixels inside a leaf turned over", unseen="as in an overflow page")
def lmdb_leaf_value_flip(folder: Path) -> Made:
    file = written(folder)
    flip(file.path, file.records()[key(123)] + 100)
    return whole(file)


@fault(13, "the free list names a page in use", "store-damaged", "on the free list too")
def lmdb_freelist_names_live_page(folder: Path) -> Made:
    file = written(folder, commits=3)
    free_root = file.unpack("Q", file.newest * PAGE + HEADER + 24 + 40)[0]
    (node, *_) = file.nodes(free_root)
    (pages,) = file.unpack("Q", node + 16)
    assert pages >= 1
    put(file.path, node + 24, struct.pack("<Q", file.leaves()[3]))
    return Made(file.path.parent, COUNT, COUNT, {}, {"page": file.leaves()[3]})


@fault(
    14, "the entries of the newest meta page raised by 50", "store-count-mismatch", "claims 450 records, 400 were found"
)
def lmdb_wrong_entry_count(folder: Path) -> Made:
    file = written(folder)
    put(file.path, file.newest * PAGE + HEADER + 104, struct.pack("<Q", COUNT + 50))
    return Made(file.path.parent, COUNT, COUNT, {}, {"claimed": COUNT + 50}, lost=50)


# ---- valid files that look odd ----


@fault(
    15,
    "another process is in the middle of a transaction",
    remark="the last committed state is read; what commits during a scan do is in `tests/test_changing_sources.py`",
)
def lmdb_writer_active(folder: Path) -> Made:
    file = written(folder)
    path = str(file.path.parent)

    @contextmanager
    def writing() -> Iterator[Mapping[str, Any]]:
        with lmdb.open(path, map_size=1 << 27) as environment:
            transaction = environment.begin(write=True)
            for record in raw_records(2 * COUNT, SMALL).items():
                transaction.put(*record)
            yield {}
            transaction.abort()

    return Made(file.path.parent, COUNT, COUNT, meanwhile=writing)


@fault(
    16,
    "no lock file, folder and file without write permission",
    remark="the folder is the same to the byte and to the nanosecond afterwards",
)
def lmdb_readonly(folder: Path) -> Made:
    file = written(folder)
    file.path.chmod(0o444)
    file.path.parent.chmod(0o555)
    return whole(file)


class _Medium:
    """`os.pread` and `os.preadv` of a file one page of which can't be read."""

    def __init__(self, path: Path, page: int) -> None:
        self.inode = path.stat().st_ino
        self.bad = page * PAGE

    def failing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def read(descriptor: int, target: Any, offset: int, *flags: int) -> Any:
            length = target if isinstance(target, int) else sum(memoryview(part).nbytes for part in target)
            if offset < self.bad + PAGE and offset + length > self.bad and os.fstat(descriptor).st_ino == self.inode:
                raise OSError(errno.EIO, "Input/output error")
            return real(descriptor, target, offset, *flags)

        return read


@fault(
    19,
    "the medium fails for a leaf page",
    {"store-damaged": 1, "store-count-mismatch": 1},
    "the medium could not be read",
    remark="`pread` raises EIO in the process that scans, in place of a failing device",
)
def eio_page(folder: Path) -> Made:
    file = written(folder)
    leaf = file.leaves()[7]
    medium = _Medium(file.path, leaf)

    @contextmanager
    def failing() -> Iterator[Mapping[str, Any]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "pread", medium.failing(os.pread))
            patch.setattr(os, "preadv", medium.failing(os.preadv))
            yield {"crew": InProcess()}

    made = without_leaf(file, leaf)
    return Made(made.path, made.written, made.savable, made.where, made.data, meanwhile=failing)


@fault(17, "written by LMDB 1.0, whose file format is another")
def lmdb_v3_file(folder: Path) -> Made:
    return whole(written(folder, lib_version=1))


@fault(18, "values overwritten by shorter ones, which keep their larger extents")
def lmdb_shrunk_overflow(folder: Path) -> Made:
    path = folder / "train_lmdb"
    with (
        lmdb.open(str(path), map_size=1 << 27, sync=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        for name, value in raw_records(COUNT, LARGE).items():
            transaction.put(name, value + bytes(3 * PAGE))
            transaction.put(name, value)
    file = File(path / "data.mdb", (path / "data.mdb").read_bytes())
    extent = file.extent(file.records()[key(9)])
    assert file.unpack("I", extent * PAGE + 12)[0] > 1, "LMDB gave the pages back"
    return whole(file)
