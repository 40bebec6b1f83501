"""Reads single records again and makes exhibits of them. Runs in a worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from ...backends.base import Batch, RecordBatch, Store
from ..exhibit import Dump, Exhibit, Picture, Plot
from ..fields import fields_of
from ..finding import Finding
from ..layouts.base import Layout, RecordLayout, RowLayout
from ..reader import Reader
from ..render.record import field_text
from ..sample import SampleBatch
from ..stamp import decoding, untouch
from ..worker import Window, open_source, read_window
from .choose import Wanted
from .draw import array_exhibit, picture_of_encoded
from .payload import encoded_image, raw_value

MOST_BYTES = 64 << 20
"""A larger record has no picture."""

SHOWN = 2
"""Pictures of one record."""

FACTS = 3
DUMPED = 64


def exhibits(reader: Reader, wanted: Sequence[Wanted]) -> dict[int, Exhibit]:
    """Exhibits of records by the number of their finding; those that can't be read again are missing."""
    store = open_source(reader.source)
    found: dict[int, Exhibit] = {}
    for _, group in groupby(wanted, key=lambda one: one.partition.ordinal):
        members = list(group)
        records = dict(records_at(store, members))
        for one in members:
            record = records.get(one.position)
            if record is not None and record.size_bytes <= MOST_BYTES:
                exhibit = exhibit_of(reader.layout, record, one)
                if exhibit.shown:
                    found[one.number] = exhibit
    return found


def records_at(store: Store, wanted: Sequence[Wanted]) -> Iterator[tuple[int, Batch]]:
    """Records of one partition by their position, each as a batch of one."""
    partition = wanted[0].partition
    positions = sorted({one.position for one in wanted})
    if partition.table.columns:  # rows: what lies between them is not read
        windows = [Window(position, position + 1, 1) for position in positions]
    else:
        windows = [Window(positions[0], positions[-1] + 1)]
    for window in windows:
        for part in read_window(store, partition, window):
            if isinstance(part, Batch) and len(part):
                for row, position in enumerate(part.positions.tolist()):
                    if position in positions:
                        yield position, part.take(slice(row, row + 1))


def exhibit_of(layout: Layout, record: Batch, wanted: Wanted) -> Exhibit:
    """What a record shows: its image, else its arrays, else its first bytes."""
    try:
        samples = decode(layout, record)
    except MemoryError:
        raise
    except Exception:  # the scan has told of it; the bytes are there all the same
        return Exhibit(dumped(record, wanted.finding))
    facts = tuple(fact_of(field) for field in fields_of(samples))[:FACTS]
    shown: list[Picture | Plot | Dump] = []
    image = encoded_image(samples, wanted.finding.location.dataset)
    if image is not None and (picture := picture_of_encoded(image, wanted.broken_from)) is not None:
        shown.append(picture)
    shown += array_exhibit(samples, wanted.finding, SHOWN - len(shown))
    return Exhibit(tuple(shown) or dumped(record, wanted.finding), facts)


def fact_of(field: Mapping[str, Any]) -> str:
    """What a field holds, in words: ``label 4``, ``JPEG, 64x64, 3 channels (RGB)``."""
    lead = "label " if field["kind"] == "label" else ""
    return lead + field_text(field)


def decode(layout: Layout, record: Batch) -> SampleBatch:
    """The record as a sample, under the supervisor's eyes."""
    position = int(record.positions[0])
    decoding(record.positions, position, position + 1, 0, 0)
    try:
        if isinstance(record, RecordBatch):
            assert isinstance(layout, RecordLayout)
            return layout.decode(record)
        assert isinstance(layout, RowLayout)
        return layout.decode(record)
    finally:
        untouch()


def dumped(record: Batch, finding: Finding) -> tuple[Dump, ...]:
    """The first bytes of a value."""
    value = raw_value(record, finding.location.dataset)
    return () if value is None else (Dump(value[:DUMPED], len(value)),)
