"""What every store gives: partitions, batches of records or rows, and damage as values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from .columns import BytesColumn
from .remote import RemotePath

BATCH_BYTES = 16 << 20
"""Aimed-at size of a batch's values: so large that Python's calls don't count, and small beside what a worker takes."""

BATCH_RECORDS = 1 << 14
"""Most records in a batch, so that small records do not make a huge one."""

BATCH_ROWS = 1 << 16
"""Most rows in a batch of arrays: what a call costs is shared by more of them than of records."""

PARTITION_BYTES = 64 << 20
"""Aimed-at size of a partition. It never depends on the number of workers: the report must not either."""

_SHARES = 8
"""Towards the end of a table a partition is one part in so many of what is left, or of the usual size at the least."""


def partition_size(left: int, total: int, most: int) -> int:
    """How much of a table of size ``total``, of which so much is ``left``, the next partition takes: about ``most``.

    The last ones are smaller, so that no worker is busy for long while the others have nothing left to do. What fits
    into one partition stays one: it would not earn back the start of a second worker.
    """
    if total <= most:
        return total
    size = min(most, max(left, most) // _SHARES) or 1
    return left if left < size * 3 // 2 else size


DamageKind = Literal["unreadable", "truncated", "damaged", "count-mismatch", "empty", "in-use", "external-reference"]
"""What kind of damage: the rule that reports it is ``store-<kind>``."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What a store could not give back, or says of itself that is not so. A value, never raised.

    Attributes
    ----------
    kind
        The part of the rule's name after ``store-``.
    reason
        One sentence: what is wrong and where, in the format's own terms.
    position
        Record position in the partition where the damage was met; ``None`` for the whole store.
    key, dataset, offset
        Where, as far as it is known: record key, HDF5 dataset path, byte offset in the file.
    records_lost
        Records (or rows) that could not be read because of it; ``None`` if that can't be known. Only what is
        not counted by another damage: the sum over all damages is the report's ``unreadable``.
    data
        Further facts for the JSON report: ``file``, ``page``, ``key_before``, ``key_after`` (text) and the like.
    """

    kind: DamageKind
    reason: str
    position: int | None = None
    key: bytes | None = None
    dataset: str | None = None
    offset: int | None = None
    records_lost: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A sequence of records or rows that are read together.

    A key-value store has one (its database). HDF5 has one for each group of datasets that share their first
    axis; a list file has that for each of its files.

    Attributes
    ----------
    name
        Empty for a key-value store; for HDF5 the dataset's or the group's path; unique within the store.
    columns
        HDF5: the paths of the datasets that belong together; empty for a key-value store.
    file
        The file's path where a store has several (a list file), else ``None``.
    """

    name: str = ""
    columns: tuple[str, ...] = ()
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """A range of one table that a worker can read alone: small and picklable.

    Attributes
    ----------
    ordinal
        Its number in store order; partial reports are merged in this order.
    table
        The table that it is a part of.
    token
        What the store needs to find the range (page numbers, key range, row range): plain picklable values.
    size_bytes
        Estimated bytes to read, for progress.
    """

    ordinal: int
    table: Table
    token: Any
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Consecutive records of a key-value store, in store order.

    ``positions`` is ``(records,)`` int64: each record's position within its partition, from 0 (an unreadable
    record keeps its position, so there can be holes).
    """

    table: Table
    positions: NDArray[np.int64]
    keys: BytesColumn
    values: BytesColumn

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def size_bytes(self) -> int:
        """Bytes of keys and values."""
        return self.keys.size_bytes + self.values.size_bytes

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> RecordBatch:
        """Some of the rows; nothing is copied."""
        return RecordBatch(self.table, self.positions[rows], self.keys.take(rows), self.values.take(rows))


Column = NDArray[Any] | BytesColumn
"""Rows of one HDF5 dataset: an array with rows first, or byte strings (variable-length bytes and text)."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Consecutive rows of HDF5 datasets that share their first axis.

    ``columns`` maps the dataset's path to its rows: an array ``(rows, ...)`` in the dataset's dtype, or a
    `BytesColumn` for variable-length bytes and text (text as UTF-8). ``positions`` as in `RecordBatch`.
    A dataset of this table that has no readable data for these rows is missing from ``columns``.
    """

    table: Table
    positions: NDArray[np.int64]
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def whole(self) -> bool:
        """Whether every column of the table could be read. If not, damage counts these rows as lost."""
        return all(path in self.columns for path in self.table.columns)

    @property
    def size_bytes(self) -> int:
        """Bytes of all columns."""
        return sum(c.size_bytes if isinstance(c, BytesColumn) else c.nbytes for c in self.columns.values())

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> RowBatch:
        """Some of the rows."""
        picked: dict[str, Column] = {
            name: column.take(rows) if isinstance(column, BytesColumn) else column[rows]
            for name, column in self.columns.items()
        }
        return RowBatch(self.table, self.positions[rows], picked)


Batch = RecordBatch | RowBatch


@dataclass(frozen=True, slots=True)
class Extent:
    """Yielded last by `Store.read`: how many record positions the partition spans, readable or not."""

    positions: int


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What an HDF5 dataset says of itself, without reading its data.

    ``kind`` is ``numeric`` (bool, enum and complex apart), ``bool``, ``enum``, ``complex``, ``bytes`` (variable-
    length uint8, opaque), ``text`` (fixed or variable-length strings), ``compound`` or ``other`` (references and
    the like). ``shape`` is ``None`` for an Empty dataset and where asking for it would open other files.
    ``reason`` says why a dataset is not ``readable`` (a missing filter, data outside of the file); it is empty for
    a compound whose fields are all listed beside it, as ``path.field``.
    """

    path: str
    shape: tuple[int, ...] | None
    dtype: str
    kind: str
    itemsize: int
    stored_bytes: int
    chunks: tuple[int, ...] | None = None
    readable: bool = True
    file: str | None = None
    reason: str = ""


class Store(ABC):
    """An opened data set: read-only, a context manager.

    Opening reads the few bytes that identify the store and plans nothing. No method writes, locks or maps a file
    of the source.
    """

    name: ClassVar[str]
    """The store's name in reports: ``lmdb``, ``leveldb`` or ``hdf5``."""

    path: Path | RemotePath

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """Size of the store's files."""

    @property
    def records_claimed(self) -> int | None:
        """Number of records that the store itself claims to hold, if it keeps such a count."""
        return None

    def identity(self) -> dict[str, Any]:
        """What tells the state that is read from any other of the source: plain values by name, cheap to look up.

        Equal in two processes as long as nobody has written to the source.
        """
        return {}

    def pin(self, identity: Mapping[str, Any]) -> None:  # noqa: B027  # a store of a single state has nothing to do
        """Read the state that another instance found (its `identity`), as far as it is still there.

        `closing_damage` compares with that state. Called before anything is read.

        Raises
        ------
        StoreError
            The source is another one now, under the same path.
        """

    @abstractmethod
    def opening_damage(self) -> Sequence[Damage]:
        """What was found wrong with the store as a whole when it was opened (metas, manifest, superblock)."""

    @abstractmethod
    def sample(self, count: int = 16) -> RecordBatch | None:
        """A few records for recognising a layout: the first, the last, some spread between, in store order.

        Every key shorter than the usual, as far as it is met cheaply, belongs to the sample: reserved keys
        (``num-samples``, ``length``, ``__len__``) are short. ``None`` for a store of rows, which is recognised by
        `datasets`. Damage met on the way is ignored here: the scan names it.
        """

    def datasets(self) -> Sequence[DatasetInfo]:
        """The datasets of a store of rows, in file order; empty for a key-value store."""
        return ()

    def attributes(self, path: str, names: Sequence[str]) -> dict[str, Any]:
        """Attributes of a group or dataset of a store of rows: plain numbers and short text, those that are there."""
        return {}

    @abstractmethod
    def partitions(self, tables: Sequence[Table] | None = None, limit: int | None = None) -> list[Partition]:
        """Cut tables into partitions of about `PARTITION_BYTES` (see `partition_size`), in store order.

        ``tables`` is what the layout reads together (key-value stores have one table and ignore it). With
        ``limit`` only the first ``limit`` records of all tables together are covered, exactly.
        """

    @abstractmethod
    def read(self, partition: Partition) -> Iterator[Batch | Damage | Extent]:
        """Read a partition batch by batch, in store order; damage stands where it was met; `Extent` comes last."""

    def read_from(
        self, partition: Partition, start: int, stop: int | None, step: int | None
    ) -> Iterator[Batch | Damage | Extent]:
        """As `read`, where only the positions from ``start`` up to ``stop`` are wanted, ``step`` at a time.

        More may be given; the caller picks. `Extent` spans the whole partition, and may be missing where ``stop`` is
        given. A store whose library can die while it reads overrides this, so that
        it does not touch what is not wanted.
        """
        return self.read(partition)

    @abstractmethod
    def find(self, key: bytes) -> tuple[int | None, memoryview] | None:
        """The position (``None`` where it is not known cheaply) and value of the record with this key."""

    def keys_at(self, partition: Partition, positions: Sequence[int]) -> dict[int, bytes]:
        """The keys of some positions of a partition; unreadable ones are missing. Reads the partition once."""
        wanted = set(positions)
        found: dict[int, bytes] = {}
        for part in self.read(partition):
            if isinstance(part, RecordBatch):
                for row in np.flatnonzero(np.isin(part.positions, positions)).tolist():
                    found[int(part.positions[row])] = bytes(part.keys[row])
                if len(found) == len(wanted):
                    break
        return found

    def closing_damage(self, positions: int) -> Sequence[Damage]:
        """Called once after all partitions were read: counts that do not fit, a store that changed meanwhile.

        ``positions`` is what all partitions span together (`Extent`), lost records among them.
        """
        return ()

    @abstractmethod
    def close(self) -> None:
        """Close the files. Twice does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
