"""Curves in characters: the loss and the rate of a training run, with the first bad point marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..printable import clip

HEIGHT = 12
SCALE = 11
"""Columns of the numbers on the left."""

LOGARITHMIC_FROM = 100.0
"""Ratio of the greatest to the least magnitude from which a logarithmic scale is used."""

LEAST_WIDTH = 24
LINEAR_PART = 1e-6
"""Values of both signs are drawn on a scale that is linear below this share of the greatest (or below the first
value, if that is less) and logarithmic above."""

SMALLEST_PART = 1e-60


@dataclass(frozen=True, slots=True)
class Marks:
    """The characters that a chart is drawn with."""

    point: str
    bad: str
    column: str
    side: str
    corner: str
    floor: str


UNICODE = Marks(point="•", bad="✖", column="┊", side="│", corner="└", floor="─")
ASCII = Marks(point="*", bad="X", column=":", side="|", corner="+", floor="-")


@dataclass(frozen=True, slots=True)
class Scale:
    """How values become heights: linear, logarithmic, or logarithmic to both sides of zero."""

    kind: str
    low: float
    high: float
    unit: float = 1.0

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale:
        """The scale for some finite values, of which there is at least one."""
        low, high = min(values), max(values)
        greatest = max(abs(low), abs(high))
        if low > 0 and high / low >= LOGARITHMIC_FROM:
            return cls("log", math.log10(low), math.log10(high))
        sizes = [abs(value) for value in values if value]
        if sizes and low < 0 and greatest / min(sizes) >= LOGARITHMIC_FROM:
            unit = max(min(sizes), min(greatest * LINEAR_PART, abs(values[0])), greatest * SMALLEST_PART)
            return cls("symmetric", symmetric(low, unit), symmetric(high, unit), unit)
        if math.isinf(high - low):
            return cls("linear", low / greatest, high / greatest, greatest)
        return cls("linear", low, high)

    def height(self, value: float) -> float:
        """0 at the least value, 1 at the greatest."""
        if self.kind == "log":
            value = math.log10(value) if value > 0 else self.low
        elif self.kind == "symmetric":
            value = symmetric(value, self.unit)
        else:
            value /= self.unit
        span = self.high - self.low
        return min(max((value - self.low) / span, 0.0), 1.0) if span > 0 else 0.5

    def value(self, height: float) -> float:
        """The value at a height."""
        place = self.low + height * (self.high - self.low)
        if self.kind == "log":
            return math.pow(10, place)
        if self.kind == "symmetric":
            return math.copysign(math.sinh(abs(place)) * self.unit, place)
        return place * self.unit


def symmetric(value: float, unit: float) -> float:
    """Linear near zero, logarithmic away from it, for both signs."""
    return math.asinh(value / unit)


def chart_lines(
    points: Sequence[tuple[float, float]],
    title: str,
    *,
    bad: tuple[float, str] | None = None,
    width: int = 80,
    height: int = HEIGHT,
    ascii_only: bool = False,
) -> Iterator[str]:
    """A curve as lines of text, at most ``width`` columns wide.

    Parameters
    ----------
    points
        Iteration and value, in order; values that are not finite leave a gap.
    bad
        The iteration of the first bad value, and how it is written; marked in the curve and named beneath it.
    """
    marks = ASCII if ascii_only else UNICODE
    width, height = max(width, LEAST_WIDTH), max(height, 2)
    finite = [(at, value) for at, value in points if math.isfinite(value) and math.isfinite(at)]
    if not finite:
        yield cut(f"{title}: no finite value" + (f"; {bad[1]} at {bad[0]:,.0f}" if bad else ""), width, ascii_only)
        return
    scale = Scale.of([value for _, value in finite])
    columns = width - SCALE - 2
    ends = [at for at, _ in finite] + ([bad[0]] if bad else [])
    first, last = min(ends), max(ends)

    def column(at: float) -> int:
        return round((at - first) / (last - first) * (columns - 1)) if last > first else 0

    grid = [[" "] * columns for _ in range(height)]
    if bad is not None:
        for row in grid:
            row[column(bad[0])] = marks.column
    for at, value in finite:
        grid[height - 1 - round(scale.height(value) * (height - 1))][column(at)] = marks.point
    if bad is not None:
        grid[0][column(bad[0])] = marks.bad
    kind = {"log": " (logarithmic)", "symmetric": " (logarithmic to both sides of 0)"}.get(scale.kind, "")
    yield cut(f"{title}{kind}", width, ascii_only)
    parts = (0.0, 0.5, 1.0) if scale.high > scale.low else (0.5,)
    labelled = {round(part * (height - 1)) for part in parts}
    for number, row in enumerate(grid):
        level = height - 1 - number
        label = f"{scale.value(level / (height - 1)):.4g}" if level in labelled else ""
        yield f"{label:>{SCALE}} {marks.side}{''.join(row)}".rstrip()
    yield f"{'':>{SCALE}} {marks.corner}{marks.floor * columns}"
    yield from axis_lines(first, last, columns)
    if bad is not None:
        text = cut(f"{bad[1]} at iteration {bad[0]:,.0f}", columns, ascii_only)
        left = min(max(column(bad[0]) - len(text) // 2, 0), columns - len(text))
        yield " " * (SCALE + 2 + left) + text


def axis_lines(first: float, last: float, columns: int) -> Iterator[str]:
    """The iterations beneath the curve."""
    begin, end = f"{first:,.0f}", f"{last:,.0f}"
    gap = columns - len(begin) - len(end)
    yield " " * (SCALE + 2) + (begin + " " * gap + end if gap > 0 and last > first else begin[:columns])


def cut(text: str, width: int, ascii_only: bool) -> str:
    """A text that fits, shortened in its middle."""
    shortened = clip(text, width)
    return shortened.replace("…", "~") if ascii_only else shortened


def can_draw(encoding: str | None) -> bool:
    """Whether an output's encoding has the characters of `UNICODE`."""
    try:
        "".join((UNICODE.point, UNICODE.bad, UNICODE.column, UNICODE.side, UNICODE.corner, UNICODE.floor)).encode(
            encoding or "ascii"
        )
    except (UnicodeEncodeError, LookupError):
        return False
    return True
