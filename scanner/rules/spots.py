"""Records of several blocks of a batch, in one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sample import ArrayBlock, Rows

_NO_ROWS = np.zeros(0, np.int64)


class Spots:
    """Places in the blocks of a batch, in the order of their rows; those of a row in the order of the blocks."""

    def __init__(self, found: Sequence[tuple[ArrayBlock, NDArray[np.intp]]]) -> None:
        self.blocks = [block for block, _ in found]
        rows: Rows = np.concatenate([_NO_ROWS, *(block.rows[places] for block, places in found)])
        self._order = np.argsort(rows, kind="stable")
        self.rows = rows[self._order]
        self._places = self.in_order([places for _, places in found])
        self._which = self.in_order([np.full(len(places), number) for number, (_, places) in enumerate(found)])

    def __getitem__(self, number: int) -> tuple[ArrayBlock, int]:
        return self.blocks[int(self._which[number])], int(self._places[number])

    def in_order(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """What is known of the places of each block, in the order of all."""
        return np.concatenate(parts)[self._order] if parts else np.zeros(0, np.int64)
