"""Merging a set's tables and logs: each key once, as it was written last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import Damage
from .leveldb_entries import DELETED, Entries, newest_first_order


@dataclass(frozen=True, slots=True)
class Source:
    """Entries in internal key order. ``listed`` is False for tables that the MANIFEST does not know of."""

    chunks: Iterator[Entries | Damage]
    listed: bool = True


class Merge:
    """The newest entry of each key out of several sources, deleted ones left out; damage as it is met.

    Where only one source has keys its columns go through as they are. Where several have, they are sorted together
    a chunk at a time, never record by record.

    Attributes
    ----------
    unlisted
        How many of the entries so far, deletions among them, stand in sources only that are not listed.
    disordered
        Whether keys came out of bytewise order: then superseded entries may be among them.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self.unlisted = 0
        self.disordered = False
        self._last: bytes | None = None

    def __iter__(self) -> Iterator[Entries | Damage]:
        heads: dict[int, Entries] = {}
        waiting = set(range(len(self._sources)))
        while True:
            for number in sorted(waiting - heads.keys()):
                for part in self._sources[number].chunks:
                    if not isinstance(part, Damage):
                        heads[number] = part
                        break
                    yield part
                else:
                    waiting.discard(number)
            if not heads:
                return
            taken = self._take(heads)
            # Equal writes of two sources: the listed one counts.
            ranks = sorted(taken, key=lambda number: (not self._sources[number].listed, number))
            listed = [self._sources[number].listed for number in ranks]
            if len(ranks) == 1:
                entries, origins = taken[ranks[0]], np.zeros(len(taken[ranks[0]]), np.int64)
            else:
                entries, origins = newest_first_order([taken[number] for number in ranks], range(len(ranks)))
            yield from self._newest(entries, ~np.array(listed)[origins])

    def _take(self, heads: dict[int, Entries]) -> dict[int, Entries]:
        """Take off the heads what no later chunk can come before: up to the least of their last keys."""
        if len(heads) == 1:
            number, entries = heads.popitem()
            return {number: entries}
        frontier, least = min((entries.key(len(entries) - 1), number) for number, entries in heads.items())
        taken = {}
        for number, entries in list(heads.items()):
            rows = len(entries) if number == least else entries.rows_below(frontier, inclusive=True)
            if rows:
                taken[number] = entries.take(slice(0, rows))
            if rows == len(entries):
                del heads[number]
            elif rows:
                heads[number] = entries.take(slice(rows, None))
        return taken

    def _newest(self, entries: Entries, unlisted: NDArray[np.bool_]) -> Iterator[Entries]:
        """Each key's first entry, unless that is a deletion."""
        keys = entries.comparable_keys()
        first = np.ones(len(entries), np.bool_)
        first[1:] = (keys[1:] != keys[:-1]) | (entries.key_lengths[1:] != entries.key_lengths[:-1])
        if self._last is not None:
            start = entries.key(0)
            self.disordered = self.disordered or start < self._last
            if start == self._last:
                first[: int(np.argmax(first[1:])) + 1 if first[1:].any() else len(first)] = False
        self.disordered = self.disordered or bool((keys[1:] < keys[:-1]).any())
        self._last = entries.key(len(entries) - 1)
        self.unlisted += int((first & unlisted).sum())
        first &= entries.kinds != DELETED
        if first.all():
            yield entries
        elif first.any():
            yield entries.take(first)
