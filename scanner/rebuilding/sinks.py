"""Writers of key-value stores by kind, and the ones that put records into another order on the way."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from ...backends.columns import BytesColumn
from ...backends.lmdb_store import LmdbForm
from ...backends.writing import RecordWriter, writing
from ..layouts.base import RecordLayout

RecordKind = Literal["lmdb", "leveldb", "hdf5"]

BUCKET_BYTES = 128 << 20
"""Records that are put in order in memory."""

MOST_BUCKETS = 256
_IN_MEMORY = 32 << 20
_PUT_BYTES = 16 << 20
_HEAD = struct.Struct("<QIQ")


@dataclass(frozen=True, slots=True)
class Form:
    """What kind of store is written, and how: HDF5 in the type ``stored`` or as float32, in one file or several."""

    kind: RecordKind
    lmdb: LmdbForm = field(default_factory=LmdbForm)
    stored: bool = False
    rows_per_file: int | None = None


def open_writer(
    path: Path, form: Form, database: str | None = None, layout: RecordLayout | None = None
) -> RecordWriter:
    """A writer of a new store; ``database`` is the one that records go to."""
    if form.kind == "leveldb":
        from ...backends.leveldb_writer import LevelDbWriter

        return LevelDbWriter(path)
    if form.kind == "hdf5":
        from .row_sink import RowSink

        assert layout is not None
        return RowSink(path, layout, form.stored, form.rows_per_file)
    from ...backends.lmdb_writer import LmdbWriter

    writer = LmdbWriter(path, form.lmdb)
    if database is not None:
        writer.choose(database)
    return writer


class Ordering:
    """Collects records by their new numbers and gives them in that order: on disk beyond a few megabytes."""

    def __init__(self, folder: Path, count: int, size_bytes: int) -> None:
        self.folder = folder
        self.count = max(count, 1)
        wanted = -(-size_bytes // BUCKET_BYTES)
        self.files: list[IO[bytes]] = [
            SpooledTemporaryFile(_IN_MEMORY if wanted <= 1 else 1 << 16, dir=str(folder))  # noqa: SIM115  # closed when read
            for _ in range(max(min(wanted, MOST_BUCKETS), 1))
        ]

    def add(self, numbers: NDArray[np.int64], keys: BytesColumn, values: BytesColumn) -> None:
        """Take in some records."""
        with writing(self.folder, (OSError,)):
            for number, key, value in zip(numbers.tolist(), keys, values, strict=True):
                file = self.files[number * len(self.files) // self.count]
                file.write(_HEAD.pack(number, len(key), len(value)))
                file.write(key)
                file.write(value)

    def batches(self) -> Iterator[tuple[BytesColumn, BytesColumn]]:
        """All records in their order, bucket by bucket."""
        for file in self.files:
            file.seek(0)
            content = np.frombuffer(file.read(), np.uint8)
            file.close()
            yield from _in_order(content)


def _in_order(content: NDArray[np.uint8]) -> Iterator[tuple[BytesColumn, BytesColumn]]:
    heads, at = [], 0
    while at < len(content):
        number, key_bytes, value_bytes = _HEAD.unpack_from(content.data, at)
        heads.append((number, at + _HEAD.size, key_bytes, value_bytes))
        at += _HEAD.size + key_bytes + value_bytes
    if not heads:
        return
    table = np.array(sorted(heads), np.int64)
    keys = BytesColumn(content, table[:, 1], table[:, 2])
    values = BytesColumn(content, table[:, 1] + table[:, 2], table[:, 3])
    for part in parts(table[:, 3]):
        yield keys.take(part), values.take(part)


def parts(lengths: NDArray[np.int64]) -> Iterator[slice]:
    """Slices of about `_PUT_BYTES`."""
    cuts = np.flatnonzero(np.diff(np.cumsum(lengths) // _PUT_BYTES)) + 1
    edges = [0, *cuts.tolist(), len(lengths)]
    yield from (slice(first, last) for first, last in pairwise(edges) if last > first)
