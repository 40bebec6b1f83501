"""Findings of many records at once: where each is at fault, hardly one of them is ever told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .finding import Finding, Severity


@dataclass(frozen=True, slots=True)
class FindingBatch:
    """Findings of one rule in one batch of records, each of which is made when it is asked for.

    Attributes
    ----------
    positions
        ``(n,)``: where the record of each finding is, as in the batch of records.
    severities, graded
        The severities that there are, and ``(n,)`` which of them each finding has.
    make
        Makes a finding by its number.
    """

    rule: str
    positions: NDArray[np.int64]
    severities: tuple[Severity, ...]
    graded: NDArray[np.integer]
    make: Callable[[int], Finding]

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[Finding]:
        return map(self.make, range(len(self)))

    def by_severity(self) -> Iterator[tuple[Severity, NDArray[np.int64]]]:
        """The positions of each severity, ascending."""
        for number, severity in enumerate(self.severities):
            yield severity, self.positions[self.graded == number]

    def behind(self, told: int) -> Iterator[tuple[Severity, int]]:
        """How many findings there are of each severity behind the first ones."""
        for number, severity in enumerate(self.severities):
            yield severity, int(np.count_nonzero(self.graded[told:] == number))


def one_by_one(found: Iterable[Finding | FindingBatch]) -> Iterator[Finding]:
    """All findings, made."""
    for one in found:
        if isinstance(one, FindingBatch):
            yield from one
        else:
            yield one
