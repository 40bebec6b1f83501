"""Caffe's Datum records, as ``convert_imageset``, DIGITS and many scripts write them into LMDB and LevelDB."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch
from ..options import Options
from ..sample import Fault, LabelBlock, Rows, SampleBatch
from ..summary.keys import leading_of, trailing_numbers
from . import datum_changes
from .base import RecordLayout, Traits
from .datum import datum_fault, is_datum, parse_datum, unreadable
from .datum_runs import Template
from .keys import reserved_rows
from .payloads import Payloads
from .wire import WireError

DIGITS_KEY = 8
ENOUGH_KEYS = 16
MOST_KEYS = 0.9
"""Digits before the underscore, and how many keys must end in their label before others are held to it."""

_TEMPLATES = 16
"""Templates tried on a batch before the rest is read record by record."""


class CaffeDatum(RecordLayout):
    """See `RecordLayout`. Labels of records without a usable payload are left out: one cause, one finding."""

    name = "caffe-datum"
    title = "Caffe Datum: raw, float or encoded images with a class label"
    traits = Traits(caffe=True, fixed_shape=True, labelled=True)

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [is_datum(value) for value in sample.values]

    changes = frozenset({"image", "turned", "pixels", "label"})

    def image_in(self, key: bytes, value: memoryview) -> tuple[int, int] | None:
        """See `RecordLayout.image_in`."""
        datum = parse_datum(value)
        return datum.data if datum.encoded else None

    def with_image(self, key: bytes, value: memoryview, image: bytes, sides: tuple[int, int, int] | None) -> bytes:
        """See `RecordLayout.with_image`."""
        return datum_changes.with_image(value, image, sides)

    def with_pixels(self, value: memoryview, pixels: NDArray[np.uint8]) -> bytes:
        """See `RecordLayout.with_pixels`."""
        return datum_changes.with_pixels(value, pixels)

    def with_channels(self, value: memoryview, channels: int) -> bytes | None:
        """See `RecordLayout.with_channels`."""
        return datum_changes.with_channels(value, channels)

    def with_label(self, value: memoryview, difference: int) -> bytes | None:
        """See `RecordLayout.with_label`."""
        return datum_changes.with_label(value, difference)

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        decoding = _Decoding(batch, self.options)
        for _ in range(_TEMPLATES):
            rest = decoding.rest()
            if not len(rest):
                break
            decoding.add_alike(int(rest[0]), rest)
        for row in decoding.rest().tolist():
            decoding.add(row)
        return decoding.finish()


class _Decoding:
    """One batch on its way to samples."""

    def __init__(self, batch: RecordBatch, options: Options) -> None:
        self._batch = batch
        self._rows = np.flatnonzero(~reserved_rows(batch.keys))
        self._payloads = Payloads(batch, options)
        self._pending = np.ones(len(batch), np.bool_)
        self._labels = np.zeros(len(batch), np.int32)
        self._labelled = np.zeros(len(batch), np.bool_)
        self._unlabelled = np.zeros(len(batch), np.bool_)

    def rest(self) -> Rows:
        """Sample rows that were not read yet."""
        return self._rows[self._pending[self._rows]]

    def add_alike(self, row: int, rest: Rows) -> None:
        """Read a row, and with it all of ``rest`` that look the same."""
        template = self._template(row)
        if template is not None:
            run = template.matches(self._batch.values, rest)
            self._payloads.add_run(template, run)
            self._pending[run.rows] = False
            if run.labels is None:
                self._unlabelled[run.rows] = True
            else:
                self._labels[run.rows] = run.labels
                self._labelled[run.rows] = True
        if self._pending[row]:
            self.add(row)

    def add(self, row: int) -> None:
        """Read one row by itself."""
        self._pending[row] = False
        value = self._batch.values[row]
        try:
            datum = parse_datum(value)
        except WireError as error:
            self._payloads.faults.append(unreadable(row, "Datum", error))
            return
        if not self._payloads.add(row, value, datum):
            return
        if datum.label is None:
            self._unlabelled[row] = True
        else:
            self._labels[row] = datum.label
            self._labelled[row] = True

    def finish(self) -> SampleBatch:
        samples = SampleBatch(self._batch, self._rows)
        self._payloads.finish(samples)
        rows = np.flatnonzero(self._labelled)
        samples.labels.append(LabelBlock("label", rows, self._labels[rows], np.flatnonzero(self._unlabelled)))
        samples.faults += self._contradictions(samples, rows)
        return samples

    def _contradictions(self, samples: SampleBatch, rows: Rows) -> list[Fault]:
        """Labels that are not the number at the end of a DIGITS key (``%08d_%d``: number and label, create_db.py).

        Only where almost all of the batch's keys end in their labels: elsewhere the number means something else.
        """
        enough = max(ENOUGH_KEYS, MOST_KEYS * len(rows))
        keys = self._batch.keys.take(rows)
        ahead = leading_of(samples)[0][rows]
        if np.count_nonzero((ahead == DIGITS_KEY) & (keys.lengths > DIGITS_KEY + 1)) < enough:
            return []
        behind, numbers = trailing_numbers(keys)
        digits = (ahead == DIGITS_KEY) & (behind > 0) & (keys.lengths == ahead + behind + 1)
        agree = digits & (numbers == self._labels[rows])
        if np.count_nonzero(agree) < enough:
            return []
        odd = np.flatnonzero(digits & ~agree)
        return [
            Fault(
                row,
                "label-contradiction",
                f"label {self._labels[row]}, but the key ends in {number}, as DIGITS writes the label",
                data={"label": int(self._labels[row]), "key_label": number},
            )
            for row, number in zip(rows[odd].tolist(), numbers[odd].tolist(), strict=True)
        ]

    def _template(self, row: int) -> Template | None:
        value = self._batch.values[row]
        try:
            datum = parse_datum(value)
        except WireError:
            return None
        return None if datum_fault(row, value, datum) else Template.of(value, datum)
