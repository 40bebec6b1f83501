"""Rules for bounding boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..finding import Finding, Severity
from ..sample import BoxBlock, SampleBatch
from .base import Rule

TOLERANCE = 1e-6
"""How far a corner may lie outside of the image: a few roundings of float32."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class BoxInvalid(Rule):
    """
    ## What it does
    Checks bounding boxes: every corner a finite number within [0, 1], xmin below xmax, ymin below ymax. The
    element is the box's number in its record and the corner (0 xmin, 1 ymin, 2 xmax, 3 ymax).

    ## Why is this bad?
    A detector is trained on the logarithm of a box's width and height: a box without area gives log(0), minus
    infinity, and a box turned inside out gives NaN; either makes the loss NaN with the first batch that draws it.
    A box outside of the image was mostly stored in pixels, and matches no prior box: its object is trained as
    background.

    ## How to fix
    Divide pixel coordinates by the image's own width and height (after any EXIF rotation), clip to the image, drop
    boxes without area, and build the set again. Caffe's converter only warns of such boxes and stores them.
    """

    name = "box-invalid"
    severity = Severity.ERROR

    def check(self, samples: SampleBatch) -> Iterator[Finding]:
        """See `Rule.check`."""
        yield from super().check(samples)
        for boxes in samples.boxes:
            yield from self._boxes(samples, boxes)

    def _boxes(self, samples: SampleBatch, boxes: BoxBlock) -> Iterator[Finding]:
        corners = boxes.corners
        with np.errstate(invalid="ignore"):
            inside = (corners >= -TOLERANCE) & (corners <= 1 + TOLERANCE)  # False for NaN
            sized = corners[:, 2:] > corners[:, :2]
        for box in np.flatnonzero(~(inside.all(axis=1) & sized.all(axis=1))).tolist():
            values = [float(value) for value in corners[box]]
            corner, message = _fault(values)
            where = samples.location(int(boxes.rows[box]), element=(int(boxes.instances[box]), corner))
            data = {"box": [value if np.isfinite(value) else None for value in values], "label": int(boxes.labels[box])}
            yield self.finding(message, where, data=data)


def _fault(values: list[float]) -> tuple[int, str]:
    """The corner at fault and what is wrong with it, the gravest first."""
    for corner, value in enumerate(values):
        if not np.isfinite(value):
            return corner, f"{_CORNERS[corner]} of the box is {'NaN' if np.isnan(value) else 'infinite'}"
    for corner, value in enumerate(values):
        if not -TOLERANCE <= value <= 1 + TOLERANCE:
            return corner, f"{_CORNERS[corner]} of the box is {value:.6g}, outside of [0, 1]"
    axis = 0 if values[0] >= values[2] else 1
    low, high = _CORNERS[axis], _CORNERS[axis + 2]
    return axis + 2, f"{low} of the box, {values[axis]:.6g}, is not below {high}, {values[axis + 2]:.6g}"
