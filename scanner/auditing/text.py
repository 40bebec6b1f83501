"""A night's audit for people and for machines: what has changed comes first, then a line for each source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from ..finding import Finding, Severity
from ..printable import clip, encodable, fill, key_text, pad, printable, width
from ..render.numbers import counted
from ..render.style import DEFAULT, Style
from ..version import __version__
from .nightly import Audit, Night

SCHEMA = "datascan-audit/1"

SHOWN = 12
"""Findings of a source that are written out in a list of news."""

WORDS = {"fail": "failed", "incomplete": "incomplete", "pass": "passed"}


def audit_dict(audit: Audit) -> dict[str, Any]:
    """The JSON of a night."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "datascan", "version": __version__},
        "exit_code": int(audit.exit_code),
        "verdict": verdict_of(audit),
        "run": {"started": audit.started, "seconds": audit.seconds, "killed_before": list(audit.killed)},
        "sources": [night_dict(night) for night in audit.nights],
    }


def night_dict(night: Night) -> dict[str, Any]:
    """What a night says of one source; ``report`` is as `datascan check` writes it."""
    return {
        "name": night.job.name,
        "path": night.job.path,
        "action": night.action,
        "verdict": night.verdict,
        "first": night.first,
        "read_at": night.read_at or None,
        "parts": {"done": night.done, "of": night.parts} if night.parts else None,
        "why": night.why or None,
        "records": dict(night.records),
        "new": [finding.to_dict() for finding in night.news.new],
        "gone": [finding.to_dict() for finding in night.news.gone],
        "known": night.news.known,
        "report": night.report.to_dict(),
    }


def verdict_of(audit: Audit) -> str:
    """The gravest of the sources' verdicts."""
    verdicts = [night.verdict for night in audit.nights]
    return next((word for word in WORDS if word in verdicts), "incomplete")


def render_audit(audit: Audit, stream: TextIO, style: Style = DEFAULT) -> None:
    """Write a night for a terminal or a text file."""
    lines = [line.rstrip() for line in audit_lines(audit, style)]
    stream.write(encodable("\n".join(lines) + "\n", stream.encoding) if lines else "")


def audit_lines(audit: Audit, style: Style) -> Iterator[str]:
    """All lines; ``style.quiet`` leaves out the sources of which there is nothing to tell."""
    told = [night for night in audit.nights if night.has_news or night.action == "failed"]
    if style.quiet and not told and all(night.verdict == "pass" for night in audit.nights):
        return
    word = verdict_of(audit)
    head = f"{headline(audit)} · {audit.started.replace('T', ' ').replace('+00:00', ' UTC')}"
    for number, line in enumerate(fill(head, max(style.width - len(word) - 2, 20))):
        yield f"{' ' * (len(word) + 2)}{line}" if number else f"{style.paint(word.upper(), word)}  {line}"
    for started in audit.killed:
        yield from style.note(f"the run of {started} was ended before its end; what it had read was taken over")
    for night in told:
        yield ""
        yield from news_lines(night, style)
    yield ""
    yield from table_lines(audit.nights, style)


def headline(audit: Audit) -> str:
    """The night in a sentence."""
    nights = audit.nights
    verdicts = [night.verdict for night in nights]
    tally = ", ".join(f"{verdicts.count(name)} {word}" for name, word in WORDS.items() if name in verdicts)
    news = sum(night.has_news for night in nights)
    said = (
        f"news of {news} of {counted(len(nights), 'source')}"
        if news
        else f"no news of {counted(len(nights), 'source')}"
    )
    return f"{said}: {tally}"


def news_lines(night: Night, style: Style) -> Iterator[str]:
    """What is new of one source."""
    yield f"{style.paint(printable(night.job.name), 'name')}  {style.paint(night.verdict.upper(), night.verdict)}"
    if night.action == "failed" and night.why:
        yield from entry("failed", night.why, "error", style)
    changes = records_phrase(night.records)
    if changes:
        yield from entry("records", changes, "dim", style)
    yield from finding_lines("new", night.news.new, style)
    yield from finding_lines("gone", night.news.gone, style)


def finding_lines(word: str, findings: Sequence[Finding], style: Style) -> Iterator[str]:
    """Findings, the gravest first."""
    order = sorted(findings, key=lambda finding: -finding.severity.weight)
    for finding in order[:SHOWN]:
        paint = finding.severity.value if word == "new" else "dim"
        yield from entry(word, f"{finding.rule}  {place(finding)}{finding.message}", paint, style)
    if len(order) > SHOWN:
        yield from entry("", f"and {len(order) - SHOWN:,} more {word}", "dim", style)


def entry(word: str, text: str, paint: str, style: Style) -> Iterator[str]:
    """A line with a word before it."""
    for number, line in enumerate(fill(printable(text), max(style.width - 12, 20))):
        yield f"  {style.paint(pad('' if number else word, 7), paint)}  {line}"


def place(finding: Finding) -> str:
    """Where a finding is, before its message."""
    location = finding.location
    parts = [] if location.index is None else [f"#{location.index}"]
    if location.key is not None:
        parts.append(clip(key_text(location.key), 40))
    elif location.dataset is not None:
        parts.append(location.dataset)
    return f"{' '.join(parts)}: " if parts else ""


def records_phrase(records: Mapping[str, int]) -> str:
    """``12 added, 1 gone``."""
    words = {"added": "added", "gone": "gone", "changed": "changed"}
    return ", ".join(f"{records[name]:,} {word}" for name, word in words.items() if records.get(name))


def table_lines(nights: Sequence[Night], style: Style) -> Iterator[str]:
    """One line a source."""
    names = [clip(printable(night.job.name), max(style.width // 4, 12)) for night in nights]
    column = max((width(name) for name in names), default=0)
    for name, night in zip(names, nights, strict=True):
        phrase = night_phrase(night)
        room = max(style.width - column - 14, 20)
        first, *others = fill(phrase, room)
        yield f"{style.paint(pad(night.verdict.upper(), 10), night.verdict)}  {pad(name, column)}  {first}"
        yield from (" " * (column + 14) + line for line in others)


def night_phrase(night: Night) -> str:
    """A source in few words: records, findings, how it was looked at."""
    report = night.report
    parts = []
    if report.source.records is not None:
        parts.append(counted(report.source.records, "record"))
    parts.append(findings_phrase(night))
    parts.append(how(night))
    return " · ".join(part for part in parts if part)


def findings_phrase(night: Night) -> str:
    """New, gone and known findings."""
    errors = night.report.count(Severity.ERROR)
    parts = [f"{len(night.news.new)} new"] if night.news.new else []
    parts += [f"{len(night.news.gone)} gone"] if night.news.gone else []
    if night.news.known:
        parts.append(f"{night.news.known} known")
    said = ", ".join(parts) or "nothing found"
    return f"{said} ({counted(errors, 'error')})" if errors else said


def how(night: Night) -> str:
    """How it was looked at tonight, and when it was last read in full."""
    read = f"read {night.read_at[:10]}" if night.read_at else "never read in full"
    if night.action == "scanned":
        return "first scan" if night.first else "read tonight"
    if night.action == "part":
        return f"{night.done} of {night.parts} parts read in this round, {read}"
    if night.action == "unchanged":
        return f"unchanged, {read}"
    return f"{'could not be opened' if night.action == 'failed' else 'postponed'}, {read}"
