from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tests.test_layouts.messages import AnnotatedDatum
from tests.test_layouts.records import (
    annotated_datum,
    any_bytes,
    check_shape,
    chunk,
    decode,
    encoded_datum,
    fixed32,
    image_bytes,
    number,
    raw_datum,
    short,
)

from datascan.scanner.layouts.caffe_annotated import SsdAnnotatedDatum

corner = st.floats(0, 1, width=32)
boxes = st.lists(st.tuples(corner, corner, corner, corner), max_size=3)
groups = st.lists(st.tuples(st.integers(-1, 300), boxes), max_size=3)
PICTURE = raw_datum((1, 2, 2), b"abcd", -1)


@given(st.lists(groups, min_size=1, max_size=4))
def test_boxes_are_those_that_protobuf_reads(records: Sequence[list[tuple[int, list[tuple[float, ...]]]]]) -> None:
    values = [annotated_datum(PICTURE, record) for record in records]
    samples = decode(SsdAnnotatedDatum, values)
    check_shape(samples)
    assert samples.faults == []
    expected = []
    for row, value in enumerate(values):
        instance = 0
        for group in AnnotatedDatum.FromString(value).annotation_group:
            for annotation in group.annotation:
                box = annotation.bbox
                expected.append((row, instance, group.group_label, [box.xmin, box.ymin, box.xmax, box.ymax]))
                instance += 1
    found = [
        (int(row), int(instance), int(label), corners.tolist())
        for block in samples.boxes
        for row, instance, label, corners in zip(block.rows, block.instances, block.labels, block.corners, strict=True)
    ]
    assert found == expected
    assert samples.labels == []
    assert sum(len(block.rows) for block in samples.arrays) == len(values)


@given(any_bytes)
def test_any_bytes_give_samples_or_one_record_fault(value: bytes) -> None:
    samples = decode(SsdAnnotatedDatum, [value])
    check_shape(samples)
    try:
        AnnotatedDatum.FromString(value)
    except DecodeError:
        assert short(samples.faults) in ([(0, "record-undecodable")], [(0, "record-empty")])
        assert [samples.arrays, samples.images, samples.boxes] == [[], [], []]


def test_truncated_anywhere_is_one_finding_or_a_shorter_message() -> None:
    value = annotated_datum(PICTURE, [(7, [(0.1, 0.2, 0.3, 0.4)]), (3, [(0.5, 0.5, 0.75, 1)])])
    assert [len(block.rows) for block in decode(SsdAnnotatedDatum, [value]).boxes] == [2]
    for stop in range(len(value)):
        samples = decode(SsdAnnotatedDatum, [value[:stop]])
        assert len(samples.faults) + sum(len(block.rows) for block in samples.arrays) == 1
        if samples.faults:
            assert samples.boxes == []
            assert samples.faults[0].rule == ("record-undecodable" if stop else "record-empty")


@pytest.mark.parametrize(
    ("value", "rule", "message"),
    [
        (b"", "record-empty", "0 bytes"),
        (PICTURE, "record-undecodable", "field 1 where the datum is expected"),
        (chunk(1, PICTURE) * 2, "record-undecodable", "a second datum"),
        (number(2, 0), "record-empty", "neither data nor float_data"),
        (chunk(1, raw_datum((1, 2, 2), b"abc", -1)), "record-size-mismatch", "3 of 4 bytes"),
        (chunk(1, PICTURE) + chunk(3, chunk(2, chunk(2, b"\x0d\x00"))), "record-undecodable", "4 bytes of field 1"),
        (chunk(1, encoded_datum(b"")), "record-empty", "encoded, but data holds no bytes"),
    ],
)
def test_each_kind_of_damage_has_its_own_fault(value: bytes, rule: str, message: str) -> None:
    sound = annotated_datum(PICTURE, [(1, [(0, 0, 1, 1)])])
    samples = decode(SsdAnnotatedDatum, [sound, value, sound])
    assert short(samples.faults) == [(1, rule)]
    assert message in samples.faults[0].message
    assert samples.boxes[0].rows.tolist() == [0, 2]


def test_absent_corners_and_labels_are_zero_and_the_last_occurrence_wins() -> None:
    box = fixed32(3, 0.25) + fixed32(3, 0.5)
    value = chunk(1, PICTURE) + chunk(3, chunk(2, chunk(2, box)) + chunk(2, b"") + number(1, -4))
    (block,) = decode(SsdAnnotatedDatum, [value]).boxes
    assert block.corners.tolist() == [[0, 0, 0.5, 0], [0, 0, 0, 0]]
    assert block.labels.tolist() == [-4, -4]
    assert block.corners.dtype == np.float32


def test_a_picture_without_objects_is_sound_and_its_image_is_looked_at() -> None:
    image = image_bytes(kind="JPEG")
    values = [annotated_datum(encoded_datum(image, -1), []), annotated_datum(encoded_datum(image[:-30], -1), [])]
    samples = decode(SsdAnnotatedDatum, values)
    assert [sample.row for sample in samples.images] == [0, 1]
    assert short(samples.faults) == [(1, "image-truncated")]
    assert samples.contents is not None
    assert bytes(samples.contents[0]) == image
