"""How a scanned source is read again: single records, after the scan, for who wants to show them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from ..backends.base import Partition
from .layouts.base import Layout
from .options import Options
from .worker import SourceRef


@dataclass(frozen=True, slots=True)
class Reader:
    """A source as it was scanned.

    ``spans`` are where each partition begins, in store order; ``positions`` is what they hold together.
    """

    source: SourceRef
    layout: Layout
    options: Options
    spans: tuple[tuple[int, Partition], ...]
    positions: int

    def place(self, position: int) -> tuple[Partition, int] | None:
        """The partition that holds a position of the scan, and the position in it."""
        number = bisect_right(self.spans, position, key=lambda span: span[0])
        if not number:
            return None
        start, partition = self.spans[number - 1]
        return partition, position - start
