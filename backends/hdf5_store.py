"""HDF5 files: every dataset of any depth, rows in batches, nothing locked, followed or loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from .base import Batch, Damage, DatasetInfo, Extent, Partition, RecordBatch, Store, Table
from .errors import StoreError, StoreNotFound
from .hdf5_attributes import attributes_of
from .hdf5_catalog import Catalog, read_catalog
from .hdf5_file import open_file
from .hdf5_library import LIBRARY_ERRORS, one_line
from .hdf5_outside import NotFollowed, Surroundings
from .hdf5_plan import DamageRuns, Readers, batch_stop, cut_rows, row_batch, segments, small_table, table_rows
from .hdf5_readers import ColumnReader, FixedReader, LostReader, make_reader
from .hdf5_sources import open_dataset
from .remote import RemotePath, current_identity


class Hdf5Store(Store):
    """One HDF5 file.

    With ``follow_external``, external links, raw data in other files and virtual datasets are read as far as they
    lead to regular files in the folder tree around the file; else they are named and nothing else.

    A partition's token is its range of rows ``(start, stop)``. A table's columns are read together; rows of
    which a column can't be read are given without it, and the damage names them.

    Raises
    ------
    StoreNotFound
        No such file, no permission, or not a regular file. Damage never raises.
    """

    name: ClassVar[str] = "hdf5"

    def __init__(self, path: str | Path | RemotePath, follow_external: bool = False) -> None:
        self.path = Path(path) if isinstance(path, str) else path
        self._opened = open_file(self.path)
        self._surroundings = Surroundings(self._opened) if follow_external else None
        # Size and time as they were when the file was opened: what was planned then is what it was then.
        seen = {"size_bytes": self._opened.size_bytes, "modified_ns": self._opened.modified_ns}
        self._identity = self._opened.data.identity() | seen
        self._catalog: Catalog | None = None
        self._current: tuple[Table, Readers] | None = None

    @property
    def size_bytes(self) -> int:
        """See `Store.size_bytes`."""
        return self._opened.size_bytes

    def identity(self) -> dict[str, Any]:
        """See `Store.identity`."""
        return dict(self._identity)

    def pin(self, identity: Mapping[str, Any]) -> None:
        """See `Store.pin`. What was written over can't be read any more; `closing_damage` says so."""
        if self._identity["inode"] != identity["inode"]:
            raise StoreError(f"{self.path}: another file has taken this place while the data set was read")
        self._identity = dict(identity)

    @property
    def catalog(self) -> Catalog:
        """The file's datasets and broken links, listed when they are first asked for."""
        if self._catalog is None:
            self._catalog = Catalog()
            if self._opened.file is not None:
                try:
                    self._catalog = read_catalog(self._opened, self._surroundings)
                except LIBRARY_ERRORS as exc:
                    reason = f"HDF5 can't read the file's root group: {one_line(exc)}"
                    self._catalog.damages.append(Damage("unreadable", reason))
        self._opened.data.check()
        return self._catalog

    def opening_damage(self) -> Sequence[Damage]:
        """See `Store.opening_damage`."""
        return [*self._opened.damages, *self.catalog.damages]

    def sample(self, count: int = 16) -> RecordBatch | None:
        """See `Store.sample`; a store of rows has none."""
        return None

    def datasets(self) -> Sequence[DatasetInfo]:
        """See `Store.datasets`."""
        return self.catalog.datasets

    def attributes(self, path: str, names: Sequence[str]) -> dict[str, Any]:
        """See `Store.attributes`."""
        return {} if self._opened.file is None else attributes_of(self._opened.file.id, path, names)

    def partitions(self, tables: Sequence[Table] | None = None, limit: int | None = None) -> list[Partition]:
        """See `Store.partitions`; without ``tables`` each readable dataset is one."""
        if tables is None:
            tables = [
                Table(info.path, (info.path,)) for info in self.datasets() if info.readable and info.shape is not None
            ]
        partitions: list[Partition] = []
        left = limit
        for table in tables:
            if left is None and (small := small_table(table, self.catalog)) is not None:
                partitions.append(Partition(len(partitions), table, (0, small[0]), small[1]))
                continue
            readers = self._table_readers(table)
            rows = table_rows(readers) if left is None else min(table_rows(readers), left)
            for start, stop, size_bytes in cut_rows(readers, rows):
                partitions.append(Partition(len(partitions), table, (start, stop), size_bytes))
            left = None if left is None else left - rows
        return partitions

    def read(self, partition: Partition) -> Iterator[Batch | Damage | Extent]:
        """See `Store.read`."""
        return self.read_from(partition, 0, None, None)

    def read_from(
        self, partition: Partition, start: int, stop: int | None, step: int | None
    ) -> Iterator[Batch | Damage | Extent]:
        """See `Store.read_from`: no other rows are touched, but for those that are stored together with them."""
        origin, last = partition.token
        end = last if stop is None else min(last, origin + stop)
        row = origin + start
        readers = self._table_readers(partition.table) if row < end else {}
        runs = DamageRuns(table_rows(readers), origin)
        while row < end:
            lost = {name: loss for name, reader in readers.items() if (loss := reader.losses.at(row))}
            self._opened.data.check()
            if len(lost) == len(readers):
                behind = min(end, *(loss.stop for loss in lost.values()))
                yield from runs.take(row, behind, lost)
            else:
                behind = batch_stop(readers, row, end if step is None else min(end, row + step))
                for low, high, columns, losses in segments(readers, row, behind):
                    self._opened.data.check()
                    yield from runs.take(low, high, losses)
                    if columns:
                        yield row_batch(partition.table, origin, low, high, columns)
            row = behind
        yield from runs.rest()
        yield Extent(last - origin)

    def find(self, key: bytes) -> tuple[int | None, memoryview] | None:
        """See `Store.find`; rows have no keys."""
        return None

    def closing_damage(self, positions: int) -> Sequence[Damage]:
        """See `Store.closing_damage`."""
        try:
            now = current_identity(self.path)
        except (OSError, StoreNotFound):
            return [Damage("in-use", "the file was removed while it was read")]
        if now != self._identity:
            return [Damage("in-use", "the file was changed while it was read: this report may fit neither state")]
        changed = self._surroundings.changed() if self._surroundings is not None else []
        return [Damage("in-use", f"{path} was changed while it was read", data={"file": path}) for path in changed]

    def close(self) -> None:
        """See `Store.close`."""
        self._current = None
        if self._surroundings is not None:
            self._surroundings.close()
        self._opened.close()

    def _table_readers(self, table: Table) -> Readers:
        """Readers of the table's columns, kept for its next partition: they know where rows are lost."""
        if self._current is None or self._current[0] != table:
            self._current = None  # their unpacked chunks and open datasets go first
            self._current = (table, {path: self._make_reader(path) for path in table.columns})
        return self._current[1]

    def _make_reader(self, path: str) -> ColumnReader:
        info = self.catalog.by_path.get(path)
        if info is None or not info.readable or self._opened.file is None:
            return LostReader(0, info.reason if info else "no such dataset")
        location, opened = self.catalog.locations[path], self.catalog.files[path]
        assert opened.file is not None
        try:
            if path in self.catalog.outside:
                return FixedReader(self.catalog.outside[path]())
            dataset = open_dataset(opened.file.id, location)
        except (NotFollowed, *LIBRARY_ERRORS) as exc:
            return LostReader((info.shape or (1,))[0], f"the dataset can't be opened: {one_line(exc)}")
        if dataset is None:
            return LostReader((info.shape or (1,))[0], "the dataset can't be opened")
        return make_reader(opened, dataset, info.kind, self.catalog.fields.get(path, ""))
