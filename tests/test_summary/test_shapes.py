from __future__ import annotations

import numpy as np
from tests.test_rules.samples import records

from datascan.scanner.options import Options
from datascan.scanner.sample import ArrayBlock, ImageFacts, ImageSample, SampleBatch
from datascan.scanner.summary import ShapeSummary
from datascan.scanner.summary.shapes import LISTED, MAX_LOCATED


def summary_of(*batches: SampleBatch, cap: int = 1000) -> ShapeSummary:
    summary = ShapeSummary(Options(max_findings=cap))
    for samples in batches:
        summary.add(samples)
    return summary


def blocks(*shapes: tuple[int, ...], axes: str = "CHW") -> list[ArrayBlock]:
    return [
        ArrayBlock("data", np.array([row]), np.zeros((1, *shape), np.uint8), axes) for row, shape in enumerate(shapes)
    ]


def test_shapes_and_channels_of_arrays_and_images_are_known_by_position() -> None:
    images = [ImageSample(2, ImageFacts("JPEG", 5, 4, 3, "RGB")), ImageSample(3, ImageFacts("PNG", 5, 4, 1, "L"))]
    summary = summary_of(records(4, arrays=blocks((3, 4, 5), (1, 4, 5)), images=images))
    assert {shape: log.positions for shape, log in summary.shapes.items()} == {(3, 4, 5): [0, 2], (1, 4, 5): [1, 3]}
    assert {channels: log.positions for channels, log in summary.channels.items()} == {3: [0, 2], 1: [1, 3]}
    assert summary.statistics() == {"shapes": {"1x4x5": 2, "3x4x5": 2}, "formats": {"JPEG": 1, "PNG": 1}}


def test_an_image_whose_header_can_not_be_read_has_no_shape() -> None:
    summary = summary_of(records(1, images=[ImageSample(0, ImageFacts(None))]))
    assert (summary.statistics(), dict(summary.shapes), summary.channels) == ({}, {}, {})


def test_positions_beyond_the_cap_are_counted() -> None:
    log = summary_of(records(5, arrays=np.zeros((5, 2))), cap=3).shapes[(2,)]
    assert (log.count, log.positions) == (5, [0, 1, 2])


def test_arrays_of_several_names_are_listed_apart() -> None:
    named = [
        ArrayBlock("/x", np.arange(2), np.zeros((2, 7))),
        ArrayBlock("/y", np.arange(2), np.zeros(2)),
    ]
    assert summary_of(records(2, arrays=named)).statistics() == {
        "shapes": {"7": 2},
        "array_shapes": {"/x": {"7": 2}, "/y": {"scalar": 2}},
    }


def test_very_many_shapes_are_counted_without_positions_and_listed_in_part() -> None:
    n = MAX_LOCATED + 10
    many = [ArrayBlock("data", np.array([row]), np.zeros((1, 1 + row), np.uint8)) for row in range(n)]
    halves = [summary_of(records(n, arrays=many[part])) for part in (slice(0, n // 2), slice(n // 2, n))]
    halves[0].merge(halves[1], 0)
    whole = summary_of(records(n, arrays=many))
    for summary in (halves[0], whole):
        table = summary.tables["data"]
        assert (table.count, len(table.shapes), table.located) == (n, n, False)
        assert all(log.positions == [] and log.count == 1 for log in table.shapes.values())
        assert len(summary.statistics()["shapes"]) == LISTED
        assert summary.statistics()["shapes_left_out"] == n - LISTED
