"""Labels by the directory in a record's key: what shows that directories are classes, and which records disagree.

Caffe's convert_imageset writes ``00000012_n01440764/img_3.JPEG``: a number, and the path of the image. Other tools
write the path alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.base import RecordBatch
from ...backends.columns import BytesColumn
from ..options import Options
from ..sample import LabelBlock, SampleBatch
from .hashes import content_hashes
from .positions import PositionLog

MOST_FOLDERS = 1 << 14
"""With more directories than that they are not looked at: a directory each few records is no class."""

MOST_LABELS = 32
"""A directory with more labels is no class."""

NAMED = 20
"""Records that are named for each label of a directory."""

ENOUGH = 5
CLEAR = 0.99
COMMON = 0.5
_LONGEST = 256
_NUMBER = 8
"""Digits before the path that convert_imageset writes."""

_SLASH, _UNDERSCORE = ord("/"), ord("_")


@dataclass(frozen=True, slots=True)
class Odd:
    """A record whose label is not that of its directory; ``records`` of the ``total`` there have the usual one."""

    position: int
    folder: bytes
    label: int
    usual: int
    records: int
    total: int


class FolderSummary:
    """How often each label occurs in each directory, and where it does first."""

    def __init__(self, options: Options) -> None:
        self.folders: dict[bytes, dict[int, PositionLog]] = {}
        self.outside = 0
        self.many = False

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        block = next((one for one in samples.labels if _is_class(one)), None)
        if block is None or self.many or not isinstance(samples.batch, RecordBatch):
            return
        rows, names, which = _folders(samples.batch.keys.take(block.rows))
        self.outside += len(block.rows) - len(rows)
        if not len(rows):
            return
        labels = block.values.reshape(-1)[rows].astype(np.int64)
        positions = samples.batch.positions[block.rows[rows]].astype(np.int64)
        order = np.lexsort((positions, labels, which))
        edges = np.flatnonzero((np.diff(which[order]) != 0) | (np.diff(labels[order]) != 0)) + 1
        for group in np.split(order, edges):
            self._log(names[which[group[0]]], int(labels[group[0]])).add(positions[group])
        self._bound()

    def merge(self, later: FolderSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        self.outside += later.outside
        self.many = self.many or later.many
        for name, labels in later.folders.items():
            for label, log in labels.items():
                self._log(name, label).merge(log, offset)
        self._bound()

    def statistics(self) -> dict[str, Any]:
        """Nothing: what does not fit is a finding."""
        return {}

    def _log(self, name: bytes, label: int) -> PositionLog:
        return self.folders.setdefault(name, {}).setdefault(label, PositionLog(NAMED))

    def _bound(self) -> None:
        """Give up where directories are no classes, whatever the order in which that is found out."""
        most = max(map(len, self.folders.values()), default=0)
        if self.many or len(self.folders) > MOST_FOLDERS or most > MOST_LABELS:
            self.many = True
            self.folders.clear()

    def odd(self) -> tuple[list[Odd], int]:
        """The records that disagree with their directory, in store order, and how many there are in all."""
        found = [_Folder.of(name, labels) for name, labels in self.folders.items()]
        large = [one for one in found if one.total >= ENOUGH]
        if not _are_classes(large, self.outside + sum(one.total for one in found)):
            return [], 0
        odd = sorted((one for folder in large for one in folder.odd()), key=lambda one: one.position)
        return odd, sum(one.total - one.records for one in large)


@dataclass(frozen=True, slots=True)
class _Folder:
    name: bytes
    labels: dict[int, PositionLog]
    usual: int
    records: int
    total: int

    @classmethod
    def of(cls, name: bytes, labels: dict[int, PositionLog]) -> _Folder:
        usual = max(sorted(labels), key=lambda label: labels[label].count)
        return cls(name, labels, usual, labels[usual].count, sum(log.count for log in labels.values()))

    def odd(self) -> Iterator[Odd]:
        for label, log in self.labels.items():
            if label != self.usual:
                for position in log.positions:
                    yield Odd(position, self.name, label, self.usual, self.records, self.total)


def _are_classes(folders: list[_Folder], labelled: int) -> bool:
    """Whether directories are clearly classes.

    Almost all records lie in one of several, and have its label. Where directories share labels (a class in several
    places, or parts of a set in which one label is rare) none of these may be that of most records.
    """
    inside, agreeing = sum(one.total for one in folders), sum(one.records for one in folders)
    by_label: dict[int, int] = {}
    for one in folders:
        by_label[one.usual] = by_label.get(one.usual, 0) + one.total
    if len(by_label) < 2 or inside < CLEAR * labelled or agreeing < CLEAR * inside:
        return False
    return len(by_label) == len(folders) or max(by_label.values()) <= COMMON * inside


def _is_class(block: LabelBlock) -> bool:
    return bool(len(block.rows)) and block.values.dtype.kind in "iu" and block.values.size == len(block.rows)


def _folders(keys: BytesColumn) -> tuple[NDArray[np.int64], list[bytes], NDArray[np.int64]]:
    """The rows of keys with a directory, the directories, and which of these each row has."""
    lengths = np.minimum(keys.lengths, _LONGEST)
    ends = np.full(len(keys), -1, np.int64)
    digits = np.zeros(len(keys), np.int64)
    for column in range(int(lengths.max(initial=0))):
        inside = np.flatnonzero(lengths > column)
        found = keys.buffer[keys.starts[inside] + column]
        ends[inside[found == _SLASH]] = column
        if column < _NUMBER:
            digits[inside[(found - ord("0")) < 10]] += 1  # unsigned: what is below a digit is far above one
        elif column == _NUMBER:
            digits[inside[(found == _UNDERSCORE) & (digits[inside] == _NUMBER)]] = _NUMBER + 1
    first = np.where(digits > _NUMBER, _NUMBER + 1, 0)
    rows = np.flatnonzero(ends > first)
    paths = BytesColumn(keys.buffer, keys.starts[rows] + first[rows], ends[rows] - first[rows])
    if not len(rows):
        return rows, [], rows
    _, places, which = np.unique(content_hashes(paths)[:, 0], return_index=True, return_inverse=True)
    return rows, [bytes(paths[place]) for place in places.tolist()], which.reshape(-1)
