"""Exhibits as drawings: thumbnails with what is broken of them, plots of rows, first bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from ...exhibit import Dump, Exhibit, Picture, Plot
from ..numbers import counted
from .svg import drawing, element, line, plain, text

STAGE = 156
"""Longest side of a drawing in the page, in CSS pixels."""

PLOT_HEIGHT = 84
BYTES = 6
"""Bytes in a line of a dump."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One figure of a gallery."""

    drawings: tuple[Markup, ...]
    place: str
    key: str
    message: str
    facts: str


def shot(exhibit: Exhibit, place: str, key: str, message: str) -> Shot | None:
    """What is shown of a record, ``None`` where there is nothing to show."""
    label = f"{place} {key}: {message}"
    drawings = tuple(drawn(shown, label) for shown in exhibit.shown)
    return Shot(drawings, place, key, message, " · ".join(exhibit.facts)) if drawings else None


def drawn(shown: Picture | Plot | Dump, label: str) -> Markup:
    """One drawing."""
    if isinstance(shown, Picture):
        return picture(shown, label)
    return plot(shown, label) if isinstance(shown, Plot) else dump(shown)


def picture(shown: Picture, label: str) -> Markup:
    """A thumbnail; missing rows are hatched, values that are no numbers ringed."""
    scale = STAGE / max(shown.width, shown.height, 1)
    width, height = max(shown.width * scale, 1), max(shown.height * scale, 1)
    data = f"data:{shown.mime};base64,{base64.b64encode(shown.data).decode('ascii')}"
    parts = [element("image", href=data, width=width, height=height, preserveAspectRatio="none")]
    said = f"Picture of {label}, {shown.full[0]} x {shown.full[1]}"
    if shown.broken_from is not None:
        top = height * shown.broken_from
        parts += [
            element("rect", x=0, y=top, width=width, height=height - top, class_="broken"),
            line(0, top, width, top, "edge"),
        ]
        said += f"; the rows below {shown.broken_from:.0%} of the height are missing"
    for across, down in shown.spots:
        parts.append(element("circle", cx=width * across, cy=height * down, r=6, class_="spot"))
    if shown.spots:
        said += f"; {counted(len(shown.spots), 'value')} ringed"
    return drawing(said, width, height, *parts, css="pixelated" if scale > 1 else "smooth")


def plot(shown: Plot, label: str) -> Markup:
    """The values of a row as a curve, places without a number as marks."""
    ends = [value for value in (*shown.lows, *shown.highs) if value is not None]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    top, bottom = 8.0, PLOT_HEIGHT - 18.0

    def y(value: float) -> float:
        return (
            bottom - (value / 2 - low / 2) / (high / 2 - low / 2) * (bottom - top) if high > low else (top + bottom) / 2
        )

    step = STAGE / max(len(shown.lows), 1)
    parts = [element("path", d=outline(shown.lows, shown.highs, step, y), class_="curve")]
    parts += [line(STAGE * at, 2, STAGE * at, PLOT_HEIGHT - 14, "bad") for at, _ in shown.bad]
    parts += [
        text(f"{low:.4g} to {high:.4g}", 0, PLOT_HEIGHT - 3),
        text(f"{shown.length:,}", STAGE, PLOT_HEIGHT - 3, anchor="end"),
    ]
    said = f"Values of {label}: {shown.length:,}, between {low:.4g} and {high:.4g}"
    if shown.bad:
        said += f"; not finite: {', '.join(dict.fromkeys(word for _, word in shown.bad))}"
    return drawing(said, STAGE, PLOT_HEIGHT, *parts, css="plot")


def outline(lows: Sequence[float | None], highs: Sequence[float | None], step: float, y: object) -> str:
    """A stroke from the least to the greatest value of each step, joined to the next."""
    assert callable(y)
    parts = []
    for number, (before, (low, high)) in enumerate(pairwise([(None, None), *zip(lows, highs, strict=True)])):
        if low is None or high is None:
            continue
        x = plain((number + 0.5) * step)
        parts.append(f"{'M' if before[0] is None else 'L'}{x} {plain(float(y(low)))}")
        parts.append(f"L{x} {plain(float(y(high)))}" if high != low else "h0.1" if before[0] is None else "")
    return "".join(parts)


def dump(shown: Dump) -> Markup:
    """The first bytes, six to a line."""
    lines = []
    for start in range(0, len(shown.head), BYTES):
        row = shown.head[start : start + BYTES]
        words = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{row.hex(' '):{3 * BYTES - 1}}  {words}")
    return Markup("<pre>{}</pre>").format("\n".join(lines))
