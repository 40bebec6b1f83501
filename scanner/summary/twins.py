"""Records that belong together by number, and the counts that a store claims."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..options import Options
from ..sample import SampleBatch
from ..spill import Sorter, Workspace
from .runs import Ints, Runs
from .segments import EVENT, Segments, add_runs, sweep
from .widows import TwinFacts

KEPT_RUNS = 1 << 12
"""Runs of a kind that wait in the report of the whole, before they are given to the sorter."""


@dataclass(slots=True)
class Kind:
    """One kind of record: its numbers, and how its keys are written around them."""

    before: bytes
    width: int
    after: bytes
    runs: Runs = field(default_factory=Runs)

    @classmethod
    def of(cls, key: bytes, number: int) -> Kind:
        """The kind whose key for this number is ``key``."""
        for digits in reversed(list(re.finditer(rb"\d+", key))):
            if int(digits[0]) == number:
                return cls(key[: digits.start()], len(digits[0]), key[digits.end() :])
        return cls(key + b" ", 1, b"")

    def key(self, number: int) -> bytes:
        """The key of a number."""
        return self.before + b"%0*d" % (self.width, number) + self.after


class TwinSummary:
    """Numbers of each kind of record, and the claims of reserved keys: ``(position, claimed)``."""

    def __init__(self, options: Options) -> None:
        self.cap = options.most_told
        self.kinds: dict[str, Kind] = {}
        self.claims: list[tuple[int, int]] = []
        self.sorter: Sorter | None = None
        self._facts: TwinFacts | None = None

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        positions = samples.batch.positions
        for block in samples.twins:
            if len(block.rows) == 0:
                continue
            if block.kind not in self.kinds:
                self.kinds[block.kind] = Kind.of(samples.key(int(block.rows[0])) or b"", int(block.numbers[0]))
            self.kinds[block.kind].runs.add(block.numbers.astype(np.int64), positions[block.rows])
        self.claims += [(int(positions[row]), claimed) for row, claimed in samples.count_claims]

    def merge(self, later: TwinSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        for name, kind in later.kinds.items():
            mine = self.kinds.setdefault(name, Kind(kind.before, kind.width, kind.after))
            mine.runs.merge(kind.runs, offset)
            if self.sorter is not None and len(mine.runs.table) > KEPT_RUNS:
                add_runs(self.sorter, list(self.kinds).index(name), mine.runs.cut_off())
        self.claims += [(position + offset, claimed) for position, claimed in later.claims]

    def spill_to(self, workspace: Workspace) -> None:
        """See `SummaryPart.spill_to`."""
        self.sorter = Sorter(EVENT, workspace)

    def statistics(self) -> dict[str, Any]:
        """Nothing: what does not fit is a finding."""
        return {}

    def facts(self) -> TwinFacts:
        """Holes in the numbers, and numbers that some kind has and another has not; asked when all is there.

        Raises
        ------
        SpillError
            There was no room for the numbers.
        """
        if self._facts is None:
            facts = TwinFacts(list(self.kinds), self.cap)
            for segments in self._segments():
                facts.add(segments)
            self._facts = facts
        return self._facts

    def numbers(self) -> Ints:
        """Intervals ``(n, 2)`` of the numbers that any kind has, ascending; neighbours may touch. See `facts`."""
        kept = [np.empty((0, 2), np.int64)]
        for segments in self._segments():
            there = np.logical_or.reduce(segments.covered, axis=1)
            kept.append(np.stack([segments.starts[there], segments.stops[there]], axis=1))
        return np.concatenate(kept)

    def _segments(self) -> Iterator[Segments]:
        if self.sorter is None:
            self.sorter = Sorter(EVENT, Workspace())
        for number, kind in enumerate(self.kinds.values()):
            add_runs(self.sorter, number, kind.runs.table)
            kind.runs = Runs()
        return sweep(self.sorter, len(self.kinds))
