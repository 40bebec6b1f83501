"""From an iteration to the records of its batches.

Caffe's Data layer reads in store order and begins again at the end; it never shuffles. Iteration *i* of a run that
began at iteration *r* (0, or that of the snapshot) takes the records from ``(i - r) * batch_size * iter_size`` on,
modulo their number, and a resumed run begins at record 0 again. Prefetching reads ahead, but keeps this order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .log_facts import LogRun

PREFETCHED = 4
"""Batches that Caffe reads ahead where nothing is said: a data thread may fail so long before its iteration."""

SNAPSHOT = re.compile(r"_iter_(\d+)\.solverstate")


@dataclass(frozen=True, slots=True)
class Trace:
    """How one data layer walks through its source.

    Attributes
    ----------
    records
        Of the source.
    per_iteration
        Records that an iteration takes: batch size times iter_size.
    start
        The iteration at which the run began.
    """

    records: int
    per_iteration: int
    start: int = 0

    def first_reached(self, index: int) -> int:
        """The first iteration of the run that takes a record."""
        return self.start + index // self.per_iteration

    def within(self, index: int, first: int, last: int) -> bool:
        """Whether any iteration from ``first`` to ``last`` takes a record."""
        begin = max(first - self.start, 0) * self.per_iteration
        end = (last - self.start + 1) * self.per_iteration
        if end <= begin:
            return False
        return end - begin >= self.records or (index - begin) % self.records < end - begin

    def range_of(self, iteration: int) -> str:
        """``records 30 to 39``, with a word on the wrap-around."""
        begin = max(iteration - self.start, 0) * self.per_iteration
        if self.per_iteration >= self.records:
            return f"all {self.records:,} records"
        first, last = begin % self.records, (begin + self.per_iteration - 1) % self.records
        if last < first:
            return f"records {first:,} to {self.records - 1:,} and 0 to {last:,}"
        return f"records {first:,} to {last:,}" if last > first else f"record {first:,}"

    def taken(self, last: int) -> int:
        """How many different records the run had taken by the end of an iteration."""
        return min(max(last - self.start + 1, 0) * self.per_iteration, self.records)


def began_at(run: LogRun) -> int:
    """The iteration at which a run began: 0, or that of the snapshot that it went on from."""
    if run.restored is None:
        return 0
    named = SNAPSHOT.search(run.restored[0])
    if named is not None:
        return int(named[1])
    return run.first_iteration or 0
