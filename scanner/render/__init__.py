"""Renderers: a report, written to a stream in some format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TextIO, cast

from ...backends.errors import DatascanError
from ...backends.lazy import Places
from ...backends.plugins import Registry, said
from ..finding import Finding
from ..report import Report, SourceReport
from .style import DEFAULT, Style

__all__ = ["BESIDE_TEXT", "ILLUSTRATED", "LIVE", "RENDERERS", "Live", "RenderFailed", "Renderer", "Style"]


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


class Live(Protocol):
    """Writes a report while its run is under way: findings as they come, each source when it is done, then the end."""

    def findings(self, path: str, findings: Iterable[Finding]) -> None:
        """Findings of a source that will be in its report."""

    def source(self, report: SourceReport) -> None:
        """A source is done."""

    def end(self, report: Report) -> None:
        """The run is over."""


RENDERERS: Registry[Renderer] = Registry(
    "renderers",
    Places(
        __name__,
        {
            "text": ("terminal", "render_text"),
            "json": ("json_", "render_json"),
            "jsonl": ("jsonl", "render_jsonl"),
            "html": ("html", "render_html"),
            "sarif": ("sarif", "render_sarif"),
            "junit": ("junit", "render_junit"),
            "github": ("github", "render_github"),
            "metrics": ("metrics", "render_metrics"),
            "csv": ("csv_", "render_csv"),
            "keys": ("keys", "render_keys"),
        },
    ),
    _checked,
)
"""Format name, as ``--output`` takes it, to its renderer; behind our own those of plug-ins."""

LIVE: Mapping[str, Callable[[TextIO], Live]] = Places(__name__, {"jsonl": ("jsonl", "JsonLines")})
"""Formats that are written while the run is under way, with what writes them."""

BESIDE_TEXT = ("github",)
"""Formats that go to standard output together with text: what reads them takes its own lines out of it."""

ILLUSTRATED = ("html",)
"""Formats that show what records look like: those are read again for them (`gallery`)."""
