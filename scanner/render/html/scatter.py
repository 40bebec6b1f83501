"""Image sizes: width against height, the area of a circle by the number of images."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..numbers import counted, share
from .svg import Figure, drawing, element, line, text

SIZE, LEFT, FOOT = 320, 56, 34
LISTED = 40


def sizes(title: str, counts: Mapping[tuple[int, int], int], note: str = "") -> Figure:
    """``counts`` by width and height."""
    total = sum(counts.values())
    widest, highest = max(width for width, _ in counts), max(height for _, height in counts)
    span, most = max(widest, highest), max(counts.values())
    room = SIZE - 24

    def x(width: float) -> float:
        return LEFT + room * width / span

    def y(height: float) -> float:
        return SIZE - FOOT + 16 - room * height / span

    parts = [
        line(x(0), y(0), x(span), y(0), "axis"),
        line(x(0), y(0), x(0), y(span), "axis"),
        line(x(0), y(0), x(span), y(span), "grid"),
    ]
    for (width, height), count in sorted(counts.items(), key=lambda entry: -entry[1]):
        radius = 3 + 11 * math.sqrt(count / most)
        words = f"{width} x {height}: {counted(count, 'image')}"
        parts.append(
            element(
                "circle", element("title", words), cx=float(x(width)), cy=float(y(height)), r=radius, class_="bubble"
            )
        )
    parts += [
        text("0", LEFT - 8, y(0) + 4, "number", "end"),
        text(f"{span:,}", LEFT - 8, y(span) + 4, "number", "end"),
        text(f"{span:,}", x(span), y(0) + 16, "number", "end"),
        text("width", x(span / 2), y(0) + 16, "number", "middle"),
        text("height", LEFT - 8, y(span / 2) + 4, "number", "end"),
    ]
    order = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    usual = order[0][0]
    said = f"{title}: {counted(len(counts), 'size')}, most often {usual[0]} x {usual[1]}; "
    said += f"up to {widest} wide and {highest} high"
    rows = tuple((f"{w} x {h}", f"{count:,}", share(count, total)) for (w, h), count in order[:LISTED])
    if len(order) > LISTED:
        note = f"{note} The table has the {LISTED} most frequent of {len(order)} sizes.".strip()
    return Figure(title, drawing(said, LEFT + SIZE, SIZE, *parts), note, ("width x height", "images", "share"), rows)
