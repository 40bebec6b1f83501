"""Histograms: a bar for each name, or a skyline where there are many."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from markupsafe import Markup

from ...printable import clip, printable
from ..numbers import counted, share
from .svg import Figure, drawing, element, line, plain, rect, text

FEW = 24
"""Up to so many bars each has its name beside it; more are drawn side by side as a skyline."""

COLUMNS = 600
"""Steps of a skyline at most: neighbouring classes share one beyond that, which shows the greatest of them."""

LISTED = 200
"""Rows of the table of numbers."""

WIDTH, ROW, NAME, NUMBER = 500, 22, 116, 112


def histogram(title: str, counts: Mapping[str, int], nouns: tuple[str, str], note: str = "") -> Figure:
    """Counts by name, in the order given; ``nouns`` are what the names are, one and many."""
    total = sum(counts.values())
    named = f"{title}: {counted(len(counts), *nouns)}"
    if counts:
        most, fewest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        named += (
            f", the most {counts[most]:,} of {clip(printable(most), 60)}, "
            f"the fewest {counts[fewest]:,} of {clip(printable(fewest), 60)}"
        )
    svg = beside(named, counts, total) if len(counts) <= FEW else skyline(named, list(counts.values()))
    rows = tuple((name, f"{count:,}", share(count, total)) for name, count in list(counts.items())[:LISTED])
    if len(counts) > LISTED:
        note = f"{note} The table has the first {LISTED} of {len(counts):,}.".strip()
    return Figure(title, svg, note, (nouns[0], "count", "share"), rows)


def beside(label: str, counts: Mapping[str, int], total: int) -> Markup:
    """Bars that lie, each with its name before and its number behind it."""
    most = max(counts.values(), default=1) or 1
    room = WIDTH - NAME - NUMBER
    parts = []
    for number, (name, count) in enumerate(counts.items()):
        y = number * ROW
        long = max(room * count / most, 1.5) if count else 0
        parts += [
            text(clip(printable(name), 17), NAME - 8, y + 15, "name", "end"),
            rect(NAME, y + 4, long, ROW - 8, "bar", f"{name}: {count:,}", rx=2),
            text(f"{count:,} · {share(count, total)}", NAME + long + 8, y + 15, "number"),
        ]
    return drawing(label, WIDTH, max(len(counts), 1) * ROW, *parts)


def skyline(label: str, counts: list[int], height: int = 140) -> Markup:
    """Many bars side by side, as one area with its highest value beside it."""
    steps = min(len(counts), COLUMNS)
    tops = [max(counts[number * len(counts) // steps : (number + 1) * len(counts) // steps]) for number in range(steps)]
    most = max(tops) or 1
    left, floor, width = 56, height - 18, WIDTH - 64
    path, x = f"M{left} {floor}", float(left)
    for top, run in groupby(tops):
        y = floor - (floor - 12) * top / most
        path += f"V{plain(float(y))}"
        x += width * len(list(run)) / steps
        path += f"H{plain(x)}"
    return drawing(
        label,
        WIDTH,
        height,
        line(left, 12, left + width, 12, "grid"),
        text(f"{most:,}", left - 8, 16, "number", "end"),
        text("0", left - 8, floor + 4, "number", "end"),
        element("path", d=f"{path}V{floor}Z", class_="bar"),
        line(left, floor, left + width, floor, "axis"),
        text("first", left, height - 3, "number"),
        text("last", left + width, height - 3, "number", "end"),
    )
