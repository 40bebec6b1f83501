"""Which numbers each kind of record has: swept in ascending order, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spill import Sorter
from .runs import LENGTH, NUMBER, POSITION, STRIDE, Ints

EVENT = 6
"""Columns of an event: where it is, 1 where a run begins and 0 behind its end, the kind; and of the run that begins
its first position, how many numbers it has, and positions from one to the next."""

_AT, _BEGINS, _KIND, _POSITION, _LENGTH, _STRIDE = range(EVENT)


@dataclass(frozen=True, slots=True)
class Segments:
    """Stretches of numbers, ascending and without a gap between them, in which each kind has all numbers or none.

    ``covered`` ``(n, kinds)`` says which kinds have them. A kind that has them has the number ``starts[i]`` at
    ``positions[i]`` (of one of the records, where a number is repeated), and the next ones ``strides[i]`` apart.
    """

    starts: Ints
    stops: Ints
    covered: NDArray[np.bool_]
    positions: Ints
    strides: Ints

    def __len__(self) -> int:
        return len(self.starts)


def add_runs(sorter: Sorter, kind: int, table: Ints) -> None:
    """Give a sorter the beginnings and ends of some runs of a kind."""
    events = np.zeros((2, len(table), EVENT), np.int64)
    begins, ends = events
    begins[:, _AT] = table[:, NUMBER]
    begins[:, _BEGINS] = 1
    begins[:, _POSITION], begins[:, _LENGTH], begins[:, _STRIDE] = table[:, [POSITION, LENGTH, STRIDE]].T
    ends[:, _AT] = table[:, NUMBER] + table[:, LENGTH]
    events[:, :, _KIND] = kind
    sorter.add(events.reshape(-1, EVENT))


def sweep(sorter: Sorter, kinds: int) -> Iterator[Segments]:
    """The segments between events, a block at a time."""
    state = _State(kinds)
    for rows in sorter.blocks():
        events = rows.view(np.int64)
        yield state.pass_over(events)


class _State:
    """What is known behind the events that were passed: how many runs of each kind are open, the longest of them."""

    def __init__(self, kinds: int) -> None:
        self.kinds = kinds
        self.at: int | None = None
        self.open = np.zeros(kinds, np.int64)
        self.longest = np.zeros((kinds, 4), np.int64)  # its end, and its number, position and stride

    def pass_over(self, events: Ints) -> Segments:
        """The segments up to the last of some events; the one behind it comes with the next ones."""
        at = events[:, _AT]
        edges = np.r_[at[0] if self.at is None else self.at, at]
        open_ = np.empty((len(edges), self.kinds), np.int64)
        longest = np.empty((len(edges), self.kinds, 4), np.int64)
        for kind in range(self.kinds):
            open_[:, kind], longest[:, kind] = self._of_kind(events, kind)
        self.at, self.open, self.longest = int(edges[-1]), open_[-1].copy(), longest[-1].copy()
        filled = edges[1:] > edges[:-1]
        starts, stops = edges[:-1][filled], edges[1:][filled]
        longest = longest[:-1][filled]
        positions = longest[:, :, 2] + (starts[:, None] - longest[:, :, 1]) * longest[:, :, 3]
        return Segments(starts, stops, open_[:-1][filled] > 0, positions, longest[:, :, 3])

    def _of_kind(self, events: Ints, kind: int) -> tuple[Ints, Ints]:
        """Open runs of a kind before the events and behind each, and the open one that ends last."""
        own = events[:, _KIND] == kind
        begins = own & (events[:, _BEGINS] == 1)
        steps = np.where(begins, 1, np.where(own, -1, 0))
        open_ = self.open[kind] + np.r_[0, np.cumsum(steps)]
        runs = np.zeros((len(events) + 1, 4), np.int64)
        runs[0] = self.longest[kind]
        runs[1:, 0] = np.where(begins, events[:, _AT] + events[:, _LENGTH], 0)
        runs[1:, 1:] = events[:, [_AT, _POSITION, _STRIDE]]
        ends = np.maximum.accumulate(runs[:, 0])
        later = np.r_[True, ends[1:] > ends[:-1]]
        return open_, runs[np.maximum.accumulate(np.where(later, np.arange(len(runs)), 0))]
