"""What the Datums of a batch hold, collected row by row or run by run into a `SampleBatch`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch
from ...backends.columns import BytesColumn
from ..images import inspect_image
from ..options import Options
from ..sample import ArrayBlock, Colour, Fault, ImageFacts, ImageSample, Rows, SampleBatch, Seen
from ..stamp import touch
from .datum import Datum, datum_fault, float_values
from .datum_runs import DatumRun, Template
from .stacking import as_floats, blocks

_Shape = tuple[int, int, int]


class Payloads:
    """Collects arrays, images, contents and faults of Datums; `finish` puts them into a batch in row order.

    ``base`` of `add` is where the Datum's own value starts in the record's (an AnnotatedDatum holds it inside).
    """

    def __init__(self, batch: RecordBatch, options: Options) -> None:
        self._values = batch.values
        self._options = options
        self._raw: dict[_Shape, list[tuple[int, int]]] = {}
        self._floats: dict[_Shape, list[tuple[int, NDArray[np.float32]]]] = {}
        self._arrays: list[ArrayBlock] = []
        self._images: list[ImageSample] = []
        self._seen = Seen()
        self._content_starts = np.full(len(batch), -1, np.int64)
        self._content_lengths = np.zeros(len(batch), np.int64)
        self.faults: list[Fault] = []

    def add(self, row: int, value: memoryview, datum: Datum) -> bool:
        """Take in the payload of one record; ``False`` if it has none that can be used (the fault says why)."""
        fault = datum_fault(row, value, datum)
        if fault is not None:
            self.faults.append(fault)
            return False
        if datum.data and datum.data[1] > datum.data[0]:
            start, stop = datum.data
            if datum.encoded:
                self._add_image(row, value[start:stop], datum)
            else:
                self._raw.setdefault(datum.shape, []).append((row, start))
            self._set_content(row, start, stop - start)
        else:
            self._floats.setdefault(datum.shape, []).append((row, float_values(value, datum)))
            if len(datum.floats) == 1:  # pieces are not contiguous bytes of the batch: equality stays unknown
                start, elements, step = datum.floats[0]
                self._set_content(row, start, elements * step - (step == 5))
        return True

    def add_run(self, template: Template, run: DatumRun) -> None:
        """Take in the payloads of a run of equal records."""
        if not len(run.rows):
            return
        for rows, part in blocks(self._values.buffer, run.rows, run.payload_starts, template.payload_bytes):
            values = part if template.step == 1 else as_floats(part, template.step)
            self._arrays.append(_block(rows, values, template.shape))
        # The first tag of unpacked floats is left out here as it is in `add`, so that equal payloads stay equal.
        skipped = template.step == 5
        self._content_starts[run.rows] = run.payload_starts + skipped
        self._content_lengths[run.rows] = template.payload_bytes - skipped

    def finish(self, samples: SampleBatch) -> None:
        """Put everything into the batch."""
        for shape, parts in self._raw.items():
            rows = np.array([row for row, _ in parts], np.int64)
            starts = self._values.starts[rows] + np.array([start for _, start in parts], np.int64)
            width = shape[0] * shape[1] * shape[2]
            self._arrays += [
                _block(some, part, shape) for some, part in blocks(self._values.buffer, rows, starts, width)
            ]
        for shape, numbers in self._floats.items():
            rows = np.array([row for row, _ in numbers], np.int64)
            self._arrays.append(_block(rows, np.stack([values for _, values in numbers]), shape))
        samples.arrays += sorted(self._arrays, key=lambda block: int(block.rows[0]))
        samples.images += self._images
        samples.faults += sorted(self.faults, key=lambda fault: -1 if fault.row is None else fault.row)
        rows = np.flatnonzero(self._content_starts >= 0)
        samples.content_rows = rows
        samples.contents = BytesColumn(self._values.buffer, self._content_starts[rows], self._content_lengths[rows])

    def _add_image(self, row: int, data: memoryview, datum: Datum) -> None:
        touch(row)
        facts = inspect_image(data, self._options, self._seen)
        self._images.append(ImageSample(row, facts))
        self.faults += [replace(fault, row=row) for fault in facts.faults]
        fault = _dimension_fault(row, datum, facts)
        if fault is not None:
            self.faults.append(fault)

    def _set_content(self, row: int, start: int, length: int) -> None:
        self._content_starts[row] = self._values.starts[row] + start
        self._content_lengths[row] = length


def _block(rows: Rows, values: NDArray[np.uint8] | NDArray[np.float32], shape: _Shape) -> ArrayBlock:
    colour: Colour | None = "BGR" if shape[0] == 3 else "GREY" if shape[0] == 1 else None
    return ArrayBlock("data", rows, values.reshape(len(rows), *shape), "CHW", colour)


def _dimension_fault(row: int, datum: Datum, facts: ImageFacts) -> Fault | None:
    """Declared dimensions that are not the image's. Caffe takes the image's own, so it is only worth a warning.

    Channels are left out: a grey file read as colour is written with 3 of them, and ``image-channels`` judges that.
    """
    if facts.faults or facts.width is None or facts.height is None or datum.height <= 0 or datum.width <= 0:
        return None
    declared = (datum.height, datum.width)
    actual = (facts.height, facts.width)
    if declared == actual or (facts.orientation >= 5 and declared == actual[::-1]):
        return None
    return Fault(
        row,
        "record-size-mismatch",
        f"declares {declared[1]}x{declared[0]} (width x height), the image is {actual[1]}x{actual[0]}",
        severe=False,
        data={"declared": list(declared), "image": list(actual)},
    )
