from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_layouts.messages import Datum
from tests.test_layouts.records import (
    any_bytes,
    batch_of,
    check_shape,
    chunk,
    decode,
    dims,
    encoded_datum,
    fixed32,
    flatten,
    image_bytes,
    number,
    raw_datum,
    short,
    varint,
)

from datascan.backends.columns import BytesColumn
from datascan.scanner.layouts.caffe_datum import CaffeDatum
from datascan.scanner.options import Options
from datascan.scanner.sample import SampleBatch

labels = st.one_of(st.none(), st.integers(-2, 3), st.sampled_from([127, 128, 1000, 1 << 30, -(1 << 31)]))
shapes = st.tuples(st.sampled_from([1, 3]), st.integers(1, 3), st.integers(1, 3))


@st.composite
def sound_datums(draw: st.DrawFn) -> tuple[bytes, object]:
    """A Datum and the protobuf message that says what is in it; floats packed and not."""
    shape, label = draw(shapes), draw(labels)
    message = Datum(channels=shape[0], height=shape[1], width=shape[2])
    count = shape[0] * shape[1] * shape[2]
    if label is not None:
        message.label = label
    if draw(st.booleans()):
        message.encoded = False
    kind = draw(st.sampled_from(["data", "unpacked", "packed"]))
    if kind == "data":
        message.data = draw(st.binary(min_size=count, max_size=count))
        return message.SerializeToString(), message
    floats = draw(st.lists(st.floats(width=32, allow_nan=False), min_size=count, max_size=count))
    if kind == "packed":
        value = message.SerializeToString() + chunk(6, struct.pack(f"<{count}f", *floats))
        message.float_data.extend(floats)
        return value, message
    message.float_data.extend(floats)
    return message.SerializeToString(), message


@given(st.lists(sound_datums(), min_size=1, max_size=12), st.sampled_from([[0], [3], [0, 5, 2]]))
def test_sound_datums_give_what_protobuf_reads(datums: Sequence[tuple[bytes, Datum]], gaps: list[int]) -> None:
    samples = CaffeDatum(Options()).decode(batch_of([value for value, _ in datums], gaps=gaps))
    check_shape(samples)
    assert samples.faults == []
    found: dict[int, np.ndarray] = {}
    for block in samples.arrays:
        assert (block.name, block.axes) == ("data", "CHW")
        assert block.colour == {3: "BGR", 1: "GREY"}[block.shape[0]]
        found.update(zip(block.rows.tolist(), block.values, strict=True))
    (held,) = samples.labels
    by_row = dict(zip(held.rows.tolist(), held.values.tolist(), strict=True))
    for row, (_, message) in enumerate(datums):
        shape = (message.channels, message.height, message.width)
        expected = np.frombuffer(message.data, np.uint8) if message.data else np.array(message.float_data, np.float32)
        assert found[row].dtype == expected.dtype
        assert np.array_equal(found[row], expected.reshape(shape))
        assert by_row.get(row) == (message.label if message.HasField("label") else None)
        assert (row in held.missing) == (row not in by_row)


odd_datums = st.one_of(
    sound_datums().map(lambda pair: pair[0]),
    any_bytes,
    st.sampled_from(
        [
            b"",
            raw_datum((1, 2, 2), bytes(3)),
            raw_datum((1, 2, 2), bytes(4))[:-1],
            number(5, 7) + raw_datum((1, 2, 2), b"abcd", 3),
            raw_datum((1, 2, 2), b"wxyz", 3) + number(5, 9),
            chunk(4, b"abcd") + dims(1, 2, 2),
            number(9, 1) + raw_datum((1, 2, 2), b"abcd"),
            dims(1, 2, 2) + fixed32(6, 1, 2) + chunk(6, struct.pack("<f", 3)) + fixed32(6, 4),
            dims(1, 2, 2) + fixed32(6, 1, 2, 3, 4) + number(5, 300),
            dims(1, 2, 2) + fixed32(6, 1, 2, 3) + chunk(5, b"abc"),
            dims(1, 2, 2) + varint(5 << 3) + b"\x81\x00" + chunk(4, b"abcd"),
        ]
    ),
)


@given(st.lists(odd_datums, max_size=24), st.sampled_from([[0], [4], [1, 7, 0]]))
def test_a_batch_gives_what_its_records_give_alone(values: list[bytes], gaps: list[int]) -> None:
    layout = CaffeDatum(Options())
    batch = batch_of(values, gaps=gaps)
    together = layout.decode(batch)
    check_shape(together)
    alone: list[tuple[object, ...]] = []
    for row, value in enumerate(values):
        alone += [(row, *entry[1:]) for entry in flatten(layout.decode(batch_of([value])))]
    assert flatten(together) == sorted(alone, key=lambda entry: (entry[0], entry[1], str(entry[2:])))


@given(st.lists(any_bytes, max_size=6))
def test_any_bytes_give_samples_or_faults(values: list[bytes]) -> None:
    samples = decode(CaffeDatum, values)
    check_shape(samples)
    rows = [row for block in samples.arrays for row in block.rows.tolist()]
    rows += [image.row for image in samples.images]
    assert sorted({*rows, *(row for row, _ in short(samples.faults))}) == list(range(len(values)))


@pytest.mark.parametrize(
    "value",
    [
        raw_datum((3, 2, 2), bytes(range(1, 13)), 300),
        dims(1, 2, 2) + number(5, 300) + fixed32(6, 1, 2, 3, 4) + number(7, 0),
        dims(1, 2, 2) + number(5, 300) + chunk(6, struct.pack("<4f", 1, 2, 3, 4)) + number(7, 0),
    ],
)
def test_truncated_anywhere_is_one_finding_or_a_whole_payload(value: bytes) -> None:
    sound = decode(CaffeDatum, [value])
    for stop in range(len(value)):
        samples = decode(CaffeDatum, [value, value[:stop], value])
        assert [row for row, _ in short(samples.faults)] == [1] * len(samples.faults)
        held = [values.tobytes() for block in samples.arrays for values in block.values]
        # A cut between two fields behind the payload leaves a shorter message that is whole.
        assert (len(samples.faults), len(held)) in ((1, 2), (0, 3))
        assert set(held) == {sound.arrays[0].values[0].tobytes()}
        if samples.faults:
            (fault,) = samples.faults
            assert fault.rule in ("record-undecodable", "record-size-mismatch", "record-empty")
            assert (fault.rule == "record-undecodable") == (fault.offset is not None)
            assert 1 not in [*samples.labels[0].rows, *samples.labels[0].missing]


JPEG = image_bytes(kind="JPEG")
PNG = image_bytes()


@pytest.mark.parametrize(
    ("value", "rule", "message"),
    [
        (b"", "record-empty", "the value has 0 bytes"),
        (b"not a datum, just some text", "record-undecodable", "not a whole Datum"),
        (
            raw_datum((3, 32, 32), bytes(3072))[:1500],
            "record-undecodable",
            "declares 3072 bytes, 1491 are left",
        ),
        (dims(3, 32, 32) + number(5, 1), "record-empty", "neither data nor float_data"),
        (raw_datum((3, 32, 32), b""), "record-empty", "neither data nor float_data"),
        (dims(3, 32, 32) + chunk(6, b""), "record-empty", "neither data nor float_data"),
        (encoded_datum(b""), "record-empty", "encoded, but data holds no bytes"),
        (dims(1, 1, 1) + fixed32(6, 1) + number(7, 1), "record-empty", "encoded, but data holds no bytes"),
        (raw_datum((3, 32, 32), bytes(1000)), "record-size-mismatch", "data holds 1000 of 3072 bytes (3x32x32)"),
        (raw_datum((3, 2, 2), bytes(13)), "record-size-mismatch", "data holds 13 bytes instead of 12 (3x2x2)"),
        (raw_datum((3, 2, -2), bytes(12)), "record-size-mismatch", "instead of 0 (3x2x-2)"),
        (raw_datum((-1, 2, -2), bytes(4)), "record-size-mismatch", "instead of 0 (-1x2x-2)"),
        (chunk(4, bytes(12)), "record-size-mismatch", "data holds 12 bytes, but no dimensions are declared"),
        (
            dims(3, 16, 16) + fixed32(6, *[0.5] * 400),
            "record-size-mismatch",
            "float_data holds 400 of 768 floats (3x16x16)",
        ),
        (chunk(4, JPEG) + number(5, 1), "record-size-mismatch", "a whole JPEG image, but the encoded flag is lost"),
        (raw_datum((3, 8, 8), PNG), "record-size-mismatch", "it would be read as 3x8x8 pixels"),
        (dims(1, 2, 2) + chunk(6, bytes(15)), "record-undecodable", "15 bytes, which is no multiple of 4"),
        (
            chunk(1, raw_datum((1, 2, 2), bytes(4))) + number(2, 0),
            "record-undecodable",
            "field 1 (length-delimited) at byte 0",
        ),
    ],
)
def test_each_kind_of_damage_has_its_own_fault(value: bytes, rule: str, message: str) -> None:
    sound = raw_datum((3, 2, 2), bytes(12), 4)
    samples = decode(CaffeDatum, [sound, value, sound])
    assert short(samples.faults) == [(1, rule)]
    assert message in samples.faults[0].message
    assert samples.labels[0].rows.tolist() == [0, 2]
    assert samples.labels[0].missing.tolist() == []
    assert samples.sample_rows.tolist() == [0, 1, 2]
    assert samples.content_rows is not None
    assert samples.content_rows.tolist() == [0, 2]


def test_a_size_mismatch_carries_its_numbers() -> None:
    (fault,) = decode(CaffeDatum, [raw_datum((3, 32, 32), bytes(1000))]).faults
    assert fault.data == {"shape": [3, 32, 32], "expected": 3072, "found": 1000, "unit": "bytes"}


def test_the_last_occurrence_of_a_field_wins() -> None:
    value = dims(9, 9, 9) + chunk(4, b"old") + number(5, 1) + raw_datum((1, 2, 2), b"abcd", -5)
    samples = decode(CaffeDatum, [value])
    assert samples.arrays[0].values.tobytes() == b"abcd"
    assert samples.labels[0].values.tolist() == [-5]


def test_data_wins_over_float_data_unless_it_is_empty() -> None:
    both = raw_datum((1, 1, 2), b"ab") + fixed32(6, 7, 8)
    only_floats = raw_datum((1, 1, 2), b"") + fixed32(6, 7, 8)
    samples = decode(CaffeDatum, [both, only_floats])
    assert [(block.rows.tolist(), block.values.ravel().tolist()) for block in samples.arrays] == [
        ([0], [97, 98]),
        ([1], [7.0, 8.0]),
    ]


def test_floats_written_in_pieces_keep_their_order() -> None:
    value = dims(1, 2, 3) + fixed32(6, 1, 2) + number(5, 3) + chunk(6, struct.pack("<2f", 3, 4)) + fixed32(6, 5, 6)
    assert decode(CaffeDatum, [value]).arrays[0].values.ravel().tolist() == [1, 2, 3, 4, 5, 6]


def test_encoded_datums_are_looked_at_as_images() -> None:
    values = [encoded_datum(JPEG, 1), encoded_datum(PNG, 2), encoded_datum(JPEG[:-40], 3), encoded_datum(b"junk" * 9)]
    samples = decode(CaffeDatum, values)
    assert [(image.row, image.facts.format) for image in samples.images][:2] == [(0, "JPEG"), (1, "PNG")]
    assert short(samples.faults) == [(2, "image-truncated"), (3, "image-undecodable")]
    assert samples.labels[0].values.tolist() == [1, 2, 3, 0]
    assert samples.contents is not None
    assert bytes(samples.contents[0]) == JPEG


@pytest.mark.parametrize(
    ("declared", "expected"), [((3, 8, 8), []), ((1, 8, 8), []), ((0, 0, 0), []), ((3, 8, 9), [0])]
)
def test_declared_dimensions_of_an_image_are_compared_with_its_own(
    declared: tuple[int, int, int], expected: list[int]
) -> None:
    samples = decode(CaffeDatum, [dims(*declared) + encoded_datum(PNG)])
    assert [(f.row, f.rule, f.severe) for f in samples.faults] == [(r, "record-size-mismatch", False) for r in expected]


def test_a_rotated_image_may_declare_the_size_that_it_is_shown_in() -> None:
    import io

    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.effect_noise((16, 24), 50).convert("RGB").save(out, "JPEG", exif=exif)
    samples = decode(CaffeDatum, [dims(3, 16, 24) + encoded_datum(out.getvalue())])
    assert samples.images[0].facts.orientation == 6
    assert "record-size-mismatch" not in [rule for _, rule in short(samples.faults)]


def test_equal_payloads_are_equal_contents_whatever_the_label() -> None:
    values = [raw_datum((1, 2, 2), b"abcd", 1), raw_datum((1, 2, 2), b"abcd", 2), raw_datum((1, 2, 2), b"abce", 1)]
    contents = decode(CaffeDatum, values).contents
    assert contents is not None
    assert [bytes(content) for content in contents] == [b"abcd", b"abcd", b"abce"]


def test_reserved_keys_are_no_samples() -> None:
    values = [raw_datum((1, 1, 1), b"a"), b"\x80\x04K\x02."]
    samples = decode(CaffeDatum, values, [b"00000000", b"__len__"])
    assert samples.sample_rows.tolist() == [0]
    assert samples.faults == []


def memory(values: np.ndarray) -> tuple[int, int]:
    return np.lib.array_utils.byte_bounds(values)


def shares(samples: SampleBatch, column: BytesColumn) -> list[bool]:
    low, high = memory(column.buffer)
    return [low <= memory(block.values)[0] and memory(block.values)[1] <= high for block in samples.arrays]


def test_large_payloads_stay_where_they_are() -> None:
    side = 300
    values = [raw_datum((3, side, side), bytes([i]) * (3 * side * side), i * 100) for i in range(6)]
    even = batch_of(values[:2], gaps=[9])
    uneven = batch_of(values, gaps=[9, 9, 4000, 9])
    for batch in (even, uneven):
        samples = CaffeDatum(Options()).decode(batch)
        assert all(shares(samples, batch.values))
        assert not any(block.values.flags.writeable for block in samples.arrays)
        seen = {row: values[0, 0, 0] for b in samples.arrays for row, values in zip(b.rows, b.values, strict=True)}
        assert seen == {row: row for row in range(len(batch))}


def test_labels_of_any_width_share_one_block() -> None:
    values = [raw_datum((1, 4, 4), bytes([i]) * 16, label) for i, label in enumerate([0, 127, 128, 70000, -1, 1 << 30])]
    samples = decode(CaffeDatum, values * 3)
    (block,) = samples.arrays
    assert block.values[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5] * 3
    assert samples.labels[0].values.tolist() == [0, 127, 128, 70000, -1, 1 << 30] * 3


def test_what_only_looks_like_the_template_is_read_by_itself() -> None:
    """Equal in length and in the bytes around the payload, but not in what they mean."""
    plain = dims(1, 1, 2) + chunk(4, b"ab")
    values = [plain + number(5, 7) + number(7, 0), plain + number(5, 5) + number(5, 6) + number(7, 0)]
    samples = decode(CaffeDatum, values)
    assert samples.labels[0].values.tolist() == [7, 6]
    floats = dims(1, 1, 3) + number(5, 7)
    samples = decode(CaffeDatum, [floats + fixed32(6, 1, 2, 3), floats + fixed32(6, 1) + fixed32(7, 2) + fixed32(6, 3)])
    assert samples.arrays[0].rows.tolist() == [0]
    assert [fault.message for fault in samples.faults] == ["float_data holds 2 of 3 floats (1x1x3)"]


def test_equal_floats_are_equal_contents_however_they_were_read() -> None:
    usual = dims(1, 1, 2) + number(5, 1) + fixed32(6, 1, 2)
    unusual = fixed32(6, 1, 2) + dims(1, 1, 2) + number(5, 1) + number(9, 1) * 40
    contents = decode(CaffeDatum, [usual, unusual]).contents
    assert contents is not None
    assert bytes(contents[0]) == bytes(contents[1]) == fixed32(6, 1, 2)[1:]


def test_more_shapes_than_templates_are_all_decoded() -> None:
    values = [raw_datum((1, 1, 1 + i % 40), bytes([i]) * (1 + i % 40), i) for i in range(120)]
    samples = decode(CaffeDatum, values)
    check_shape(samples)
    assert samples.faults == []
    assert sum(len(block.rows) for block in samples.arrays) == 120
    assert samples.labels[0].values.tolist() == list(range(120))
