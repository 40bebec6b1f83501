"""Image sets of rosinality's StyleGAN code: every image at several sizes, under ``256-00000``, and ``length``.

Source: ``prepare_data.py`` of rosinality/stylegan2-pytorch: keys ``f"{size}-{str(i).zfill(5)}"`` from 0, and the number
of images under ``length``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...backends.base import RecordBatch
from ..images import sniff_format
from ..options import Options
from ..sample import Fault, SampleBatch, TwinBlock
from .base import Look, RecordLayout, Traits
from .images import add_images
from .reserved import DIGITS

_KEY = re.compile(rb"([1-9][0-9]{0,4})-([0-9]{5,9})")
_LENGTH = b"length"


def sized_key(key: bytes) -> tuple[int, int] | None:
    """Size and number of a key, ``None`` for any other."""
    match = _KEY.fullmatch(key)
    return (int(match[1]), int(match[2])) if match else None


class StyleGan(RecordLayout):
    """See `RecordLayout`. The largest size that was sampled stands for the sample, of which others are copies."""

    name = "stylegan"
    title = "StyleGAN image sets: SIZE-NUMBER keys with several sizes of each image, length"
    traits = Traits(key_numbers=True)
    in_parts = True
    first_number = 0

    def __init__(self, options: Options, largest: int = 0) -> None:
        super().__init__(options)
        self.largest = largest

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """See `RecordLayout.belongs`."""
        return _LENGTH in look.reserved

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [
            sized_key(bytes(key)) is not None and sniff_format(value) is not None
            for key, value in zip(sample.keys, sample.values, strict=True)
        ]

    @classmethod
    def made_for(cls, options: Options, look: Look) -> RecordLayout:
        """See `RecordLayout.made_for`."""
        sizes = [sized[0] for key in look.sample.keys if (sized := sized_key(bytes(key)))]
        return cls(options, max(sizes, default=0))

    def sample_number(self, key: bytes) -> int | None:
        """See `RecordLayout.sample_number`."""
        sized = sized_key(key)
        return None if sized is None else sized[1]

    def with_number(self, key: bytes, number: int) -> bytes:
        """See `RecordLayout.with_number`."""
        sized = sized_key(key)
        return key if sized is None else b"%d-%05d" % (sized[0], number)

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        samples = SampleBatch(batch, np.empty(0, np.int64))
        by_size: dict[int, list[tuple[int, int]]] = {}
        for row, key in enumerate(map(bytes, batch.keys)):
            sized = sized_key(key)
            if sized is not None:
                by_size.setdefault(sized[0], []).append((row, sized[1]))
            elif key == _LENGTH:
                self._claim(samples, row, bytes(batch.values[row]))
        for size, found in sorted(by_size.items()):
            rows = np.array([row for row, _ in found], np.int64)
            samples.twins.append(TwinBlock(str(size), rows, np.array([number for _, number in found], np.int64)))
            first = len(samples.images)
            add_images(samples, batch, rows, self.options)
            for place, image in enumerate(samples.images[first:], first):
                facts = image.facts
                if size != self.largest:  # an array of its own, with a shape of its own
                    samples.images[place] = replace(image, dataset=str(size))
                if not facts.faults and facts.width and facts.height and min(facts.width, facts.height) != size:
                    message = f"the key says {size}, the image is {facts.width}x{facts.height} (width x height)"
                    samples.faults.append(Fault(image.row, "record-size-mismatch", message, severe=False))
        samples.images.sort(key=lambda image: image.row)
        samples.faults.sort(key=lambda fault: fault.row or 0)
        samples.sample_rows = np.array([row for row, _ in by_size.get(self.largest, ())], np.int64)
        held = samples.sample_rows[batch.values.lengths[samples.sample_rows] > 0]
        samples.contents, samples.content_rows = batch.values.take(held), held
        return samples

    @staticmethod
    def _claim(samples: SampleBatch, row: int, value: bytes) -> None:
        count = DIGITS.fullmatch(value)
        if count is not None:
            samples.count_claims.append((row, int(count[1])))
        else:
            message = f"length is not an ASCII number: {value[:32]!r}"
            samples.faults.append(Fault(row, "record-undecodable", message))
