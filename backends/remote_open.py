"""Which format is at an address, and the store for it."""

from __future__ import annotations

from .base import Store
from .errors import StoreNotFound, UnknownFormat, UsageError
from .hdf5_superblock import read_superblock
from .magic import is_leveldb_listing, is_lmdb_head
from .remote import RemoteFile, RemotePath


def open_remote(url: str, backend: str | None, database: str | None, follow_external: bool) -> Store:
    """Open the data set at an address, in ranges. Raises as `open_store`."""
    path = RemotePath(url)
    kind, path = (backend, path) if backend is not None else recognised(path)
    if database is not None and kind != "lmdb":
        raise UsageError(f"{url}: {kind} has no named databases; leave out --database")
    if kind == "lmdb":
        from .lmdb_store import LmdbStore

        return LmdbStore(path, database)
    if kind == "leveldb":
        from .leveldb_store import LevelDbStore

        return LevelDbStore(path)
    if kind != "hdf5":
        raise UsageError(f"{url}: the backend {kind} reads no addresses; copy the data set, or give --cache-dir")
    if follow_external:
        raise UsageError(f"{url}: --follow-external is about files around a file; copy the data set for it")
    from .hdf5_store import Hdf5Store

    return Hdf5Store(path)


def recognised(path: RemotePath) -> tuple[str, RemotePath]:
    """The format of an address: by its listing where it is a folder, else by its first bytes.

    Raises
    ------
    StoreNotFound
        There is nothing.
    UnknownFormat
        It is none of the formats.
    """
    if path.is_dir():
        names = {name for name, _ in path.listing()}
        if "data.mdb" in names:
            return "lmdb", path
        if is_leveldb_listing(names):
            return "leveldb", path
        raise UnknownFormat(f"{path}: no data.mdb (LMDB) and no CURRENT (LevelDB) below this address")
    inside = path / "data.mdb"
    if "." not in path.name and _exists(inside):  # a server that does not list its folders, or shows a page for them
        return "lmdb", inside
    found = _by_first_bytes(path)
    if found is None:
        raise UnknownFormat(f"{path}: not a format that datascan reads; expected LMDB, LevelDB or HDF5")
    return found, path


def _exists(path: RemotePath) -> bool:
    try:
        path.info()
    except StoreNotFound:
        return False
    return True


def _by_first_bytes(path: RemotePath) -> str | None:
    file = RemoteFile(path)
    try:
        if is_lmdb_head(file.read(0, 1 << 17)):
            return "lmdb"
        return "hdf5" if read_superblock(file) is not None else None
    finally:
        file.close()
