"""JSON Lines: a line for each finding as soon as it is known, one for each source, and a summary as the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any, TextIO

from ..finding import Finding
from ..report import SCHEMA, Report, SourceReport
from ..version import __version__
from .json_ import portable_json
from .pieces import dumped
from .style import DEFAULT, Style


def render_jsonl(report: Report, stream: TextIO, style: Style = DEFAULT) -> None:
    """Write all lines of a report that is done."""
    lines = JsonLines(stream)
    for one in report.reports:
        lines.source(one)
    lines.end(report)


class JsonLines:
    """Lines of a run that may still be under way; each call leaves the stream with whole lines, flushed."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.written: Counter[Hashable] = Counter()
        self._line("begin", {"schema": SCHEMA, "tool": {"name": "datascan", "version": __version__}})
        stream.flush()

    def findings(self, path: str, findings: Iterable[Finding]) -> None:
        """Findings of a source, with their final places."""
        for finding in findings:
            self.written[identity(finding)] += 1
            self._finding(path, finding)
        self.stream.flush()

    def source(self, report: SourceReport) -> None:
        """A source is done: the findings that were not written yet, then its line."""
        before, self.written = self.written, Counter()
        for finding in report.findings:
            known = identity(finding)
            if before[known]:
                before[known] -= 1
            else:
                self._finding(report.source.path, finding)
        frame = report.frame(None)
        del frame["findings"]
        self._line("source", frame)
        self.stream.flush()

    def end(self, report: Report) -> None:
        """The summary."""
        frame = report.frame(None)
        del frame["reports"]
        counts: Counter[str] = Counter()
        for one in report.reports:
            counts.update(one.to_counts())
        self._line("summary", {**frame, "sources": len(report.reports), "counts": dict(counts)})
        self.stream.flush()

    def _finding(self, path: str, finding: Finding) -> None:
        self._line("finding", {"source": path, **finding.to_dict()})

    def _line(self, kind: str, contents: dict[str, Any]) -> None:
        self.stream.write(portable_json(dumped({"type": kind, **contents}, None), self.stream.encoding) + "\n")


def identity(finding: Finding) -> Hashable:
    """What tells one finding of a source from another."""
    return finding.rule, finding.severity, finding.location, finding.message
