"""What ``datascan history`` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from difflib import get_close_matches
from functools import partial
from typing import Any, TextIO

from ...backends.errors import UsageError
from ..auditing.history import History
from ..render.history import render_history
from ..render.json_ import portable_json
from ..render.style import Style
from .audit_run import history_file
from .outputs import open_outputs
from .session import Session
from .terminal import WIDEST, stdout_style

FORMATS = ("text", "json", "html")


def run_history(
    session: Session, sources: Sequence[str], file: str | None, nights: int, outputs: Sequence[str], color: str
) -> int:
    """Print the trends, and write them to files."""
    path = history_file(session, file)
    with ExitStack() as stack:
        chosen, files = open_outputs(outputs, [path], stack)
        for output in chosen:
            if output.format not in FORMATS:
                raise UsageError(f"--output: a history is {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
        history = stack.enter_context(History(path, readonly=True))
        trends = trends_of(history, sources, nights)
        for output in chosen:
            if output.file is None:
                session.write(partial(render, output.format, trends, style=stdout_style(color)))
        for output, opened in files:
            opened.write(partial(render, output.format, trends, style=Style(WIDEST, color == "always")))
    return 0


def trends_of(history: History, sources: Sequence[str], nights: int) -> list[dict[str, Any]]:
    """The trends of the sources asked for.

    Raises
    ------
    UsageError
        One that is not remembered; the message has the nearest name.
    """
    known = history.trend(runs=nights)
    if not sources:
        return known
    found = []
    for source in sources:
        one = history.trend((source,), nights)
        if not one:
            names = [trend["name"] for trend in known]
            near = get_close_matches(source, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}"
            raise UsageError(f"the history has no source {source!r}; {hint}")
        found += one
    return found


def render(format_: str, trends: Sequence[Mapping[str, Any]], stream: TextIO, style: Style) -> None:
    """Write the trends in a format."""
    if format_ == "text":
        render_history(trends, stream, style)
    elif format_ == "json":
        text = json.dumps({"schema": "datascan-history/1", "sources": trends}, indent=2, ensure_ascii=False)
        stream.write(portable_json(text, stream.encoding) + "\n")
    else:
        from ..auditing.pages import render_history_html

        render_history_html(trends, stream)
