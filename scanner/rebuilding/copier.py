"""Copying key-value records: runs in a worker, which reads the source and writes the new stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...backends import open_store
from ...backends.base import Batch, Damage, Extent, Partition, RecordBatch, Store
from ...backends.columns import BytesColumn
from ...backends.lmdb_store import LmdbStore
from ...backends.writing import RecordWriter, WriteError
from ..layouts.base import Layout, RecordLayout
from ..layouts.keys import reserved_rows
from ..options import Options
from ..prints import key_hashes, sample_hashes
from ..stamp import reading
from ..summary.hashes import Hashes, content_hashes
from ..worker import SourceRef, Window, open_source, read_window
from .choices import Fix
from .fixes import Fixer
from .routes import Positions, Route
from .sinks import Form, Ordering, open_writer
from .spill import FATE, Table, among

T = TypeVar("T")
_AHEAD = 2
_BEAT_S = 1.0


@dataclass(frozen=True, slots=True)
class CopyJob:
    """What is copied, and into what.

    Attributes
    ----------
    targets
        Where the target goes, and the validation part.
    form, quarantine_form
        What is written.
    database
        The named database that records go to.
    renamed
        Keys get the numbers of their new places.
    sample_numbers, dropped_numbers
        Where samples are `in_parts`: the numbers that stay and those that go, ascending.
    samples
        How many samples each set will have, for records that say so.
    revised
        Reserved records whose values are known beforehand.
    mapped
        Records become rows without keys, so that where each went is told.
    order
        Records are put in order by their numbers: where parts of them may wait, and the bytes that there are.
    """

    source: SourceRef
    layout: Layout
    options: Options
    targets: tuple[Path, ...]
    quarantine: Path
    form: Form
    quarantine_form: Form
    database: str | None = None
    fixes: tuple[Fix, ...] = ()
    renamed: bool = False
    sample_numbers: Positions | None = None
    dropped_numbers: Positions | None = None
    samples: tuple[int, ...] = ()
    order: Path | None = None
    size_bytes: int = 0
    records: tuple[int, ...] = ()
    mapped: bool = False
    revised: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Copied:
    """What copying a partition gave. Positions count from its start.

    ``fates`` are of the records whose new place, key or value does not follow from the source's; ``dropped`` and
    ``refused`` (another record has the key) are in the quarantine; ``stale`` are reserved keys that may list records
    which are not there any more.
    """

    kept: int = 0
    size_bytes: int = 0
    fates: Table = field(default_factory=lambda: np.empty(0, FATE))
    dropped: list[tuple[int, bytes]] = field(default_factory=list)
    refused: list[tuple[int, bytes]] = field(default_factory=list)
    unfixed: list[int] = field(default_factory=list)
    renamed: list[tuple[int, bytes, bytes, int, int]] = field(default_factory=list)
    fixed: Counter[str] = field(default_factory=Counter)
    stale: list[bytes] = field(default_factory=list)


class Copier:
    """The state of a copy between the calls for its partitions."""

    def __init__(self, job: CopyJob) -> None:
        self.job = job
        self.source = open_source(job.source)
        self.writers: dict[int, RecordWriter] = {}
        self.quarantine: RecordWriter | None = None
        self.numbers = [0] * len(job.targets)
        assert isinstance(job.layout, RecordLayout)
        self.layout = job.layout
        self.fixer = Fixer(job.layout, job.fixes, job.options) if job.fixes else None
        self.orderings = [
            Ordering(job.order, records, job.size_bytes) for records in job.records if job.order is not None
        ]
        for side in range(len(job.targets)):
            self._writer(side)

    # ---- a partition ----

    def copy(self, partition: Partition, route: Route) -> Copied:
        """Copy one partition."""
        copied = Copied()
        done = 0
        with closing(ahead(windows(self.source, partition, route))) as parts:
            for part in parts:
                if isinstance(part, RecordBatch) and len(part):
                    self._take(part, route, copied)
                    done += len(part)
                    copied.size_bytes += part.size_bytes
                    reading(int(part.positions[-1]) + 1, done, copied.size_bytes)
        return copied

    def _take(self, batch: RecordBatch, route: Route, copied: Copied) -> None:
        dropped = among(batch.positions, route.dropped) | self._of_dropped_samples(batch)
        changed: dict[int, bytes] = {}
        if self.fixer is not None:
            self._fix(batch, route, dropped, changed, copied)
        self._count_again(batch, dropped, changed, copied)
        if dropped.any():
            rows = np.flatnonzero(dropped)
            copied.dropped += zip(batch.positions[rows].tolist(), map(bytes, batch.keys.take(rows)), strict=True)
            self._set_aside(batch.take(rows))
        kept = np.flatnonzero(~dropped)
        if not len(kept):
            return
        values = batch.values.take(kept) if not changed else _with(batch.values, kept, changed)
        sides = np.zeros(len(kept), np.uint8) if route.sides is None else route.sides[batch.positions[kept]]
        for side in np.unique(sides).tolist():
            rows = np.flatnonzero(sides == side)
            self._put(int(side), batch.take(kept[rows]), values.take(rows), route, changed, kept[rows], copied)

    def _put(
        self,
        side: int,
        batch: RecordBatch,
        values: BytesColumn,
        route: Route,
        changed: dict[int, bytes],
        rows: NDArray[np.int64],
        copied: Copied,
    ) -> None:
        numbers = np.arange(len(batch)) + self.numbers[side]
        if route.numbers is not None:
            numbers = route.numbers[batch.positions]
        if not self.job.renamed:
            keys = batch.keys
        elif route.decimals is not None:
            keys = _plainly_numbered(batch.keys, route.decimals[batch.positions])
        else:
            keys = self._new_keys(batch.keys, numbers)
        if self.orderings:
            self.orderings[side].add(numbers, keys, values)
            refused = np.empty(0, np.int64)
        else:
            refused = self._writer(side).put(keys, values)
        if len(refused):
            there = batch.take(refused)
            copied.refused += zip(there.positions.tolist(), map(bytes, there.keys), strict=True)
            self._set_aside(there)
            stay = np.setdiff1d(np.arange(len(batch)), refused)
            if route.numbers is None:
                numbers = numbers - np.searchsorted(refused, np.arange(len(batch)))
            batch, keys, values, numbers, rows = (
                batch.take(stay),
                keys.take(stay),
                values.take(stay),
                numbers[stay],
                rows[stay],
            )
        self.numbers[side] += len(batch)
        copied.kept += len(batch)
        if self.job.renamed or self.job.mapped:
            copied.renamed += zip(
                batch.positions.tolist(),
                map(bytes, batch.keys),
                map(bytes, keys) if self.job.renamed else repeat(b""),
                numbers.tolist(),
                repeat(side),
                strict=False,
            )
        if self.job.renamed or route.sides is not None or changed:
            copied.fates = np.concatenate(
                [copied.fates, self._fates(side, batch, keys, values, numbers, rows, changed)]
            )

    def _fates(
        self,
        side: int,
        batch: RecordBatch,
        keys: BytesColumn,
        values: BytesColumn,
        numbers: NDArray[np.int64],
        rows: NDArray[np.int64],
        changed: dict[int, bytes],
    ) -> Table:
        fates = np.zeros(len(batch), FATE)
        fates["position"], fates["number"], fates["side"] = batch.positions, numbers, side
        fates["key"] = key_hashes(keys)
        if changed:
            new = np.isin(rows, np.fromiter(changed, np.int64, len(changed)))
            fates["changed"] = new
            if new.any():
                fates["value"][new] = self._hashes(batch.take(new), values.take(new))
        return fates

    def _hashes(self, batch: RecordBatch, values: BytesColumn) -> Hashes:
        """Fingerprints of changed values, of the kind that the scans take."""
        trace = self.job.options.trace
        if trace is None or trace.form == "stored":
            return content_hashes(values)
        return sample_hashes(self.layout.decode(replace(batch, values=values)))

    def _of_dropped_samples(self, batch: RecordBatch) -> NDArray[np.bool_]:
        """Which records belong to samples of which another part is dropped."""
        gone = self.job.dropped_numbers
        found = np.zeros(len(batch), np.bool_)
        if gone is not None and len(gone):
            numbers = [self.layout.sample_number(bytes(key)) for key in batch.keys]
            found = among(np.array([-1 if number is None else number for number in numbers], np.int64), gone)
        return found

    def _new_keys(self, keys: BytesColumn, numbers: NDArray[np.int64]) -> BytesColumn:
        stay = reserved_rows(keys)
        made = []
        for key, number, same in zip(map(bytes, keys), numbers.tolist(), stay.tolist(), strict=True):
            if self.job.sample_numbers is not None:
                old = self.layout.sample_number(key)
                if old is not None:
                    key = self.layout.with_number(key, self._new_number(old))
            elif not same:
                key = self.layout.with_number(key, number)
            made.append(key)
        return BytesColumn.from_strings(made)

    def _new_number(self, old: int) -> int:
        return int(np.searchsorted(self.job.sample_numbers, old)) + self.layout.first_number  # type: ignore[arg-type]

    def _fix(
        self, batch: RecordBatch, route: Route, dropped: NDArray[np.bool_], changed: dict[int, bytes], copied: Copied
    ) -> None:
        assert self.fixer is not None
        marks = {fix: among(batch.positions, positions) for fix, positions in route.fixes.items()}
        doubtful = among(batch.positions, route.unless_fixed)
        samples = ~reserved_rows(batch.keys)
        wanted = samples if self.fixer.everywhere else np.any([*marks.values(), doubtful], axis=0)
        for row in np.flatnonzero(wanted & ~dropped).tolist():
            reading(int(batch.positions[row]), 0, copied.size_bytes)
            asked: Collection[Fix] = [fix for fix, rows in marks.items() if rows[row]]
            made = self.fixer.fix(bytes(batch.keys[row]), batch.values[row], asked)
            if made is None and doubtful[row]:
                dropped[row] = True
                copied.unfixed.append(int(batch.positions[row]))
            elif made is not None and made.done:
                changed[row] = made.value
                copied.fixed.update(made.done)

    def _count_again(
        self, batch: RecordBatch, dropped: NDArray[np.bool_], changed: dict[int, bytes], copied: Copied
    ) -> None:
        """Records that say how many samples there are say it of the new set."""
        if not self.job.samples:
            return
        for row in np.flatnonzero(reserved_rows(batch.keys) & ~dropped).tolist():
            key, value = bytes(batch.keys[row]), batch.values[row]
            again = self.job.revised.get(key)
            if again is None:
                again = self.layout.recounted(key, value, self.job.samples[0])
            if again is None:
                copied.stale += [key] * (not self.layout.revises)
            elif again != value:
                changed[row] = again
                copied.fixed["count"] += 1

    # ---- stores ----

    def _writer(self, side: int) -> RecordWriter:
        if side not in self.writers:
            self.writers[side] = open_writer(self.job.targets[side], self.job.form, self.job.database, self.layout)
        return self.writers[side]

    def _set_aside(self, batch: RecordBatch) -> None:
        """Put records into the quarantine; of records with one key the first is there, the list names all."""
        if self.quarantine is None:
            self.quarantine = open_writer(self.job.quarantine, self.job.quarantine_form)
        self.quarantine.put(batch.keys, batch.values)

    def finish(self) -> int:
        """Write what waited for its place, and bring everything to the disk; gives the target's number of records."""
        with beating():
            for side, ordering in enumerate(self.orderings):
                for keys, values in ordering.batches():
                    self._writer(side).put(keys, values)
            self._copy_others()
            for writer in [*self.writers.values(), *([self.quarantine] if self.quarantine is not None else [])]:
                writer.close()
        return sum(self.numbers)

    def _copy_others(self) -> None:
        """Named databases of an LMDB that were not scanned: copied as they are."""
        for name in self.others():
            writer = self._writer(0)
            writer.choose(name)  # type: ignore[attr-defined]  # an LMDB's
            with open_store(self.job.source.path, "lmdb", name) as store:
                for partition in store.partitions():
                    for part in store.read(partition):
                        if isinstance(part, RecordBatch) and len(part):
                            writer.put(part.keys, part.values)

    def others(self) -> list[str]:
        """Named databases beside the one that is rebuilt."""
        if not isinstance(self.source, LmdbStore) or self.job.form.kind != "lmdb":
            return []
        return [name for name in self.job.form.lmdb.databases or {} if name not in (None, self.job.database)]

    def abandon(self) -> None:
        """Close everything that is open."""
        for writer in [*self.writers.values(), *([self.quarantine] if self.quarantine is not None else [])]:
            writer.abandon()


def _with(values: BytesColumn, rows: NDArray[np.int64], changed: dict[int, bytes]) -> BytesColumn:
    """The values of some rows, the changed ones in place of theirs."""
    return BytesColumn.from_strings(changed.get(row, values[row]) for row in rows.tolist())


def _plainly_numbered(keys: BytesColumn, numbers: NDArray[np.int64]) -> BytesColumn:
    """Numbers as keys; a key of which the number is negative stays."""
    pairs = zip(keys, numbers.tolist(), strict=True)
    return BytesColumn.from_strings(bytes(key) if number < 0 else b"%d" % number for key, number in pairs)


# ---- reading ----


def windows(store: Store, partition: Partition, route: Route) -> Iterator[Batch | Damage | Extent]:
    """A partition without its deadly records."""
    if not len(route.deadly) and not route.careful:
        yield from store.read(partition)
        return
    start = 0
    for position in [*route.deadly.tolist(), None]:
        if position is None or position > start:
            yield from read_window(store, partition, Window(start, position, 1 if route.careful else None))
        start = start if position is None else position + 1


def ahead(parts: Iterator[T]) -> Generator[T]:
    """The same, read a little ahead in a thread of its own, while this one writes."""
    queue: Queue[tuple[bool, T | BaseException | None]] = Queue(_AHEAD)
    stopped = Event()

    def read() -> None:
        try:
            for part in parts:
                queue.put((True, part))
                if stopped.is_set():
                    return
            queue.put((False, None))
        except BaseException as exc:
            queue.put((False, exc))

    thread = Thread(target=read, daemon=True)
    thread.start()
    try:
        while True:
            more, part = queue.get()
            if not more:
                if part is not None:
                    raise part  # type: ignore[misc]  # an exception of the thread's
                return
            yield part  # type: ignore[misc]
    finally:
        stopped.set()
        while thread.is_alive():
            if not queue.empty():
                queue.get_nowait()
            thread.join(0.01)


@contextmanager
def beating() -> Iterator[None]:
    """Stamp while the library or the system works without a word: compaction and a full disk cache take their time."""
    ended = Event()

    def beat() -> None:
        while not ended.wait(_BEAT_S):
            reading(0, 0, 0)

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# ---- calls, in the worker ----

_copier: Copier | None = None


def begin_copy(job: CopyJob) -> None:
    """Open the source and the new stores."""
    global _copier
    _copier = Copier(job)


def copy_partition(partition: Partition, route: Route) -> Copied:
    """Copy one partition."""
    return _current().copy(partition, route)


def finish_copy() -> list[str]:
    """Bring everything to the disk; gives the named databases that were copied without being scanned."""
    global _copier
    copier = _current()
    copier.finish()
    _copier = None
    return copier.others()


def _current() -> Copier:
    if _copier is None:
        raise WriteError("the process that writes the target has ended; nothing was put in its place")
    return _copier
