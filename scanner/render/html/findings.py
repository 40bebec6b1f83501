"""Findings as the page shows them: by rule, the first places of each, pictures beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...finding import Finding
from ...printable import key_text, printable
from ...report import SourceReport
from ..findings import Group, grouped, message_tail, position, remedy
from ..pages import FIX, WHAT, WHY, Page
from .shots import Shot, shot

PER_RULE = 200
"""Findings of a rule that the page lists."""

PER_PAGE = 2000
"""Findings that the page lists in all: it must open at once, whatever was found."""


@dataclass(frozen=True, slots=True)
class Row:
    """One finding of the table."""

    place: str
    key: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule's findings of one severity; ``listed`` of ``count`` are in ``rows``."""

    anchor: str
    group: Group
    page: Page | None
    rows: tuple[Row, ...]
    shots: tuple[Shot, ...]
    keyed: bool

    @property
    def left(self) -> int:
        """Findings that the page does not list."""
        return self.group.count - len(self.rows)

    def advice(self) -> Iterator[tuple[str, str]]:
        """Why it matters and what to do, in a sentence or two."""
        for word, title in (("why", WHY), ("fix", FIX)):
            if self.page is not None and (text := self.page.brief(title, 80)):
                yield word, text

    def sections(self) -> Iterator[tuple[str, str]]:
        """The rule's whole page."""
        if self.page is not None:
            order = {WHAT: 0, WHY: 1, FIX: 2}
            yield from sorted(self.page.sections, key=lambda section: order.get(section[0], 3))


def rule_views(report: SourceReport, pages: Mapping[str, Page], prefix: str, room: int) -> Iterator[RuleView]:
    """The groups of a source; at most ``room`` findings are listed, each rule getting its share."""
    groups = grouped(report)
    numbers = {id(finding): number for number, finding in enumerate(report.findings)}
    share = min(PER_RULE, max(room // max(len(groups), 1), 5))
    for group in groups:
        listed = group.findings[:share]
        shots = tuple(
            made
            for finding in group.findings
            if (exhibit := report.exhibits.get(numbers[id(finding)])) is not None
            and (made := shot(exhibit, place_of(finding), key_of(finding), printable(finding.message))) is not None
        )
        rows = tuple(
            Row(place_of(finding), key_of(finding), finding.message + message_tail(finding), remedy(finding))
            for finding in listed
        )
        anchor = f"{prefix}-{group.rule}-{group.severity.value}"
        yield RuleView(anchor, group, pages.get(group.rule), rows, shots, any(row.key for row in rows))


def place_of(finding: Finding) -> str:
    """``#37``, ``row 17``, ``line 12`` or ``whole set``."""
    return position(finding) or "whole set"


def key_of(finding: Finding) -> str:
    """Key, dataset and element, as they are written."""
    location = finding.location
    parts = [] if location.key is None else [key_text(location.key)]
    if location.dataset is not None:
        file = finding.data.get("file")
        parts.append(f"{file}:{location.dataset}" if isinstance(file, str) else location.dataset)
    if location.element is not None:
        parts.append(f"[{', '.join(map(str, location.element))}]")
    return " ".join(parts)
