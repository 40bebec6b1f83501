"""Records as their writers make them: a hand encoder of the wire format, batches laid out in several ways."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from datascan.backends.base import RecordBatch, Table
from datascan.backends.columns import BytesColumn
from datascan.scanner.layouts.base import RecordLayout
from datascan.scanner.options import Options
from datascan.scanner.sample import Fault, SampleBatch


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | 0x80 if value else byte)
        if not value:
            return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def fixed32(field: int, *values: float) -> bytes:
    return b"".join(varint(field << 3 | 5) + struct.pack("<f", value) for value in values)


def dims(channels: int, height: int, width: int) -> bytes:
    return number(1, channels) + number(2, height) + number(3, width)


def raw_datum(shape: tuple[int, int, int], data: bytes, label: int | None = 0) -> bytes:
    """As ``convert_imageset`` writes it: the encoded flag is always there."""
    return dims(*shape) + chunk(4, data) + (b"" if label is None else number(5, label)) + number(7, 0)


def encoded_datum(image: bytes, label: int | None = 0) -> bytes:
    return chunk(4, image) + (b"" if label is None else number(5, label)) + number(7, 1)


def annotated_datum(datum: bytes, groups: Sequence[tuple[int, Sequence[Sequence[float]]]]) -> bytes:
    """``groups`` are ``(group_label, boxes)``."""
    out = chunk(1, datum) + number(2, 0)
    for label, boxes in groups:
        annotations = b"".join(
            chunk(2, number(1, i) + chunk(2, b"".join(fixed32(1 + j, corner) for j, corner in enumerate(box))))
            for i, box in enumerate(boxes)
        )
        out += chunk(3, number(1, label) + annotations)
    return out


def image_bytes(seed: int = 0, size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    import io

    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


def batch_of(
    values: Sequence[bytes], keys: Sequence[bytes] | None = None, gaps: Sequence[int] | None = None
) -> RecordBatch:
    """A batch whose values lie in one buffer with ``gaps`` (cycled) bytes of something else before each."""
    keys = keys if keys is not None else [b"%08d" % i for i in range(len(values))]
    gaps = gaps or [0]
    pieces: list[bytes] = []
    starts: list[int] = []
    size = 0
    for i, value in enumerate(values):
        gap = gaps[i % len(gaps)]
        pieces += [b"\x35" * gap, value]
        starts.append(size + gap)
        size += gap + len(value)
    buffer = np.frombuffer(b"".join(pieces), np.uint8)
    lengths = np.array([len(value) for value in values], np.int64)
    return RecordBatch(
        Table(),
        np.arange(len(values)),
        BytesColumn.from_strings(keys),
        BytesColumn(buffer, np.array(starts, np.int64), lengths),
    )


def decode(layout: type[RecordLayout], values: Sequence[bytes], keys: Sequence[bytes] | None = None) -> SampleBatch:
    return layout(Options()).decode(batch_of(values, keys))


def short(faults: Sequence[Fault]) -> list[tuple[int | None, str]]:
    return [(fault.row, fault.rule) for fault in faults]


def flatten(samples: SampleBatch) -> list[tuple[object, ...]]:
    """All that a batch gives, record by record, however it is cut into blocks."""
    out: list[tuple[object, ...]] = []
    for block in samples.arrays:
        for row, values in zip(block.rows.tolist(), block.values, strict=True):
            out.append(
                (row, "array", block.name, block.axes, block.colour, str(values.dtype), values.shape, values.tobytes())
            )
    out += [(image.row, "image", image.facts.format, image.facts.width, image.facts.height) for image in samples.images]
    for labels in samples.labels:
        out += [(row, "label", int(v)) for row, v in zip(labels.rows.tolist(), labels.values, strict=True)]
        out += [(row, "missing") for row in labels.missing.tolist()]
    if samples.contents is not None and samples.content_rows is not None:
        pairs = zip(samples.content_rows.tolist(), samples.contents, strict=True)
        out += [(row, "content", bytes(content)) for row, content in pairs]
    out += [(fault.row, "fault", fault.rule, fault.message, fault.severe) for fault in samples.faults]
    return sorted(out, key=lambda entry: (entry[0], entry[1], str(entry[2:])))


def check_shape(samples: SampleBatch) -> None:
    """What every decoded batch promises: rows inside the batch and ascending, blocks of matching sizes."""
    n = len(samples.batch)
    columns = [samples.sample_rows, *(block.rows for block in samples.arrays)]
    columns += [labels.rows for labels in samples.labels] + [twins.rows for twins in samples.twins]
    columns += [] if samples.content_rows is None else [samples.content_rows]
    for rows in columns:
        assert rows.dtype == np.int64
        assert not len(rows) or (rows[0] >= 0 and rows[-1] < n and bool((np.diff(rows) > 0).all()))
    for block in samples.arrays:
        assert len(block.rows) == len(block.values) > 0
    fault_rows = [fault.row for fault in samples.faults if fault.row is not None]
    assert fault_rows == sorted(fault_rows)
    assert all(0 <= row < n for row in fault_rows)


any_bytes = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.one_of(
            st.builds(number, st.integers(1, 9), st.integers(-2, 300)),
            st.builds(chunk, st.integers(1, 9), st.binary(max_size=16)),
            st.builds(lambda field, values: fixed32(field, *values), st.integers(1, 9), st.lists(st.floats(width=32))),
            st.binary(max_size=3),
        ),
        max_size=8,
    ).map(b"".join),
)
"""Bytes of which a good share gets past the first checks of a wire parser."""
