from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_layouts.records import any_bytes, batch_of, check_shape, decode, image_bytes, short

from datascan.scanner.layouts.images import EncodedImages
from datascan.scanner.layouts.ocr import Ocr

PNG = image_bytes(1)
JPEG = image_bytes(2, kind="JPEG")


def test_bare_images_are_looked_at_and_reserved_keys_left_out() -> None:
    samples = decode(
        EncodedImages,
        [PNG, b"", JPEG[:-40], b"<html>not found</html>", b"5"],
        [b"256-00000", b"256-00001", b"256-00002", b"256-00003", b"length"],
    )
    check_shape(samples)
    assert samples.sample_rows.tolist() == [0, 1, 2, 3]
    assert short(samples.faults) == [(1, "record-empty"), (2, "image-truncated"), (3, "image-undecodable")]
    assert [image.row for image in samples.images] == [0, 2, 3]
    assert samples.contents is not None
    assert bytes(samples.contents[0]) == PNG


def test_text_recognition_pairs() -> None:
    keys = [
        b"image-000000001",
        b"image-000000002",
        b"label-000000001",
        b"label-000000003",
        b"num-samples",
        b"lexicon-1",
    ]
    samples = decode(Ocr, [PNG, JPEG, b"hello", "wörld".encode(), b"2", b"junk"], keys)
    check_shape(samples)
    assert samples.sample_rows.tolist() == [0, 1]
    assert [(image.row, image.facts.format) for image in samples.images] == [(0, "PNG"), (1, "JPEG")]
    assert [(twins.kind, twins.rows.tolist(), twins.numbers.tolist()) for twins in samples.twins] == [
        ("image", [0, 1], [1, 2]),
        ("label", [2, 3], [1, 3]),
    ]
    (texts,) = samples.texts
    assert (texts.name, texts.rows.tolist()) == ("label", [2, 3])
    assert [bytes(text) for text in texts.texts] == [b"hello", "wörld".encode()]
    assert samples.count_claims == [(4, 2)]
    assert samples.faults == []


def test_both_resolutions_are_looked_at_but_are_one_sample() -> None:
    keys = [b"image_hr-000000001", b"image_lr-000000001", b"label-000000001"]
    samples = decode(Ocr, [PNG, b"", b"text"], keys)
    assert samples.sample_rows.tolist() == [0]
    assert [twins.kind for twins in samples.twins] == ["image_hr", "image_lr", "label"]
    assert short(samples.faults) == [(1, "record-empty")]


@pytest.mark.parametrize(
    ("value", "rule"),
    [(b"", "record-empty"), (b"many", "record-undecodable"), (b"\x80\x04K\x02.", "record-undecodable")],
)
def test_a_count_that_is_no_number_is_a_fault(value: bytes, rule: str) -> None:
    samples = decode(Ocr, [value], [b"num-samples"])
    assert short(samples.faults) == [(0, rule)]
    assert samples.count_claims == []


def test_faults_of_images_come_in_row_order() -> None:
    keys = [b"image-000000001", b"image_hr-000000001", b"image-000000002", b"num-samples"]
    samples = decode(Ocr, [b"x", b"y", b"", b"z"], keys)
    check_shape(samples)
    assert [row for row, _ in short(samples.faults)] == [0, 1, 2, 3]


ocr_keys = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda kind, number: b"%s-%09d" % (kind, number),
        st.sampled_from([b"image", b"label", b"image_lr"]),
        st.integers(0, 5),
    ),
    st.just(b"num-samples"),
)


@given(st.lists(st.tuples(ocr_keys, any_bytes), max_size=5))
def test_any_bytes_give_samples_or_faults(records: list[tuple[bytes, bytes]]) -> None:
    batch_values, keys = [value for _, value in records], [key for key, _ in records]
    for layout in (Ocr, EncodedImages):
        samples = decode(layout, batch_values, keys)
        check_shape(samples)
        assert len(layout.agrees(batch_of(batch_values, keys))) == len(records)
