"""Rows that can't be given back, and why."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .base import DamageKind


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows ``start:stop`` of one dataset that can't be read; ``kind``, ``reason``, ``offset`` as in `Damage`."""

    start: int
    stop: int
    reason: str
    kind: DamageKind = "damaged"
    offset: int | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def same_cause(self, other: Loss) -> bool:
        """Whether two losses next to each other are one."""
        return (self.kind, self.reason, self.offset) == (other.kind, other.reason, other.offset)


class Losses:
    """Known losses of a dataset, looked up by row; they don't overlap."""

    def __init__(self, losses: Iterable[Loss] = ()) -> None:
        self._losses = sorted(losses, key=_start)

    def add(self, loss: Loss) -> None:
        """Remember a loss that was met while reading."""
        insort(self._losses, loss, key=_start)

    def at(self, row: int) -> Loss | None:
        """The loss that a row belongs to."""
        number = bisect_right(self._losses, row, key=_start) - 1
        return self._losses[number] if number >= 0 and row < self._losses[number].stop else None

    def next_start(self, row: int, stop: int) -> int:
        """Where the next loss behind a row starts, at most ``stop``."""
        number = bisect_right(self._losses, row, key=_start)
        return min(self._losses[number].start, stop) if number < len(self._losses) else stop

    def __iter__(self) -> Iterable[Loss]:
        return iter(self._losses)


def _start(loss: Loss) -> int:
    return loss.start
