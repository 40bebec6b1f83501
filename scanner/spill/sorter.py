"""Sorting of any number of rows: in memory while they fit, by sorted runs on disk beyond that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .workspace import SpillError, SpillFile, Workspace

Rows = NDArray[np.uint64]
"""``(n, columns)``."""

BLOCK_ROWS = 1024
"""Rows of a run that are read together; the first row of each block is kept in memory."""

SLICES = 8
"""Runs are merged in so many times smaller pieces than what is kept in memory: several copies of one are at work."""

SLICE_ROWS = 64 * BLOCK_ROWS
"""Rows that are gathered at a time while a run is written or given out."""


class Sorter:
    """Rows of unsigned numbers, given back in ascending order of their columns, the first one counting most.

    Rows are kept in a buffer up to the workspace's limit, or ``limit_bytes``. A full buffer is sorted and appended to
    a file as a run; `blocks` merges the runs, a range of values at a time. A disk that is full is told by `blocks`,
    not by `add`.
    """

    def __init__(self, columns: int, workspace: Workspace, limit_bytes: int | None = None) -> None:
        self.columns = columns
        self.workspace = workspace
        self.count = 0
        self._room = max((limit_bytes or workspace.limit_bytes) // (8 * columns), 2)
        self._buffer: Rows = np.empty((0, columns), np.uint64)
        self._filled = 0
        self._runs: list[_Run] = []
        self._file: SpillFile | None = None
        self._failure: SpillError | None = None

    def __len__(self) -> int:
        return self.count

    def add(self, rows: NDArray[np.unsignedinteger | np.signedinteger]) -> None:
        """Take in rows in any order; signed numbers must not be negative, or are read back by a view."""
        self.count += len(rows)
        while len(rows) and self._failure is None:
            if len(self._buffer) == 0:
                self._buffer = np.empty((self._room, self.columns), np.uint64)  # touched only as far as it is filled
            part = rows[: self._room - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            rows = rows[len(part) :]
            if self._filled == self._room:
                self._spill()

    def _spill(self) -> None:
        """Write what is in memory as a run."""
        rows = self._buffer[: self._filled]
        try:
            if self._file is None:
                self._file = self.workspace.open()
            start, firsts = self._file.size, []
            for part in in_order(rows):
                self._file.append(part)
                firsts.append(part[::BLOCK_ROWS].copy())
            self._runs.append(_Run(start, len(rows), np.concatenate(firsts)))
        except SpillError as exc:
            self._failure = exc
            self._runs, self._file = [], None
            self._buffer = self._buffer[:0]
        self._filled = 0

    def blocks(self) -> Iterator[Rows]:
        """All rows in ascending order, in blocks that are ascending as well. May be asked again, and added to.

        Raises
        ------
        SpillError
            There was no room for them.
        """
        if self._failure is not None:
            raise self._failure
        if not self._runs:
            yield from in_order(self._buffer[: self._filled])
            return
        if self._filled:
            self._spill()
            if self._failure is not None:
                raise self._failure
        self._buffer = self._buffer[:0].copy()
        assert self._file is not None
        yield from _merged(self._runs, self._file, max(self._room // (SLICES * BLOCK_ROWS), 1))


@dataclass(slots=True)
class _Run:
    """Sorted rows in a file, from byte ``start`` on; ``firsts`` is the first row of each block of them."""

    start: int
    count: int
    firsts: Rows


@dataclass(slots=True)
class _Cursor:
    """How far a run has been read: ``waiting`` was read and not given out yet."""

    run: _Run
    waiting: Rows
    read: int = 0

    def up_to(self, bound: Rows | None, file: SpillFile) -> Rows:
        """The next rows that are not above a bound."""
        blocks = len(self.run.firsts) if bound is None else count_up_to(self.run.firsts, bound)
        stop = min(blocks * BLOCK_ROWS, self.run.count)
        if stop > self.read:
            columns = self.run.firsts.shape[1]
            rows = np.empty((len(self.waiting) + stop - self.read, columns), np.uint64)
            if len(self.waiting):
                rows[: len(self.waiting)] = self.waiting
            file.read(self.run.start + self.read * 8 * columns, rows[len(self.waiting) :])
            self.waiting, self.read = rows, stop
        cut = len(self.waiting) if bound is None else count_up_to(self.waiting, bound)
        given, self.waiting = self.waiting[:cut], self.waiting[cut:].copy()
        return given


def _merged(runs: list[_Run], file: SpillFile, step: int) -> Iterator[Rows]:
    """The rows of all runs in order, about ``step`` of their blocks at a time."""
    firsts = np.concatenate([run.firsts for run in runs])
    bounds = firsts[sorted_order(firsts)[step::step]]
    cursors = [_Cursor(run, run.firsts[:0]) for run in runs]
    for bound in [*bounds, None]:
        parts = [part for cursor in cursors if len(part := cursor.up_to(bound, file))]
        if parts:
            rows = np.concatenate(parts)
            parts.clear()
            yield from in_order(rows)


def count_up_to(rows: Rows, bound: Rows) -> int:
    """How many of some ascending rows are not above a bound."""
    low, high = 0, len(rows)
    for column in range(len(bound)):
        part = rows[low:high, column]
        low, high = (
            low + int(np.searchsorted(part, bound[column], "left")),
            low + int(np.searchsorted(part, bound[column], "right")),
        )
    return high


def in_order(rows: Rows) -> Iterator[Rows]:
    """Rows sorted by their columns, a slice at a time. Those of one column are sorted where they are."""
    if rows.shape[1] == 1:  # many times faster than by their order
        rows.sort(axis=0)
    order = None if rows.shape[1] == 1 else sorted_order(rows)
    for first in range(0, len(rows), SLICE_ROWS):
        part = slice(first, first + SLICE_ROWS)
        yield rows[part] if order is None else rows[order[part]]


def sorted_order(rows: Rows) -> NDArray[np.intp]:
    """The order that sorts rows by their columns, the first one counting most."""
    if len(rows) < 2:
        return np.arange(len(rows))
    leading = np.ascontiguousarray(rows[:, 0])
    order = np.argsort(leading)
    if rows.shape[1] == 1:
        return order
    leading = leading[order]
    equal = leading[1:] == leading[:-1]
    if equal.any():  # few, as a rule: the other columns decide among them
        tied = np.zeros(len(rows), np.bool_)
        tied[1:] = equal
        tied[:-1] |= equal
        places = np.flatnonzero(tied)
        among = rows[order[places]]
        order[places] = order[places][np.lexsort(among.T[::-1])]
    return order
