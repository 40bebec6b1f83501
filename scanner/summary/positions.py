"""Logs of positions: how many there are, and where the first of them are."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Element = tuple[int, ...]


@dataclass(slots=True)
class PositionLog:
    """Counts positions and keeps the first ``cap`` of them, so that its size does not grow with the data.

    Positions arrive in store order; ``positions`` is ascending. A record may be logged more than once.
    """

    cap: int
    count: int = 0
    positions: list[int] = field(default_factory=list)

    @property
    def room(self) -> int:
        """How many more positions are kept; further ones are only counted."""
        return self.cap - len(self.positions)

    def add(self, positions: NDArray[np.int64]) -> None:
        """Log positions, ascending, none before those that are already here."""
        self.count += len(positions)
        if self.room > 0:
            self.positions.extend(positions[: self.room].tolist())

    def add_rows(self, positions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Log the positions of some rows; those that there is no room for need not be picked out."""
        self.count += len(rows)
        if self.room > 0:
            self.positions.extend(positions[rows[: self.room]].tolist())

    def merge(self, later: PositionLog, offset: int) -> None:
        """Take in the log of what follows in store order; its positions move by ``offset``."""
        self.count += later.count
        if self.room > 0:
            self.positions.extend(position + offset for position in later.positions[: self.room])


@dataclass(slots=True)
class ValueLog:
    """A `PositionLog` that also remembers what stood there.

    ``values[i]`` is the value at ``positions[i]`` and ``elements[i]`` its place in the record's array, ``None``
    where the record holds a single value.
    """

    cap: int
    count: int = 0
    positions: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    elements: list[Element | None] = field(default_factory=list)

    @property
    def room(self) -> int:
        """How many more entries are kept; further ones are only counted."""
        return self.cap - len(self.positions)

    def add(
        self, positions: NDArray[np.int64], values: NDArray[np.generic], elements: list[Element] | None = None
    ) -> None:
        """Log values and where they stand; ``elements`` needs to be no longer than ``room``."""
        self.count += len(positions)
        room = self.room
        if room <= 0 or not len(positions):
            return
        kept = positions[:room].tolist()
        self.positions.extend(kept)
        self.values.extend(values[:room].tolist())
        self.elements.extend([None] * len(kept) if elements is None else islice(elements, room))

    def merge(self, later: ValueLog, offset: int) -> None:
        """See `PositionLog.merge`."""
        self.count += later.count
        room = self.room
        if room > 0:
            self.positions.extend(position + offset for position in later.positions[:room])
            self.values.extend(later.values[:room])
            self.elements.extend(later.elements[:room])
