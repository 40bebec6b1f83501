"""What ``datascan rules`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from ..render.json_ import portable_json
from ..render.pages import Page, page_lines, pages_of, table_lines
from ..render.style import Style
from .names import all_rules, names_of
from .session import Session
from .terminal import stdout_style, write_lines


def run_rules(session: Session, name: str | None, output: str, color: str) -> None:
    """Print a table of all rules, or the pages of some."""
    pages = pages_of(all_rules())
    chosen = list(pages.values()) if name is None else [pages[rule] for rule in names_of(name, among=all_rules())]
    if output == "json":
        text = json.dumps({"rules": [page.to_dict() for page in chosen]}, indent=2, ensure_ascii=False)
        session.write(lambda stream: stream.write(portable_json(text, stream.encoding) + "\n"))
        return
    style = stdout_style(color)
    lines = table_lines(chosen, style) if name is None else _pages(chosen, style)
    session.write(lambda stream: write_lines(lines, stream))


def _pages(pages: Iterable[Page], style: Style) -> Iterator[str]:
    for number, page in enumerate(pages):
        if number:
            yield from ("", "")
        yield from page_lines(page, style)
