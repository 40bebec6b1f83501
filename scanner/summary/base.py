"""The shape of a part of the summary."""

from __future__ import annotations

from typing import Any, Protocol, Self

from ..sample import SampleBatch


class SummaryPart(Protocol):
    """One mergeable accumulator. Positions are counted from the start of the first partition that it saw."""

    def add(self, samples: SampleBatch) -> None:
        """Take in a batch; positions are ``samples.batch.positions``."""

    def merge(self, later: Self, offset: int) -> None:
        """Take in the part of what follows in store order; its positions move by ``offset``."""

    def statistics(self) -> dict[str, Any]:
        """Its share of the report's ``statistics``, JSON values only, in a fixed order."""
