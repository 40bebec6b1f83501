"""Shapes, dtypes and image formats of a set, and where each of them stands first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..options import Options
from ..sample import ArrayBlock, SampleBatch
from .places import is_beyond
from .positions import PositionLog

Shape = tuple[int, ...]
Trait = TypeVar("Trait", bound=Hashable)

MAJORITY = 0.95
"""Share of samples that makes a shape the shape of the set."""

MAX_LOCATED = 4096
"""Beyond so many different shapes their positions are dropped and they are only counted."""

MAX_SHAPES = 1 << 16
"""Beyond so many different shapes, new ones are only counted together."""

LISTED = 100
"""Shapes listed in the statistics."""

PAYLOAD = "data"
"""Name under which an encoded image is known that is a record's payload, the same as that of a raw one."""


@dataclass(slots=True)
class ShapeTable:
    """Shapes and dtypes of one array of the samples.

    ``axes`` is as in `ArrayBlock`, of the first sample. ``located`` turns false when positions are dropped;
    ``uncounted`` samples have shapes beyond `MAX_SHAPES`.
    """

    cap: int
    axes: str
    shapes: dict[Shape, PositionLog] = field(default_factory=dict)
    dtypes: dict[str, PositionLog] = field(default_factory=dict)
    uncounted: int = 0
    located: bool = True

    def add(self, shape: Shape, positions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Samples of a shape, in some rows of a batch."""
        if shape not in self.shapes and len(self.shapes) >= MAX_SHAPES:
            self.uncounted += len(rows)
            return
        _log(self.shapes, shape, self.cap).add_rows(positions, rows)
        self._drop_positions()

    def merge(self, later: ShapeTable, offset: int) -> None:
        """Take in what follows in store order."""
        for shape, log in later.shapes.items():
            if shape not in self.shapes and len(self.shapes) >= MAX_SHAPES:
                self.uncounted += log.count
            else:
                _log(self.shapes, shape, self.cap).merge(log, offset)
        self.uncounted += later.uncounted
        self._drop_positions()
        _merge_logs(self.dtypes, later.dtypes, self.cap, offset)

    def _drop_positions(self) -> None:
        if len(self.shapes) > MAX_LOCATED:
            self.located = False
            for log in self.shapes.values():
                log.cap = 0
                log.positions.clear()

    @property
    def count(self) -> int:
        """Samples that have this array."""
        return sum(log.count for log in self.shapes.values()) + self.uncounted

    def spatial(self, shape: Shape) -> Shape:
        """The shape without the channels, where they are known."""
        if "C" not in self.axes or len(shape) != len(self.axes):
            return shape
        channel = self.axes.index("C")
        return shape[:channel] + shape[channel + 1 :]

    def majority(self) -> Shape | None:
        """The most frequent shape, if 95% or more of the samples agree with it in all but the channels."""
        groups: Counter[Shape] = Counter()
        for shape, log in self.shapes.items():
            groups[self.spatial(shape)] += log.count
        if not groups:
            return None
        usual, count = groups.most_common(1)[0]
        if count < MAJORITY * self.count:
            return None
        alike = {shape: log.count for shape, log in self.shapes.items() if self.spatial(shape) == usual}
        return max(alike, key=lambda shape: alike[shape])

    def usual_dtype(self) -> str | None:
        """The dtype of 95% or more of the samples."""
        total = sum(log.count for log in self.dtypes.values())
        return next((name for name, log in self.dtypes.items() if log.count >= MAJORITY * total), None)


class ShapeSummary:
    """Shapes, dtypes, channels and formats.

    ``tables`` has the shapes by array name, the first seen first; an encoded image counts as ``(C, H, W)``.
    ``channels`` has the samples by number of channels, of the arrays and images whose channels are known.
    """

    def __init__(self, options: Options) -> None:
        self.cap = options.max_findings if options.trace is None else options.most_logged
        self.tables: dict[str, ShapeTable] = {}
        self.channels: dict[int, PositionLog] = {}
        self.formats: Counter[str] = Counter()

    @property
    def shapes(self) -> Mapping[Shape, PositionLog]:
        """Shapes of the main array or image of the samples: the one seen first."""
        return next(iter(self.tables.values())).shapes if self.tables else {}

    def add(self, samples: SampleBatch) -> None:
        """See `SummaryPart.add`."""
        shapes: dict[tuple[str, Shape], list[NDArray[np.int64]]] = defaultdict(list)
        dtypes: dict[tuple[str, str], list[NDArray[np.int64]]] = defaultdict(list)
        channels: dict[int, list[NDArray[np.int64]]] = defaultdict(list)
        for block in samples.arrays:
            if len(block.rows) == 0 or self._is_beyond(block.name):
                continue
            self._table(block.name, block.axes)
            shapes[block.name, block.shape].append(block.rows)
            dtypes[block.name, dtype_name(block)].append(block.rows)
            if block.channel_axis is not None:
                channels[block.values.shape[block.channel_axis]].append(block.rows)
        for name, shape, rows in self._images(samples):
            shapes[name, shape].append(rows)
            channels[shape[0]].append(rows)
        positions = samples.batch.positions
        for (name, shape), parts in shapes.items():
            self.tables[name].add(shape, positions, _ascending(parts))
        for (name, dtype), parts in dtypes.items():
            _log(self.tables[name].dtypes, dtype, self.cap).add_rows(positions, _ascending(parts))
        for count, parts in channels.items():
            _log(self.channels, count, self.cap).add_rows(positions, _ascending(parts))

    def _images(self, samples: SampleBatch) -> Iterable[tuple[str, Shape, NDArray[np.int64]]]:
        """Rows of the encoded images of each name and shape."""
        rows: dict[tuple[str, Shape], list[int]] = defaultdict(list)
        for image in samples.images:
            facts = image.facts
            if facts.format is not None:
                self.formats[facts.format] += 1
            if facts.width is not None and facts.height is not None and facts.channels is not None:
                name = PAYLOAD if image.dataset is None else image.dataset
                if name not in self.tables:
                    if self._is_beyond(name):
                        continue
                    self._table(name, "CHW")
                rows[name, (facts.channels, facts.height, facts.width)].append(image.row)
        return [(name, shape, np.array(found, np.int64)) for (name, shape), found in rows.items()]

    def _is_beyond(self, name: str) -> bool:
        return is_beyond(name, name in self.tables, len(self.tables))

    def _table(self, name: str, axes: str) -> ShapeTable:
        return self.tables.setdefault(name, ShapeTable(self.cap, axes))

    def merge(self, later: ShapeSummary, offset: int) -> None:
        """See `SummaryPart.merge`."""
        for name, table in later.tables.items():
            if self._is_beyond(name):
                continue
            self._table(name, table.axes).merge(table, offset)
        _merge_logs(self.channels, later.channels, self.cap, offset)
        self.formats.update(later.formats)

    def statistics(self) -> dict[str, Any]:
        """``shapes`` of the main array, ``array_shapes`` of all where there are several, ``formats`` of images."""
        found: dict[str, Any] = {}
        for number, (name, table) in enumerate(self.tables.items()):
            listed, left_out = _listed(table)
            if number == 0:
                found["shapes"] = listed
                if left_out:
                    found["shapes_left_out"] = left_out
            if len(self.tables) > 1:
                found.setdefault("array_shapes", {})[name] = listed
        if self.formats:
            found["formats"] = dict(sorted(self.formats.items(), key=lambda entry: (-entry[1], entry[0])))
        return found


def shape_text(shape: Shape) -> str:
    """A shape as reports write it: ``3x32x32``."""
    return "x".join(map(str, shape)) or "scalar"


def dtype_name(block: ArrayBlock) -> str:
    """The dtype's name, whatever its byte order."""
    return block.values.dtype.name


def _listed(table: ShapeTable) -> tuple[dict[str, int], int]:
    """Counts of the most frequent shapes, and how many samples have other ones."""
    order = sorted(table.shapes.items(), key=lambda entry: (-entry[1].count, entry[0]))
    listed = {shape_text(shape): log.count for shape, log in order[:LISTED]}
    return listed, table.count - sum(listed.values())


def _ascending(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))


def _log(logs: dict[Trait, PositionLog], trait: Trait, cap: int) -> PositionLog:
    if trait not in logs:
        logs[trait] = PositionLog(cap)
    return logs[trait]


def _merge_logs(logs: dict[Trait, PositionLog], later: dict[Trait, PositionLog], cap: int, offset: int) -> None:
    for trait, log in later.items():
        _log(logs, trait, cap).merge(log, offset)
