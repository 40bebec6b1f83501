"""Bare encoded images as values, as LSUN, BasicSR and StyleGAN sets hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...backends.base import RecordBatch
from ..images import inspect_image, sniff_format
from ..options import Options
from ..sample import Fault, ImageSample, Rows, SampleBatch, Seen
from ..stamp import touch
from .base import RecordLayout, Traits
from .keys import reserved_rows, twin_key


class EncodedImages(RecordLayout):
    """See `RecordLayout`. Keys are names or hashes, so their numbers mean nothing."""

    name = "encoded-images"
    title = "Encoded images as bare values (LSUN, BasicSR, StyleGAN sets)"
    traits = Traits(key_numbers=False)

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [
            sniff_format(value) is not None and twin_key(bytes(key)) is None
            for key, value in zip(sample.keys, sample.values, strict=True)
        ]

    changes = frozenset({"image", "turned"})

    def image_in(self, key: bytes, value: memoryview) -> tuple[int, int] | None:
        """See `RecordLayout.image_in`."""
        return 0, len(value)

    def with_image(self, key: bytes, value: memoryview, image: bytes, sides: tuple[int, int, int] | None) -> bytes:
        """See `RecordLayout.with_image`."""
        return image

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        rows = np.flatnonzero(~reserved_rows(batch.keys))
        samples = SampleBatch(batch, rows)
        add_images(samples, batch, rows, self.options)
        held = rows[batch.values.lengths[rows] > 0]
        samples.contents, samples.content_rows = batch.values.take(held), held
        return samples


def add_images(samples: SampleBatch, batch: RecordBatch, rows: Rows, options: Options) -> None:
    """Look at the values of some rows as images; the faults get their rows."""
    seen = Seen()
    for row in rows.tolist():
        value = batch.values[row]
        if not len(value):
            samples.faults.append(Fault(row, "record-empty", "the value has 0 bytes"))
            continue
        touch(row)
        facts = inspect_image(value, options, seen)
        samples.images.append(ImageSample(row, facts))
        samples.faults += [replace(fault, row=row) for fault in facts.faults]
