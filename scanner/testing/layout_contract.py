"""What every layout of key-value records promises: its test inherits `LayoutContract` and gives sound records."""

from __future__ import annotations

import pickle
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest

from ...backends.base import RecordBatch, Table
from ...backends.columns import BytesColumn
from ..layouts import record_layouts
from ..layouts.base import ACCEPT, Look, RecordLayout
from ..layouts.choose import choose_among, needed
from ..options import Options
from ..rules import instantiate, known_rules
from ..rules.base import Context
from ..sample import SampleBatch
from ..summary import Summary


def records(pairs: Sequence[tuple[bytes, bytes]]) -> RecordBatch:
    """Records as a batch, in the order of their keys, as stores give them."""
    ordered = sorted(pairs)
    return RecordBatch(
        Table(),
        np.arange(len(ordered), dtype=np.int64),
        BytesColumn.from_strings([key for key, _ in ordered]),
        BytesColumn.from_strings([value for _, value in ordered]),
    )


class LayoutContract(ABC):
    """Tests that hold for every `RecordLayout`."""

    layout: ClassVar[type[RecordLayout]]
    reserved: ClassVar[Sequence[tuple[bytes, bytes]]] = ()
    """Reserved keys that a set of this layout needs beside its samples, with their values."""

    @abstractmethod
    def pairs(self) -> Sequence[tuple[bytes, bytes]]:
        """At least 16 sound samples: key and value, as the layout's writers write them."""

    @pytest.fixture
    def sound(self) -> RecordBatch:
        """The samples as a batch."""
        return records(self.pairs())

    def look(self, sample: RecordBatch) -> Look:
        """What the layout is recognised by."""
        return Look(sample, dict(self.reserved))

    def made(self, sample: RecordBatch) -> RecordLayout:
        """The layout for a set of these samples."""
        return self.layout.made_for(Options(), self.look(sample))

    def test_it_has_a_name_and_a_title(self) -> None:
        assert self.layout.name == self.layout.name.lower()
        assert " " not in self.layout.name
        assert self.layout.title

    def test_sound_records_agree(self, sound: RecordBatch) -> None:
        assert len(sound) >= 16
        assert self.layout.belongs(self.look(sound))
        assert all(self.layout.agrees(sound))

    def test_a_set_of_them_is_recognised_as_this_layout(self, sound: RecordBatch) -> None:
        if self.layout.name not in record_layouts():
            pytest.skip("the layout is not installed as a plug-in")
        assert choose_among(self.look(sound), Options()).layout.name == self.layout.name

    def test_random_bytes_do_not_agree(self) -> None:
        source = random.Random(11)
        noise = records([(b"%08d" % i, source.randbytes(source.randrange(1, 64))) for i in range(2000)])
        assert sum(self.layout.agrees(noise)) <= 2

    def test_empty_values_do_not_agree(self) -> None:
        assert not any(self.layout.agrees(records([(b"%08d" % i, b"") for i in range(16)])))

    def test_sound_records_become_samples_without_a_fault(self, sound: RecordBatch) -> None:
        samples = self.made(sound).decode(sound)
        assert samples.faults == []
        assert len(samples.sample_rows) > 0
        check_consistency(samples)

    def test_values_cut_anywhere_give_a_sample_or_a_fault_never_an_exception(self, sound: RecordBatch) -> None:
        layout = self.made(sound)
        key, value = bytes(sound.keys[0]), bytes(sound.values[0])
        for length in sorted({*range(min(len(value), 64)), *range(0, len(value), max(len(value) // 64, 1))}):
            cut = records([(key, value[:length])])
            assert len(self.layout.agrees(cut)) == 1
            check_consistency(layout.decode(cut))

    def test_flipped_bytes_give_a_sample_or_a_fault_never_an_exception(self, sound: RecordBatch) -> None:
        layout, source = self.made(sound), random.Random(7)
        key, value = bytes(sound.keys[-1]), bytes(sound.values[-1])
        for _ in range(200):
            changed = bytearray(value)
            for _ in range(source.randint(1, 4)):
                changed[source.randrange(len(changed))] ^= source.randint(1, 255)
            check_consistency(layout.decode(records([(key, bytes(changed))])))

    def test_noise_in_a_tenth_of_the_records_does_not_hide_the_layout(self, sound: RecordBatch) -> None:
        sample = sound.take(slice(0, 16))
        agreed = list(self.layout.agrees(sample))
        agreed[3] = False
        assert sum(agreed) >= needed(16) == 16 * ACCEPT

    def test_batches_decode_as_their_parts_do(self, sound: RecordBatch) -> None:
        layout = self.made(sound)
        whole = Summary(Options())
        whole.add(layout.decode(sound))
        parts = Summary(Options())
        for start, stop in pairwise([0, 1, 5, len(sound)]):
            part = sound.take(slice(start, stop))
            for piece in layout.pieces(part):
                parts.add(layout.decode(piece))
        assert parts.samples == whole.samples
        assert parts.shapes.statistics() == whole.shapes.statistics()

    def test_rules_take_what_it_gives(self, sound: RecordBatch) -> None:
        samples = self.made(sound).decode(sound)
        rules = instantiate(
            [rule.name for rule in known_rules()], Context(Options(), self.layout.name, "lmdb", self.layout.traits)
        )
        found = [finding for rule in rules if rule.not_run() is None for finding in rule.check(samples)]
        assert found == []

    def test_it_travels_to_workers(self, sound: RecordBatch) -> None:
        sent = pickle.dumps(self.made(sound))
        assert len(sent) < 20_000
        again = pickle.loads(sent)
        assert type(again) is self.layout
        assert again.decode(sound).faults == []


def check_consistency(samples: SampleBatch) -> None:
    """Whether every part of a decoded batch fits the batch."""
    count = len(samples.batch)
    for name, rows in _rows_of(samples):
        assert rows.dtype == np.int64, name
        assert not len(rows) or 0 <= int(rows.min()) <= int(rows.max()) < count, name
    for block in samples.arrays:
        assert len(block.rows) == len(block.values), block.name
    for label in samples.labels:
        assert len(label.rows) == len(label.values), label.name
    assert (samples.contents is None) == (samples.content_rows is None)
    if samples.contents is not None and samples.content_rows is not None:
        assert len(samples.contents) == len(samples.content_rows)


def _rows_of(samples: SampleBatch) -> Iterator[tuple[str, np.ndarray]]:
    yield "sample_rows", samples.sample_rows
    yield from ((block.name, block.rows) for block in samples.arrays)
    yield from ((block.name, block.rows) for block in samples.labels)
    yield from ((block.name, block.rows) for block in samples.texts)
    yield from ((block.kind, block.rows) for block in samples.twins)
    yield "faults", np.array([fault.row for fault in samples.faults if fault.row is not None], np.int64)
    yield "images", np.array([image.row for image in samples.images], np.int64)
