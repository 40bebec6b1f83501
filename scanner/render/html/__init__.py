"""Reports as web pages: one file, no server, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import TextIO

from ...report import Report
from ..pages import Page
from ..style import DEFAULT, Style
from ..terminal import rule_pages

__all__ = ["html_text", "render_html"]


def render_html(
    report: Report,
    stream: TextIO,
    style: Style = DEFAULT,
    pages: Mapping[str, Page] | None = None,
) -> None:
    """Write the report as a page; ``pages`` are the rules' own by default."""
    from .page import write_page
    from .report import charts, headline, rebuilt, room_for, source_view

    chosen = rule_pages(report) if pages is None else pages
    room = room_for(report)
    write_page(
        stream,
        "report.html.jinja",
        title=f"{report.verdict.upper()} · datascan",
        report=report,
        headline=headline(report),
        sources=[(number, one.source.path, one) for number, one in enumerate(report.reports)],
        view=lambda number, one: source_view(one, chosen, number, room),
        charts=charts(report),
        rebuilt=rebuilt(report),
        rules=sorted({finding.rule for finding in report} | {rule for one in report.reports for rule in one.omitted}),
        quiet=style.quiet,
    )


def html_text(report: Report) -> str:
    """The page as a text."""
    stream = StringIO()
    render_html(report, stream)
    return stream.getvalue()
