"""Records written as rows of HDF5: ``data`` and ``label``, as Caffe's HDF5Data layer reads them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch, Table
from ...backends.columns import BytesColumn
from ...backends.hdf5_library import h5py
from ...backends.writing import RecordWriter, WriteError, sync_tree, writing
from ..keylist import key_line
from ..layouts.base import RecordLayout
from ..prints import UNLABELLED, labels_of

CHUNK_BYTES = 1 << 20
_ERRORS = (OSError, RuntimeError)


class RowSink(RecordWriter):
    """One file, or a folder of files ``00000.h5``, ``00001.h5``, ... of so many rows each.

    All records must have one shape, and all or none of them a label.
    """

    def __init__(self, path: Path, layout: RecordLayout, stored: bool, rows_per_file: int | None) -> None:
        self.path, self.layout, self.stored, self.rows_per_file = path, layout, stored, rows_per_file
        self.file: Any | None = None
        self.rows = self.number = 0
        self.shape: tuple[int, ...] | None = None
        self.dtype: np.dtype[Any] | None = None
        self.labelled: bool | None = None
        if rows_per_file is not None:
            with writing(path, _ERRORS):
                path.mkdir()

    def put(self, keys: BytesColumn, values: BytesColumn) -> NDArray[np.int64]:
        """See `RecordWriter.put`; no record is refused, one that can't be a row ends the copy."""
        samples = self.layout.decode(RecordBatch(Table(), np.arange(len(keys)), keys, values))
        data: NDArray[Any] | None = None
        filled = np.zeros(len(keys), np.bool_)
        for block in samples.arrays:
            shape, dtype = block.shape, block.values.dtype
            if self.shape is None:
                self.shape, self.dtype = shape, dtype if self.stored else np.dtype(np.float32)
            if shape != self.shape:
                raise self._refused(keys[int(block.rows[0])], f"is {_sides(shape)}, others are {_sides(self.shape)}")
            if data is None:
                data = np.empty((len(keys), *self.shape), self.dtype)
            data[block.rows] = self._exact(block.values, keys, block.rows)
            filled[block.rows] = True
        if data is None or not filled.all():
            at = int(np.flatnonzero(~filled)[0])
            raise self._refused(keys[at], "holds no array of numbers (give --decode for encoded images)")
        self._write(data, self._labels(labels_of(samples), keys))
        return np.empty(0, np.int64)

    def _exact(self, values: NDArray[Any], keys: BytesColumn, rows: NDArray[np.int64]) -> NDArray[Any]:
        made = values.astype(self.dtype)
        same = (made == values) | ((made != made) & (values != values))
        if not same.all():
            row = int(np.flatnonzero(~same.reshape(len(rows), -1).all(axis=1))[0])
            raise self._refused(keys[int(rows[row])], f"has numbers that {self.dtype} can't hold; give --keep-dtype")
        return made

    def _labels(self, labels: NDArray[np.float64], keys: BytesColumn) -> NDArray[Any] | None:
        has = labels != UNLABELLED
        if self.labelled is None:
            self.labelled = bool(has[0])
        if (has != self.labelled).any():
            at = int(np.flatnonzero(has != self.labelled)[0])
            raise self._refused(
                keys[at], "has no label, others have one" if self.labelled else "has a label, others none"
            )
        made = labels.astype(np.float32)
        if self.labelled and (made != labels).any():
            raise self._refused(keys[int(np.flatnonzero(made != labels)[0])], "has a label that float32 can't hold")
        return made if self.labelled else None

    def _refused(self, key: memoryview, why: str) -> WriteError:
        return WriteError(f"can't write {self.path.name} as rows: the record {key_line(bytes(key))} {why}")

    def _write(self, data: NDArray[Any], labels: NDArray[Any] | None) -> None:
        while len(data):
            room = len(data) if self.rows_per_file is None else self.rows_per_file - self.rows
            if room == 0:
                self._end_file()
                continue
            with writing(self.path, _ERRORS):
                self._append("data", data[:room])
                if labels is not None:
                    self._append("label", labels[:room])
            self.rows += len(data[:room])
            data, labels = data[room:], None if labels is None else labels[room:]

    def _append(self, name: str, values: NDArray[Any]) -> None:
        if self.file is None:
            path = self.path if self.rows_per_file is None else self.path / f"{self.number:05d}.h5"
            self.file = h5py.File(path, "w")
        if name not in self.file:
            row_bytes = max(values[0].nbytes, 1)
            chunks = (max(min(CHUNK_BYTES // row_bytes, 1 << 14), 1), *values.shape[1:])
            self.file.create_dataset(
                name, (0, *values.shape[1:]), values.dtype, chunks=chunks, maxshape=(None, *values.shape[1:])
            )
        dataset = self.file[name]
        dataset.resize(self.rows + len(values), axis=0)
        dataset[self.rows :] = values

    def _end_file(self) -> None:
        if self.file is not None:
            with writing(self.path, _ERRORS):
                self.file.close()
        self.file, self.rows, self.number = None, 0, self.number + 1

    def close(self) -> None:
        """See `RecordWriter.close`."""
        self._end_file()
        with writing(self.path, _ERRORS):
            sync_tree(self.path)

    def abandon(self) -> None:
        """See `RecordWriter.abandon`."""
        with suppress(*_ERRORS):
            if self.file is not None:
                self.file.close()


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single value"
