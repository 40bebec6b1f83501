"""Audits as web pages: a night, and the trends over many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from ..render.history import news_phrase, series
from ..render.html.curve import curve
from ..render.html.page import write_page
from ..render.html.svg import Figure
from .nightly import Audit
from .text import findings_phrase, headline, how, place, records_phrase, verdict_of

LISTED = 200
"""Findings of a source that are listed as new, and as gone."""


def render_audit_html(audit: Audit, stream: TextIO) -> None:
    """Write a night as a page: what has changed first, then a line for each source."""
    word = verdict_of(audit)
    write_page(
        stream,
        "audit.html.jinja",
        title=f"{word.upper()} · datascan audit",
        verdict=word,
        headline=headline(audit),
        audit=audit,
        told=[night for night in audit.nights if night.has_news or night.action == "failed"],
        listed=LISTED,
        place=place,
        records=records_phrase,
        findings=findings_phrase,
        how=how,
    )


def render_history_html(trends: Sequence[Mapping[str, Any]], stream: TextIO) -> None:
    """Write the trends of sources as a page."""
    write_page(
        stream,
        "history.html.jinja",
        title="History · datascan",
        trends=[(trend, list(figures_of(trend["nights"])), nights_of(trend["nights"])) for trend in trends],
    )


def figures_of(nights: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """A curve for each figure that is known of two nights or more."""
    for label, values, _ in series(nights):
        points = [(float(number), value) for number, value in enumerate(values) if value is not None]
        if len(points) > 1:
            yield curve(label.capitalize(), points, axis="night", names=lambda at: nights[round(at)]["at"][:10])


def nights_of(nights: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Date, verdict, how it was looked at, and news of each night, the latest first."""
    return [(night["at"][:10], night["verdict"], night["action"], news_phrase(night)) for night in reversed(nights)]
