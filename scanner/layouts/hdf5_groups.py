"""What layouts share that are recognised by names of datasets: episodes, and arrays that belong together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...backends.base import DatasetInfo, RowBatch, Table
from ..sample import Fault, SampleBatch
from .base import Traits
from .hdf5_rows import Hdf5Rows, is_array, rows_of


class Hdf5Named(Hdf5Rows):
    """Rows that are steps, slices or vectors: equal ones are no copies, and a feature may well be constant."""

    traits = Traits(key_numbers=False)
    equal_rows_mean_duplicates = False

    def decode(self, batch: RowBatch) -> SampleBatch:
        """See `RowLayout.decode`."""
        samples = super().decode(batch)
        samples.contents = samples.content_rows = None
        samples.arrays = [block if block.axes else replace(block, axes="L") for block in samples.arrays]
        return samples


Episodes = dict[str, dict[str, DatasetInfo]]
"""Datasets of each episode by their path within it, in file order."""


def episodes_in(datasets: Sequence[DatasetInfo], pattern: re.Pattern[str]) -> Episodes:
    """Datasets by episode; the pattern's first group is the episode's path, its second the rest."""
    found: Episodes = {}
    for info in datasets:
        match = pattern.fullmatch(info.path)
        if match is not None:
            found.setdefault(match[1], {})[match[2]] = info
    return found


def usable(info: DatasetInfo) -> bool:
    """Whether rows of a dataset can be looked at."""
    return is_array(info) or (info.readable and info.kind == "bytes" and info.shape is not None)


def tables_of(name: str, infos: Iterable[DatasetInfo]) -> list[Table]:
    """Datasets of one group with as many rows are read together."""
    by_rows: dict[int, list[str]] = {}
    for info in infos:
        if usable(info):
            by_rows.setdefault(rows_of(info) if info.shape else 0, []).append(info.path)
    tables = []
    for number, paths in enumerate(by_rows.values()):
        tables.append(Table(name if number == 0 else paths[0], tuple(paths)))
    return tables


def twin_fault(info: DatasetInfo, rows: int, other: str, why: str = "") -> Fault:
    """A dataset that has another number of rows than it should."""
    message = f"has {rows_of(info):,} rows, {other} {rows:,}{why}"
    return Fault(None, "record-missing-twin", message, info.path, data={"rows": rows_of(info), "expected": rows})


def count_fault(path: str, said: str, claimed: object, read: int, what: str) -> Fault:
    """A count in an attribute that is not what is there."""
    message = f"{said} is {claimed}, there are {read:,} {what}"
    return Fault(None, "store-count-mismatch", message, path, data={"claimed": claimed, "read": read})
