"""Equal-sized parts of many records as one array: a view where they lie at a constant distance, else one fast copy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...backends.columns import gathered
from ..sample import Rows

VIEW_BYTES = 1 << 17
"""Runs of at least this average size stay views: below, the calls on one more block cost more than the copy."""


def stacked(buffer: NDArray[np.uint8], starts: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """As `gathered`, but a read-only view where the starts have a constant distance."""
    steps = np.diff(starts)
    if not len(starts) or (len(steps) and bool((steps != steps[0]).any())):
        return gathered(buffer, starts, width)
    return _view(buffer, int(starts[0]), int(steps[0]) if len(steps) else width, len(starts), width)


def blocks(
    buffer: NDArray[np.uint8], rows: Rows, starts: NDArray[np.int64], width: int
) -> Iterator[tuple[Rows, NDArray[np.uint8]]]:
    """The parts of all rows as ``(rows, (n, width) bytes)``, in one block or in a few.

    Large parts stay where they are, in one block for each run at a constant distance, because one more pass over
    the bytes is what would cost; small ones are gathered into one block.
    """
    most = max(len(rows) * width // VIEW_BYTES, 1)
    cuts = _cuts(starts, most)
    if cuts is None:
        yield rows, gathered(buffer, starts, width)
        return
    for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        yield rows[begin:end], stacked(buffer, starts[begin:end], width)


def _cuts(starts: NDArray[np.int64], most: int) -> list[int] | None:
    """Where runs of constant distance end, ``None`` if there are more than ``most`` runs."""
    steps = np.diff(starts)
    changes = np.flatnonzero(steps[1:] != steps[:-1]) + 1
    if len(changes) > 2 * most:  # a jump between two runs changes the step twice
        return None
    cuts: list[int] = []
    begin = 0
    for row in changes.tolist():
        if row > begin:
            begin = row + 1
            cuts.append(begin)
    return cuts if len(cuts) < most else None


def _view(buffer: NDArray[np.uint8], first: int, step: int, count: int, width: int) -> NDArray[np.uint8]:
    # The constructor checks the bounds, which `as_strided` does not.
    view: NDArray[np.uint8] = np.ndarray((count, width), np.uint8, buffer, first, (step, 1))
    view.flags.writeable = False
    return view


def as_floats(part: NDArray[np.uint8], step: int) -> NDArray[np.float32]:
    """``(n, bytes)`` of little-endian float32 as ``(n, elements)``, aligned.

    ``step`` is 4, or 5 where each number is behind a tag of one byte. Unaligned numbers are copied once here: every
    later pass over them would do the same behind the scenes.
    """
    if step == 4:
        plain: NDArray[np.float32] = part.view("<f4")
        return plain if plain.flags.aligned else plain.copy()
    tagged = part.reshape(len(part), -1, 5)[:, :, 1:]
    return tagged.view("<f4")[:, :, 0].copy()
