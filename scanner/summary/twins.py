"""Records that belong together by number, and the counts that a store claims."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..options import Options
from ..sample import SampleBatch
from .keys import Gap
from .runs import Runs, difference, union


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


@dataclass(frozen=True, slots=True)
class Widow:
    """A number that one kind has and another has not. ``position`` is the record that is there."""

    number: int
    position: int
    present: str
    missing: str
    missing_key: bytes


class TwinSummary:
    """Numbers of each kind of record, and the claims of reserved keys: ``(position, claimed)``."""

    def __init__(self, options: Options) -> None:
        self.kinds: dict[str, Kind] = {}
        self.claims: list[tuple[int, int]] = []

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
        self.claims += [(position + offset, claimed) for position, claimed in later.claims]

    def statistics(self) -> dict[str, Any]:
        """Nothing: what does not fit is a finding."""
        return {}

    def numbers(self) -> NDArray[np.int64]:
        """Intervals of the numbers that any kind has."""
        return union([kind.runs.sorted_numbers() for kind in self.kinds.values()])

    def count(self) -> int:
        """How many different numbers there are."""
        return int(np.diff(self.numbers(), axis=1).sum())

    def gaps(self) -> Iterator[Gap]:
        """Holes in the numbers, ascending; the record after each is of the first kind that has it."""
        intervals = self.numbers()
        for before, after in zip(intervals[:-1, 1].tolist(), intervals[1:, 0].tolist(), strict=True):
            places = [kind.runs.positions_of(np.array([after])) for kind in self.kinds.values() if after in kind.runs]
            yield Gap(int(places[0][0]), before, after - before)

    def widows(self) -> Iterator[Widow]:
        """Numbers that some kind has not, by number; the record named is of the first kind that has it."""
        intervals = {name: kind.runs.sorted_numbers() for name, kind in self.kinds.items()}
        everything = union(list(intervals.values()))
        found: list[Widow] = []
        for missing, kind in self.kinds.items():
            lacking = difference(everything, intervals[missing])
            for present, other in self.kinds.items():
                here = difference(lacking, difference(lacking, intervals[present]))
                lacking = difference(lacking, here)
                numbers = np.concatenate(
                    [np.arange(*interval) for interval in here.tolist()] or [np.empty(0, np.int64)]
                )
                places = other.runs.positions_of(numbers)
                found += [
                    Widow(number, position, present, missing, kind.key(number))
                    for number, position in zip(numbers.tolist(), places.tolist(), strict=True)
                ]
        yield from sorted(found, key=lambda widow: (widow.position, widow.missing))
