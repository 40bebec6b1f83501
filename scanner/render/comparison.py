"""Two sets beside each other for a terminal: what they share, and pairs of bars for labels and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..printable import clip, fill, pad, printable, width
from .numbers import counted, real
from .statistics import bar_of
from .style import Style

SHOWN = 12
"""Classes that are drawn: those that differ most."""

CHANNELS_SHOWN = 8
BAR_COLUMNS = 30


def comparison_lines(facts: object, style: Style) -> Iterator[str]:
    """The comparison of a report's statistics; nothing where there is none."""
    if not isinstance(facts, Mapping):
        return
    name = clip(printable(str(facts.get("with", ""))), style.width // 2)
    yield ""
    yield f"{style.paint('comparison', 'name')}  A is {name}, B this set"
    shared = facts.get("shared")
    if isinstance(shared, Mapping):
        text = (
            f"{counted(shared['contents'], 'record')} with contents that both have, "
            f"{shared['with_another_label']:,} of them with another label; {counted(shared['keys'], 'equal key')}, "
            f"{shared['keys_with_other_contents']:,} with other contents"
        )
        yield from style_lines("shared", text, style)
    for title in ("labels", "shapes"):
        yield from _cells(title, facts.get(title), style)
    yield from _values(facts.get("values"), style)


def style_lines(title: str, text: str, style: Style) -> Iterator[str]:
    """A title and a paragraph beside it."""
    first, *others = fill(text, max(style.width - len(title) - 4, 20))
    yield f"  {style.paint(title, 'name')}  {first}"
    yield from (" " * (len(title) + 4) + line for line in others)


def _cells(title: str, cells: object, style: Style) -> Iterator[str]:
    """Shares of each cell as two bars, the first set's above the second's."""
    if not isinstance(cells, Mapping) or not isinstance(counts := cells.get("counts"), Mapping) or not counts:
        return
    totals = [max(sum(pair[side] for pair in counts.values()), 1) for side in (0, 1)]
    shares = {str(cell): [pair[side] / totals[side] for side in (0, 1)] for cell, pair in counts.items()}
    few = len(shares) <= SHOWN
    chosen = shares if few else dict(sorted(shares.items(), key=lambda one: -abs(one[1][0] - one[1][1]))[:SHOWN])
    yield from style_lines(title, _figures(cells) + ("" if few else f"; the {SHOWN} that differ most:"), style)
    names = {cell: clip(printable(cell), style.width // 3) for cell in chosen}
    columns = max(map(width, names.values()))
    room = max(min(BAR_COLUMNS, style.width - columns - 16), 1)
    most = max(max(pair) for pair in chosen.values()) or 1.0
    for cell, pair in chosen.items():
        for side, share in zip("AB", pair, strict=True):
            label = pad(names[cell] if side == "A" else "", columns, True)
            yield f"    {label}  {side}  {share:>6.1%}  {style.paint(bar_of(share, most, room), 'bar')}".rstrip()


def _figures(cells: Mapping[str, Any]) -> str:
    said = counted(cells.get("distinct", len(cells["counts"])), "kind")
    if "total_variation" not in cells:
        return said
    return (
        f"{said}; total variation {cells['total_variation']:.3f} ({cells['by_chance']:.3f} by chance), "
        f"Jensen-Shannon {cells['jensen_shannon']:.3f} bits, stability index {cells['stability']:.3f}"
    )


def _values(arrays: object, style: Style) -> Iterator[str]:
    """Mean and deviation of each channel in both."""
    if not isinstance(arrays, Mapping):
        return
    for name, channels in arrays.items():
        yield f"  {style.paint('values', 'name')}  {clip(printable(str(name)), style.width // 2)}"
        rows = [
            [real(channel[figure][side]) for figure in ("mean", "std") for side in (0, 1)]
            for channel in channels[:CHANNELS_SHOWN]
        ]
        heads = ["mean A", "mean B", "std A", "std B"]
        widths = [max(len(head), *(len(row[column]) for row in rows)) for column, head in enumerate(heads)]
        head = "  ".join(text.rjust(columns) for text, columns in zip(heads, widths, strict=True))
        yield f"      {style.paint(head, 'dim')}"
        for number, row in enumerate(rows):
            yield f"  {number:>2}  " + "  ".join(text.rjust(columns) for text, columns in zip(row, widths, strict=True))
        if len(channels) > CHANNELS_SHOWN:
            yield from style.note(counted(len(channels) - CHANNELS_SHOWN, "more channel"))
