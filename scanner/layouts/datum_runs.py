"""Runs of Datums that differ only in label and payload, found and cut without a Python object for each.

One record is read field by field and becomes the template; of the others only the few bytes around the payload are
looked at, all records at once. What does not match is left to be read one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...backends.columns import BytesColumn, gathered
from ..sample import Rows
from .datum import FLOAT_DATA, Datum
from .stacking import blocks
from .wire import FIXED32

FRAME_BYTES = 64
"""Most bytes around the payload; a Datum by Caffe's own tools has at most 27."""

_FLOAT_TAG = FLOAT_DATA << 3 | FIXED32
_VARINT_BYTES = 10


@dataclass(frozen=True, slots=True)
class DatumRun:
    """Records that match a template: ``labels`` is ``(n,)`` int32, ``None`` where the records have no label."""

    rows: Rows
    payload_starts: NDArray[np.int64]
    labels: NDArray[np.int32] | None


@dataclass(frozen=True, slots=True)
class Template:
    """The parts of one well-formed Datum that holds raw values.

    ``frame`` is everything but the payload, whose place in it is ``head`` bytes from the start; ``label_at`` is the
    ``(start, stop)`` of the label's varint in the frame. ``step`` is the distance of the payload's elements: 1 for
    data, 4 and 5 for float_data.
    """

    frame: NDArray[np.uint8]
    head: int
    payload_bytes: int
    step: int
    shape: tuple[int, int, int]
    label_at: tuple[int, int] | None

    @classmethod
    def of(cls, value: memoryview, datum: Datum) -> Template | None:
        """The template of a Datum without fault; ``None`` where its payload is not one piece of raw values."""
        if datum.encoded:
            return None
        if datum.data and datum.data[1] > datum.data[0]:
            (start, stop), step = datum.data, 1
        elif len(datum.floats) == 1:
            start, elements, step = datum.floats[0]
            stop = start + (4 * elements if step == 4 else 5 * elements - 1)
            start -= step == 5
        else:
            return None
        if start + len(value) - stop > FRAME_BYTES:
            return None
        frame = np.frombuffer(bytes(value[:start]) + bytes(value[stop:]), np.uint8)
        label_at = datum.label_at
        if label_at and label_at[0] >= stop:
            label_at = (label_at[0] - (stop - start), label_at[1] - (stop - start))
        return cls(frame, start, stop - start, step, datum.shape, label_at)

    def matches(self, values: BytesColumn, rows: Rows) -> DatumRun:
        """The records of ``rows`` that match."""
        fits = np.zeros(len(rows), np.bool_)
        payload_starts = np.zeros(len(rows), np.int64)
        labels = np.zeros(len(rows), np.int32)
        lengths = values.lengths[rows]
        usual = len(self.frame) + self.payload_bytes
        written = self.label_at[1] - self.label_at[0] if self.label_at else 0
        for size in range(1, _VARINT_BYTES + 1) if self.label_at else (0,):
            growth = size - written
            some = np.flatnonzero(lengths == usual + growth)
            if len(some):
                self._match(values, rows, some, growth, fits, payload_starts, labels)
        return DatumRun(rows[fits], payload_starts[fits], labels[fits] if self.label_at else None)

    def _match(
        self,
        values: BytesColumn,
        rows: Rows,
        some: NDArray[np.int64],
        growth: int,
        fits: NDArray[np.bool_],
        payload_starts: NDArray[np.int64],
        labels: NDArray[np.int32],
    ) -> None:
        """Fill in what is found at ``some`` places of ``rows``, where the label has ``growth`` bytes more."""
        starts = values.starts[rows[some]]
        begin, end = self.label_at or (0, 0)
        head = self.head + (growth if end <= self.head else 0)
        tail = len(self.frame) + growth - head
        payload = starts + head
        frames = np.hstack(
            (gathered(values.buffer, starts, head), gathered(values.buffer, payload + self.payload_bytes, tail))
        )
        varints = frames[:, begin : end + growth]
        alike = (frames[:, :begin] == self.frame[:begin]).all(1)
        alike &= (frames[:, end + growth :] == self.frame[end:]).all(1)
        if self.label_at:
            alike &= (varints[:, :-1] >= 0x80).all(1) & (varints[:, -1] < 0x80)
            labels[some] = _int32(varints)
        if self.step == 5:
            for places, parts in blocks(values.buffer, np.arange(len(some)), payload, self.payload_bytes):
                alike[places] &= (parts[:, ::5] == _FLOAT_TAG).all(1)
        fits[some] = alike
        payload_starts[some] = payload


def _int32(varints: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Varints of one length, ``(n, bytes)``, as int32: only their low 32 bits count."""
    value = np.zeros(len(varints), np.uint32)
    for place in range(min(varints.shape[1], 5)):
        value |= (varints[:, place] & np.uint8(0x7F)).astype(np.uint32) << np.uint32(7 * place)
    return value.view(np.int32)
