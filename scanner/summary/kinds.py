"""What values look like that no layout decodes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..options import Options
from ..sample import SampleBatch


class KindSummary:
    """Counts the kinds of value that a layout named without decoding them."""

    def __init__(self, options: Options) -> None:
        self.kinds: Counter[str] = Counter()

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        self.kinds.update(samples.value_kinds)

    def merge(self, later: KindSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        self.kinds.update(later.kinds)

    def statistics(self) -> dict[str, Any]:
        """``value_kinds``, the most frequent first."""
        if not self.kinds:
            return {}
        return {"value_kinds": dict(sorted(self.kinds.items(), key=lambda kind: (-kind[1], kind[0])))}
