"""What a rebuild asks of a layout: which keys stay, and what its reserved records say of them then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...backends.columns import BytesColumn
from ..prints import key_hashes
from .keys import RESERVED

_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Revision:
    """What changes with the keys that stay.

    Attributes
    ----------
    values
        New values of reserved records.
    numbers, places
        Where keys that are plain numbers are numbered again: for each record that stays, in store order, its number
        (-1 for one that keeps its key) and its place among all of them.
    """

    values: Mapping[bytes, bytes] = field(default_factory=dict)
    numbers: NDArray[np.int64] | None = None
    places: NDArray[np.int64] | None = None


class KeptKeys:
    """The keys of the records that stay, known by their hashes; ``renumber`` is whether they get new numbers."""

    def __init__(self, hashes: NDArray[np.uint64], renumber: bool = False) -> None:
        self.renumber = renumber
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]
        self.count = len(hashes)
        self.samples = self.count - int((self.places(sorted(RESERVED)) >= 0).sum())

    def places(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """The place in store order of each of some keys, -1 of those that don't stay."""
        if not len(keys) or not self.count:
            return np.full(len(keys), -1, np.int64)
        hashes = key_hashes(BytesColumn.from_strings(keys))
        at = np.minimum(np.searchsorted(self._sorted, hashes), self.count - 1)
        return np.where(self._sorted[at] == hashes, self._order[at], -1).astype(np.int64)

    def decimals(self, start: int, stop: int) -> NDArray[np.int64]:
        """The same of the keys that are plain numbers."""
        cuts = [*range(start, stop, _BLOCK), stop]
        blocks = [self.places([b"%d" % number for number in range(*cut)]) for cut in pairwise(cuts)]
        return np.concatenate([np.empty(0, np.int64), *blocks])

    def numbered_again(self, places: NDArray[np.int64], start: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """New numbers from ``start`` for the records at some places, in that order, and the places that they get.

        Plain numbers stand before all reserved keys, ``10`` before ``2``.
        """
        fresh = np.arange(start, start + len(places))
        numbers, moved = np.full(self.count, -1, np.int64), np.arange(self.count)
        numbers[places] = fresh
        moved[places[np.argsort(fresh.astype("S"), kind="stable")]] = np.sort(places)
        return numbers, moved
