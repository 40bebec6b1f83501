"""Pages: one self-contained file each, with a policy under which nothing from outside and nothing injected can run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ...printable import clip, printable
from ...version import __version__
from .. import numbers
from ..portable import writer
from .markdown import inline, paragraphs

TEMPLATES = Path(__file__).parent / "templates"

LONGEST = 400
"""Characters of a key, a path or a message that a page shows; the middle of a longer one is left out, visibly."""


def write_page(stream: TextIO, template: str, **context: Any) -> None:
    """Write a page piece by piece; ``template`` extends ``page.html.jinja``, which wants a ``title``."""
    write = writer(stream, "xmlcharrefreplace")
    for piece in page_pieces(template, **context):
        write(piece)


def page_pieces(template: str, **context: Any) -> Iterator[str]:
    """A page in pieces of some 16 kB."""
    parts = (
        environment()
        .get_template(template)
        .generate(css=asset("style.css"), script=asset("script.js"), policy=policy(), version=__version__, **context)
    )
    held: list[str] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if size > 1 << 14:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


@cache
def environment() -> Environment:
    """Templates that escape all that they are given: what would not print is written out before."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    made.filters |= {
        "bytes": numbers.size,
        "count": "{:,}".format,
        "duration": numbers.duration,
        "inline": inline,
        "paragraphs": paragraphs,
        "real": numbers.real,
        "short": short,
    }
    made.globals |= {"counted": numbers.counted, "share": numbers.share}
    return made


def visible(value: object) -> object:
    """A text with its controls, direction marks and lone surrogates written out; anything else as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def short(value: str, longest: int = LONGEST) -> str:
    """A text that can't fill the page by itself."""
    return clip(printable(value[: 4 * longest] + value[-4 * longest :] if len(value) > 8 * longest else value), longest)


@cache
def asset(name: str) -> Markup:
    """A style sheet or script of our own, to stand in the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


@cache
def policy() -> str:
    """Nothing but our own style sheet and script, known by their hashes, and pictures that are in the page."""
    style, script = (digest(asset(name)) for name in ("style.css", "script.js"))
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(text: str) -> str:
    """A hash as a content security policy writes it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
