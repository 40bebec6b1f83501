"""The HDF5 files of a Caffe list file, as one store."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from .base import Batch, Damage, DatasetInfo, Extent, Partition, RecordBatch, Store, Table
from .errors import StoreError, StoreNotFound
from .files import file_identity
from .hdf5_list import read_list
from .hdf5_store import Hdf5Store

_OPEN_FILES = 8
"""Files kept open at a time: a list may name thousands."""


class Hdf5ListStore(Store):
    """The files that a list names, in its order; a file that is named twice is read once.

    Tables and datasets carry their file as it is named in the list. A file that is missing or refused is damage;
    the others are read.
    """

    name: ClassVar[str] = "hdf5"

    def __init__(self, path: str | os.PathLike[str], follow_external: bool = False) -> None:
        self.path = Path(path)
        self._follow_external = follow_external
        if not self.path.is_file():
            raise StoreNotFound(f"{self.path}: no such list file")
        self._entries = read_list(self.path)
        self._paths = {entry.name: entry.path for entry in self._entries if entry.path is not None}
        self._open: OrderedDict[str, Hdf5Store] = OrderedDict()
        self._states = {name: _state(path) for name, path in self._paths.items()}
        self._refused: dict[str, str] = {}
        self._listed: tuple[list[DatasetInfo], list[Damage]] | None = None

    @property
    def files(self) -> Mapping[str, Path]:
        """The files that were found, by their name in the list."""
        return self._paths

    @property
    def size_bytes(self) -> int:
        """See `Store.size_bytes`: the sum of all files."""
        return sum(state["size_bytes"] for state in self._states.values() if state)

    def identity(self) -> dict[str, Any]:
        """See `Store.identity`: of each file that was found when the list was opened."""
        return {"files": {name: None if state is None else dict(state) for name, state in self._states.items()}}

    def pin(self, identity: Mapping[str, Any]) -> None:
        """See `Store.pin`."""
        self._states = dict(identity["files"])

    def opening_damage(self) -> Sequence[Damage]:
        """See `Store.opening_damage`; ``data["file"]`` names the file."""
        return self._survey()[1]

    def sample(self, count: int = 16) -> RecordBatch | None:
        """See `Store.sample`; a store of rows has none."""
        return None

    def datasets(self) -> Sequence[DatasetInfo]:
        """See `Store.datasets`; file by file."""
        return self._survey()[0]

    def partitions(self, tables: Sequence[Table] | None = None, limit: int | None = None) -> list[Partition]:
        """See `Store.partitions`; without ``tables`` each readable dataset of each file is one."""
        if tables is None:
            tables = [
                Table(f"{info.file}:{info.path}", (info.path,), info.file)
                for info in self.datasets()
                if info.readable and info.shape is not None
            ]
        partitions: list[Partition] = []
        left = limit
        for table in tables:
            store = self._store(table.file or "")
            for partition in store.partitions([table], left) if store else []:
                partitions.append(replace(partition, ordinal=len(partitions)))
                start, stop = partition.token
                left = None if left is None else left - (stop - start)
        return partitions

    def read(self, partition: Partition) -> Iterator[Batch | Damage | Extent]:
        """See `Store.read`."""
        return self.read_from(partition, 0, None, None)

    def read_from(
        self, partition: Partition, start: int, stop: int | None, step: int | None
    ) -> Iterator[Batch | Damage | Extent]:
        """See `Store.read_from`."""
        name = partition.table.file or ""
        store = self._store(name)
        if store is None:
            first, last = partition.token
            yield Damage("unreadable", f"{name}: the file is gone", position=0, records_lost=last - first)
            yield Extent(last - first)
            return
        for part in store.read_from(partition, start, stop, step):
            yield _in_file(part, name) if isinstance(part, Damage) else part

    def find(self, key: bytes) -> tuple[int | None, memoryview] | None:
        """See `Store.find`; rows have no keys."""
        return None

    def closing_damage(self, positions: int) -> Sequence[Damage]:
        """See `Store.closing_damage`."""
        return [
            _in_file(Damage("in-use", "the file was changed while the set was read"), name)
            for name, path in self._paths.items()
            if _state(path) != self._states[name]
        ]

    def close(self) -> None:
        """See `Store.close`."""
        while self._open:
            self._open.popitem()[1].close()

    def _survey(self) -> tuple[list[DatasetInfo], list[Damage]]:
        if self._listed is None:
            datasets: list[DatasetInfo] = []
            damages = [] if self._entries else [Damage("empty", "the list names no file")]
            for entry in self._entries:
                store = self._store(entry.name)
                if store is not None:
                    datasets += [replace(info, file=entry.name) for info in store.datasets()]
                    damages += [_in_file(damage, entry.name) for damage in store.opening_damage()]
                elif entry.path is None:
                    folders = ", ".join(str(folder) for folder in entry.tried)
                    looked = f" (looked in {folders})" if folders else ""
                    reason = f"the list names {entry.name}, which does not exist{looked}"
                    if entry.name.startswith("#"):
                        reason += "; Caffe knows no comments in a list: every word is a file name"
                    damages.append(Damage("unreadable", reason, data={"file": entry.name}))
                else:
                    reason = f"the list names a file that can't be opened: {self._refused[entry.name]}"
                    damages.append(Damage("unreadable", reason, data={"file": entry.name}))
            self._listed = datasets, damages
        return self._listed

    def _store(self, name: str) -> Hdf5Store | None:
        """A file of the list, opened; the last few stay open."""
        if name in self._open:
            self._open.move_to_end(name)
        elif name in self._paths:
            try:
                opened = Hdf5Store(self._paths[name], self._follow_external)
            except StoreError as exc:
                self._refused[name] = str(exc)
                return None
            if len(self._open) >= _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[name] = opened
        return self._open.get(name)


def _state(path: Path) -> dict[str, int] | None:
    try:
        return file_identity(path.stat())
    except OSError:
        return None


def _in_file(damage: Damage, name: str) -> Damage:
    return replace(damage, reason=f"{name}: {damage.reason}", data={"file": name, **damage.data})
