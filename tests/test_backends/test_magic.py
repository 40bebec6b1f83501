"""Formats are told apart by their first bytes or their folder's listing, written here by their own libraries."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import lmdb
import plyvel
import pytest

from datascan.backends.errors import StoreError, StoreNotFound
from datascan.backends.files import ReadOnlyFile
from datascan.backends.magic import is_hdf5, is_leveldb, is_lmdb

PREDICATES = {"lmdb": is_lmdb, "leveldb": is_leveldb, "hdf5": is_hdf5}


def formats(path: Path) -> set[str]:
    return {name for name, predicate in PREDICATES.items() if predicate(path)}


def write_lmdb(path: Path, *, subdir: bool, lib_version: int) -> None:
    with (
        lmdb.open(str(path), subdir=subdir, lib_version=lib_version) as environment,
        environment.begin(write=True) as txn,
    ):
        txn.put(b"key", b"value")


def write_leveldb(path: Path) -> None:
    with plyvel.DB(str(path), create_if_missing=True) as database:
        database.put(b"key", b"value")


def write_hdf5(path: Path, userblock_size: int = 0) -> None:
    with h5py.File(path, "w", userblock_size=userblock_size) as file:
        file["data"] = [1, 2, 3]


@pytest.mark.parametrize("lib_version", [0, 1])
@pytest.mark.parametrize("subdir", [True, False])
def test_lmdb(tmp_path: Path, subdir: bool, lib_version: int) -> None:
    write_lmdb(tmp_path / "db", subdir=subdir, lib_version=lib_version)
    assert formats(tmp_path / "db") == {"lmdb"}


@pytest.mark.parametrize("lib_version", [0, 1])
def test_lmdb_file_without_its_first_meta_page(tmp_path: Path, lib_version: int) -> None:
    path = tmp_path / "db"
    write_lmdb(path, subdir=False, lib_version=lib_version)
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])
    assert formats(path) == {"lmdb"}


def test_lmdb_folder_whose_file_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"")
    assert formats(tmp_path) == {"lmdb"}


def test_leveldb(tmp_path: Path) -> None:
    write_leveldb(tmp_path / "db")
    assert formats(tmp_path / "db") == {"leveldb"}


def test_leveldb_without_current(tmp_path: Path) -> None:
    write_leveldb(tmp_path / "db")
    (tmp_path / "db" / "CURRENT").unlink()
    assert formats(tmp_path / "db") == {"leveldb"}


@pytest.mark.parametrize("userblock_size", [0, 512, 1024, 4096])
def test_hdf5(tmp_path: Path, userblock_size: int) -> None:
    write_hdf5(tmp_path / "file.h5", userblock_size)
    assert formats(tmp_path / "file.h5") == {"hdf5"}


@pytest.mark.parametrize("content", [b"", b"x", b"\x89HDF", b"\x89PNG\r\n\x1a\n" * 1000, b"CURRENT", bytes(100_000)])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.bin").write_bytes(content)
    assert formats(tmp_path / "data.bin") == set()
    assert formats(tmp_path) == set()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_folder(path: Path) -> None:
    path.mkdir()


def make_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def make_nothing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize("make", [make_fifo, make_socket, make_folder, make_dangling_link, make_nothing])
def test_what_is_no_regular_file_is_no_format_and_does_not_block(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "path")
    assert formats(tmp_path / "path") == set()
    with pytest.raises(StoreError):
        ReadOnlyFile(tmp_path / "path")


def test_devices_are_refused() -> None:
    with pytest.raises(StoreError, match="/dev/zero is not a regular file but a character device"):
        ReadOnlyFile(Path("/dev/zero"))


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="no such file"):
        ReadOnlyFile(tmp_path / "missing")


def test_no_storage_library_is_imported() -> None:
    program = (
        "import sys; import datascan.backends.magic; "
        "print([name for name in ('lmdb', 'plyvel', 'h5py') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
