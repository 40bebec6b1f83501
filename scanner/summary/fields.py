"""Which fields the records of a set have: records with the same fields are counted together."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..options import Options
from ..sample import SampleBatch
from .positions import PositionLog
from .shapes import MAJORITY

MAX_KINDS = 256
"""Sets whose records have more different combinations of fields are not sets of like records."""

Fields = tuple[str, ...]


class FieldSummary:
    """Names of fields, by combination."""

    def __init__(self, options: Options) -> None:
        self.cap = options.max_findings
        self.kinds: dict[Fields, PositionLog] = {}
        self.too_many = False

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        for names, rows in samples.fields.items():
            self._log(names, PositionLog(self.cap)).add(samples.batch.positions[np.array(rows, np.int64)])
        self._limit()

    def _log(self, names: Fields, log: PositionLog) -> PositionLog:
        return self.kinds.setdefault(names, log)

    def _limit(self) -> None:
        self.too_many |= len(self.kinds) > MAX_KINDS
        if self.too_many:
            self.kinds.clear()

    def merge(self, later: FieldSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        self.too_many |= later.too_many
        for names, log in later.kinds.items():
            self._log(names, PositionLog(self.cap)).merge(log, offset)
        self._limit()

    def statistics(self) -> dict[str, Any]:
        """Nothing: what does not fit is a finding."""
        return {}

    def lacking(self) -> dict[Fields, PositionLog]:
        """Records that lack fields which 95% or more of the records have, by the fields that they lack."""
        total = sum(log.count for log in self.kinds.values())
        counts: Counter[str] = Counter()
        for names, log in self.kinds.items():
            for name in names:
                counts[name] += log.count
        usual = [name for name, count in counts.items() if count >= MAJORITY * total]
        found: dict[Fields, PositionLog] = {}
        for names, log in self.kinds.items():
            missing = tuple(name for name in usual if name not in names)
            if missing:
                merged = found.setdefault(missing, PositionLog(self.cap))
                merged.count += log.count
                merged.positions = sorted([*merged.positions, *log.positions])[: self.cap]
        return found
