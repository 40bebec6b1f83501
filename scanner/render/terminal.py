"""The report for people: verdict first, then what was looked at, then the findings, then the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TextIO

from ..finding import Severity
from ..printable import clip, encodable, fill, pad, printable, width
from ..report import LOSING, ExitCode, NotRun, Report, SourceReport
from .causes import cause_lines
from .comparison import comparison_lines
from .findings import group_lines, grouped
from .numbers import counted, duration, share, size
from .pages import Page
from .rebuild import rebuild_lines
from .statistics import statistics_lines
from .style import DEFAULT, Style

WORST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.INFO)
NOT_RUN_SHOWN = 8
"""Entries of ``not_run`` that are written out; a file of a thousand unreadable datasets must not bury its findings."""

TEXTS = ("solver", "net", "log")
"""Layouts of files that are read line by line."""

LABELS = 9
"""Columns of the words before source, coverage and the like."""


def render_text(
    report: Report,
    stream: TextIO,
    style: Style = DEFAULT,
    pages: Mapping[str, Page] | None = None,
) -> None:
    """Write the report for a terminal or a text file; ``pages`` are the rules' own by default."""
    lines = [line.rstrip() for line in report_lines(report, style, rule_pages(report) if pages is None else pages)]
    if lines:
        stream.write(encodable("\n".join(lines) + "\n", stream.encoding))


def rule_pages(report: Report) -> dict[str, Page]:
    """The pages of all rules about data sets; those of the others only where one of them found something."""
    from ..rules import known_rules
    from .pages import pages_of

    pages = pages_of(known_rules())
    if all(finding.rule in pages for one in report.reports for finding in one.findings):
        return pages
    from ..training.registry import FILE_RULES

    return pages | pages_of(FILE_RULES)


def report_lines(report: Report, style: Style, pages: Mapping[str, Page]) -> Iterator[str]:
    """All lines of a report."""
    reports = report.reports
    if report.rebuild is not None:
        yield from rebuild_lines(report, style)
        reports = report.reports[1:]  # the source's findings are told by what was dropped
        if reports and not style.quiet:
            yield ""
    shown = [one for one in reports if not (style.quiet and one.exit_code is ExitCode.CLEAN)]
    if report.causes is not None:
        told = list(cause_lines(report, style))
        yield from told
        if shown and told:
            yield from ("",) if style.quiet else ("", style.paint("─" * style.width, "dim"), "")
    for number, one in enumerate(shown):
        if number:
            yield from ("",) if style.quiet else ("", style.paint("─" * style.width, "dim"), "")
        yield from source_lines(one, style, pages)
    if len(reports) > 1 and not style.quiet:
        yield from ("", style.paint("─" * style.width, "dim"), "")
        yield from table_lines(report, style)


def source_lines(report: SourceReport, style: Style, pages: Mapping[str, Page]) -> Iterator[str]:
    """One source: verdict, facts, findings, statistics."""
    yield from verdict_lines(report, style)
    looked_at = report.error is None or report.coverage.seen > 0
    if not style.quiet and looked_at:
        yield ""
        yield from fact_lines(report, style)
    groups = grouped(report)
    for group in groups:
        yield ""
        first = next(other for other in groups if other.rule == group.rule) is group
        yield from group_lines(group, style, pages.get(group.rule) if first and not style.quiet else None)
    if not style.quiet:
        yield from statistics_lines(report.statistics, style)
        yield from comparison_lines(report.statistics.get("comparison"), style)


# ---- verdict ----


def verdict_lines(report: SourceReport, style: Style) -> Iterator[str]:
    """PASS, FAIL or INCOMPLETE, and one sentence."""
    word = report.verdict.upper()
    sentence = f"{printable(report.source.path)}: {verdict_sentence(report)}"
    indent = len(word) + 2
    first, *others = fill(sentence, max(style.width - indent, 20))
    yield f"{style.paint(word, report.verdict)}  {first}"
    yield from (" " * indent + line for line in others)


def verdict_sentence(report: SourceReport) -> str:
    """What the verdict rests on."""
    if report.error is not None and not report.coverage.seen:
        return printable(report.error.removeprefix(f"{report.source.path}: "))
    found = findings_phrase(report)
    records = counted(report.coverage.seen, unit(report))
    if report.interrupted:
        return f"{found} so far; interrupted after {records}"
    if report.crashed:
        return f"{found} in {records}; a part of the scan failed, which is a bug in datascan"
    if not report.coverage.complete:
        return f"{found} in {records}; not everything was looked at"
    if report.fail_on is None and report.count(Severity.ERROR):
        return f"{found} in {records} (--fail-on never)"
    return f"{found} in {records}"


def findings_phrase(report: SourceReport) -> str:
    """``2 errors and 1 warning``, ``no errors, 3 warnings``, ``nothing found``."""
    counts = {severity: report.count(severity) for severity in WORST_FIRST}
    parts = [
        counted(counts[severity], severity.value, "info" if severity is Severity.INFO else None)
        for severity in WORST_FIRST
        if counts[severity]
    ]
    if not parts:
        return "nothing found"
    if not counts[Severity.ERROR]:
        return ", ".join(["no errors", *parts])
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


# ---- facts ----


def fact_lines(report: SourceReport, style: Style) -> Iterator[str]:
    """What the source is, how much of it was looked at, what was not."""
    yield from labelled("source", source_phrase(report), style)
    if report.run.started and report.source.layout not in TEXTS:
        yield from labelled("scan", run_phrase(report), style)
    yield from labelled("looked at", coverage_phrase(report), style)
    if report.accepted:
        yield from labelled("accepted", f"{counted(report.accepted, 'finding')} of the baseline", style)
    for reason in report.coverage.reasons:
        yield from labelled("left out", printable(reason), style)
    for text in not_run_phrases(report.coverage.not_run):
        yield from labelled("not run", text, style)


def labelled(label: str, text: str, style: Style) -> Iterator[str]:
    """A line with a word before it, filled with a hanging indent."""
    for number, line in enumerate(fill(text, max(style.width - LABELS - 4, 20))):
        head = "" if number else label
        yield f"  {style.paint(pad(head, LABELS), 'dim')}  {line}"


def unit(report: SourceReport) -> str:
    """What is counted: lines of a solver, net or log, records of everything else."""
    return "line" if report.source.layout in TEXTS else "record"


def source_phrase(report: SourceReport) -> str:
    """Store, layout, records, size."""
    source = report.source
    parts = [] if source.layout in TEXTS else [source.store or "not recognised"]
    if source.layout:
        parts.append(printable(source.layout))
    if source.records is not None:
        parts.append(counted(source.records, "record"))
    if source.bytes is not None:
        parts.append(size(source.bytes))
    return " · ".join(parts)


def run_phrase(report: SourceReport) -> str:
    """Time, rates, workers."""
    run = report.run
    parts = [duration(run.seconds)]
    if run.seconds > 0:
        parts.append(f"{counted(round(report.coverage.seen / run.seconds), 'record')}/s")
        if report.source.bytes is not None and report.coverage.complete:
            parts.append(f"{size(report.source.bytes / run.seconds)}/s")
    parts.append(counted(run.workers, "worker"))
    return " · ".join(parts)


def coverage_phrase(report: SourceReport) -> str:
    """How many of how many records."""
    coverage, records = report.coverage, report.source.records
    text = counted(coverage.seen, unit(report))
    if records is not None and records != coverage.seen:
        text = f"{coverage.seen:,} of {counted(records, 'record')} ({share(coverage.seen, records)})"
    if coverage.unreadable:
        text += f"; {coverage.unreadable:,} could not be read"
    elif any(finding.rule in LOSING for finding in report.findings):
        text += "; what the damage hides could not be counted"
    elif coverage.complete and records in (None, coverage.seen):
        text = f"all of it: {text}" if coverage.seen else "all of it: there are no records"
    return text


def not_run_phrases(entries: tuple[NotRun, ...]) -> Iterator[str]:
    """Rules by their reason, at most `NOT_RUN_SHOWN` of them; of a traceback its last line."""
    by_reason: dict[str, list[str]] = {}
    for entry in entries:
        reason = entry.reason.strip().splitlines()[-1] if entry.reason.strip() else "no reason given"
        by_reason.setdefault(reason, []).append(entry.rule)
    for number, (reason, rules) in enumerate(by_reason.items()):
        if number == NOT_RUN_SHOWN:
            left = sum(map(len, list(by_reason.values())[number:]))
            yield f"and {left:,} more; --output json names them all"
            return
        yield f"{', '.join(printable(rule) for rule in rules)}: {printable(reason)}"


# ---- several sources ----


def table_lines(report: Report, style: Style) -> Iterator[str]:
    """One line a source, under a line that counts the verdicts."""
    verdicts = [one.verdict for one in report.reports]
    words = {"fail": "failed", "incomplete": "incomplete", "pass": "passed"}
    tally = ", ".join(f"{verdicts.count(name)} {word}" for name, word in words.items() if name in verdicts)
    yield style.paint(f"{counted(len(verdicts), 'source')}: {tally}", "name")
    names = [clip(printable(one.source.path), style.width * 2 // 5) for one in report.reports]
    column = max(map(width, names))
    for name, one in zip(names, report.reports, strict=True):
        word = style.paint(pad(one.verdict.upper(), 10), one.verdict)
        phrase = "not looked at" if one.error and not one.coverage.seen else table_phrase(one)
        first, *others = fill(phrase, max(style.width - column - 16, 20))
        yield f"  {word}  {pad(name, column)}  {first}"
        yield from (" " * (column + 16) + line for line in others)


def table_phrase(report: SourceReport) -> str:
    """Findings and records in few words."""
    return f"{findings_phrase(report)} · {counted(report.coverage.seen, unit(report))}"
