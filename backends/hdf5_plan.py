"""Cutting tables of HDF5 rows into partitions and batches, and joining what is lost of them into damages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .base import BATCH_BYTES, BATCH_ROWS, PARTITION_BYTES, Column, Damage, RowBatch, Table, partition_size
from .hdf5_catalog import Catalog
from .hdf5_loss import Loss
from .hdf5_readers import ColumnReader

ROW_WEIGHT = 256
"""A row counts as at least so many bytes of a partition: what is remembered of a partition grows with its rows."""

Readers = Mapping[str, ColumnReader]
"""The readers of a table's columns, by dataset path."""


def small_table(table: Table, catalog: Catalog) -> tuple[int, int] | None:
    """Rows and bytes of a table that is one partition whatever is lost of it, ``None`` where it must be opened.

    A file of a thousand episodes has ten thousand small datasets: to open each of them to see that it is small would
    take longer than to read them.
    """
    infos = [catalog.by_path.get(path) for path in table.columns]
    rows, size_bytes = [], 0
    for info in infos:
        plain = info is not None and info.readable and info.kind in ("numeric", "bool") and bool(info.shape)
        if info is None or not plain or info.path in catalog.outside or info.path in catalog.fields:
            return None
        rows.append((info.shape or (0,))[0])
        size_bytes += math.prod(info.shape or ()) * info.itemsize
    if not rows or not size_bytes or max(size_bytes, max(rows) * ROW_WEIGHT) > PARTITION_BYTES:
        return None
    return min(rows), size_bytes


def table_rows(readers: Readers) -> int:
    """Rows that all columns of a table have."""
    return min((reader.rows for reader in readers.values()), default=0)


def cut_rows(readers: Readers, rows: int) -> Iterator[tuple[int, int, int]]:
    """Cut a table into ranges of rows: start, stop and bytes to read, in order.

    Rows without stored data cost nothing: a declared petabyte of them is one range.
    """
    left = total = _weight(readers, rows)
    start = row = size_bytes = weight = 0
    while row < rows:
        present, change = _present(readers, row, rows)
        row_bytes = _row_bytes(present)
        row_weight = _row_weight(present)
        room = partition_size(left, total, PARTITION_BYTES) - weight
        if (change - row) * row_weight <= room:
            size_bytes += (change - row) * row_bytes
            weight += (change - row) * row_weight
            row = change
        else:
            stop = min(_aligned(row, max(room // row_weight, 1), _unit(present)), change)
            yield start, stop, size_bytes + (stop - row) * row_bytes
            left -= weight + (stop - row) * row_weight
            start, row, size_bytes, weight = stop, stop, 0, 0
    if row > start:
        yield start, row, size_bytes


def _weight(readers: Readers, rows: int) -> int:
    """What all rows of a table weigh together."""
    row = weight = 0
    while row < rows:
        present, change = _present(readers, row, rows)
        weight += (change - row) * _row_weight(present)
        row = change
    return weight


def _present(readers: Readers, row: int, stop: int) -> tuple[list[ColumnReader], int]:
    """The columns that have data at a row, as far as is known, and up to which row that stays so."""
    present = []
    for reader in readers.values():
        loss = reader.losses.at(row)
        if loss is None:
            present.append(reader)
            stop = reader.losses.next_start(row, stop)
        else:
            stop = min(stop, loss.stop)
    return present, stop


def batch_stop(readers: Readers, start: int, stop: int) -> int:
    """Where the batch that begins at ``start`` ends: about `BATCH_BYTES`, and on the edge of a chunk if possible."""
    present, stop = _present(readers, start, stop)
    step = min(max(BATCH_BYTES // max(_row_bytes(present), 1), 1), BATCH_ROWS)
    unit = _unit(present)
    edge = _aligned(start, step, unit) if unit <= step else min(start + step, (start // unit + 1) * unit)
    stop = min(edge, stop)
    for reader in present:
        stop = reader.fit(start, stop)
    return stop


def _aligned(start: int, step: int, unit: int) -> int:
    """About ``step`` rows further, on a multiple of ``unit``."""
    return (start // unit + max(step // unit, 1)) * unit


def _row_bytes(readers: Sequence[ColumnReader]) -> int:
    return sum(reader.row_bytes for reader in readers)


def _row_weight(readers: Sequence[ColumnReader]) -> int:
    row_bytes = _row_bytes(readers)
    return max(row_bytes, ROW_WEIGHT) if row_bytes else 0


def _unit(readers: Sequence[ColumnReader]) -> int:
    """Rows stored together in the column that costs most to read twice."""
    return max(readers, key=lambda reader: reader.row_bytes).unit


def segments(readers: Readers, start: int, stop: int) -> Iterator[tuple[int, int, dict[str, Column], dict[str, Loss]]]:
    """Read a range of rows, cut wherever the set of columns that can be read changes."""
    pieces = {name: list(reader.pieces(start, stop)) for name, reader in readers.items()}
    cuts = sorted({edge for column in pieces.values() for low, high, _ in column for edge in (low, high)})
    for low, high in pairwise(cuts):
        columns: dict[str, Column] = {}
        losses: dict[str, Loss] = {}
        for name, column in pieces.items():
            while column[0][1] <= low:
                column.pop(0)
            first, _, content = column[0]
            if isinstance(content, Loss):
                losses[name] = content
            elif isinstance(content, np.ndarray):
                columns[name] = content[low - first : high - first]
            else:
                columns[name] = content.take(slice(low - first, high - first))
        yield low, high, columns, losses


@dataclass(slots=True)
class _Run:
    """Lost rows that become one damage."""

    loss: Loss
    start: int
    stop: int
    records_lost: int


class DamageRuns:
    """Joins losses that continue from batch to batch, and counts each lost row once.

    ``rows`` are those of the whole table: a dataset that is lost from end to end has no position. Positions count
    from ``origin``.
    """

    def __init__(self, rows: int, origin: int) -> None:
        self.rows = rows
        self.origin = origin
        self.runs: dict[str, _Run] = {}

    def take(self, start: int, stop: int, losses: Mapping[str, Loss]) -> Iterator[Damage]:
        """Take in the losses of the next rows; gives the damages that have ended."""
        for name in [name for name in self.runs if name not in losses]:
            yield self._damage(name)
        counted = False
        for name, loss in losses.items():
            run = self.runs.get(name)
            if run is not None and not run.loss.same_cause(loss):
                yield self._damage(name)
                run = None
            if run is None:
                run = self.runs[name] = _Run(loss, start, start, 0)
            run.stop = stop
            run.records_lost += 0 if counted else stop - start
            counted = True

    def rest(self) -> Iterator[Damage]:
        """The damages that reach to the end."""
        for name in list(self.runs):
            yield self._damage(name)

    def _damage(self, name: str) -> Damage:
        run = self.runs.pop(name)
        whole = (run.start, run.stop) == (0, self.rows)
        rows = f"row {run.start:,}" if run.stop == run.start + 1 else f"rows {run.start:,} to {run.stop - 1:,}"
        return Damage(
            run.loss.kind,
            f"{f'all {self.rows:,} rows' if whole and self.rows > 1 else rows}: {run.loss.reason}",
            position=None if whole else run.start - self.origin,
            dataset=name,
            offset=run.loss.offset,
            records_lost=run.records_lost,
            data={"rows": [run.start, run.stop], **run.loss.data},
        )


def row_batch(table: Table, origin: int, start: int, stop: int, columns: Mapping[str, Column]) -> RowBatch:
    """The rows ``start:stop`` of a table; positions count from ``origin``."""
    return RowBatch(table, np.arange(start - origin, stop - origin, dtype=np.int64), columns)
