"""DIGITS' generic sets: two databases side by side, ``features`` and ``labels``, with the same keys.

Source: ``digits/tools/create_generic_db.py`` of NVIDIA/DIGITS: keys ``%09d``, a Datum of features in one and a Datum of
labels in the other; the keys of both are the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...backends.base import RecordBatch
from ...backends.magic import is_leveldb, is_lmdb
from ..options import Options
from ..sample import LabelBlock, SampleBatch
from .base import Look, RecordLayout, Traits
from .caffe_datum import CaffeDatum
from .datum import is_datum

FOLDERS = {"features": "labels", "labels": "features"}
_KEY = re.compile(rb"[0-9]{9}")


def sibling(path: Path) -> Path | None:
    """The other half's folder, where both are there under their names."""
    if path.name not in FOLDERS:
        return None
    other = path.parent / FOLDERS[path.name]
    return other if is_lmdb(other) or is_leveldb(other) else None


class DigitsPairs(CaffeDatum):
    """See `RecordLayout`. A Datum of ``labels`` is a label: one value is a class or a target, more are an array."""

    name = "digits-pairs"
    title = "DIGITS' generic pairs: a features and a labels database with the same keys"
    traits = Traits(caffe=True, fixed_shape=True)

    def __init__(self, options: Options, labels: bool = False) -> None:
        super().__init__(options)
        self.labels = labels

    @classmethod
    def belongs(cls, look: Look) -> bool:
        """See `RecordLayout.belongs`."""
        return look.path is not None and sibling(look.path) is not None

    @classmethod
    def made_for(cls, options: Options, look: Look) -> RecordLayout:
        """See `RecordLayout.made_for`."""
        return cls(options, look.path is not None and look.path.name == "labels")

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [
            _KEY.fullmatch(bytes(key)) is not None and is_datum(value)
            for key, value in zip(sample.keys, sample.values, strict=True)
        ]

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        samples = super().decode(batch)
        samples.labels = []  # a Datum's own label is not what these nets learn
        if not self.labels:
            return samples
        samples.contents = samples.content_rows = None  # many samples have one label
        single = [block for block in samples.arrays if block.values[:1].size == 1]
        several = [block for block in samples.arrays if block.values[:1].size != 1]
        samples.arrays = [replace(block, axes="", colour=None) for block in several]
        samples.labels = [LabelBlock("label", block.rows, block.values.reshape(len(block.rows))) for block in single]
        return samples
