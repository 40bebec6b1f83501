"""SSD's AnnotatedDatum records: a Datum with its bounding boxes, as ``convert_annoset`` writes them.

Source: ``src/caffe/proto/caffe.proto`` of weiliu89/caffe, branch ssd: AnnotatedDatum (datum 1, type 2,
annotation_group 3), AnnotationGroup (group_label 1, annotation 2), Annotation (instance_id 1, bbox 2) and
NormalizedBBox (xmin 1, ymin 2, xmax 3, ymax 4, label 5, difficult 6, score 7, size 8).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...backends.base import RecordBatch
from ..sample import BoxBlock, SampleBatch
from .base import RecordLayout, Traits
from .datum import Datum, is_datum, parse_datum, unreadable
from .datum_changes import changed, with_image
from .keys import reserved_rows
from .payloads import Payloads
from .wire import BYTES, FIXED32, VARINT, WireError, as_int32, fields, read_float

_DATUM = 1
_TYPE = 2
_GROUP = 3

_Box = tuple[int, list[float]]


class SsdAnnotatedDatum(RecordLayout):
    """See `RecordLayout`. The inner Datum's label is -1 by design and no label; a record may be without boxes."""

    name = "ssd-annotated-datum"
    title = "SSD AnnotatedDatum: an image with bounding boxes"
    traits = Traits(caffe=True)

    @classmethod
    def agrees(cls, sample: RecordBatch) -> Sequence[bool]:
        """See `RecordLayout.agrees`."""
        return [_is_annotated(value) for value in sample.values]

    changes = frozenset({"image"})

    def image_in(self, key: bytes, value: memoryview) -> tuple[int, int] | None:
        """See `RecordLayout.image_in`."""
        datum = _parse(value)[0]
        return datum.data if datum.encoded else None

    def with_image(self, key: bytes, value: memoryview, image: bytes, sides: tuple[int, int, int] | None) -> bytes:
        """See `RecordLayout.with_image`."""
        inner = next(
            bytes(value[start:stop])
            for number, kind, _, _, start, stop in fields(value)
            if (number, kind) == (_DATUM, BYTES)
        )
        return changed(value, {_DATUM: with_image(memoryview(inner), image, sides)})

    def decode(self, batch: RecordBatch) -> SampleBatch:
        """See `RecordLayout.decode`."""
        samples = SampleBatch(batch, np.flatnonzero(~reserved_rows(batch.keys)))
        payloads = Payloads(batch, self.options)
        boxes: list[tuple[int, int, _Box]] = []
        for row in samples.sample_rows.tolist():
            value = batch.values[row]
            try:
                datum, found = _parse(value)
            except WireError as error:
                payloads.faults.append(unreadable(row, "AnnotatedDatum", error))
                continue
            if payloads.add(row, value, datum):
                boxes += [(row, number, box) for number, box in enumerate(found)]
        payloads.finish(samples)
        if boxes:
            samples.boxes.append(_block(boxes))
        return samples


def _parse(value: memoryview) -> tuple[Datum, list[_Box]]:
    """The inner Datum, its positions counted from the start of the value, and the boxes in order.

    Raises
    ------
    WireError
        When any part is no message, ends early, or there is more than one Datum (protobuf would merge them).
    """
    datum: Datum | None = None
    boxes: list[_Box] = []
    for number, wire_type, _, at, start, stop in fields(value):
        if number == _DATUM and wire_type == BYTES:
            if datum is not None:
                raise WireError("a second datum", at)
            datum = parse_datum(value, start, stop)
        elif number == _GROUP and wire_type == BYTES:
            boxes += _group(value, start, stop)
        elif datum is None and number != _TYPE:
            raise WireError(f"field {number} where the datum is expected", at)
    return datum or Datum(), boxes


def _group(value: memoryview, start: int, stop: int) -> list[_Box]:
    """The boxes of an annotation group, each with the group's label."""
    label = 0
    corners: list[list[float]] = []
    for number, wire_type, content, _, begin, end in fields(value, start, stop):
        if number == 1 and wire_type == VARINT:
            label = as_int32(content)
        elif number == 2 and wire_type == BYTES:
            corners.append(_corners(value, begin, end))
    return [(label, corner) for corner in corners]


def _corners(value: memoryview, start: int, stop: int) -> list[float]:
    """xmin, ymin, xmax, ymax of an annotation; absent ones are 0, as protobuf has it."""
    corners = [0.0, 0.0, 0.0, 0.0]
    for number, wire_type, _, _, begin, end in fields(value, start, stop):
        if number == 2 and wire_type == BYTES:
            for corner, inner_type, _, _, _, last in fields(value, begin, end):
                if inner_type == FIXED32 and 1 <= corner <= 4:
                    corners[corner - 1] = read_float(value, last - 4)
    return corners


def _block(boxes: list[tuple[int, int, _Box]]) -> BoxBlock:
    return BoxBlock(
        rows=np.array([row for row, _, _ in boxes], np.int64),
        corners=np.array([corners for _, _, (_, corners) in boxes], np.float32),
        labels=np.array([label for _, _, (label, _) in boxes], np.int64),
        instances=np.array([number for _, number, _ in boxes], np.int64),
    )


def _is_annotated(value: memoryview) -> bool:
    """Whether these bytes are an AnnotatedDatum beyond doubt: one strict Datum first, then only its own fields."""
    found = False
    try:
        for number, wire_type, _, _, start, stop in fields(value):
            if number == _DATUM and wire_type == BYTES and not found:
                found = is_datum(value, start, stop)
                if not found:
                    return False
            elif number == _GROUP and wire_type == BYTES:
                _group(value, start, stop)
            elif number != _TYPE or wire_type != VARINT:
                return False
    except WireError:
        return False
    return found
