"""The verdicts of ``datascan doctor`` for a terminal: a block for each cause that may be, a line for every other."""

from __future__ import annotations

from collections.abc import Iterator

from ..printable import fill, pad, printable
from ..report import Cause, Report
from .chart import HEIGHT, chart_lines
from .style import Style

COLOURS = {
    "confirmed": "error",
    "likely": "error",
    "possible": "warning",
    "not-checked": "incomplete",
    "ruled-out": "pass",
}
WORDS = {"confirmed": "CONFIRMED", "likely": "LIKELY", "possible": "POSSIBLE"}
QUIET_WORDS = {"not-checked": "not checked", "ruled-out": "ruled out"}
INDENT = 11
EVIDENCE_SHOWN = 6


def cause_lines(report: Report, style: Style) -> Iterator[str]:
    """Causes in the order of their rank, the charts behind the first."""
    causes = report.causes or ()
    told = [cause for cause in causes if cause.verdict in WORDS and (cause.guilty or not style.quiet)]
    for number, cause in enumerate(told):
        if number:
            yield ""
        yield from block_lines(cause, style)
        if not number and not style.quiet:
            yield from charts(report, style)
    if style.quiet:
        return
    if not told:
        left = sum(cause.verdict == "not-checked" for cause in causes)
        word = style.paint("INCOMPLETE", "incomplete") if left else style.paint("PASS", "pass")
        gap = f"; {left} of {len(causes)} causes were not checked" if left else ""
        yield f"{word}  no sign of a cause for a loss that is not finite{gap}"
        yield from charts(report, style)
    yield ""
    for cause in causes:
        if cause.verdict not in WORDS:
            yield from short_lines(cause, style)


def block_lines(cause: Cause, style: Style) -> Iterator[str]:
    """One cause: verdict and summary, the evidence, the remedy."""
    word = style.paint(pad(WORDS[cause.verdict], INDENT - 2), COLOURS[cause.verdict])
    yield f"{word}  {style.paint(cause.cause, 'name')}"
    yield from (" " * INDENT + line for line in fill(printable(cause.summary), style.width - INDENT))
    for number, whole in enumerate(cause.evidence[:EVIDENCE_SHOWN]):
        text = whole.removesuffix(f": {cause.summary}")  # what the head says already
        label = pad("" if number else "evidence", INDENT - 2)
        for place, line in enumerate(fill(printable(text), style.width - INDENT - 2)):
            lead = style.paint(label, "dim") if not place else " " * (INDENT - 2)
            yield f"{lead}  {'- ' if not place else '  '}{line}"
    if len(cause.evidence) > EVIDENCE_SHOWN:
        yield " " * INDENT + style.paint(f"and {len(cause.evidence) - EVIDENCE_SHOWN:,} more", "dim")
    if cause.remedy:
        for number, line in enumerate(fill(printable(cause.remedy), style.width - INDENT)):
            yield f"{style.paint(pad('' if number else 'fix', INDENT - 2), 'dim')}  {line}"


def short_lines(cause: Cause, style: Style) -> Iterator[str]:
    """A cause that is ruled out, or was not looked at."""
    word = style.paint(pad(QUIET_WORDS[cause.verdict], 11), COLOURS[cause.verdict])
    for number, line in enumerate(fill(printable(cause.summary), style.width - 34)):
        yield f"{word if not number else ' ' * 11}  {pad('' if number else cause.cause, 18)}  {line}"


def charts(report: Report, style: Style) -> Iterator[str]:
    """The loss and the rate."""
    for chart in report.charts:
        yield ""
        height = HEIGHT if chart is report.charts[0] else HEIGHT // 2
        yield from chart_lines(chart.points, chart.title, bad=chart.bad, width=style.width, height=height)
