"""Fingerprints on disk: 40 bytes a record beside the target, so that memory does not grow with the set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..prints import Prints

BLOCK = 1 << 18
"""Records that are looked at together."""

PRINT = np.dtype([("position", "<i8"), ("key", "<u8"), ("value", "<u8", (2,)), ("content", "<u8"), ("label", "<f8")])

FATE = np.dtype(
    [("position", "<i8"), ("number", "<i8"), ("key", "<u8"), ("value", "<u8", (2,)), ("side", "u1"), ("changed", "?")]
)
"""Where a record went: its set, its number there, the key that it has there, and its value if that was changed."""

Column = tuple[str, str] | None
Table = NDArray[np.void]


class Spill:
    """Prints of a whole set, by column: ``None`` for records, file and dataset for rows."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.columns: dict[Column, Path] = {}

    def add(self, prints: Prints, offset: int) -> None:
        """Write prints behind those that are there; their positions move by ``offset``."""
        rows = np.zeros(len(prints.positions), PRINT)
        rows["position"], rows["key"], rows["value"] = prints.positions + offset, prints.keys, prints.values
        if prints.contents is not None:
            rows["content"], rows["label"] = prints.contents, prints.labels
        path = self.columns.setdefault(prints.column, self.folder / str(len(self.columns)))
        append(path, rows)

    def table(self, column: Column) -> Table:
        """The prints of a column, not in memory."""
        path = self.columns.get(column)
        return mapped(path, PRINT) if path is not None else np.empty(0, PRINT)


def append(path: Path, rows: NDArray[Any]) -> None:
    """Write rows to the end of a file."""
    with path.open("ab") as stream:
        stream.write(rows.tobytes())


def mapped(path: Path, dtype: np.dtype[Any]) -> Table:
    """The rows of a file, not in memory."""
    if not path.exists() or path.stat().st_size == 0:
        return np.empty(0, dtype)
    table: Table = np.memmap(path, dtype, "r")
    return table


def blocks(table: Table) -> Iterator[Table]:
    """A table in parts of bounded size."""
    for first in range(0, len(table), BLOCK):
        yield np.asarray(table[first : first + BLOCK])


def among(positions: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which positions are among the chosen ones, which are ascending."""
    if not len(chosen):
        return np.zeros(len(positions), np.bool_)
    places = np.minimum(np.searchsorted(chosen, positions), len(chosen) - 1)
    found: NDArray[np.bool_] = chosen[places] == positions
    return found
