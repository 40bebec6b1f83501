"""LMDB environments, read page by page without LMDB: a damaged file costs its damaged pages, not the process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .base import PARTITION_BYTES, Damage, Extent, Partition, RecordBatch, Store, Table, partition_size
from .columns import BytesColumn
from .distinct import distinct
from .errors import StoreError, StoreNotFound
from .files import MapOverwritten, is_mapping
from .lmdb_format import DUP_SORT, LMDB_09, Ints, Tree, sort_key
from .lmdb_leaves import edge_key
from .lmdb_metas import newest_transaction, read_snapshot, read_transaction
from .lmdb_pages import find_node
from .lmdb_records import VALUES_LOST, RecordReader
from .lmdb_salvage import free_pages
from .lmdb_state import State, database_tree, find_leaves, find_state, named_databases, page_reader
from .lmdb_values import Rows, ValueFetcher
from .remote import RemotePath, open_data

_TABLE = Table()

_RESERVED_KEYS = (
    b"num-samples",
    b"length",
    b"__len__",
    b"__keys__",
    b"num_examples",
    b"num_samples",
    b"nextid",
    b"keys",
    b"serialization_format",
    b"id_to_idx",
    b"metadata",
    b"deleted_ids",
)

_MOST_SHORT_KEYS = 8
"""Unusually short keys that a sample takes from the pages that it looks at."""

_NEIGHBOURS = 4

Token = tuple[int, int, bytes, int, tuple[bytes, bytes]]
"""Transaction, database flags, leaf pages (int64), limit (-1: none), some leaves before (backwards) and behind."""


@dataclass(frozen=True, slots=True)
class LmdbForm:
    """How an LMDB is made: as a folder or a single file, of which file format, with which databases by their flags."""

    folder: bool = True
    version: int = 0
    databases: Mapping[str | None, int] | None = None


class LmdbStore(Store):
    """An LMDB environment: a folder with ``data.mdb``, or the data file itself.

    Parameters
    ----------
    path
        Folder or file.
    database
        A named database of the environment; the unnamed one by default.

    Raises
    ------
    StoreNotFound
        There is no such path or no such database.
    StoreError
        The file comes from another kind of machine.
    """

    name = "lmdb"

    def __init__(self, path: Path | RemotePath, database: str | None = None) -> None:
        self.path = path
        self._database = database
        self._limited = False
        self._pinned: int | None = None
        self._file = open_data(path / "data.mdb" if path.is_dir() else path)
        try:
            self._snapshot = read_snapshot(self._file)
            self._reader = page_reader(self._file, self._snapshot)
            self._newest = newest_transaction(self._file, self._reader.form, self._reader.page_size)
            if database is not None and database_tree(self._state, database) is None:
                raise StoreNotFound(self._no_such_database(database))
        except BaseException:
            self._file.close()
            raise

    def _no_such_database(self, database: str) -> str:
        names = sorted(self._named[0])
        there = f"there are: {', '.join(names)}" if names else "there are no named databases"
        return f"{self.path} has no database named {database!r}; {there}"

    @cached_property
    def _state(self) -> State:
        return find_state(self._reader, self._snapshot)

    @cached_property
    def _tree(self) -> Tree:
        if self._database is None:
            return self._state.main
        return database_tree(self._state, self._database) or self._state.main

    @cached_property
    def _named(self) -> tuple[dict[str, Tree], int | None]:
        return named_databases(self._state)

    @cached_property
    def _leaves(self) -> tuple[Ints, Ints]:
        return find_leaves(self._state, self._tree)

    @property
    def size_bytes(self) -> int:
        """See `Store.size_bytes`."""
        return self._reader.file_size

    def identity(self) -> dict[str, Any]:
        """See `Store.identity`."""
        return {**self._file.identity(), "transaction": self._transaction, "newest": self._newest}

    def pin(self, identity: Mapping[str, Any]) -> None:
        """See `Store.pin`. A state stays in the file until the second commit after it."""
        found = self._file.identity()
        if found["inode"] != identity["inode"]:
            raise StoreError(f"{self.path}: another file has taken this place while the data set was read")
        self._pinned, self._newest = identity["transaction"], identity["newest"]
        if self._pinned != self._snapshot.transaction:
            older = read_transaction(self._file, self._snapshot, self._pinned)
            if older is not None:
                self._snapshot = older
                self._reader = page_reader(self._file, older)
                for name in ("_state", "_tree", "_named", "_leaves"):
                    self.__dict__.pop(name, None)

    @property
    def _transaction(self) -> int:
        return self._snapshot.transaction if self._pinned is None else self._pinned

    @property
    def records_claimed(self) -> int | None:
        """See `Store.records_claimed`. Named databases are entries of the unnamed one, but no records."""
        if not self._state.claimed:
            return None
        named = 0 if self._database is not None else len(self._named[0])
        return max(self._tree.entries - named, 0)

    @property
    def form(self) -> LmdbForm:
        """What an LMDB that is to hold the same is made with; databases that are not read have their flags too."""
        flags: dict[str | None, int] = {name: tree.flags for name, tree in self._named[0].items()}
        if self._database is None:
            flags = {None: self._tree.flags, **flags}
        else:
            flags[self._database] = self._tree.flags
        return LmdbForm(self.path.is_dir(), 0 if self._reader.form is LMDB_09 else 1, flags)

    # Damage of the whole ------------------------------------------------------------------------------------

    def opening_damage(self) -> Sequence[Damage]:
        """See `Store.opening_damage`."""
        damages = list(self._state.damages)
        if any(damage.kind == "unreadable" for damage in damages):
            return damages
        damages += self._live_and_free()
        if (empty := self._emptiness()) is not None:
            damages.append(empty)
        return damages

    def _emptiness(self) -> Damage | None:
        if self._tree.root is None and not self._state.scattered:
            return Damage("empty", "the database holds no records")
        if self._database is not None:
            return None
        names, records = self._named
        if not names or records != 0:
            return None
        listed = ", ".join(sorted(names))
        reason = f"there are named databases and no records beside them: {listed}; choose one with --database NAME"
        return Damage("empty", reason, data={"databases": sorted(names)})

    def _live_and_free(self) -> list[Damage]:
        """Pages in use that the free list names too: whoever writes next overwrites them."""
        freed = [pages for pages in free_pages(self._reader, self._state.free).values() if len(pages)]
        if not freed:
            return []
        used, free = (distinct(np.concatenate(pages)) for pages in (self._leaves, freed))
        both = np.intersect1d(used, free, assume_unique=True)
        if not len(both) or self._writer_passed(self._transaction):
            return []
        number = int(both[0])
        reason = f"{len(both)} pages in use are on the free list too, first page {number}: the next writer loses them"
        return [Damage("damaged", reason, offset=number * self._reader.page_size, data={"page": number})]

    def _writer_passed(self, transaction: int) -> bool:
        """Whether a writer may have overwritten pages of a state.

        Pages that a transaction frees are used again by the one after the next at the earliest.
        """
        if transaction < 0:
            return False
        newest = newest_transaction(self._file, self._reader.form, self._reader.page_size)
        # A damaged meta page may say any number, but says the same as long as nobody writes.
        return newest != self._newest and newest - transaction >= 2

    def closing_damage(self, positions: int) -> Sequence[Damage]:
        """See `Store.closing_damage`."""
        claimed = self.records_claimed
        lost = None if claimed is None or self._limited else claimed - positions
        if self._file.replaced() or self._writer_passed(self._transaction):
            reason = "the data set was written to while it was read: this is not one state of it; scan it again"
            return [Damage("in-use", reason, records_lost=lost if lost and lost > 0 else None)]
        if not lost:
            return []
        lost -= self._lost_without_position()
        if not lost:
            return []
        reason = f"the database claims {claimed} records, {positions} were found"
        return [Damage("count-mismatch", reason, records_lost=lost if lost > 0 else None, data={"claimed": claimed})]

    def _lost_without_position(self) -> int:
        """Values of keys that have several, lost with pages of their own: `read` has counted them already."""
        if not self._tree.flags & DUP_SORT:
            return 0
        damages = [damage for partition in self._plan() for damage in self._structure(partition)[1]]
        return sum(damage.records_lost or 0 for damage in damages if VALUES_LOST in damage.data)

    # Reading ------------------------------------------------------------------------------------------------

    def partitions(self, tables: Sequence[Table] | None = None, limit: int | None = None) -> list[Partition]:
        """See `Store.partitions`: cut by leaf pages, which the branch pages name, so that no record is read."""
        self._limited = limit is not None
        plan = self._plan()
        if limit is None:
            return plan
        kept: list[Partition] = []
        for partition in plan:
            if limit <= 0:
                break
            positions = self._structure(partition, limit)[0]
            if positions >= limit:
                transaction, flags, leaves, _, around = partition.token
                token: Token = (transaction, flags, leaves, limit, around)
                partition = Partition(partition.ordinal, partition.table, token, partition.size_bytes)
            kept.append(partition)
            limit -= positions
        return kept

    def _plan(self) -> list[Partition]:
        leaves, page_size = self._leaves[0], self._reader.page_size
        if not len(leaves):
            return []
        total = min(max(self._tree.pages, len(leaves)) * page_size, max(self._reader.file_size, page_size))
        share = max(total // len(leaves), 1)
        step = max(PARTITION_BYTES // share, 1)
        parts: list[Partition] = []
        first = 0
        while first < len(leaves):
            stop = first + partition_size(len(leaves) - first, len(leaves), step)
            some = leaves[first:stop]
            before = leaves[max(first - _NEIGHBOURS, 0) : first][::-1].tobytes()
            behind = leaves[stop : stop + _NEIGHBOURS].tobytes()
            token: Token = (self._snapshot.transaction, self._tree.flags, some.tobytes(), -1, (before, behind))
            parts.append(Partition(len(parts), _TABLE, token, share * len(some)))
            first = stop
        return parts

    def _rows(self, partition: Partition) -> tuple[RecordReader, Iterator[Rows | Damage]]:
        _, flags, leaves, _, (before, behind) = partition.token
        records = RecordReader(
            self._reader,
            flags,
            self._tree.root,
            last_key=edge_key(self._reader, np.frombuffer(before, np.int64), flags, last=True),
            key_behind=edge_key(self._reader, np.frombuffer(behind, np.int64), flags, last=False),
        )
        return records, records.rows(np.frombuffer(leaves, np.int64))

    def _structure(self, partition: Partition, limit: int | None = None) -> tuple[int, list[Damage]]:
        """Number of positions and the damage of a partition, without reading values; enough of it for a limit."""
        records, rows = self._rows(partition)
        fetcher = ValueFetcher(self._reader, _TABLE)
        damages: list[Damage] = []
        for part in rows:
            if isinstance(part, Damage):
                damages.append(part)
            elif limit is None:
                damages += fetcher.check(part)
            elif records.position >= limit:
                break
        return records.position, damages

    def read(self, partition: Partition) -> Iterator[RecordBatch | Damage | Extent]:
        """See `Store.read`."""
        transaction, _, _, limit, _ = partition.token
        records, rows = self._rows(partition)
        fetcher = ValueFetcher(self._reader, partition.table)
        for part in rows:
            if isinstance(part, Damage):
                if limit < 0 or (part.position or 0) < limit:
                    yield from self._unless_written_to([part], transaction)
                continue
            pieces = list((part if limit < 0 else part.take(part.position < limit)).batches())
            for number, piece in enumerate(pieces):
                batch, lost = fetcher.fetch(piece)
                if number + 1 < len(pieces):  # while this one is looked at, the disk fetches the next
                    fetcher.prefetch(pieces[number + 1])
                if self._writer_passed(transaction):  # the batch may hold pages that it has overwritten
                    yield Extent(int(piece.position[0]))
                    return
                yield from self._unless_written_to(lost, transaction)
                if batch is not None:
                    yield batch
                    if is_mapping() and self._writer_passed(transaction):
                        raise MapOverwritten
            if 0 <= limit <= records.position:
                break
        yield Extent(records.position if limit < 0 else min(records.position, limit))

    def _unless_written_to(self, damages: list[Damage], transaction: int) -> list[Damage]:
        """What a writer has overwritten is no damage; `closing_damage` tells of the writer."""
        return [] if damages and self._writer_passed(transaction) else damages

    # Single records -----------------------------------------------------------------------------------------

    def find(self, key: bytes) -> tuple[int | None, memoryview] | None:
        """See `Store.find`: by descent, so the position is not known. Of several values of a key it gives the first."""
        rows = self._find_rows(key)
        batch = None if rows is None else ValueFetcher(self._reader, _TABLE).fetch(rows)[0]
        return None if batch is None else (None, batch.values[0])

    def _find_rows(self, key: bytes) -> Rows | None:
        node = find_node(self._reader, self._tree, key) if key else None
        if node is None:
            return None
        for part in RecordReader(self._reader, self._tree.flags).rows(node[0].numbers):
            if isinstance(part, Rows):
                at = next((i for i in range(len(part)) if part.key(i) == key), None)
                if at is not None:
                    return part.take(slice(at, at + 1))
        return None

    def sample(self, count: int = 16) -> RecordBatch | None:
        """See `Store.sample`: records of leaves spread over the database, and reserved keys found by descent."""
        leaves = self._leaves[0]
        picks = distinct(np.linspace(0, len(leaves) - 1, count).astype(np.int64)) if len(leaves) else leaves
        rows = self._some_rows(leaves[picks])
        if not rows:  # all of these are damaged
            rows = self._some_rows(leaves)[:1]
        drawn = self._records(_spread(rows, count))
        keys = {key for key, _ in drawn}
        drawn += self._records([row for key in _RESERVED_KEYS if key not in keys and (row := self._find_rows(key))])
        # The sort is stable: values of one key stay in their order.
        drawn.sort(key=lambda record: sort_key(record[0], self._tree.flags))
        columns = (BytesColumn.from_strings(record[side] for record in drawn) for side in (0, 1))
        return RecordBatch(_TABLE, np.arange(len(drawn)), *columns)

    def _records(self, parts: list[Rows]) -> list[tuple[bytes, bytes]]:
        """Copies of the records that can be read."""
        found: list[tuple[bytes, bytes]] = []
        for part in parts:
            for piece in part.batches():
                batch, _ = ValueFetcher(self._reader, _TABLE).fetch(piece)
                if batch is not None:
                    found += zip(map(bytes, batch.keys), map(bytes, batch.values), strict=True)
        return found

    def _some_rows(self, leaves: Ints) -> list[Rows]:
        """Records of leaves, without their damage."""
        return [part for part in RecordReader(self._reader, self._tree.flags).rows(leaves) if isinstance(part, Rows)]

    def close(self) -> None:
        """See `Store.close`."""
        self._file.close()


def _spread(rows: list[Rows], count: int) -> list[Rows]:
    """The first, the last and some between, and keys that are shorter than the usual."""
    total = sum(map(len, rows))
    if not total:
        return []
    wanted = set(np.linspace(0, total - 1, count).astype(np.int64).tolist())
    sizes = np.concatenate([part.key_size for part in rows])
    usual = int(np.bincount(sizes).argmax())
    short = np.flatnonzero(sizes < usual)
    if len(short) <= _MOST_SHORT_KEYS:
        wanted |= set(short.tolist())
    parts, first = [], 0
    for part in rows:
        chosen = np.array(sorted(i - first for i in wanted if first <= i < first + len(part)), np.int64)
        parts.append(part.take(chosen))
        first += len(part)
    return parts
