"""Text recognition sets: ``image-%09d`` and ``label-%09d`` from 1, and ``num-samples``.

Source: ``create_lmdb_dataset.py`` of clovaai/deep-text-recognition-benchmark, which PaddleOCR, MMOCR and PARSeq follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...backends.base import RecordBatch
from ..sample import Fault, SampleBatch, TextBlock, TwinBlock
from .base import RecordLayout, Traits
from .images import add_images
from .keys import twin_key

_SAMPLE_KINDS = ("image", "image_hr")
"""One of these stands for the sample; ``image_lr`` is the same sample once more."""

_NUMBERED = re.compile(rb"(.+)-([0-9]{9})", re.DOTALL)
_COUNT_KEY = b"num-samples"
_COUNT = re.compile(rb"\s*([0-9]{1,18})\s*")


class Ocr(RecordLayout):
    """See `RecordLayout`. Keys of other kinds (``lexicon-``, ``ratio-``) belong to the set and are not judged."""

    name = "ocr"
    title = "Text recognition: image-%09d, label-%09d, num-samples"
    traits = Traits()

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [twin_key(bytes(key)) is not None for key in sample.keys]

    changes = frozenset({"image", "turned"})
    in_parts = True

    def sample_number(self, key: bytes) -> int | None:
        """See `RecordLayout.sample_number`; other kinds of keys (``lexicon-``) have the number of their sample too."""
        match = _NUMBERED.fullmatch(key)
        return int(match[2]) if match else None

    def with_number(self, key: bytes, number: int) -> bytes:
        """See `RecordLayout.with_number`."""
        match = _NUMBERED.fullmatch(key)
        return key if match is None else b"%s-%09d" % (match[1], number)

    def image_in(self, key: bytes, value: memoryview) -> tuple[int, int] | None:
        """See `RecordLayout.image_in`."""
        twin = twin_key(key)
        return (0, len(value)) if twin is not None and twin[0] != "label" else None

    def with_image(self, key: bytes, value: memoryview, image: bytes, sides: tuple[int, int, int] | None) -> bytes:
        """See `RecordLayout.with_image`."""
        return image

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        by_kind: dict[str, list[tuple[int, int]]] = {}
        samples = SampleBatch(batch, np.empty(0, np.int64))
        for row, key in enumerate(map(bytes, batch.keys)):
            twin = twin_key(key)
            if twin is not None:
                by_kind.setdefault(twin[0], []).append((row, twin[1]))
            elif key == _COUNT_KEY:
                _add_claim(samples, row, batch.values[row])
        for kind, found in sorted(by_kind.items()):
            rows = np.array([row for row, _ in found], np.int64)
            samples.twins.append(TwinBlock(kind, rows, np.array([number for _, number in found], np.int64)))
            if kind == "label":
                samples.texts.append(TextBlock("label", rows, batch.values.take(rows)))
            else:
                add_images(samples, batch, rows, self.options)
        samples.images.sort(key=lambda image: image.row)
        samples.faults.sort(key=lambda fault: fault.row or 0)
        samples.sample_rows = np.array(
            sorted(row for kind in _SAMPLE_KINDS for row, _ in by_kind.get(kind, ())), np.int64
        )
        held = samples.sample_rows[batch.values.lengths[samples.sample_rows] > 0]
        samples.contents, samples.content_rows = batch.values.take(held), held
        return samples


def _add_claim(samples: SampleBatch, row: int, value: memoryview) -> None:
    count = _COUNT.fullmatch(value)
    if count is not None:
        samples.count_claims.append((row, int(count[1])))
    elif not len(value):
        samples.faults.append(Fault(row, "record-empty", "num-samples holds no number"))
    else:
        shown = bytes(value[:32])
        samples.faults.append(Fault(row, "record-undecodable", f"num-samples is not an ASCII number: {shown!r}"))
