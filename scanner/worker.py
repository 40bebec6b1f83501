"""What a worker does: read one partition, decode, check, sum up. Runs in any process that can see the path."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends import open_store
from ..backends.base import Batch, Damage, Extent, Partition, RecordBatch, RowBatch, Store
from ..backends.errors import StoreError
from ..backends.files import MapOverwritten, mapping
from .layouts.base import Layout, RecordLayout, RowLayout
from .options import Options, Trace
from .partial import Partial
from .prints import prints_of
from .rules import StoreRule, instantiate
from .rules.base import Context, Rule
from .sample import SampleBatch
from .stamp import decoding, reading, untouch


@dataclass(frozen=True, slots=True)
class SourceRef:
    """How to open a source again in another process.

    ``at`` is where it is read instead: a copy on this machine. ``scan`` tells one scan of it from the next;
    ``identity`` is the state that was planned, see `Store.identity`.
    """

    path: str
    backend: str | None = None
    database: str | None = None
    scan: int = 0
    identity: Mapping[str, Any] | None = None
    follow_external: bool = False
    at: str | None = None

    def open(self) -> Store:
        """Open the source in the state that was planned."""
        store = open_store(self.at or self.path, self.backend, self.database, self.follow_external)
        if self.identity is not None:
            try:
                store.pin(self.identity)
            except BaseException:
                store.close()
                raise
        return store


@dataclass(frozen=True, slots=True)
class Task:
    """One partition to scan: small and picklable."""

    source: SourceRef
    layout: Layout
    context: Context
    rules: tuple[str, ...]
    partition: Partition


class Checker:
    """Decodes and checks batches, and gathers what they give in a `Partial`."""

    def __init__(self, layout: Layout, rules: Sequence[Rule], options: Options) -> None:
        self.layout = layout
        self.rules = list(rules)
        self.options = options
        self.partial = Partial(options)

    def take(self, batch: Batch) -> None:
        """Check a batch; an exception of a rule drops the rule and is noted, never lost."""
        self.partial.bytes_read += batch.size_bytes
        if self.options.sample is not None:
            batch = batch.take(sampled(batch.positions, self.options.sample))
            if len(batch) == 0:
                return
        for piece in self._pieces(batch):
            if piece is not batch:
                first, last = int(piece.positions[0]), int(piece.positions[-1])
                decoding(piece.positions, first, last + 1, self.partial.seen, self.partial.bytes_read)
            self._take(piece)

    def _pieces(self, batch: Batch) -> Iterable[Batch]:
        if isinstance(batch, RecordBatch) and isinstance(self.layout, RecordLayout):
            return self.layout.pieces(batch)
        return (batch,)

    def _take(self, batch: Batch) -> None:
        try:
            samples = self._decode(batch)
        except MemoryError:
            raise  # no bug of ours: the record that takes so much is looked for
        except Exception:
            self.partial.crashes.setdefault("layout", traceback.format_exc())
            self.partial.summary.records += len(batch)  # the store is not empty for that
            return
        untouch()
        if isinstance(batch, RecordBatch) or batch.whole:
            self.partial.seen += len(batch)
        trace = self.options.trace or (Trace() if self.options.remember else None)
        if trace is not None:
            self.partial.prints += prints_of(samples, trace)
        if self.options.probe is not None:
            self._probe(samples)
        try:
            self.partial.summary.add(samples)
        except MemoryError:
            raise
        except Exception:
            self.partial.crashes.setdefault("statistics", traceback.format_exc())
        self.check(samples)

    def _decode(self, batch: Batch) -> SampleBatch:
        if isinstance(batch, RecordBatch) and isinstance(self.layout, RecordLayout):
            return self.layout.decode(batch)
        if isinstance(batch, RowBatch) and isinstance(self.layout, RowLayout):
            return self.layout.decode(batch)
        raise TypeError(f"layout {self.layout.name} can't decode a {type(batch).__name__}")

    def _probe(self, samples: SampleBatch) -> None:
        """Run the samples through the network."""
        try:
            from .probe.prober import prober_for  # the networks: not for every scan

            prober = prober_for(self.options, self.layout.traits.caffe, isinstance(self.layout, RowLayout))
            samples.probe = prober.probe(samples)
        except MemoryError:
            raise
        except Exception:
            self.partial.crashes.setdefault("probe", traceback.format_exc())

    def check(self, samples: SampleBatch) -> None:
        """Let every rule look at some samples."""
        for rule in list(self.rules):
            try:
                for finding in rule.sift(samples):
                    self.partial.findings.add(finding)
            except MemoryError:
                raise
            except Exception:
                self.partial.crashes.setdefault(rule.name, traceback.format_exc())
                self.rules.remove(rule)

    def note(self, damage: Damage) -> None:
        """Report damage; the rule of its kind may be deselected, the records are lost all the same."""
        self.partial.unreadable += damage.records_lost or 0
        self.partial.damaged |= damage.kind in ("unreadable", "truncated", "damaged")
        self.partial.summary.damages += damage.kind != "in-use"
        for rule in self.rules:
            if isinstance(rule, StoreRule):
                for finding in rule.report(damage):
                    self.partial.findings.add(finding)


def sampled(positions: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Which positions belong to a sample of this share: evenly spread, the same whatever the batches."""
    chosen: NDArray[np.bool_] = np.floor((positions + 1) * share) > np.floor(positions * share)
    return chosen


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a partition: positions from ``start`` up to ``stop`` (``None``: to its end), ``step`` at a time."""

    start: int = 0
    stop: int | None = None
    step: int | None = None


BEHIND = 1 << 62
"""A window that starts here holds nothing but the partition's extent."""

_opened: tuple[int, Store] | None = None


def open_source(source: SourceRef) -> Store:
    """The source, opened once in this process: replaying a log or listing datasets is not for every partition."""
    global _opened
    if _opened is None or _opened[0] != source.scan:
        if _opened is not None:
            _opened[1].close()
            _opened = None
        _opened = (source.scan, source.open())
    return _opened[1]


def scan_window(task: Task, window: Window, mapped: bool = False) -> Partial:
    """Scan a part of a partition in this process; positions count from the partition's start.

    ``extents`` of the result is filled only when the end of the partition was reached. ``mapped``: files may be
    looked at where they lie in the system's cache; see `mapping` for what that risks.
    """
    with suppress(MapOverwritten), mapping(mapped):
        return _scan_window(task, window)
    return _scan_window(task, window)


def _scan_window(task: Task, window: Window) -> Partial:
    checker = Checker(task.layout, instantiate(task.rules, task.context), task.context.options)
    partial = checker.partial
    parts = read_window(open_source(task.source), task.partition, window)
    position = window.start
    while True:
        reading(position, partial.seen, partial.bytes_read)
        try:
            part = next(parts, None)
        except (MemoryError, StoreError, MapOverwritten):
            raise
        except Exception:
            partial.crashes.setdefault("reader", traceback.format_exc())
            partial.damaged = True
            part = Extent(position)
            parts = iter(())
        if part is None:
            return partial
        if isinstance(part, Damage):
            checker.note(part)
        elif isinstance(part, Extent):
            partial.extend(task.partition.table, part.positions)
        elif len(part):
            first, position = int(part.positions[0]), int(part.positions[-1]) + 1
            decoding(part.positions, first, position, partial.seen, partial.bytes_read)
            checker.take(part)


def read_window(store: Store, partition: Partition, window: Window) -> Iterator[Batch | Damage | Extent]:
    """What `Store.read` gives of a window. Windows that lie side by side give each record and damage once."""
    if window == Window():
        yield from store.read(partition)
        return
    place = 0  # where damage without a position of its own was met
    for part in store.read_from(partition, window.start, window.stop, window.step):
        if isinstance(part, Extent):
            if window.stop is None:
                yield part
        elif isinstance(part, Damage):
            if _inside(place if part.position is None else part.position, window):
                yield part
        elif len(part):
            place = int(part.positions[-1]) + 1
            rows = part.positions >= window.start
            if window.stop is not None:
                rows &= part.positions < window.stop
            picked = np.flatnonzero(rows)
            step = window.step or max(len(picked), 1)
            for first in range(0, len(picked), step):
                yield part.take(picked[first : first + step])
            if window.stop is not None and place > window.stop:
                return


def _inside(position: int, window: Window) -> bool:
    return position >= window.start and (window.stop is None or position < window.stop)


def closing_damage(source: SourceRef, positions: int) -> Sequence[Damage]:
    """The store's last word, after all of it was read."""
    return open_source(source).closing_damage(positions)


def keys_at(source: SourceRef, partition: Partition, positions: Sequence[int]) -> dict[int, bytes]:
    """The keys of some positions of a partition."""
    return open_source(source).keys_at(partition, positions)
