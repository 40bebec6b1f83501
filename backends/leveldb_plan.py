"""Which files of a LevelDB count, which keys each may hold, and where to cut the keys into ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from heapq import heappush, heapreplace
from typing import NamedTuple

from .base import Damage, partition_size
from .leveldb_entries import Entries
from .leveldb_folder import Folder
from .leveldb_format import key_text
from .leveldb_manifest import BYTEWISE, Manifest, read_manifest
from .leveldb_merge import Source
from .leveldb_replay import Replay
from .leveldb_table import Table

_OPENED_TABLES = 32


class TableRange(NamedTuple):
    """A table that counts, and the users' keys that it may hold (``None``: no upper bound)."""

    smallest: bytes
    largest: bytes | None
    number: int
    size_bytes: int
    listed: bool


class Plan:
    """What a set consists of.

    Where CURRENT and MANIFEST are sound and all that they name is there, they are believed: their tables, the logs
    that they have not seen flushed, and tables that are newer than they are (a MANIFEST can be cut between two
    edits). Else every table and every log is read, and sequence numbers decide.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        self.damage: list[Damage] = list(self.manifest.damage)
        self._sound = not self.damage
        if self._sound:
            self.damage += self._missing()
        self._complete = not self.damage
        self.damage += [
            Damage("damaged", f"{name} is not a regular file and is not read", data={"file": name})
            for name in folder.irregular
            if name != "CURRENT" and not name.startswith("MANIFEST")
        ]
        self.table = lru_cache(_OPENED_TABLES)(self._planned)

    @property
    def ordered(self) -> bool:
        """Whether keys are in bytewise order, so that ranges of them mean something."""
        return self.manifest.comparator == BYTEWISE

    @cached_property
    def replay(self) -> Replay:
        """The logs' writes."""
        manifest, numbers = self.manifest, list(self.folder.logs)
        if self._complete:
            log_number = manifest.log_number or 0
            numbers = [number for number in numbers if number >= log_number or number == manifest.previous_log]
        return Replay.of(self.folder, numbers, manifest.last_sequence if self._complete else None)

    @cached_property
    def tables(self) -> list[TableRange]:
        """The tables that count, by their smallest key."""
        ranges = []
        for number, name in self.folder.tables.items():
            size = self.folder.sizes[name]
            claim = self.manifest.tables.get(number)
            if self._sound and claim is not None:
                ranges.append(TableRange(claim.smallest, claim.largest, number, size, True))
            elif not self._complete or number >= (self.manifest.next_file or 0):
                table = self.table(number)
                ranges.append(TableRange(table.smallest, table.largest, number, size, not self._complete))
        return sorted(ranges, key=lambda each: (each.smallest, each.number))

    def within(self, low: bytes | None, high: bytes | None) -> list[TableRange]:
        """The tables that may hold keys of a range."""
        if not self.ordered:
            return self.tables
        return [
            each
            for each in self.tables
            if (high is None or each.smallest < high) and (low is None or each.largest is None or each.largest >= low)
        ]

    def sources(self, low: bytes | None, high: bytes | None, chunk_bytes: int) -> list[Source]:
        """Everything that has keys of a range, in as few sources as there can be."""
        rows = _rows(self.within(low, high)) if self.ordered else [[each] for each in self.tables]
        share = max(chunk_bytes // (len(rows) + 1), min(chunk_bytes, 256 << 10))
        sources = [Source(self._row(row, low, high, share), row[0].listed) for row in rows]
        if self.replay.keys:
            sources.append(Source(self.replay.chunks(low, high, share)))
        return sources

    def cuts(self, step_bytes: int, tapering: bool = False) -> Iterator[tuple[bytes, int]]:
        """Keys to cut behind, in order, some ``step_bytes`` apart, and the bytes up to each since the one before.

        ``tapering``: as `partition_size` has it, less towards the end.
        """
        fine = max(step_bytes // 8, 1)
        weights: list[tuple[bytes, int]] = []
        for each in self.tables:
            if each.size_bytes <= 2 * fine and each.largest is not None:
                weights.append((each.largest, each.size_bytes))
            else:
                weights += self.table(each.number).weights(fine)
        weights += self.replay.weights(fine)
        weights.sort()
        left = total = sum(more for _, more in weights)
        size = 0
        for key, more in weights:
            size += more
            if size >= (partition_size(left, total, step_bytes) if tapering else step_bytes):
                yield key, size
                left -= size
                size = 0
        if size:
            yield weights[-1][0], size

    def tail(self) -> list[bytes]:
        """Keys shortly before the last one, at growing distances."""
        bounds: list[Sequence[bytes]] = [self.replay.keys]
        if self.tables:
            last = max(self.tables, key=lambda each: (each.largest is None, each.largest or b""))
            bounds.append(self.table(last.number).bounds)
        return [keys[-distance] for keys in bounds for distance in (1, 2, 4, 8, 64) if distance <= len(keys)]

    def _row(
        self, row: Sequence[TableRange], low: bytes | None, high: bytes | None, chunk_bytes: int
    ) -> Iterator[Entries | Damage]:
        for each in row:
            table = self.table(each.number)
            if not each.listed:  # if a crash left it half-written that is no harm: the logs still have its records
                yield from (part for part in table.chunks(low, high, chunk_bytes) if not isinstance(part, Damage))
                continue
            # What is wrong with a table as a whole is said once: by the range in which its keys begin.
            if (low is None or low <= each.smallest) and (high is None or each.smallest < high):
                yield from table.damage
            yield from table.chunks(low, high, chunk_bytes)

    def _planned(self, number: int) -> Table:
        claim = self.manifest.tables.get(number) if self._sound else None
        return Table.planned(self.folder, self.folder.tables[number], claim)

    def _missing(self) -> list[Damage]:
        """Files that the MANIFEST names and the folder has not."""
        missing = []
        for number, claim in sorted(self.manifest.tables.items()):
            if number not in self.folder.tables:
                name = f"{number:06}.ldb"
                reason = (
                    f"{name}, of {claim.size_bytes} bytes, is missing: its records are lost, and older versions of"
                    " them may stand in"
                )
                data = {"file": name, "key_before": key_text(claim.smallest), "key_after": key_text(claim.largest)}
                missing.append(Damage("damaged", reason, data=data))
        log_number = self.manifest.log_number
        if log_number and log_number not in self.folder.logs:
            name = f"{log_number:06}.log"
            reason = f"{name} is missing: what was written last is lost, as far as it was in no table yet"
            missing.append(Damage("damaged", reason, data={"file": name}))
        return missing


def _rows(tables: Sequence[TableRange]) -> list[list[TableRange]]:
    """Put tables, given by their smallest key, behind one another in as few rows without overlap as there can be."""
    rows: list[list[TableRange]] = []
    for listed in (True, False):
        ends: list[tuple[bool, bytes, int]] = []  # each row's last key (True: it has no bound) and its number
        for each in tables:
            if each.listed != listed:
                continue
            if ends and ends[0][:2] < (False, each.smallest):
                row = ends[0][2]
                rows[row].append(each)
                heapreplace(ends, (each.largest is None, each.largest or b"", row))
            else:
                heappush(ends, (each.largest is None, each.largest or b"", len(rows)))
                rows.append([each])
    return rows
