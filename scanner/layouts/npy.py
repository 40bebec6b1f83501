"""Values in numpy's ``.npy`` format.

Equal headers are looked for in the whole batch, so that a set of equal arrays costs a few numpy calls.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...backends.base import RecordBatch
from ...backends.columns import gathered
from ..options import Options
from ..sample import ArrayBlock, Fault, Rows, SampleBatch
from ..values import Unreadable
from ..values.npy import MAGICS, Header, parse_header
from .base import RecordLayout, Traits
from .keys import reserved_rows
from .stacking import blocks

_TEMPLATES = 64
"""Headers that are looked for in the whole batch before records are taken one by one."""


class Npy(RecordLayout):
    """See `RecordLayout`. Arrays that are neither numbers nor bool (text, dates, structures) are only measured."""

    name = "npy"
    title = "NumPy arrays in .npy format as values"
    traits = Traits()

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [bytes(value[:7]) in MAGICS for value in sample.values]

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        decoding = _Decoding(batch, self.options)
        while len(decoding.pending):
            decoding.take()
        return decoding.finish()


class _Decoding:
    """One batch on its way to samples; ``pending`` are the rows that were not looked at yet."""

    def __init__(self, batch: RecordBatch, options: Options) -> None:
        self._batch = batch
        self._options = options
        self.pending: Rows = np.flatnonzero(~reserved_rows(batch.keys))
        self._samples = SampleBatch(batch, self.pending)
        self._sound = np.zeros(len(batch), np.bool_)
        self._tries = _TEMPLATES

    def take(self) -> None:
        """Take the first pending row and, in the first turns, those of the same length and header with it."""
        row = int(self.pending[0])
        value = self._batch.values[row]
        if not len(value):
            self._fail(row, "record-empty", "the value has 0 bytes")
            return
        try:
            header = parse_header(value)
        except Unreadable as error:
            self._fail(row, "record-undecodable", error.reason)
            return
        if header.dtype.hasobject:
            self._fail(row, "record-unsafe-pickle", "an array of objects is a pickle: loading it runs what it names")
            return
        mismatch = header.size_fault(len(value) - header.size)
        if mismatch is not None:
            self._fail(row, "record-size-mismatch", mismatch)
            return
        if not header.payload_bytes:
            self._fail(row, "record-empty", f"an array without elements ({header.text})", severe=False)
            return
        self._take(header, bytes(value[: header.size]), len(value))

    def finish(self) -> SampleBatch:
        rows = np.flatnonzero(self._sound)
        samples = self._samples
        samples.contents, samples.content_rows = self._batch.values.take(rows), rows
        samples.arrays.sort(key=lambda block: int(block.rows[0]))
        samples.faults.sort(key=lambda fault: fault.row or 0)
        return samples

    def _fail(self, row: int, rule: str, message: str, *, severe: bool = True) -> None:
        self._samples.faults.append(Fault(row, rule, message, severe=severe))
        self.pending = self.pending[1:]

    def _take(self, header: Header, written: bytes, length: int) -> None:
        values = self._batch.values
        self._tries -= 1
        same = values.lengths[self.pending] == length
        if self._tries < 0:
            same[1:] = False
        rows = self.pending[same]
        alike = (gathered(values.buffer, values.starts[rows], len(written)) == np.frombuffer(written, np.uint8)).all(1)
        same[same] = alike
        rows = rows[alike]
        self.pending = self.pending[~same]
        self._sound[rows] = True
        if header.dtype.kind not in "biufc":
            return
        for some, part in blocks(values.buffer, rows, values.starts[rows] + header.size, header.payload_bytes):
            arrays = part.view(header.dtype)
            if not arrays.flags.aligned:
                arrays = arrays.copy()
            if header.fortran:
                axes = range(len(header.shape), 0, -1)
                arrays = arrays.reshape(len(some), *header.shape[::-1]).transpose(0, *axes)
            self._samples.arrays.append(ArrayBlock("data", some, arrays.reshape(len(some), *header.shape)))
