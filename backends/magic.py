"""Which format is a path? By its first bytes or its folder's listing; no storage library is imported.

Each predicate is total: a path that does not exist or can't be read is none of the formats.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import StoreError

_LMDB_MAGIC = 0xBEEFC0DE
_LMDB_PAGE_SIZES = tuple(1 << power for power in range(9, 17))
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LEVELDB_FILE = re.compile(r"(MANIFEST-\d+|\d{6,}\.(ldb|sst|log))\Z")


def is_lmdb(path: Path) -> bool:
    """A folder with ``data.mdb``, or a file with a meta page of LMDB (of any word size and byte order)."""
    if os.path.isdir(path):
        return os.path.isfile(path / "data.mdb")
    # Where the first meta page is lost the second one still tells: it begins at a multiple of the page size.
    return any(_lmdb_magic(_read(path, offset, 32)) for offset in (0, *_LMDB_PAGE_SIZES))


def is_lmdb_head(head: bytes) -> bool:
    """As `is_lmdb` for a file of which the first 128 KiB are given."""
    return any(_lmdb_magic(head[offset : offset + 32]) for offset in (0, *_LMDB_PAGE_SIZES))


def is_leveldb(path: Path) -> bool:
    """A folder with CURRENT, or with the manifest, tables or logs that CURRENT would lead to."""
    try:
        with os.scandir(path) as entries:
            names = {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return False
    return is_leveldb_listing(names)


def is_leveldb_listing(names: set[str]) -> bool:
    """As `is_leveldb` for the names of a folder's files."""
    return "data.mdb" not in names and ("CURRENT" in names or any(map(_LEVELDB_FILE.match, names)))


def is_hdf5(path: Path) -> bool:
    """A file with HDF5's signature at 0, 512, 1024 and so on (a user block may come first).

    HDF5 File Format Specification 3.0, II.A.
    """
    size = os.path.getsize(path) if os.path.isfile(path) else 0
    offset = 0
    while offset + len(_HDF5_SIGNATURE) <= size:
        if _read(path, offset, len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE:
            return True
        offset = max(512, offset * 2)
    return False


def _lmdb_magic(page: bytes) -> bool:
    """The magic number follows the page header: 12 or 16 bytes on 32-bit machines, 16 or 24 on 64-bit ones."""
    for order in ("little", "big"):
        for header, versions in ((12, (1,)), (16, (1, 3)), (24, (3,))):
            words = page[header : header + 8]
            if (
                len(words) == 8
                and int.from_bytes(words[:4], order) == _LMDB_MAGIC
                and int.from_bytes(words[4:], order) in versions
            ):
                return True
    return False


def _read(path: Path, offset: int, length: int) -> bytes:
    from .files import ReadOnlyFile  # loads numpy, which nobody who only asks for a help text should wait for

    try:
        file = ReadOnlyFile(path)
    except StoreError:
        return b""
    try:
        return file.read(offset, length)
    except OSError:
        return b""
    finally:
        file.close()
