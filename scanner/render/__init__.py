"""Renderers: a report, written to a stream in some format."""

from __future__ import annotations

from typing import Protocol, TextIO, cast

from ...backends.errors import DatascanError
from ...backends.plugins import Registry, said
from ..report import Report
from .html import render_html
from .json_ import render_json
from .style import DEFAULT, Style
from .terminal import render_text

__all__ = ["RENDERERS", "RenderFailed", "Renderer", "Style"]


class Renderer(Protocol):
    """Writes a report to a stream; ``style`` matters to formats that people read."""

    def __call__(self, report: Report, stream: TextIO, style: Style = DEFAULT) -> None:
        """Write the report."""


class RenderFailed(DatascanError):
    """A renderer of a plug-in that could not render a report."""


def _checked(name: str, loaded: object) -> Renderer:
    if not callable(loaded):
        raise TypeError(f"{loaded!r} can't be called as render(report, stream, style)")

    def render(report: Report, stream: TextIO, style: Style = DEFAULT) -> None:
        try:
            cast(Renderer, loaded)(report, stream, style)
        except (OSError, DatascanError):
            raise
        except Exception as exc:
            raise RenderFailed(f"the plug-in for --output {name} failed, its report is not there: {said(exc)}") from exc

    return render


RENDERERS: Registry[Renderer] = Registry(
    "renderers", {"text": render_text, "json": render_json, "html": render_html}, _checked
)
"""Format name, as ``--output`` takes it, to its renderer; behind our own those of plug-ins."""
