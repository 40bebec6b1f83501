from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.test_rules.samples import CAFFE, findings, records, rows, run_rule, split

from datascan.scanner.finding import Severity
from datascan.scanner.layouts.base import Traits
from datascan.scanner.rules.record import (
    RecordEmpty,
    RecordMissingTwin,
    RecordSizeMismatch,
    RecordUndecodable,
    RecordUnsafePickle,
)
from datascan.scanner.rules.record_set import RecordDuplicate, RecordKeyGap, RecordKeyOrder, RecordLabelConflict
from datascan.scanner.rules.record_shape import RecordMixedShapes, RecordShapeMismatch
from datascan.scanner.sample import ArrayBlock, Fault, ImageFacts, ImageSample, SampleBatch, TwinBlock

LOADERS = Traits(fixed_shape=True)
RESIZED = Traits()


# ---- faults ----


@pytest.mark.parametrize(
    "rule",
    [RecordUndecodable, RecordEmpty, RecordSizeMismatch, RecordShapeMismatch, RecordMissingTwin, RecordUnsafePickle],
)
def test_faults_of_the_layout_are_reported_where_they_are(rule: Any) -> None:
    faults = [Fault(2, rule.name, "wrong"), Fault(4, rule.name, "odd", severe=False), Fault(3, "another", "no")]
    found = findings(rule, records(6, faults=faults, positions=range(10, 16)))
    assert [(one.location.index, one.location.key, one.message, one.severity) for one in found] == [
        (12, b"00000012", "wrong", Severity.ERROR),
        (14, b"00000014", "odd", Severity.WARNING),
    ]


# ---- shapes ----


def shaped(
    *counts: tuple[int, tuple[int, ...]], dtype: Any = np.uint8, axes: str = "CHW", name: str = "data"
) -> SampleBatch:
    blocks, start = [], 0
    for count, shape in counts:
        blocks.append(ArrayBlock(name, np.arange(start, start + count), np.zeros((count, *shape), dtype), axes))
        start += count
    return records(start, arrays=blocks)


def found_shapes(samples: SampleBatch | list[SampleBatch], traits: Traits = CAFFE, **options: Any) -> list[Any]:
    found = findings(RecordShapeMismatch, samples, traits=traits, **options)
    return [(one.location.index, one.severity, one.message) for one in found]


def test_the_odd_one_among_equal_shapes_is_named_with_both() -> None:
    samples = shaped((37, (3, 32, 32)), (1, (3, 28, 28)), (2, (3, 32, 32)))
    assert found_shapes(samples) == [(37, Severity.ERROR, "shape 3x28x28 in a set of 3x32x32")]


def test_exactly_95_percent_is_a_majority_and_less_is_not() -> None:
    assert len(found_shapes(shaped((19, (3, 8, 8)), (1, (3, 9, 9))))) == 1
    assert found_shapes(shaped((18, (3, 8, 8)), (1, (3, 9, 9)))) == []


@pytest.mark.parametrize(
    ("traits", "crop", "severity"),
    [
        (CAFFE, None, Severity.ERROR),
        (CAFFE, 28, Severity.WARNING),
        (CAFFE, 29, Severity.ERROR),
        (RESIZED, None, Severity.WARNING),
    ],
)
def test_a_crop_that_fits_both_or_a_resize_makes_it_a_warning(
    traits: Traits, crop: int | None, severity: Severity
) -> None:
    samples = shaped((39, (3, 32, 32)), (1, (3, 28, 40)))
    assert [one[1] for one in found_shapes(samples, traits, crop=crop)] == [severity]


@pytest.mark.parametrize(("axes", "usual", "odd"), [("CHW", (3, 8, 8), (1, 8, 8)), ("HWC", (8, 8, 3), (8, 8, 1))])
def test_channels_alone_are_left_to_another_rule(axes: str, usual: tuple[int, ...], odd: tuple[int, ...]) -> None:
    samples = shaped((39, usual), (1, odd), axes=axes)
    assert found_shapes(samples) == []
    assert run_rule(RecordMixedShapes, samples, traits=CAFFE) == []


def test_without_axes_every_difference_counts() -> None:
    assert [one[0] for one in found_shapes(shaped((39, (3, 8, 8)), (1, (1, 8, 8)), axes=""))] == [39]


def image(row: int, channels: int, height: int, width: int) -> ImageSample:
    return ImageSample(row, ImageFacts("JPEG", width, height, channels))


def test_encoded_images_are_compared_by_their_own_size() -> None:
    images = [image(row, 3, 32, 32) for row in range(39)] + [image(39, 3, 32, 31)]
    assert found_shapes(records(40, images=images)) == [(39, Severity.ERROR, "shape 3x32x31 in a set of 3x32x32")]


def test_another_dtype_is_an_error_only_where_loaders_do_not_convert() -> None:
    floats = ArrayBlock("data", np.array([39]), np.zeros((1, 3, 8, 8), np.float32), "CHW")
    for traits, severity in ((CAFFE, Severity.WARNING), (LOADERS, Severity.ERROR), (RESIZED, Severity.WARNING)):
        samples = shaped((39, (3, 8, 8)))
        samples = records(40, arrays=[*samples.arrays, floats])
        assert found_shapes(samples, traits) == [(39, severity, "dtype float32 in a set of uint8")]


def test_a_record_of_another_shape_and_dtype_is_named_once() -> None:
    odd = ArrayBlock("data", np.array([39]), np.zeros((1, 3, 9, 9), np.float32), "CHW")
    samples = records(40, arrays=[*shaped((39, (3, 8, 8))).arrays, odd])
    assert [one[2] for one in found_shapes(samples)] == ["shape 3x9x9 in a set of 3x8x8"]


def test_files_of_a_list_are_left_to_the_layout() -> None:
    batches = split([rows({"/data": np.zeros((39, 8))}), rows({"/data": np.zeros((1, 9))})])
    for rule in (RecordShapeMismatch, RecordMixedShapes):
        assert run_rule(rule, batches, traits=CAFFE, store="hdf5") == []


def test_those_beyond_the_cap_are_counted() -> None:
    samples = shaped((97, (3, 8, 8)), (3, (3, 9, 9)))
    found = found_shapes(samples, max_findings=2)
    assert [one[0] for one in found] == [97, 98, None]


def mixed(samples: SampleBatch, traits: Traits = CAFFE, **options: Any) -> list[Any]:
    return [(one.severity, one.data) for one in findings(RecordMixedShapes, samples, traits=traits, **options)]


def test_many_shapes_are_said_once() -> None:
    data = {"shapes": 3, "smallest": [3, 8, 8], "largest": [3, 20, 9]}
    samples = shaped((5, (3, 9, 9)), (5, (3, 20, 9)), (5, (3, 8, 8)))
    assert mixed(samples) == [(Severity.WARNING, data)]
    assert mixed(samples, RESIZED) == [(Severity.INFO, data)]
    assert mixed(samples, crop=8) == []
    assert run_rule(RecordShapeMismatch, samples, traits=CAFFE) == []


def test_a_set_of_one_shape_is_not_mixed() -> None:
    assert mixed(shaped((5, (3, 9, 9)))) == []
    assert mixed(shaped((39, (3, 9, 9)), (1, (3, 8, 8)))) == []
    assert mixed(records(3)) == []


# ---- twins ----


def twins(images: Sequence[int], labels: Sequence[int]) -> SampleBatch:
    keys = [b"image-%09d" % number for number in images] + [b"label-%09d" % number for number in labels]
    blocks = [
        TwinBlock("image", np.arange(len(images)), np.array(images)),
        TwinBlock("label", np.arange(len(images), len(keys)), np.array(labels)),
    ]
    return records(len(keys), keys=keys, twins=blocks, sample_rows=range(len(images)))


def test_a_half_that_stands_alone_names_the_key_that_is_missing() -> None:
    found = findings(RecordMissingTwin, twins([1, 2, 3], [1, 3, 4]))
    assert [(one.location.index, one.data["missing"]) for one in found] == [
        (1, "label-000000002"),
        (5, "image-000000004"),
    ]
    assert run_rule(RecordMissingTwin, twins([1, 2, 3], [1, 2, 3])) == []


def test_a_number_that_neither_half_has_is_a_gap_named_once() -> None:
    assert run_rule(RecordKeyGap, twins([1, 2, 5], [1, 2, 3, 5])) == [(2, "record-key-gap", None)]
    assert run_rule(RecordKeyGap, twins([1, 2, 3], [1, 3])) == []


# ---- keys ----


def numbered(numbers: Sequence[int], pattern: bytes = b"%08d_x.jpg") -> SampleBatch:
    return records(len(numbers), keys=[pattern % number for number in numbers])


def gaps(samples: SampleBatch | list[SampleBatch], **options: Any) -> list[tuple[int | None, str]]:
    return [(one.location.index, one.message) for one in findings(RecordKeyGap, samples, **options)]


def test_holes_are_named_with_the_numbers_that_are_missing() -> None:
    assert gaps(numbered([0, 1, 2, 3, 5, 6, 9])) == [
        (4, "number 00000004 is missing before this record"),
        (6, "numbers 00000007 to 00000008 are missing before this record"),
    ]


def test_a_hole_between_two_batches_is_found() -> None:
    assert gaps(split([numbered([0, 1]), numbered([3, 4])])) == [(2, "number 00000002 is missing before this record")]


@pytest.mark.parametrize(
    "keys",
    [
        numbered(range(20)),
        numbered(range(1, 20)),
        numbered(range(700, 720)),  # one part of a set that was cut
        numbered([3, 9, 11], b"%d_x"),
        records(3, keys=[b"a", b"b", b"d"]),
    ],
)
def test_numbers_that_follow_one_another_and_other_keys_have_no_holes(keys: SampleBatch) -> None:
    assert gaps(keys) == []


def test_a_chosen_part_is_said_once() -> None:
    assert gaps(numbered(range(0, 60, 3))) == [
        (None, "38 of 58 numbers are missing, first 00000001: the set looks like a part of a larger one")
    ]
    assert len(gaps(numbered(range(0, 20, 3)))) == 6


def test_holes_mean_nothing_where_keys_are_names() -> None:
    assert gaps(numbered([0, 5]), traits=Traits(key_numbers=False)) == []


def test_holes_beyond_the_cap_are_counted() -> None:
    assert [index for index, _ in gaps(numbered([0, 2, 4, 6]), max_findings=2)] == [1, 2, None]


def test_unpadded_numbers_are_said_once() -> None:
    unpadded = sorted(b"%d_cat.jpg" % number for number in range(12))
    assert run_rule(RecordKeyOrder, records(12, keys=unpadded)) == [(None, "record-key-order", None)]
    assert run_rule(RecordKeyOrder, records(12, keys=unpadded), traits=Traits(key_numbers=False)) == []
    assert run_rule(RecordKeyOrder, numbered(range(12))) == []
    assert run_rule(RecordKeyOrder, numbered(range(10), b"%d_cat")) == []


# ---- contents ----


def copies(contents: Sequence[bytes], labels: Sequence[int] | None) -> tuple[list[Any], list[Any]]:
    samples = records(len(contents), contents=contents, labels=labels)
    return run_rule(RecordDuplicate, samples), run_rule(RecordLabelConflict, samples)


def test_each_copy_is_a_duplicate_or_a_conflict_never_both() -> None:
    duplicates, conflicts = copies([b"a", b"b", b"a", b"a", b"b"], [0, 1, 0, 2, 1])
    assert duplicates == [(2, "record-duplicate", None), (4, "record-duplicate", None)]
    assert conflicts == [(3, "record-label-conflict", None)]


def test_findings_name_the_first_record_and_both_labels() -> None:
    samples = records(3, contents=[b"a", b"b", b"a"], labels=[4, 1, 2])
    (conflict,) = findings(RecordLabelConflict, samples)
    assert conflict.data == {"first": 0, "label": 2, "first_label": 4}
    (duplicate,) = findings(RecordDuplicate, records(3, contents=[b"a", b"b", b"a"]))
    assert duplicate.data == {"first": 0}


def test_different_contents_with_one_label_are_fine() -> None:
    assert copies([b"a", b"b", b"", b""], [1, 1, 1, 1]) == ([], [])
    assert copies([b"a", b"b"], None) == ([], [])
