"""Rule pages in HTML: the little Markdown that their docstrings use."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

MARKS = re.compile(r"`+(?P<code>[^`]+)`+|\*\*(?P<strong>.+?)\*\*|\[(?P<label>[^]]+)]\([^)]*\)")
ITEM = re.compile(r"\n(?=(?:[-*]|\d+\.) )")
BULLET = re.compile(r"(?:[-*]|\d+\.)\s+")


def inline(text: str) -> Markup:
    """Code, strong words, and links as their words: a page that is read offline leads nowhere."""
    parts, end = [], 0
    for match in MARKS.finditer(text):
        parts.append(escape(text[end : match.start()]))
        kind = match.lastgroup
        assert kind is not None
        wrapped = {"code": "<code>{}</code>", "strong": "<strong>{}</strong>", "label": "{}"}[kind]
        parts.append(Markup(wrapped).format(match[kind]))
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def paragraphs(text: str) -> Markup:
    """Paragraphs, lists and code blocks."""
    return Markup("").join(block(part) for part in re.split(r"\n\s*\n", text.strip("\n")) if part.strip())


def block(part: str) -> Markup:
    """One of them."""
    lines = part.split("\n")
    if lines[0].startswith(("    ", "```", "|")):
        code = "\n".join(line.removeprefix("    ") for line in lines if not line.startswith("```"))
        return Markup("<pre><code>{}</code></pre>").format(code)
    entries = ITEM.split(part)
    lead = [] if BULLET.match(entries[0]) else [Markup("<p>{}</p>").format(inline(" ".join(entries[0].split())))]
    items = Markup("").join(
        Markup("<li>{}</li>").format(inline(" ".join(BULLET.sub("", entry, count=1).split())))
        for entry in entries[len(lead) :]
    )
    return Markup("").join([*lead, Markup("<ul>{}</ul>").format(items) if items else Markup("")])
