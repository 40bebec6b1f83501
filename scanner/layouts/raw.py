"""Values that no layout fits: nothing is decoded, but what they look like is counted, and unsafe pickles are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from ...backends.base import RecordBatch
from ..sample import Fault, SampleBatch
from ..stamp import touch
from ..values.compressed import first_bytes, unwrap
from ..values.inert import Pickle, Unreadable
from ..values.pickle_reader import HEAD_BYTES, looks_pickled, read_pickle
from .base import RecordLayout, Traits
from .keys import reserved_rows
from .serialised import unsafe_fault
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

    def recounted(self, key: bytes, value: memoryview, count: int) -> bytes | None:
        """See `RecordLayout.recounted`: what makes a sample here is not known."""
        return None

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        rows = np.flatnonzero(~reserved_rows(batch.keys))
        samples = SampleBatch(batch, rows)
        samples.value_kinds = dict(Counter(map(value_kind, batch.values)))
        empty = rows[batch.values.lengths[rows] == 0]
        samples.faults += [Fault(row, "record-empty", "the value has 0 bytes") for row in empty.tolist()]
        samples.faults += _unsafe(batch)
        samples.faults.sort(key=lambda fault: fault.row or 0)
        held = rows[batch.values.lengths[rows] >= _CONTENT_BYTES]
        samples.contents, samples.content_rows = batch.values.take(held), held
        return samples


def _unsafe(batch: RecordBatch) -> Iterator[Fault]:
    """Pickles, also under reserved keys, that would do more than make data. What else is in them is not looked at."""
    for row, value in enumerate(batch.values):
        if looks_pickled(first_bytes(value, HEAD_BYTES)):
            touch(row)
            pickle = _read(value)
            if pickle is not None and pickle.unsafe:
                yield unsafe_fault(row, pickle)


def _read(value: memoryview) -> Pickle | None:
    try:
        return read_pickle(unwrap(value))
    except Unreadable:
        return None
