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

KILLER = "store-reader-died"

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
    from ..rules import RULES

    blameless = {rule.name for rule in RULES if not rule.blames_record} - {KILLER}
    several = len({(stretch.file, stretch.columns) for stretch in report.stretches}) > 1
    for finding in report.findings:
        if finding.severity >= threshold(report):
            yield from lines_of(finding, several, finding.rule in blameless)


def lines_of(finding: Finding, several: bool, blameless: bool) -> Iterator[str]:
    """The lines that a finding gives.

    ``several`` where a row's number alone does not tell which dataset is meant; ``blameless`` where the record that is
    named is not to blame: the next sound one behind damage or a gap. Rows that damage took are listed all the same.
    """
    location, data = finding.location, finding.data
    if location.index is None:
        return
    lost = data.get("records_lost") if blameless or finding.rule == KILLER else None
    stop = location.index + (min(max(lost, 1), MOST_LOST) if isinstance(lost, int) else 1)
    if location.dataset is not None and location.key is None:
        file = data.get("file")
        name = f"{file}:{location.dataset}" if isinstance(file, str) else location.dataset
        for row in range(location.index, stop):
            yield position_line(row, printable(name) if several else "")
    elif not blameless:
        yield position_line(location.index) if location.key is None else key_line(location.key)
        for position in range(location.index + 1, stop):  # given up behind a record that ends the reader
            yield position_line(position)


def missing(report: SourceReport) -> Iterator[str]:
    """Why there may be more bad records than are listed."""
    for rule, counts in sorted(report.omitted.items()):
        left = sum(count for severity, count in counts.items() if severity >= threshold(report))
        if left:
            yield (
                f"{left:,} more findings of {rule} were counted and not kept (a larger --max-findings keeps them, and "
                "datascan rebuild --skip-list lists every record)"
            )
    if report.error is not None:
        yield report.error
    elif not report.coverage.complete:
        yield "; ".join(report.coverage.reasons) or "not everything was looked at"
