"""A quantity over the iterations of a run, remembered in bounded memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BEFORE = 64
"""Points that are kept from before the first one that is not finite."""

AFTER = 16
HEAD = 64
TAIL = 512
BUCKETS = 250
"""Of a curve's outline; an even number."""


@dataclass(frozen=True, slots=True)
class Point:
    """One printed value."""

    iteration: int
    value: float
    line: int


@dataclass(slots=True)
class Outline:
    """A curve in at most ``2 * BUCKETS`` points which keep every bucket's least and greatest value.

    When there are too many buckets, neighbours are joined and the buckets become twice as wide; so the memory is
    bounded and no peak is lost, whatever the number of points.
    """

    width: int = 1
    buckets: list[tuple[Point, Point]] = field(default_factory=list)
    filled: int = 0
    partial: tuple[Point, ...] = ()

    def extend(self, iterations: NDArray[np.int64], values: NDArray[np.float64], lines: NDArray[np.int64]) -> None:
        """Take in further points, as many buckets at once as there is room for."""

        def points(places: NDArray[np.int64]) -> Iterator[Point]:
            return map(Point, iterations[places].tolist(), values[places].tolist(), lines[places].tolist())

        low, high = np.where(np.isnan(values), np.inf, values), np.where(np.isnan(values), -np.inf, values)
        start, total = 0, len(values)
        while start < total:
            whole = 0 if self.filled else min((total - start) // self.width, BUCKETS - len(self.buckets))
            end = start + (whole * self.width if whole else min(self.width - self.filled, total - start))
            firsts = np.arange(start, end, self.width if whole else end - start)
            least = firsts + low[start:end].reshape(len(firsts), -1).argmin(axis=1)
            most = firsts + high[start:end].reshape(len(firsts), -1).argmax(axis=1)
            found = zip(points(least), points(most), strict=True)
            if whole:
                self.buckets += found
            else:
                self.partial = extremes((*self.partial, *next(found)))
                self.filled += end - start
            start = end
            self.close()

    def close(self) -> None:
        """End the bucket that is full, and make room where there are too many."""
        if self.filled >= self.width and len(self.partial) == 2:
            self.buckets.append((self.partial[0], self.partial[1]))
            self.partial, self.filled = (), 0
        if len(self.buckets) >= BUCKETS:
            pairs = zip(self.buckets[::2], self.buckets[1::2], strict=True)
            self.buckets = [extremes((*one, *other)) for one, other in pairs]
            self.width *= 2

    def points(self) -> list[Point]:
        """The outline in the order of the log."""
        found = [set(bucket) for bucket in (*self.buckets, self.partial)]
        return [point for bucket in found for point in sorted(bucket, key=lambda point: (point.line, point.iteration))]


def extremes(points: Iterable[Point]) -> tuple[Point, Point]:
    """The points of the least and the greatest value; a NaN only where there is nothing else."""
    known = [point for point in points if not math.isnan(point.value)] or list(points)
    return min(known, key=lambda point: point.value), max(known, key=lambda point: point.value)


Points = Callable[[int, int], Iterator[Point]]


@dataclass(slots=True)
class Series:
    """One quantity: the loss, the rate, an output of the net.

    Attributes
    ----------
    weight
        The ``loss_weight`` that the log prints beside an output, ``None`` where the output is no loss.
    before
        The last points before ``bad``, or before the end where all are finite.
    after
        The first points from ``bad`` on.
    tail
        The last points, finite or not.
    """

    name: str
    weight: float | None = None
    count: int = 0
    bad_count: int = 0
    first: Point | None = None
    last: Point | None = None
    low: Point | None = None
    high: Point | None = None
    bad: Point | None = None
    bad_text: str = ""
    recovered: Point | None = None
    head: list[Point] = field(default_factory=list)
    before: deque[Point] = field(default_factory=lambda: deque(maxlen=BEFORE))
    after: list[Point] = field(default_factory=list)
    tail: deque[Point] = field(default_factory=lambda: deque(maxlen=TAIL))
    outline: Outline = field(default_factory=Outline)

    def extend(
        self, iterations: NDArray[np.int64], values: NDArray[np.float64], lines: NDArray[np.int64]
    ) -> int | None:
        """Take in further points; the position of the first bad one if this brought it."""
        if not len(values):
            return None

        def points(begin: int, end: int) -> Iterator[Point]:
            columns = (iterations[begin:end].tolist(), values[begin:end].tolist(), lines[begin:end].tolist())
            return map(Point, *columns)

        finite = np.isfinite(values)
        total = len(values)
        self.count += total
        self.bad_count += total - int(finite.sum())
        if self.first is None:
            self.first = next(points(0, 1))
        self.last = next(points(total - 1, total))
        self.head += points(0, max(HEAD - len(self.head), 0))
        self.tail.extend(points(max(total - TAIL, 0), total))
        self.outline.extend(iterations, values, lines)
        self.widen(finite, values, points)

        if self.bad is not None:
            self.after += points(0, max(AFTER - len(self.after), 0))
            if self.recovered is None and finite.any():
                at = int(finite.argmax())
                self.recovered = next(points(at, at + 1))
            return None
        if finite.all():
            self.before.extend(points(max(total - BEFORE, 0), total))
            return None
        at = int((~finite).argmax())
        self.before.extend(points(max(at - BEFORE, 0), at))
        self.bad = next(points(at, at + 1))
        self.after += points(at, at + AFTER)
        later = finite[at:]
        if later.any():
            back = at + int(later.argmax())
            self.recovered = next(points(back, back + 1))
        return at

    def widen(self, finite: NDArray[np.bool_], values: NDArray[np.float64], points: Points) -> None:
        """Keep the least and the greatest finite value."""
        if not finite.any():
            return
        low = int(np.argmin(np.where(finite, values, np.inf)))
        high = int(np.argmax(np.where(finite, values, -np.inf)))
        self.low = min((*points(low, low + 1), *filter(None, [self.low])), key=lambda point: point.value)
        self.high = max((*points(high, high + 1), *filter(None, [self.high])), key=lambda point: point.value)

    def add(self, point: Point) -> bool:
        """Take in one point; whether it is the first bad one."""
        found = self.extend(
            np.array([point.iteration], np.int64), np.array([point.value]), np.array([point.line], np.int64)
        )
        return found is not None

    @property
    def finite_tail(self) -> list[Point]:
        """The finite points among the last ones."""
        return [point for point in self.tail if math.isfinite(point.value)]

    def value_before(self, iteration: int) -> Point | None:
        """The last point kept whose iteration is not above the one given."""
        kept = (*self.head, *self.before, *self.after, *self.outline.points(), *self.tail)
        found = [point for point in kept if point.iteration <= iteration]
        return max(found, key=lambda point: (point.iteration, point.line)) if found else None
