"""Renderers: a report, written to a stream in some format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TextIO

from ..report import Report
from .html import render_html
from .json_ import render_json
from .style import DEFAULT, Style
from .terminal import render_text

__all__ = ["RENDERERS", "Renderer", "Style"]


class Renderer(Protocol):
    """Writes a report to a stream; ``style`` matters to formats that people read."""

    def __call__(self, report: Report, stream: TextIO, style: Style = DEFAULT) -> None:
        """Write the report."""


RENDERERS: Mapping[str, Renderer] = {"text": render_text, "json": render_json, "html": render_html}
"""Format name, as ``--output`` takes it, to its renderer."""
