"""Lengths of text labels: how often each occurs, and where its first ones stand."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..options import Options
from ..sample import SampleBatch
from .positions import PositionLog

LEAST_TEXTS = 100
"""Fewer texts say nothing about what is usual."""

MAX_LENGTHS = 4096
"""Lengths above are counted as this one."""

_MANY = 3
_MORE = 20


class TextSummary:
    """Lengths in bytes, by the name of the text."""

    def __init__(self, options: Options) -> None:
        self.cap = options.max_findings
        self.lengths: dict[str, dict[int, PositionLog]] = {}

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        for block in samples.texts:
            table = self.lengths.setdefault(block.name, {})
            lengths = np.minimum(block.texts.lengths, MAX_LENGTHS)
            positions = samples.batch.positions[block.rows]
            for length in np.unique(lengths).tolist():
                table.setdefault(length, PositionLog(self.cap)).add(positions[lengths == length])

    def merge(self, later: TextSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        for name, table in later.lengths.items():
            mine = self.lengths.setdefault(name, {})
            for length, log in table.items():
                mine.setdefault(length, PositionLog(self.cap)).merge(log, offset)

    def statistics(self) -> dict[str, Any]:
        """Nothing: what does not fit is a finding."""
        return {}

    def outliers(self) -> list[tuple[str, int, int, PositionLog]]:
        """Name, usual length, length and places of texts that are far longer than 99 of 100 texts."""
        found = []
        for name, table in self.lengths.items():
            total = sum(log.count for log in table.values())
            if total < LEAST_TEXTS:
                continue
            usual, counted = 0, 0
            for usual in sorted(table):
                counted += table[usual].count
                if counted >= 0.99 * total:
                    break
            limit = max(_MANY * usual, usual + _MORE)
            found += [(name, usual, length, log) for length, log in sorted(table.items()) if length > limit]
        return found
