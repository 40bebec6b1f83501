"""What a worker does: read one partition, decode, check, sum up. Runs in any process that can see the path."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..backends import open_store
from ..backends.base import Batch, Damage, Extent, Partition, RecordBatch, RowBatch, Store
from .layouts.base import Layout, RecordLayout, RowLayout
from .options import Options
from .partial import Partial
from .rules import StoreRule, instantiate
from .rules.base import Context, Rule
from .sample import SampleBatch


@dataclass(frozen=True, slots=True)
class SourceRef:
    """How to open a source again in another process."""

    path: str
    backend: str
    database: str | None = None

    def open(self) -> Store:
        """Open the source."""
        return open_store(self.path, self.backend, self.database)


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
        try:
            samples = self._decode(batch)
        except Exception:
            self.partial.crashes.setdefault("layout", traceback.format_exc())
            return
        if isinstance(batch, RecordBatch) or batch.whole:
            self.partial.seen += len(batch)
        try:
            self.partial.summary.add(samples)
        except Exception:
            self.partial.crashes.setdefault("statistics", traceback.format_exc())
        self.check(samples)

    def _decode(self, batch: Batch) -> SampleBatch:
        if isinstance(batch, RecordBatch) and isinstance(self.layout, RecordLayout):
            return self.layout.decode(batch)
        if isinstance(batch, RowBatch) and isinstance(self.layout, RowLayout):
            return self.layout.decode(batch)
        raise TypeError(f"layout {self.layout.name} can't decode a {type(batch).__name__}")

    def check(self, samples: SampleBatch) -> None:
        """Let every rule look at some samples."""
        for rule in list(self.rules):
            try:
                for finding in rule.check(samples):
                    self.partial.findings.add(finding)
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
    return np.floor((positions + 1) * share) > np.floor(positions * share)


_opened: tuple[SourceRef, Store] | None = None


def _store(source: SourceRef) -> Store:
    """The source, opened once in this process: replaying a log or listing datasets is not for every partition."""
    global _opened
    if _opened is None or _opened[0] != source:
        if _opened is not None:
            _opened[1].close()
        _opened = (source, source.open())
    return _opened[1]


def scan_partition(task: Task) -> Partial:
    """Scan one partition in this process."""
    return read_partition(_store(task.source), task)


def read_partition(store: Store, task: Task, tick: Callable[[Partial], None] | None = None) -> Partial:
    """Scan one partition of an opened store; ``tick`` is called after every batch."""
    checker = Checker(task.layout, instantiate(task.rules, task.context), task.context.options)
    for part in store.read(task.partition):
        if isinstance(part, Damage):
            checker.note(part)
        elif isinstance(part, Extent):
            checker.partial.extend(task.partition.table, part.positions)
        else:
            checker.take(part)
            if tick is not None:
                tick(checker.partial)
    return checker.partial
