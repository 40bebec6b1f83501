"""The keys of bad records, one a line, for a loader that skips them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from ..finding import Finding, Severity
from ..keylist import REMARK, key_line, position_line
from ..printable import printable
from ..report import Report, SourceReport
from .numbers import counted
from .portable import writer
from .style import DEFAULT, Style

BESIDE = ("record-key-gap", "record-key-order", "record-missing-twin")
"""Rules that name a sound record beside the fault, besides those about the store."""

MOST_LOST = 1 << 24
"""Rows of one damage that are written out."""


def render_keys(report: Report, stream: TextIO, style: Style = DEFAULT) -> None:
    """Write a list for each source; one that is not complete says so in its first line."""
    write = writer(stream)
    for one in report.reports:
        lines = dict.fromkeys(bad_lines(one))
        gaps = list(missing(one))
        if gaps:
            write(f"{REMARK}INCOMPLETE: {printable('; '.join(gaps))}\n")
        write(f"{REMARK}{printable(one.source.path)}: {counted(len(lines), 'bad record')}\n")
        for line in lines:
            write(f"{line}\n")


def threshold(report: SourceReport) -> Severity:
    """Findings from this severity on make a record bad: what fails the run, or errors where nothing does."""
    return report.fail_on or Severity.ERROR


def bad_lines(report: SourceReport) -> Iterator[str]:
    """The lines of a source, in store order; a record with several findings comes several times."""
    several = len({(stretch.file, stretch.columns) for stretch in report.stretches}) > 1
    for finding in report.findings:
        if finding.severity >= threshold(report):
            yield from lines_of(finding, several)


def lines_of(finding: Finding, several: bool) -> Iterator[str]:
    """The lines that a finding gives; ``several`` where a row's number alone does not tell which dataset is meant."""
    location = finding.location
    store = finding.rule.startswith("store-") and finding.rule != "store-reader-died"
    if location.dataset is not None and location.key is None and location.index is not None:
        lost = finding.data.get("records_lost")
        rows = min(max(lost, 1), MOST_LOST) if store and isinstance(lost, int) else 1
        file = finding.data.get("file")
        name = f"{file}:{location.dataset}" if isinstance(file, str) else location.dataset
        for row in range(location.index, location.index + rows):
            yield position_line(row, printable(name) if several else "")
    elif store or finding.rule in BESIDE:
        return
    elif location.key is not None:
        yield key_line(location.key)
    elif location.index is not None:
        yield position_line(location.index)


def missing(report: SourceReport) -> Iterator[str]:
    """Why there may be more bad records than are listed."""
    for rule, counts in sorted(report.omitted.items()):
        left = sum(count for severity, count in counts.items() if severity >= threshold(report))
        if left:
            yield f"{left:,} more findings of {rule} were counted and not kept; give a larger --max-findings"
    if report.error is not None:
        yield report.error
    elif not report.coverage.complete:
        yield "; ".join(report.coverage.reasons) or "not everything was looked at"
