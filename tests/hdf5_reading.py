"""Reading an HDF5 store to the end, for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datascan.backends.base import Damage, Extent, RowBatch, Store, Table
from datascan.backends.columns import BytesColumn


@dataclass
class Rows:
    """All that some tables gave; positions count over all partitions."""

    batches: list[RowBatch] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    extent: int = 0

    def values(self, path: str) -> list[bytes]:
        """A column of byte strings."""
        return [bytes(value) for batch in self.batches if path in batch.columns for value in strings(batch, path)]

    def array(self, path: str) -> np.ndarray[Any, Any]:
        """A column of numbers, end to end."""
        parts = [np.asarray(batch.columns[path]) for batch in self.batches if path in batch.columns]
        return np.concatenate(parts) if parts else np.empty(0)


def strings(batch: RowBatch, path: str) -> BytesColumn:
    """A column that holds byte strings."""
    column = batch.columns[path]
    assert isinstance(column, BytesColumn)
    return column


def at(rows: Rows, path: str) -> Iterator[Any]:
    """The values of a column one by one."""
    for batch in rows.batches:
        yield from batch.columns[path]


def read_rows(store: Store, tables: Sequence[Table], limit: int | None = None) -> Rows:
    """Read tables to the end, holding every batch: a reader may not reuse what it has handed out."""
    rows = Rows()
    for partition in store.partitions(tables, limit):
        ended = False
        for part in store.read(partition):
            assert not ended, "something follows the extent"
            if isinstance(part, Extent):
                ended = True
                rows.extent += part.positions
            elif isinstance(part, Damage):
                rows.damages.append(part)
            else:
                assert isinstance(part, RowBatch)
                assert all(len(column) == len(part) > 0 for column in part.columns.values())
                rows.batches.append(part)
                rows.positions += (part.positions + rows.extent).tolist()
        assert ended, "no extent"
    assert rows.positions == sorted(set(rows.positions))
    return rows


@contextmanager
def written(path: Path) -> Iterator[Any]:
    """A new HDF5 file to fill."""
    with h5py.File(path, "w") as file:
        yield file


def flip(path: Path, offset: int) -> None:
    """Turn over all bits of one byte."""
    with path.open("r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ 0xFF]))
