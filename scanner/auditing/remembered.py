"""Each record's key and contents as 8 bytes each: what two states of a source are compared by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from ...backends.base import Table
from ..prints import Prints

Words = NDArray[np.uint64]
Positions = NDArray[np.int64]

PART = 1 << 16
"""Records in a part of what is written down."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Hashes of keys (of table and row where there are no keys) and of contents, in store order."""

    keys: Words
    values: Words
    positions: Positions

    def __len__(self) -> int:
        return len(self.keys)

    def parts(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and contents of neighbouring records, as they are written down."""
        for start in range(0, len(self), PART):
            yield self.keys[start : start + PART].tobytes(), self.values[start : start + PART].tobytes()

    @classmethod
    def of_parts(cls, parts: Iterable[tuple[bytes, bytes]]) -> Remembered:
        """What `parts` gave; positions are not known any more, but for their order."""
        pairs = [(np.frombuffer(keys, np.uint64), np.frombuffer(values, np.uint64)) for keys, values in parts]
        none = np.empty(0, np.uint64)
        keys = np.concatenate([none, *(keys for keys, _ in pairs)])
        values = np.concatenate([none, *(values for _, values in pairs)])
        return cls(keys, values, np.arange(len(keys)))


@dataclass(frozen=True, slots=True)
class Difference:
    """Which records of the later state are new or other ones (by position), and which of the earlier are gone."""

    added: Positions
    changed: Positions
    changed_keys: Words
    was: Words
    now: Words
    gone: int

    @property
    def nothing(self) -> bool:
        """Whether the states are equal."""
        return not (len(self.added) or len(self.changed) or self.gone)


def remember(prints: Sequence[Prints], extents: Sequence[tuple[Table, int]]) -> Remembered:
    """What fingerprints come to; rows of several datasets that are read together are one record."""
    positions = np.concatenate([np.empty(0, np.int64), *(one.positions for one in prints)])
    values = _words([_value(one) for one in prints])
    keys = _words([one.keys for one in prints])
    if any(one.column is not None for one in prints):
        places, inverse = np.unique(positions, return_inverse=True)
        summed = np.zeros(len(places), np.uint64)
        np.add.at(summed, inverse, values)
        positions, values = places, summed
        keys = _row_keys(positions, extents)
    return Remembered(keys, values, positions)


def _value(prints: Prints) -> Words:
    """64 of the 128 bits, in which a dataset's path has its part: two of them do not change places unnoticed."""
    if prints.column is None:
        return prints.values[:, 0]
    factor = np.uint64(xxhash.xxh3_64_intdigest("\0".join(prints.column).encode()) | 1)
    found: Words = prints.values[:, 0] * factor
    return found


def _row_keys(positions: Positions, extents: Sequence[tuple[Table, int]]) -> Words:
    """Table and row of each position."""
    starts = np.cumsum([0, *(count for _, count in extents)])[:-1]
    seeds = np.array([xxhash.xxh3_64_intdigest(f"{t.file}\0{t.name}".encode()) for t, _ in extents], np.uint64)
    table = np.searchsorted(starts, positions, side="right") - 1
    found: Words = seeds[table] + (positions - starts[table]).astype(np.uint64)
    return found


def _words(parts: list[Words]) -> Words:
    return np.concatenate([np.empty(0, np.uint64), *parts])


def compare(earlier: Remembered, later: Remembered) -> Difference:
    """What differs, whatever the order that the records stand in."""
    before, after = _unique_keys(earlier, later)
    order = np.argsort(before)
    sorted_keys = before[order]
    places = np.searchsorted(sorted_keys, after)
    inside = places < len(sorted_keys)
    found = inside.copy()
    found[inside] = sorted_keys[places[inside]] == after[inside]
    matches = order[places[found]]
    differs = earlier.values[matches] != later.values[found]
    return Difference(
        added=later.positions[~found],
        changed=later.positions[found][differs],
        changed_keys=later.keys[found][differs],
        was=earlier.values[matches][differs],
        now=later.values[found][differs],
        gone=len(before) - len(np.unique(matches)),
    )


def _unique_keys(earlier: Remembered, later: Remembered) -> tuple[Words, Words]:
    """The keys; where one occurs twice (LMDB's duplicates), together with the contents."""
    if len(np.unique(later.keys)) == len(later) and len(np.unique(earlier.keys)) == len(earlier):
        return earlier.keys, later.keys
    return earlier.keys ^ (earlier.values * np.uint64(3)), later.keys ^ (later.values * np.uint64(3))
