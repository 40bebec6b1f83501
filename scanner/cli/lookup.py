"""Finds one record in a store, by its key or by its position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np

from ...backends.base import Batch, Damage, Extent, Partition, RecordBatch, RowBatch, Store, Table
from ...backends.columns import BytesColumn
from ...backends.errors import StoreError, UsageError
from ..printable import key_text

POSITION = re.compile(r"#(\d+)")
NEAR = 3
"""Keys that are offered in place of one that is not there."""


class NotFound(StoreError):
    """There is no such record, or it can't be read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record as a batch of one; its position, where that is known; why columns of its row are missing."""

    position: int | None
    record: Batch
    damage: tuple[Damage, ...] = ()


def parse_key(text: str) -> bytes | int:
    """A key as it is typed: text, ``hex:0a0b``, or ``#37`` for a position."""
    if match := POSITION.fullmatch(text):
        return int(match[1])
    if text.startswith("hex:"):
        try:
            return bytes.fromhex(text[4:])
        except ValueError:
            raise UsageError(f"{text!r} is not hexadecimal; write two digits a byte, as in hex:0a0b") from None
    return text.encode(errors="surrogateescape")


def find_by_key(store: Store, key: bytes) -> Found:
    """The record of a key.

    Raises
    ------
    NotFound
        The store has no such key; the message names some that look like it.
    """
    found = store.find(key)
    if found is None:
        raise NotFound(f"{store.path}: there is no key {key_text(key)}{near_keys(store, key)}")
    position, value = found
    keys, values = BytesColumn.from_strings([key]), BytesColumn.from_strings([value])
    return Found(position, RecordBatch(Table(), np.array([position or 0], np.int64), keys, values))


def near_keys(store: Store, key: bytes) -> str:
    """Keys among the sampled ones that look like this one, or the first, to show what keys are like here."""
    sample = store.sample()
    if sample is None or not len(sample):
        return ""
    keys = [key_text(bytes(other)) for other in sample.keys]
    near = get_close_matches(key_text(key), keys, NEAR, 0.6)
    return f"; keys look like {', '.join(near or keys[:NEAR])}"


def find_by_position(store: Store, position: int, tables: Sequence[Table] | None = None) -> Found:
    """The record at a position.

    A store that knows how many records it has is asked for the first ``position + 1`` and only their last part is
    read; what comes out is believed if the key is found at that position again.

    Raises
    ------
    NotFound
        There are fewer records, or this one can't be read.
    """
    partitions = store.partitions(tables, position + 1)
    if store.records_claimed is not None and store.records_claimed > position:
        found = _last_of(store, partitions[-1:], position)
        if found is not None and _confirmed(store, found.record, position):
            return found
    return _read_through(store, partitions, position)


def _last_of(store: Store, partitions: Sequence[Partition], position: int) -> Found | None:
    """The last record of some partitions, ``None`` where it can't be read."""
    last: Batch | None = None
    extent = 0
    damages: list[Damage] = []
    for partition in partitions:
        for part in store.read(partition):
            if isinstance(part, Extent):
                extent = part.positions
            elif isinstance(part, Damage):
                damages.append(part)
            elif len(part):
                last = part.take(slice(len(part) - 1, len(part)))
    if last is None or int(last.positions[0]) != extent - 1:
        return None
    return _found(position, last, damages)


def _found(position: int, record: Batch, damages: Sequence[Damage]) -> Found:
    """The record under its absolute position, with the damage that took columns of its row."""
    missing = set(record.table.columns) - set(record.columns) if isinstance(record, RowBatch) else set()
    reasons = tuple(damage for damage in damages if damage.dataset in missing)
    return Found(position, replace(record, positions=np.array([position], np.int64)), reasons)


def _confirmed(store: Store, record: Batch, position: int) -> bool:
    """Whether the store gives the record's key the same position."""
    if not isinstance(record, RecordBatch):
        return True
    found = store.find(bytes(record.keys[0]))
    return found is not None and found[0] == position


def _read_through(store: Store, partitions: Sequence[Partition], position: int) -> Found:
    before = 0
    damages: list[Damage] = []
    for partition in partitions:
        damages.clear()
        record: Batch | None = None
        for part in store.read(partition):
            if isinstance(part, Extent):
                before += part.positions
            elif isinstance(part, Damage):
                damages.append(part)
            elif record is None and len(row := np.flatnonzero(part.positions == position - before)):
                record = part.take(row)  # read on: what took a column of this row may be told later
        if record is not None:
            return _found(position, record, damages)
    if before > position:
        why = f": {damages[-1].reason}" if damages else ""
        raise NotFound(f"{store.path}: the record at position {position} can't be read{why}")
    raise NotFound(f"{store.path}: there is no position {position}; there are {before:,}, counted from 0")


def table_of(store: Store, tables: Sequence[Table], dataset: str | None) -> Table:
    """The rows that are meant: the table that holds the dataset, or the only one.

    Raises
    ------
    UsageError
        There are several to choose from, or none.
    """
    held = [table for table in tables if dataset is None or dataset.strip("/") in _names(table)]
    if len({table.file for table in held}) > 1:
        raise UsageError(f"{store.path} lists several files; name the one that holds the row as SOURCE")
    if len(held) == 1:
        return held[0]
    listed = ", ".join(column for table in tables for column in table.columns)
    if dataset is not None and not held:
        raise UsageError(f"--dataset: {store.path} has no dataset {dataset!r} that can be shown; there are {listed}")
    raise UsageError(f"{store.path} has rows of several datasets; choose with --dataset from {listed}")


def _names(table: Table) -> set[str]:
    return {column.strip("/") for column in table.columns}
