"""Rule pages: the docstring of a rule, taken apart and set for a terminal."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..finding import Severity
from ..printable import fill, pad, width
from .style import Style

WHAT, WHY, FIX = "What it does", "Why is this bad?", "How to fix"
"""Sections that every rule's page has."""

SENTENCE = re.compile(r".+?(?:[.!?](?=\s+[A-Z])|$)")


class Documented(Protocol):
    """What a page is made of: any rule class."""

    name: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Page:
    """A rule's page.

    ``sections`` are ``(title, text)`` in the order of the docstring; the text is Markdown, dedented.
    """

    name: str
    severity: Severity
    sections: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, rule: Documented) -> Page:
        """The page of a rule, from its class's own docstring."""
        text = inspect.cleandoc(getattr(rule, "__doc__", None) or "")
        parts = re.split(r"^##\s+(.+?)\s*$", text, flags=re.MULTILINE)
        sections = [(WHAT, parts[0].strip())] if parts[0].strip() else []
        sections += [(title, body.strip()) for title, body in zip(parts[1::2], parts[2::2], strict=True)]
        return cls(rule.name, rule.severity, tuple(sections))

    @property
    def family(self) -> str:
        """The word before the first dash."""
        return self.name.partition("-")[0]

    def section(self, title: str) -> str:
        """A section's text, empty where the page has none of that title."""
        return next((text for name, text in self.sections if name.lower() == title.lower()), "")

    def brief(self, title: str, enough: int = 0) -> str:
        """The first sentence of a section without Markdown's marks, and more of them until there is enough."""
        text = ""
        for sentence in SENTENCE.findall(plain(" ".join(self.section(title).split("\n\n")[0].split()))):
            text = f"{text} {sentence.strip()}".strip()
            if len(text) >= enough:
                break
        return text

    def to_dict(self) -> dict[str, Any]:
        """The page in JSON."""
        return {
            "name": self.name,
            "family": self.family,
            "severity": self.severity.value,
            "summary": self.brief(WHAT),
            "sections": [{"title": title, "text": text} for title, text in self.sections],
        }


def plain(text: str) -> str:
    """Markdown's inline marks taken away."""
    text = re.sub(r"\[([^]]+)]\([^)]*\)", r"\1", text)
    return re.sub(r"\*\*(.+?)\*\*|`+([^`]+)`+", lambda match: match.group(1) or match.group(2), text)


def page_lines(page: Page, style: Style) -> Iterator[str]:
    """A page for the terminal."""
    yield f"{style.paint(page.name, 'name')}  {style.paint(page.severity.value, page.severity.value)}"
    for title, text in page.sections:
        yield ""
        yield style.paint(title, "name")
        for number, block in enumerate(text.split("\n\n")):
            yield from [""] * bool(number)
            yield from block_lines(block, min(style.width, 100))


def block_lines(block: str, columns: int) -> Iterator[str]:
    """A Markdown paragraph filled, a list item by item, code and tables as they stand; all indented by two."""
    lines = block.split("\n")
    if lines[0].startswith(("    ", "```", "|")):
        yield from ("  " + line.removeprefix("    ") for line in lines if not line.startswith("```"))
        return
    for entry in re.split(r"\n(?=(?:[-*]|\d+\.) )", block):
        mark = re.match(r"(?:[-*]|\d+\.) ", entry)
        hang = mark.group() if mark else ""
        for number, line in enumerate(fill(plain(entry[len(hang) :]), columns - 2 - len(hang))):
            yield "  " + (" " * len(hang) if number else hang) + line


def table_lines(pages: Sequence[Page], style: Style) -> Iterator[str]:
    """One line a rule: name, severity, what it does; a line between families."""
    names = max((width(page.name) for page in pages), default=0)
    severities = max((width(page.severity.value) for page in pages), default=0)
    indent = names + severities + 4
    family = None
    for page in pages:
        if family not in (None, page.family):
            yield ""
        family = page.family
        summary = fill(page.brief(WHAT), max(style.width - indent, 20)) or [""]
        severity = style.paint(pad(page.severity.value, severities), page.severity.value)
        yield f"{style.paint(pad(page.name, names), 'name')}  {severity}  {summary[0]}".rstrip()
        yield from (" " * indent + line for line in summary[1:])


def pages_of(rules: Iterable[Documented]) -> dict[str, Page]:
    """Pages by rule name."""
    return {rule.name: Page.of(rule) for rule in rules}
