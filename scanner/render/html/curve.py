"""Curves over iterations, runs or nights: a line that breaks where a value is not finite, with the first bad point."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from markupsafe import Markup

from ..chart import Scale
from ..numbers import real
from .svg import Figure, drawing, element, line, plain, text

NARROW, WIDE = 500, 980
HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 220, 72, 16, 14, 34
LEVELS = 4
DOTS = 48
"""Up to so many points each has a dot of its own."""

LISTED = 200
KINDS = {"log": "Logarithmic scale.", "symmetric": "Logarithmic to both sides of 0."}


def curve(
    title: str,
    points: Sequence[tuple[float, float]],
    *,
    bad: tuple[float, str] | None = None,
    axis: str = "iteration",
    names: Callable[[float], str] | None = None,
    width: int = NARROW,
) -> Figure:
    """A curve of one value.

    Parameters
    ----------
    points
        Place and value, in order.
    bad
        The place of the first bad value, and how it is written.
    axis, names
        What the places are, and how one is written (``12,000``).
    width
        `NARROW` beside another chart, `WIDE` for one that stands alone.
    """
    name = names or "{:,.0f}".format
    finite = [(at, value) for at, value in points if math.isfinite(value) and math.isfinite(at)]
    rows = tuple((name(at), number(value)) for at, value in points[:LISTED])
    note = f"The table has the first {LISTED} of {len(points):,} points." if len(points) > LISTED else ""
    if bad is not None:
        note = f"{bad[1]} at {axis} {name(bad[0])}. {note}".strip()
    if not finite:
        svg = drawing(f"{title}: no finite value", width, 40, text("no finite value", LEFT, 26, "number"))
        return Figure(title, svg, note, (axis, title), rows)
    scale = Scale.of([value for _, value in finite])
    ends = [at for at, _ in finite] + ([bad[0]] if bad else [])
    first, last = min(ends), max(ends)

    def x(at: float) -> float:
        return LEFT + (at - first) / (last - first) * (width - LEFT - RIGHT) if last > first else LEFT

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - scale.height(value) * (HEIGHT - TOP - BOTTOM)

    parts = grid(scale, width)
    parts.append(
        element("path", d=path([(x(at), y(v)) if math.isfinite(v) else None for at, v in points]), class_="curve")
    )
    if len(finite) <= DOTS:
        parts += [element("circle", cx=float(x(at)), cy=float(y(value)), r=2.6, class_="dot") for at, value in finite]
    if bad is not None:
        parts += [
            line(x(bad[0]), TOP, x(bad[0]), HEIGHT - BOTTOM, "bad"),
            text(
                bad[1],
                x(bad[0]) - 6 if x(bad[0]) > width / 2 else x(bad[0]) + 6,
                TOP + 10,
                "bad",
                anchor_of(x(bad[0]), width),
            ),
        ]
    parts += [
        text(name(first), LEFT, HEIGHT - 14, "number"),
        text(name(last), width - RIGHT, HEIGHT - 14, "number", "end"),
        text(axis, (LEFT + width - RIGHT) / 2, HEIGHT - 4, "number", "middle"),
    ]
    values = [value for _, value in finite]
    said = f"{title} from {axis} {name(first)} to {name(last)}: between {number(min(values))} and {number(max(values))}"
    note = f"{KINDS.get(scale.kind, '')} {note}".strip()
    return Figure(
        title, drawing(said + (f"; {bad[1]}" if bad else ""), width, HEIGHT, *parts), note, (axis, title), rows
    )


def anchor_of(x: float, width: int) -> str:
    """Which side of a mark its words are on."""
    return "end" if x > width / 2 else "start"


def grid(scale: Scale, width: int) -> list[Markup]:
    """Levels with their values."""
    shares = [level / LEVELS for level in range(LEVELS + 1)] if scale.high > scale.low else [0.5]
    parts = []
    for share in shares:
        y = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        parts += [
            line(LEFT, y, width - RIGHT, y, "axis" if share == 0 else "grid"),
            text(f"{scale.value(share):.4g}", LEFT - 8, y + 4, "number", "end"),
        ]
    return parts


def path(places: Sequence[tuple[float, float] | None]) -> str:
    """A path that is lifted where there is no place; a lone point gets a stroke to be seen."""
    parts = []
    for before, place in pairwise((None, *places)):
        if place is not None:
            parts.append(f"{'M' if before is None else 'L'}{plain(float(place[0]))} {plain(float(place[1]))}")
            if before is None:
                parts.append("h0.1")
    return "".join(parts)


def number(value: float) -> str:
    """A value in words, also one that is none."""
    return real(value) if math.isfinite(value) else {"nan": "NaN", "inf": "Inf", "-inf": "-Inf"}[str(value)]
