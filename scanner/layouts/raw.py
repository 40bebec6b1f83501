"""Values that no layout fits: nothing is decoded, but what they look like is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...backends.base import RecordBatch
from ..sample import Fault, SampleBatch
from .base import RecordLayout, Traits
from .keys import reserved_rows
from .value_kinds import value_kind

_CONTENT_BYTES = 256
"""Shorter values (labels, numbers, flags) are equal without being copies of each other."""


class Raw(RecordLayout):
    """See `RecordLayout`. It is the last resort and agrees with nothing by itself."""

    name = "raw"
    title = "Anything else: values are counted by what they look like, not decoded"
    traits = Traits(key_numbers=False)

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [False] * len(sample)

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        rows = np.flatnonzero(~reserved_rows(batch.keys))
        samples = SampleBatch(batch, rows)
        samples.value_kinds = dict(Counter(map(value_kind, batch.values)))
        empty = rows[batch.values.lengths[rows] == 0]
        samples.faults += [Fault(row, "record-empty", "the value has 0 bytes") for row in empty.tolist()]
        held = rows[batch.values.lengths[rows] >= _CONTENT_BYTES]
        samples.contents, samples.content_rows = batch.values.take(held), held
        return samples
