"""Where in the store findings lie: a strip from the first to the last record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...finding import Severity
from ..numbers import counted, share
from .svg import Figure, drawing, line, rect, text

CELLS = 320
WIDTH, HEIGHT, TOP = 960, 64, 8
BAND = 30
LISTED = 60


@dataclass(frozen=True, slots=True)
class Gap:
    """Positions from ``start`` up to ``stop`` that nobody looked at."""

    start: int
    stop: int


@dataclass(slots=True)
class Cell:
    """Findings in some neighbouring positions, by severity."""

    counts: dict[Severity, int]

    @property
    def gravest(self) -> Severity:
        """The gravest of them."""
        return max(self.counts)

    @property
    def words(self) -> str:
        """``3 errors, 1 warning``."""
        plural = {Severity.INFO: "infos"}
        return ", ".join(
            counted(self.counts[one], one.value, plural.get(one)) for one in sorted(self.counts, reverse=True)
        )


def strip(
    records: int,
    places: Iterable[tuple[int, Severity]],
    gaps: Sequence[Gap] = (),
    borders: Sequence[int] = (),
    note: str = "",
) -> Figure:
    """The strip of a source of so many records; ``borders`` are where one table or file ends and the next begins."""
    span = max(records, 1)
    cells = min(CELLS, span)
    found: dict[int, Cell] = {}
    for position, severity in places:
        cell = found.setdefault(min(position * cells // span, cells - 1), Cell({}))
        cell.counts[severity] = cell.counts.get(severity, 0) + 1
    step = WIDTH / cells
    parts = [rect(0, TOP, WIDTH, BAND, "strip", rx=3)]
    for gap in gaps:
        x, end = WIDTH * gap.start / span, WIDTH * gap.stop / span
        parts.append(rect(x, TOP, end - x, BAND, "gap", f"{gap.start:,} to {gap.stop - 1:,}: not looked at"))
    rows = []
    for number in sorted(found):
        first, last = -(-number * span // cells), -(-(number + 1) * span // cells) - 1
        where = f"{first:,}" if first == last else f"{first:,} to {last:,}"
        cell = found[number]
        parts.append(
            rect(number * step, TOP, max(step, 3), BAND, f"mark {cell.gravest.value}", f"{where}: {cell.words}")
        )
        rows.append((where, cell.words))
    parts += [line(WIDTH * border / span, TOP - 4, WIDTH * border / span, TOP + BAND + 4, "axis") for border in borders]
    parts += [
        text("0", 0, HEIGHT - 8, "number"),
        text(f"{span // 2:,}", WIDTH / 2, HEIGHT - 8, "number", "middle"),
        text(f"{span - 1:,}", WIDTH, HEIGHT - 8, "number", "end"),
    ]
    said = f"Positions 0 to {span - 1:,}: findings in {len(found)} of {cells} stretches"
    said += f", {share(sum(gap.stop - gap.start for gap in gaps), span)} not looked at" if gaps else ""
    if len(rows) > LISTED:
        note = f"{note} The table has the first {LISTED} of {len(rows)} stretches.".strip()
    title = "Where the findings lie, from the first record to the last"
    return Figure(
        title,
        drawing(said, WIDTH, HEIGHT, *parts, css="chart wide"),
        note,
        ("positions", "findings"),
        tuple(rows[:LISTED]),
    )
