"""What two summaries say of the same thing, side by side: labels, shapes, types and values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np
from numpy.typing import NDArray

from ..drift import Shift, Spread, shift_of
from .shapes import Shape, ShapeTable, shape_text
from .total import Summary
from .values import ArrayStats

MOST_CHANNELS = 4096
"""Channels or features of an array that are compared one by one."""


FEW_SHAPES = 12
"""So many shapes in both sets together are compared one by one."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The same cells, counted in both sets."""

    names: Sequence[str]
    first: NDArray[np.int64]
    second: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ChannelPair:
    """A channel in both sets: mean and standard deviation."""

    number: int
    first: tuple[float, float]
    second: tuple[float, float]
    shift: Shift


@dataclass(frozen=True, slots=True)
class ArrayPair:
    """The channels of an array that both sets have."""

    name: str
    meaning: str
    channels: Sequence[ChannelPair]


class Facets:
    """Asks two summaries for what can be compared; ``None`` and nothing where it can't."""

    def __init__(self, first: Summary, second: Summary) -> None:
        self.first, self.second = first, second

    def labels(self) -> Counted | None:
        """The classes of both, where both have classes."""
        columns = self.first.labels.first_class_column, self.second.labels.first_class_column
        if columns[0] is None or columns[1] is None:
            return None
        (labels, sizes), (others, other_sizes) = columns[0].class_counts(), columns[1].class_counts()
        every = np.union1d(labels, others)
        counts = np.zeros((2, len(every)), np.int64)
        counts[0, np.searchsorted(every, labels)] = sizes
        counts[1, np.searchsorted(every, others)] = other_sizes
        return Counted([str(label) for label in every.tolist()], counts[0], counts[1])

    def shapes(self) -> Counted | None:
        """The shapes of the main array of both; in classes where they are many."""
        tables = self._tables()
        if tables is None:
            return None
        exact = len({shape for table in tables for shape in table.shapes}) <= FEW_SHAPES
        counts = [_shape_classes(table, exact) for table in tables]
        names = sorted({*counts[0], *counts[1]})
        first, second = (np.array([count[name] for name in names], np.int64) for count in counts)
        return Counted(names, first, second)

    def dtypes(self) -> tuple[str, str] | None:
        """The usual type of the numbers of both."""
        tables = self._tables()
        types = None if tables is None else [table.usual_dtype() for table in tables]
        return None if types is None or types[0] is None or types[1] is None else (types[0], types[1])

    def usual_shapes(self) -> tuple[Shape, Shape] | None:
        """The shape that 95% or more have, where both sets have such a one."""
        tables = self._tables()
        shapes = None if tables is None else [table.majority() for table in tables]
        if shapes is None or shapes[0] is None or shapes[1] is None:
            return None
        return shapes[0], shapes[1]

    def _tables(self) -> tuple[ShapeTable, ShapeTable] | None:
        tables = self.first.shapes.tables, self.second.shapes.tables
        if not tables[0] or not tables[1]:
            return None
        name = next((name for name in tables[0] if name in tables[1]), None)
        if name is not None:
            return tables[0][name], tables[1][name]
        return next(iter(tables[0].values())), next(iter(tables[1].values()))

    def values(self) -> Iterator[ArrayPair]:
        """Arrays that both have, by name; the main ones where no name is in both."""
        firsts, seconds = self.first.values.arrays, self.second.values.arrays
        pairs = [(name.name, stats, seconds[name]) for name, stats in firsts.items() if name in seconds]
        if not pairs and firsts and seconds:
            (main, stats), other = next(iter(firsts.items())), next(iter(seconds.values()))
            pairs = [(main.name, stats, other)]
        for name, stats, other in pairs:
            if len(stats.moments.count) == len(other.moments.count) <= MOST_CHANNELS:
                channels = list(_channels(stats, other))
                if channels:
                    yield ArrayPair(name, stats.meaning, channels)


def _channels(stats: ArrayStats, other: ArrayStats) -> Iterator[ChannelPair]:
    for number in range(len(stats.moments.count)):
        first, second = _spread(stats, number), _spread(other, number)
        shift = None if first is None or second is None else shift_of(first, second)
        if first is not None and second is not None and shift is not None:
            yield ChannelPair(number, (first.mean, first.std), (second.mean, second.std), shift)


def _spread(stats: ArrayStats, channel: int) -> Spread | None:
    """The values of a channel, over the samples that were summed up."""
    moments = stats.moments
    if not moments.count[channel]:
        return None
    figures = (moments.mean, moments.std, moments.minimum, moments.maximum)
    mean, std, low, high = (float(figure[channel]) for figure in figures)
    return Spread(mean, std, stats.samples - stats.left_out, low, high)


def _shape_classes(table: ShapeTable, exact: bool) -> Counter[str]:
    """Samples by channels, size to a factor of two, and whether they are wide or tall.

    Shapes of photographs are too many to be compared one by one.
    """
    counts: Counter[str] = Counter()
    for shape, log in table.shapes.items():
        counts[shape_text(shape) if exact else _shape_class(shape, table.axes)] += log.count
    return counts


def _shape_class(shape: tuple[int, ...], axes: str) -> str:
    if "H" not in axes or len(shape) != len(axes):
        return shape_text(shape)
    height, width = shape[axes.index("H")], shape[axes.index("W")]
    channels = shape[axes.index("C")] if "C" in axes else 1
    step = round(log2(max(height * width, 1)))
    form = "square" if 0.9 <= width / max(height, 1) <= 1.1 else "wide" if width > height else "tall"
    side = round(2 ** (step / 2))
    return f"{channels} channel{'s' if channels != 1 else ''}, {form}, about {side}x{side}"
