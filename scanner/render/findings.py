"""Findings for a terminal: grouped by rule and severity, the first places of each, why it matters, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..finding import Finding, Severity
from ..printable import fill, key_text, pad, printable, width
from ..report import SourceReport
from .numbers import counted
from .pages import FIX, WHY, Page
from .style import Style

MESSAGE_COLUMNS = 32
"""A message that has less room beside its place goes on a line of its own."""

ENOUGH = 80
"""Characters of a why or a fix after which no further sentence is added."""


@dataclass(slots=True)
class Group:
    """Findings of one rule and severity; ``omitted`` were counted and not kept."""

    rule: str
    severity: Severity
    findings: list[Finding] = field(default_factory=list)
    omitted: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return len(self.findings) + self.omitted


def grouped(report: SourceReport) -> list[Group]:
    """Groups in order of severity, then of their number; findings in store order."""
    groups: dict[tuple[str, Severity], Group] = {}
    for finding in report.findings:
        key = (finding.rule, finding.severity)
        groups.setdefault(key, Group(*key)).findings.append(finding)
    for rule, counts in report.omitted.items():
        for severity, count in counts.items():
            groups.setdefault((rule, severity), Group(rule, severity)).omitted += count
    return sorted(groups.values(), key=lambda group: (-group.severity.weight, -group.count, group.rule))


def group_lines(group: Group, style: Style, page: Page | None) -> Iterator[str]:
    """A group: its name and number, the first places, why and fix where the page is given."""
    severity = style.paint(group.severity.value, group.severity.value)
    yield f"{severity}  {style.paint(printable(group.rule), 'name')}  {counted(group.count, 'finding')}"
    shown = group.findings[: style.places]
    if group.count == len(shown) + 1:  # the line that says "1 more" may as well be that one
        shown = group.findings[: style.places + 1]
    yield from place_lines(shown, style)
    if more := group.count - len(shown):
        text = f"and {more:,} more" if shown else f"{more:,} counted"
        text += f", {group.omitted:,} of them beyond --max-findings" if group.omitted else ""
        yield from style.note(text)
    for word, title in (("why", WHY), ("fix", FIX)) if page else ():
        text = printable(page.brief(title, ENOUGH)) if page else ""
        for number, line in enumerate(fill(text, style.width - 7)):
            yield f"  {style.paint(pad('' if number else word, 3), 'dim')}  {line}"


def place_lines(findings: list[Finding], style: Style) -> Iterator[str]:
    """One finding a line in columns: position, key or dataset, message.

    A name is never cut, since people copy it: one that is too long for its column has lines of its own.
    """
    numbers = [position(finding) for finding in findings]
    names = [name(finding) for finding in findings]
    number_columns = max(map(width, numbers), default=0)
    most = max(style.width * 2 // 5, 16)
    name_columns = max((width(title) for title in names if width(title) <= most), default=0)
    lead = 2 + (number_columns + 2 if number_columns else 0)
    indent = lead + (name_columns + 2 if name_columns else 0)
    if style.width - indent < MESSAGE_COLUMNS:
        indent = 6
    for finding, number, title in zip(findings, numbers, names, strict=True):
        head = "  " + (pad(number, number_columns, right=True) + "  " if number_columns else "")
        lines = fill(printable(finding.message) + message_tail(finding), style.width - indent) or [""]
        if indent > 6 and width(title) <= name_columns:
            yield head + style.paint(title, "name") + " " * (indent - lead - width(title)) + lines.pop(0)
        elif title or number:
            for part in fill(title, style.width - lead) or [""]:
                yield (head + style.paint(part, "name")).rstrip()
                head = " " * lead
        margin = " " * (indent if indent > 6 or title or number else 2)
        yield from (margin + line for line in lines)
        for place, line in enumerate(fill(remedy(finding), style.width - len(margin) - 3)):
            yield margin + (" " * 3 if place else style.paint("-> ", "dim")) + line


def position(finding: Finding) -> str:
    """``#37`` for a record, ``row 37`` for a row, ``line 12`` in a text file, empty for the set as a whole."""
    location = finding.location
    if location.line is not None:
        return f"line {location.line}"
    if location.index is None:
        return ""
    return f"row {location.index}" if location.dataset is not None else f"#{location.index}"


def name(finding: Finding) -> str:
    """Key, or dataset with its file, and the element in brackets."""
    location = finding.location
    text = ""
    if location.key is not None:
        text = key_text(location.key)
    elif location.dataset is not None:
        text = printable(location.dataset)
        if isinstance(file := finding.data.get("file"), str):
            text = f"{printable(file)}:{text}"
    if location.element is not None:
        element = "[" + ", ".join(map(str, location.element)) + "]"
        text += element if location.key is None else f" {element}"
    return text


def remedy(finding: Finding) -> str:
    """What to write instead, where a finding about a solver or a net says so."""
    said = finding.data.get("remedy")
    return printable(said) if isinstance(said, str) else ""


def message_tail(finding: Finding) -> str:
    """The byte offset, for who wants to look with a hex editor."""
    return "" if finding.location.offset is None else f" (at byte {finding.location.offset:,})"
