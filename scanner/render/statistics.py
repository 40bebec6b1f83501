"""Statistics for a terminal: label histogram as bars, shapes, channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..printable import clip, fill, pad, printable, width
from .numbers import counted, real, share
from .probe import probe_lines
from .style import Style

BARS_SHOWN = 10
SHAPES_SHOWN = 5
CHANNELS_SHOWN = 8
BAR_COLUMNS = 40
"""Longest bar: beyond it the eye compares no better."""


def statistics_lines(statistics: Mapping[str, Any], style: Style) -> Iterator[str]:
    """The parts that are there, each after an empty line."""
    parts = (
        histogram_lines("labels", statistics.get("labels"), statistics.get("labels_distinct"), style),
        column_lines(statistics.get("label_columns"), style),
        histogram_lines("box labels", statistics.get("box_labels"), None, style),
        shape_lines(statistics.get("shapes"), statistics.get("shapes_left_out"), style),
        tally_lines("formats", statistics.get("formats"), style),
        tally_lines("values", statistics.get("value_kinds"), style),
        channel_lines(statistics.get("channels"), statistics.get("channels_of"), style),
        content_lines(statistics.get("contents"), style),
        probe_lines(statistics.get("probe"), style),
    )
    for lines in parts:
        first = next(lines, None)
        if first is not None:
            yield from ("", first, *lines)


def content_lines(value: object, style: Style) -> Iterator[str]:
    """How many records are copies of others, where they were counted and not named."""
    if isinstance(value, Mapping):
        about = "" if value.get("exact") else "about "
        copies, records = value.get("copies", 0), value.get("records", 0)
        said = "have contents that stand in another one"
        yield f"{style.paint('copies', 'name')}  {about}{copies:,} of {counted(records, 'record')} {said}"


def counts_of(value: object) -> dict[str, int]:
    """The counts of a histogram, whatever else stands beside them."""
    if not isinstance(value, Mapping):
        return {}
    return {str(name): count for name, count in value.items() if isinstance(count, int)}


def histogram_lines(title: str, value: object, distinct: object, style: Style) -> Iterator[str]:
    """Labels with bars: all in their order where they are few, else the most frequent.

    ``distinct`` is the number of classes where the report does not list them all.
    """
    counts = counts_of(value)
    if not counts:
        return
    most, total = max(counts.values()), sum(counts.values())
    few = len(counts) <= BARS_SHOWN
    shown = list(counts.items()) if few else sorted(counts.items(), key=lambda pair: -pair[1])[:BARS_SHOWN]
    many = f", of which the first {len(counts):,} are counted here" if isinstance(distinct, int) else ""
    classes = counted(distinct if isinstance(distinct, int) else len(counts), "class", "classes")
    yield f"{style.paint(title, 'name')}  {classes}{many}{'' if few else f'; the {BARS_SHOWN} most frequent:'}"
    names = [clip(printable(label), style.width // 4) for label, _ in shown]
    numbers = [f"{count:,}" for _, count in shown]
    name_columns, number_columns = max(map(width, names)), max(map(width, numbers))
    room = max(min(BAR_COLUMNS, style.width - name_columns - number_columns - 14), 1)
    for label, number, (_, count) in zip(names, numbers, shown, strict=True):
        columns = f"{pad(label, name_columns, True)}  {pad(number, number_columns, True)}  {share(count, total):>6}"
        yield f"  {columns}  {style.paint(bar_of(count, most, room), 'bar')}"
    if not few:
        rest = total - sum(count for _, count in shown)
        label, fewest = min(counts.items(), key=lambda pair: pair[1])
        left = counted(len(counts) - len(shown), "more class", "more classes")
        yield from style.note(
            f"{left} with {rest:,}; fewest: {clip(printable(label), style.width // 4)} with {fewest:,}"
        )


def column_lines(value: object, style: Style) -> Iterator[str]:
    """Label columns where there are several, or one that holds no classes."""
    if not isinstance(value, Mapping) or not value:
        return
    yield f"{style.paint('label columns', 'name')}  {len(value)}"
    names = [clip(printable(str(name)), style.width // 3) for name in value]
    indent = max(map(width, names)) + 4
    for name, facts in zip(names, value.values(), strict=True):
        first, *others = fill(", ".join(column_facts(facts)), style.width - indent) or [""]
        yield f"  {pad(name, indent - 4)}  {first}"
        yield from (" " * indent + line for line in others)


def column_facts(facts: object) -> Iterator[str]:
    """What one column holds, in few words."""
    if not isinstance(facts, Mapping):
        return
    for name, value in facts.items():
        if name == "records" and isinstance(value, int):
            yield counted(value, "record")
        elif name == "kind":
            yield printable(str(value))
        elif isinstance(value, int | float):
            yield f"{name} {real(value)}"


def tally_lines(title: str, value: object, style: Style) -> Iterator[str]:
    """A short histogram in one paragraph."""
    counts = counts_of(value)
    if not counts:
        return
    text = ", ".join(f"{count:,} {printable(name)}" for name, count in counts.items())
    first, *others = fill(text, max(style.width - len(title) - 2, 20))
    yield f"{style.paint(title, 'name')}  {first}"
    yield from (" " * (len(title) + 2) + line for line in others)


def bar_of(count: float, most: float, columns: int) -> str:
    """A bar in halves of a column; what is there shows at least a half."""
    halves = max(round(2 * columns * count / most), 1) if count else 0
    return "█" * (halves // 2) + "▌" * (halves % 2)


def shape_lines(value: object, left_out: object, style: Style) -> Iterator[str]:
    """The most frequent shapes; ``left_out`` records have shapes that the report does not list."""
    counts = counts_of(value)
    if not counts:
        return
    unlisted = left_out if isinstance(left_out, int) else 0
    total = sum(counts.values()) + unlisted
    shown = sorted(counts.items(), key=lambda pair: -pair[1])[:SHAPES_SHOWN]
    more = "more than " if unlisted else ""
    yield f"{style.paint('shapes', 'name')}  {more}{counted(len(counts), 'shape')}"
    names = [clip(printable(shape), style.width // 2) for shape, _ in shown]
    numbers = [f"{count:,}" for _, count in shown]
    for name, number, (_, count) in zip(names, numbers, shown, strict=True):
        columns = f"{pad(name, max(map(width, names)))}  {pad(number, max(map(width, numbers)), True)}"
        yield f"  {columns}  {share(count, total):>6}"
    if rest := total - sum(count for _, count in shown):
        yield from style.note(f"{counted(rest, 'record')} of other shapes")


def channel_lines(value: object, part: object, style: Style) -> Iterator[str]:
    """Mean, standard deviation, minimum and maximum of each channel; ``part`` says of how many samples they are."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return
    channels = [entry for entry in value if isinstance(entry, Mapping)]
    if not channels:
        return
    columns = ("mean", "std", "min", "max")
    rows = [[cell(channel.get(column)) for column in columns] for channel in channels[:CHANNELS_SHOWN]]
    widths = [max(len(column), *(len(row[number]) for row in rows)) for number, column in enumerate(columns)]
    names = [printable(str(channel.get("name", number))) for number, channel in enumerate(channels[:CHANNELS_SHOWN])]
    first = max(len("channels"), *map(width, names))
    head = "  ".join(column.rjust(columns_) for column, columns_ in zip(columns, widths, strict=True))
    yield f"{style.paint(pad('channels', first), 'name')}  {style.paint(head, 'dim')}"
    for name, row in zip(names, rows, strict=True):
        numbers = "  ".join(number.rjust(columns_) for number, columns_ in zip(row, widths, strict=True))
        yield f"{pad(name, first, True)}  {numbers}"
    if len(channels) > CHANNELS_SHOWN:
        yield from style.note(f"{counted(len(channels) - CHANNELS_SHOWN, 'more channel')}")
    counts = counts_of(part)
    if {"samples", "decoded"} <= counts.keys():
        those = f"of {counts['samples']:,} of the {counts['decoded']:,} images"
        yield from style.note(f"{those}, all of which were checked; --statistics full sums up every image")


def cell(value: object) -> str:
    """A number in a table, a dash where there is none."""
    return real(value) if isinstance(value, int | float) else "-"
