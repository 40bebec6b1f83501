"""Ranges of channels: from the least to the greatest value, with the mean and one standard deviation around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...printable import clip, printable
from ..chart import Scale
from ..numbers import real
from .svg import Figure, drawing, element, line, rect, text

WIDTH, ROW, NAME, RIGHT, FOOT = 500, 30, 92, 28, 26


@dataclass(frozen=True, slots=True)
class Range:
    """One channel's figures; ``None`` where there is no finite number."""

    name: str
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    css: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """The figures in words."""
        figures = (self.mean, self.std, self.low, self.high)
        return (self.name, *("-" if figure is None else real(figure) for figure in figures))


def ranges(title: str, channels: Sequence[Range], note: str = "") -> Figure:
    """All channels on one scale."""
    head = ("channel", "mean", "std", "min", "max")
    rows = tuple(channel.row for channel in channels)
    ends = [
        end for channel in channels for end in (channel.low, channel.high) if end is not None and math.isfinite(end)
    ]
    if not ends:
        svg = drawing(f"{title}: no finite value", WIDTH, 40, text("no finite value", NAME, 26, "number"))
        return Figure(title, svg, note, head, rows)
    scale = Scale.of(ends)
    height = len(channels) * ROW + FOOT

    def x(value: float) -> float:
        return NAME + scale.height(value) * (WIDTH - NAME - RIGHT)

    parts = []
    for share in (0.0, 0.5, 1.0) if scale.high > scale.low else (0.5,):
        at = NAME + share * (WIDTH - NAME - RIGHT)
        parts += [
            line(at, 4, at, height - FOOT + 2, "grid"),
            text(f"{scale.value(share):.4g}", at, height - 8, "number", "middle"),
        ]
    for number, channel in enumerate(channels):
        y = number * ROW + ROW / 2
        parts.append(text(clip(printable(channel.name), 13), NAME - 10, y + 4, "name", "end"))
        if channel.low is None or channel.high is None:
            continue
        parts.append(line(x(channel.low), y, x(channel.high), y, f"whisker {channel.css}"))
        parts += [line(x(end), y - 5, x(end), y + 5, f"whisker {channel.css}") for end in (channel.low, channel.high)]
        if channel.mean is not None and channel.std is not None:
            left, right = (
                x(max(channel.mean - channel.std, channel.low)),
                x(min(channel.mean + channel.std, channel.high)),
            )
            parts += [
                rect(
                    left,
                    y - 8,
                    max(right - left, 1),
                    16,
                    f"box {channel.css}",
                    f"{channel.name}: mean {real(channel.mean)}",
                    rx=2,
                ),
                element("circle", cx=float(x(channel.mean)), cy=float(y), r=3.2, class_="dot"),
            ]
    said = f"{title}: " + "; ".join(f"{row[0]} from {row[3]} to {row[4]} with mean {row[1]}" for row in rows[:8])
    kind = {"log": "Logarithmic scale.", "symmetric": "Logarithmic to both sides of 0."}.get(scale.kind, "")
    words = f"Line: least to greatest value. Box: mean ± one standard deviation. {kind} {note}".strip()
    return Figure(title, drawing(said, WIDTH, height, *parts), " ".join(words.split()), head, rows)
