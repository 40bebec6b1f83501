"""Boxes that no detector can be trained on, and boxes that only look like it."""

import numpy as np
import pytest
from tests.test_rules.samples import findings, records, run_rule

from datascan.scanner.rules.box import BoxInvalid
from datascan.scanner.sample import Fault

GOOD = (0.1, 0.2, 0.5, 0.6)


@pytest.mark.parametrize(
    ("corners", "corner", "said"),
    [
        ((np.nan, 0.2, 0.5, 0.6), 0, "xmin of the box is NaN"),
        ((0.1, 0.2, 0.5, np.inf), 3, "ymax of the box is infinite"),
        ((0.1, -0.25, 0.5, 0.6), 1, "ymin of the box is -0.25, outside of [0, 1]"),
        ((0.1, 0.2, 1.5, 0.6), 2, "xmax of the box is 1.5, outside of [0, 1]"),
        ((12, 30, 200, 300), 0, "xmin of the box is 12, outside of [0, 1]"),
        ((0.5, 0.2, 0.25, 0.6), 2, "xmin of the box, 0.5, is not below xmax, 0.25"),
        ((0.5, 0.2, 0.5, 0.6), 2, "xmin of the box, 0.5, is not below xmax, 0.5"),
        ((0.1, 0.75, 0.5, 0.5), 3, "ymin of the box, 0.75, is not below ymax, 0.5"),
        ((0.1, 0.2, 0.5, -np.inf), 3, "ymax of the box is infinite"),
    ],
)
def test_boxes_at_fault(corners: tuple[float, ...], corner: int, said: str) -> None:
    batch = records(3, boxes=[(0, GOOD, 1), (2, GOOD, 1), (2, corners, 4), (2, GOOD, 2)])
    (found,) = findings(BoxInvalid, batch)
    assert (found.location.index, found.location.element, found.message) == (2, (1, corner), said)
    assert found.data["label"] == 4


@pytest.mark.parametrize(
    "corners", [(0, 0, 1, 1), (-1e-7, 0, 1, 1.0000001), (0.5, 0.5, 0.5001, 0.5001), (0.999, 0, 1, 0.001)]
)
def test_boxes_at_the_edge_are_fine(corners: tuple[float, ...]) -> None:
    assert run_rule(BoxInvalid, records(1, boxes=[(0, corners, 0)])) == []


def test_each_box_is_a_finding_of_its_own() -> None:
    bad = (0.5, 0.5, 0.5, 0.5)
    batch = records(2, positions=[40, 41], boxes=[(0, bad, 1), (0, bad, 1), (1, bad, 1)])
    assert run_rule(BoxInvalid, batch) == [
        (40, "box-invalid", (0, 2)),
        (40, "box-invalid", (1, 2)),
        (41, "box-invalid", (0, 2)),
    ]


def test_what_json_can_not_say_is_null() -> None:
    (found,) = findings(BoxInvalid, records(1, boxes=[(0, (0, np.nan, 0.5, 1), 1)]))
    assert found.data == {"box": [0.0, None, 0.5, 1.0], "label": 1}


def test_faults_of_the_layout_are_reported() -> None:
    assert run_rule(BoxInvalid, records(2, faults=[Fault(1, "box-invalid", "three corners")])) == [
        (1, "box-invalid", None)
    ]


def test_records_without_boxes_are_fine() -> None:
    assert run_rule(BoxInvalid, records(2, boxes=[])) == []
