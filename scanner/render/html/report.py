"""A report as the page sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...finding import Finding, Severity
from ...report import LOSING, Report, SourceReport
from ..pages import Page
from ..rebuild import rebuild_facts, rebuild_sentence, rebuild_word
from ..terminal import (
    TEXTS,
    coverage_phrase,
    findings_phrase,
    run_phrase,
    source_phrase,
    verdict_sentence,
)
from .curve import WIDE, curve
from .findings import PER_PAGE, RuleView, rule_views
from .statistics import figures
from .strip import Gap, strip
from .svg import Figure

NOT_RUN_SHOWN = 50

UNCOUNTED = 4.0
"""Percent of the coverage bar that stand for records of which nobody knows how many there were."""


@dataclass(frozen=True, slots=True)
class SourceView:
    """One source."""

    anchor: str
    report: SourceReport
    sentence: str
    facts: tuple[tuple[str, str], ...]
    bar: tuple[tuple[str, float, float], ...]
    left_out: tuple[str, ...]
    not_run: tuple[tuple[str, str], ...]
    not_run_more: int
    strip: Figure | None
    rules: tuple[RuleView, ...]
    figures: tuple[Figure, ...]


def source_view(report: SourceReport, pages: Mapping[str, Page], number: int, room: int) -> SourceView:
    """All that the page says of a source."""
    anchor = f"s{number + 1}"
    looked = report.error is None or report.coverage.seen > 0
    facts = [("source", source_phrase(report))] if looked else []
    if looked and report.run.started and report.source.layout not in TEXTS:
        facts.append(("scan", run_phrase(report)))
    facts.append(("looked at", coverage_phrase(report) if looked else "nothing"))
    facts.append(("found", findings_phrase(report)))
    by_reason: dict[str, list[str]] = {}
    for entry in report.coverage.not_run:
        lines = entry.reason.strip().splitlines() or ["no reason given"]
        by_reason.setdefault(lines[-1], []).append(entry.rule)
    reasons = [(", ".join(rules), reason) for reason, rules in by_reason.items()]
    return SourceView(
        anchor=anchor,
        report=report,
        sentence=verdict_sentence(report),
        facts=tuple(facts),
        bar=tuple(coverage_bar(report)),
        left_out=left_out(report),
        not_run=tuple(reasons[:NOT_RUN_SHOWN]),
        not_run_more=len(reasons) - NOT_RUN_SHOWN,
        strip=damage_strip(report),
        rules=tuple(rule_views(report, pages, anchor, room)),
        figures=tuple(figures(report)),
    )


def left_out(report: SourceReport) -> tuple[str, ...]:
    """Why not everything was looked at, each reason once."""
    reasons = list(report.coverage.reasons)
    if report.error is not None and not report.coverage.seen:
        reasons = [report.error]
    return tuple(dict.fromkeys(reasons))


def coverage_bar(report: SourceReport) -> list[tuple[str, float, float]]:
    """Shares of the records that were seen, lost, and not looked at: kind, start, width, as percentages."""
    coverage = report.coverage
    known = max(report.source.records or 0, coverage.seen + coverage.unreadable)
    if not known:
        return [("gap", 0.0, 100.0)] if not coverage.complete or report.error is not None else []
    seen, lost = coverage.seen / known * 100, coverage.unreadable / known * 100
    if not coverage.unreadable and any(finding.rule in LOSING for finding in report.findings):
        seen = min(seen, 100 - UNCOUNTED)  # nobody knows how many records the damage hides
    parts = [("seen", 0.0, seen), ("lost", seen, lost), ("gap", seen + lost, max(100 - seen - lost, 0.0))]
    return [part for part in parts if part[2] > 0]


def damage_strip(report: SourceReport) -> Figure | None:
    """Where the findings lie; ``None`` where nothing has a place."""
    if report.source.layout in TEXTS:
        return None
    places: list[tuple[int, Severity]] = []
    for finding, position in zip(report.findings, report.positions(), strict=True):
        if position is not None:
            places.extend((one, finding.severity) for one in spread(finding, position))
    scanned = sum(stretch.positions for stretch in report.stretches)
    records = max(report.source.records or 0, scanned, max((place for place, _ in places), default=-1) + 1)
    if not records or (not places and scanned >= records):
        return None
    gaps = [Gap(scanned, records)] if report.stretches and scanned < records and not report.coverage.complete else []
    if not places and not gaps:
        return None
    borders, start = [], 0
    for stretch in report.stretches[:-1]:
        start += stretch.positions
        borders.append(start)
    note = ""
    if omitted := sum(sum(counts.values()) for counts in report.omitted.values()):
        note = f"{omitted:,} findings beyond --max-findings have no place here."
    if any(reason.startswith("only a sample") for reason in report.coverage.reasons):
        note = f"{note} Between the sampled records nothing was looked at.".strip()
    return strip(records, places, gaps, borders[:100], note)


def spread(finding: Finding, position: int) -> range:
    """The positions that a finding is about: damage says how many records it took."""
    lost = finding.data.get("records_lost")
    return (
        range(position, position + min(max(lost, 1), 100_000))
        if isinstance(lost, int)
        else range(position, position + 1)
    )


@dataclass(frozen=True, slots=True)
class RebuildView:
    """What became of a rebuild."""

    word: str
    verdict: str
    target: str
    facts: tuple[tuple[str, str], ...]


def rebuilt(report: Report) -> RebuildView | None:
    """What became of a rebuild, where there was one."""
    if report.rebuild is None:
        return None
    done = report.rebuild
    return RebuildView(rebuild_word(done), report.verdict, done.target, tuple(rebuild_facts(done, report)))


def charts(report: Report) -> list[Figure]:
    """The curves of the training log."""
    return [curve(chart.title.capitalize(), chart.points, bad=chart.bad, width=WIDE) for chart in report.charts]


def headline(report: Report) -> str:
    """The whole run in a sentence."""
    if report.rebuild is not None:
        return rebuild_sentence(report.rebuild)
    if len(report.reports) == 1 and report.causes is None:
        return verdict_sentence(report.reports[0])
    verdicts = [one.verdict for one in report.reports]
    words = {"fail": "failed", "incomplete": "incomplete", "pass": "passed"}
    tally = ", ".join(f"{verdicts.count(name)} {word}" for name, word in words.items() if name in verdicts)
    sources = f"{len(verdicts)} source{'s' if len(verdicts) != 1 else ''}" + (f": {tally}" if tally else "")
    guilty = [cause.cause for cause in report.causes or () if cause.guilty]
    return f"{', '.join(guilty)}; {sources}" if guilty else sources


def room_for(report: Report) -> int:
    """Findings that the page lists of one source."""
    return PER_PAGE // max(len(report.reports), 1)
