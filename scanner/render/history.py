"""Trends over the nights, for a terminal: a line of blocks for each figure of a source."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from ..printable import encodable, pad, printable
from .numbers import counted, real, size
from .style import DEFAULT, Style

BLOCKS = "▁▂▃▄▅▆▇█"
LEVELS = ".:-=+*#@"
"""The same for a terminal that has no blocks."""

GAP = " "
LEAST = 10
FIGURES = 34
"""Columns of the words beside a sparkline."""

Night = Mapping[str, Any]
Trend = Mapping[str, Any]


def render_history(trends: Sequence[Trend], stream: TextIO, style: Style = DEFAULT) -> None:
    """Write the trends of some sources."""
    encoding = stream.encoding or "utf-8"
    blocks = BLOCKS if encodable(BLOCKS, encoding) == BLOCKS else LEVELS
    lines = [line.rstrip() for line in history_lines(trends, style, blocks)]
    stream.write(encodable("\n".join(lines) + "\n", stream.encoding))


def history_lines(trends: Sequence[Trend], style: Style, blocks: str = BLOCKS) -> Iterator[str]:
    """All lines."""
    for number, trend in enumerate(trends):
        if number:
            yield ""
        yield from trend_lines(trend, style, blocks)


def trend_lines(trend: Trend, style: Style, blocks: str) -> Iterator[str]:
    """One source: its figures over the nights, then the nights that had news."""
    nights = trend["nights"]
    name = style.paint(printable(trend["name"]), "name")
    if not nights:
        yield f"{name}  no night is remembered"
        return
    first, last = nights[0]["at"][:10], nights[-1]["at"][:10]
    verdict = nights[-1]["verdict"]
    yield f"{name}  {style.paint(verdict.upper(), verdict)}  {counted(len(nights), 'night')}, {first} to {last}"
    room = max(style.width - FIGURES, LEAST)
    for label, values, tell in series(nights):
        recent = values[-room:]
        told = [value for value in recent if value is not None]
        if not told:
            continue
        span = tell(told[-1]) if min(told) == max(told) else f"{tell(told[0])} -> {tell(told[-1])}"
        yield f"  {pad(label, 9)}  {style.paint(sparkline(recent, blocks), 'bar')}  {span}"
    for night in [night for night in nights if news_phrase(night)][-8:]:
        yield f"  {style.paint(night['at'][:10], 'dim')}  {news_phrase(night)}"


def series(nights: Sequence[Night]) -> Iterator[tuple[str, list[float | None], Callable[[float], str]]]:
    """Name, value of each night and how it is written, of every figure that is known."""
    yield "records", [figure(night, "records") for night in nights], whole
    yield "bytes", [figure(night, "bytes") for night in nights], size
    for level in ("error", "warning"):
        values = [figure(night, "counts", level) for night in nights]
        if any(values):
            yield f"{level}s", values, whole
    channels = max((len(night["figures"].get("channels") or ()) for night in nights), default=0)
    for channel in range(min(channels, 4)):
        yield f"mean {channel}", [channel_mean(night, channel) for night in nights], real
    yield "labels", [label_count(night) for night in nights], whole


def figure(night: Night, *names: str) -> float | None:
    """A figure of a night, ``None`` where it is not known."""
    found: Any = night["figures"]
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else None


def channel_mean(night: Night, channel: int) -> float | None:
    """The mean of a channel."""
    channels = night["figures"].get("channels") or ()
    return channels[channel]["mean"] if channel < len(channels) else None


def label_count(night: Night) -> float | None:
    """How many different labels there are."""
    labels = night["figures"].get("labels")
    return None if labels is None else float(len(labels))


def whole(value: float) -> str:
    """A count."""
    return f"{value:,.0f}"


def sparkline(values: Sequence[float | None], blocks: str = BLOCKS) -> str:
    """One character a value, between the least and the greatest; a gap where none is known."""
    told = [value for value in values if value is not None and math.isfinite(value)]
    low, high = min(told, default=0.0), max(told, default=0.0)
    step = (high - low) / (len(blocks) - 1) or math.inf
    return "".join(
        GAP if value is None or not math.isfinite(value) else blocks[round((value - low) / step) if high > low else 3]
        for value in values
    )


def news_phrase(night: Night) -> str:
    """What was new in a night; empty where nothing was."""
    news = night["news"]
    words = {"new": "new", "gone": "gone"}
    parts = [f"{counted(news[name], 'finding')} {word}" for name, word in words.items() if news.get(name)]
    records = {"added": "added", "changed": "changed"}
    parts += [f"{counted(news[name], 'record')} {word}" for name, word in records.items() if news.get(name)]
    if night["action"] == "failed":
        parts.append("could not be opened")
    return ", ".join(parts)
