"""Stores to rebuild, written by the formats' own libraries, with faults planted where it is known; and how to read
what became of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import plyvel
from tests.test_images.pictures import encoded, photo
from tests.test_layouts.messages import Datum

Records = dict[bytes, bytes]


def datum(seed: int, side: int = 4, label: int | None = None, **fields: Any) -> bytes:
    """A raw Datum of noise, different for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, 3 * side * side, np.uint8).tobytes()
    given = {
        "channels": 3,
        "height": side,
        "width": side,
        "data": pixels,
        "label": seed % 3 if label is None else label,
    }
    return bytes(Datum(**{**given, **fields}).SerializeToString())


def datums(count: int, side: int = 4) -> Records:
    return {b"%08d_%d.png" % (i, i): datum(i, side) for i in range(count)}


def pictures(count: int, side: int = 32) -> Records:
    """Encoded JPEG Datums."""
    return {
        b"%08d_%d.jpg" % (i, i): Datum(
            data=encoded(photo(side, side, seed=i), quality=90), label=i % 3, encoded=True
        ).SerializeToString()
        for i in range(count)
    }


FAULTS: Mapping[str, bytes] = {
    "record-size-mismatch": datum(901, data=b"short"),
    "record-empty": datum(902, data=b""),
    "record-undecodable": datum(903)[:20],
    "value-nan": Datum(channels=3, height=4, width=4, float_data=[np.nan] * 48, label=1).SerializeToString(),
    "label-negative": datum(905, label=-7),
    "label-out-of-range": datum(906, label=50),
    "record-shape-mismatch": datum(907, side=6),
    "image-truncated": Datum(
        data=encoded(photo(64, 64, seed=9), quality=90)[:-300], label=1, encoded=True
    ).SerializeToString(),
}
"""A broken value for each of these rules."""


def write(kind: str, path: Path, records: Mapping[bytes, bytes]) -> Path:
    """A store of some records."""
    if kind == "leveldb":
        with plyvel.DB(str(path), create_if_missing=True) as database:
            for key, value in records.items():
                database.put(key, value)
    else:
        with lmdb.open(str(path), map_size=1 << 26, lock=False) as env, env.begin(write=True) as txn:
            for key, value in records.items():
                txn.put(key, value)
    return path


def read(kind: str, path: Path) -> Records:
    """All records of a store, in its order, by its own library."""
    if kind == "leveldb":
        with plyvel.DB(str(path)) as database:
            return dict(database.iterator(verify_checksums=True))
    with lmdb.open(str(path), readonly=True, lock=False, subdir=path.is_dir()) as env, env.begin() as txn:
        return {bytes(key): bytes(value) for key, value in txn.cursor()}


def state(path: Path) -> str:
    """Names, bytes, times and permissions of a file or of all that a folder holds."""
    digest = hashlib.sha256()
    for entry in sorted([path, *path.rglob("*")]):
        status = entry.lstat()
        digest.update(f"{entry} {status.st_mode} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}".encode())
        if entry.is_file():
            digest.update(entry.read_bytes())
    return digest.hexdigest()
