"""The JSON report, schema ``datascan/1``."""

from __future__ import annotations

import re
from typing import TextIO

from ..report import Report
from .pieces import Lists
from .style import DEFAULT, Style

UNSAFE = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Legal in JSON, but a C1 control steers a terminal, direction marks reorder a line, and a lone surrogate (from a file
name that is not UTF-8) can't be encoded."""

NOT_ASCII = re.compile("[^\x00-\x7e]")


def render_json(report: Report, stream: TextIO, style: Style = DEFAULT) -> None:
    """Write the JSON report, finding by finding, and a line end."""
    lists = Lists()
    reports = [one.frame(lists.mark(finding.to_dict() for finding in one.findings)) for one in report.reports]
    for piece in lists.pieces(report.frame(reports)):
        stream.write(portable_json(piece, stream.encoding))
    stream.write("\n")


def portable_json(text: str, encoding: str | None) -> str:
    r"""The same JSON, with ``\u`` escapes for what is unsafe to print or what the encoding does not know."""
    unicode = (encoding or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8")
    return (UNSAFE if unicode else NOT_ASCII).sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
