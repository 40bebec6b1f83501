"""Image rules: which record each names, how grave it is, and the clean twin that looks guilty."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.test_images.pictures import encoded, flipped, image, photo
from tests.test_rules.samples import CAFFE, Found, findings, records, run_rule, severities, short, split

from datascan.scanner.finding import Severity
from datascan.scanner.images import inspect_image
from datascan.scanner.layouts.base import Traits
from datascan.scanner.options import Options
from datascan.scanner.rules.base import Context, Rule
from datascan.scanner.rules.image import (
    IMAGE_RULES,
    ImageChannels,
    ImageConstant,
    ImageCorrupt,
    ImageOddity,
    ImageOrientation,
    ImageTooLarge,
    ImageTooSmall,
    ImageTrailingData,
    ImageTruncated,
    ImageUndecodable,
)
from datascan.scanner.sample import ArrayBlock, Fault, ImageFacts, ImageSample, SampleBatch


def of_images(*values: bytes, options: Options | None = None) -> SampleBatch:
    """A batch of encoded images as a layout gives it."""
    samples, faults = [], []
    for row, value in enumerate(values):
        facts = inspect_image(memoryview(value), options or Options())
        samples.append(ImageSample(row, facts))
        faults += [replace(fault, row=row) for fault in facts.faults]
    return records(len(values), images=samples, faults=faults)


def of_channels(*counts: int) -> SampleBatch:
    """A batch of images with so many channels each."""
    images = [ImageSample(row, ImageFacts("PNG", 8, 8, count, "RGB")) for row, count in enumerate(counts)]
    return records(len(counts), images=images)


CLEAN = encoded(image())
DAMAGED: list[tuple[type[Rule], bytes, Severity]] = [
    (ImageUndecodable, b"<html>", Severity.ERROR),
    (ImageTruncated, CLEAN[: len(CLEAN) // 2], Severity.ERROR),
    (ImageCorrupt, flipped(encoded(image(), "PNG"), 500), Severity.ERROR),
    (ImageTrailingData, CLEAN + b"\0", Severity.WARNING),
    (ImageConstant, encoded(np.zeros((9, 9, 3), np.uint8), "PNG"), Severity.WARNING),
    (ImageOddity, CLEAN[:20] + b"abc" + CLEAN[20:], Severity.INFO),
]


@pytest.mark.parametrize(("rule", "value", "severity"), DAMAGED, ids=lambda value: getattr(value, "name", ""))
def test_each_fault_of_decoding_has_its_rule(rule: type[Rule], value: bytes, severity: Severity) -> None:
    batch = of_images(CLEAN, value, CLEAN)
    found = findings(rule, batch)
    assert [(finding.location.index, finding.rule, finding.severity) for finding in found] == [(1, rule.name, severity)]
    assert found[0].location.key == b"00000001"
    others = [other for other in IMAGE_RULES if other is not rule]
    assert [finding for other in others for finding in run_rule(other, batch)] == []


def test_orientation_is_a_remark() -> None:
    picture = image()
    exif = picture.getexif()
    exif[0x0112] = 6
    found = findings(ImageOrientation, of_images(CLEAN, encoded(picture, exif=exif)))
    assert [(finding.location.index, finding.severity) for finding in found] == [(1, Severity.INFO)]


def test_too_many_pixels_are_an_error() -> None:
    batch = of_images(CLEAN, encoded(photo(20, 20)), options=Options(max_pixels=1000))
    assert run_rule(ImageTooLarge, batch) == [(0, "image-too-large", None)]


def test_what_no_loader_reads_is_a_warning() -> None:
    faults = [Fault(0, "image-undecodable", "12-bit JPEG", severe=False)]
    assert severities(findings(ImageUndecodable, records(1, faults=faults))) == {Severity.WARNING}


# ---- constant arrays ----


def stack(*planes: NDArray[Any]) -> NDArray[Any]:
    return np.stack(planes)


def colour_planes(dtype: type[np.generic] = np.uint8) -> NDArray[Any]:
    """Three planes, each of one value: a single colour."""
    return np.broadcast_to(np.array([3, 0, 250], dtype)[:, None, None], (3, 16, 16)).copy()


def constant(values: NDArray[Any], axes: str) -> list[Found]:
    rule = ImageConstant(Context(Options(), "test", "lmdb", Traits()))
    return [short(finding) for finding in rule.check(records(len(values), arrays=values, axes=axes))]


def test_an_array_of_a_single_colour_is_told() -> None:
    almost = colour_planes()
    almost[2, 15, 14] ^= 1
    values = stack(np.moveaxis(photo(16, 16), -1, 0), colour_planes(), almost, np.zeros((3, 16, 16), np.uint8))
    found = findings(ImageConstant, records(4, arrays=values, axes="CHW"))
    assert [(finding.location.index, finding.message) for finding in found] == [
        (1, "the image is a single colour: 3, 0, 250"),
        (3, "the image is all zero"),
    ]
    assert constant(np.moveaxis(values, 1, -1), "HWC") == [(1, "image-constant", None), (3, "image-constant", None)]


def test_grey_and_16_bit_arrays_count() -> None:
    grey = stack(photo(16, 16, channels=1), np.full((16, 16), 7, np.uint8))
    assert constant(grey, "HW") == [(1, "image-constant", None)]
    assert constant(colour_planes(np.uint16)[None], "CHW") == [(0, "image-constant", None)]


@pytest.mark.parametrize(
    ("values", "axes"),
    [
        (np.zeros((2, 100, 1, 1), np.uint8), "CHW"),
        (np.zeros((2, 3, 16, 16), np.float32), "CHW"),
        (np.zeros((2, 3, 16, 16), np.uint8), ""),
        (np.zeros((0, 3, 16, 16), np.uint8), "CHW"),
        (np.zeros((2, 3, 0, 16), np.uint8), "CHW"),
        (np.moveaxis(photo(16, 16), -1, 0)[None], "CHW"),
    ],
    ids=["feature vector", "floats", "no axes", "no rows", "no pixels", "photo"],
)
def test_what_only_looks_like_a_constant_image(values: NDArray[Any], axes: str) -> None:
    assert constant(values, axes) == []


def test_constant_arrays_of_a_dataset_name_it_and_keep_row_order() -> None:
    rows = np.array([0, 2], np.int64)
    blocks = [ArrayBlock("/images", rows, np.zeros((2, 4, 4), np.uint8), "HW")]
    batch = records(3, arrays=blocks, faults=[Fault(1, "image-constant", "the image is all zero")])
    assert run_rule(ImageConstant, batch) == [
        (0, "image-constant", "/images"),
        (1, "image-constant", None),
        (2, "image-constant", "/images"),
    ]


@pytest.mark.parametrize("name", ["/mask", "/train/Masks", "/segmentation", "['mask']"])
def test_a_mask_may_be_all_background(name: str) -> None:
    block = ArrayBlock(name, np.arange(2), np.zeros((2, 4, 4), np.uint8), "HW")
    assert run_rule(ImageConstant, records(2, arrays=[block])) == []


# ---- channels ----


def test_a_grey_image_among_colour_ones() -> None:
    batch = of_channels(*[3] * 30, 1, *[3] * 30)
    assert run_rule(ImageChannels, batch) == [(30, "image-channels", None)]
    assert severities(findings(ImageChannels, batch)) == {Severity.WARNING}
    assert severities(findings(ImageChannels, batch, traits=CAFFE)) == {Severity.ERROR}


def test_colour_and_alpha_among_grey_images() -> None:
    found = findings(ImageChannels, of_channels(*[1] * 60, 3, 4))
    assert [(finding.location.index, finding.message) for finding in found] == [
        (60, "3 channels (colour) in a set of images with 1"),
        (61, "4 channels (alpha or CMYK) in a set of images with 1"),
    ]


def test_raw_arrays_count_with_the_encoded_images() -> None:
    batches = split([of_channels(*[3] * 40), records(1, arrays=np.zeros((1, 1, 8, 8), np.uint8), axes="CHW")])
    assert run_rule(ImageChannels, batches) == [(40, "image-channels", None)]


def test_a_mixed_set_is_told_once() -> None:
    found = findings(ImageChannels, of_channels(3, 1, 3, 1, 4), traits=Traits())
    assert [(finding.location.index, finding.message) for finding in found] == [
        (None, "images of different numbers of channels: 2 with 1, 2 with 3, 1 with 4")
    ]


def test_one_number_of_channels_is_fine() -> None:
    for channels in (1, 3, 4):
        assert run_rule(ImageChannels, of_channels(*[channels] * 9), traits=CAFFE) == []
    assert run_rule(ImageChannels, records(3)) == []


def test_a_colour_dataset_and_its_grey_masks_are_no_mixture() -> None:
    rows = np.arange(4)
    blocks = [
        ArrayBlock("/images", rows, np.zeros((4, 3, 8, 8), np.uint8), "CHW"),
        ArrayBlock("/masks", rows, np.zeros((4, 1, 8, 8), np.uint8), "CHW"),
    ]
    assert run_rule(ImageChannels, records(4, arrays=blocks)) == []


def test_exceptions_beyond_the_cap_still_count() -> None:
    found = findings(ImageChannels, of_channels(*[3] * 100, *[1] * 5), max_findings=2)
    assert len(found) == 5
    assert [finding.location.index for finding in found[:2]] == [100, 101]


# ---- crop ----


def test_images_below_the_crop() -> None:
    batch = of_images(*(encoded(photo(height, width)) for height, width in ((40, 40), (39, 80), (80, 39), (20, 20))))
    found = findings(ImageTooSmall, batch, crop=40)
    assert [(finding.location.index, finding.message) for finding in found] == [
        (1, "80x39 is smaller than the crop of 40"),
        (2, "39x80 is smaller than the crop of 40"),
        (3, "20x20 is smaller than the crop of 40"),
    ]
    assert severities(found) == {Severity.ERROR}


def test_arrays_below_the_crop() -> None:
    values = np.zeros((2, 3, 20, 30), np.uint8)
    assert [index for index, *_ in run_rule(ImageTooSmall, records(2, arrays=values, axes="CHW"), crop=21)] == [0, 1]
    assert run_rule(ImageTooSmall, records(2, arrays=values, axes="CHW"), crop=20) == []
    assert run_rule(ImageTooSmall, records(2, arrays=values), crop=21) == []


def test_without_a_crop_it_does_not_run() -> None:
    context = Context(Options(), "test", "lmdb", Traits())
    assert ImageTooSmall(context).not_run() == "no crop size given"
    assert ImageTooSmall(replace(context, options=Options(crop=1))).not_run() is None
    assert run_rule(ImageTooSmall, of_images(CLEAN)) == []


# ---- all of them ----


@pytest.mark.parametrize("rule", IMAGE_RULES, ids=lambda rule: rule.name)
def test_a_clean_set_has_no_finding(rule: type[Rule]) -> None:
    batch = of_images(CLEAN, encoded(photo(seed=1)), encoded(image(), "PNG"))
    assert run_rule(rule, batch, traits=CAFFE, crop=32) == []


@pytest.mark.parametrize("rule", IMAGE_RULES, ids=lambda rule: rule.name)
def test_each_rule_has_its_page(rule: type[Rule]) -> None:
    page = rule.__doc__ or ""
    for heading in ("## What it does", "## Why is this bad?", "## How to fix"):
        assert page.count(heading) == 1


def test_names_are_unique() -> None:
    names = [rule.name for rule in IMAGE_RULES]
    assert len(set(names)) == len(names) == 10
    assert all(name.startswith("image-") for name in names)
