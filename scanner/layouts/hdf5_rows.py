"""What the layouts of HDF5 share: rows of arrays, labels, texts and encoded images into samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.base import Column, DatasetInfo, RowBatch, Table
from ...backends.columns import BytesColumn
from ..images import inspect_image, sniff_format
from ..options import Options
from ..sample import ArrayBlock, Colour, Fault, ImageSample, LabelBlock, Rows, SampleBatch, Seen, TextBlock
from ..stamp import touch
from .base import RowLayout

LARGEST_LABEL_ROW = 1 << 15
"""A label with more values a row is a mask or a map: an array like the data."""

SMALLEST_CONTENT_BYTES = 16
"""Rows of fewer bytes are equal by chance."""

_PROBED = 16
_SMALLEST_SIDE = 5
_ARRAY_KINDS = frozenset({"numeric", "bool", "enum", "complex"})


class Hdf5Rows(RowLayout):
    """A layout of HDF5 rows: ``tables`` are read together, ``labels`` are the paths of the label columns.

    Only what `decode` needs travels to the workers: the tables of a file may be many.
    """

    equal_rows_mean_duplicates = True

    def __init__(
        self,
        options: Options,
        tables: Sequence[Table],
        labels: Iterable[str] = (),
        skipped: Sequence[tuple[str, str]] = (),
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(options)
        self._tables = tuple(tables)
        self._labels = frozenset(labels)
        self._skipped = tuple(skipped)
        self._faults = tuple(faults)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tables": (), "_skipped": (), "_faults": ()}

    @property
    def label_paths(self) -> frozenset[str]:
        """Datasets that hold labels."""
        return self._labels

    def tables(self) -> Sequence[Table]:
        """See `RowLayout.tables`."""
        return self._tables

    def not_looked_at(self) -> Sequence[tuple[str, str]]:
        """See `RowLayout.not_looked_at`."""
        return self._skipped

    def opening_faults(self) -> Sequence[Fault]:
        """See `Layout.opening_faults`."""
        return self._faults

    def decode(self, batch: RowBatch) -> SampleBatch:
        """See `RowLayout.decode`.

        Rows of which the store could not give every column are no samples: the damage that names them counts them.
        """
        rows = np.arange(len(batch), dtype=np.int64)
        samples = SampleBatch(batch, rows if batch.whole else rows[:0])
        for path, column in batch.columns.items():
            if path in self._labels:
                _add_label(samples, path, rows, column)
            else:
                self._add_data(samples, path, rows, column)
        return samples

    def _add_data(self, samples: SampleBatch, path: str, rows: Rows, column: Column) -> None:
        encoded = _as_encoded(column)
        if encoded is not None:
            self._add_images(samples, path, rows, encoded)
            self._set_contents(samples, rows, encoded)
        elif isinstance(column, BytesColumn):
            self._set_contents(samples, rows, column)
        else:
            block = array_block(path, rows, column)
            samples.arrays.append(block)
            if self.equal_rows_mean_duplicates or block.axes:
                self._set_contents(samples, rows, as_strings(column))

    def _add_images(self, samples: SampleBatch, path: str, rows: Rows, column: BytesColumn) -> None:
        seen = Seen()
        for row, value in zip(rows.tolist(), column, strict=True):
            if not len(value):
                samples.faults.append(Fault(row, "record-empty", "the image has 0 bytes", path))
                continue
            touch(row)
            facts = inspect_image(value, self.options, seen)
            samples.images.append(ImageSample(row, facts, path))
            samples.faults += [replace(fault, row=row, dataset=path) for fault in facts.faults]

    @staticmethod
    def _set_contents(samples: SampleBatch, rows: Rows, column: BytesColumn) -> None:
        """The first data column is what makes two rows equal."""
        if samples.contents is not None or not len(samples.sample_rows):
            return
        held = column.lengths >= SMALLEST_CONTENT_BYTES
        if held.all():
            samples.contents, samples.content_rows = column, rows
        elif held.any():
            samples.contents, samples.content_rows = column.take(held), rows[held]


def array_block(path: str, rows: Rows, values: NDArray[Any]) -> ArrayBlock:
    """An array column; complex numbers become pairs along a new last axis, truth values 0 and 1."""
    if values.dtype.kind == "c":
        part = np.dtype(f"{values.dtype.byteorder}f{values.dtype.itemsize // 2}")
        values = np.ascontiguousarray(values).view(part).reshape(*values.shape, 2)
    elif values.dtype.kind == "b":
        values = values.view(np.uint8)
    axes = guess_axes(values.shape, values.dtype)
    colour: Colour | None = "GREY" if axes == "HW" or (axes and values.shape[axes.index("C") + 1] == 1) else None
    return ArrayBlock(path, rows, values, axes, colour)


def guess_axes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """The sample's axes where they are those of an image, else empty. ``shape`` has the rows first."""
    if len(shape) == 4:
        if shape[1] in (1, 3, 4) and min(shape[2:]) >= _SMALLEST_SIDE:
            return "CHW"
        if shape[3] in (1, 3, 4) and min(shape[1:3]) >= _SMALLEST_SIDE:
            return "HWC"
    if len(shape) == 3 and dtype == np.uint8 and min(shape[1:]) >= _SMALLEST_SIDE:
        return "HW"
    return ""


def as_strings(values: NDArray[Any]) -> BytesColumn:
    """The bytes of each row."""
    flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    width = math.prod(values.shape[1:]) * values.dtype.itemsize
    starts = np.arange(len(values), dtype=np.int64) * width
    return BytesColumn(flat, starts, np.full(len(values), width, np.int64))


def _add_label(samples: SampleBatch, path: str, rows: Rows, column: Column) -> None:
    if isinstance(column, BytesColumn):
        samples.texts.append(TextBlock(path, rows, column))
        return
    width = math.prod(column.shape[1:])
    if column.dtype.kind in "iufb" and width <= LARGEST_LABEL_ROW:
        values = column.reshape(len(column)) if width == 1 else column.reshape(len(column), width)
        samples.labels.append(LabelBlock(path, rows, values))
    else:
        samples.arrays.append(array_block(path, rows, column))


def _as_encoded(column: Column) -> BytesColumn | None:
    """The column as encoded images, ``None`` if it holds none: judged by some rows spread over the batch."""
    if not isinstance(column, BytesColumn):
        if column.dtype != np.uint8 or column.ndim != 2 or column.shape[1] < SMALLEST_CONTENT_BYTES:
            return None
        strings = as_strings(column)
        return _without_padding(strings) if _are_images(strings) else None
    return column if _are_images(column) else None


def _are_images(column: BytesColumn) -> bool:
    probed = np.unique(np.linspace(0, len(column) - 1, min(_PROBED, len(column))).astype(np.int64)).tolist()
    return sum(sniff_format(column[row]) is not None for row in probed) * 2 >= len(probed) > 0


def _without_padding(column: BytesColumn) -> BytesColumn:
    """Fixed-width rows hold images of many sizes, filled up with zeros."""
    lengths = column.lengths.copy()
    for row, value in enumerate(column):
        used = len(bytes(value).rstrip(b"\0"))
        if bytes(value[:4]) == b"RIFF":  # may end in zeros of its own, but says where
            used = max(used, min(int.from_bytes(value[4:8], "little") + 8, len(value)))
        lengths[row] = used
    return BytesColumn(column.buffer, column.starts, lengths)


# ---- tables ----


def is_array(info: DatasetInfo) -> bool:
    """Whether a dataset can be read as an array with values in it."""
    return info.readable and info.kind in _ARRAY_KINDS and info.shape is not None and 0 not in info.shape[1:]


def rows_of(info: DatasetInfo) -> int:
    """Rows of a dataset; a single value is one row."""
    return info.shape[0] if info.shape else 1


def left_out(datasets: Sequence[DatasetInfo]) -> list[tuple[str, str]]:
    """Datasets that no layout looks at, with the reason.

    Text beside the data (names of classes, notes) is nothing to report; nor is what is listed in another shape.
    """
    return [
        (f"{info.file}:{info.path}" if info.file else info.path, info.reason)
        for info in datasets
        if not info.readable and info.reason and info.kind != "text"
    ]


def lone_tables(datasets: Sequence[DatasetInfo]) -> list[Table]:
    """Each dataset of numbers or bytes as a table of its own."""
    return [
        Table(f"{info.file}:{info.path}" if info.file else info.path, (info.path,), info.file)
        for info in datasets
        if is_array(info) or (info.readable and info.kind == "bytes" and info.shape is not None)
    ]
