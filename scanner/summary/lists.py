"""Keys that a set is said to have, and those that it has: kept as hashes, 16 bytes a record, where there is a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...backends.columns import BytesColumn
from ..options import Options
from ..sample import SampleBatch
from .hashes import content_hashes


@dataclass(slots=True)
class KeyList:
    """Keys that something names: a reserved record, a count of numbered records, a file beside the store.

    ``source`` is what names them, in words; ``text`` holds the keys one behind the other. ``exhaustive`` is whether
    loaders read nothing that it does not name.
    """

    source: str
    text: bytes
    lengths: NDArray[np.int64]
    exhaustive: bool = True

    @classmethod
    def of(cls, source: str, keys: list[bytes], exhaustive: bool = True) -> KeyList:
        """A list of these keys."""
        lengths = np.fromiter(map(len, keys), np.int64, len(keys))
        return cls(source, b"".join(keys), lengths, exhaustive)

    @classmethod
    def numbered(cls, source: str, count: int) -> KeyList:
        """A list of the numbers from 0 to ``count - 1``, made without an object for each."""
        sizes = [
            np.arange(count)[10**digits if digits else 0 : 10 ** (digits + 1)] for digits in range(len(str(count)))
        ]
        text = b"".join(part.astype(f"S{digits}").tobytes() for digits, part in enumerate(sizes, 1))
        lengths = np.repeat(np.arange(1, len(sizes) + 1), [len(part) for part in sizes])
        return cls(source, text, lengths)

    @property
    def keys(self) -> BytesColumn:
        """The keys, in the order of the list."""
        return BytesColumn(np.frombuffer(self.text, np.uint8), np.cumsum(self.lengths) - self.lengths, self.lengths)


class ListSummary:
    """The lists of a set's keys, and a hash of each key that is there."""

    def __init__(self, options: Options) -> None:
        self.cap = options.most_told
        self.lists: list[KeyList] = []
        self.hashes: list[NDArray[np.uint64]] = []
        self.positions: list[NDArray[np.int64]] = []

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        if samples.key_rows is not None and len(samples.key_rows):
            self.hashes.append(_hashes(samples.record_keys.take(samples.key_rows)))
            self.positions.append(samples.batch.positions[samples.key_rows].astype(np.int64))

    def merge(self, later: ListSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        self.lists += later.lists
        self.hashes += later.hashes
        self.positions += [positions + offset for positions in later.positions]

    def statistics(self) -> dict[str, Any]:
        """Nothing: what does not fit is a finding."""
        return {}

    def _present(self) -> NDArray[np.uint64]:
        return np.concatenate([np.empty(0, np.uint64), *self.hashes])

    def missing(self) -> tuple[list[tuple[KeyList, bytes]], int]:
        """Keys that a list names and that are not there, in the order of the list, and how many more there are."""
        present, more = self._present(), 0
        told: list[tuple[KeyList, bytes]] = []
        for named in self.lists:
            places = np.flatnonzero(~np.isin(_hashes(named.keys), present))
            shown = places[: max(self.cap - len(told), 0)].tolist()
            told += [(named, bytes(named.keys[place])) for place in shown]
            more += len(places) - len(shown)
        return told, more

    def unlisted(self) -> Iterator[tuple[KeyList, int]]:
        """Positions of records that no list of all keys names, ascending."""
        present = self._present()
        for named in self.lists:
            if named.exhaustive:
                odd = np.flatnonzero(~np.isin(present, _hashes(named.keys)))
                positions = np.concatenate([np.empty(0, np.int64), *self.positions])[odd]
                yield from ((named, position) for position in positions.tolist())


def _hashes(keys: BytesColumn) -> NDArray[np.uint64]:
    hashes: NDArray[np.uint64] = content_hashes(keys)[:, 0]
    return hashes
