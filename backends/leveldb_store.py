"""LevelDB, read without its engine, which can't open a set without rewriting it, and needs its lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import (
    BATCH_BYTES,
    BATCH_RECORDS,
    PARTITION_BYTES,
    Damage,
    Extent,
    Partition,
    RecordBatch,
    Store,
    Table,
)
from .columns import BytesColumn
from .errors import StoreError
from .leveldb_entries import LOST, Entries
from .leveldb_folder import Folder, NotOpened
from .leveldb_manifest import read_current
from .leveldb_merge import Merge
from .leveldb_plan import Plan
from .remote import RemotePath

_TABLE = Table()
_TRIES = 3
_RESERVED = (
    b"__keys__",
    b"__len__",
    b"keys",
    b"length",
    b"nextid",
    b"num-samples",
    b"num_examples",
    b"num_samples",
)

KeyRange = tuple[bytes | None, bytes | None, int | None]
"""A partition's token: the least key, the key to stop before, the most records; ``None`` where there is no bound."""


class LevelDbStore(Store):
    """A LevelDB folder: tables and write-ahead logs, each checksum verified, newest versions only.

    Parameters
    ----------
    path
        The folder. Only regular files in it are read, and none is ever opened for writing.
    """

    name: ClassVar[str] = "leveldb"

    def __init__(self, path: Path | RemotePath | str) -> None:
        self.path = Path(path) if isinstance(path, str) else path
        for _ in range(_TRIES):
            self._folder = Folder.listed(self.path)
            self._state = _state(self._folder)
            self._plan = Plan(self._folder)
            # What looks like damage may be a writer that was at work between the listing and the reading.
            if not self._plan.damage or self._state == _state(Folder.listed(self.path)):
                break

    @property
    def size_bytes(self) -> int:
        """See `Store.size_bytes`."""
        return sum(self._folder.sizes.values())

    def identity(self) -> dict[str, Any]:
        """See `Store.identity`."""
        return {"files": dict(self._state)}

    def pin(self, identity: Mapping[str, Any]) -> None:
        """See `Store.pin`. Files that are gone can't be read any more; `closing_damage` says that they were."""
        self._state = dict(identity["files"])

    def opening_damage(self) -> Sequence[Damage]:
        """See `Store.opening_damage`. The logs are replayed for it."""
        return [*self._plan.damage, *self._plan.replay.damage]

    def partitions(self, tables: Sequence[Table] | None = None, limit: int | None = None) -> list[Partition]:
        """See `Store.partitions`."""
        ranges: list[tuple[KeyRange, int]] = []
        low = None
        for key, size in self._cuts:
            ranges.append(((low, key + b"\0", None), size))
            low = key + b"\0"
        if ranges:  # the last range has no upper bound: whatever there is belongs to some partition
            (low, _, _), size = ranges[-1]
            ranges[-1] = (low, None, None), size
        else:
            ranges = [((None, None, None), self.size_bytes)]
        if limit is not None:
            ranges = list(self._limited(ranges, limit))
        return [Partition(ordinal, _TABLE, token, max(size, 1)) for ordinal, (token, size) in enumerate(ranges)]

    def read(self, partition: Partition) -> Iterator[RecordBatch | Damage | Extent]:
        """See `Store.read`."""
        low, high, limit = partition.token
        position = 0
        for part in self._merged(low, high, BATCH_BYTES):
            if isinstance(part, Damage):
                yield replace(part, position=position)
                continue
            if limit is not None:
                part = part.take(slice(0, limit - position))
            for first in range(0, len(part), BATCH_RECORDS):
                yield from self._batches(part.take(slice(first, first + BATCH_RECORDS)), position + first)
            position += len(part)
            if position == limit:
                break
        yield Extent(position)

    def sample(self, count: int = 16) -> RecordBatch:
        """See `Store.sample`."""
        found: dict[bytes, bytes] = {}
        count = max(count, 2)
        if self.size_bytes <= BATCH_BYTES:
            found = self._spread_of_all(count)
        else:
            spread = [key for key, _ in self._cuts_of(self.size_bytes // count + 1)]
            starts = [None, *spread[:: -(-len(spread) // count) or 1]]
            for low in starts:
                found |= self._some(low, None, -(-count // len(starts)))
            if self._plan.ordered:
                found |= self._last(sorted({*spread, *self._plan.tail()}))
        for key in _RESERVED if self._plan.ordered else ():
            found |= self._some(key, key + b"\0", 1)
        keys = sorted(found) if self._plan.ordered else list(found)
        return RecordBatch(
            _TABLE,
            np.arange(len(keys)),
            BytesColumn.from_strings(keys),
            BytesColumn.from_strings(found[key] for key in keys),
        )

    def find(self, key: bytes) -> tuple[int | None, memoryview] | None:
        """See `Store.find`. Positions are not known without counting."""
        low, high = (key, key + b"\0") if self._plan.ordered else (None, None)
        for part in self._merged(low, high, 0):
            if not isinstance(part, Damage):
                for row in range(len(part)):
                    if part.key(row) == key and part.kinds[row] != LOST:
                        return None, part.value_column()[row]
        return None

    def closing_damage(self, positions: int) -> Sequence[Damage]:
        """See `Store.closing_damage`."""
        try:
            now = _state(Folder.listed(self.path))
        except StoreError as exc:
            return [Damage("in-use", f"the set was taken away while it was read: {exc}")]
        if now == self._state:
            return []
        changed = sorted(name for name, _ in set(now.items()) ^ set(self._state.items()))
        return [
            Damage(
                "in-use",
                f"another process wrote to the set while it was read: {', '.join(changed[:5])} changed",
                data={"files": len(changed)},
            )
        ]

    def close(self) -> None:
        """See `Store.close`. Files are open only while something is read from them."""

    @cached_property
    def _cuts(self) -> list[tuple[bytes, int]]:
        return self._cuts_of(PARTITION_BYTES, tapering=True)

    def _cuts_of(self, step_bytes: int, tapering: bool = False) -> list[tuple[bytes, int]]:
        return list(self._plan.cuts(step_bytes, tapering)) if self._plan.ordered else []

    def _limited(self, ranges: Sequence[tuple[KeyRange, int]], limit: int) -> Iterator[tuple[KeyRange, int]]:
        """The first ranges, as far as they hold ``limit`` records: to know that they have to be counted."""
        for (low, high, _), size in ranges:
            count = 0
            for part in self._merged(low, high, BATCH_BYTES):
                count += 0 if isinstance(part, Damage) else len(part)
                if count >= limit:
                    yield (low, high, limit), size
                    return
            yield (low, high, None), size
            limit -= count

    def _merged(self, low: bytes | None, high: bytes | None, chunk_bytes: int) -> Iterator[Entries | Damage]:
        sources = self._plan.sources(low, high, chunk_bytes)
        merge = Merge(sources)
        for part in merge:
            if isinstance(part, Damage) and part.kind != "in-use" and len(sources) > 1:
                part = replace(part, reason=f"{part.reason}; older versions of its records may stand in")
            yield part
        if merge.unlisted:
            reason = f"{merge.unlisted} writes stand only in tables that are newer than MANIFEST: it has lost its end"
            yield Damage("damaged", reason, records_lost=0)
        if merge.disordered:
            comparator = self._plan.manifest.comparator
            reason = (
                f"keys are not in bytewise order (comparator {comparator}): some may be given in older versions too"
            )
            yield Damage("damaged", reason, records_lost=0)

    def _batches(self, entries: Entries, position: int) -> Iterator[RecordBatch | Damage]:
        positions = np.arange(position, position + len(entries), dtype=np.int64)
        lost = entries.kinds == LOST
        if lost.any():
            for row in np.flatnonzero(lost).tolist():
                key = entries.key(row)
                unknown = Damage("damaged", "its value can't be read any more", key=key, records_lost=1)
                damage = self._plan.replay.lost.get((key, int(entries.sequences[row])), unknown)
                yield replace(damage, position=position + row)
            entries, positions = entries.take(~lost), positions[~lost]
        if len(entries):
            yield RecordBatch(_TABLE, positions, entries.key_column(), entries.value_column())

    def _some(self, low: bytes | None, high: bytes | None, count: int) -> dict[bytes, bytes]:
        """The first readable record of a range, and up to ``count - 1`` more of those that come with it."""
        for part in self._merged(low, high, 0):
            if not isinstance(part, Damage) and len(readable := np.flatnonzero(part.kinds != LOST)):
                return _records(part, readable[_spread(len(readable), count)])
        return {}

    def _spread_of_all(self, count: int) -> dict[bytes, bytes]:
        """Records at equal distances, the first and the last among them, of a set that is quickly read."""
        for_all = (part for part in self._merged(None, None, BATCH_BYTES) if not isinstance(part, Damage))
        total = sum(int((part.kinds != LOST).sum()) for part in for_all)
        wanted, before = _spread(total, count), 0
        found: dict[bytes, bytes] = {}
        for part in self._merged(None, None, BATCH_BYTES):
            if not isinstance(part, Damage):
                readable = np.flatnonzero(part.kinds != LOST)
                here = wanted[(wanted >= before) & (wanted < before + len(readable))] - before
                found |= _records(part, readable[here])
                before += len(readable)
        return found

    def _last(self, cuts: Sequence[bytes]) -> dict[bytes, bytes]:
        """The last readable record; ``cuts`` are keys between which to look, backwards."""
        back = 1
        while True:
            low = cuts[-back] if back <= len(cuts) else None
            last: dict[bytes, bytes] = {}
            for part in self._merged(low, None, BATCH_BYTES):
                if not isinstance(part, Damage):
                    last = _records(part, np.flatnonzero(part.kinds != LOST)[-1:]) or last
            if last or low is None:
                return last
            back *= 2


def _spread(total: int, count: int) -> NDArray[np.int64]:
    """Up to ``count`` of ``total`` rows at equal distances, the first and the last among them."""
    return np.linspace(0, total - 1, min(count, total)).astype(np.int64)


def _records(entries: Entries, rows: NDArray[np.int64]) -> dict[bytes, bytes]:
    values = entries.value_column()
    return {entries.key(row): bytes(values[row]) for row in rows.tolist()}


def _state(folder: Folder) -> dict[str, bytes | int]:
    """What changes when another process writes: CURRENT, and the set and sizes of the other files."""
    state: dict[str, bytes | int] = dict(folder.sizes)
    try:
        state["CURRENT"] = read_current(folder)
    except (NotOpened, OSError):
        state.pop("CURRENT", None)
    return state
