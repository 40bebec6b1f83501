"""Fingerprints of records: what a copy is compared by, so that no two copies have to be held side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..backends.base import Column, RecordBatch, RowBatch
from ..backends.columns import BytesColumn
from .options import Trace
from .sample import SampleBatch
from .summary.hashes import Hashes, content_hashes, hasher_of

UNLABELLED = math.inf
"""Stands for the label of a record that has none."""

_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Prints:
    """Fingerprints of consecutive records, or of rows of one dataset.

    Attributes
    ----------
    positions
        ``(n,)`` int64, as in the batch.
    values
        ``(n, 2)``: a hash of 128 bits of what the record holds, without its key.
    keys
        ``(n,)``: a hash of the key; zeros where there are no keys.
    column
        File and path of the dataset, for rows that are fingerprinted column by column.
    contents, labels
        Hash and label that a split goes by, where one was asked for.
    """

    positions: NDArray[np.int64]
    values: Hashes
    keys: NDArray[np.uint64]
    column: tuple[str, str] | None = None
    contents: NDArray[np.uint64] | None = None
    labels: NDArray[np.float64] | None = None

    def shifted(self, offset: int) -> Prints:
        """The same with their positions moved."""
        return replace(self, positions=self.positions + offset)


def prints_of(samples: SampleBatch, trace: Trace) -> list[Prints]:
    """The fingerprints of a batch, before its samples are forgotten."""
    batch = samples.batch
    if isinstance(batch, RecordBatch):
        found = [_record_prints(samples, batch, trace)]
    elif not batch.whole:
        return []
    elif trace.form == "sample":
        found = [Prints(batch.positions, sample_hashes(samples), _no_keys(len(batch)))]
    else:
        found = [
            Prints(batch.positions, column_hashes(column), _no_keys(len(batch)), (batch.table.file or "", path))
            for path, column in sorted(batch.columns.items())
        ]
    if not trace.classes or not found:
        return found
    contents, labels = classes_of(samples)
    return [replace(found[0], contents=contents, labels=labels), *found[1:]]


def _record_prints(samples: SampleBatch, batch: RecordBatch, trace: Trace) -> Prints:
    values = content_hashes(batch.values) if trace.form == "stored" else sample_hashes(samples)
    return Prints(batch.positions, values, key_hashes(batch.keys))


def key_hashes(keys: BytesColumn) -> NDArray[np.uint64]:
    """A hash of 64 bits for each key."""
    return content_hashes(keys)[:, 0].copy()


def column_hashes(column: Column) -> Hashes:
    """A hash for each row."""
    if isinstance(column, BytesColumn):
        return content_hashes(column)
    flat = np.ascontiguousarray(column).reshape(len(column), -1).view(np.uint8)
    return content_hashes(_rows_of(flat))


def sample_hashes(samples: SampleBatch) -> Hashes:
    """A hash for each record of its array's numbers and its label, whatever types and stores they are held in."""
    hashes = np.zeros((len(samples), 2), np.uint64)
    for block in samples.arrays[:1] if isinstance(samples.batch, RowBatch) else samples.arrays:
        numbers = np.ascontiguousarray(block.values, np.float64).reshape(len(block.rows), -1)
        hashes[block.rows] = column_hashes(numbers)
    return mixed(hashes, labels_of(samples))


def mixed(hashes: Hashes, labels: NDArray[np.float64]) -> Hashes:
    """Hashes of contents with the labels in them."""
    words = (labels + 0.0).view(np.uint64)[:, None]  # -0.0 is 0.0
    found: Hashes = (hashes ^ (hashes >> np.uint64(29))) * _MIX + words * (_MIX | np.uint64(1))
    return found


def labels_of(samples: SampleBatch) -> NDArray[np.float64]:
    """The one label of each record; `UNLABELLED` where there is none."""
    labels = np.full(len(samples), UNLABELLED)
    for block in samples.labels[:1] if isinstance(samples.batch, RowBatch) else samples.labels:
        if block.values.ndim == 1 and block.values.dtype.kind in "iufb":
            labels[block.rows] = block.values.astype(np.float64)
    return labels


def classes_of(samples: SampleBatch) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """What a split goes by: a hash of each record's contents, and its label. Records without contents differ."""
    contents = samples.batch.positions.astype(np.uint64) * _MIX + np.uint64(1)
    hasher = hasher_of(samples)
    if hasher is not None and samples.content_rows is not None:
        contents[samples.content_rows] = hasher.all()[:, 0]
    return contents, labels_of(samples)


def _rows_of(flat: NDArray[np.uint8]) -> BytesColumn:
    starts = np.arange(len(flat), dtype=np.int64) * flat.shape[1]
    return BytesColumn(flat.reshape(-1), starts, np.full(len(flat), flat.shape[1], np.int64))


def _no_keys(count: int) -> NDArray[np.uint64]:
    return np.zeros(count, np.uint64)
