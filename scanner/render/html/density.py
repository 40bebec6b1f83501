"""Distributions of values: a curve for each channel over one scale."""

from __future__ import annotations

from ...exhibit import Distribution, Distributions
from ..numbers import counted, real
from .svg import Figure, drawing, element, line, plain, text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 500, 190, 12, 12, 10, 26
COLOURS = {"R": "red", "G": "green", "B": "blue"}
SERIES = ("first", "second", "third", "fourth")
SUMMED = 16
"""Steps of the table."""


def density(title: str, distributions: Distributions) -> Figure:
    """All channels over each other, each as high as its own most frequent step."""
    channels = distributions.channels
    low, high = channels[0].low, channels[0].high
    floor, room = HEIGHT - FOOT, HEIGHT - FOOT - TOP
    colours = channel_colours(distributions.order, len(channels))
    parts = []
    for number, channel in enumerate(channels):
        css = colours[number] if colours else SERIES[number % len(SERIES)]
        parts.append(
            element("path", element("title", channel.name), d=area(channel, floor, room), class_=f"fill {css}")
        )
    parts += [
        line(LEFT, floor, WIDTH - RIGHT, floor, "axis"),
        text(real(low), LEFT, HEIGHT - 8, "number"),
        text(real((low + high) / 2), WIDTH / 2, HEIGHT - 8, "number", "middle"),
        text(real(high), WIDTH - RIGHT, HEIGHT - 8, "number", "end"),
    ]
    said = f"{title}, from {real(low)} to {real(high)}: " + "; ".join(
        f"{channel.name} most often near {real(peak(channel))}" for channel in channels
    )
    note = (
        f"Of {counted(distributions.records, 'record')}, evenly spread over the source and read again for this chart."
    )
    if outside := sum(channel.outside for channel in channels):
        note += f" Not drawn: {counted(outside, 'value')} far outside, or not finite."
    head = ("from", *(channel.name for channel in channels))
    return Figure(title, drawing(said, WIDTH, HEIGHT, *parts), note, head, tuple(rows(channels, low, high)))


def channel_colours(order: str, channels: int) -> tuple[str, ...]:
    """What channels are painted in, where it is known which colours they hold."""
    return tuple(COLOURS[letter] for letter in order) if set(order) <= set(COLOURS) and len(order) == channels else ()


def area(channel: Distribution, floor: float, room: float) -> str:
    """The filled outline of a channel."""
    most = max(channel.counts, default=0) or 1
    step = (WIDTH - LEFT - RIGHT) / max(len(channel.counts), 1)
    path = f"M{LEFT} {plain(float(floor))}"
    for number, count in enumerate(channel.counts):
        path += f"V{plain(floor - room * count / most)}H{plain(LEFT + step * (number + 1))}"
    return f"{path}V{plain(float(floor))}Z"


def peak(channel: Distribution) -> float:
    """The middle of the most frequent step."""
    number = max(range(len(channel.counts)), key=channel.counts.__getitem__, default=0)
    return channel.low + (number + 0.5) * (channel.high - channel.low) / max(len(channel.counts), 1)


def rows(channels: tuple[Distribution, ...], low: float, high: float) -> list[tuple[str, ...]]:
    """Shares of wider steps."""
    found = []
    for number in range(SUMMED):
        cells = [real(low + (high - low) * number / SUMMED)]
        for channel in channels:
            size = len(channel.counts)
            part = sum(channel.counts[size * number // SUMMED : size * (number + 1) // SUMMED])
            cells.append(f"{part / (sum(channel.counts) or 1):.1%}")
        found.append(tuple(cells))
    return found
